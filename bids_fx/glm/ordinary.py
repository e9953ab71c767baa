"""Ordinary least squares of a block of voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: A series whose squares are nearer to those of its first value, all else apart, may be constant.
_CONSTANT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinary:
    """A block of voxels fitted by ordinary least squares.

    Parameters
    ----------
    coordinates : ndarray of shape (rank, n_voxels)
        Of the fit, in the design's basis.
    rss : ndarray of shape (n_voxels,)
        Sums of squares of the residuals.
    """

    coordinates: FloatArray
    rss: FloatArray


def fit_ordinary(series: FloatArray, basis: FloatArray) -> tuple[Ordinary, FloatArray]:
    """Fit series, shape (n_scans, n_voxels), by ordinary least squares; return residuals too."""
    coordinates = basis.T @ series
    residuals = basis @ coordinates
    np.subtract(series, residuals, out=residuals)
    return Ordinary(coordinates=coordinates, rss=sum_squares(residuals)), residuals


def vary(series: FloatArray) -> BoolArray:
    """Tell which series, shape (n_scans, n_voxels), are finite and not constant."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares, first = sum_squares(series), series[0]
        # Of a constant series, and of one that is not finite, the two are not clearly apart.
        apart = np.abs(squares - len(series) * first**2) > _CONSTANT * squares
    unclear = np.flatnonzero(~apart)
    some = series[:, unclear]
    apart[unclear] = np.isfinite(some).all(axis=0) & (some != some[0]).any(axis=0)
    return np.asarray(apart)


def sum_squares(columns: FloatArray) -> FloatArray:
    """Return the sum of squares of each column."""
    return np.asarray(np.einsum("ij,ij->j", columns, columns))
