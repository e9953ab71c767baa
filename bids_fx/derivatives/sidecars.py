"""What the JSON files beside the outputs say: meaning, units, model, sources and hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from bids_fx.derivatives.estimability import describe_columns, describe_contrast, describe_fit
from bids_fx.derivatives.meanings import STAT_MEANING, map_meaning, said_of
from bids_fx.entities import is_standard_space
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.model import Contrast
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunContrast, RunPlan
from bids_fx.settings import AnalysisSettings

Json = dict[str, object]

_EFFECT_UNITS = {
    "psc": "percent signal change",
    "grand-mean": "percent of the mask's mean signal",
    "none": "units of the BOLD image",
}
_SQUARED = {"variance", "covariance", "sigmasq", "tau2"}
_COUNTS = {"nruns", "dof"}

#: NIfTI intents of the maps that have one.
_INTENTS = {"z": "z score", "p": "p value", "logp": "log10 p value"}
_TEST_INTENTS = {"t": "t test", "F": "f test"}

_RESIDUAL_DOF = "residual: rows minus rank of the design matrix"
_KENWARD_ROGER = "Kenward-Roger, per voxel: see stat-dof"
_RESIDUAL_VARIANCE = "residual sum of squares over the residual degrees of freedom"
_ADJUSTED_VARIANCE = "Kenward-Roger's adjusted variance, of the REML estimates"
#: By noise model: how it is estimated, and where variances and degrees of freedom come from.
_NOISE = {
    "ols": ("white noise: nothing to estimate", _RESIDUAL_VARIANCE, _RESIDUAL_DOF),
    "ar1-yw": ("Yule-Walker on the residuals", _RESIDUAL_VARIANCE, _RESIDUAL_DOF),
    "ar1": ("REML per voxel", _ADJUSTED_VARIANCE, _KENWARD_ROGER),
    "arma11": ("REML per voxel", _ADJUSTED_VARIANCE, _KENWARD_ROGER),
}
_PLAIN_WHERE_FEW = (
    "; unweighted in voxels where a run has 8 degrees of freedom or less; a run alone as it is"
)
#: By combination and test: where variances and degrees of freedom over runs come from.
_COMBINED = {
    ("weighted", "t"): (
        f"Meier, with Cochran-Carroll's degrees of freedom of each run{_PLAIN_WHERE_FEW}",
        f"Satterthwaite, of the estimated weights, per voxel: see stat-dof{_PLAIN_WHERE_FEW}",
    ),
    ("unweighted", "t"): (
        "summed variances over the square of the number of runs",
        "Welch-Satterthwaite, per voxel: see stat-dof",
    ),
    ("weighted", "F"): (
        f"Kenward-Roger's adjustment, of the estimated weights{_PLAIN_WHERE_FEW}",
        f"{_KENWARD_ROGER}{_PLAIN_WHERE_FEW}",
    ),
    ("unweighted", "F"): (
        "summed covariances over the square of the number of runs",
        _KENWARD_ROGER,
    ),
}


def noise_text(noise_model: str) -> dict[str, str]:
    """Return how a noise model is estimated, and whence variances and degrees of freedom come.

    Examples
    --------
    >>> noise_text("ar1-yw")["NoiseEstimator"]
    'Yule-Walker on the residuals'
    """
    keys = ("NoiseEstimator", "VarianceEstimator", "DegreesOfFreedomMethod")
    return dict(zip(keys, _NOISE[noise_model], strict=True))


def has_dof_of_voxels(noise_model: str) -> bool:
    """Tell whether degrees of freedom differ between the voxels and contrasts of a run.

    Examples
    --------
    >>> has_dof_of_voxels("ar1"), has_dof_of_voxels("ols")
    (True, False)
    """
    return noise_text(noise_model)["DegreesOfFreedomMethod"] == _KENWARD_ROGER


def units(stat: str, settings: AnalysisSettings, effect: str | None = None) -> str:
    """Return the units of a map; `effect` says those of the effect if they are not the settings'.

    Examples
    --------
    >>> units("variance", AnalysisSettings())
    '(percent signal change)^2'
    """
    effect = effect or _EFFECT_UNITS[settings.signal_scaling]
    if stat == "effect":
        return effect
    if stat in _SQUARED:
        return f"({effect})^2"
    if stat in _COUNTS:
        return "count"
    return "percent" if stat == "isq" else "arbitrary"


def intent(stat: str, dofs: tuple[float, ...] | None = None) -> tuple[str, tuple[float, ...]]:
    """Return the NIfTI intent of a map.

    Parameters
    ----------
    stat : str
        Its ``stat-`` label.
    dofs : tuple of float or None
        Degrees of freedom of t, or numerator and denominator of F, where they are the same in
        all voxels; NIfTI has no intent for a t or F without them.

    Examples
    --------
    >>> intent("F", (2.0, 40.0)), intent("t"), intent("z")
    (('f test', (2.0, 40.0)), ('none', ()), ('z score', ()))
    """
    if stat in _TEST_INTENTS:
        return ("none", ()) if dofs is None else (_TEST_INTENTS[stat], dofs)
    return _INTENTS.get(stat, "none"), ()


def run_model(run: RunPlan, settings: AnalysisSettings) -> Json:
    """Return `StatisticalModel`: all that a reader needs to fit the run's model again."""
    source = run.source
    if isinstance(source, RunMaps):
        return {}
    return {
        "NoiseModel": settings.noise_model,
        "NoiseEstimator": noise_text(settings.noise_model)["NoiseEstimator"],
        **_convolution(run, settings),
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
        "Confounds": list(run.confounds.names),
        "FilledConfounds": run.confounds.filled,
        **_missing_confounds(run),
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


def run_contrast(
    item: RunContrast, stat: str, settings: AnalysisSettings, dof: float, median: float | None
) -> Json:
    """Return what is particular to one map of a run's contrast.

    `dof` are the residual degrees of freedom, `median` is that of the contrast's map of them.
    """
    noise = noise_text(settings.noise_model)
    weights = [dict(row) for row in item.rows]
    return {
        **_contrast_map(item.contrast, stat, settings),
        "ContrastWeights": weights if item.contrast.test == "F" else weights[0],
        **_numerator(item.contrast, len(item.rows)),
        "DegreesOfFreedom": dof,
        "DegreesOfFreedomPerVoxel": has_dof_of_voxels(settings.noise_model),
        "EffectiveDegreesOfFreedom": median,
        "DegreesOfFreedomMethod": noise["DegreesOfFreedomMethod"],
        "VarianceEstimator": noise["VarianceEstimator"],
    }


def group_image(
    plan: Plan, group: GroupPlan, item: GroupContrast | None, hashes: Mapping[str, str]
) -> Json:
    """Return what the sidecars of a combined contrast have in common."""
    runs = list(plan.contrast_runs(item) if item else plan.group_runs(group))
    return {
        **_image(group.entities),
        "Levels": list(group.levels),
        "Sources": sorted(hashes),
        "InputHashes": dict(hashes),
        "SettingsHash": group.settings_hash,
        "Combination": plan.combination(group),
        "NumberOfRuns": len(runs),
        "Runs": [str(run.entities) for run in runs],
        "RunsLeftOut": {
            str(run.entities): reason for run, reason in (_left_out(plan, item) if item else ())
        },
        **({"RunsAbsent": group.absent} if group.absent else {}),
        **({} if group.input_noun == "run" else _inputs(plan, group, item)),
        "StatisticalModel": {
            "Runs": {str(run.entities): run_model(run, plan.settings) for run in runs}
        },
    }


def _left_out(plan: Plan, item: GroupContrast) -> Iterator[tuple[RunPlan, str]]:
    """Iterate over the runs that a contrast leaves out, also in what it is combined from."""
    for key, reason in item.dropped.items():
        result = plan.result(key)
        runs = plan.group_runs(result) if isinstance(result, GroupPlan) else (result,)
        yield from ((run, reason) for run in runs)
    for result in plan.inputs(item):
        if isinstance(result, GroupPlan):
            yield from _left_out(plan, result.source_of(item))


def _inputs(plan: Plan, group: GroupPlan, item: GroupContrast | None) -> Json:
    """Return which results entered that are combinations themselves."""
    dropped = item.dropped if item else {}
    return {
        "Inputs": [str(result.entities) for result in plan.inputs(item or group)],
        "InputsLeftOut": {str(plan.result(key).entities): why for key, why in dropped.items()},
    }


def group_contrast(
    plan: Plan, group: GroupPlan, item: GroupContrast, stat: str, median: float | None
) -> Json:
    """Return what is particular to one map of a combined contrast; `median` as for a run."""
    contrast = item.contrast
    noun = group.input_noun
    variance, dof = (
        said_of(noun, text) for text in _COMBINED[plan.combination(group), contrast.test]
    )
    cells = [
        {
            "Weight": cell.weight,
            "MeanOf": [str(plan.result(key).entities) for key in cell.input_keys],
        }
        for cell in item.cells
    ]
    if not item.is_mean:
        variance = f"sum over the means of the squared weight times the variance; each: {variance}"
        dof = f"Satterthwaite, over the means, per voxel: see stat-dof; each: {dof}"
    values = {
        **_contrast_map(contrast, stat, plan.settings),
        **_numerator(contrast, plan.n_rows(item)),
        **({"WeightedMeans": cells} if cells else {}),
        "DegreesOfFreedomPerVoxel": True,
        "EffectiveDegreesOfFreedom": median,
        "DegreesOfFreedomMethod": dof,
        "VarianceEstimator": variance,
    }
    return {
        **values,
        "Description": map_meaning(contrast, stat, noun),
        "Units": units(stat, plan.settings, effect=effect_units(plan)),
    }


def effect_units(plan: Plan) -> str:
    """Return the units of combined effects: maps made beforehand may be in any."""
    if plan.has_given_maps:
        return "units of the run maps"
    return units("effect", plan.settings)


def constant_dofs(
    item: RunContrast, settings: AnalysisSettings, dof: float
) -> tuple[float, ...] | None:
    """Return the degrees of freedom of a run's t or F that all voxels share.

    Parameters
    ----------
    item : RunContrast
        The contrast.
    settings : AnalysisSettings
        The choices of the plan.
    dof : float
        Residual degrees of freedom.

    Returns
    -------
    tuple of float or None
        That of t, or those of F's numerator and denominator; None where each voxel has its own.
    """
    if has_dof_of_voxels(settings.noise_model):
        return None
    return (float(len(item.rows)), dof) if item.contrast.test == "F" else (dof,)


def model_map(stat: str, settings: AnalysisSettings) -> Json:
    """Return what is particular to a map of a run's model."""
    return {"Description": STAT_MEANING[stat], "Units": units(stat, settings)}


def table_inputs(run: RunPlan) -> tuple[Path, ...]:
    """Return the tables that a run's design was made from."""
    source = run.source
    assert isinstance(source, BoldRun)
    if source.design_file is not None:
        return (source.design_file,)
    choice = run.confounds
    uses_confounds = choice.columns or choice.censored or choice.is_read
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
        "Columns": describe_columns(run.design),
        "Fit": describe_fit(run.design),
        "Contrasts": [describe_contrast(item) for item in run.contrasts],
        **_missing_confounds(run),
        "RepetitionTime": source.repetition_time,
        "SliceTime": source.slice_time if source.design_file is None else None,
        **_convolution(run, settings),
        "Sources": sorted(source.uris[file] for file in table_inputs(run)),
        "InputHashes": dict(hashes),
        "DesignHash": run.design_hash,
    }


