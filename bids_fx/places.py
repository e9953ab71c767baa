"""Which step takes which runs, in what order, and what its results are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from bids_fx.entities import Entities, to_label
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Step

#: Of keys and file names: what no step takes, and masks. No step is called so in them.
NO_STEP = "runs"
RESERVED_LABELS = (NO_STEP, "brain")


def default_steps(settings: AnalysisSettings) -> tuple[Step, ...]:
    """Return the steps by which runs are combined without a model.

    Parameters
    ----------
    settings : AnalysisSettings
        Say over which entities is combined.

    Returns
    -------
    tuple of Step
        Of sessions and of the participant, both from the runs themselves: through the sessions'
        results, weights would be estimated twice, and heterogeneity would be that of sessions.
    """
    over = settings.combine_over
    return (
        Step(name="session", level="session", over=tuple(key for key in over if key != "ses")),
        Step(name="subject", level="subject", over=tuple(over)),
    )


def steps_that_apply(steps: Iterable[Step], *, has_sessions: bool) -> tuple[Step, ...]:
    """Return the steps that combine anything of runs with sessions, or of runs without.

    Examples
    --------
    >>> steps = default_steps(AnalysisSettings())
    >>> [step.name for step in steps_that_apply(steps, has_sessions=False)]
    ['subject']
    """
    if has_sessions:
        return tuple(step for step in steps if step.level == "session" or "ses" in step.over)
    return tuple(step for step in steps if step.level == "subject")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A step, with what follows from those that it goes through.

    Parameters
    ----------
    step : Step
        The step itself.
    source : Way or None
        Whose results it combines; None for the runs' own.
    over : tuple of str
        Keys that leave the name, those of its source included: a run that stands in for a group
        of the source loses them too.
    label : str
        The step's name in keys and file names; no other step has it.
    """

    step: Step
    source: Way | None
    over: tuple[str, ...]
    label: str

    def place(self, entities: Entities) -> Entities | None:
        """Return the entities of the group that a run belongs to; None where it is in none."""
        is_session, has_session = self.step.level == "session", "ses" in entities
        if has_session != is_session and (is_session or "ses" not in self.over):
            return None
        return entities.without(*(key for key in self.over if key != "ses" or not is_session))

    @property
    def depth(self) -> int:
        """Through how many steps it goes."""
        return 0 if self.source is None else 1 + self.source.depth

    def takes_over(self, entities: Entities) -> bool:
        """Tell whether a lone run's own results are also what the step makes of them."""
        wishes = self.step.contrasts
        is_own = wishes is None or any(
            wish.label == wish.source
            and len(wish.cells) == 1
            and wish.cells[0].weight == 1
            and entities.has(wish.cells[0].labels)
            for wish in wishes
        )
        is_passed = (
            self.source is None
            or self.source.place(entities) is None
            or self.source.takes_over(entities)
        )
        return is_own and is_passed


def ways_of(settings: AnalysisSettings, steps: Sequence[Step] | None) -> list[Way]:
    """Return the ways by which runs are combined; no steps mean those of the settings."""
    return order_steps(default_steps(settings) if steps is None else steps)


def order_steps(steps: Iterable[Step]) -> list[Way]:
    """Return the steps, each behind the one that it goes through; sessions before the subject.

    Parameters
    ----------
    steps : iterable of Step
        In any order.

    Returns
    -------
    list of Way
        In the order in which they are taken.

    Raises
    ------
    ValueError
        If a step's source is no step, or leads back to itself.
    """
    left = list(steps)
    ways: dict[str, Way] = {}
    taken = set(RESERVED_LABELS)
    while left:
        ready = [step for step in left if step.source is None or step.source in ways]
        if not ready:
            raise ValueError(f"steps of no known source: {[step.name for step in left]}")
        for step in ready:
            source = ways[step.source] if step.source is not None else None
            stem = to_label(step.name) or step.level
            labels = (stem if n == 1 else f"{stem}{n}" for n in count(1))
            label = next(label for label in labels if label.casefold() not in taken)
            taken.add(label.casefold())
            over = dict.fromkeys((*step.over, *(source.over if source else ())))
            ways[step.name] = Way(step=step, source=source, over=tuple(over), label=label)
        left = [step for step in left if step.name not in ways]
    return sorted(ways.values(), key=lambda way: (way.depth, way.step.level))
