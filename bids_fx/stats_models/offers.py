"""What a node of a model passes on to those that follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bids_fx.stats_models.names import plain_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a node passes on.

    Parameters
    ----------
    step : str or None
        The step whose results they are; None means the runs'.
    names : tuple of str or None
        Names of the contrasts; None where patterns leave them open.
    labels : dict of str to str
        Labels of entities that an edge's filter asks for.
    splits : dict of str to str
        Short entity key by what stands before the ``.`` of a name made by Split or Factor.
    factors : tuple of str
        Of `splits`, those that Factor made of an entity.
    """

    step: str | None = None
    names: tuple[str, ...] | None = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[str, ...] = ()

    def split(self, condition: str) -> tuple[str, str | None]:
        """Return what a name was made from by Split or Factor, and its level."""
        name = plain_name(condition)
        for before in sorted(self.splits, key=len, reverse=True):
            if name.startswith(before + ".") and len(name) > len(before) + 1:
                return before, name[len(before) + 1 :]
        return name, None
