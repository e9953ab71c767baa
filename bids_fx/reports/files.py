"""The few bytes that the report layer writes and embeds itself."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file under a temporary name in its folder, sync it, then rename it.

    Parameters
    ----------
    path : Path
        Final name; its folder is made if need be.
    content : bytes
        The whole file.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    OSError
        Where the folder or the file cannot be written; nothing half-written is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def svg_width_pt(path: Path) -> float:
    """Return the natural width of an SVG file of ours in points; 0 where it has none."""
    width = re.search(rb'<svg [^>]*?width="([\d.]+)pt"', path.read_bytes()[:2000])
    return float(width[1]) if width else 0.0


def data_uri(path: Path) -> str:
    """Return an SVG or PNG file as a data URI.

    Raises
    ------
    KeyError
        For any other kind of file.
    """
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{_MEDIA_TYPES[path.suffix]};base64,{encoded}"
