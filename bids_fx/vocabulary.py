"""The conditions that a contrast expression may name, and finding them in its text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bids_fx.suggest import closest, did_you_mean, listed

_QUOTED = re.compile(r"`((?:[^`]|``)*)`|'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
#: What is taken for a name that is not known, for the message about it.
_CHUNK = re.compile(r"[^\s()+*/=\[\]`;]+")
_WORD = re.compile(r"[\w.]+")
#: Names that can be found without quotes; any other would hide the signs around it.
_BARE = re.compile(r"[^\s+\-*/=`'\")\[\];][^`]*(?<![\s+\-*/=\[(;])", re.DOTALL)
_PREFIX = "trial_type."


class ContrastError(ValueError):
    """A contrast expression that cannot be read; its text says what is wrong, and where."""


class UnknownConditionError(ContrastError):
    """A contrast expression that names no known condition where one is needed."""


class Vocabulary:
    """The known conditions.

    Parameters
    ----------
    conditions : iterable of str
        Their names, which may hold anything.
    """

    def __init__(self, conditions: Iterable[str]) -> None:
        self._names = sorted(sorted(set(conditions)), key=len, reverse=True)
        self._bare = [name for name in self._names if _BARE.fullmatch(name)]

    def find(self, text: str, at: int) -> tuple[str | None, int]:
        """Return the condition that stands at a place, quoted or not, and its end.

        Raises
        ------
        ContrastError
            If quotes are not closed, or name no condition.
        """
        if text[at : at + 1] not in ("`", "'", '"'):
            return self.longest(text, at)
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            raise ContrastError(f"a closing quote is missing {place(text, at)}")
        return self._quoted_name(quoted), quoted.end()

    def find_prefixed(self, text: str, at: int) -> tuple[str, int]:
        """Return the condition at a place, perhaps after ``trial_type.``, and its end.

        Raises
        ------
        ContrastError
            If none stands there; the message names the closest, and all that there are.
        """
        if text.startswith(_PREFIX, at):
            at += len(_PREFIX)
        name, end = self.find(text, at)
        if name is None:
            raise self._unknown(text, at)
        return name, end

    def longest(self, text: str, at: int) -> tuple[str | None, int]:
        """Return the longest condition that stands at a place without quotes, and its end."""
        for name in self._bare:
            if text.startswith(name, at) and _ends(text, at + len(name)):
                return name, at + len(name)
        alike: list[str] = []
        for name in self._bare:
            match = re.compile(re.escape(name), re.IGNORECASE).match(text, at)
            is_longest = not alike or len(alike[0]) == len(name)
            if match is not None and is_longest and _ends(text, match.end()):
                alike.append(name)
        if not alike:
            return None, at
        return _only(alike, text[at : at + len(alike[0])]), at + len(alike[0])

    def listed(self) -> str:
        """Tell which conditions there are."""
        return f"the conditions are: {listed(sorted(self._names))}"

    def _quoted_name(self, quoted: re.Match[str]) -> str:
        """Return the condition that a quoted text names."""
        mark = quoted[0][0]
        text = quoted[0][1:-1].replace(2 * mark, mark)
        for name in (text, text.strip(), text.strip().removeprefix(_PREFIX)):
            if name in self._names:
                return name
            alike = [known for known in self._names if known.casefold() == name.casefold()]
            if alike:
                return _only(alike, name)
        raise self._not_known(text)

    def _unknown(self, text: str, at: int) -> UnknownConditionError:
        """Return the error about the name at a place, which is not known."""
        chunk, word = _CHUNK.match(text, at), _WORD.match(text, at)
        texts = [match[0] for match in (chunk, word) if match is not None]
        # "right-hnd" may be one name or two: the one is meant that is like a condition.
        likely = next((one for one in texts if closest(one, self._names)), None)
        return self._not_known(likely or (texts or [text[at : at + 1]])[-1])

    def _not_known(self, text: str) -> UnknownConditionError:
        """Return the error about a name, with the names that there are."""
        question = did_you_mean(text, self._names)
        shown = text if len(text) <= 40 else text[:39] + "…"
        return UnknownConditionError(
            f"there is no condition '{shown}'{f' ({question})' if question else ''}; "
            f"{self.listed()}"
        )


def place(text: str, at: int) -> str:
    """Tell a place of a text to its writer.

    Examples
    --------
    >>> place("face - * house", 7), place("face -", 6)
    ("at '* house'", 'at its end')
    """
    rest = text[at:].strip()
    if not rest:
        return "at its end"
    return f"at '{rest if len(rest) <= 25 else rest[:24] + '…'}'"


def _ends(text: str, end: int) -> bool:
    """Tell whether no word goes on over a place."""
    before, after = text[end - 1], text[end : end + 1]
    return not (_is_word(before) and (_is_word(after) or after == "."))


def _is_word(character: str) -> bool:
    """Tell whether a character, if there is one, belongs to a word."""
    return character.isalnum() or character == "_"


def _only(alike: Sequence[str], text: str) -> str:
    """Return the only name of some, or refuse them."""
    if len(alike) > 1:
        raise ContrastError(f"'{text}' may mean any of {', '.join(alike)}, which differ in case")
    return alike[0]
