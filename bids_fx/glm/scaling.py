"""Factors that bring the signal to percent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bids_fx.glm.names import SIGNAL_SCALINGS, unknown_name

FloatArray = npt.NDArray[np.float64]

#: 100 over a mean that is not above this (1e-306) is infinite: it is as good as 0.
_NO_MEAN = 100 / np.finfo(np.float64).max


def scale_factor(mean: FloatArray, how: str) -> FloatArray:
    """Return the factor by which each voxel's signal is multiplied.

    Parameters
    ----------
    mean : ndarray of shape (n_voxels,)
        Mean of each voxel over the scans that are kept; NaN for a voxel that is not finite.
    how : str
        ``psc``: percent of the voxel's own mean; ``grand-mean``: brings the mean over the voxels
        to 100; ``none``.

    Returns
    -------
    ndarray of shape (n_voxels,)
        ``psc``: 100 / mean, NaN where the mean is not finite or not > 0 (a percentage of such a
        mean would have no meaning). ``grand-mean``: one number for all voxels, 100 over the mean
        of the finite means; NaN for all if that is not > 0. ``none``: ones.

    Raises
    ------
    ValueError
        If `how` is not one of `bids_fx.glm.names.SIGNAL_SCALINGS`.

    Notes
    -----
    A model is linear, so that scaling the effects by the factor and the variances by its square
    is the same as scaling the data.

    Examples
    --------
    >>> scale_factor(np.array([50.0, 0.0]), "psc")
    array([ 2., nan])
    >>> scale_factor(np.array([50.0, 0.0]), "grand-mean")
    array([4., 4.])
    """
    if how == "none":
        return np.ones(mean.shape)
    if how == "psc":
        return _percent_of(mean)
    if how == "grand-mean":
        finite = mean[np.isfinite(mean)]
        grand = finite.mean(keepdims=True) if finite.size else np.array([np.nan])
        return np.repeat(_percent_of(grand), mean.size)
    raise unknown_name("signal scaling", how, SIGNAL_SCALINGS)


def _percent_of(mean: FloatArray) -> FloatArray:
    good = np.isfinite(mean) & (mean > _NO_MEAN)
    return np.where(good, 100.0, np.nan) / np.where(good, mean, 1.0)
