"""What is left of the noise's correlation once a model has taken its part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.correlation import IntArray
from bids_fx.glm.generalized import Generalized
from bids_fx.glm.ordinary import fit_ordinary, sum_squares
from bids_fx.glm.readings import make_reading

FloatArray = npt.NDArray[np.float64]

#: Lags that are looked at, in kept scans.
LAGS = (1, 2, 3)
#: Voxels that are whitened at a time.
_PIECE = 250
#: Two-sided 5 % of the normal distribution.
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Whitener:
    """Kalman's filter of an autoregression plus white noise.

    Parameters
    ----------
    gains, sds : ndarray of shape (n_scans,) or (n_scans, n_voxels)
        Of each innovation, what of it goes on into the next scan, and its standard deviation.
    steps : ndarray of the same shape
        Autocorrelation from each scan to the next.
    """

    gains: FloatArray
    steps: FloatArray
    sds: FloatArray

    @classmethod
    def of(cls, scans: IntArray, rho: npt.ArrayLike, white: npt.ArrayLike = 0.0) -> Whitener:
        """Return the filter for scans of which some may be missing.

        Parameters
        ----------
        scans : ndarray of int, shape (n_scans,)
            Numbers of the scans that are there.
        rho, white : float or ndarray of shape (n_voxels,)
            Autocorrelation of the autoregressive part, and the share of white noise in the
            variance.
        """
        rho, white = np.broadcast_arrays(np.asarray(rho, float), np.asarray(white, float))
        gaps, where = np.unique(np.diff(scans), return_inverse=True)
        steps = np.zeros((scans.size, *rho.shape))
        steps[:-1] = np.array([rho**gap for gap in gaps.tolist()])[where]
        gains, sds = np.ones_like(steps), np.ones_like(steps)
        if not white.any():
            sds[1:] = np.sqrt(1 - steps[:-1] ** 2)
            return cls(gains=gains, steps=steps, sds=sds)
        state = 1 - white
        for t, step in enumerate(steps):
            variance = state + white
            gains[t], sds[t] = state / variance, np.sqrt(variance)
            state = step**2 * gains[t] * white + (1 - step**2) * (1 - white)
        return cls(gains=gains, steps=steps, sds=sds)

    def whiten(self, series: FloatArray) -> FloatArray:
        """Return the innovations of each column, over their standard deviations.

        The shape of `series`, (n_scans, ..., n_voxels), is broadcast with that of the gains.
        """
        lacking = series.ndim - self.gains.ndim
        gains, steps, sds = (
            values.reshape(len(values), *(1,) * lacking, *values.shape[1:])
            for values in (self.gains, self.steps, self.sds)
        )
        result = np.empty(np.broadcast_shapes(series.shape, gains.shape))
        if (gains == 1).all():  # no white noise: the last scan alone tells what to expect
            result[0] = series[0]
            np.multiply(series[:-1], -steps[:-1], out=result[1:])
            result[1:] += series[1:]
            result /= sds
            return result
        state = np.zeros(result.shape[1:])
        for t, row in enumerate(series):
            np.subtract(row, state, out=result[t])
            state += gains[t] * result[t]
            state *= steps[t]
            result[t] /= sds[t]
        return result


def whiteness(
    series: npt.NDArray[np.floating],
    basis: FloatArray,
    scans: IntArray,
    generalized: Generalized | None,
    parameters: Sequence[FloatArray],
    *,
    pool: Executor,
) -> dict[str, float]:
    r"""Measure the autocorrelation of residuals, before and after whitening.

    Parameters
    ----------
    series : ndarray of shape (n_scans, n_voxels)
        Data of some voxels, all finite and fitted.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis of the design.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that are there.
    generalized : Generalized or None
        The fit's noise model; None for white noise.
    parameters : sequence of ndarray of shape (n_voxels,)
        The noise parameters of the voxels.
    pool : Executor
        Where pieces of the voxels are measured; no result depends on it.

    Returns
    -------
    dict of str to float
        ``residual_autocorrelation_lag1``: of the residuals of ordinary least squares;
        ``whitened_autocorrelation_lag1`` to ``lag3``: of the whitened residuals of the fit, the
        model's own (for white noise the same residuals). Each is the median over the voxels of
        the autocorrelation beyond what the design's projection leaves in white noise, and so
        about 0 for noise that follows the model. ``whitened_outside_share``: share of voxels and
        lags beyond plus and minus :math:`1.96 / \sqrt{n - r}`, about 0.05 for such noise.

    Notes
    -----
    Projecting the design out leaves white noise correlated: with H the projection onto the
    whitened design, the expected sum of products at lag k is :math:`-\sum_t H_{t, t-k}` times the
    variance, and that of the squares n - r times. Whitening is by Kalman's filter, exact across
    gaps, with the fit's own parameters, also where the fit whitened in pieces; lags are counted in
    kept scans.
    """
    left = _left_by_design(basis, np.eye(basis.shape[1]))
    measure = None if generalized is None else _whitening(scans, generalized)

    def of_piece(first: int) -> tuple[FloatArray, FloatArray]:
        voxels = slice(first, first + _PIECE)
        _, residuals = fit_ordinary(series[:, voxels].astype(np.float64), basis)
        found = _excess(residuals, left)
        if measure is None:
            return found, found
        return found, measure(residuals, [values[voxels] for values in parameters])

    pieces = list(pool.map(of_piece, range(0, series.shape[1], _PIECE)))
    before, after = (np.hstack(part) for part in zip(*pieces, strict=True))
    limit = _NORMAL_95 / np.sqrt(basis.shape[0] - basis.shape[1])
    measures = {"residual_autocorrelation_lag1": float(np.median(before[0]))}
    measures |= {
        f"whitened_autocorrelation_lag{lag}": float(np.median(values))
        for lag, values in zip(LAGS, after, strict=True)
    }
    return measures | {"whitened_outside_share": float((np.abs(after) > limit).mean())}


def _whitening(
    scans: IntArray, generalized: Generalized
) -> Callable[[FloatArray, Sequence[FloatArray]], FloatArray]:
    """Return what measures whitened residuals.

    It takes residuals of ordinary least squares and noise parameters to the excess
    autocorrelation, shape (n_lags, n_voxels).
    """
    model, basis = generalized.model, generalized.basis
    factors = generalized.table.factors
    covariances = [factor.T @ factor for factor in factors]
    reading = make_reading(model, scans, basis, factors, covariances)
    designs = Whitener.of(scans, *np.transpose(model.box.nodes)).whiten(basis[..., np.newaxis])
    expected = np.array(
        [
            _left_by_design(design, covariance)
            for design, covariance in zip(designs.transpose(2, 0, 1), covariances, strict=True)
        ]
    )

    def measure(residuals: FloatArray, parameters: Sequence[FloatArray]) -> FloatArray:
        weights = model.box.weights(model.box.coordinates(parameters))
        step = reading.read(residuals).added(weights)
        whitened = Whitener.of(scans, *parameters).whiten(residuals - basis @ step)
        return _excess(whitened, expected.T @ weights)

    return measure


def _excess(residuals: FloatArray, expected: FloatArray) -> FloatArray:
    """Return the autocorrelations at each lag less what is expected of white noise."""
    squares = sum_squares(residuals)
    found = [np.einsum("tv,tv->v", residuals[k:], residuals[:-k]) / squares for k in LAGS]
    return np.stack(found) - expected.reshape(len(LAGS), -1)


def _left_by_design(design: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the autocorrelation at each lag that projecting a design out leaves."""
    half = design @ covariance
    dof = design.shape[0] - design.shape[1]
    return np.array([-np.einsum("tr,tr->", half[k:], design[:-k]) / dof for k in LAGS])