def _convolution(run: RunPlan, settings: AnalysisSettings) -> Json:
    """Return the HRF models, which condition has which of several, and which have none."""
    models = run.hrf_models(settings)
    hrf_of = run.source.hrf_of if isinstance(run.source, BoldRun) else {}
    own = {name: model for name, model in hrf_of.items() if model is not None}
    unconvolved = [name for name, model in hrf_of.items() if model is None]
    return {
        "HRFModel": ", ".join(models) or None,
        **({"HRFModelOfCondition": own} if len(models) > 1 else {}),
        **({"Unconvolved": unconvolved} if unconvolved else {}),
    }


def _missing_confounds(run: RunPlan) -> Json:
    """Return which requested confounds the run's table does not fully have, if any."""
    return {"MissingConfounds": run.confounds.missing} if run.confounds.missing else {}


def output_uri(path: PurePosixPath) -> str:
    """Return the BIDS URI of a file of the output dataset itself."""
    return f"bids::{path}"


def _image(entities: Mapping[str, str]) -> Json:
    """Return what BIDS asks of every derived image."""
    values: Json = {"SkullStripped": True}
    if "res" in entities:
        values["Resolution"] = f"res-{entities['res']} of the preprocessed BOLD series"
    if "space" in entities and not is_standard_space(entities["space"]):
        values["SpatialReference"] = "the space of the preprocessed BOLD series"
    return values


def _contrast_map(contrast: Contrast, stat: str, settings: AnalysisSettings) -> Json:
    return {
        "Description": map_meaning(contrast, stat),
        "ContrastName": contrast.name,
        "ContrastFormula": contrast.formula,
        "ContrastTest": contrast.test,
        "Statistic": stat,
        "Units": units(stat, settings),
    }


def _numerator(contrast: Contrast, n_rows: int) -> Json:
    """Return the numerator degrees of freedom of an F contrast; a t contrast has none."""
    return {"NumeratorDegreesOfFreedom": n_rows} if contrast.test == "F" else {}
