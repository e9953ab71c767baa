"""The entities of a BIDS file name: read, compared, changed and written back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: Long names, as users and BIDS Stats Models write them, of the short keys of file names.
LONG_NAMES = {
    "subject": "sub",
    "participant": "sub",
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "resolution": "res",
    "density": "den",
    "description": "desc",
    "hemisphere": "hemi",
}
#: The same by short key, as they are called in a sentence.
WORDS = {short: long for long, short in LONG_NAMES.items()}

#: Of an image, and not of what its run is made of: events, confounds and designs are without.
IMAGE_ENTITIES = ("space", "cohort", "res", "den")

_PAIR = re.compile(r"([a-zA-Z]+)-([a-zA-Z0-9+]+)")


@dataclass(frozen=True, slots=True)
class Entities(Mapping[str, str]):
    """Ordered, immutable key-label pairs of a BIDS file name.

    Order and spelling are the file name's own, so that ``run-01`` stays ``run-01``. Labels are
    compared by `same_label`, that is without case and without leading zeros.

    Parameters
    ----------
    pairs : tuple of (str, str)
        Short key and label, for example ``(("sub", "01"), ("run", "1"))``.
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, key: str) -> str:
        """Return the label of a short key."""
        for name, label in self.pairs:
            if name == key:
                return label
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the short keys in the file name's order."""
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        """Return the number of entities."""
        return len(self.pairs)

    def __str__(self) -> str:
        """Return the entities as they stand in a file name.

        Examples
        --------
        >>> str(Entities((("sub", "01"), ("run", "02"))))
        'sub-01_run-02'
        """
        return "_".join(f"{key}-{label}" for key, label in self.pairs)

    def has(self, labels: Mapping[str, str]) -> bool:
        """Tell whether all of some labels, by short key, are among the entities.

        Examples
        --------
        >>> parse_name("sub-01_run-02_bold.nii").entities.has({"run": "2"})
        True
        """
        return all(key in self and same_label(self[key], label) for key, label in labels.items())

    def without(self, *keys: str) -> Entities:
        """Return the entities without some keys.

        Examples
        --------
        >>> str(parse_name("sub-01_task-x_run-1_bold.nii.gz").entities.without("run"))
        'sub-01_task-x'
        """
        return Entities(tuple(pair for pair in self.pairs if pair[0] not in keys))

    def only(self, *keys: str) -> Entities:
        """Return the entities with some keys alone, in the file name's order."""
        return Entities(tuple(pair for pair in self.pairs if pair[0] in keys))

    def having(self, key: str, label: str, *, after: tuple[str, ...] = ()) -> Entities:
        """Return the entities with one label set; a new key goes behind the last of `after`."""
        if key in self:
            return Entities(tuple((k, label if k == key else v) for k, v in self.pairs))
        place = max((i + 1 for i, pair in enumerate(self.pairs) if pair[0] in after), default=None)
        pairs = list(self.pairs)
        pairs.insert(len(pairs) if place is None else place, (key, label))
        return Entities(tuple(pairs))

    def agrees(self, other: Entities) -> bool:
        """Tell whether both have the same keys with the same labels, in any order."""
        return set(self) == set(other) and all(same_label(self[k], other[k]) for k in self)

    @property
    def sort_key(self) -> tuple[tuple[str, int, str], ...]:
        """A key that sorts ``run-2`` before ``run-10``."""
        return tuple(
            (key, int(label) if label.isdigit() else -1, label.casefold())
            for key, label in self.pairs
        )

    @property
    def canonical(self) -> tuple[tuple[str, str], ...]:
        """A hashable form that is equal exactly where `agrees` holds."""
        return tuple(sorted((key, canonical_label(label)) for key, label in self.pairs))


@dataclass(frozen=True, slots=True)
class BIDSName:
    """A parsed file name: entities, suffix and extension."""

    entities: Entities
    suffix: str
    extension: str


def parse_name(name: str) -> BIDSName:
    """Read the entities, suffix and extension of a file name.

    Parameters
    ----------
    name : str
        File name without folders.

    Returns
    -------
    BIDSName
        Parts that are no ``key-label`` pair are left out of the entities.

    Examples
    --------
    >>> parsed = parse_name("sub-01_task-rest_run-02_bold.nii.gz")
    >>> str(parsed.entities), parsed.suffix, parsed.extension
    ('sub-01_task-rest_run-02', 'bold', '.nii.gz')
    """
    stem, dot, rest = name.partition(".")
    *parts, suffix = stem.split("_")
    matches = [_PAIR.fullmatch(part) for part in parts]
    pairs = tuple((m[1], m[2]) for m in matches if m is not None)
    return BIDSName(Entities(pairs), suffix, dot + rest)


def canonical_label(label: str) -> str:
    """Return a label without case and leading zeros, for comparison only.

    Examples
    --------
    >>> canonical_label("01") == canonical_label("1"), canonical_label("Pre")
    (True, 'pre')
    """
    return (label.lstrip("0") or "0") if label.isdigit() else label.casefold()


def same_label(first: str, second: str) -> bool:
    """Tell whether two labels mean the same: case and leading zeros aside."""
    return canonical_label(first) == canonical_label(second)


def strip_prefix(text: str, key: str) -> str:
    """Return a label without the ``key-`` that users may have put before it.

    Examples
    --------
    >>> strip_prefix("sub-01", "sub"), strip_prefix("01", "sub")
    ('01', '01')
    """
    return text.removeprefix(f"{key}-")


def to_label(text: str) -> str:
    """Turn free text into a BIDS label: letters and digits only, in camelCase.

    Returns
    -------
    str
        May be empty, where `text` holds no ASCII letter or digit.

    Examples
    --------
    >>> to_label("parametric gain"), to_label("2-back"), to_label("Face")
    ('parametricGain', '2Back', 'Face')
    """
    words: list[str] = re.findall(r"[a-zA-Z0-9]+", text) or [""]
    first, *others = words
    return first + "".join(word[:1].upper() + word[1:] for word in others)


def is_standard_space(space: str) -> bool:
    """Tell whether a ``space`` label names a template and not the participant's own anatomy.

    Examples
    --------
    >>> is_standard_space("MNI152NLin2009cAsym"), is_standard_space("T1w")
    (True, False)
    """
    return space not in {"T1w", "T2w", "boldref", "bold", "func", "individual", "orig", "scanner"}
