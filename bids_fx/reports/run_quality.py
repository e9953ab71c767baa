"""The quality of all runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_fx.derivatives.quality import read_quality
from bids_fx.inputs import RunMaps
from bids_fx.quality import BY_NAME, SIDES, Measure, breaks, unmeasured
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit
from bids_fx.reports.overview import run_names
from bids_fx.reports.page import QualityPart, Table
from bids_fx.reports.wording import MISSING, brief, brief_beside, count

#: The measures that are compared between runs, with limits or without, and their columns.
COLUMNS = {
    "censored_perc": "Censored scans (%)",
    "fd_mean": "Mean FD (mm)",
    "fd_max": "Largest FD (mm)",
    "tsnr_median": "Median tSNR",
    "rsquared_median": "Median R²",
    "residual_autocorrelation_lag1": "Autocorrelation of the residuals",
    "whitened_autocorrelation_lag1": "Autocorrelation after whitening",
    "whitened_outside_share": "Share beyond white noise's limits",
    "vif_max": "Largest VIF",
}
_ADVICE = {">": "Large values are bad.", "<": "Small values are bad."}


def quality_part(plan: Plan, out_dir: Path) -> QualityPart | None:
    """Return the main quality measures of all runs, and what they mean.

    Parameters
    ----------
    plan : Plan
        Its limits are those of ``--qc-fail``; a measure with a limit is always shown.
    out_dir : Path
        The output folder; runs whose measures are not there are shown as missing.

    Returns
    -------
    QualityPart or None
        None where no run was fitted.
    """
    names = run_names(plan)
    measures = {
        names[run.key]: read_quality(run, out_dir)
        for run in plan.runs
        if not isinstance(run.source, RunMaps) and run.key not in plan.replaced
    }
    if not measures:
        return None
    limits = plan.report.quality_limits
    shown = _shown(list(measures.values()), limits)
    broken: dict[str, str] = {}
    rows = []
    for run, values in measures.items():
        cells = [_cell(values, measure.name, limits) for measure in shown]
        broken |= {text: "bad" for text, is_bad in cells if is_bad}
        rows.append((run, *(text for text, _ in cells)))
    n_broken = sum(any(cell in broken for cell in row) for row in rows)
    told = _limits_text(limits, list(measures.values()), n_broken)
    return QualityPart(
        table=Table(
            caption=f"Main quality measures of each run. {told}",
            head=("Run", *(_title(measure) for measure in shown)),
            rows=tuple(rows),
            tones=broken | {MISSING: "bad"},
        ),
        legend=tuple((_title(measure), _meaning(measure)) for measure in shown),
    )


def _shown(runs: Sequence[Mapping[str, object]], limits: Sequence[QualityLimit]) -> list[Measure]:
    """Return the measures that are shown: those that any run has, and those with limits."""
    limited = [limit.measure for limit in limits]
    had = [name for name in COLUMNS if any(run.get(name) is not None for run in runs)]
    wanted = {*had, *limited}
    return [BY_NAME[name] for name in dict.fromkeys((*COLUMNS, *BY_NAME)) if name in wanted]


def _title(measure: Measure) -> str:
    """Return the heading of a column."""
    return COLUMNS.get(measure.name, f"{measure.title[:1].upper()}{measure.title[1:]}")


def _meaning(measure: Measure) -> str:
    """Say what a measure is, and what is bad."""
    advice = f" {_ADVICE[measure.bad]}" if measure.bad else ""
    return f"{measure.description}.{advice} In qc.tsv: {measure.name}."


def _cell(
    values: Mapping[str, object], name: str, limits: Sequence[QualityLimit]
) -> tuple[str, bool]:
    """Return a value for people, and whether it breaks a limit, which it then says."""
    if not values:
        return MISSING, False
    value = values.get(name)
    if not isinstance(value, int | float):
        return "n/a", False
    broken = [limit for limit in limits if limit.measure == name and breaks(limit, value)]
    sides = [f"{SIDES[limit.sign]} {brief(limit.value)}" for limit in broken]
    texts = [brief_beside(float(value), limit.value) for limit in broken]
    return ", ".join([max([brief(float(value)), *texts], key=len), *sides]), bool(broken)


def _limits_text(
    limits: Sequence[QualityLimit], runs: Sequence[Mapping[str, object]], n_broken: int
) -> str:
    """Say which limits there are, which of them no run could be held to, and how many break."""
    if not limits:
        return "No limit was set for them (--qc-fail)."
    idle = [limit for limit in limits if all(unmeasured(values, [limit]) for values in runs)]
    told = []
    if applied := [limit for limit in limits if limit not in idle]:
        breaking = f"{count(n_broken, 'run')} {'breaks' if n_broken == 1 else 'break'} one"
        told.append(f"Limits: a run fails with {_listed(applied)}; {breaking}.")
    if idle:
        told.append(f"Not applied, as no run has a value of it: {_listed(idle)}.")
    return " ".join(told)


def _listed(limits: Sequence[QualityLimit]) -> str:
    return ", ".join(
        f"{limit.measure} {SIDES[limit.sign]} {brief(limit.value)}" for limit in limits
    )
