"""Whether an output is on disk to its end, by its kind: what is not is made again."""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from bids_fx.derivatives import paths
from bids_fx.inputs import BoldRun
from bids_fx.json_files import parse_json
from bids_fx.records import RunPlan
from bids_fx.regular import open_regular, read_bytes

_CHUNK = 1 << 20
#: Of a NIfTI-1 file before its first voxel, and of the piece in which they are looked for.
_HEADER_BYTES, _START_BYTES = 352, 1 << 12
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
_SVG_END = b"</svg>"


def is_whole(
    path: PurePosixPath, out_dir: Path, *, n_rows: int | None = None, quick: bool = False
) -> bool:
    """Tell whether an output is there to its end, and this folder's own.

    Parameters
    ----------
    path : PurePosixPath
        Relative to the output folder.
    out_dir : Path
        The output folder.
    n_rows : int or None
        Rows of a table below its header, where they are known.
    quick : bool
        Look at the ends of an image alone, which a file that was cut off does not have; else it
        is read, and its checksum compared.

    """
    from isal import igzip_lib

    # The library's stub declares an instance where the module has the class.
    isal_error = cast("type[Exception]", igzip_lib.IsalError)
    try:
        if not is_own(path, out_dir):
            return False
        if path.name.endswith(".nii.gz"):
            with io.BufferedReader(open_regular(out_dir / path)) as stream:
                return _is_image(stream, quick=quick)
        if path.suffix == ".tsv":
            return _is_table(read_bytes(out_dir / path), n_rows)
        check = _CHECKS.get(path.suffix)
        return check is None or check(read_bytes(out_dir / path))
    except (OSError, ValueError, struct.error, isal_error):
        return False


def is_own(path: PurePosixPath, out_dir: Path) -> bool:
    """Tell whether an output is a file that the output folder itself holds.

    Returns
    -------
    bool
        False for what is no file, such as a named pipe, and for a link that leads out of the
        output folder; git-annex has links within it.
    """
    file = out_dir / path
    if not file.is_symlink():
        return file.is_file()
    return file.is_file() and file.resolve().is_relative_to(out_dir.resolve())


def n_rows_of(run: RunPlan) -> dict[PurePosixPath, int]:
    """Return the number of rows of those tables of a run that have one a scan."""
    if not isinstance(run.source, BoldRun):
        return {}
    tables = (paths.design(run.entities), paths.timeseries(run.entities))
    return dict.fromkeys(tables, run.source.n_scans)


def _is_image(stream: BinaryIO, *, quick: bool) -> bool:
    """Tell whether a gzip file has the bytes that the header of its NIfTI-1 image asks for."""
    from isal import igzip_lib

    member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    header = member.decompress(stream.read(_START_BYTES), _HEADER_BYTES)
    n_axes, *axes = struct.unpack_from("<8h", header, 40)
    (n_bits,) = struct.unpack_from("<h", header, 72)
    expected: int = _HEADER_BYTES + math.prod(axes[:n_axes]) * n_bits // 8
    if quick:
        # A gzip file ends with the length of its content.
        stream.seek(-4, os.SEEK_END)
        return int.from_bytes(stream.read(), "little") == expected % 2**32
    n_bytes = len(header)
    while not member.eof and n_bytes <= expected:
        stored = stream.read(_CHUNK) if member.needs_input else b""
        if member.needs_input and not stored:
            return False
        n_bytes += len(member.decompress(stored, _CHUNK))
    return n_bytes == expected and not member.unused_data and not stream.read(1)


def _is_table(content: bytes, n_rows: int | None) -> bool:
    """Tell whether a table has a header, as many cells in every row, and the end of its last."""
    header, *rows = content.split(b"\n")
    if not header or not rows or rows.pop():
        return False
    n_tabs = header.count(b"\t")
    return n_rows in (None, len(rows)) and all(row.count(b"\t") == n_tabs for row in rows)


def _is_object(content: bytes) -> bool:
    """Tell whether a JSON file holds an object."""
    return isinstance(parse_json(content.decode()), dict)


_CHECKS: dict[str, Callable[[bytes], bool]] = {
    ".json": _is_object,
    ".png": lambda content: content.startswith(_PNG_START) and content.endswith(_PNG_END),
    ".svg": lambda content: content.rstrip().endswith(_SVG_END),
}
