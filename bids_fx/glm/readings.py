"""What the data contribute to generalised least squares at every value of the noise parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bids_fx.glm.correlation import CorrelationModel, IntArray, autoregressive_spectrum
from bids_fx.glm.matrices import pair_products, to_triangle

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What generalised least squares needs of a block of voxels.

    Parameters
    ----------
    left : ndarray of shape (n_nodes, n_voxels)
        Weighted sum of squares that the design leaves at each node.
    added : callable
        From weights of the nodes, shape (n_nodes, n_voxels), to what is to be added to each row
        of ordinary least squares, shape (n_rows, n_voxels).
    """

    left: FloatArray
    added: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A way to read residuals of ordinary least squares at every node.

    Parameters
    ----------
    read : callable
        From residuals e, shape (n_scans, n_voxels) with Q'e = 0, and their sums of squares, shape
        (n_voxels,).
    numbers_per_voxel : int
        How many numbers it holds at once beside the residuals.
    """

    read: Callable[[FloatArray, FloatArray], Read]
    numbers_per_voxel: int


def make_reading(
    model: CorrelationModel,
    scans: IntArray,
    basis: FloatArray,
    factors: Sequence[FloatArray],
    rows: Sequence[FloatArray],
) -> Reading:
    """Return the way to read residuals of ordinary least squares at every node.

    Parameters
    ----------
    model : CorrelationModel
        The family of correlations.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that are there.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis Q of the design.
    factors : sequence of ndarray of shape (rank, rank)
        By node, U of `DesignTable`.
    rows : sequence of ndarray of shape (n_rows, rank)
        By node, what takes Q'R^-1 e to what is added to each row.

    Returns
    -------
    Reading
        What is left at a node is e'R^-1 e - |U Q'R^-1 e|².
    """
    if model.chain is not None:
        precisions = [model.chain(scans, parameters) for parameters in model.box.nodes]
        rhos = [rho for (rho,) in model.box.nodes]
        return _chain_reading(rhos, precisions, scans, basis, factors=factors, rows=rows)
    return _spectral_reading(model, scans, basis, factors, rows)


def _chain_reading(
    rhos: Sequence[float],
    precisions: Sequence[sparse.dia_array],
    scans: IntArray,
    basis: FloatArray,
    *,
    factors: Sequence[FloatArray],
    rows: Sequence[FloatArray],
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
    count = np.append(adjacent, False).astype(int) + np.append(False, adjacent)
    special = np.flatnonzero(count < 2)
    joins = np.flatnonzero(~adjacent)  # the scan before each gap
    before = np.searchsorted(special, joins)
    totals, maps = [], []
    for rho, precision in zip(rhos, precisions, strict=True):
        level, lag = (1 + rho**2) / (1 - rho**2), rho / (1 - rho**2)
        diagonal, beside = precision.diagonal(0)[special] - level, precision.diagonal(1)[joins]
        totals.append(np.concatenate([[level, -2 * lag], diagonal, 2 * beside]))
        rest = basis[special] * diagonal[:, np.newaxis]
        rest[before] += beside[:, np.newaxis] * basis[special[before + 1]]
        rest[before + 1] += beside[:, np.newaxis] * basis[special[before]]
        maps.append(np.hstack([-lag * np.eye(basis.shape[1]), rest.T]))
    sums = np.array(totals)
    taken = _squares([factor @ part for factor, part in zip(factors, maps, strict=True)])
    # From (n_rows, n_features, n_nodes) and weights come each voxel's own maps.
    steps = np.stack([row @ part for row, part in zip(rows, maps, strict=True)], axis=-1)
    links = np.flatnonzero(adjacent) + 1

    def read(residuals: FloatArray, rss: FloatArray) -> Read:
        if links.size == scans.size - 1:
            lagged = np.einsum("tv,tv->v", residuals[1:], residuals[:-1])
        else:
            lagged = np.einsum("tv,tv->v", residuals[links], residuals[links - 1])
        apart = residuals[special]
        features = np.vstack([neighbours.T @ residuals, apart])
        between = residuals[joins] * residuals[joins + 1]
        left = sums @ np.vstack([rss, lagged, apart**2, between])
        left -= taken(features)

        def added(weights: FloatArray) -> FloatArray:
            found = np.empty((len(steps), rss.size))
            for step, into in zip(steps, found, strict=True):
                np.einsum("fv,fv->v", step @ weights, features, out=into)
            return found

        return Read(left=left, added=added)

    n_features = basis.shape[1] + special.size
    numbers = _count_pairs(n_features, basis.shape[1]) + 3 * n_features + 2 * len(rhos)
    return Reading(read=read, numbers_per_voxel=numbers + 2 * (scans.size - links.size - 1))


def _squares(maps: Sequence[FloatArray]) -> Callable[[FloatArray], FloatArray]:
    """Return what takes features to the sum of squares of each linear map of them.

    Parameters
    ----------
    maps : sequence of ndarray of shape (n_values, n_features)

    Returns
    -------
    callable
        From (n_features, n_voxels) to (n_maps, n_voxels).
    """
    n_values, n_features = maps[0].shape
    if not _count_pairs(n_features, n_values):

        def one_by_one(features: FloatArray) -> FloatArray:
            squares = np.empty((len(maps), features.shape[1]))
            for part, into in zip(maps, squares, strict=True):
                values = part @ features
                np.einsum("rv,rv->v", values, values, out=into)
            return squares

        return one_by_one
    twice = to_triangle(2 - np.eye(n_features))
    forms = np.array([to_triangle(part.T @ part) * twice for part in maps])

    return lambda features: np.asarray(forms @ pair_products(features))


def _count_pairs(n_features: int, n_values: int) -> int:
    """Return how many pairs of features there are, 0 where it is quicker to do without.

    That is where gaps make many features: squares of the maps are fewer products then.
    """
    return n_features * (n_features + 1) // 2 if n_features <= 2 * n_values else 0


def _spectral_reading(
    model: CorrelationModel,
    scans: IntArray,
    basis: FloatArray,
    factors: Sequence[FloatArray],
    rows: Sequence[FloatArray],
) -> Reading:
    r"""Return the reading of an autoregression plus white noise, by the former's eigenvectors.

    With the autoregression's :math:`V \Lambda V'` the precision is
    :math:`V (w I + (1 - w) \Lambda)^{-1} V'`: all shares of white noise share one rotation of
    the data.
    """
    shares = model.box.axes[1].n_nodes  # the axis that runs fastest
    rank, n_rows = basis.shape[1], len(rows[0])
    parts = []
    for first in range(0, len(model.box.nodes), shares):
        nodes = np.array(model.box.nodes[first : first + shares])
        values, vectors = autoregressive_spectrum(scans, nodes[0, 0])
        white = nodes[:, 1:]
        inverse = 1 / (white + (1 - white) * values)
        turned = (vectors.T @ basis).T
        matrices = [
            np.vstack([factors[first + i], rows[first + i]]) @ (turned * inverse[i])
            for i in range(shares)
        ]
        parts.append((vectors.T, inverse, np.vstack(matrices)))

    def read(residuals: FloatArray, rss: FloatArray) -> Read:
        left = np.empty((len(parts), shares, rss.size))
        steps = np.empty((len(parts), shares, n_rows, rss.size))
        for place, (turn, inverse, matrix) in enumerate(parts):
            series = turn @ residuals
            mapped = (matrix @ series).reshape(shares, rank + n_rows, rss.size)
            taken = np.einsum("wrv,wrv->wv", mapped[:, :rank], mapped[:, :rank])
            left[place] = inverse @ np.square(series, out=series) - taken
            steps[place] = mapped[:, rank:]
        return Read(
            left=left.reshape(len(factors), rss.size),
            added=lambda weights: np.asarray(
                np.einsum("wpv,wprv->rv", weights.reshape(left.shape), steps)
            ),
        )

    numbers = len(factors) * (n_rows + 1) + shares * (rank + n_rows) + scans.size + n_rows
    return Reading(read=read, numbers_per_voxel=numbers)


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
        gains, sds = np.empty_like(steps), np.empty_like(steps)
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
