"""The methods text: fragments of ``boilerplate/``, chosen and filled from the plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version

from bids_fx import __version__
from bids_fx.boilerplate import bibliography, cited_keys, escape, fragment
from bids_fx.fragments import (
    bold_sources,
    choose_fragments,
    combined_contrasts,
    condition_names,
    confound_phrases,
    hrf_models,
    largest_inflation,
    listed,
    responses_told,
    runs_lacking_confounds,
    unconvolved_names,
)
from bids_fx.quality import BY_NAME
from bids_fx.records import MethodsText, Plan, RunPlan
from bids_fx.report_settings import QualityLimit, ReportSettings
from bids_fx.settings import (
    AnalysisSettings,
    chosen_settings,
    idle_settings,
    setting_text,
)
from bids_fx.steps import Step

__all__ = [
    "MethodsContext",
    "MethodsText",
    "citation_files",
    "render_methods",
    "software_versions",
]

#: Packages whose versions matter, in the order in which they are shown.
PACKAGES = ("nipype", "nibabel", "numpy", "scipy", "pybids", "nilearn", "matplotlib", "isal")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodsContext:
    """What the placeholders of the fragments stand for; each is ready to stand in a sentence.

    Parameters
    ----------
    participants, runs, tasks, spaces : str
        The data, with their numbers and names; `spaces` begins with a space or is empty.
    scans, repetition_time, slice_time : str
        Numbers, or their range over the runs; seconds.
    model_name, conditions, unconvolved, contrasts, confounds : str
        Names, escaped for Markdown.
    responses : str
        Conditions with their HRF models.
    fir_delays, dummy_scans : str
        Number and noun.
    fd_threshold_mm, high_pass_s, smoothing_fwhm_mm : str
        Settings, in their units.
    polynomial_order, combined_over : str
        Additions to a sentence; may be empty.
    sums, plain_nodes, weighted_nodes : str
        Contrasts between means with their formulas; nodes of a model by their combination.
    n_absent, n_lacking_confounds, n_censored, n_scans, n_not_estimable, n_run_contrasts : str
        Counts over all runs.
    inflation : str
        The largest variance inflation factor; empty where there is none.
    error_rate : str
        What the report's figures keep to.
    limits : str
        Those of the runs' quality; may be empty.
    chosen, defaults : str
        Settings in force and their values.
    bids_fx_version, nipype_version, numpy_version, scipy_version : str
        Versions of software.
    nibabel_version, matplotlib_version : str
        The same.
    """

    participants: str
    runs: str
    tasks: str
    spaces: str
    scans: str
    repetition_time: str
    slice_time: str
    model_name: str
    conditions: str
    unconvolved: str
    responses: str
    contrasts: str
    confounds: str
    fir_delays: str
    dummy_scans: str
    fd_threshold_mm: str
    high_pass_s: str
    smoothing_fwhm_mm: str
    polynomial_order: str
    combined_over: str
    sums: str
    plain_nodes: str
    weighted_nodes: str
    n_absent: str
    n_lacking_confounds: str
    n_censored: str
    n_scans: str
    n_not_estimable: str
    n_run_contrasts: str
    inflation: str
    error_rate: str
    limits: str
    chosen: str
    defaults: str
    bids_fx_version: str
    nipype_version: str
    numpy_version: str
    scipy_version: str
    nibabel_version: str
    matplotlib_version: str


def software_versions() -> dict[str, str]:
    """Return the versions of this program and of what its numbers depend on."""
    import platform

    versions = {"bids_fx": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def render_methods(plans: Sequence[Plan], versions: Mapping[str, str]) -> MethodsText:
    """Describe what the plans do.

    Parameters
    ----------
    plans : sequence of Plan
        One or more participants of one call, so of the same settings; none gives a short text.
    versions : mapping of str to str
        By package, as `software_versions` returns them.

    Returns
    -------
    MethodsText
        Paragraphs of Markdown, the references that they cite and their BibTeX entries.
    """
    context = asdict(_make_context(plans, versions))
    paragraphs: dict[str, list[str]] = {}
    for name in sorted([*choose_fragments(plans), *_software_fragments(plans)]):
        # The first digit is the paragraph, the second the place in it.
        paragraphs.setdefault(name[0], []).append(fragment(name).format_map(context))
    markdown = "\n\n".join(" ".join(sentences) for sentences in paragraphs.values()) + "\n"
    entries = bibliography()
    keys = list(dict.fromkeys(cited_keys(markdown)))
    return MethodsText(
        markdown=markdown,
        references=tuple((key, entries[key].text) for key in keys),
        bibtex="\n\n".join(entries[key].bibtex for key in sorted(keys)) + "\n" if keys else "",
    )


def citation_files(text: MethodsText) -> dict[str, str]:
    """Return the files of the folder ``logs`` by name: the text with its references, the .bib."""
    lines = [f"- {key}: {reference}" for key, reference in text.references]
    references = "\n".join(["## References", "", *lines]) + "\n" if lines else ""
    return {
        "CITATION.md": f"{_HEADING}\n{text.markdown}\n{references}",
        "CITATION.bib": text.bibtex,
    }


_HEADING = """\
# Methods

