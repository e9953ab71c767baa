"""The fit of a run: least squares, with white or autocorrelated noise, voxel by voxel.

The design enters as an orthonormal basis Q of its columns. Degrees of freedom and dispersion
come from one rank, that of Q.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from bids_fx.glm.contrasts import DesignSpace, is_estimable
from bids_fx.glm.names import NOISE_MODELS, normalise_noise_name, unknown_name

__all__ = ["NOISE_MODELS", "RHO_LIMIT", "RunFit", "fit_run", "normalise_noise_name"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: An estimated autocorrelation is kept within plus and minus this: Yule and Walker's quotient of
#: two differently divided sums can pass 1, and the marginal variance is infinite there.
RHO_LIMIT = 0.999
#: Residuals below this share of the series are rounding: there is no noise to test against.
_NO_NOISE = 1e-12
#: How far the columns of the baseline may lie outside the design.
_NESTING_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFit:
    """What a model says of a run.

    Every voxel that is not finite in all scans, does not vary, or is fitted without any residual
    is NaN in all arrays.

    Parameters
    ----------
    effects, variances : ndarray of shape (n_contrasts, n_voxels)
        Effect of each contrast and its variance, in (squared) units of the data.
    dof : float
        Scans minus the rank of the design; that of every variance.
    sigmasq : ndarray of shape (n_voxels,)
        Marginal variance of the noise, in squared units of the data.
    rsquared : ndarray of shape (n_voxels,)
        Share of the variance that is left by the baseline and that the rest of the design takes,
        from 0 to 1; of the data as they are, by ordinary least squares.
    rho : ndarray of shape (n_voxels,) or None
        Autocorrelation at a lag of one scan; None for white noise.
    residual_sd : ndarray of shape (n_voxels,)
        Standard deviation of the residuals of ordinary least squares, in units of the data.
    """

    effects: FloatArray
    variances: FloatArray
    dof: float
    sigmasq: FloatArray
    rsquared: FloatArray
    rho: FloatArray | None
    residual_sd: FloatArray


def fit_run(
    Y: npt.NDArray[np.floating],
    space: DesignSpace,
    contrasts: FloatArray,
    *,
    baseline: DesignSpace,
    noise_model: str,
    n_threads: int = 1,
    block_size: int = 4096,
    offset: FloatArray | None = None,
) -> RunFit:
    r"""Fit a design to every voxel of a run.

    Parameters
    ----------
    Y : ndarray of shape (n_scans, n_voxels)
        The data, usually float32 with each voxel's mean taken out; computed with in float64.
    space : DesignSpace
        The design.
    contrasts : ndarray of shape (n_contrasts, n_columns)
        Weights of the design's columns; every row can be estimated.
    baseline : DesignSpace
        Of the design's drift and constant columns; `rsquared` is counted beyond them.
    noise_model : str
        ``ols`` or ``ar1-yw``.
    n_threads : int
        Threads; >= 1. No result depends on it by a single bit.
    block_size : int
        Voxels that are fitted at a time; >= 1. Results depend on it by rounding in float64 only.
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

    kept within plus and minus `RHO_LIMIT`; then least squares on :math:`y_t - \rho y_{t-1}` (same
    for the design), the first scan as it is, not times :math:`\sqrt{1 - \rho^2}`. Dispersion is
    the whitened residual sum of squares over n - r; the marginal variance is that over
    :math:`1 - \rho^2`. The estimate of :math:`\rho` is biased towards 0 and below by the fit
    itself, the more the more columns the design has.
    """
    geometry = _geometry(Y, space, contrasts, baseline)
    if noise_model not in NOISE_MODELS:
        raise unknown_name("noise model", noise_model, NOISE_MODELS)
    if min(n_threads, block_size) < 1:
        raise ValueError(f"expected 1 or more threads and voxels, found {n_threads}, {block_size}")
    if offset is not None and offset.shape != Y.shape[1:]:
        raise ValueError(f"expected one offset per voxel {Y.shape[1:]}, found {offset.shape}")
    k, n_voxels = contrasts.shape[0], Y.shape[1]
    autoregressive = noise_model != "ols"
    fit = RunFit(
        effects=np.empty((k, n_voxels)),
        variances=np.empty((k, n_voxels)),
        dof=geometry.dof,
        sigmasq=np.empty(n_voxels),
        rsquared=np.empty(n_voxels),
        rho=np.empty(n_voxels) if autoregressive else None,
        residual_sd=np.empty(n_voxels),
    )

    def fit_block(start: int) -> None:
        voxels = slice(start, start + block_size)
        series = Y[:, voxels].astype(np.float64, order="C")
        if offset is not None:
            series += offset[voxels]
        block = _fit_block(series, geometry, autoregressive=autoregressive)
        for into, values in zip(_arrays(fit), _arrays(block), strict=True):
            into[..., voxels] = values

    # BLAS itself would split a product differently for each number of threads; here every block
    # is one thread's, whoever takes it.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(fit_block, range(0, n_voxels, block_size)):
            pass
    return fit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Geometry:
    r"""What the fit needs of the design, in a basis in which its lagged products are diagonal.

    Parameters
    ----------
    basis : ndarray of shape (n_scans, rank)
        Q, rotated so that :math:`\sum_t q_t q_{t-1}' + q_{t-1} q_t'` is diagonal.
    lag_products : ndarray of shape (rank,)
        That diagonal.
    neighbours : ndarray of shape (n_scans, rank)
        :math:`q_{t+1} + q_{t-1}`, with zeros beyond both ends.
    weights : ndarray of shape (n_contrasts, rank)
        The contrasts in this basis.
    task : ndarray of shape (rank, rank - baseline rank)
        Orthonormal coordinates of the part of the design beyond the baseline.
    """

    basis: FloatArray
    lag_products: FloatArray
    neighbours: FloatArray
    weights: FloatArray
    task: FloatArray

    @property
    def dof(self) -> float:
        """Scans minus rank."""
        return float(self.basis.shape[0] - self.basis.shape[1])


def _geometry(
    Y: npt.NDArray[np.floating], space: DesignSpace, contrasts: FloatArray, baseline: DesignSpace
) -> _Geometry:
    if Y.ndim != 2 or Y.shape[0] != space.n_scans:
        raise ValueError(f"expected data of {space.n_scans} scans, found shape {Y.shape}")
    if contrasts.ndim != 2 or contrasts.shape[1] != space.n_columns:
        raise ValueError(
            f"expected contrasts of {space.n_columns} weights, found shape {contrasts.shape}"
        )
    if space.rank >= space.n_scans:
        raise ValueError(f"{space.n_scans} scans leave no degree of freedom: rank {space.rank}")
    bad = [i for i, vector in enumerate(contrasts) if not is_estimable(vector, space)]
    if bad:
        raise ValueError(f"contrasts that the design cannot estimate: {bad}")
    lagged = space.basis[1:].T @ space.basis[:-1]
    lag_products, rotation = np.linalg.eigh(lagged + lagged.T)
    basis = space.basis @ rotation
    neighbours = np.zeros_like(basis)
    neighbours[:-1] += basis[1:]
    neighbours[1:] += basis[:-1]
    shared = baseline.basis.T @ basis
    _, cosines, directions = np.linalg.svd(shared, full_matrices=True)
    if baseline.rank and cosines.min(initial=1.0) < 1 - _NESTING_TOLERANCE:
        raise ValueError("the baseline's columns are not all in the design")
    return _Geometry(
        basis=basis,
        lag_products=lag_products,
        neighbours=neighbours,
        weights=space.coordinates(contrasts) @ rotation,
        task=directions[baseline.rank :].T,
    )


def _arrays(fit: RunFit) -> Iterator[FloatArray]:
    """Iterate over the arrays of a fit, the voxels last in each."""
    yield from (fit.effects, fit.variances, fit.sigmasq, fit.rsquared, fit.residual_sd)
    if fit.rho is not None:
        yield fit.rho


def _fit_block(series: FloatArray, geometry: _Geometry, *, autoregressive: bool) -> RunFit:
    """Fit a block of voxels; `series` is overwritten."""
    usable = np.isfinite(series).all(axis=0) & (series != series[0]).any(axis=0)
    series[:, ~usable] = 0.0
    coordinates = geometry.basis.T @ series
    residuals = series - geometry.basis @ coordinates
    rss = _sum_squares(residuals)
    usable &= rss > _NO_NOISE**2 * _sum_squares(series)
    rss[~usable] = 1.0  # any number that gives no warning
    explained = _sum_squares(geometry.task.T @ coordinates)
    white = rss / geometry.dof
    if autoregressive:
        effects, scale, dispersion, rho = _yule_walker_fit(coordinates, residuals, rss, geometry)
    else:
        effects, dispersion, rho = geometry.weights @ coordinates, white, np.zeros_like(rss)
        scale = _sum_squares(geometry.weights.T)[:, np.newaxis]
    lost = np.where(usable, 0.0, np.nan)
    return RunFit(
        effects=effects + lost,
        variances=dispersion * scale + lost,
        dof=geometry.dof,
        sigmasq=dispersion / (1 - rho**2) + lost,
        rsquared=explained / (explained + rss) + lost,
        rho=rho + lost if autoregressive else None,
        residual_sd=np.sqrt(white) + lost,
    )


def _yule_walker_fit(
    coordinates: FloatArray, residuals: FloatArray, rss: FloatArray, geometry: _Geometry
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    r"""Return effects, their variances at unit dispersion, the dispersion and rho.

    Notes
    -----
    With W the whitening, q the last row of Q and L the lag products, the normal matrix of the
    whitened design is

    .. math:: M = (WQ)'(WQ) = I - \rho L + \rho^2 (I - q q') = D - \rho^2 q q'.

    L is diagonal in this basis, so that D is, and M is inverted by Sherman and Morrison's formula:
    a few products per voxel. Generalised least squares is ordinary least squares plus a step
    d that solves :math:`M d = (WQ)'We`, where :math:`Q'e = 0` leaves
    :math:`-\rho \sum_t (q_{t+1} + q_{t-1}) e_t - \rho^2 q e_n`; the residual sum of squares is
    :math:`\|We\|^2 - d'(WQ)'We`.
    """
    n_scans = residuals.shape[0]
    last, last_row = residuals[-1], geometry.basis[-1][:, np.newaxis]
    lag = np.einsum("tv,tv->v", residuals[1:], residuals[:-1])
    rho = np.clip((lag / (n_scans - 1)) / (rss / n_scans), -RHO_LIMIT, RHO_LIMIT)
    squared = rho**2
    diagonal = 1 + squared - geometry.lag_products[:, np.newaxis] * rho
    inverse = 1 / diagonal
    # M^-1 = D^-1 + gain * (D^-1 q)(D^-1 q)'
    gain = squared / (1 - squared * (last_row[:, 0] ** 2 @ inverse))
    moment = -rho * (geometry.neighbours.T @ residuals) - squared * last_row * last
    step = inverse * moment
    step += inverse * last_row * (gain * (last_row[:, 0] @ step))
    whitened_rss = rss - 2 * rho * lag + squared * (rss - last**2) - (step * moment).sum(axis=0)
    dispersion = whitened_rss / geometry.dof
    weights = geometry.weights
    scale = weights**2 @ inverse + gain * ((weights * last_row[:, 0]) @ inverse) ** 2
    return weights @ (coordinates + step), scale, dispersion, rho


def _sum_squares(values: FloatArray) -> FloatArray:
    """Return the sum of squares of each column."""
    squares: FloatArray = np.einsum("ij,ij->j", values, values)
    return squares
