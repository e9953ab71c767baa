"""Gaussian smoothing of volumes, also of a part of one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

#: Full width at half maximum of a Gaussian over its standard deviation.
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
#: Kernels end at this many standard deviations (scipy's and nilearn's default).
TRUNCATE = 4.0


def sigma_voxels(fwhm_mm: float, voxel_sizes_mm: Sequence[float]) -> tuple[float, ...]:
    """Return the standard deviation of a Gaussian kernel along each axis, in voxels.

    Parameters
    ----------
    fwhm_mm : float
        Full width at half maximum in mm; >= 0.
    voxel_sizes_mm : sequence of float
        Edge lengths of a voxel in mm; > 0.

    Raises
    ------
    ValueError
        If the width is negative or a voxel has no size.

    Examples
    --------
    >>> [round(sigma, 4) for sigma in sigma_voxels(6.0, (2.0, 3.0, 3.0))]
    [1.274, 0.8493, 0.8493]
    """
    if not (math.isfinite(fwhm_mm) and fwhm_mm >= 0):
        raise ValueError(f"the kernel's width must be >= 0 mm, found {fwhm_mm}")
    if not all(math.isfinite(size) and size > 0 for size in voxel_sizes_mm):
        raise ValueError(f"voxel sizes must be > 0 mm, found {tuple(voxel_sizes_mm)}")
    return tuple(fwhm_mm / (FWHM_PER_SIGMA * size) for size in voxel_sizes_mm)


def kernel_radius(sigma: Sequence[float]) -> tuple[int, ...]:
    """Return how many voxels the kernel reaches to each side, along each axis.

    A box that is padded by so many voxels (as far as the image goes) is smoothed in its inner
    part exactly as the whole image would be, to the last bit.

    Parameters
    ----------
    sigma : sequence of float
        Standard deviations in voxels.

    Examples
    --------
    >>> kernel_radius((1.274, 0.8493, 0.0))
    (5, 3, 0)
    """
    return tuple(int(TRUNCATE * one + 0.5) if one > 0 else 0 for one in sigma)


def smooth_volume(
    volume: npt.NDArray[np.float32],
    sigma: Sequence[float],
    inner: Sequence[slice] | None = None,
) -> npt.NDArray[np.float32]:
    """Return a volume smoothed with a Gaussian kernel, or a part of it.

    Parameters
    ----------
    volume : ndarray of shape (nx, ny, nz)
        Values that are not finite count as 0.
    sigma : sequence of 3 float
        Standard deviation along each axis, in voxels; an axis with 0 is left as it is.
    inner : sequence of 3 slices, or None
        The part that is wanted; None means all. What it does not need is not computed.

    Returns
    -------
    ndarray
        float32, in the argument's order in memory; the argument is not changed.

    Raises
    ------
    ValueError
        If there is not one standard deviation per axis.

    Notes
    -----
    Axis by axis, truncated at 4 standard deviations, mirrored at the image's borders
    (``reflect``), float32 between the axes: nilearn's ``smooth_img``, to the last bit. No
    correction is made for the mask.
    """
    smoothed = volume.astype(np.float32)
    finite = np.isfinite(smoothed)
    if not finite.all():
        smoothed[~finite] = 0
    for axis, one in enumerate(_per_axis(sigma, smoothed.ndim)):
        if one > 0:
            gaussian_filter1d(
                smoothed, one, axis=axis, output=smoothed, mode="reflect", truncate=TRUNCATE
            )
        if inner is not None:
            smoothed = smoothed[(slice(None),) * axis + (inner[axis],)]
    return smoothed


def _per_axis(sigma: Sequence[float], n_axes: int) -> Sequence[float]:
    if len(sigma) != n_axes:
        raise ValueError(f"expected {n_axes} standard deviations, found {len(sigma)}")
    return sigma
