"""Labels for file names of the contrasts of a model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from bids_fx.entities import to_label


class Labels:
    """Labels for file names, one for each name of a contrast.

    Parameters
    ----------
    given : mapping of str to str
        Labels that the model states.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self.by_name: dict[str, str] = {}
        self._given = given

    def of(self, name: str, given: Mapping[str, str] | None = None) -> str:
        """Return the label of a name; names without letters are numbered."""
        if name not in self.by_name:
            stated = {**self._given, **(given or {})}.get(name)
            numbers = (f"cond{n}" for n in count(1))
            free = (label for label in numbers if label not in self.by_name.values())
            self.by_name[name] = stated or to_label(name) or next(free)
        return self.by_name[name]

    def name_of(self, label: str) -> str:
        """Return the first name that has a label."""
        return next(name for name, own in self.by_name.items() if own == label)
