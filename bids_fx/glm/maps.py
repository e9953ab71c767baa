"""The statistics of a run, named as the maps they become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bids_fx.errors import BIDSFXError
from bids_fx.glm.carpet import Residuals, sample_residuals
from bids_fx.glm.contrasts import DesignSpace, contrast_vector, design_space
from bids_fx.glm.design import Design
from bids_fx.glm.noise import ContrastFit, RunFit, fit_run
from bids_fx.glm.quality import quality_measures, temporal_snr
from bids_fx.glm.scaling import scale_factor
from bids_fx.glm.series import SeriesMatrix
from bids_fx.glm.statistics import MapSet, f_maps, t_maps, wald_f

FloatArray = npt.NDArray[np.float64]

#: A constant that a design reproduces to this is in its span.
CONSTANT_TOLERANCE = 1e-8
#: Voxels whose tails are computed at once: what is held of them stays in the cache.
_BLOCK_VOXELS = 16384
#: Share of the mask's voxels that may have a mean of zero or less; more is an error of the data.
MAX_UNSCALABLE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastRows:
    """A contrast in the columns of one design.

    Parameters
    ----------
    test : str
        ``t`` (of one row) or ``F``.
    rows : tuple of tuple of (str, float)
        Of each row, design columns and their weights.
    """

    test: Literal["t", "F"]
    rows: tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatistics:
    """All maps of a run as vectors over its voxels.

    Parameters
    ----------
    model : dict of str to ndarray of shape (n_voxels,)
        Maps of the model, by ``stat-`` label.
    contrasts : mapping of str to dict of str to ndarray of shape (n_voxels,)
        Maps of each contrast, by contrast label and ``stat-`` label; of an F test ``effect`` is
        of shape (q, n_voxels) and ``covariance`` of shape (q * (q + 1) / 2, n_voxels). They are
        computed whenever they are asked for and not kept.
    dof : float
        Residual degrees of freedom: kept scans minus the rank of their design.
    quality : dict of str to float
        Summaries over the voxels.
    residuals : Residuals
        Those of some voxels, scan by scan.
    """

    model: MapSet
    contrasts: Mapping[str, MapSet]
    dof: float
    quality: dict[str, float | int | None]
    residuals: Residuals


class ContrastMaps(Mapping[str, MapSet]):
    """The maps of a run's contrasts, computed whenever they are asked for.

    Parameters
    ----------
    tests : mapping of str to str
        ``t`` or ``F``, by contrast label.
    fits : sequence of ContrastFit
        Of these contrasts, in their order, in the image's own units.
    factor : ndarray of shape (n_voxels,)
        What scales the signal.
    """

    def __init__(
        self,
        tests: Mapping[str, Literal["t", "F"]],
        fits: Sequence[ContrastFit],
        factor: FloatArray,
    ) -> None:
        self._tests = dict(tests)
        self._fits = dict(zip(tests, fits, strict=True))
        self._factor = factor

    def __getitem__(self, label: str) -> MapSet:
        """Compute the maps of one contrast, in units of the scaled signal."""
        starts = range(0, self._factor.size, _BLOCK_VOXELS)
        found: MapSet = {}
        for start in starts:
            for stat, values in self._block(label, start).items():
                if not start:
                    found[stat] = np.empty((*values.shape[:-1], self._factor.size))
                found[stat][..., start : start + _BLOCK_VOXELS] = values
        return found

    def _block(self, label: str, start: int) -> MapSet:
        """Compute the maps of one contrast in some voxels."""
        fit, voxels = self._fits[label], slice(start, start + _BLOCK_VOXELS)
        factor, dof = self._factor[voxels], fit.dof[voxels]
        effects, covariance = (
            fit.effects[:, voxels] * factor,
            fit.covariance[:, voxels] * factor**2,
        )
        if self._tests[label] == "t":
            return t_maps(effects[0], covariance[0], dof)
        return f_maps(effects, covariance, wald_f(effects, covariance), dof)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the contrasts' labels."""
        return iter(self._fits)

    def __len__(self) -> int:
        """Return the number of contrasts."""
        return len(self._fits)


def run_maps(
    Y: SeriesMatrix,
    mean: FloatArray,
    design: Design,
    contrasts: Mapping[str, ContrastRows],
    *,
    noise_model: str,
    signal_scaling: str,
    n_threads: int = 1,
) -> RunStatistics:
    """Fit a run and compute the maps of its model and contrasts.

    Parameters
    ----------
    Y : ndarray or SeriesMatrix of float32, shape (n_kept_scans, n_voxels)
        The series of the scans that the design does not censor, each voxel's `mean` taken out.
    mean : ndarray of shape (n_voxels,)
        Each voxel's mean over the kept scans, in units of the image.
    design : Design
        The design matrix.
    contrasts : mapping of str to ContrastRows
        By label; all estimable.
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
        If no voxel is finite or none varies, or more than `MAX_UNSCALABLE` of the finite ones
        cannot be scaled.

    Notes
    -----
    The model is fitted in the image's own units and scaled afterwards: effects by the factor,
    variances by its square; t, rho and R squared do not depend on it.
    """
    factor = scale_factor(mean, signal_scaling)
    _check_scalable(mean, factor, signal_scaling)
    fitted = design.fitted
    space = design_space(fitted.matrix)
    vectors = [
        np.array([contrast_vector(row, fitted.names) for row in contrast.rows])
        for contrast in contrasts.values()
    ]
    baseline = [column.role in {"drift", "constant"} for column in fitted.columns]
    scans = np.flatnonzero(design.kept)
    offset = mean if _needs_mean(space, signal_scaling) else None
    fit = fit_run(
        Y,
        space,
        vectors,
        scans=scans,
        noise_model=noise_model,
        baseline=design_space(fitted.matrix[:, baseline]),
        offset=offset,
        n_threads=n_threads,
    )
    if not np.isfinite(fit.sigmasq).any():
        raise BIDSFXError.single(
            "the BOLD series",
            "no voxel of the mask can be fitted: none varies over the scans that are kept",
            "restore the file from its source, or leave the run out",
        )
    residuals = sample_residuals(
        Y, space.basis, fit.residual_sd, scans, offset=offset, n_threads=n_threads
    )
    model = _model_maps(fit, mean, factor)
    tests = {label: contrast.test for label, contrast in contrasts.items()}
    measures: dict[str, float | int | None] = {
        "dof": fit.dof,
        "rank": space.rank,
        "n_voxels": Y.shape[1],
        **quality_measures(model),
        **fit.whiteness,
        **residuals.measures(),
    }
    return RunStatistics(
        model=model,
        contrasts=ContrastMaps(tests, fit.contrasts, factor),
        dof=fit.dof,
        quality=measures,
        residuals=residuals,
    )


def _model_maps(fit: RunFit, mean: FloatArray, factor: FloatArray) -> MapSet:
    """Return the maps that belong to the model."""
    lost = 0 * factor  # NaN in voxels that cannot be scaled
    maps = {
        "rsquared": fit.rsquared + lost,
        "sigmasq": fit.sigmasq * factor**2,
        "tsnr": temporal_snr(mean, fit.residual_sd),
    }
    return maps | {name: values + lost for name, values in fit.noise.items()}


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
        found = f"{share:.0%} of the mask's voxels have a mean of zero or less"
        if signal_scaling == "grand-mean":
            found = "the mean over the mask's voxels is zero or less"
        raise BIDSFXError.single(
            f"--signal-scaling {signal_scaling}",
            found,
            "see that mask and series belong together, or use --signal-scaling none",
        )
