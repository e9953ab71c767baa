"""The steps by which results of runs are combined, decided before any run is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A mean over results, with its weight in a contrast.

    Parameters
    ----------
    weight : float
        Not 0.
    labels : mapping of str to str
        The results that it is the mean of: those with these labels, by short entity key. Empty
        means all.
    """

    weight: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContrast:
    """A contrast that a step makes from a contrast of what it takes.

    Parameters
    ----------
    name, label : str
        For people; for file names (letters and digits).
    source : str
        Label of the contrast that it is made from.
    cells : tuple of Cell
        A weighted sum of means over disjoint sets of results; one cell of weight 1 and without
        labels is the plain combination.
    """

    name: str
    label: str
    source: str
    cells: tuple[Cell, ...] = (Cell(weight=1.0),)

    @property
    def is_plain(self) -> bool:
        """Whether it is the mean of all results, as it is."""
        return self.cells == (Cell(weight=1.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One way in which results are combined.

    Parameters
    ----------
    name : str
        Unique; a node of a model has its name here.
    level : str
        ``session`` or ``subject``: what its results stand for.
    source : str or None
        Name of the step whose results are combined; None means the runs' own.
    over : tuple of str
        Short keys of the entities that are combined over; they leave the name.
    contrasts : tuple of StepContrast or None
        What is made; None means every contrast of the source, by plain combination.
    combination : str or None
        ``weighted`` or ``unweighted``; None means that of the settings.
    """

    name: str
    level: Literal["session", "subject"]
    source: str | None = None
    over: tuple[str, ...] = ("run",)
    contrasts: tuple[StepContrast, ...] | None = None
    combination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOutline:
    """What a reader of the plan must know of a node of a model.

    Parameters
    ----------
    name, level : str
        As in the model; the level in lower case.
    source : str or None
        Name of the node whose results it takes; None for that of the runs.
    does : str
        What is done, in a few words.
    contrasts : tuple of str
        Names of the contrasts that it makes, or what is known of them.
    """

    name: str
    level: str
    source: str | None
    does: str
    contrasts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutline:
    """What a reader of the plan must know of a model file.

    Parameters
    ----------
    name, file : str
        The model's name and its file's.
    nodes : tuple of NodeOutline
        In the file's order.
    """

    name: str
    file: str
    nodes: tuple[NodeOutline, ...]
