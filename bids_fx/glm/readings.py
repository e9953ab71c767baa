"""What the data contribute to generalised least squares at every value of the noise parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bids_fx.glm.correlation import CorrelationModel, IntArray

FloatArray = npt.NDArray[np.float64]

#: From residuals of shape (n_scans, n_voxels), node by node: e'R^-1 e, shape (n_voxels,), and
#: the node's reader times Q'R^-1 e, shape (rank + n_rows, n_voxels).
Reading = Callable[[FloatArray], Iterator[tuple[FloatArray, FloatArray]]]


def make_reading(
    model: CorrelationModel, scans: IntArray, basis: FloatArray, readers: Sequence[FloatArray]
) -> Reading:
    """Return a function that reads residuals of ordinary least squares at every node.

    Parameters
    ----------
    model : CorrelationModel
        The family of correlations.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that are there.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis Q of the design.
    readers : sequence of ndarray of shape (rank + n_rows, rank)
        Of `DesignTable`.

    Returns
    -------
    callable
        It takes residuals e, shape (n_scans, n_voxels) with Q'e = 0, and gives for each node
        e'R^-1 e, shape (n_voxels,), and the node's reader times Q'R^-1 e.
    """
    if model.chain is not None:
        precisions = [model.chain(scans, parameters) for parameters in model.box.nodes]
        rhos = [rho for (rho,) in model.box.nodes]
        return _chain_reading(rhos, precisions, scans, basis, readers)
    return _state_reading(model, scans, basis, readers)


def _chain_reading(
    rhos: Sequence[float],
    precisions: Sequence[sparse.dia_array],
    scans: IntArray,
    basis: FloatArray,
    readers: Sequence[FloatArray],
) -> Reading:
    r"""Return the reading of a tridiagonal precision, from lagged products alone.

    :math:`R^{-1} = a I - b L + D`, where L joins scans one apart and D concerns only the scans
    beside a gap or an end. As :math:`Q'e = 0`, the sums :math:`e'e`, :math:`e'Le`,
    :math:`(LQ)'e` and those few scans of e are all that any node needs of the data.
    """
    adjacent = np.diff(scans) == 1
    neighbours = np.zeros_like(basis)
    neighbours[:-1] += adjacent[:, np.newaxis] * basis[1:]
    neighbours[1:] += adjacent[:, np.newaxis] * basis[:-1]
    count = np.zeros(scans.size)
    count[:-1] += adjacent
    count[1:] += adjacent
    special = np.flatnonzero(count < 2)
    joins = np.flatnonzero(~adjacent)  # the scan before each gap
    before = np.searchsorted(special, joins)
    lags, quadratic, linear = [], [], []
    for rho, precision, reader in zip(rhos, precisions, readers, strict=True):
        level, lag = (1 + rho**2) / (1 - rho**2), rho / (1 - rho**2)
        diagonal, beside = precision.diagonal(0)[special] - level, precision.diagonal(1)[joins]
        lags.append((level, lag))
        quadratic.append(np.concatenate([diagonal, 2 * beside]))
        rest = basis[special] * diagonal[:, np.newaxis]
        rest[before] += beside[:, np.newaxis] * basis[special[before + 1]]
        rest[before + 1] += beside[:, np.newaxis] * basis[special[before]]
        linear.append(reader @ np.hstack([-lag * np.eye(basis.shape[1]), rest.T]))
    coefficients, quadratics = np.array(lags), np.array(quadratic)
    both = np.array(joins + 1)
    links = np.flatnonzero(adjacent) + 1

    def read(residuals: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        rss = np.einsum("tv,tv->v", residuals, residuals)
        if links.size == scans.size - 1:
            lagged = np.einsum("tv,tv->v", residuals[1:], residuals[:-1])
        else:
            lagged = np.einsum("tv,tv->v", residuals[links], residuals[links - 1])
        apart = residuals[special]
        squares = np.vstack([apart**2, residuals[joins] * residuals[both]])
        features = np.vstack([neighbours.T @ residuals, apart])
        sums = coefficients @ np.stack([rss, -2 * lagged]) + quadratics @ squares
        for total, matrix in zip(sums, linear, strict=True):
            yield total, matrix @ features

    return read


def _state_reading(
    model: CorrelationModel, scans: IntArray, basis: FloatArray, readers: Sequence[FloatArray]
) -> Reading:
    """Return the reading by Kalman's filter, whose innovations are the whitened series."""
    whiteners = [Whitener.of(scans, *parameters) for parameters in model.box.nodes]
    whitened = [whitener.whiten(basis) for whitener in whiteners]
    matrices = [reader @ W.T for reader, W in zip(readers, whitened, strict=True)]

    def read(residuals: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        for whitener, matrix in zip(whiteners, matrices, strict=True):
            series = whitener.whiten(residuals)
            yield np.einsum("tv,tv->v", series, series), matrix @ series

    return read


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
        steps = np.zeros((scans.size, *rho.shape))
        for t, gap in enumerate(np.diff(scans).tolist()):
            steps[t] = rho**gap
        gains, sds = np.empty_like(steps), np.empty_like(steps)
        state = 1 - white
        for t, step in enumerate(steps):
            variance = state + white
            gains[t], sds[t] = state / variance, np.sqrt(variance)
            state = step**2 * gains[t] * white + (1 - step**2) * (1 - white)
        return cls(gains=gains, steps=steps, sds=sds)

    def whiten(self, series: FloatArray) -> FloatArray:
        """Return the innovations of each column, over their standard deviations."""
        result = np.empty_like(series)
        state = np.zeros(series.shape[1])
        for t, row in enumerate(series):
            np.subtract(row, state, out=result[t])
            state += self.gains[t] * result[t]
            state *= self.steps[t]
            result[t] /= self.sds[t]
        return result
