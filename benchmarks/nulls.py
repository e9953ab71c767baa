"""Data without any effect: designs as of an event-related run, and noise of known covariance."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular, toeplitz
from scipy.signal import lfilter

from bids_fx.glm.design import Condition, make_design

FloatArray = npt.NDArray[np.float64]

#: Columns of a simulated design: conditions, random walks, three cosines, the constant.
N_COLUMNS = 24
#: The last columns, cosines and constant, are what R squared is counted beyond.
N_BASELINE = 4
#: Duration of events, and the time in which one comes on average. Times that are independent of
#: each other leave power at low frequencies, where the noise is, as most experiments do.
_EVENT_S, _EVERY_S = 4.0, 20.0


def null_design(
    rng: np.random.Generator, n_scans: int, repetition_time: float, n_conditions: int = 2
) -> FloatArray:
    """Return a design of 24 columns.

    Parameters
    ----------
    rng : Generator
        Where timings and walks come from.
    n_scans : int
        Rows.
    repetition_time : float
        In seconds.
    n_conditions : int
        The first columns: in each condition events of 4 s at random times, one in 20 s on
        average, convolved with SPM's HRF.

    Returns
    -------
    ndarray of shape (n_scans, 24)
        Conditions; random walks, that stand for motion and other slow confounds; the first three
        cosines of the run; the constant.
    """
    seconds = n_scans * repetition_time
    n_walks = N_COLUMNS - N_BASELINE - n_conditions
    walks = np.cumsum(rng.standard_normal((n_scans, n_walks)), axis=0)
    return make_design(
        repetition_time * np.arange(n_scans, dtype=np.float64),
        repetition_time=repetition_time,
        conditions=[_condition(rng, f"condition{i}", seconds) for i in range(n_conditions)],
        hrf_model="spm",
        drift_model="cosine",
        high_pass_s=2 * seconds / (N_BASELINE - 1),
        confounds=walks,
        confound_names=[f"walk{i}" for i in range(n_walks)],
        censored=[],
    ).matrix


def _condition(rng: np.random.Generator, name: str, seconds: float) -> Condition:
    onsets = np.sort(rng.uniform(0, seconds - _EVENT_S, int(seconds / _EVERY_S)))
    return Condition(
        name=name,
        onsets=onsets,
        durations=np.full(onsets.size, _EVENT_S),
        amplitudes=np.ones(onsets.size),
    )


def null_noise(
    rng: np.random.Generator, n_scans: int, n_voxels: int, rho: float, white: float = 0.0
) -> FloatArray:
    r"""Return stationary noise of variance 1: first-order autoregressive, plus white noise.

    Parameters
    ----------
    rng : Generator
        Where the numbers come from.
    n_scans, n_voxels : int
        Shape.
    rho : float
        Correlation of the autoregressive part from scan to scan, between -1 and 1.
    white : float
        Share of the variance that is white, from 0 to 1.

    Returns
    -------
    ndarray of shape (n_scans, n_voxels)
        With the correlation :math:`(1 - white) \rho^k` at a lag of k > 0 scans.
    """
    innovations = rng.standard_normal((n_scans, n_voxels))
    innovations[1:] *= math.sqrt(1 - rho**2)
    series: FloatArray = lfilter([1.0], [1.0, -rho], innovations, axis=0)
    if white == 0:
        return series
    return math.sqrt(1 - white) * series + math.sqrt(white) * rng.standard_normal(
        (n_scans, n_voxels)
    )


def null_covariance(n_scans: int, rho: float, white: float = 0.0) -> FloatArray:
    """Return the covariance of `null_noise` over scans, shape (n_scans, n_scans)."""
    correlations = (1 - white) * rho ** np.arange(n_scans)
    correlations[0] = 1.0
    return np.asarray(toeplitz(correlations))


def whitened(covariance: FloatArray, *arrays: FloatArray) -> tuple[FloatArray, ...]:
    """Return arrays whose rows are scans as seen where noise of this covariance is white."""
    factor = cholesky(covariance, lower=True)
    return tuple(np.asarray(solve_triangular(factor, array, lower=True)) for array in arrays)


def known_covariance_fit(
    Y: FloatArray, X: FloatArray, contrast: FloatArray, covariance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Fit by generalised least squares with the true correlations: what no program can know.

    Parameters
    ----------
    Y : ndarray of shape (n_scans, n_voxels)
        Data.
    X : ndarray of shape (n_scans, n_columns)
        Design, of full rank.
    contrast : ndarray of shape (q, n_columns)
        One or more rows.
    covariance : ndarray of shape (n_scans, n_scans)
        Of the noise, but for its scale.

    Returns
    -------
    f, dof : ndarray of shape (n_voxels,), float
        F of q and `dof` degrees of freedom, exact under the null hypothesis.
    """
    white_Y, white_X = whitened(covariance, Y, X)
    Q, R = np.linalg.qr(white_X)
    coordinates = Q.T @ white_Y
    dof = X.shape[0] - X.shape[1]
    dispersion = ((white_Y**2).sum(axis=0) - (coordinates**2).sum(axis=0)) / dof
    rows = np.linalg.qr(solve_triangular(R.T, contrast.T, lower=True))[0]
    f = ((rows.T @ coordinates) ** 2).sum(axis=0) / len(contrast) / dispersion
    return f, np.asarray(float(dof))


def lag_one(
    Y: FloatArray, X: FloatArray, rho: FloatArray | float, white: FloatArray | float = 0.0
) -> float:
    """Return what correlation from scan to scan is left, on average over voxels.

    Parameters
    ----------
    Y : ndarray of shape (n_scans, n_voxels)
        Data of some voxels.
    X : ndarray of shape (n_scans, n_columns)
        Design.
    rho, white : ndarray of shape (n_voxels,) or float
        The noise that was assumed or estimated, as in `null_noise`.

    Returns
    -------
    float
        Lag-one autocorrelation of the whitened residuals. Fitting the design alone makes it
        negative by about one column in two scans; compare with that of the true noise.
    """
    left = []
    pairs = np.broadcast_arrays(rho, white, Y[0])
    for series, r, w in zip(Y.T, *pairs[:2], strict=True):
        white_y, white_X = whitened(null_covariance(len(series), float(r), float(w)), series, X)
        Q = np.linalg.qr(white_X)[0]
        residuals = white_y - Q @ (Q.T @ white_y)
        left.append(residuals[1:] @ residuals[:-1] / (residuals @ residuals))
    return float(np.mean(left))
