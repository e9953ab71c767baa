"""Labels for file names of the contrasts of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from bids_fx.entities import to_label
from bids_fx.model import ContrastError, parse_contrast
from bids_fx.stats_models.records import NodeContrast


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

    def of(self, name: str) -> str:
        """Return the label of a name; names without letters are numbered."""
        if name not in self.by_name:
            numbers = (f"cond{n}" for n in count(1))
            free = (label for label in numbers if label not in self.by_name.values())
            self.by_name[name] = self._given.get(name) or to_label(name) or next(free)
        return self.by_name[name]

    def name_of(self, label: str) -> str:
        """Return the first name that has a label."""
        return next(name for name, own in self.by_name.items() if own == label)


def formula_labels(contrasts: Iterable[NodeContrast]) -> dict[str, str]:
    """Return the labels of contrasts whose names are their formulas, as for the command line."""
    labels = {}
    for one in contrasts:
        rows = tuple(
            tuple((c, None, w) for c, w in zip(one.conditions, row, strict=True) if w)
            for row in one.weights
        )
        try:
            read = parse_contrast(one.name, one.conditions)
        except ContrastError:
            continue
        if read.rows == rows and read.label:
            labels[one.name] = read.label
    return labels
