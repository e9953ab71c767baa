"""Files as the page takes them up."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


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


def read_json(path: Path) -> dict[str, object]:
    """Return what a JSON file holds; nothing where it is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
