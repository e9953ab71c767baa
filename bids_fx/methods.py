"""The methods text: fragments of ``boilerplate/``, chosen and filled from the plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from bids_fx import __version__
from bids_fx.boilerplate import bibliography, cited_keys, escape, fragment, strategy_texts
from bids_fx.inputs import BoldRun
from bids_fx.records import MethodsText, Plan, RunPlan
from bids_fx.settings import (
    Z_THRESHOLD,
    AnalysisSettings,
    chosen_settings,
    idle_settings,
    setting_text,
)

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
    conditions, contrasts, confounds : str
        Names, escaped for Markdown.
    fir_delays, dummy_scans : str
        Number and noun.
    fd_threshold_mm, high_pass_s, smoothing_fwhm_mm : str
        Settings, in their units.
    polynomial_order, combined_over : str
        Additions to a sentence; may be empty.
    n_censored, n_scans, n_not_estimable, n_run_contrasts : str
        Counts over all runs.
    z_threshold : str
        Of the report's figures.
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
    conditions: str
    contrasts: str
    confounds: str
    fir_delays: str
    dummy_scans: str
    fd_threshold_mm: str
    high_pass_s: str
    smoothing_fwhm_mm: str
    polynomial_order: str
    combined_over: str
    n_censored: str
    n_scans: str
    n_not_estimable: str
    n_run_contrasts: str
    z_threshold: str
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
    for name in sorted(_choose_fragments(plans)):
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


def _choose_fragments(plans: Sequence[Plan]) -> list[str]:
    """Return the names of the fragments that are true of the plans."""
    runs = [run for plan in plans for run in plan.runs]
    settings = _common_settings(plans)
    chosen, _ = _settings_texts(plans)
    software = ["50-software", "52-defaults", *(["51-chosen"] if chosen else [])]
    if not runs:
        return ["10-no-runs", *software]
    results = [*_combination_fragments(plans), "40-tails", "41-figures", *software]
    fitted = [run for run in runs if isinstance(run.source, BoldRun)]
    if not fitted:
        return ["10-run-maps", "30-contrasts", *results]
    missing = []
    if settings.missing == "error":
        missing = ["31-missing-error"]
    elif any(item.reason for run in fitted for item in run.contrasts):
        missing = ["31-missing"]
    return [
        *("10-inputs", "12-acquisition", "20-model", "30-contrasts"),
        *_data_fragments(fitted),
        *_design_fragments(fitted, settings),
        "27-smoothing" if settings.smoothing_fwhm_mm else "27-smoothing-none",
        f"28-scaling-{settings.signal_scaling}",
        f"29-noise-{settings.noise_model}",
        *missing,
        *results,
    ]


def _data_fragments(fitted: Sequence[RunPlan]) -> list[str]:
    """Return the fragments about the input."""
    uris = [uri for run in fitted for uri in run.source.uris.values()]
    by_fmriprep = any(uri.casefold().startswith("bids:fmriprep") for uri in uris)
    names = ["11-preprocessing-fmriprep" if by_fmriprep else "11-preprocessing-other"]
    is_given = _has_given_design(fitted)
    if not is_given and any(source.slice_time > 0 for source in _bold(fitted)):
        names.append("13-slice-time")
    return names


def _design_fragments(fitted: Sequence[RunPlan], settings: AnalysisSettings) -> list[str]:
    """Return the fragments about the design matrices."""
    names = ["21-conditions"] if _condition_names(fitted) else []
    if _has_given_design(fitted):
        return [*names, "21-design-file"]
    basis, *derivatives = settings.hrf_model.replace(":", " + ").split(" + ")
    names.append(f"22-hrf-{basis}")
    if "dispersion" in derivatives:
        names.append("23-dispersion")
    elif "derivative" in derivatives:
        names.append("23-derivative")
    conditions = [condition for source in _bold(fitted) for condition in source.conditions]
    if any((condition.durations == 0).any() for condition in conditions):
        names.append("23-impulses")
    if any((condition.amplitudes != 1).any() for condition in conditions):
        names.append("23-modulation")
    names.append("24-confounds" if _confound_phrases(settings) else "24-confounds-none")
    names += ["25-displacement"] if settings.fd_threshold_mm is not None else []
    names += ["25-dummies"] if settings.dummy_scans else []
    names += ["25-censored"] if any(run.confounds.censored for run in fitted) else []
    return [*names, f"26-drift-{settings.drift_model.partition(':')[0]}"]


def _combination_fragments(plans: Sequence[Plan]) -> list[str]:
    """Return the fragments about the combination of runs."""
    sizes = [
        len(item.run_keys)
        for plan in plans
        for group in plan.written_groups
        for item in group.estimable
    ]
    if max(sizes, default=0) < 2:
        return ["32-combination-none"]
    settings = plans[0].settings
    names = [f"32-combination-{settings.combination}", "34-heterogeneity"]
    return [*names, "33-subset"] if settings.combine_subset else names


def _make_context(plans: Sequence[Plan], versions: Mapping[str, str]) -> MethodsContext:
    """Gather what the placeholders stand for."""
    settings = _common_settings(plans)
    runs = [run for plan in plans for run in plan.runs]
    contrasts = [item for run in runs for item in run.contrasts]
    sources = list(_bold(runs))
    _, _, number = settings.hrf_model.partition(":")
    _, _, order = settings.drift_model.partition(":")
    chosen, defaults = _settings_texts(plans)
    return MethodsContext(
        participants=_counted(len(plans), "participant"),
        runs=_counted(len(runs), "run"),
        tasks=_tasks(runs),
        spaces=_spaces(runs),
        scans=_range(source.n_scans for source in sources),
        repetition_time=_range(source.repetition_time for source in sources),
        slice_time=_range(source.slice_time for source in sources),
        conditions=_listed(map(escape, _condition_names(runs))),
        contrasts=_contrast_names(runs),
        confounds=_listed(_confound_phrases(settings)),
        fir_delays=_counted(int(number), "delay") if number else "delays",
        dummy_scans="scan" if settings.dummy_scans == 1 else f"{settings.dummy_scans} scans",
        fd_threshold_mm=_plain(settings.fd_threshold_mm),
        high_pass_s=_plain(settings.high_pass_s),
        smoothing_fwhm_mm=_plain(settings.smoothing_fwhm_mm),
        polynomial_order=f" up to order {order}" if order else "",
        combined_over=_combined_over(runs, settings),
        n_censored=str(sum(len(run.confounds.censored) for run in runs)),
        n_scans=str(sum(source.n_scans for source in sources)),
        n_not_estimable=str(sum(item.reason is not None for item in contrasts)),
        n_run_contrasts=str(len(contrasts)),
        z_threshold=_plain(Z_THRESHOLD),
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


def _settings_texts(plans: Sequence[Plan]) -> tuple[str, str]:
    """Return the settings that were chosen and are in force, and the defaults in force."""
    settings = _common_settings(plans)
    first = plans[0] if plans else Plan(participant="", settings=settings)
    idle = idle_settings(
        settings, given_designs=first.has_given_designs, given_maps=first.has_given_maps
    )
    chosen = chosen_settings(settings)
    texts = {
        name: f"`{name}` = {escape(setting_text(name, getattr(settings, name)))}"
        for name in settings.to_json()
        if name not in idle
    }
    return (
        "; ".join(text for name, text in texts.items() if name in chosen),
        "; ".join(text for name, text in texts.items() if name not in chosen),
    )


def _bold(runs: Iterable[RunPlan]) -> Iterable[BoldRun]:
    """Iterate over the sources of the runs that are fitted."""
    return (run.source for run in runs if isinstance(run.source, BoldRun))


def _has_given_design(fitted: Iterable[RunPlan]) -> bool:
    """Tell whether the designs were made beforehand; the option is for all runs or none."""
    return any(source.design_file is not None for source in _bold(fitted))


def _condition_names(runs: Iterable[RunPlan]) -> list[str]:
    """Return the conditions of all designs, sorted."""
    columns = [column for run in runs if run.design is not None for column in run.design.columns]
    return sorted({column.condition for column in columns if column.condition is not None})


def _contrast_names(runs: Iterable[RunPlan]) -> str:
    """Return each contrast's name, and its formula where that says more."""
    contrasts = {item.contrast.label: item.contrast for run in runs for item in run.contrasts}
    return _listed(
        escape(item.name)
        + (f" ({escape(item.formula)})" if item.formula not in {"", item.name} else "")
        for item in contrasts.values()
    )


