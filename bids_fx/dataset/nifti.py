"""NIfTI files as streams: their headers, and their volumes one after the other."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.streams import (
    CHUNK,
    MOST_BEYOND,
    MOST_INFLATION,
    HashedFile,
    bad_file,
    begins_as_gzip,
    drain,
    goes_on,
    open_file,
    open_stream,
    reading,
    stored_size,
    truncated,
)
from bids_fx.errors import BIDSFXError
from bids_fx.inputs import Grid

RawArray = npt.NDArray[Any]

_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
#: A volume of a voxel that is this small a share of its edges' product is rounding.
_FLAT = 1e-9


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
        return self.data_offset + math.prod(self.shape) * self.dtype.itemsize

    @property
    def n_scans(self) -> int:
        """Number of volumes."""
        return self.shape[3] if len(self.shape) > 3 else 1


def read_header(path: Path) -> ImageHeader:
    """Read the header of a NIfTI-1 or NIfTI-2 file, compressed or not.

    Raises
    ------
    BIDSFXError
        If the file is absent, no single-file NIfTI image, of a type that holds no real numbers,
        on no grid, or so small that it cannot hold what its header promises.

    Notes
    -----
    A slope of 0 or NaN means that values are not scaled, and a data offset of 0 the end of the
    header, as in nibabel.
    """
    from nibabel.spatialimages import HeaderDataError

    with open_stream(path, chunk=4096) as (stream, file):
        start = stream.read(540)  # the longer of the two headers
        size, packed = stored_size(file), file.is_gzip
    fields = _parse(path, start)
    shape = tuple(int(length) for length in fields.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3 or min(shape) < 1:
        raise bad_file(path, f"an image of shape {shape}", "store at least one volume")
    try:
        slope, inter = fields.get_slope_inter()
        dtype = fields.get_data_dtype()
        header = ImageHeader(
            path=path,
            shape=shape,
            grid=_grid(path, fields, (shape[0], shape[1], shape[2])),
            dtype=dtype,
            slope=1.0 if slope is None else float(slope),
            inter=0.0 if inter is None else float(inter),
            data_offset=int(fields.get_data_offset()),
            repetition_time=_repetition_time(fields),
        )
    except (HeaderDataError, ValueError) as error:
        raise _senseless(path, error) from None
    if dtype.kind not in "iuf":
        raise bad_file(path, f"voxels of type {dtype}", "store real numbers")
    _require_room(path, header.n_bytes, size, packed=packed)
    return header


def _parse(path: Path, start: bytes) -> Any:
    """Return the fields of a header, or refuse it."""
    import nibabel as nb
    from nibabel.spatialimages import HeaderDataError

    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    found = [(order, int.from_bytes(start[:4], order)) for order in orders]
    order, size = next((one for one in found if one[1] in {348, 540}), found[0])
    kind = nb.Nifti2Header if size == 540 else nb.Nifti1Header
    if size not in {348, 540} or len(start) < kind.sizeof_hdr:
        raise _not_nifti(path, start)
    # nibabel takes a header with another number of axes for one in the other byte order.
    axes = start[16:24] if size == 540 else start[40:42]
    n_axes = int.from_bytes(axes, order, signed=True)
    if not 1 <= n_axes <= 7:
        raise _senseless(path, f"{n_axes} axes")
    # What nibabel mends in a header it logs; what matters is told by the errors here.
    unheard = logging.getLogger("bids_fx.unheard")
    unheard.disabled = True
    try:
        fields = kind.from_fileobj(io.BytesIO(start), check=False)
        _require_finite(path, fields)
        fields.check_fix(logger=unheard)
    except (HeaderDataError, ValueError) as error:
        raise _senseless(path, error) from None
    if not fields["magic"].item().startswith(b"n+"):
        raise bad_file(path, "the header of a pair of .hdr and .img files", "store one .nii file")
    return fields


def _require_finite(path: Path, fields: Any) -> None:
    """Refuse numbers that nibabel would take for others or for none, before it mends any."""
    if not np.isfinite(float(fields["vox_offset"])):
        raise _senseless(path, f"data offset {fields['vox_offset']}")
    if np.isinf(float(fields["scl_slope"])):
        raise _senseless(path, f"slope {fields['scl_slope']}")
    if float(fields["scl_slope"]) and not np.isfinite(float(fields["scl_inter"])):
        raise _senseless(path, f"intercept {fields['scl_inter']}")
    sizes = fields["pixdim"][1:4]
    if not fields["sform_code"] and not (np.isfinite(sizes) & (sizes > 0)).all():
        listed = " x ".join(f"{size:g}" for size in sizes)
        raise _senseless(path, f"voxels of {listed} mm")


def _grid(path: Path, fields: Any, shape: tuple[int, int, int]) -> Grid:
    """Return the grid of a header's first three axes; one without volume is refused."""
    with np.errstate(over="ignore", invalid="ignore"):
        affine = fields.get_best_affine()
        edges = np.linalg.norm(affine[:3, :3], axis=0)
        volume = abs(np.linalg.det(affine[:3, :3]))
    if not (np.isfinite(affine).all() and np.isfinite(volume) and np.isfinite(edges).all()):
        raise _senseless(path, "an affine that is not finite")
    if volume <= _FLAT * math.prod(edges):
        raise _senseless(path, "an affine that makes voxels flat")
    return Grid(shape=shape, affine=tuple(map(tuple, affine.tolist())))


def _require_room(path: Path, n_bytes: int, size: int, *, packed: bool) -> None:
    """Refuse a file that cannot hold what its header promises, before anything else is read."""
    if packed:
        if n_bytes > size * MOST_INFLATION:
            raise truncated(path, f"{size} compressed bytes cannot hold {n_bytes} bytes")
    elif size < n_bytes:
        raise truncated(path, f"{size} of {n_bytes} bytes")


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
        If the file is too short or far too long.

    Notes
    -----
    The last four bytes of a gzip member are its uncompressed size modulo 2^32 (RFC 1952), which
    costs nothing to read. Where they do not agree with the header the file is decompressed to its
    end, since several members may legally follow each other.
    """
    with reading(path), open_file(path) as file:
        size, packed = stored_size(file), begins_as_gzip(file.read(2))
        if packed:
            file.seek(-4, io.SEEK_END)
            if int.from_bytes(file.read(), "little") == header.n_bytes % 2**32:
                return
    if packed:
        with open_stream(path) as (stream, _):
            size = drain(stream, path, header.n_bytes)
    if size > header.n_bytes + MOST_BEYOND:
        raise goes_on(path)
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
        left = header.data_offset
        while left and (skipped := len(stream.read(min(left, CHUNK)))):
            left -= skipped
        yield _volumes(stream, header), file
        drain(stream, header.path, 0)


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


def _senseless(path: Path, what: object) -> BIDSFXError:
    """Return the error of a header of which a number makes no sense."""
    return bad_file(path, f"a NIfTI header that makes no sense ({what})")


def _not_nifti(path: Path, start: bytes) -> BIDSFXError:
    """Return the error of a file that is no NIfTI image, and say what it looks like."""
    return bad_file(path, "an empty file" if not start else "not a NIfTI image")
