"""Symmetric matrices and their upper triangles, row by row, as they are written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def to_square(triangle: FloatArray, q: int) -> FloatArray:
    """Return symmetric matrices from their upper triangles.

    Parameters
    ----------
    triangle : ndarray of shape (..., q * (q + 1) / 2)
        Row by row: (1, 1), (1, 2), ..., (2, 2), ...
    q : int
        Number of rows.

    Returns
    -------
    ndarray of shape (..., q, q)

    Examples
    --------
    >>> to_square(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    row, column = np.triu_indices(q)
    square = np.empty((*triangle.shape[:-1], q, q))
    square[..., row, column] = triangle
    square[..., column, row] = triangle
    return square


def to_triangle(square: FloatArray) -> FloatArray:
    """Return the upper triangles of symmetric matrices.

    Parameters
    ----------
    square : ndarray of shape (..., q, q)

    Returns
    -------
    ndarray of shape (..., q * (q + 1) / 2)
        Row by row.

    Examples
    --------
    >>> to_triangle(np.array([[1.0, 2.0], [2.0, 3.0]])).tolist()
    [1.0, 2.0, 3.0]
    """
    row, column = np.triu_indices(square.shape[-1])
    return square[..., row, column]
