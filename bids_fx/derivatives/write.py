"""Writing files so that nobody ever sees half of one: to a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.locks import confirm_locks, fitting
from bids_fx.derivatives.paths import sidecar
from bids_fx.errors import output_error, visible, visible_json
from bids_fx.inputs import Grid
from bids_fx.regular import open_regular
from bids_fx.settings import WORK_AREA

_CHUNK = 1 << 20

#: How temporary files are opened: they are new, and no link that somebody put there.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]+\.tmp")

#: Follows the header of a NIfTI-1 file.
_NO_EXTENSION = bytes(4)
#: NIfTI codes of the world that an affine leads to.
_SCANNER, _TEMPLATE = 1, 4


def write_bytes(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a file under a temporary name in its folder, sync it, then rename it.

    Parameters
    ----------
    path : Path
        Final name; its folder is made if need be.
    content : bytes
        The whole file.
    synced : bool
        Wait until it is on the disk. Else it may be empty after a power cut.

    Raises
    ------
    BIDSFXError
        With code 73 where the folder or file cannot be created, 74 where writing fails; with
        code 1 where this process has lost a lock (see `confirm_locks`).
    """
    # By chance, since processes of two containers may have the same number.
    temporary = path.with_name(f".{fitting(path.name)}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(temporary, _NEW, 0o666), "wb") as stream:
                stream.write(content)
                stream.flush()
                if synced:
                    os.fsync(stream.fileno())
            confirm_locks()
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise output_error(path, error) from error


def refuse_unwritable(*folders: Path) -> None:
    """Raise BIDSFXError if this user cannot make files in some folder, before any work is done."""
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            is_read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
            number = errno.EROFS if is_read_only else errno.EACCES
            raise output_error(folder, OSError(number, os.strerror(number)))


def make_writable(folder: Path) -> None:
    """Make a folder, unless it is there; raise BIDSFXError if this user cannot use it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    refuse_unwritable(folder)


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal text."""
    hasher = hashlib.sha256()
    with open_regular(file) as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def stamp_of(file: Path) -> list[object]:
    """Return size in bytes and time of change in ns; nothing of a file that is not there."""
    try:
        status = file.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def write_text(path: Path, text: str, *, synced: bool = True) -> None:
    """Write a UTF-8 text file; halves of letters, as JSON may have them, become escapes."""
    write_bytes(path, text.encode(errors="backslashreplace"), synced=synced)


def to_json(values: Mapping[str, object]) -> str:
    """Return JSON with sorted keys, the same for the same values."""
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{visible_json(text)}\n"


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
    lines = ["\t".join(map(_cell, header)), *("\t".join(map(_cell, row)) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: object) -> str:
    """Return a table's cell; tabs and line ends would break the table, others a terminal."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "n/a"
    if isinstance(value, float):
        return repr(float(value))
    return visible(" ".join(str(value).split()))


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

    Raises
    ------
    BIDSFXError
        If this process has lost a lock (see `confirm_locks`): they may be another's by now.
    """
    confirm_locks()
    for path in files:
        # The sidecar goes first: an image without one vouches for nothing.
        (out_dir / sidecar(path)).unlink(missing_ok=True)
        (out_dir / path).unlink(missing_ok=True)


def remove_vouchers(files: Iterable[PurePosixPath], out_dir: Path) -> None:
    """Remove the sidecars of files, as far as they are there: so what they are of is unfinished.

    Parameters
    ----------
    files : iterable of PurePosixPath
        Relative to the output folder.
    out_dir : Path
        The output folder.

    Raises
    ------
    BIDSFXError
        If this process has lost a lock (see `confirm_locks`).
    """
    confirm_locks()
    for path in files:
        (out_dir / sidecar(path)).unlink(missing_ok=True)


def remove_unfinished(out_dir: Path, participant: str) -> None:
    """Remove the temporary files that killed processes of a participant have left.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participant : str
        Label without ``sub-``; its lock must be held, so that no other process writes them.

    Raises
    ------
    BIDSFXError
        If this process has lost a lock (see `confirm_locks`).
    """
    for folder, _, _ in os.walk(out_dir / f"sub-{participant}"):
        remove_temporaries(Path(folder))
    remove_temporaries(out_dir, f"sub-{participant}.html")
    remove_temporaries(out_dir / WORK_AREA / "hashes", f"sub-{participant}.json")


def remove_temporaries(folder: Path, *names: str) -> None:
    """Remove the temporary files that killed processes have left in a folder.

    Parameters
    ----------
    folder : Path
        The folder, which need not be there.
    *names : str
        Names of the files that were to be written; none means all. The lock under which they are
        written must be held.

    Raises
    ------
    BIDSFXError
        If this process has lost a lock (see `confirm_locks`): somebody may be at them.
    """
    confirm_locks()
    wanted = set(map(fitting, names))
    try:
        there = list(folder.iterdir())
    except OSError:  # whoever needs the folder says what is wrong with it
        return
    for path in there:
        found = _TEMPORARY.fullmatch(path.name)
        if found is not None and (not names or found[1] in wanted):
            with contextlib.suppress(OSError):
                path.unlink()
