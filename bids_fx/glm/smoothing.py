"""Gaussian smoothing of volumes, also of some voxels alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d, gaussian_filter1d, maximum_filter1d

FloatArray = npt.NDArray[np.float64]

#: Full width at half maximum of a Gaussian over its standard deviation.
FWHM_PER_SIGMA = math.sqrt(8 * math.log(2))
#: Kernels end at this many standard deviations (scipy's and nilearn's default).
TRUNCATE = 4.0
#: Planes that are smoothed at once: fewer follow the mask more closely, but cost more calls.
SLAB_PLANES = 8
#: A kernel that reaches this many times over an axis weighs each of its places alike: the image is
#: mirrored again and again, and but for what its cut tails leave (less than 1e-4) it is the mean.
_FLAT_REACH = 16
#: Shorter kernels, in voxels to each side, are never cut.
_SHORT_REACH = 1000


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoother:
    """What smooths volumes where that is asked for.

    Parameters
    ----------
    kernels : tuple of ndarray
        Weights along each axis; one of length 1 leaves the axis as it is.
    blocks : tuple of (int, tuple of slice)
        Axes and the parts of the volume that are smoothed along them, one after the other.

    Notes
    -----
    Smoothing is by a Gaussian, axis by axis, truncated at 4 standard deviations, mirrored at the
    image's borders (``reflect``), float32 between the axes: nilearn's ``smooth_img``, to the last
    bit. No correction is made for the mask.

    A head fills little more than a third of its box. Each pass takes the slabs of a few planes
    one by one, and of each the box of what the later passes need, padded by the kernel: of the
    voxels that are wanted every one sees what it sees in the whole volume.
    """

    kernels: tuple[FloatArray, ...]
    blocks: tuple[tuple[int, tuple[slice, ...]], ...]

    @classmethod
    def of(cls, wanted: npt.NDArray[np.bool_], sigma: Sequence[float]) -> Smoother:
        """Find what is to be smoothed.

        Parameters
        ----------
        wanted : ndarray of bool, shape (nx, ny, nz)
            Voxels whose smoothed values matter. The volume may end before the image does, but no
            nearer to them than the kernel's radius.
        sigma : sequence of 3 float
            Standard deviation along each axis, in voxels; an axis with 0 is left as it is.

        Raises
        ------
        ValueError
            If there is not one standard deviation per axis.
        """
        if len(sigma) != wanted.ndim:
            raise ValueError(f"expected {wanted.ndim} standard deviations, found {len(sigma)}")
        blocks: list[tuple[int, tuple[slice, ...]]] = []
        needed = wanted
        for axis, reach in reversed(list(enumerate(kernel_radius(sigma)))):
            radius = min(reach, wanted.shape[axis])
            if radius:
                blocks = [(axis, part) for part in _parts(needed, axis, radius)] + blocks
                needed = _reached(needed, axis, radius)
        return cls(kernels=tuple(map(_kernel, sigma, wanted.shape)), blocks=tuple(blocks))

    def smooth(self, volume: npt.NDArray[np.float32]) -> None:
        """Smooth a volume in its place; voxels that are not wanted hold anything afterwards.

        Parameters
        ----------
        volume : ndarray of float32, shape (nx, ny, nz)
            Values that are not finite count as 0.
        """
        finite = np.isfinite(volume)
        if not finite.all():
            volume[~finite] = 0
        for axis, part in self.blocks:
            # The filter goes through lines in C order, which is to be that of the memory.
            lines = volume[part].T if volume.flags.f_contiguous else volume[part]
            along = volume.ndim - 1 - axis if volume.flags.f_contiguous else axis
            correlate1d(lines, self.kernels[axis], axis=along, output=lines, mode="reflect")


def _kernel(sigma: float, length: int) -> FloatArray:
    """Return the weights of scipy's Gaussian filter: its answer to an impulse.

    Of a kernel that is far longer than the axis the weights are those of its limit, the mean over
    the axis: the longer kernel would fill the memory, and say the same.
    """
    (radius,) = kernel_radius((sigma,))
    if radius > max(_FLAT_REACH * length, _SHORT_REACH):
        return np.full(2 * length, 0.5 / length)  # the axis and its mirror image, each once
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1
    if not radius:
        return impulse
    return np.asarray(gaussian_filter1d(impulse, sigma, mode="constant", truncate=TRUNCATE))


def _parts(needed: npt.NDArray[np.bool_], axis: int, radius: int) -> Iterator[tuple[slice, ...]]:
    """Cut what a pass along an axis has to smooth into boxes that do not touch each other."""
    across = max(set(range(needed.ndim)) - {axis})
    for first in range(0, needed.shape[across], SLAB_PLANES):
        slab = [slice(None)] * needed.ndim
        slab[across] = slice(first, first + SLAB_PLANES)
        along = needed[tuple(slab)].nonzero()
        if not along[0].size:
            continue
        box = [slice(int(one.min()), int(one.max()) + 1) for one in along]
        box[across] = slice(first + box[across].start, first + box[across].stop)
        box[axis] = slice(max(0, box[axis].start - radius), box[axis].stop + radius)
        yield tuple(box)


def _reached(needed: npt.NDArray[np.bool_], axis: int, radius: int) -> npt.NDArray[np.bool_]:
    """Return what a pass along an axis reads."""
    size = 2 * radius + 1
    return np.asarray(maximum_filter1d(needed.view(np.uint8), size, axis=axis)).astype(bool)
