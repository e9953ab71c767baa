"""Which fragments of the methods text are true of the plans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from bids_fx.boilerplate import escape, strategy_texts
from bids_fx.inputs import BoldRun
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.settings import AnalysisSettings

#: Noise models whose parameters are estimated by restricted maximum likelihood.
_BY_LIKELIHOOD = {"ar1", "arma11"}


def choose_fragments(plans: Sequence[Plan]) -> list[str]:
    """Return the names of the fragments that are true of the plans, but for the software's.

    Parameters
    ----------
    plans : sequence of Plan
        One or more participants of one call, so of the same settings.

    Returns
    -------
    list of str
        Their files' names without ending; in any order, as the names tell it.
    """
    runs = [run for plan in plans for run in plan.runs]
    if not runs:
        return ["10-no-runs"]
    shown = f"53-figures-{plans[0].report.threshold.correction}"
    results = [*_combination_fragments(plans), *_test_fragments(runs), "52-tails", shown]
    results += ["54-limits"] if plans[0].report.quality_limits else []
    fitted = [run for run in runs if isinstance(run.source, BoldRun)]
    if not fitted:
        return ["10-run-maps", *_contrast_fragments(runs), *results]
    settings = plans[0].settings
    return [
        *("10-inputs", "12-acquisition", "20-model"),
        *(["20-model-file"] if settings.model_name else []),
        *_data_fragments(fitted),
        *(["14-absent"] if any(plan.absent_runs for plan in plans) else []),
        *_design_fragments(fitted, settings),
        "27-smoothing" if settings.smoothing_fwhm_mm else "27-smoothing-none",
        f"28-scaling-{settings.signal_scaling}",
        *_noise_fragments(fitted, settings),
        *_contrast_fragments(runs),
        *_estimability_fragments(fitted, settings),
        *results,
    ]


def _data_fragments(fitted: Sequence[RunPlan]) -> list[str]:
    """Return the fragments about the input."""
    uris = [uri for run in fitted for uri in run.source.uris.values()]
    by_fmriprep = any(uri.casefold().startswith("bids:fmriprep") for uri in uris)
    names = ["11-preprocessing-fmriprep" if by_fmriprep else "11-preprocessing-other"]
    is_given = _has_given_design(fitted)
    if not is_given and any(source.slice_time > 0 for source in bold_sources(fitted)):
        names.append("13-slice-time")
    return names


def _design_fragments(fitted: Sequence[RunPlan], settings: AnalysisSettings) -> list[str]:
    """Return the fragments about the design matrices."""
    names = ["21-conditions"] if condition_names(fitted) else []
    names += ["23-unconvolved"] if unconvolved_names(fitted) else []
    names += ["25-scans-censored"] if _has_censored(fitted) else []
    if _has_given_design(fitted):
        return [*names, "21-design-file"]
    names += _hrf_fragments(hrf_models(fitted, settings))
    events = [
        told for source in bold_sources(fitted) for told in source.events_told if told.number
    ]
    if any(told.shortest_s == 0 for told in events):
        names.append("23-impulses")
    if any(told.is_modulated for told in events):
        names.append("23-modulation-model" if settings.model_name else "23-modulation")
    names.append("24-confounds" if confound_phrases(fitted, settings) else "24-confounds-none")
    names += ["24-confounds-lacking"] if runs_lacking_confounds(fitted) else []
    names += ["25-displacement"] if settings.fd_threshold_mm is not None else []
    names += ["25-dummies"] if settings.dummy_scans else []
    is_own = settings.drift_model == "none" and settings.model_name and _has_cosines(fitted)
    drift = "columns" if is_own else settings.drift_model.partition(":")[0]
    return [*names, f"26-drift-{drift}"]


def _hrf_fragments(models: Iterable[str]) -> list[str]:
    """Return the fragments about the convolution of events."""
    names = []
    extras = set()
    for model in models:
        family, *derivatives = model.split(" + ")
        names.append(f"22-hrf-{family.partition(':')[0]}")
        extras.add("dispersion" if "dispersion" in derivatives else (derivatives or [""])[0])
    names += ["22-hrf-several"] if len(names) > 1 else []
    return [*dict.fromkeys(names), *(f"23-{extra}" for extra in sorted(extras) if extra)]


def hrf_models(runs: Iterable[RunPlan], settings: AnalysisSettings) -> list[str]:
    """Return the HRF models of the conditions of all designs, sorted."""
    found: set[str | None] = set()
    for run in runs:
        source = run.source
        if isinstance(source, BoldRun) and source.responses is not None:
            found.update(source.hrf_of.values())
        else:
            found.update(run.hrf_models(settings))
    return sorted(name for name in found if name is not None)


def _noise_fragments(fitted: Sequence[RunPlan], settings: AnalysisSettings) -> list[str]:
    """Return the fragments about the noise, and the degrees of freedom that it leaves."""
    names = [f"29-noise-{settings.noise_model}"]
    by_likelihood = settings.noise_model in _BY_LIKELIHOOD
    if _has_censored(fitted) and by_likelihood:
        names.append("29-noise-gaps-likelihood")
    elif _has_censored(fitted) and settings.noise_model == "ar1-yw":
        names.append("29-noise-gaps-yule-walker")
    if not by_likelihood:
        return [*names, "29-noise-residuals"]
    names += ["30-f-small-samples"] if "F" in _tests(fitted) else []
    return [*names, "29-noise-small-samples"]


def _contrast_fragments(runs: Sequence[RunPlan]) -> list[str]:
    """Return the fragments about what was asked."""
    return ["30-contrasts", *(["30-f-contrasts"] if "F" in _tests(runs) else [])]


def _estimability_fragments(fitted: Sequence[RunPlan], settings: AnalysisSettings) -> list[str]:
    """Return the fragments about what the designs can tell."""
    names = ["30-inflation"] if largest_inflation(fitted) is not None else []
    if settings.missing == "error":
        return [*names, "31-missing-error"]
    is_missing = any(item.reason is not None for run in fitted for item in run.contrasts)
    return [*names, *(["31-missing"] if is_missing else [])]


def _combination_fragments(plans: Sequence[Plan]) -> list[str]:
    """Return the fragments about the combination of runs."""
    made = list(combined_contrasts(plans))
    means = {
        (item.contrast.test, how)
        for how, _, item in made
        if len(item.input_keys) > max(1, len(item.cells))
    }
    sums = ["49-sums"] if any(not item.is_mean for _, _, item in made) else []
    if not means:
        return sums or ["40-combination-none"]
    tests, ways = {test for test, _ in means}, {how for _, how in means}
    names = ["40-combination", "46-influence", *sums]
    names += ["40-combination-both"] if len(ways) > 1 else []
    for how in ways:
        names += [f"41-effects-{how}"] if ("t", how) in means else []
        names += [f"42-rows-{how}"] if ("F", how) in means else []
    names += ["45-heterogeneity"] if "t" in tests else []
    names += ["43-rows-reference"] if "F" in tests else []
    names += ["44-few-dof"] if "weighted" in ways else []
    names += ["48-chained"] if any(group.input_noun != "run" for _, group, _ in made) else []
    return [*names, "47-subset"] if plans[0].settings.combine_subset else names


def combined_contrasts(plans: Sequence[Plan]) -> Iterator[tuple[str, GroupPlan, GroupContrast]]:
    """Iterate over the contrasts that are combined: how, of which group, and which."""
    for plan in plans:
        for group in plan.written_groups:
            yield from ((plan.combination(group), group, item) for item in group.estimable)


def _test_fragments(runs: Sequence[RunPlan]) -> list[str]:
    """Return the fragments about the z and p values of each kind of test."""
    names = {"t": "50-t-values", "F": "51-f-values"}
    return [name for test, name in names.items() if test in _tests(runs)]


def _tests(runs: Iterable[RunPlan]) -> set[Literal["t", "F"]]:
    """Return the tests of all contrasts."""
    return {item.contrast.test for run in runs for item in run.contrasts}


def _has_given_design(fitted: Iterable[RunPlan]) -> bool:
    """Tell whether the designs were made beforehand; the option is for all runs or none."""
    return any(source.design_file is not None for source in bold_sources(fitted))


def _has_censored(fitted: Iterable[RunPlan]) -> bool:
    """Tell whether any scan is left out of the fit."""
    return any(run.confounds.censored for run in fitted)


def _has_cosines(fitted: Iterable[RunPlan]) -> bool:
    """Tell whether the confounds have columns of a drift."""
    return any(name.startswith("cosine") for run in fitted for name in run.confounds.columns)


def runs_lacking_confounds(runs: Iterable[RunPlan]) -> list[RunPlan]:
    """Return the runs whose tables do not have all confounds that were asked for."""
    return [run for run in runs if run.confounds.missing]


def bold_sources(runs: Iterable[RunPlan]) -> Iterable[BoldRun]:
    """Iterate over the sources of the runs that are fitted."""
    return (run.source for run in runs if isinstance(run.source, BoldRun))


def condition_names(runs: Iterable[RunPlan]) -> list[str]:
    """Return the conditions of all designs, sorted, but for those that a model enters as is."""
    runs = list(runs)
    columns = [column for run in runs for column in run.design_columns]
    names = {column.condition for column in columns if column.condition is not None}
    return sorted(names.difference(unconvolved_names(runs)))


def unconvolved_names(runs: Iterable[RunPlan]) -> list[str]:
    """Return the conditions of a model that enter a design as they are, sorted."""
    pairs = (pair for source in bold_sources(runs) for pair in source.hrf_of.items())
    return sorted({name for name, model in pairs if model is None})


def responses_told(runs: Iterable[RunPlan]) -> list[str]:
    """Return the conditions of a model with their HRF models, sorted."""
    pairs = (pair for source in bold_sources(runs) for pair in source.hrf_of.items())
    return sorted({f"{escape(name)} {model}" for name, model in pairs if model is not None})


def confound_phrases(runs: Iterable[RunPlan], settings: AnalysisSettings) -> list[str]:
    """Return what each confound strategy or pattern is, with citations.

    A model file asks for columns by their names, too.
    """
    strategies = strategy_texts()
    phrases = []
    patterns = []
    runs = list(runs)
    by_model = [name for run in runs for name in run.confounds.by_request if settings.model_name]
    for request in dict.fromkeys((*settings.confounds, *by_model)):
        if request not in strategies:
            patterns.append(escape(request))
        # A threshold from the command line replaces the strategy's own (25-displacement).
        elif not (strategies[request].replaced and settings.fd_threshold_mm is not None):
            phrases.append(strategies[request].phrase)
    if patterns:
        phrases.append(f"the columns {listed(patterns)} of the confounds tables")
    if made := sorted({escape(name) for run in runs for name in run.confounds.made}):
        phrases.append(f"what its instructions made of the confounds tables ({listed(made)})")
    return phrases


def largest_inflation(runs: Iterable[RunPlan]) -> float | None:
    """Return the largest variance inflation factor of all rows; None where there is none."""
    factors = (factor for run in runs for item in run.contrasts for factor in item.inflation)
    return max(filter(math.isfinite, factors), default=None)


def listed(items: Iterable[str]) -> str:
    """Return items as they stand in a sentence.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    *head, last = list(items) or [""]
    return f"{', '.join(head)} and {last}" if head else last
