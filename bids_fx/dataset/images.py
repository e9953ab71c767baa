"""Reading images: masks, maps, and BOLD series streamed into a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.masks import compute_mask, mask_of
from bids_fx.dataset.nifti import (
    ImageHeader,
    RawArray,
    check_complete,
    open_series,
    read_header,
    scale,
)
from bids_fx.dataset.stored import StoredMatrix
from bids_fx.dataset.streams import bad_file
from bids_fx.glm.smoothing import Smoother, kernel_radius, sigma_voxels
from bids_fx.inputs import FloatArray, Grid
from bids_fx.threads import map_in_order

__all__ = [
    "ImageHeader",
    "MaskedSeries",
    "Volume",
    "check_complete",
    "check_same_grid",
    "read_header",
    "read_map",
    "read_series",
    "read_volume",
    "read_voxels",
]

BoolArray = npt.NDArray[np.bool_]
FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A 3D image.

    Parameters
    ----------
    values : ndarray of shape (nx, ny, nz)
        Scaled values.
    grid : Grid
        Where the voxels are.
    sha256 : str
        Hash of the file's bytes as stored.
    """

    values: FloatArray
    grid: Grid
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedSeries:
    """The kept scans of a BOLD series as a matrix of the voxels in a mask.

    Parameters
    ----------
    values : ndarray of float32 or StoredMatrix, shape (n_kept, n_voxels)
        Smoothed if that was asked for, less the voxel's mean. Voxels in the order of
        ``volume[mask]``. NaN throughout in a voxel that is not finite, or too far from its mean
        for a float32, in some kept scan.
    mean : ndarray of shape (n_voxels,)
        The voxel's mean over kept scans, in the image's own units; NaN where `values` are.
    mask : ndarray of bool, shape (nx, ny, nz)
        The voxels of `values`.
    grid : Grid
        Grid of the images.
    mean_image : ndarray of float32, shape (nx, ny, nz)
        Mean over kept scans of the whole image, not smoothed.
    bold_sha256 : str
        Hash of the BOLD file's bytes as stored.
    mask_sha256 : str or None
        Hash of the mask file's bytes; None where the mask was computed.
    """

    values: FloatImage | StoredMatrix
    mean: FloatArray
    mask: BoolArray
    grid: Grid
    mean_image: FloatImage
    bold_sha256: str
    mask_sha256: str | None


def read_volume(path: Path) -> Volume:
    """Read a 3D image.

    Raises
    ------
    BIDSFXError
        If the file is no complete NIfTI image of one volume.
    """
    return read_voxels(read_header(path))


def read_voxels(header: ImageHeader) -> Volume:
    """Read a 3D image whose header was read already; as `read_volume`."""
    path = header.path
    if len(header.shape) != 3:
        raise bad_file(path, f"an image of shape {header.shape}", "give one with three axes")
    with open_series(header) as (volumes, file):
        raw = next(volumes)
    values = scale(raw, header).reshape(header.shape, order="F")
    return Volume(values=values, grid=header.grid, sha256=file.sha256)


def read_map(path: Path) -> FloatArray:
    """Return the values of a 3D map, shape (nx, ny, nz)."""
    return read_volume(path).values


def check_same_grid(path: Path, grid: Grid, other: Path, other_grid: Grid) -> None:
    """Refuse two images that do not have the same voxels at the same places.

    Raises
    ------
    BIDSFXError
        Naming both files and what differs.
    """
    if grid.matches(other_grid):
        return
    if grid.shape != other_grid.shape:
        found = f"its grid is {grid.shape}, that of {other.name} is {other_grid.shape}"
    else:
        off = np.abs(np.subtract(grid.affine, other_grid.affine)).max()
        found = f"its affine differs from that of {other.name} by up to {off:.4g}"
    raise bad_file(path, found, "give images on one grid")