This text was written by bids_fx from what it did. It is in the public domain (CC0): please copy
it into your paper, changed or not.
"""


def _software_fragments(plans: Sequence[Plan]) -> list[str]:
    """Return the fragments about programs and settings; none where nothing was done with them."""
    if not any(plan.runs for plan in plans):
        return []
    chosen, _ = _settings_texts(plans)
    return ["60-software", "62-defaults", *(["61-chosen"] if chosen else [])]


def _make_context(plans: Sequence[Plan], versions: Mapping[str, str]) -> MethodsContext:
    """Gather what the placeholders stand for."""
    settings = _common_settings(plans)
    runs = [run for plan in plans for run in plan.runs]
    contrasts = [item for run in runs for item in run.contrasts]
    sources = list(bold_sources(runs))
    _, _, order = settings.drift_model.partition(":")
    chosen, defaults = _settings_texts(plans)
    inflation = largest_inflation(runs)
    return MethodsContext(
        participants=_counted(len(plans), "participant"),
        runs=_counted(len(runs), "run"),
        tasks=_tasks(runs),
        spaces=_spaces(runs),
        scans=_range(source.n_scans for source in sources),
        repetition_time=_range(source.repetition_time for source in sources),
        slice_time=_range(source.slice_time for source in sources),
        model_name=escape(settings.model_name),
        conditions=listed(map(escape, condition_names(runs))),
        unconvolved=listed(map(escape, unconvolved_names(runs))),
        responses=listed(responses_told(runs)),
        contrasts=_contrast_names(plans),
        confounds=listed(confound_phrases(runs, settings)),
        fir_delays=_fir_delays(hrf_models(runs, settings)),
        dummy_scans="scan" if settings.dummy_scans == 1 else f"{settings.dummy_scans} scans",
        fd_threshold_mm=_plain(settings.fd_threshold_mm),
        high_pass_s=_plain(settings.high_pass_s),
        smoothing_fwhm_mm=_plain(settings.smoothing_fwhm_mm),
        polynomial_order=f" up to order {order}" if order else "",
        combined_over=_combined_over(runs, settings, plans[0].steps if plans else None),
        sums=listed(
            dict.fromkeys(
                f"{escape(item.contrast.name)} ({escape(item.contrast.formula)})"
                for _, _, item in combined_contrasts(plans)
                if not item.is_mean
            )
        ),
        plain_nodes=_nodes(plans, "unweighted"),
        weighted_nodes=_nodes(plans, "weighted"),
        n_absent=_counted(sum(len(plan.absent_runs) for plan in plans), "run"),
        n_lacking_confounds=_counted(len(runs_lacking_confounds(runs)), "run"),
        n_censored=str(sum(len(run.confounds.censored) for run in runs)),
        n_scans=str(sum(source.n_scans for source in sources)),
        n_not_estimable=str(sum(item.reason is not None for item in contrasts)),
        n_run_contrasts=str(len(contrasts)),
        inflation="" if inflation is None else f"{inflation:.2f}",
        error_rate=_report_settings(plans).threshold.rate_told,
        limits=listed(_limit_told(limit) for limit in _report_settings(plans).quality_limits),
        chosen=chosen,
        defaults=defaults,
        bids_fx_version=versions.get("bids_fx", __version__),
        **{
            f"{name}_version": versions.get(name, "of unknown version")
            for name in ("nipype", "numpy", "scipy", "nibabel", "matplotlib")
        },
    )


def _common_settings(plans: Sequence[Plan]) -> AnalysisSettings:
    """Return the settings of all plans; the defaults where there is none."""
    return plans[0].settings if plans else AnalysisSettings()


def _report_settings(plans: Sequence[Plan]) -> ReportSettings:
    """Return the settings of the reports of all plans."""
    return plans[0].report if plans else ReportSettings()


def _limit_told(limit: QualityLimit) -> str:
    """Return a limit of the quality as it stands in a sentence."""
    measure = BY_NAME[limit.measure]
    units = "" if measure.units == "ratio" else f" ({measure.units})"
    return (
        f"{measure.title}{units} was {'above' if limit.sign == '>' else 'below'} {limit.value:g}"
    )


def _settings_texts(plans: Sequence[Plan]) -> tuple[str, str]:
    """Return the settings that were chosen and are in force, and the defaults in force."""
    settings = _common_settings(plans)
    first = plans[0] if plans else Plan(participant="", settings=settings)
    idle = idle_settings(
        settings,
        given_designs=first.has_given_designs,
        given_maps=first.has_given_maps,
        hrf_models=[name for plan in plans for name in plan.hrf_models],
    )
    chosen = {*chosen_settings(settings), *chosen_settings(first.report)}
    texts = {
        name: f"`{name}` = {escape(setting_text(name, getattr(record, name)))}"
        for record in (settings, first.report)
        for name in (item.name for item in fields(record))
        if name not in idle
    }
    return (
        "; ".join(text for name, text in texts.items() if name in chosen),
        "; ".join(text for name, text in texts.items() if name not in chosen),
    )


def _contrast_names(plans: Sequence[Plan]) -> str:
    """Return each contrast's name, and its formula where that says more; but for sums of means."""
    items = [item for plan in plans for run in plan.runs for item in run.contrasts]
    contrasts = {item.contrast.label: item.contrast for item in items}
    contrasts |= {
        item.contrast.label: item.contrast
        for _, _, item in combined_contrasts(plans)
        if item.is_mean and item.contrast.label not in contrasts
    }
    return listed(
        escape(item.name)
        + (f" ({escape(item.formula)})" if item.formula not in {"", item.name} else "")
        for item in contrasts.values()
    )


