"""What the JSON files beside the outputs say: meaning, units, model, sources and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from bids_fx.derivatives import paths
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.model import Contrast
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunContrast, RunPlan
from bids_fx.settings import AnalysisSettings

Json = dict[str, object]

#: What each ``stat-`` label means, for `Description`.
STAT_MEANING = {
    "effect": "Effect",
    "variance": "Sampling variance of the effect",
    "t": "t statistic",
    "z": "z value with the tail probability of t, computed in log space",
    "p": "p value, one-sided (upper tail)",
    "logp": "-log10 of the one-sided p value",
    "dof": "Degrees of freedom of t",
    "nruns": "Number of runs that enter the voxel",
    "q": "Cochran's Q of the runs' effects",
    "isq": "I squared: share of the runs' variation beyond sampling error, in percent",
    "tau2": "Variance of the effect between runs (DerSimonian-Laird)",
    "rsquared": "Share of the variance beyond drift and intercept that the model explains",
    "sigmasq": "Marginal residual variance",
    "ar1": "First-order autocorrelation of the residuals",
    "tsnr": "Temporal signal-to-noise ratio: mean over the standard deviation of the residuals",
}

_EFFECT_UNITS = {
    "psc": "percent signal change",
    "grand-mean": "percent of the mask's mean signal",
    "none": "units of the BOLD image",
}
_SQUARED = {"variance", "sigmasq", "tau2"}
_WITHOUT_UNITS = {"t", "z", "p", "logp", "dof", "nruns", "q", "rsquared", "ar1", "tsnr"}

#: NIfTI intents of the maps that have one.
_INTENTS = {"z": "z score", "p": "p value", "logp": "log10 p value", "t": "t test"}


def units(stat: str, settings: AnalysisSettings, effect: str | None = None) -> str:
    """Return the units of a map; `effect` says those of the effect if they are not the settings'.

    Examples
    --------
    >>> units("variance", AnalysisSettings())
    '(percent signal change)^2'
    """
    effect = effect or _EFFECT_UNITS[settings.signal_scaling]
    if stat in _WITHOUT_UNITS:
        return "arbitrary" if stat not in {"nruns", "dof"} else "count"
    if stat == "isq":
        return "percent"
    return f"({effect})^2" if stat in _SQUARED else effect


def intent(stat: str, dof: float | None) -> tuple[str, tuple[float, ...]]:
    """Return the NIfTI intent of a map; t states its dof where they are the same everywhere."""
    if stat == "t":
        return ("t test", (dof,)) if dof is not None else ("none", ())
    return _INTENTS.get(stat, "none"), ()


def run_model(run: RunPlan, settings: AnalysisSettings) -> Json:
    """Return `StatisticalModel`: all that a reader needs to fit the run's model again."""
    source = run.source
    if isinstance(source, RunMaps):
        return {}
    return {
        "NoiseModel": settings.noise_model,
        "HRFModel": settings.hrf_model if source.design_file is None else None,
        "DriftModel": settings.drift_model if source.design_file is None else None,
        "HighPassSeconds": (
            settings.high_pass_s
            if settings.drift_model == "cosine" and source.design_file is None
            else None
        ),
        "SmoothingFWHM": settings.smoothing_fwhm_mm,
        "SignalScaling": settings.signal_scaling,
        "RepetitionTime": source.repetition_time,
        "SliceTime": source.slice_time if source.design_file is None else None,
        "Confounds": list(run.confounds.columns),
        "FilledConfounds": run.confounds.filled,
        "CensoredScans": [
            {"Scan": item.scan, "Reason": item.reason} for item in run.confounds.censored
        ],
        "DesignMadeBeforehand": source.design_file is not None,
    }


def run_image(run: RunPlan, settings: AnalysisSettings, hashes: Mapping[str, str]) -> Json:
    """Return what the sidecars of all images of a run have in common."""
    source = run.source
    assert isinstance(source, BoldRun)
    return {
        **_image(run.entities),
        "Levels": list(run.levels),
        "Sources": sorted(source.uris[file] for file in _used(run) if file is not None),
        "InputHashes": dict(hashes),
        "SettingsHash": run.settings_hash,
        "StatisticalModel": run_model(run, settings),
        "MaskComputed": source.mask is None,
        **({"Notes": list(run.notes)} if run.notes else {}),
    }


