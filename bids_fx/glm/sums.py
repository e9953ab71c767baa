"""Sums over runs, of all of them and of all but one, that no number of voxels changes by a bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def sum_first(values: FloatArray) -> FloatArray:
    """Sum over the first axis, row after row.

    Parameters
    ----------
    values : ndarray of shape (n, ..., n_voxels)
        In C order; n >= 1.

    Returns
    -------
    ndarray of shape (..., n_voxels)

    Notes
    -----
    That is how numpy sums rows, but of single voxels: it sees them as one row and sums pairs.

    Examples
    --------
    >>> rows = np.full((300, 2), 0.1)
    >>> float(sum_first(rows[:, :1])[0]) == float(sum_first(rows)[0]) == sum([0.1] * 300)
    True
    """
    alone = values.shape[-1] == 1
    rows = np.repeat(values, 2, axis=-1) if alone else values
    # Starting from -0 leaves a single term as it is, -0 too.
    total: FloatArray = rows.sum(axis=0, initial=-0.0)
    return total[..., :1] if alone else total


def sum_of_all(terms: FloatArray) -> FloatArray:
    """Sum terms, shape (n_terms, n_runs, n_voxels), over the runs to (n_terms, 1, n_voxels)."""
    return sum_first(np.ascontiguousarray(terms.transpose(1, 0, 2)))[:, np.newaxis]


def sums_of_others(terms: FloatArray) -> FloatArray:
    """Sum terms over all runs but one, for each run.

    Parameters
    ----------
    terms : ndarray of shape (n_terms, n_runs, n_voxels)

    Returns
    -------
    ndarray of the same shape
        At run i the sum over the others; 0 where there is no other.

    Notes
    -----
    Sums without run i are those before it plus those after it, O(n_runs) for all of them; totals
    minus own terms would cancel where one run has nearly all the weight.

    Examples
    --------
    >>> sums_of_others(np.array([[[1.0], [2.0], [4.0]]]))[0, :, 0].tolist()
    [6.0, 5.0, 3.0]
    """
    others = np.zeros(terms.shape)
    n_runs = terms.shape[1]
    for i in range(1, n_runs):
        np.add(others[:, i - 1], terms[:, i - 1], out=others[:, i])
    after = np.zeros_like(terms[:, 0])
    for i in range(n_runs - 2, -1, -1):
        after += terms[:, i + 1]
        others[:, i] += after
    return others
