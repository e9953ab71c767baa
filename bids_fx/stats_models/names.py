"""Names in a model: of variables, of shell patterns of them, and of entities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from bids_fx.entities import LONG_NAMES
from bids_fx.stats_models.records import INTERCEPT

#: The grouping variable that is no entity.
CONTRAST = "contrast"
#: Levels of this column are meant by their names alone.
TRIAL_TYPE = "trial_type."
#: Short keys of the entities that tell BOLD images apart.
ENTITIES = (
    *("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part", "chunk"),
    *("space", "cohort", "res", "den", "hemi", "desc"),
)
#: The specification's spelling of short keys.
LONG_KEYS = {short: long for long, short in LONG_NAMES.items() if long != "participant"}


def read_name(text: str) -> str:
    """Return a name as it stands in a file, the intercept in its one spelling.

    A condition that is called 1 is ``trial_type.1`` there.

    Examples
    --------
    >>> read_name("1") == read_name("intercept") == INTERCEPT, read_name("trial_type.1")
    (True, 'trial_type.1')
    """
    return INTERCEPT if text in ("1", "intercept") else text


def plain_name(name: str) -> str:
    """Return the name of a condition without the column that models put before it.

    Examples
    --------
    >>> plain_name("trial_type.face"), plain_name("stim_type.face")
    ('face', 'stim_type.face')
    """
    return name.removeprefix(TRIAL_TYPE)


def is_held(name: str, held: Iterable[str]) -> bool:
    """Tell whether some names, or patterns of names, hold a name.

    Examples
    --------
    >>> is_held("face", ["trial_type.*"]), is_held("face", ["house"])
    (True, False)
    """
    spellings = (name, plain_name(name), TRIAL_TYPE + plain_name(name))
    return any(
        plain_name(name) == plain_name(other)
        or any(fnmatchcase(text, other) for text in spellings)
        for other in held
    )


def overlap(first: str, second: str) -> bool:
    """Tell whether two names, or patterns of names, can mean the same variable.

    Examples
    --------
    >>> overlap("trial_type.*", "face"), overlap("face", "house")
    (True, False)
    """
    return is_held(first, [second]) or is_held(second, [first])


def entity_key(name: str) -> str | None:
    """Return the short key of an entity, or None where there is none of this name.

    Examples
    --------
    >>> entity_key("Subject"), entity_key("run"), entity_key("sex")
    ('sub', 'run', None)
    """
    key = LONG_NAMES.get(name.casefold(), name.casefold())
    return key if key in ENTITIES else None


def entity_names() -> tuple[str, ...]:
    """Return the names of entities for messages, as the specification spells them."""
    return tuple(LONG_KEYS.get(key, key) for key in ENTITIES)


def long_key(key: str) -> str:
    """Return the specification's spelling of a short key."""
    return LONG_KEYS.get(key, key)


def repeated(names: Sequence[str]) -> str | None:
    """Return the first name that stands twice in a list; ``trial_type.face`` is ``face``."""
    seen: set[str] = set()
    for name in names:
        if plain_name(name) in seen:
            return name
        seen.add(plain_name(name))
    return None
