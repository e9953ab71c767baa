"""Reading of JSON, whoever wrote it: what is wrong with it is one kind of error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bids_fx.regular import read_text

#: Digits of a whole number that is one: sizes and times in ns have fewer.
_MOST_DIGITS = 30


def parse_json(text: str) -> Any:
    """Return what a JSON text holds; whole numbers as `whole` has them.

    Raises
    ------
    ValueError
        Where the text is no JSON, or is nested deeper than anything means.

    Examples
    --------
    >>> parse_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    try:
        return json.loads(text, parse_int=whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of ours.

    Raises
    ------
    OSError
        Where it cannot be read.
    ValueError
        Where it is damaged, or holds anything else.
    """
    values = parse_json(read_text(path))
    if isinstance(values, dict):
        return values
    raise ValueError("it is no object")


def object_or_nothing(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of ours; an empty one where it is absent or damaged."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}


def whole(text: str) -> int | float:
    """Return a whole number; one that nothing has as many of is as good as endless.

    Examples
    --------
    >>> whole("7"), whole("1" + 400 * "0")
    (7, inf)
    """
    return int(text) if len(text) < _MOST_DIGITS else float(text)