def read_series(
    bold: Path,
    mask: Path | None,
    *,
    fwhm_mm: float,
    kept: BoolArray,
    n_threads: int = 1,
    folder: Path | None = None,
) -> MaskedSeries:
    """Stream the kept scans of a BOLD series into the voxels of a mask.

    Parameters
    ----------
    bold : Path
        4D image.
    mask : Path or None
        3D image on the same grid; None computes one from the mean over kept scans, which reads
        the series twice.
    fwhm_mm : float
        Full width at half maximum of the Gaussian by which each whole volume is smoothed, in mm;
        0 means not at all.
    kept : ndarray of bool, shape (n_scans,)
        Scans that are stored and over which means are taken; at least one.
    n_threads : int
        Threads that smooth; no result depends on it.
    folder : Path or None
        Where the matrix is kept on disk; None keeps it in memory.

    Returns
    -------
    MaskedSeries
        The 4D array is never held: memory is the matrix of the kept scans, unless that is on
        disk, and a few volumes.

    Raises
    ------
    BIDSFXError
        If a file is truncated or corrupt, not what its place asks for, or on another grid; if
        the matrix cannot be kept on disk.
    ValueError
        If `kept` does not fit the series or keeps nothing.

    Notes
    -----
    The first kept volume is taken out before anything is stored in float32, and the rest of the
    mean afterwards, so that a large mean costs no precision. The difference of smoothed values,
    which are float32, is theirs rounded once. Scans that are not kept
    are read, since hash and checksum are of the whole file, but neither smoothed nor stored:
    nothing in them, gaps included, changes any voxel.
    """
    header = read_header(bold)
    if len(header.shape) != 4:
        raise bad_file(bold, f"an image of shape {header.shape}", "give a series of volumes")
    if kept.shape != (header.n_scans,) or not kept.any():
        raise ValueError(f"kept must choose among {header.n_scans} scans")
    if mask is None:
        inside, mask_sha256 = compute_mask(_mean_image(header, kept)), None
        if not inside.any():
            raise bad_file(bold, "no brain stands out in its mean image", "put a mask beside it")
    else:
        volume = read_volume(mask)
        check_same_grid(mask, volume.grid, bold, header.grid)
        inside, mask_sha256 = mask_of(volume.values, mask), volume.sha256
    shape = int(np.count_nonzero(kept)), int(np.count_nonzero(inside))
    values = np.empty(shape, np.float32) if folder is None else StoredMatrix(folder, shape)
    picker = _Picker.of(header, inside, fwhm_mm)
    total, mean, bold_sha256 = _gather(header, picker, kept, values, n_threads)
    return MaskedSeries(
        values=values,
        mean=mean,
        mask=inside,
        grid=header.grid,
        mean_image=_finish_mean(header, total, kept),
        bold_sha256=bold_sha256,
        mask_sha256=mask_sha256,
    )


def _gather(
    header: ImageHeader,
    picker: _Picker,
    kept: BoolArray,
    values: npt.NDArray[Any] | StoredMatrix,
    n_threads: int,
) -> tuple[FloatArray, FloatArray, str]:
    """Fill a matrix with the kept scans; return the volumes' sum, the means and the hash."""
    total = np.zeros(int(np.prod(header.shape[:3])), _sum_dtype(header))

    def parts(volumes: Iterator[RawArray]) -> Iterator[RawArray]:
        for scan, raw in enumerate(volumes):
            if kept[scan]:
                np.add(total, raw, out=total)
                yield picker.part(raw)

    n_rows, n_voxels = values.shape
    summed = np.zeros(n_voxels)
    reference: npt.NDArray[np.floating[Any]] = np.zeros(n_voxels)
    with open_series(header) as (volumes, file), np.errstate(invalid="ignore", over="ignore"):
        for row, voxels in enumerate(map_in_order(picker.pick, parts(volumes), n_threads)):
            if row == 0 and np.isfinite(voxels).any():
                reference = voxels.copy()
            difference = np.subtract(voxels, reference, out=voxels)
            values[row] = difference
            summed += difference
        mean = reference + summed / n_rows
    if not np.isfinite(mean).any():
        _refuse_blank(header, kept, values)
    _centre(values, summed / n_rows, mean, n_threads)
    return total, mean, file.sha256


def _refuse_blank(
    header: ImageHeader, kept: BoolArray, values: npt.NDArray[Any] | StoredMatrix
) -> None:
    """Name the kept scans without any number in the mask, if that is what is wrong."""
    scans = np.flatnonzero(kept) + 1
    blank = [str(scan) for row, scan in enumerate(scans) if not np.isfinite(values[row]).any()]
    if not blank:
        return
    listed = ", ".join(blank[:10]) + (", ..." if len(blank) > 10 else "")
    raise bad_file(
        header.path,
        f"no number in any voxel of the mask in {len(blank)} of {header.n_scans} scans ({listed}, "
        "counted from 1)",
        "mend the file, or censor these scans",
    )


