"""Files as the page takes them up."""

from __future__ import annotations

import base64
import re
import struct
from pathlib import Path, PurePosixPath

from bids_fx.regular import read_bytes
from bids_fx.reports.page import Picture

#: Figures that are wider, in CSS pixels, do not stand side by side.
WIDE_PX = 746.0

_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def image_size(path: Path) -> tuple[float, float] | None:
    """Return width and height of an SVG or PNG file of ours; None where it does not tell.

    Returns
    -------
    tuple of float or None
        In CSS pixels: those of a PNG, and 96 an inch of an SVG.
    """
    start = read_bytes(path)[:2000]
    if path.suffix == ".png":
        return struct.unpack(">II", start[16:24]) if len(start) > 24 else None
    length = rb'="(\d+(?:\.\d*)?)pt"'
    size = re.search(rb"<svg [^>]*?width" + length + rb" height" + length, start)
    return (float(size[1]) * 96 / 72, float(size[2]) * 96 / 72) if size else None


def data_uri(path: Path) -> str:
    """Return an SVG or PNG file as a data URI.

    Raises
    ------
    KeyError
        For any other kind of file.
    """
    encoded = base64.b64encode(read_bytes(path)).decode("ascii")
    return f"data:{_MEDIA_TYPES[path.suffix]};base64,{encoded}"


def embed(path: PurePosixPath, out_dir: Path, *, title: str, caption: str, alt: str) -> Picture:
    """Return a figure of the output folder, with the image itself if it is there."""
    file = out_dir / path
    try:
        uri, size = data_uri(file), image_size(file)
    except OSError:
        uri, size = None, None
    is_wide = path.suffix == ".svg" and size is not None and size[0] > WIDE_PX
    return Picture(
        title=title,
        caption=caption,
        alt=alt,
        path=str(path),
        uri=uri,
        size=size,
        is_wide=is_wide,
    )
