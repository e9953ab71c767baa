"""How far the maps and the regressors of two programs agree, with each other and with truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Samples per second at which pybids convolves, whatever the TR.
PYBIDS_HZ = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far one program's map agrees with another's.

    Parameters
    ----------
    correlation : float
        Over voxels.
    slope : float
        Of the regression of the one on the other, with a constant.
    largest_percent : float
        The largest difference of a voxel in percent of the standard deviation over voxels.
    """

    correlation: float
    slope: float
    largest_percent: float


def agreement(theirs: FloatArray, ours: FloatArray) -> Agreement:
    """Compare a map with ours.

    Parameters
    ----------
    theirs, ours : ndarray of shape (n_voxels,)
        The same voxels in the same order.
    """
    return Agreement(
        correlation=float(np.corrcoef(theirs, ours)[0, 1]),
        slope=slope(theirs, ours),
        largest_percent=float(100 * np.abs(theirs - ours).max() / ours.std()),
    )


def slope(values: FloatArray, by: FloatArray) -> float:
    """Return the slope of the regression of values on others; 1 where no effect is biased."""
    centred = by - by.mean()
    return float(centred @ values / (centred @ centred))


def error_percent(found: FloatArray, exact: FloatArray) -> float:
    """Return the largest error of a regressor in percent of the largest exact value."""
    return float(100 * np.abs(found - exact).max() / np.abs(exact).max())


def stretched_moments(n_scans: int, repetition_time: float) -> FloatArray:
    """Return the moments in seconds that a column of pybids shows, shape (n_scans,).

    pybids samples a run of T seconds 10 times a second, the last time at T - 0.1 s, and takes
    `n_scans` values at equal distances from the first sample to the last: the last scan, which
    began at T - TR, gets the value of T - 0.1 s (`DenseRunVariable.resample`).
    """
    last = n_scans * repetition_time - 1 / PYBIDS_HZ
    return np.linspace(0.0, last, n_scans)


def delay_between(early: FloatArray, late: FloatArray, repetition_time: float) -> float:
    """Return by how many seconds one regressor is later than another of the same shape."""
    moments = repetition_time * np.arange(len(early))
    return float(moments @ late / late.sum() - moments @ early / early.sum())


def ratio_text(theirs: Sequence[float] | FloatArray, ours: Sequence[float] | FloatArray) -> str:
    """Return the median over voxels of a ratio, and its range."""
    ratio = np.asarray(theirs) / np.asarray(ours)
    low, high = (_short(value) for value in (ratio.min(), ratio.max()))
    return f"{_short(float(np.median(ratio)))} ({low} to {high})"


def _short(value: float) -> str:
    """Return a number with two decimals, or three where it is below 0.1.

    Examples
    --------
    >>> _short(1.234), _short(0.0123)
    ('1.23', '0.012')
    """
    return f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def effects_by_cut_rho(
    Y: FloatArray, X: FloatArray, column: int, step: float | None
) -> FloatArray:
    """Return the effects of a column under AR(1) noise, shape (n_voxels,).

    Parameters
    ----------
    Y : ndarray of shape (n_scans, n_voxels)
        Series in percent of their means.
    X : ndarray of shape (n_scans, n_columns)
        Design.
    column : int
        Whose effect is wanted.
    step : float or None
        The autocorrelations are cut to a multiple of it towards 0, as nilearn does by 0.01 to
        fit all voxels of one value together; None means that each voxel keeps its own.

    Notes
    -----
    Autocorrelation as in nilearn: of the residuals e of ordinary least squares, rho is
    [sum of e(t) e(t-1) / (n - 1)] / [sum of e(t)^2 / n]; the first scan is not whitened.
    """
    n_scans = len(Y)
    e = Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    rho = (e[1:] * e[:-1]).sum(axis=0) / (n_scans - 1) / np.mean(e**2, axis=0)
    if step is not None:
        rho = np.trunc(rho / step) * step
    effects = np.empty(Y.shape[1])
    for value in np.unique(rho):
        same = rho == value
        white_x, white_y = (
            np.concatenate([data[:1], data[1:] - value * data[:-1]]) for data in (X, Y[:, same])
        )
        effects[same] = np.linalg.lstsq(white_x, white_y, rcond=None)[0][column]
    return effects
