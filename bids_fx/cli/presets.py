"""Writing down a call's options as a config file that repeats it."""

from __future__ import annotations

import json
from pathlib import Path

from bids_fx import __version__
from bids_fx.cli.table import OPTIONS
from bids_fx.settings import Invocation


def format_presets(invocation: Invocation, filter_file: Path | None = None) -> str:
    """Return a call's options as TOML that ``--config-file`` reads.

    Parameters
    ----------
    invocation : Invocation
        The call.
    filter_file : Path or None
        A file with its filters, as `filters_json` gives them.

    Returns
    -------
    str
        One line for each setting that was asked for or differs from its default; the folders
        stand in comments, and without a file the filters too.
    """
    lines = [
        f"# bids_fx {__version__}",
        f"# BIDS_DIR: {_text(invocation.data.bids_dir)}",
        f"# OUTPUT_DIR: {_text(invocation.execution.out_dir)}",
        f"# LEVEL: {invocation.level}",
    ]
    if invocation.data.filters:
        told = f"# --bids-filter-file: {filters_json(invocation)}"
        lines.append(told if filter_file is None else _line("bids-filter-file", filter_file))
    for option in OPTIONS:
        if option.field is None:
            continue
        record, name = option.field.split(".")
        value = getattr(getattr(invocation, record), name)
        # What is as by default, and was asked for, a model file does not change.
        is_given = record in ("analysis", "report") and name in invocation.given
        if is_given or value != option.field_default:
            lines.append(_line(option.key, value))
    return "\n".join(lines) + "\n"


def filters_json(invocation: Invocation) -> str:
    """Return a call's filters as ``--bids-filter-file`` reads them, in one line."""
    return json.dumps({"bold": invocation.data.filters})


def _line(key: str, value: object) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: object) -> str:
    """Return a setting as TOML, spelt as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]" if not _is_named(value) else _named(value)
    if isinstance(value, int | float):
        return repr(value)
    return _text(value)


def _is_named(value: tuple[object, ...]) -> bool:
    """Tell whether a value is the name and folder of derivatives."""
    return len(value) == 2 and isinstance(value[1], Path)


def _named(value: tuple[object, ...]) -> str:
    return _text(f"{value[0]}={value[1]}")


def _text(value: object) -> str:
    """Return a text in quotes, on one line.

    JSON's strings are TOML's basic strings, but for the one control character that JSON leaves as
    it is, and bytes that are no UTF-8, which TOML cannot hold.
    """
    text = str(value).encode(errors="replace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
