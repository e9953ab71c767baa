"""What is found while a model file is read: its faults, what was assumed, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bids_fx.errors import Notice, Problem
from bids_fx.suggest import did_you_mean

#: May stand in every object, and says nothing to a program.
COMMENT = "Description"


@dataclass(slots=True)
class Findings:
    """All that is found in one file.

    Parameters
    ----------
    problems : list of Problem
        What is wrong.
    notices : list of Notice
        What was assumed or passed over.
    spellings : dict of str to str
        What the specification has, by what the file has instead.
    faulty : set of str
        Names of nodes with faults, about whose contrasts nothing can be said.
    """

    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    spellings: dict[str, str] = field(default_factory=dict)
    faulty: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the file, at which something is found.

    Parameters
    ----------
    findings : Findings
        Where it is collected.
    text : str
        Such as ``model-x_smdl.json: node 'run': Contrasts[2]``.
    node : str or None
        Name of the node that it belongs to.
    """

    findings: Findings
    text: str
    node: str | None = None

    def at(self, part: str) -> Place:
        """Return a place within this one."""
        return Place(self.findings, f"{self.text}: {part}", self.node)

    def named(self, name: str) -> Place:
        """Return this place with the name of what stands there."""
        return Place(self.findings, f"{self.text} '{name}'", self.node)

    def fault(self, found: str, remedy: str) -> None:
        """Note something that is wrong."""
        self.findings.problems.append(Problem(where=self.text, found=found, remedy=remedy))
        if self.node is not None:
            self.findings.faulty.add(self.node)

    def note(self, text: str, *, warning: bool = False) -> None:
        """Note what was assumed or passed over, in a sentence without a full stop."""
        self.findings.notices.append(Notice(text=f"{self.text}: {text}.", warning=warning))

    def spelled(self, written: str, meant: str) -> None:
        """Note that something is not spelled as the specification has it."""
        if written != meant:
            self.findings.spellings[written] = meant


def folded(text: str) -> str:
    """Return a name without case, blanks, hyphens and underscores.

    Examples
    --------
    >>> folded("Condition_list") == folded("ConditionList")
    True
    """
    return "".join(text.casefold().translate(_NO_SEPARATORS).split())


_NO_SEPARATORS = str.maketrans("", "", "_-")


def says_nothing(value: object) -> bool:
    """Tell whether a value of JSON is empty."""
    return value is None or value in ("", [], {})


def read_object(
    raw: object,
    place: Place,
    known: Sequence[str],
    *,
    old: Mapping[str, str] | None = None,
    refused: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """Return what an object holds, by its keys as the specification spells them.

    Parameters
    ----------
    raw : object
        Plain JSON.
    place : Place
        Where it stands.
    known : sequence of str
        The keys that it may have, besides `COMMENT`.
    old : mapping of str to str
        Keys of old files, and what they are now.
    refused : mapping of str to str
        Keys of the specification that would have no effect, and what to do instead.

    Returns
    -------
    dict of str to object
        Without the comment, and without what is null.
    """
    if not isinstance(raw, dict):
        place.fault(f"it is {kind_of(raw)}", "write an object, {...}")
        return {}
    refused = refused or {}
    meanings = {folded(key): now for key, now in (old or {}).items()}
    meanings |= {folded(key): key for key in (*known, *refused, COMMENT)}
    values: dict[str, object] = {}
    for written, value in raw.items():
        key = meanings.get(folded(written))
        if key is None:
            _unknown(written, place, [*known, *refused, COMMENT])
        elif key in refused:
            if not says_nothing(value) and value != "none":
                place.fault(f"{key} is not handled, and would have no effect", refused[key])
        elif key in values:
            place.fault(f"{key} stands twice, the second time as '{written}'", "keep one of them")
        elif key != COMMENT and value is not None:
            place.spelled(written, key)
            values[key] = value
    return values


def _unknown(written: str, place: Place, known: Sequence[str]) -> None:
    question = did_you_mean(written, known)
    found = f"there is no key '{written}'" + (f" ({question})" if question else "")
    place.fault(found, f"the keys are {', '.join(known)}")


def kind_of(raw: object) -> str:
    """Return what a value of JSON is, for a message.

    Examples
    --------
    >>> kind_of([]), kind_of("a"), kind_of(None)
    ('a list', "the text 'a'", 'null')
    """
    if raw is None or isinstance(raw, bool):
        return {None: "null", True: "true", False: "false"}[raw]
    if isinstance(raw, str):
        return f"the text '{raw}'"
    if isinstance(raw, int | float):
        return f"the number {raw}"
    return "a list" if isinstance(raw, list) else "an object"


def text_of(value: object, place: Place) -> str | None:
    """Return a text, or a whole number as text; None where it is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        place.fault(f"it is {kind_of(value)}", "write a text")
        return None
    text = str(value)
    if not text.strip() or not text.isprintable():
        place.fault(f"{text!r} is no name", "write letters, digits and signs, in quotes")
        return None
    return text


def texts_of(value: object, place: Place) -> tuple[str, ...]:
    """Return the texts of a list; a text alone is a list of one."""
    if isinstance(value, dict):
        place.fault("it is an object", "write a list of texts")
        return ()
    if not isinstance(value, list):
        place.spelled(f"{place.text.rpartition(': ')[2]} without brackets", "a list")
    items = value if isinstance(value, list) else [value]
    texts = (
        text_of(item, place.at(f"item {i}") if len(items) > 1 else place)
        for i, item in enumerate(items, start=1)
    )
    return tuple(text for text in texts if text is not None)


def choice_of(value: object, place: Place, meanings: Mapping[str, str], what: str) -> str | None:
    """Return what a word means, without case; None where it is unknown.

    Parameters
    ----------
    value : object
        Plain JSON.
    place : Place
        Where it stands.
    meanings : mapping of str to str
        What the words mean that are understood, the specification's spelling first.
    what : str
        What the word names, for messages.
    """
    by_folded = {folded(word): word for word in meanings}
    word = by_folded.get(folded(value)) if isinstance(value, str) else None
    if word is None:
        question = did_you_mean(str(value), meanings)
        found = f"there is no {what} {value!r}" + (f" ({question})" if question else "")
        place.fault(found, f"write one of {', '.join(dict.fromkeys(meanings.values()))}")
        return None
    place.spelled(str(value), word)
    return meanings[word]
