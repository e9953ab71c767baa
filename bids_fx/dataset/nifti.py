"""NIfTI files as streams: their headers, and their volumes one after the other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.streams import CHUNK, HashedFile, bad_file, is_gzip, open_stream, truncated
from bids_fx.errors import BIDSFXError
from bids_fx.inputs import Grid

RawArray = npt.NDArray[Any]

_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What the header of a NIfTI file says of its voxels.

    Parameters
    ----------
    path : Path
        The file.
    shape : tuple of int
        At least three numbers; trailing axes of length 1 beyond the third are left out.
    grid : Grid
        Grid of the first three axes, by sform, qform or voxel sizes, in this order (as nibabel).
    dtype : dtype
        Type of the stored values, with their byte order.
    slope, inter : float
        A voxel's value is slope times the stored value plus inter.
    data_offset : int
        Bytes before the first voxel.
    repetition_time : float or None
        Length of the fourth axis' step in seconds; None where it is not positive or its unit
        is not one of time.
    """

    path: Path
    shape: tuple[int, ...]
    grid: Grid
    dtype: np.dtype[Any]
    slope: float
    inter: float
    data_offset: int
    repetition_time: float | None

    @property
    def n_bytes(self) -> int:
        """Size of the uncompressed file if it is complete."""
        return self.data_offset + int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def n_scans(self) -> int:
        """Number of volumes."""
        return self.shape[3] if len(self.shape) > 3 else 1


def read_header(path: Path) -> ImageHeader:
    """Read the header of a NIfTI-1 or NIfTI-2 file, compressed or not.

    Raises
    ------
    BIDSFXError
        If the file is absent, no single-file NIfTI image, or of a type that holds no real
        numbers.
    """
    import nibabel as nb
    from nibabel.spatialimages import HeaderDataError

    with open_stream(path, chunk=4096) as (stream, _):
        start = stream.read(540)  # the longer of the two headers
    size = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    kind = nb.Nifti2Header if 540 in size else nb.Nifti1Header
    if not size & {348, 540} or len(start) < kind.sizeof_hdr:
        raise _not_nifti(path, start)
    try:
        header = kind.from_fileobj(io.BytesIO(start))
        slope, inter = header.get_slope_inter()
        affine = header.get_best_affine()
        dtype = header.get_data_dtype()
    except (HeaderDataError, ValueError) as error:
        raise bad_file(path, f"a NIfTI header that makes no sense ({error})") from None
    if not header["magic"].item().startswith(b"n+"):
        raise bad_file(path, "the header of a pair of .hdr and .img files", "store one .nii file")
    if dtype.kind not in "iuf":
        raise bad_file(path, f"voxels of type {dtype}", "store real numbers")
    shape = tuple(int(length) for length in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3 or 0 in shape:
        raise bad_file(path, f"an image of shape {shape}", "store at least one volume")
    return ImageHeader(
        path=path,
        shape=shape,
        grid=Grid(shape=(shape[0], shape[1], shape[2]), affine=tuple(map(tuple, affine.tolist()))),
        dtype=dtype,
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        data_offset=int(header.get_data_offset()),
        repetition_time=_repetition_time(header),
    )


def check_complete(path: Path, header: ImageHeader) -> None:
    """Make sure that a file holds all the voxels that its header promises.

    Parameters
    ----------
    path : Path
        The image.
    header : ImageHeader
        Its header.

    Raises
    ------
    BIDSFXError
        If the file is too short.

    Notes
    -----
    The last four bytes of a gzip member are its uncompressed size modulo 2^32 (RFC 1952), which
    costs nothing to read. Where they do not agree with the header the file is decompressed to its
    end, since several members may legally follow each other.
    """
    if is_gzip(path):
        with path.open("rb") as file:
            file.seek(-4, io.SEEK_END)
            if int.from_bytes(file.read(), "little") == header.n_bytes % 2**32:
                return
        with open_stream(path) as (stream, _):
            size = sum(map(len, iter(lambda: stream.read(CHUNK), b"")))
    else:
        size = path.stat().st_size
    if size < header.n_bytes:
        raise truncated(path, f"{size} of {header.n_bytes} bytes")


def scale(
    raw: RawArray, header: ImageHeader, dtype: type[np.floating] = np.float64
) -> npt.NDArray[Any]:
    """Return stored values in the image's units, computed in float64 and rounded once."""
    if header.slope == 1 and header.inter == 0:
        return raw.astype(dtype)
    values = raw.astype(np.float64)
    values *= header.slope
    values += header.inter
    return values.astype(dtype, copy=False)


@contextmanager
def open_series(header: ImageHeader) -> Iterator[tuple[Iterator[RawArray], HashedFile]]:
    """Open an image for its volumes; on leaving, the rest is read, hashed and checked too."""
    with open_stream(header.path) as (stream, file):
        stream.read(header.data_offset)
        yield _volumes(stream, header), file
        while stream.read(CHUNK):
            pass


def _volumes(stream: io.BufferedIOBase, header: ImageHeader) -> Iterator[RawArray]:
    """Iterate over the volumes as stored, each a flat array in a buffer that is used again."""
    count = int(np.prod(header.shape[:3]))
    buffer = bytearray(count * header.dtype.itemsize)
    for scan in range(header.n_scans):
        view = memoryview(buffer)
        while view:
            if not (read := stream.readinto(view)):
                raise truncated(header.path, f"{scan} of {header.n_scans} volumes")
            view = view[read:]
        yield np.frombuffer(buffer, dtype=header.dtype)


def _repetition_time(header: Any) -> float | None:
    """Return the fourth voxel size in seconds, if it is positive and in a unit of time."""
    try:
        scale = _SECONDS.get(header.get_xyzt_units()[1])
    except KeyError:  # a code that NIfTI does not define
        return None
    step = float(header["pixdim"][4])
    return step * scale if scale is not None and step > 0 and np.isfinite(step) else None


def _not_nifti(path: Path, start: bytes) -> BIDSFXError:
    """Return the error of a file that is no NIfTI image, and say what it looks like."""
    return bad_file(path, "an empty file" if not start else "not a NIfTI image")