def _tasks(runs: Iterable[RunPlan]) -> str:
    """Return the tasks of the runs."""
    tasks = sorted({run.entities["task"] for run in runs if "task" in run.entities})
    return f"task{'' if len(tasks) == 1 else 's'} {listed(tasks)}" if tasks else "one task"


def _spaces(runs: Iterable[RunPlan]) -> str:
    """Return the spaces and resolutions of the runs, as an addition to a sentence."""
    found = set()
    for run in runs:
        if "space" in run.entities:
            res = f" (resolution {run.entities['res']})" if "res" in run.entities else ""
            found.add(run.entities["space"] + res)
    return f" in space {listed(sorted(found))}" if found else ""


def _nodes(plans: Sequence[Plan], combination: str) -> str:
    """Return the nodes of a model that combine in one way."""
    found = (group.step for how, group, _ in combined_contrasts(plans) if how == combination)
    return listed(escape(f"node {name}") for name in sorted(set(found)))


def _combined_over(
    runs: Sequence[RunPlan], settings: AnalysisSettings, steps: Sequence[Step] | None
) -> str:
    """Return over which further entities is combined, as an addition to a sentence."""
    present = {key for run in runs for key in run.entities}
    keys = dict.fromkeys(settings.combine_over)
    if steps is not None:
        keys = dict.fromkeys(key for step in steps for key in step.over)
    extra = [key for key in keys if key not in {"run", "ses"} and key in present]
    within = steps is None or any(step.level == "session" for step in steps)
    words = []
    if "ses" in present:
        over = ["within sessions"] if within else []
        over += ["over sessions"] if "ses" in keys else []
        words.append(" and ".join(over))
    if extra:
        words.append(f"over {listed(extra)}")
    words = [word for word in words if word]
    return f" ({', '.join(words)})" if words else ""


def _fir_delays(models: Iterable[str]) -> str:
    """Return the number of delays of a FIR model, if one number tells it."""
    numbers = {model.partition(":")[2] for model in models if model.startswith("fir")}
    number = numbers.pop() if len(numbers) == 1 else ""
    if "," in number:
        number = str(len([delay for delay in number.split(",") if delay]))
    return _counted(int(number), "delay") if number else "delays"


def _counted(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _range(values: Iterable[float]) -> str:
    """Return the smallest and largest value, or the only one."""
    found = sorted(set(values))
    if not found:
        return ""
    low, high = _plain(found[0]), _plain(found[-1])
    return low if low == high else f"{low} to {high}"


def _plain(value: float | None) -> str:
    """Return a number without needless digits."""
    return "" if value is None else f"{value:g}"
