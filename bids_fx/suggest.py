"""What a misspelt name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: Lists in messages are cut after this many names.
MAX_LISTED = 20


def closest(text: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like a text, without case, or None if none is like it.

    Examples
    --------
    >>> closest("hous", ["face", "house"]), closest("FACE", ["face"]), closest("x", ["face"])
    ('house', 'face', None)
    """
    from difflib import get_close_matches

    by_folded = {name.casefold(): name for name in names}
    found = get_close_matches(text.casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """Return the question to put behind a message, or nothing where no name is close.

    Examples
    --------
    >>> did_you_mean("hous", ["face", "house"]), did_you_mean("x", ["face"])
    ("did you mean 'house'?", '')
    """
    name = closest(text, names)
    return f"did you mean '{name}'?" if name is not None else ""


def listed(names: Sequence[str]) -> str:
    """Return names as a list for a message, cut where it would be too long to read.

    Examples
    --------
    >>> listed(["a", "b"]), listed([])
    ('a, b', 'none')
    """
    more = len(names) - MAX_LISTED
    text = ", ".join(names[:MAX_LISTED]) or "none"
    return f"{text} and {more} more" if more > 0 else text
