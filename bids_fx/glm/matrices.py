"""Small symmetric matrices of many voxels, voxels last: every step is taken for all at once.

The first one or two axes hold a matrix or its upper triangle, row by row; the others are carried
along. Each element is computed by itself, so that no voxel depends on another by a bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bids_fx.glm.sums import sum_first

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


def to_square(triangle: FloatArray, q: int) -> FloatArray:
    """Return matrices, shape (q, q, ...), from their triangles, shape (q (q + 1) / 2, ...).

    Examples
    --------
    >>> to_square(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    full: FloatArray = triangle[_places(q)]
    return full


def to_triangle(square: FloatArray) -> FloatArray:
    """Return the upper triangles, shape (q (q + 1) / 2, ...), of matrices, shape (q, q, ...).

    Examples
    --------
    >>> to_triangle(np.array([[1.0, 2.0], [2.0, 3.0]])).tolist()
    [1.0, 2.0, 3.0]
    """
    upper: FloatArray = square[np.triu_indices(len(square))]
    return upper


def product(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return matrix products, of shapes (n, q, ...) and (q, m, ...)."""
    total: FloatArray = a[:, 0, np.newaxis] * b[0]
    for j in range(1, len(b)):
        total += a[:, j, np.newaxis] * b[j]
    return total


def inverse(square: FloatArray) -> FloatArray:
    """Invert positive definite matrices, by Gauss and Jordan's sweeps.

    Examples
    --------
    >>> inverse(np.array([[4.0, 2.0], [2.0, 2.0]])[..., np.newaxis])[..., 0].tolist()
    [[0.5, -0.5], [-0.5, 1.0]]
    """
    a = square.copy()
    for k in range(len(a)):
        pivot = a[k, k].copy()
        row, column = a[k] / pivot, a[:, k].copy()
        a -= column[:, np.newaxis] * row
        a[k], a[:, k] = row, -column / pivot
        a[k, k] = 1 / pivot
    return a


def are_positive_definite(square: FloatArray) -> BoolArray:
    """Tell which finite symmetric matrices are positive definite: all their pivots are."""
    a = square.copy()
    positive = np.ones(a.shape[2:], dtype=bool)
    for k in range(len(a)):
        positive &= a[k, k] > 0
        share = a[k, k + 1 :] / np.where(positive, a[k, k], 1.0)
        a[k + 1 :, k + 1 :] -= share[:, np.newaxis] * np.where(positive, a[k, k + 1 :], 0.0)
    return positive


def quadratic_form(square: FloatArray, vector: FloatArray) -> FloatArray:
    """Return x'C^-1 x of positive definite matrices C and vectors x, shape (q, ...).

    Examples
    --------
    >>> matrix, vector = np.array([[4.0, 2.0], [2.0, 2.0]]), np.array([2.0, 3.0])
    >>> quadratic_form(matrix[..., np.newaxis], vector[..., np.newaxis])
    array([5.])
    """
    a, x = square.copy(), vector.copy()
    total = np.zeros(x.shape[1:])
    for k in range(len(a)):
        total += x[k] ** 2 / a[k, k]
        share = a[k, k + 1 :] / a[k, k]
        x[k + 1 :] -= share * x[k]
        a[k + 1 :, k + 1 :] -= share[:, np.newaxis] * a[k, k + 1 :]
    return total


def pair_products(numbers: FloatArray) -> FloatArray:
    """Return the products of every two of some numbers, shape (m, ...), each pair once.

    Examples
    --------
    >>> pair_products(np.array([2.0, 3.0])).tolist()
    [4.0, 6.0, 9.0]
    """
    m = len(numbers)
    pairs = np.empty((m * (m + 1) // 2, *numbers.shape[1:]))
    start = 0
    for i, number in enumerate(numbers):
        stop = start + m - i
        np.multiply(number, numbers[i:], out=pairs[start:stop])
        start = stop
    return pairs


def straight(pairs: FloatArray, phi: FloatArray, q: int) -> FloatArray:
    r"""Return triangles of :math:`\sum_i P_i \operatorname{tr}(P_i \Phi)`.

    Parameters
    ----------
    pairs : ndarray of shape (m (m + 1) / 2, ...)
        :math:`\sum_i` of the `pair_products` of :math:`P_i`, where m = q (q + 1) / 2.
    phi : ndarray of shape (m, ...)
        Triangles of :math:`\Phi`.
    q : int
        Rows.
    """
    places, of_pair = _places(q), _places(len(phi))
    total = np.zeros_like(phi)
    for a in range(q):
        for b in range(q):
            total += pairs[of_pair[:, places[a, b]]] * phi[places[a, b]]
    return total


def cross(pairs: FloatArray, phi: FloatArray, q: int) -> FloatArray:
    r"""Return triangles of :math:`\sum_i P_i \Phi P_i`; for the parameters see `straight`."""
    places, of_pair = _places(q), _places(len(phi))
    row, column = np.triu_indices(q)
    total = np.zeros_like(phi)
    for a in range(q):
        for b in range(q):
            total += pairs[of_pair[places[row, a], places[b, column]]] * phi[places[a, b]]
    return total


def trace_product(first: FloatArray, second: FloatArray, q: int) -> FloatArray:
    """Return the traces of products of symmetric matrices, from their triangles."""
    row, column = np.triu_indices(q)
    times = np.where(row == column, 1.0, 2.0).reshape(-1, *(1,) * (first.ndim - 1))
    return sum_first(times * first * second)


def _places(q: int) -> IntArray:
    """Return the place in a triangle of each element of a matrix."""
    places = np.empty((q, q), dtype=np.intp)
    row, column = np.triu_indices(q)
    places[row, column] = places[column, row] = np.arange(row.size)
    return places
