"""Writing files so that nobody ever sees half of one: to a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.paths import sidecar
from bids_fx.errors import output_error
from bids_fx.inputs import Grid
from bids_fx.settings import WORK_AREA

_CHUNK = 1 << 20

#: Follows the header of a NIfTI-1 file.
_NO_EXTENSION = bytes(4)
#: NIfTI codes of the world that an affine leads to.
_SCANNER, _TEMPLATE = 1, 4


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in its folder, sync it, then rename it.

    Parameters
    ----------
    path : Path
        Final name; its folder is made if need be.
    content : bytes
        The whole file.

    Raises
    ------
    BIDSFXError
        With code 73 where the folder or file cannot be created, 74 where writing fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise output_error(path, error) from error


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal text."""
    hasher = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file."""
    write_bytes(path, text.encode())


def to_json(values: Mapping[str, object]) -> str:
    """Return JSON with sorted keys, the same for the same values."""
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write a JSON file."""
    write_text(path, to_json(values))


def six_digits(value: float | None) -> float | None:
    """Return a number to six digits, since the rest is rounding; None where there is none.

    Examples
    --------
    >>> six_digits(1 / 3), six_digits(7), six_digits(float("nan"))
    (0.333333, 7, None)
    """
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a TSV file; None and NaN become ``n/a``, floats keep all their digits."""
    lines = ["\t".join(header), *("\t".join(map(_cell, row)) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    """Return a table's cell; tabs and line ends within a text would break the table."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "n/a"
    if isinstance(value, float):
        return repr(float(value))
    return " ".join(str(value).split())


def write_image(
    path: Path,
    values: npt.NDArray[np.generic],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    *,
    standard_space: bool,
    intent: tuple[str, tuple[float, ...]] = ("none", ()),
    outside: float = np.nan,
) -> None:
    """Write the values of a mask's voxels as a NIfTI-1 image of one volume or more.

    Parameters
    ----------
    path : Path
        Name that ends in ``.nii.gz``.
    values : ndarray of shape (n_voxels,) or (n_volumes, n_voxels)
        In the mask's C order; their dtype is the image's. With `n_volumes`, be it 1, the image
        has a fourth axis.
    mask : ndarray of bool, 3D
        Which voxels they belong to.
    grid : Grid
        The image's grid.
    standard_space : bool
        Whether the world is a template's (NIfTI code 4) or the scanner's (1).
    intent : tuple of str and parameters
        NIfTI intent, for example ``("t test", (40.0,))``.
    outside : float
        Value outside the mask.
    """
    import nibabel as nb

    shape = (*grid.shape, *values.shape[:-1])
    header = nb.Nifti1Header()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(shape)
    header.set_xyzt_units("mm", "sec")
    header.set_intent(*intent)
    header.set_slope_inter(1, 0)
    code = _TEMPLATE if standard_space else _SCANNER
    header.set_sform(np.asarray(grid.affine), code)
    header.set_qform(np.asarray(grid.affine), code, strip_shears=True)
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    start = header.binaryblock + _NO_EXTENSION
    # The file in one piece, of which the voxels are a view.
    content = np.empty(len(start) + math.prod(shape) * values.itemsize, dtype=np.uint8)
    content[: len(start)] = np.frombuffer(start, dtype=np.uint8)
    volumes = content[len(start) :].view(values.dtype).reshape(shape, order="F")
    volumes[...] = outside
    volumes[mask] = values.T
    write_bytes(path, _compressed(content))


def _compressed(content: npt.NDArray[np.uint8]) -> bytes:
    """Return bytes as gzip, the same for the same bytes.

    The compressor was seen to find other matches in the same bytes, once in some ten thousand
    files and never twice, for a reason that was not found. What it wrote was right each time, but
    a file that is compared by its hash must not differ.
    """
    from isal import igzip

    found = b""
    while found != (again := igzip.compress(content, compresslevel=2, mtime=0)):
        found = again
    return found


def remove_outputs(files: Iterable[PurePosixPath], out_dir: Path) -> None:
    """Remove outputs of an earlier call, and what is said of them, as far as they are there.

    Parameters
    ----------
    files : iterable of PurePosixPath
        Relative to the output folder, without sidecars.
    out_dir : Path
        The output folder.
    """
    for path in files:
        # The sidecar goes first: an image without one vouches for nothing.
        (out_dir / sidecar(path)).unlink(missing_ok=True)
        (out_dir / path).unlink(missing_ok=True)


def remove_unfinished(out_dir: Path, participant: str) -> None:
    """Remove the temporary files that killed processes of a participant have left.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participant : str
        Label without ``sub-``; its lock must be held, so that no other process writes them.
    """
    folder = out_dir / f"sub-{participant}"
    for path in (*folder.rglob(".*.tmp"), *out_dir.glob(f".sub-{participant}.html.*.tmp")):
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def locked(out_dir: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock on a shared file of the output folder.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    name : str
        What is locked; one lock file per name in the work area.
    """
    path = lock_path(out_dir, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise output_error(path.parent, error) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_locked(out_dir: Path, name: str) -> bool:
    """Tell whether any process holds a lock, as far as this machine can see.

    Parameters
    ----------
    out_dir : Path
        The output folder, to which nothing is written.
    name : str
        What may be locked.

    Returns
    -------
    bool
        True also where it cannot be told. Some shared file systems do not tell one machine of
        another's locks; there it may be False though the lock is held.
    """
    try:
        with lock_path(out_dir, name).open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def lock_path(out_dir: Path, name: str) -> Path:
    """Return the path of a lock's file."""
    return out_dir / WORK_AREA / "locks" / f"{name}.lock"
