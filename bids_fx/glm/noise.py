"""The fit of a run: least squares, with white or autocorrelated noise, voxel by voxel.

The design enters as an orthonormal basis Q of its columns. Degrees of freedom and dispersion
come from one rank, that of Q.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from bids_fx.glm.contrasts import DesignSpace, are_distinct, is_estimable
from bids_fx.glm.correlation import CORRELATION_MODELS, CorrelationModel, IntArray
from bids_fx.glm.generalized import Generalized
from bids_fx.glm.matrices import to_triangle
from bids_fx.glm.names import NOISE_MODELS, normalise_noise_name, unknown_name
from bids_fx.glm.ordinary import fit_ordinary, sum_squares, vary
from bids_fx.glm.series import BLOCK_VOXELS, SeriesMatrix
from bids_fx.glm.whiteness import whiteness

__all__ = [
    "NOISE_MODELS",
    "SAMPLED_VOXELS",
    "ContrastFit",
    "RunFit",
    "fit_run",
    "normalise_noise_name",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Residuals below this share of the series are rounding: there is no noise to test against.
_NO_NOISE = 1e-12
#: How far the columns of the baseline may lie outside the design.
_NESTING_TOLERANCE = 1e-6
#: Voxels of which the whitened residuals are looked at: enough for shares to one percent.
SAMPLED_VOXELS = 2000
#: Numbers that are held for the voxels that are worked on at once, 12 MB: some of them are still
#: in the cache when they are needed again, and the calls for each array cost little.
WORKED_NUMBERS = 1_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastFit:
    """What a model says of one contrast of q rows.

    Parameters
    ----------
    effects : ndarray of shape (q, n_voxels)
        Estimate of each row, in units of the data.
    covariance : ndarray of shape (q * (q + 1) / 2, n_voxels)
        Upper triangle, row by row, of the rows' covariance, in squared units of the data; for one
        row its variance.
    dof : ndarray of shape (n_voxels,)
        Degrees of freedom of t, or of the denominator of :math:`F = e'C^{-1}e / q`.
    """

    effects: FloatArray
    covariance: FloatArray
    dof: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFit:
    """What a model says of a run.

    Every voxel that is not finite in all scans, does not vary, or is fitted without any residual
    is NaN in all arrays.

    Parameters
    ----------
    contrasts : tuple of ContrastFit
        In the order given.
    dof : float
        Residual degrees of freedom: scans minus the rank of the design.
    sigmasq : ndarray of shape (n_voxels,)
        Marginal variance of the noise, in squared units of the data.
    rsquared : ndarray of shape (n_voxels,)
        Share of the variance that is left by the baseline and that the rest of the design takes,
        from 0 to 1; of the data as they are, by ordinary least squares.
    residual_sd : ndarray of shape (n_voxels,)
        Standard deviation of the residuals of ordinary least squares, in units of the data.
    noise : dict of str to ndarray of shape (n_voxels,)
        The noise model's parameters: ``ar1``, ``white``; empty for white noise.
    whiteness : dict of str to float
        What is left of the noise's correlation, see `bids_fx.glm.whiteness.whiteness`, in up to
        `SAMPLED_VOXELS` voxels evenly spread over the run's.
    """

    contrasts: tuple[ContrastFit, ...]
    dof: float
    sigmasq: FloatArray
    rsquared: FloatArray
    residual_sd: FloatArray
    noise: dict[str, FloatArray]
    whiteness: dict[str, float]


def fit_run(
    Y: SeriesMatrix,
    space: DesignSpace,
    contrasts: Sequence[FloatArray],
    *,
    baseline: DesignSpace,
    noise_model: str,
    scans: IntArray | None = None,
    n_threads: int = 1,
    block_size: int = BLOCK_VOXELS,
    offset: FloatArray | None = None,
) -> RunFit:
    r"""Fit a design to every voxel of a run.

    Parameters
    ----------
    Y : ndarray or SeriesMatrix of shape (n_scans, n_voxels)
        The data, usually float32 with each voxel's mean taken out; computed with in float64. Each
        block of voxels is read once, a sample of `SAMPLED_VOXELS` once more.
    space : DesignSpace
        The design.
    contrasts : sequence of ndarray of shape (q, n_columns)
        Of each contrast the rows of weights of the design's columns; every row can be estimated
        and no row follows from the others.
    baseline : DesignSpace
        Of the design's drift and constant columns; `rsquared` is counted beyond them.
    noise_model : str
        One of `NOISE_MODELS`.
    scans : ndarray of int, shape (n_scans,), or None
        Numbers of the scans that the rows are, increasing; None means that none is missing.
    n_threads : int
        Threads; >= 1. No result depends on it by a single bit.
    block_size : int
        Voxels that a thread reads at a time; >= 1. Results depend on it by rounding.
    offset : ndarray of shape (n_voxels,) or None
        Added to every scan of each voxel: the mean that was taken out, which matters to a design
        without a constant.

    Returns
    -------
    RunFit
        In float64. A voxel that cannot be fitted is NaN and touches no other.

    Raises
    ------
    ValueError
        If shapes do not agree, a contrast cannot be estimated, the baseline is not part of the
        design, no degree of freedom is left, or the noise model is unknown.

    Notes
    -----
    ``ols``: with r the rank of n scans' design, :math:`\hat\gamma = Q'y` and the dispersion is
    :math:`\|y - Q\hat\gamma\|^2 / (n - r)`.

    ``ar1-yw``: nilearn's ``ar1`` with a coefficient per voxel instead of bins. From the residuals
    e of ordinary least squares

    .. math:: \rho = \frac{\sum_{t>0} e_t e_{t-1} / (n - 1)}{\sum_t e_t^2 / n},

    kept within plus and minus 0.999, the first sum over scans whose predecessor is there, and
    divided by their number; then
    least squares on :math:`y_t - \rho y_{t-1}` (same for the design), the first scan, and each
    after a gap, as it is, not times :math:`\sqrt{1 - \rho^2}`. Dispersion is the whitened
    residual sum of squares over n - r; the marginal variance is that over :math:`1 - \rho^2`.
    The estimate of :math:`\rho` is biased towards 0 and below by the fit itself, the more the
    more columns the design has.

    ``ar1``, ``arma11``: the correlation R of the scans is that of `autoregressive`, or of
    `autoregressive_and_white`; its parameters are in each voxel where the restricted likelihood
    (Patterson and Thompson 1971) is highest within the model's bounds, the variance profiled
    out:

    .. math:: -2 \ell = (n - r) \log S + \log |R| + \log |Q'R^{-1}Q|, \quad
              S = \min_\gamma (y - Q\gamma)'R^{-1}(y - Q\gamma).

    The marginal variance is S / (n - r). Effects are of generalised least squares; their
    covariance and degrees of freedom are Kenward and Roger's (`tabulate`). Everything is
    computed at the nodes of the parameters' box and interpolated.
    """
    if noise_model not in NOISE_MODELS:
        raise unknown_name("noise model", noise_model, NOISE_MODELS)
    if min(n_threads, block_size) < 1:
        raise ValueError(f"expected 1 or more threads and voxels, found {n_threads}, {block_size}")
    if offset is not None and offset.shape != Y.shape[1:]:
        raise ValueError(f"expected one offset per voxel {Y.shape[1:]}, found {offset.shape}")
    geometry = _geometry(Y, space, contrasts, baseline, _checked_scans(scans, space.n_scans))
    # BLAS itself would split a product differently for each number of threads; here every block
    # is one thread's, whoever takes it.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        model = CORRELATION_MODELS.get(noise_model)
        generalized = None
        if model is not None:
            generalized = Generalized.of(
                model, geometry.scans, geometry.basis, geometry.contrasts, pool
            )
        fit = _empty_fit(geometry, model, Y.shape[1])
        beside = max(Y.shape[0], generalized.numbers_per_voxel if generalized else 0)
        step = max(1, WORKED_NUMBERS // (Y.shape[0] + beside))

        def fit_block(start: int) -> None:
            block = Y[:, start : start + block_size]
            for first in range(0, block.shape[1], step):
                data = block[:, first : first + step]
                voxels = slice(start + first, start + first + data.shape[1])
                means = None if offset is None else offset[voxels]
                found = _fit_block(data, means, geometry, generalized)
                for into, values in zip(_arrays(fit), _arrays(found), strict=True):
                    into[..., voxels] = values

        for _ in pool.map(fit_block, range(0, Y.shape[1], block_size)):
            pass
        fit.whiteness.update(_sampled_whiteness(Y, offset, geometry, generalized, fit, pool=pool))
    return fit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Geometry:
    """What the fit needs of the design.

    Parameters
    ----------
    basis : ndarray of shape (n_scans, rank)
        Q.
    contrasts : tuple of ndarray of shape (q, rank)
        The contrasts' rows in this basis.
    task : ndarray of shape (rank, rank - baseline rank)
        Orthonormal coordinates of the part of the design beyond the baseline.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans.
    """

    basis: FloatArray
    contrasts: tuple[FloatArray, ...]
    task: FloatArray
    scans: IntArray

    @property
    def dof(self) -> float:
        """Scans minus rank."""
        return float(self.basis.shape[0] - self.basis.shape[1])


def _checked_scans(scans: IntArray | None, n_scans: int) -> IntArray:
    if scans is None:
        return np.arange(n_scans)
    if scans.shape != (n_scans,) or (np.diff(scans) < 1).any():
        raise ValueError(f"expected {n_scans} increasing numbers of scans, found {scans}")
    return scans


def _geometry(
    Y: SeriesMatrix,
    space: DesignSpace,
    contrasts: Sequence[FloatArray],
    baseline: DesignSpace,
    scans: IntArray,
) -> _Geometry:
    if len(Y.shape) != 2 or Y.shape[0] != space.n_scans:
        raise ValueError(f"expected data of {space.n_scans} scans, found shape {Y.shape}")
    if space.rank >= space.n_scans:
        raise ValueError(f"{space.n_scans} scans leave no degree of freedom: rank {space.rank}")
    for place, rows in enumerate(contrasts):
        if rows.ndim != 2 or rows.shape[1] != space.n_columns or not len(rows):
            raise ValueError(
                f"expected rows of {space.n_columns} weights, found shape {rows.shape}"
            )
        if not all(is_estimable(row, space) for row in rows):
            raise ValueError(f"a contrast that the design cannot estimate: number {place}")
        if not are_distinct(rows, space):
            raise ValueError(f"a contrast whose rows follow from each other: number {place}")
    shared = baseline.basis.T @ space.basis
    _, cosines, directions = np.linalg.svd(shared, full_matrices=True)
    if baseline.rank and cosines.min(initial=1.0) < 1 - _NESTING_TOLERANCE:
        raise ValueError("the baseline's columns are not all in the design")
    return _Geometry(
        basis=space.basis,
        contrasts=tuple(space.coordinates(rows) for rows in contrasts),
        task=directions[baseline.rank :].T,
        scans=scans,
    )


def _empty_fit(geometry: _Geometry, model: CorrelationModel | None, n_voxels: int) -> RunFit:
    """Return the arrays that the blocks fill."""
    sizes = [len(rows) for rows in geometry.contrasts]
    return RunFit(
        contrasts=tuple(
            ContrastFit(
                effects=np.empty((q, n_voxels)),
                covariance=np.empty((q * (q + 1) // 2, n_voxels)),
                dof=np.empty(n_voxels),
            )
            for q in sizes
        ),
        dof=geometry.dof,
        sigmasq=np.empty(n_voxels),
        rsquared=np.empty(n_voxels),
        residual_sd=np.empty(n_voxels),
        noise={name: np.empty(n_voxels) for name in (model.parameters if model else ())},
        whiteness={},
    )


def _arrays(fit: RunFit) -> list[FloatArray]:
    """Return the arrays of a fit, the voxels last in each."""
    arrays = [fit.sigmasq, fit.rsquared, fit.residual_sd, *fit.noise.values()]
    for contrast in fit.contrasts:
        arrays += [contrast.effects, contrast.covariance, contrast.dof]
    return arrays


def _fit_block(
    data: npt.NDArray[np.floating],
    offset: FloatArray | None,
    geometry: _Geometry,
    generalized: Generalized | None,
) -> RunFit:
    """Fit some voxels; those that cannot be fitted are NaN."""
    series = data.astype(np.float64, order="C")
    if offset is not None:
        series += offset
    usable = vary(series)
    series[:, ~usable] = 0.0
    read = generalized.reading.read(series) if generalized is not None else None
    ordinary = read.ordinary if read is not None else fit_ordinary(series, geometry.basis)[0]
    coordinates = ordinary.coordinates
    usable &= ordinary.rss > _NO_NOISE**2 * (ordinary.rss + sum_squares(coordinates))
    rss = np.where(usable, ordinary.rss, 1.0)  # any number that gives no warning
    explained = sum_squares(geometry.task.T @ coordinates)
    plain = [rows @ coordinates for rows in geometry.contrasts]
    lost = np.where(usable, 0.0, np.nan)
    if generalized is None or read is None:
        sigmasq, noise = rss / geometry.dof, {}
        contrasts = _white_contrasts(plain, geometry, sigmasq + lost)
    else:
        fitted = generalized.fit(read, usable)
        sigmasq = fitted.sigmasq
        names = generalized.model.parameters
        noise = {k: v + lost for k, v in zip(names, fitted.parameters, strict=True)}
        parts = zip(plain, fitted.added, fitted.covariances, fitted.dofs, strict=True)
        contrasts = tuple(
            ContrastFit(effects=ols + added + lost, covariance=covariance + lost, dof=dof + lost)
            for ols, added, covariance, dof in parts
        )
    return RunFit(
        contrasts=contrasts,
        dof=geometry.dof,
        sigmasq=sigmasq + lost,
        rsquared=explained / (explained + rss) + lost,
        residual_sd=np.sqrt(rss / geometry.dof) + lost,
        noise=noise,
        whiteness={},
    )


def _sampled_whiteness(
    Y: SeriesMatrix,
    offset: FloatArray | None,
    geometry: _Geometry,
    generalized: Generalized | None,
    fit: RunFit,
    *,
    pool: Executor,
) -> dict[str, float]:
    """Return the whiteness of some voxels; of nothing where none could be fitted."""
    fitted = np.flatnonzero(np.isfinite(fit.sigmasq))
    if not fitted.size:
        return {}
    places = np.linspace(0, fitted.size - 1, min(SAMPLED_VOXELS, fitted.size)).astype(np.intp)
    sample = fitted[places]
    series = Y[:, sample]
    if offset is not None:
        series = series + offset[sample]
    parameters = [values[sample] for values in fit.noise.values()]
    return whiteness(series, geometry.basis, geometry.scans, generalized, parameters, pool=pool)


def _white_contrasts(
    plain: Sequence[FloatArray], geometry: _Geometry, sigmasq: FloatArray
) -> tuple[ContrastFit, ...]:
    """Return the contrasts of ordinary least squares; `sigmasq` is NaN in lost voxels."""
    lost = 0 * sigmasq
    return tuple(
        ContrastFit(
            effects=effects + lost,
            covariance=np.outer(to_triangle(rows @ rows.T), sigmasq),
            dof=geometry.dof + lost,
        )
        for effects, rows in zip(plain, geometry.contrasts, strict=True)
    )
