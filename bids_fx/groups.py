"""The records of what is combined into which results; `bids_fx.records` has those of whole plans.

None of them touches a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bids_fx.entities import Entities
from bids_fx.model import Contrast

Level = Literal["run", "session", "subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCell:
    """A mean over results, with its weight in a contrast.

    Parameters
    ----------
    weight : float
        Not 0.
    input_keys : tuple of str
        The results that it is the mean of, one or more.
    """

    weight: float
    input_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupContrast:
    """A contrast combined over results: which enter it, and why the others do not.

    Parameters
    ----------
    contrast : Contrast
        Name, label and formula.
    input_keys : tuple of str
        The results that enter it, in order; none where it cannot be estimated.
    dropped : dict of str to str
        The group's other results, and the reason of each.
    source : str
        Label of the contrast that it is made from; empty means its own.
    cells : tuple of GroupCell
        The weighted sum that it is, over disjoint parts of `input_keys`; empty means their mean.
    reason : str
        Why it cannot be estimated, where `dropped` does not say it; else empty.
    """

    contrast: Contrast
    input_keys: tuple[str, ...]
    dropped: dict[str, str] = field(default_factory=dict)
    source: str = ""
    cells: tuple[GroupCell, ...] = ()
    reason: str = ""

    @property
    def source_label(self) -> str:
        """The label of the contrast that it is made from."""
        return self.source or self.contrast.label

    @property
    def is_mean(self) -> bool:
        """Whether it is one mean, and no contrast between several."""
        return len(self.cells) < 2

    @property
    def has_influence(self) -> bool:
        """Whether it is told how its inputs differ, and what each does to the peaks."""
        return len(self.input_keys) > 1 and self.is_mean

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each result: that of its cell."""
        by_key = {key: cell.weight for cell in self.cells for key in cell.input_keys}
        return tuple(by_key.get(key, 1.0) for key in self.input_keys)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupPlan:
    """Results that are combined into one.

    Parameters
    ----------
    key : str
        Unique short name in the plan; no run has it.
    level : str
        ``session`` (over the runs of a session) or ``subject`` (over all runs).
    levels : tuple of str
        Levels that this entry stands for.
    entities : Entities
        Entities of the output names: those of the runs without the ones combined over.
    input_keys : tuple of str
        What is combined, in order: keys of runs, or of groups that are combined before.
    contrasts : tuple of GroupContrast
        Every contrast of the task; one that no input can estimate has no `input_keys`.
    not_written : str or None
        Why no combined map is written (filters left runs out, or the level is the run itself);
        None where it is written.
    absent : dict of str to str
        Runs that it would have too if they could be had, and the reason of each.
    settings_hash : str
        Hash of all that changes the combination but the maps that it reads.
    mem_gb : float
        Estimated peak memory in GB of the node that combines its largest contrast.
    step : str
        Name of the step that it belongs to; empty means that of its level.
    input_noun : str
        What the inputs are: ``run``, ``session``, or ``result`` for anything else.
    combination : str or None
        ``weighted`` or ``unweighted``; None means that of the settings.
    mask_desc : str
        The ``desc-`` label of its mask; another than ``brain`` where that name is taken.
    """

    key: str
    level: Literal["session", "subject"]
    levels: tuple[Level, ...]
    entities: Entities
    input_keys: tuple[str, ...]
    contrasts: tuple[GroupContrast, ...] = ()
    not_written: str | None = None
    absent: dict[str, str] = field(default_factory=dict)
    settings_hash: str = ""
    mem_gb: float = 0.0
    step: str = ""
    input_noun: Literal["run", "session", "result"] = "run"
    combination: str | None = None
    mask_desc: str = "brain"

    def __repr__(self) -> str:
        """Return the key alone, since logs and crash files show it."""
        return self.key

    @property
    def is_lone(self) -> bool:
        """Whether the only input stands for this level too, so that there is nothing to do."""
        return self.input_keys == (str(self.entities.without("sub")),) and bool(self.not_written)

    @property
    def shows_runs_alone(self) -> bool:
        """Whether its figures show inputs that are not combined, though they could be."""
        return self.not_written is not None and not self.is_lone

    @property
    def estimable(self) -> tuple[GroupContrast, ...]:
        """The contrasts that at least one input can estimate."""
        return tuple(item for item in self.contrasts if item.input_keys)

    def source_of(self, item: GroupContrast) -> GroupContrast:
        """Return the contrast of this group that another's contrast is made from."""
        return next(one for one in self.contrasts if one.contrast.label == item.source_label)
