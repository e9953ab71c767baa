"""The statistics of a run or a combination, named as the maps they become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.errors import BIDSFXError
from bids_fx.glm.contrasts import DesignSpace, contrast_vector, design_space
from bids_fx.glm.design import Design
from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.noise import RunFit, fit_run
from bids_fx.glm.quality import quality_measures, temporal_snr
from bids_fx.glm.scaling import scale_factor
from bids_fx.glm.tails import t_statistics

FloatArray = npt.NDArray[np.float64]
MapSet = dict[str, FloatArray]

#: A constant that a design reproduces to this is in its span.
CONSTANT_TOLERANCE = 1e-8
#: Share of the mask's voxels that may have a mean of zero or less; more is an error of the data.
MAX_UNSCALABLE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """All maps of a run as vectors over its voxels.

    Parameters
    ----------
    model : dict of str to ndarray of shape (n_voxels,)
        Maps of the model, by ``stat-`` label.
    contrasts : dict of str to dict of str to ndarray of shape (n_voxels,)
        Maps of each contrast, by contrast label and ``stat-`` label.
    dof : float
        Residual degrees of freedom: scans minus the design's rank.
    quality : dict of str to float
        Summaries over the voxels.
    """

    model: MapSet
    contrasts: dict[str, MapSet]
    dof: float
    quality: dict[str, float | int | None]


def run_maps(
    Y: npt.NDArray[np.float32],
    mean: FloatArray,
    design: Design,
    contrasts: Mapping[str, Iterable[tuple[str, float]]],
    *,
    noise_model: str,
    signal_scaling: str,
    n_threads: int = 1,
) -> RunStatistics:
    """Fit a run and compute the maps of its model and contrasts.

    Parameters
    ----------
    Y : ndarray of float32, shape (n_scans, n_voxels)
        The series, each voxel's `mean` taken out.
    mean : ndarray of shape (n_voxels,)
        Each voxel's mean over the kept scans, in units of the image.
    design : Design
        The design matrix.
    contrasts : mapping of str to iterable of (str, float)
        By label, the weights of design columns; all estimable.
    noise_model : str
        One of `bids_fx.glm.names.NOISE_MODELS`.
    signal_scaling : str
        ``psc``, ``grand-mean`` or ``none``.
    n_threads : int
        Threads of the fit; no result depends on it.

    Returns
    -------
    RunStatistics
        NaN in voxels that cannot be fitted or scaled.

    Raises
    ------
    BIDSFXError
        If no voxel is finite, or more than `MAX_UNSCALABLE` of the finite ones cannot be scaled.

    Notes
    -----
    The model is fitted in the image's own units and scaled afterwards: effects by the factor,
    variances by its square; t, rho and R squared do not depend on it.
    """
    factor = scale_factor(mean, signal_scaling)
    _check_scalable(mean, factor, signal_scaling)
    space = design_space(design.matrix)
    labels = list(contrasts)
    vectors = np.array(
        [contrast_vector(contrasts[label], design.names) for label in labels]
    ).reshape(len(labels), len(design.names))
    baseline = [column.role in {"drift", "constant"} for column in design.columns]
    fit = fit_run(
        Y,
        space,
        vectors,
        noise_model=noise_model,
        baseline=design_space(design.matrix[:, baseline]),
        offset=mean if _needs_mean(space, signal_scaling) else None,
        n_threads=n_threads,
    )
    model = _model_maps(fit, mean, factor)
    maps = {
        label: _t_maps(fit.effects[i] * factor, fit.variances[i] * factor**2, fit.dof)
        for i, label in enumerate(labels)
    }
    quality = {"dof": fit.dof, "rank": space.rank, **quality_measures(model)}
    return RunStatistics(model=model, contrasts=maps, dof=fit.dof, quality=quality)


def combined_maps(
    effects: FloatArray, variances: FloatArray, dofs: FloatArray, *, combination: str
) -> MapSet:
    """Combine a contrast over runs and compute its maps.

    Parameters
    ----------
    effects, variances, dofs : ndarray of shape (n_runs, n_voxels)
        Each run's estimate; NaN or a variance of zero where a run does not cover a voxel.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    dict of str to ndarray of shape (n_voxels,)
        By ``stat-`` label: those of a t contrast, ``nruns``, ``q``, ``isq`` and ``tau2``.
    """
    result = combine(effects, variances, dofs, combination=combination)
    return {
        **_t_maps(result.effect, result.variance, result.dof),
        "nruns": result.n_runs.astype(np.float64),
        "q": result.q,
        "isq": result.isq,
        "tau2": result.tau2,
    }


def _t_maps(effect: FloatArray, variance: FloatArray, dof: FloatArray | float) -> MapSet:
    """Return the maps of a t contrast."""
    statistics = t_statistics(effect, variance, dof)
    dofs = np.where(np.isfinite(statistics.t), dof, np.nan)
    return {
        "effect": effect,
        "variance": variance,
        "t": statistics.t,
        "z": statistics.z,
        "p": statistics.p,
        "logp": statistics.logp,
        "dof": dofs,
    }


def _model_maps(fit: RunFit, mean: FloatArray, factor: FloatArray) -> MapSet:
    """Return the maps that belong to the model."""
    maps = {
        "rsquared": fit.rsquared,
        "sigmasq": fit.sigmasq * factor**2,
        "tsnr": temporal_snr(mean, fit.residual_sd),
    }
    if fit.rho is not None:
        maps["ar1"] = fit.rho
    return maps


def _needs_mean(space: DesignSpace, signal_scaling: str) -> bool:
    """Tell whether the mean that was taken out must be put back for the fit.

    A constant in the design takes it up, and percent signal change is counted from the mean; a
    design made beforehand without a constant would otherwise fit other data than were given.
    """
    constant = np.ones(space.n_scans)
    outside = constant - space.basis @ (space.basis.T @ constant)
    return signal_scaling != "psc" and bool(np.abs(outside).max() > CONSTANT_TOLERANCE)


def _check_scalable(mean: FloatArray, factor: FloatArray, signal_scaling: str) -> None:
    """Refuse a series without numbers, or one that is no raw signal and has no percentages."""
    finite = np.isfinite(mean)
    if not finite.any():
        raise BIDSFXError.single(
            "the BOLD series",
            "no voxel of the mask holds a number in every scan that is kept",
            "mend the file, or censor the scans without numbers",
        )
    share = float((finite & ~np.isfinite(factor)).sum() / finite.sum())
    if share > MAX_UNSCALABLE:
        raise BIDSFXError.single(
            f"--signal-scaling {signal_scaling}",
            f"{share:.0%} of the mask's voxels have a mean of zero or less",
            "see that mask and series belong together, or use --signal-scaling none",
        )
