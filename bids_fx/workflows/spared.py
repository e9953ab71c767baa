"""What a failure spares: nodes that waited for one that failed, and need nothing of it.

nipype joins all runs of a group before it combines any contrast, and runs no node that waits for
one that failed. What of it needs other runs alone is therefore done in a second workflow, so that
a run that fails costs the contrasts that it enters and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan, Todo
from bids_fx.workflows.base import NodeFailure, Progress
from bids_fx.workflows.tasks import combining, drawing, fitting, joining

Work = Sequence[tuple[Plan, Todo]]


class Noted:
    """Tells how far tasks are, and keeps it.

    Parameters
    ----------
    progress : callable
        Told of each task as `run_workflow` tells it.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._states: dict[str, dict[str, str]] = {}

    def __call__(self, participant: str, task: str, status: str) -> None:
        """Take note of a task that has started (``start``), ended (``end``) or failed."""
        states = self._states.setdefault(participant, {})
        # nipype reports the end also of tasks that never started.
        if status != "end" or task in states:
            states[task] = status
        self._progress(participant, task, status)

    def of(self, participant: str) -> Mapping[str, str]:
        """Return how far each task of a participant is that was begun."""
        return self._states.get(participant, {})


def run_with_spared(
    due: Work,
    workflow: Any,
    run: Callable[..., tuple[NodeFailure, ...]],
    build: Callable[[Work], Any],
    progress: Progress,
    *,
    stops: bool,
) -> tuple[NodeFailure, ...]:
    """Run a workflow, and if nodes fail in it, another one of what they spare.

    Parameters
    ----------
    due : sequence of (Plan, Todo)
        Each participant's plan, and what of it the workflow does.
    workflow : Workflow
        As `build` makes it of `due`.
    run : callable
        `run_workflow` with all its arguments but the workflow and `progress`.
    build : callable
        `init_bids_fx_wf` with all its arguments but the work.
    progress : callable
        Told of each task.
    stops : bool
        Whether the first failure ends it all.

    Returns
    -------
    tuple of NodeFailure
        Of both, each once.
    """
    noted = Noted(progress)
    failures = run(workflow, progress=noted)
    if stops or not failures:
        return failures
    left = [(plan, spared(plan, todo, noted.of(plan.participant))) for plan, todo in due]
    left = [(plan, todo) for plan, todo in left if todo]
    if not left:
        return failures
    return tuple(dict.fromkeys((*failures, *run(build(left), progress=noted))))


def spared(plan: Plan, todo: Todo, states: Mapping[str, str]) -> Todo:
    """Return what was not begun, though nothing of what it needs has failed.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    todo : Todo
        What of it was to be done.
    states : mapping of str to str
        Of the tasks that were begun, how far they are: ``end`` of one that succeeded.

    Returns
    -------
    Todo
        Contrasts and their figures; of groups all of whose contrasts will be there, also what
        tells of all of them.
    """
    late: set[tuple[str, str]] = set()
    there: set[tuple[str, str]] = set()
    figures: set[tuple[str, str]] = set()
    groups: set[str] = set()
    for group in plan.groups:
        for item in group.estimable:
            place = group.key, item.contrast.label
            is_due = place in todo.contrasts
            task = (combining if is_due else drawing)(item.contrast.label, group.key)
            is_late = task not in states and _has_inputs(plan, item, todo, states, there)
            if not is_due:
                figures.update({place} & todo.group_figures if is_late else ())
            elif is_late:
                late.add(place)
            if not is_due or is_late or states.get(task) == "end":
                there.add(place)
        if _is_whole(group, todo, states, there):
            groups.add(group.key)
    return Todo(
        groups=frozenset(groups),
        contrasts=frozenset(late),
        group_figures=frozenset(figures | (todo.group_figures & late)),
    )


def _has_inputs(
    plan: Plan,
    item: GroupContrast,
    todo: Todo,
    states: Mapping[str, str],
    there: set[tuple[str, str]],
) -> bool:
    """Tell whether all is there, or will be, that a contrast is combined from."""
    return all(
        # Nothing is told of a run that was done before, unless it cannot even be passed on.
        states.get(fitting(result.key)) == ("end" if result.key in todo.runs else None)
        if isinstance(result, RunPlan)
        else (result.key, item.source_label) in there
        for result in plan.inputs(item)
    )


def _is_whole(
    group: GroupPlan, todo: Todo, states: Mapping[str, str], there: set[tuple[str, str]]
) -> bool:
    """Tell whether all contrasts of a group can be combined, and have not been joined."""
    places = {(group.key, item.contrast.label) for item in group.estimable}
    return group.key in todo.groups and places <= there and joining(group.key) not in states
