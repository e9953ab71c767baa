"""The maps of a test, named as they are written, at every level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bids_fx.glm.matrices import quadratic_form, to_square
from bids_fx.glm.tails import f_statistics, t_statistics

FloatArray = npt.NDArray[np.float64]
MapSet = dict[str, FloatArray]

#: Voxels whose covariances are held as full matrices at once.
_BLOCK = 8192


def t_maps(effect: FloatArray, variance: FloatArray, dof: FloatArray) -> MapSet:
    """Return the maps of a t test.

    Parameters
    ----------
    effect, variance, dof : ndarray of shape (n_voxels,)
        The estimate, its variance and the degrees of freedom of the variance.

    Returns
    -------
    dict of str to ndarray of shape (n_voxels,)
        By ``stat-`` label: ``effect``, ``variance``, ``t``, ``z``, ``p``, ``logp``, ``dof``; the
        last five NaN where there is no test.
    """
    statistics = t_statistics(effect, variance, dof)
    return {
        "effect": effect,
        "variance": variance,
        "t": statistics.t,
        "z": statistics.z,
        "p": statistics.p,
        "logp": statistics.logp,
        "dof": np.where(np.isfinite(statistics.t), dof, np.nan),
    }


def wald_f(effect: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return :math:`F = e'C^{-1}e / q`.

    Parameters
    ----------
    effect : ndarray of shape (q, n_voxels)
        The estimates.
    covariance : ndarray of shape (q * (q + 1) / 2, n_voxels)
        Upper triangle, row by row, of their covariance; positive definite where it is finite.

    Returns
    -------
    ndarray of shape (n_voxels,)
        NaN where an argument is not finite.

    Examples
    --------
    >>> wald_f(np.array([[3.0], [2.0]]), np.array([[1.0], [0.0], [4.0]]))
    array([5.])
    """
    q, n_voxels = effect.shape
    f = np.full(n_voxels, np.nan)
    finite = np.flatnonzero(np.isfinite(effect).all(axis=0) & np.isfinite(covariance).all(axis=0))
    for first in range(0, finite.size, _BLOCK):
        voxels = finite[first : first + _BLOCK]
        e, c = (part.take(voxels, axis=-1) for part in (effect, covariance))
        f[voxels] = quadratic_form(to_square(c, q), e) / q
    return f


def f_maps(effect: FloatArray, covariance: FloatArray, f: FloatArray, dof: FloatArray) -> MapSet:
    """Return the maps of an F test.

    Parameters
    ----------
    effect : ndarray of shape (q, n_voxels)
        The estimates.
    covariance : ndarray of shape (q * (q + 1) / 2, n_voxels)
        Upper triangle, row by row, of their covariance.
    f, dof : ndarray of shape (n_voxels,)
        F and its denominator's degrees of freedom.

    Returns
    -------
    dict of str to ndarray
        By ``stat-`` label: ``effect``, ``covariance``, ``F``, ``z``, ``p``, ``logp``, ``dof``; the
        last five NaN where there is no test.
    """
    statistics = f_statistics(f, len(effect), dof)
    return {
        "effect": effect,
        "covariance": covariance,
        "F": statistics.f,
        "z": statistics.z,
        "p": statistics.p,
        "logp": statistics.logp,
        "dof": np.where(np.isfinite(statistics.f), dof, np.nan),
    }