def _centre(
    values: npt.NDArray[Any] | StoredMatrix, offset: FloatArray, mean: FloatArray, n_threads: int
) -> None:
    """Take the rest of the mean out of a matrix; NaN in it and its mean where that fails."""

    def centre(row: int) -> BoolArray:
        # A row of float32 less a row of float64 is computed in float64, then rounded once.
        with np.errstate(invalid="ignore", over="ignore"):
            centred = (values[row] - offset).astype(np.float32)
        values[row] = centred
        return np.isfinite(centred)

    whole = np.isfinite(mean)
    for finite in map_in_order(centre, range(values.shape[0]), n_threads):
        whole &= finite
    if not whole.all():
        for row in range(values.shape[0]):
            values[row] = np.where(whole, values[row], np.float32(np.nan))
        mean[~whole] = np.nan


def _sum_dtype(header: ImageHeader) -> type[np.number]:
    """Return in what the stored values of all scans are summed exactly, if that can be."""
    # Of fewer scans than this no sum of two-byte integers overflows; it is three times as fast.
    short = header.dtype.kind in "iu" and header.dtype.itemsize <= 2 and header.n_scans < 2**15
    return np.int32 if short else np.float64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picker:
    """What takes the (smoothed) values in the mask from stored volumes.

    Parameters
    ----------
    header : ImageHeader
        Of the series.
    box : tuple of slice
        The part of a volume that is needed: the mask's box padded by the kernel's radius.
        Smoothing acts along one axis after the other, so that in it every voxel of the mask sees
        what it sees in the whole volume.
    smoother : Smoother or None
        What smooths this part; None leaves it as it is.
    places : ndarray of int, shape (n_voxels,)
        The mask's voxels in this part, in Fortran order of the part as volumes are stored, listed
        in C order of the grid as the rows of the matrix are.
    """

    header: ImageHeader
    box: tuple[slice, ...]
    smoother: Smoother | None
    places: npt.NDArray[np.intp]

    @classmethod
    def of(cls, header: ImageHeader, inside: BoolArray, fwhm_mm: float) -> _Picker:
        """Find what a mask needs."""
        sigma = sigma_voxels(fwhm_mm, header.grid.voxel_sizes_mm)
        box = tuple(
            slice(max(0, int(places.min()) - radius), int(places.max()) + radius + 1)
            for places, radius in zip(np.nonzero(inside), kernel_radius(sigma), strict=True)
        )
        part = inside[box]
        return cls(
            header=header,
            box=box,
            smoother=Smoother.of(part, sigma) if any(sigma) else None,
            places=np.ravel_multi_index(np.nonzero(part), part.shape, order="F"),
        )

    def part(self, raw: RawArray) -> RawArray:
        """Copy what is needed out of the buffer of a volume."""
        return raw.reshape(self.header.shape[:3], order="F")[self.box].copy(order="K")

    def pick(self, part: RawArray) -> npt.NDArray[np.floating[Any]]:
        """Return the values of the mask's voxels: float32 if they are smoothed, else float64."""
        # Threads have error states of their own.
        with np.errstate(invalid="ignore", over="ignore"):
            if self.smoother is None:
                return scale(self._inside(part), self.header)
            volume = scale(part, self.header, np.float32)
            if part.dtype.kind == "f" and not np.isfinite(self._inside(volume)).any():
                # Smoothing takes NaN as 0: a scan without numbers would become one of zeros.
                return np.full(self.places.size, np.nan, dtype=np.float32)
            self.smoother.smooth(volume)
            return self._inside(volume)

    def _inside(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Take the mask's voxels."""
        return np.ravel(part, order="F").take(self.places)


def _mean_image(header: ImageHeader, kept: BoolArray) -> FloatImage:
    """Return the mean over kept scans of the whole image."""
    total = np.zeros(int(np.prod(header.shape[:3])), _sum_dtype(header))
    with open_series(header) as (volumes, _), np.errstate(invalid="ignore", over="ignore"):
        for scan, raw in enumerate(volumes):
            if kept[scan]:
                total += raw
    return _finish_mean(header, total, kept)


def _finish_mean(header: ImageHeader, total: FloatArray, kept: BoolArray) -> FloatImage:
    """Return the mean image from the sum of stored values, in the file's order."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean = scale(total / np.count_nonzero(kept), header).astype(np.float32)
    return np.ascontiguousarray(mean.reshape(header.shape[:3], order="F"))
