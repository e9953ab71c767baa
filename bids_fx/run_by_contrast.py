"""The table of runs by contrasts: which run has which contrast, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase

from bids_fx.entities import Entities, same_label
from bids_fx.model import Contrast
from bids_fx.records import Plan, RunPlan

#: What a cell says of a contrast that the run can estimate.
ESTIMABLE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunByContrast:
    """Each run's answer to each contrast.

    Parameters
    ----------
    contrasts : tuple of Contrast
        The contrasts of all tasks, each label once.
    runs : tuple of Entities
        The runs of the plan, then those that are absent.
    cells : tuple of tuple of (str or None)
        For each run and contrast `ESTIMABLE`, the reason why the run does not have it, or None
        where the contrast is of other tasks.
    """

    contrasts: tuple[Contrast, ...]
    runs: tuple[Entities, ...]
    cells: tuple[tuple[str | None, ...], ...]

    @property
    def marks(self) -> dict[str, str]:
        """A letter for each reason, in the order of the cells."""
        reasons = dict.fromkeys(cell for row in self.cells for cell in row if cell)
        return {reason: _letter(place) for place, reason in enumerate(reasons)}


def run_by_contrast(plan: Plan) -> RunByContrast:
    """Return the table of a participant's plan.

    Notes
    -----
    Maps made beforehand may be there for some runs of a group alone: what the others lack is in
    the groups. An absent run lacks all contrasts of its task; labels that were asked for and that
    no run has are no rows.
    """
    contrasts = {item.contrast.label: item.contrast for run in plan.runs for item in run.contrasts}
    lacking = {
        (key, item.contrast.label): reason
        for group in plan.groups
        for item in group.contrasts
        for key, reason in item.dropped.items()
    }
    rows = []
    for run in plan.runs:
        own = {item.contrast.label: item.reason or ESTIMABLE for item in run.contrasts}
        cells = (own.get(label, lacking.get((run.key, label))) for label in contrasts)
        rows.append((run.entities, tuple(cells)))
    for absence in plan.absent_runs:
        asked = _labels_of_task(plan.runs, absence.entities["task"])
        why = f"the run is left out, since {absence.reason}"
        cells = (why if label in asked else None for label in contrasts)
        rows.append((absence.entities, tuple(cells)))
    return RunByContrast(
        contrasts=tuple(contrasts.values()),
        runs=tuple(entities for entities, _ in rows),
        cells=tuple(cells for _, cells in rows),
    )


def _labels_of_task(runs: tuple[RunPlan, ...], task: str) -> set[str]:
    """Return the labels of the contrasts that are asked of a task's runs."""
    return {
        item.contrast.label
        for run in runs
        if same_label(run.entities.get("task", ""), task)
        for item in run.contrasts
    }


def _letter(place: int) -> str:
    """Return a, b, …, z, aa, ab, … by place from 0.

    Examples
    --------
    >>> _letter(0), _letter(25), _letter(26), _letter(52)
    ('a', 'z', 'aa', 'ba')
    """
    number, rest = divmod(place, len(ascii_lowercase))
    return (_letter(number - 1) if number else "") + ascii_lowercase[rest]