def _confound_phrases(settings: AnalysisSettings) -> list[str]:
    """Return what each confound strategy or pattern is, with citations."""
    strategies = strategy_texts()
    phrases = []
    patterns = []
    for request in settings.confounds:
        if request not in strategies:
            patterns.append(escape(request))
        # A threshold from the command line replaces the strategy's own (25-displacement).
        elif not (strategies[request].replaced and settings.fd_threshold_mm is not None):
            phrases.append(strategies[request].phrase)
    if patterns:
        phrases.append(f"the columns {_listed(patterns)} of the confounds tables")
    return phrases


def _tasks(runs: Iterable[RunPlan]) -> str:
    """Return the tasks of the runs."""
    tasks = sorted({run.entities["task"] for run in runs if "task" in run.entities})
    return f"task{'' if len(tasks) == 1 else 's'} {_listed(tasks)}" if tasks else "one task"


def _spaces(runs: Iterable[RunPlan]) -> str:
    """Return the spaces and resolutions of the runs, as an addition to a sentence."""
    found = set()
    for run in runs:
        if "space" in run.entities:
            res = f" (resolution {run.entities['res']})" if "res" in run.entities else ""
            found.add(run.entities["space"] + res)
    return f" in space {_listed(sorted(found))}" if found else ""


def _combined_over(runs: Sequence[RunPlan], settings: AnalysisSettings) -> str:
    """Return over which further entities is combined, as an addition to a sentence."""
    present = {key for run in runs for key in run.entities}
    extra = [key for key in settings.combine_over if key not in {"run", "ses"} and key in present]
    words = []
    if "ses" in present:
        over = "ses" in settings.combine_over
        words.append("within sessions and over sessions" if over else "within sessions")
    if extra:
        words.append(f"over {_listed(extra)}")
    return f" ({', '.join(words)})" if words else ""


def _counted(number: int, noun: str) -> str:
    """Return a number of things."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(items: Iterable[str]) -> str:
    """Return items as they stand in a sentence.

    Examples
    --------
    >>> _listed(["a"]), _listed(["a", "b"]), _listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *head, last = list(items) or [""]
    return f"{', '.join(head)} and {last}" if head else last


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
