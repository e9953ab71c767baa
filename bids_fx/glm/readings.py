"""What the data contribute to generalised least squares at every value of the noise parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bids_fx.glm.correlation import CorrelationModel, IntArray, autoregressive_spectrum
from bids_fx.glm.matrices import pair_products, to_triangle
from bids_fx.glm.ordinary import Ordinary, fit_ordinary, sum_squares

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


#: Where the design takes all but this share of a voxel's squares, what is left is counted anew
#: from its residuals: differences of sums have lost digits.
_DOUBTFUL = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What generalised least squares needs of a block of voxels.

    Parameters
    ----------
    ordinary : Ordinary
        Where it starts from.
    lagged : ndarray of shape (n_voxels,)
        Sum over adjacent scans of products of the residuals of ordinary least squares.
    left : ndarray of shape (n_nodes, n_voxels)
        Weighted sum of squares that the design leaves at each node.
    added : callable
        From weights of the nodes, shape (n_nodes, n_voxels), to what is to be added to each row
        of ordinary least squares, shape (n_rows, n_voxels).
    """

    ordinary: Ordinary
    lagged: FloatArray
    left: FloatArray
    added: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A way to read series at every node.

    Parameters
    ----------
    read : callable
        From finite series, shape (n_scans, n_voxels).
    numbers_per_voxel : int
        How many numbers it holds at once beside the series.
    """

    read: Callable[[FloatArray], Read]
    numbers_per_voxel: int


def make_reading(
    model: CorrelationModel,
    scans: IntArray,
    basis: FloatArray,
    factors: Sequence[FloatArray],
    rows: Sequence[FloatArray],
) -> Reading:
    """Return the way to read series at every node.

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
        With e the residuals of ordinary least squares, what is left at a node is
        e'R^-1 e - |U Q'R^-1 e|².
    """
    if model.chain is not None:
        precisions = [model.chain(scans, parameters) for parameters in model.box.nodes]
        rhos = [rho for (rho,) in model.box.nodes]
        return _chain_reading(rhos, precisions, scans, basis, factors=factors, rows=rows)
    return _spectral_reading(model, scans, basis, factors, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """Sums of residuals that are all that a tridiagonal precision asks of them.

    Parameters
    ----------
    coordinates, rss, lagged : ndarray
        As in `Ordinary` and `Read`.
    beside : ndarray of shape (rank, n_voxels)
        (LQ)'e, where L joins scans one apart.
    apart : ndarray of shape (n_special, n_voxels)
        Residuals of the scans beside a gap or an end.
    """

    coordinates: FloatArray
    rss: FloatArray
    lagged: FloatArray
    beside: FloatArray
    apart: FloatArray


def _chain_sums(
    adjacent: BoolArray, basis: FloatArray, special: IntArray
) -> Callable[[FloatArray], _Chain]:
    """Return what takes series, shape (n_scans, n_voxels), to sums of their residuals.

    `adjacent`, shape (n_scans - 1,), tells where the next scan is one apart, `special` numbers the
    scans beside a gap or an end. The residuals themselves are not formed, which would take as long
    as all else: what the design takes of a sum follows from the series' products with Q and LQ.
    """
    rank = basis.shape[1]
    neighbours = np.zeros_like(basis)
    neighbours[:-1] += adjacent[:, np.newaxis] * basis[1:]
    neighbours[1:] += adjacent[:, np.newaxis] * basis[:-1]
    both = np.vstack([basis.T, neighbours.T])
    within = basis.T @ neighbours
    links = np.flatnonzero(adjacent) + 1
    whole = adjacent.all()

    def sums(series: FloatArray) -> _Chain:
        products = both @ series
        coordinates, beside = products[:rank], products[rank:]
        rss = sum_squares(series) - sum_squares(coordinates)
        later, before = (series[1:], series[:-1]) if whole else (series[links], series[links - 1])
        lagged = np.einsum("tv,tv->v", later, before)
        taken = within @ coordinates
        lagged -= np.einsum("rv,rv->v", coordinates, beside - taken / 2)
        beside -= taken
        return _Chain(
            coordinates=coordinates,
            rss=rss,
            lagged=lagged,
            beside=beside,
            apart=series[special] - basis[special] @ coordinates,
        )

    def checked(series: FloatArray) -> _Chain:
        found = sums(series)
        doubtful = np.flatnonzero(found.rss < _DOUBTFUL * sum_squares(found.coordinates))
        if doubtful.size:
            first = found.coordinates[:, doubtful]
            again = sums(series[:, doubtful] - basis @ first)
            again.coordinates[...] += first
            for part in fields(_Chain):
                getattr(found, part.name)[..., doubtful] = getattr(again, part.name)
        return found

    return checked


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
    weights_of_sums = np.array(totals)
    taken = _squares([factor @ part for factor, part in zip(factors, maps, strict=True)])
    # From (n_rows, n_features, n_nodes) and weights come each voxel's own maps.
    steps = np.stack([row @ part for row, part in zip(rows, maps, strict=True)], axis=-1)
    sums = _chain_sums(adjacent, basis, special)

    def read(series: FloatArray) -> Read:
        found = sums(series)
        features = np.vstack([found.beside, found.apart])
        between = found.apart[before] * found.apart[before + 1]
        left = weights_of_sums @ np.vstack([found.rss, found.lagged, found.apart**2, between])
        left -= taken(features)

        def added(weights: FloatArray) -> FloatArray:
            added_rows = np.empty((len(steps), found.rss.size))
            for step, into in zip(steps, added_rows, strict=True):
                np.einsum("fv,fv->v", step @ weights, features, out=into)
            return added_rows

        return Read(
            ordinary=Ordinary(coordinates=found.coordinates, rss=found.rss),
            lagged=found.lagged,
            left=left,
            added=added,
        )

    n_features = basis.shape[1] + special.size
    numbers = _count_pairs(n_features, basis.shape[1]) + 3 * n_features + 2 * len(rhos)
    gaps = 0 if joins.size == 0 else 2 * scans.size
    return Reading(read=read, numbers_per_voxel=numbers + 3 * basis.shape[1] + gaps)


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
                into[...] = sum_squares(values)
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

    links = np.flatnonzero(np.diff(scans) == 1) + 1

    def read(series: FloatArray) -> Read:
        ordinary, residuals = fit_ordinary(series, basis)
        n_voxels = ordinary.rss.size
        left = np.empty((len(parts), shares, n_voxels))
        steps = np.empty((len(parts), shares, n_rows, n_voxels))
        for place, (turn, inverse, matrix) in enumerate(parts):
            turned = turn @ residuals
            mapped = (matrix @ turned).reshape(shares, rank + n_rows, n_voxels)
            taken = np.einsum("wrv,wrv->wv", mapped[:, :rank], mapped[:, :rank])
            left[place] = inverse @ np.square(turned, out=turned) - taken
            steps[place] = mapped[:, rank:]
        return Read(
            ordinary=ordinary,
            lagged=np.einsum("tv,tv->v", residuals[links], residuals[links - 1]),
            left=left.reshape(len(factors), n_voxels),
            added=lambda weights: np.asarray(
                np.einsum("wpv,wprv->rv", weights.reshape(left.shape), steps)
            ),
        )

    numbers = len(factors) * (n_rows + 1) + shares * (rank + n_rows) + 2 * scans.size + n_rows
    return Reading(read=read, numbers_per_voxel=numbers)