def run_contrast(item: RunContrast, stat: str, settings: AnalysisSettings, dof: float) -> Json:
    """Return what is particular to one map of a run's contrast."""
    return {
        **_contrast_map(item.contrast, stat, settings),
        "ContrastWeights": dict(item.weights),
        "DegreesOfFreedom": dof,
    }


def group_image(
    plan: Plan, group: GroupPlan, item: GroupContrast | None, hashes: Mapping[str, str]
) -> Json:
    """Return what the sidecars of a combined contrast have in common."""
    runs = [plan.run(key) for key in (item.run_keys if item else group.run_keys)]
    return {
        **_image(group.entities),
        "Levels": list(group.levels),
        "Sources": sorted(hashes),
        "InputHashes": dict(hashes),
        "SettingsHash": group.settings_hash,
        "Combination": plan.settings.combination,
        "NumberOfRuns": len(runs),
        "Runs": [str(run.entities) for run in runs],
        "RunsLeftOut": (
            {str(plan.run(key).entities): reason for key, reason in item.dropped.items()}
            if item
            else {}
        ),
        "StatisticalModel": {
            "Runs": {str(run.entities): run_model(run, plan.settings) for run in runs}
        },
    }


def group_contrast(plan: Plan, item: GroupContrast, stat: str) -> Json:
    """Return what is particular to one map of a combined contrast."""
    values = _contrast_map(item.contrast, stat, plan.settings)
    if plan.has_given_maps:
        # Maps made beforehand may be in any units.
        values["Units"] = units(stat, plan.settings, effect="units of the run maps")
    return values


def model_map(stat: str, settings: AnalysisSettings) -> Json:
    """Return what is particular to a map of a run's model."""
    return {"Description": STAT_MEANING[stat], "Units": units(stat, settings)}


def table_inputs(run: RunPlan) -> tuple[Path, ...]:
    """Return the tables that a run's design was made from."""
    source = run.source
    assert isinstance(source, BoldRun)
    if source.design_file is not None:
        return (source.design_file,)
    uses_confounds = run.confounds.columns or run.confounds.censored
    confounds = (source.confounds_file,) if uses_confounds and source.confounds_file else ()
    return (*source.events_files, *confounds)


def _used(run: RunPlan) -> tuple[Path | None, ...]:
    """Return the files that a run's maps were computed from."""
    assert isinstance(run.source, BoldRun)
    return (run.source.bold, run.source.mask, *table_inputs(run))


def design(run: RunPlan, settings: AnalysisSettings, hashes: Mapping[str, str]) -> Json:
    """Return the sidecar of a design matrix; its columns are read back by `--design-dir`."""
    source = run.source
    assert isinstance(source, BoldRun)
    assert run.design is not None
    return {
        "Description": "Design matrix, one row per stored volume",
        "Columns": [
            {
                "Name": column.name,
                "Role": column.role,
                "Condition": column.condition,
                "Basis": column.basis,
            }
            for column in run.design.columns
        ],
        "RepetitionTime": source.repetition_time,
        "SliceTime": source.slice_time if source.design_file is None else None,
        "HRFModel": settings.hrf_model if source.design_file is None else None,
        "Sources": sorted(source.uris[file] for file in table_inputs(run)),
        "InputHashes": dict(hashes),
    }


def output_uri(path: PurePosixPath) -> str:
    """Return the BIDS URI of a file of the output dataset itself."""
    return f"bids::{path}"


def _image(entities: Mapping[str, str]) -> Json:
    """Return what BIDS asks of every derived image."""
    values: Json = {"SkullStripped": True}
    if "res" in entities:
        values["Resolution"] = f"res-{entities['res']} of the preprocessed BOLD series"
    if "space" in entities and not paths.is_standard_space(entities["space"]):
        values["SpatialReference"] = "the space of the preprocessed BOLD series"
    return values


def _contrast_map(contrast: Contrast, stat: str, settings: AnalysisSettings) -> Json:
    return {
        "Description": f"{STAT_MEANING[stat]} of contrast '{contrast.name}'",
        "ContrastName": contrast.name,
        "ContrastFormula": contrast.formula,
        "ContrastTest": contrast.test,
        "Statistic": stat,
        "Units": units(stat, settings),
    }
