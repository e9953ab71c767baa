"""Contrasts against a design: which can be estimated, and how well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.names import unknown_name

FloatArray = npt.NDArray[np.float64]

#: Singular values of the unit-norm columns below this share of the largest count as 0: columns
#: that agree to eight digits do so by construction (tables carry six to eight).
RANK_TOLERANCE = 1e-8
#: A contrast whose part outside the design's row space is above this share of it cannot be
#: estimated. Rounding leaves some 1e-16 over the smallest singular value, that is up to 1e-8.
ESTIMABILITY_TOLERANCE = 1e-6
#: Covariances of rows may have passed through float32 files: a smaller eigenvalue of the rows'
#: correlations is rounding, and the rows are no q rows.
MIN_EIGENVALUE = float(np.finfo(np.float32).eps)
#: Rows are planned together only well above that: autocorrelated noise correlates them otherwise.
_DISTINCT_EIGENVALUE = 10 * MIN_EIGENVALUE
#: A column that varies by less than this share of its size is constant.
_CONSTANT_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSpace:
    """An orthonormal basis of a design's columns, and how contrasts read on it.

    Parameters
    ----------
    basis : ndarray of shape (n_scans, rank)
        Q: orthonormal columns that span the design.
    scale : ndarray of shape (n_columns,)
        Norms of the design's columns; 1 for a column of zeros.
    singular_values : ndarray of shape (rank,)
        Of the columns at unit norm, those that are not 0.
    row_basis : ndarray of shape (n_columns, rank)
        Orthonormal basis of the row space of the columns at unit norm, so that the design is
        ``basis * singular_values @ row_basis.T * scale``.
    """

    basis: FloatArray
    scale: FloatArray
    singular_values: FloatArray
    row_basis: FloatArray

    @property
    def n_scans(self) -> int:
        """Number of scans."""
        return len(self.basis)

    @property
    def n_columns(self) -> int:
        """Number of columns of the design."""
        return len(self.scale)

    @property
    def rank(self) -> int:
        """Rank of the design."""
        return len(self.singular_values)

    def coordinates(self, vectors: FloatArray) -> FloatArray:
        """Return contrast vectors in terms of the basis.

        Parameters
        ----------
        vectors : ndarray of shape (..., n_columns)
            Weights of the design's columns.

        Returns
        -------
        ndarray of shape (..., rank)
            ``h`` with ``vectors @ beta == h @ gamma`` wherever ``X @ beta == basis @ gamma``,
            provided that the contrast can be estimated.
        """
        projected: FloatArray = (vectors / self.scale) @ self.row_basis
        return projected / self.singular_values


def design_space(matrix: FloatArray) -> DesignSpace:
    """Decompose a design matrix.

    Parameters
    ----------
    matrix : ndarray of shape (n_scans, n_columns)
        Finite; `n_columns` may be 0.

    Returns
    -------
    DesignSpace
        Its rank is the number of singular values, of the columns brought to unit norm, above
        1e-8 of the largest; the units of a column do not matter.

    Raises
    ------
    ValueError
        If the matrix is not a finite matrix.

    Examples
    --------
    >>> design_space(np.array([[1.0, 2e9], [1.0, 2e9], [1.0, 2e9]])).rank
    1
    """
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError(f"expected a finite matrix, found an array of shape {matrix.shape}")
    unit, scale = _to_unit_norm(np.asarray(matrix, dtype=np.float64))
    left, singular_values, right = np.linalg.svd(unit, full_matrices=False)
    largest = singular_values.max(initial=0.0)
    kept = singular_values > RANK_TOLERANCE * largest
    return DesignSpace(
        basis=np.ascontiguousarray(left[:, kept]),
        scale=scale,
        singular_values=singular_values[kept],
        row_basis=np.ascontiguousarray(right[kept].T),
    )


def estimability_gap(vector: FloatArray, space: DesignSpace) -> float:
    r"""Return how far a contrast is from being estimable, as a share of the contrast.

    Parameters
    ----------
    vector : ndarray of shape (n_columns,)
        Weights of the design's columns.
    space : DesignSpace
        The design.

    Returns
    -------
    float
        0 for a contrast that can be estimated, up to 1 for one that cannot at all; NaN for a
        vector of zeros, which is no contrast.

    Raises
    ------
    ValueError
        If there is not one weight per column.

    Notes
    -----
    A contrast is estimable if it lies in the design's row space. With c the vector for the
    columns at unit norm and r its part outside the row space, :math:`r = c (I - X^+ X)`, the gap
    is the larger of :math:`\|r\| / \|c\|` and the largest :math:`|r_j / c_j|` of the columns
    that take part. The first alone would let a column pass that cannot be estimated, if its
    partner in the contrast is in units so small that its weight rules :math:`\|c\|`.
    """
    if vector.shape != space.scale.shape:
        raise ValueError(f"expected {space.n_columns} weights, found shape {vector.shape}")
    unit = vector / space.scale
    used = unit != 0
    if not used.any():
        return float("nan")
    unit = unit / np.abs(unit).max()
    outside = unit - space.row_basis @ (space.row_basis.T @ unit)
    overall = np.linalg.norm(outside) / np.linalg.norm(unit)
    return float(max(overall, np.abs(outside[used] / unit[used]).max()))


def is_estimable(vector: FloatArray, space: DesignSpace) -> bool:
    """Tell whether a contrast can be estimated; a vector of zeros cannot.

    Parameters
    ----------
    vector : ndarray of shape (n_columns,)
        Weights of the design's columns.
    space : DesignSpace
        The design.

    Raises
    ------
    ValueError
        If there is not one weight per column.
    """
    return estimability_gap(vector, space) <= ESTIMABILITY_TOLERANCE


def are_distinct(rows: FloatArray, space: DesignSpace) -> bool:
    """Tell whether the rows of a contrast can be told apart.

    Parameters
    ----------
    rows : ndarray of shape (q, n_columns)
        Weights of the design's columns; each row can be estimated.
    space : DesignSpace
        The design.

    Returns
    -------
    bool
        Whether the correlations of their estimates, in white noise, have no eigenvalue of
        1.2e-6 q or less.

    Examples
    --------
    >>> space = design_space(np.eye(4)[:, :2])
    >>> are_distinct(np.eye(2), space), are_distinct(np.array([[1.0, 0.0], [2.0, 0.0]]), space)
    (True, False)
    """
    coordinates = space.coordinates(rows)
    coordinates = np.ldexp(coordinates, -_exponents(coordinates))
    unit = coordinates / np.linalg.norm(coordinates, axis=1, keepdims=True)
    smallest = np.linalg.eigvalsh(unit @ unit.T)[0]
    return bool(smallest > len(rows) * _DISTINCT_EIGENVALUE)


def contrast_vector(weights: Iterable[tuple[str, float]], names: Sequence[str]) -> FloatArray:
    """Return the weight of each column of a design.

    Parameters
    ----------
    weights : iterable of (str, float)
        Column names and their weights; those of a name that comes twice add up.
    names : sequence of str
        The design's columns.

    Returns
    -------
    ndarray of shape (n_columns,)
        0 for columns that are not named.

    Raises
    ------
    ValueError
        If a column is not in the design.

    Examples
    --------
    >>> contrast_vector([("face", 1.0), ("house", -1.0)], ("house", "face", "constant"))
    array([-1.,  1.,  0.])
    """
    place = {name: index for index, name in enumerate(names)}
    vector = np.zeros(len(names))
    for name, weight in weights:
        if name not in place:
            raise unknown_name("design column", name, names)
        vector[place[name]] += weight
    return vector


def variance_inflation(matrix: FloatArray) -> FloatArray:
    """Return the variance inflation factor of each column.

    Parameters
    ----------
    matrix : ndarray of shape (n_scans, n_columns)
        The design.

    Returns
    -------
    ndarray of shape (n_columns,)
        1 / (1 - R²) of the column on all others; infinite for one that is a sum of the others,
        NaN for a constant column (zeros included).

    Notes
    -----
    R² is about the mean where the design has a constant column, else about 0. Computed as the
    diagonal of :math:`(X'X)^+` of the columns at unit norm (Belsley, Kuh and Welsch 1980).

    Examples
    --------
    >>> variance_inflation(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])).round(6)
    array([1.333333, 1.333333,      nan])
    """
    deviations, constant = _deviations(matrix)
    space = design_space(deviations[:, ~constant])
    per_direction = space.row_basis / space.singular_values
    inflation = (per_direction**2).sum(axis=1)
    outside = 1 - (space.row_basis**2).sum(axis=1)  # squared gap of the column alone
    inflation[outside > ESTIMABILITY_TOLERANCE**2] = np.inf
    factors = np.full(matrix.shape[1], np.nan)
    factors[~constant] = inflation
    return factors


def contrast_inflation(vector: FloatArray, matrix: FloatArray, space: DesignSpace) -> float:
    r"""Return the variance inflation factor of a contrast.

    Parameters
    ----------
    vector : ndarray of shape (n_columns,)
        Weights of the design's columns.
    matrix : ndarray of shape (n_scans, n_columns)
        The design.
    space : DesignSpace
        Its `design_space`.

    Returns
    -------
    float
        How many times the variance of the contrast is what it would be if the columns were
        uncorrelated: 1 in an orthogonal design, the `variance_inflation` of a single column, and
        below 1 where correlations help, as they do a sum of columns that correlate positively.
        NaN where the contrast cannot be estimated, or weighs a constant column.

    Raises
    ------
    ValueError
        If there is not one weight per column.

    Notes
    -----
    :math:`c (X'X)^- c' / \sum_j c_j^2 / \|x_j - \bar x_j\|^2`, about 0 where the design has no
    constant column: Mumford et al. (2025, Imaging Neuroscience). They bring the columns to unit
    norm first and weigh those; here the weights stay those of the contrast that is tested.

    Examples
    --------
    >>> matrix = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    >>> round(contrast_inflation(np.array([1.0, 1.0, 0.0]), matrix, design_space(matrix)), 6)
    2.0
    """
    deviations, constant = _deviations(matrix)
    used = vector != 0
    if not is_estimable(vector, space) or constant[used].any():
        return float("nan")
    weights = vector / space.scale
    weights /= np.abs(weights).max()  # keeps the squares finite, and leaves the ratio as it is
    variance = ((weights @ space.row_basis / space.singular_values) ** 2).sum()
    alone = (weights[used] / np.linalg.norm(deviations[:, used], axis=0)) ** 2
    return float(variance / alone.sum())


def efficiency(vector: FloatArray, space: DesignSpace) -> float:
    """Return the efficiency of a contrast: 1 over its variance at a noise variance of 1.

    Parameters
    ----------
    vector : ndarray of shape (n_columns,)
        Weights of the design's columns.
    space : DesignSpace
        The design.

    Returns
    -------
    float
        :math:`1 / (c (X'X)^- c')`, for white noise; NaN where the contrast cannot be estimated.

    Raises
    ------
    ValueError
        If there is not one weight per column.

    Examples
    --------
    >>> efficiency(np.array([1.0]), design_space(np.ones((4, 1))))
    4.0
    """
    if not is_estimable(vector, space):
        return float("nan")
    coordinates = space.coordinates(vector)
    exponent = _exponents(coordinates)
    variance = (np.ldexp(coordinates, -exponent) ** 2).sum()
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(1 / variance, -2 * exponent[0]))


def _exponents(coordinates: FloatArray) -> npt.NDArray[np.intp]:
    """Return the power of 2 of the largest coordinate, with the last axis kept at length 1.

    Without it squares neither overflow nor vanish, whatever the units, and no other bit changes.
    """
    _, exponents = np.frexp(np.abs(coordinates).max(axis=-1, keepdims=True, initial=0.0))
    return np.asarray(exponents, dtype=np.intp)


def _deviations(matrix: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the columns, at unit norm, about their means; and which are constant (zeros too).

    Without a constant column the means are part of what is estimated: the columns stay.
    """
    unit, _ = _to_unit_norm(matrix)
    centred = unit - unit.mean(axis=0)
    constant = np.linalg.norm(centred, axis=0) <= _CONSTANT_TOLERANCE
    return centred if (constant & unit.any(axis=0)).any() else unit, constant


def _to_unit_norm(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the columns at unit norm, and their norms (1 for zeros)."""
    peak = np.abs(matrix).max(axis=0, initial=0.0)
    peak = np.where(peak > 0, peak, 1.0)  # keeps the squares of tiny and huge columns finite
    norm = np.linalg.norm(matrix / peak, axis=0)
    norm = np.where(norm > 0, norm, 1.0)
    return matrix / peak / norm, peak * norm
