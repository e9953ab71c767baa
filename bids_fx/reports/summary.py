"""The first sentences of a report: what was done, and where to look first."""

from __future__ import annotations

from collections.abc import Sequence

from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.records import Plan
from bids_fx.reports.page import GroupPart, Link
from bids_fx.reports.wording import count, number
from bids_fx.settings import AnalysisSettings, setting_text

_NOISE = {
    "ols": "white noise",
    "ar1-yw": "AR(1) noise by Yule and Walker",
    "ar1": "AR(1) noise by REML",
    "arma11": "ARMA(1,1) noise by REML",
}
_WEIGHTS = {
    "weighted": "each weighted by the inverse of its variance",
    "unweighted": "each with the same weight",
}


def summary_sentences(plan: Plan) -> tuple[str, ...]:
    """Return what is done for a participant, in two or three sentences; none without a run."""
    if not plan.runs:
        return ()
    tasks = list(dict.fromkeys(run.entities.get("task") or "" for run in plan.runs))
    sessions = {run.entities.get("ses") for run in plan.runs} - {None}
    what = f"{count(len(plan.runs), 'run')} of the task{'s' * (len(tasks) > 1)} {', '.join(tasks)}"
    if len(sessions) > 1:
        what += f" in {count(len(sessions), 'session')}"
    return (f"The analysis covers {what}.", _of_models(plan), _of_combination(plan))


def best_result(groups: Sequence[GroupPart]) -> Link | None:
    """Return the contrast with the largest combined |z|; None without combined maps."""
    peaks = [
        (contrast.peak_z, contrast)
        for group in groups
        for contrast in group.contrasts
        if contrast.peak_z is not None
    ]
    if not peaks:
        return None
    value, contrast = max(peaks, key=lambda peak: abs(peak[0]))
    which = "highest combined z" if value >= 0 else "combined z with the largest absolute value"
    return Link(
        text=f"The {which} is {number(value)}, of {contrast.name}.",
        goal=contrast.anchor,
    )


def _of_models(plan: Plan) -> str:
    """Say in brief what is fitted to a run."""
    fitted = [run.source for run in plan.runs if isinstance(run.source, BoldRun)]
    if not fitted:
        return "Effect and variance maps of the runs were made beforehand."
    settings = plan.settings
    design = [] if plan.has_given_designs else _of_design(plan, settings)
    smoothing = f"{settings.smoothing_fwhm_mm:g} mm" if settings.smoothing_fwhm_mm else "no"
    parts = [*design, _NOISE[settings.noise_model], f"{smoothing} smoothing"]
    given = ", with its design matrix made beforehand" if plan.has_given_designs else ""
    return f"Each run has a model of its own{given}: {', '.join(parts)}."


def _of_design(plan: Plan, settings: AnalysisSettings) -> list[str]:
    """Say in brief what the designs hold."""
    if plan.model is not None:
        return [f"the design of the model file '{plan.model.name}'"]
    drift = {
        "cosine": f"cosine drift beyond {settings.high_pass_s:g} s",
        "none": "no drift",
    }.get(settings.drift_model, f"{settings.drift_model} drift")
    return [
        f"HRF {', '.join(plan.hrf_models)}",
        drift,
        f"confounds {setting_text('confounds', settings.confounds).replace(', ', ' and ')}",
    ]


def _of_combination(plan: Plan) -> str:
    """Say in brief what is combined, and how."""
    if plan.model is not None and plan.written_groups:
        return "Contrasts are combined as the nodes of the model say."
    together = [group for group in plan.written_groups if len(group.input_keys) > 1]
    if not together:
        alone = plan.written_groups and not isinstance(plan.runs[0].source, RunMaps)
        return "Nothing is combined" + (": a run alone is the result." if alone else ".")
    levels = {group.level for group in together}
    over = {
        frozenset({"session"}): "the runs of each session",
        frozenset({"subject"}): "all runs",
    }.get(frozenset(levels), "the runs of each session, and over all runs")
    (how, *others) = {_WEIGHTS[plan.combination(group)] for group in together}
    return f"Each contrast is combined over {over}" + ("." if others else f", {how}.")
