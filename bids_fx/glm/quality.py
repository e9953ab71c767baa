"""Measures of a run's quality."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def temporal_snr(mean: FloatArray, residual_sd: FloatArray) -> FloatArray:
    """Return the temporal signal-to-noise ratio.

    Parameters
    ----------
    mean : ndarray of shape (n_voxels,)
        Mean over scans, in the units of the data.
    residual_sd : ndarray of shape (n_voxels,)
        Standard deviation of the residuals, in the same units.

    Returns
    -------
    ndarray of shape (n_voxels,)
        Mean over standard deviation; NaN where either is not finite and > 0.

    Examples
    --------
    >>> temporal_snr(np.array([100.0, 100.0]), np.array([2.0, 0.0]))
    array([50., nan])
    """
    good = np.isfinite(mean) & np.isfinite(residual_sd) & (mean > 0) & (residual_sd > 0)
    return np.where(good, mean, np.nan) / np.where(good, residual_sd, 1.0)


#: Radius of the sphere on whose surface rotations are lengths (Power et al. 2012).
HEAD_RADIUS_MM = 50.0


def framewise_displacement(translations: FloatArray, rotations: FloatArray) -> FloatArray:
    r"""Return how far the head moved from each scan to the next.

    Parameters
    ----------
    translations : ndarray of shape (n_scans, 3)
        In mm.
    rotations : ndarray of shape (n_scans, 3)
        In radians.

    Returns
    -------
    ndarray of shape (n_scans,)
        In mm; NaN in the first scan, and where a parameter is NaN.

    Notes
    -----
    .. math:: FD_t = \sum_i |d_{it} - d_{i,t-1}| + 50 \sum_i |\alpha_{it} - \alpha_{i,t-1}|,

    the rotations as lengths on a sphere of 50 mm (Power et al. 2012, NeuroImage 59).

    Examples
    --------
    >>> framewise_displacement(
    ...     np.array([[0.0, 0, 0], [1, -2, 0]]), np.array([[0.0] * 3, [0.01] * 3])
    ... )
    array([nan, 4.5])
    """
    moved = np.abs(np.diff(translations, axis=0)).sum(axis=1)
    turned = np.abs(np.diff(rotations, axis=0)).sum(axis=1)
    return np.concatenate([[np.nan], moved + HEAD_RADIUS_MM * turned])


def quality_measures(maps: Mapping[str, FloatArray]) -> dict[str, float | int | None]:
    """Summarise the maps of a run's model over the voxels.

    Parameters
    ----------
    maps : mapping of str to ndarray of shape (n_voxels,)
        By ``stat-`` label.

    Returns
    -------
    dict of str to float, int or None
        Of each map the median over the voxels where it is finite (``tsnr_median``), None where
        there is none, and the number of voxels where it is not finite (``tsnr_missing``).

    Examples
    --------
    >>> quality_measures({"tsnr": np.array([40.0, np.nan, 60.0])})
    {'tsnr_median': 50.0, 'tsnr_missing': 1}
    """
    measures: dict[str, float | int | None] = {}
    for name, values in maps.items():
        finite = values[np.isfinite(values)]
        measures[f"{name}_median"] = float(np.median(finite)) if finite.size else None
        measures[f"{name}_missing"] = int(values.size - finite.size)
    return measures
