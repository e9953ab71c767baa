"""The values of options that say where, what and how, but change no number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bids_fx.entities import strip_prefix
from bids_fx.values import BadValueError, Convert, number

_LABEL = re.compile(r"[a-zA-Z0-9+]+")
#: Names of datasets become keys of ``DatasetLinks`` and parts of BIDS URIs.
_DATASET_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
#: The raw dataset has this name in BIDS URIs.
RESERVED_DATASET_NAME = "raw"
#: Bytes of decimal units, so that no option asks for more than was meant.
_MEMORY_MB = {"": 1.0, "K": 1e-3, "M": 1.0, "G": 1e3, "T": 1e6}
#: Less memory than this does not hold the interpreter and its libraries.
MIN_MEMORY_MB = 256.0
#: More than any machine has: a thousand terabytes.
MAX_MEMORY_MB = 1e9


def label_of(key: str) -> Convert:
    """Return the conversion to a label of an entity, given with or without its prefix.

    Examples
    --------
    >>> label_of("sub")("sub-01"), label_of("sub")("01")
    ('01', '01')
    """

    def convert(text: str) -> str:
        label = strip_prefix(text, key)
        if not _LABEL.fullmatch(label):
            raise BadValueError(
                f"'{text}' is no label of '{key}-'",
                "labels are letters and digits; separate several by spaces",
            )
        return label

    return convert


def some_text(text: str) -> str:
    """Return a text that is not empty."""
    if not text.strip():
        raise BadValueError("it is empty", "give a value, or leave the option out")
    return text.strip()


def to_path(text: str) -> Path:
    """Return the absolute path of a file or folder, which need not be there.

    Notes
    -----
    Symbolic links are kept, so that names stay as users know them; only where ``..`` follows
    one would cutting it off mean another folder, and there they are resolved.
    """
    if not text.strip() or "\0" in text:
        raise BadValueError("the path is empty", "give the path of a file or folder")
    try:
        path = Path(text).expanduser()
        return path.resolve() if ".." in path.parts else path.absolute()
    except (OSError, RuntimeError) as error:
        raise BadValueError(f"'{text}' leads nowhere: {error}", "give another path") from None


def model_file(text: str) -> Path | Literal["auto"]:
    """Return the path of a model's file, or ``auto``."""
    return "auto" if text == "auto" else to_path(text)


def named_path(text: str) -> tuple[str | None, Path]:
    """Return the name, if there is one, and the folder of ``NAME=PATH`` or ``PATH``."""
    name, sign, path = text.partition("=")
    if not sign or "/" in name:
        return None, to_path(text)
    if not _DATASET_NAME.fullmatch(name) or name == RESERVED_DATASET_NAME:
        raise BadValueError(
            f"'{name}' cannot name a dataset",
            "use letters, digits, '.', '_' and '-', and not 'raw'; write ./ before a path "
            "that holds a '='",
        )
    return name, to_path(path)


def named_paths(given: Sequence[tuple[str | None, Path]]) -> tuple[tuple[str, Path], ...]:
    """Give the datasets without a name that of their folder, and refuse a name used twice.

    Examples
    --------
    >>> folders = [(None, Path("/a/fmriprep")), (None, Path("/b/fmriprep")), ("x", Path("/c"))]
    >>> [name for name, _ in named_paths(folders)]
    ['fmriprep', 'fmriprep2', 'x']
    """
    names = [name for name, _ in given if name is not None]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadValueError(f"two datasets are named '{twice}'", "give each its own name")
    taken = {RESERVED_DATASET_NAME, *names}
    named: list[tuple[str, Path]] = []
    for name, path in given:
        if name is None and path in (other for _, other in named):
            continue
        base = re.sub(r"[^a-zA-Z0-9._-]|^[._-]+", "", path.name) or "derivatives"
        free = (f"{base}{n or ''}" for n in (0, *range(2, len(given) + 3)))
        own = name or next(candidate for candidate in free if candidate not in taken)
        named.append((own, path))
        taken.add(own)
    return tuple(named)


def space(text: str) -> str:
    """Return a space, with its resolution where one is asked for.

    Examples
    --------
    >>> space("space-MNI152NLin2009cAsym:res-2"), space("func")
    ('MNI152NLin2009cAsym:res-2', 'func')
    """
    name, *modifiers = text.split(":")
    name = strip_prefix(name, "space")
    labels = [strip_prefix(item, "res") for item in modifiers if item.startswith("res-")]
    if len(labels) != len(modifiers) or len(labels) > 1:
        raise BadValueError(
            f"'{text}' is not understood",
            "write SPACE or SPACE:res-LABEL; other entities go into --bids-filter-file",
        )
    if not all(_LABEL.fullmatch(label) for label in (name, *labels)):
        raise BadValueError(f"'{text}' is no space", "labels are letters and digits")
    return f"{name}:res-{labels[0]}" if labels else name


def memory_mb(text: str) -> float:
    """Return megabytes (1000000 bytes) of a number with or without a unit.

    Examples
    --------
    >>> memory_mb("8G"), memory_mb("500MB"), memory_mb("2000"), memory_mb("1e6 K")
    (8000.0, 500.0, 2000.0, 1000.0)
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMGT]?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise BadValueError(f"'{text}' is no amount of memory", "give MB, or add a unit: 8G")
    value = number(above=0)(match[1]) * _MEMORY_MB[match[2].upper()]
    if value < MIN_MEMORY_MB:
        raise BadValueError(
            f"'{text}' is {value:g} MB",
            f"give {MIN_MEMORY_MB:g} MB or more, for example 8G",
        )
    if value > MAX_MEMORY_MB:
        raise BadValueError(
            f"'{text}' is more than any machine has",
            f"give {MAX_MEMORY_MB / 1e6:g}T or less, for example 8G",
        )
    return value


def each_once(given: Sequence[object]) -> tuple[object, ...]:
    """Return values in their order, each once."""
    return tuple(dict.fromkeys(given))
