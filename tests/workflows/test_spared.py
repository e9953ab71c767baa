"""What a failure spares: what was not begun, and needs nothing of what has failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bids_fx.grouping import group_runs
from bids_fx.records import GroupPlan, Plan, Todo
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Step
from bids_fx.workflows.spared import Noted, run_with_spared, spared
from bids_fx.workflows.tasks import combining, drawing, fitting, joining
from tests.small_plans import FACE_HOUSE, make_run

SETTINGS = AnalysisSettings()
OTHER = FACE_HOUSE.label
#: Sessions, then the participant: once from the sessions, once from the runs.
STEPS = (
    Step(name="session", level="session"),
    Step(name="subject", level="subject", source="session", over=("ses",)),
)


@pytest.fixture
def plan() -> Plan:
    """Return two sessions of two runs; the last run cannot estimate `OTHER`."""
    names = [f"sub-01_ses-{session}_task-x_run-{run}" for session in "ab" for run in "12"]
    runs = tuple(make_run(name) for name in names[:-1])
    runs += (make_run(names[-1], reasons={FACE_HOUSE.label: "no event"}),)
    groups, _, _ = group_runs(runs, (), SETTINGS, STEPS)
    return Plan(participant="01", settings=SETTINGS, runs=runs, groups=groups, steps=STEPS)


def all_of(plan: Plan) -> Todo:
    contrasts = frozenset(
        (group.key, item.contrast.label) for group in plan.groups for item in group.estimable
    )
    return Todo(
        runs=frozenset(run.key for run in plan.runs),
        groups=frozenset(group.key for group in plan.groups),
        contrasts=contrasts,
        group_figures=contrasts,
    )


def ended(tasks: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(tasks, "end")


def fitted(plan: Plan, *, failed: str) -> dict[str, str]:
    """Return how far the fits are if that of one run has failed."""
    return ended(fitting(run.key) for run in plan.runs) | {fitting(failed): "exception"}


def made(group: GroupPlan) -> dict[str, str]:
    """Return how far all tasks of a group are, if none has failed."""
    labels = [item.contrast.label for item in group.estimable]
    tasks = (task(label, group.key) for label in labels for task in (combining, drawing))
    return ended((*tasks, joining(group.key)))


def test_what_the_failing_run_does_not_enter_is_combined_through_all_steps(plan):
    first, second, subject = plan.groups
    states = fitted(plan, failed=plan.runs[-1].key) | made(first)
    places = frozenset((group.key, OTHER) for group in (second, subject))
    left = spared(plan, all_of(plan), states)
    assert left == Todo(contrasts=places, group_figures=places)


def test_what_tells_of_all_contrasts_of_a_group_comes_with_the_last_of_them(plan):
    first, *_ = plan.groups
    states = fitted(plan, failed=plan.runs[-1].key)
    left = spared(plan, all_of(plan), states)
    assert left.groups == {first.key}
    assert {(first.key, "face"), (first.key, OTHER)} < left.contrasts


def test_a_contrast_that_failed_itself_is_not_tried_again_nor_what_is_made_from_it(plan):
    first, second, subject = plan.groups
    label = OTHER
    states = fitted(plan, failed=plan.runs[-1].key) | made(first)
    states |= {combining(label, first.key): "exception"}
    del states[drawing(label, first.key)], states[joining(first.key)]
    assert spared(plan, all_of(plan), states).contrasts == {(second.key, label)}
    assert (subject.key, label) in all_of(plan).contrasts


def test_a_contrast_that_was_combined_before_stands_for_itself(plan):
    first, second, subject = plan.groups
    todo = all_of(plan)
    due = frozenset(place for place in todo.contrasts if place[0] != first.key)
    todo = replace(todo, contrasts=due, group_figures=due, groups=todo.groups - {first.key})
    states = fitted(plan, failed=plan.runs[-1].key) | {drawing(OTHER, first.key): "exception"}
    places = frozenset({(second.key, OTHER), (subject.key, OTHER)})
    assert spared(plan, todo, states) == Todo(contrasts=places, group_figures=places)


def test_a_figure_of_runs_that_are_not_combined_is_drawn_without_the_failing_run(plan):
    groups = tuple(replace(group, not_written="not combined") for group in plan.groups[:2])
    plan = replace(plan, groups=groups)
    places = frozenset((group.key, OTHER) for group in groups)
    todo = Todo(runs=all_of(plan).runs, group_figures=all_of(plan).group_figures)
    left = spared(plan, todo, fitted(plan, failed=plan.runs[-1].key))
    assert left == Todo(group_figures=places | {(groups[0].key, "face")})


def test_a_run_that_was_done_is_there_unless_it_could_not_be_passed_on(plan):
    first, *_ = plan.groups
    todo = replace(all_of(plan), runs=frozenset())
    left = spared(plan, todo, {fitting(plan.runs[2].key): "exception"})
    assert left.contrasts == {(first.key, "face"), (first.key, OTHER)}


class Workflows:
    """Stands in for nipype: workflows are what they do, and each of their fits ends or fails."""

    def __init__(self, plan: Plan, failing: str) -> None:
        self.plan, self.failing = plan, failing
        self.run_of: list[Todo] = []

    def run(self, workflow, *, progress):
        ((plan, todo),) = workflow
        self.run_of.append(todo)
        for key in sorted(todo.runs):
            progress(plan.participant, fitting(key), "start")
            status = "exception" if key == self.failing else "end"
            progress(plan.participant, fitting(key), status)
        # nipype says of what was never begun that it has ended.
        progress(plan.participant, combining("face", plan.groups[0].key), "end")
        return ("a failure",) if self.failing else ()


def tried(plan: Plan, failing: str, *, stops: bool) -> list[Todo]:
    """Return what is done if a run fails, one workflow after the other."""
    workflows, due = Workflows(plan, failing), [(plan, all_of(plan))]
    failures = run_with_spared(
        due, due, workflows.run, lambda work: work, lambda *_: None, stops=stops
    )
    assert failures == (("a failure",) if failing else ())
    return workflows.run_of


def test_there_is_a_second_workflow_only_after_a_failure_that_is_not_to_end_it_all(plan):
    key = plan.runs[-1].key
    assert tried(plan, "", stops=False) == tried(plan, key, stops=True) == [all_of(plan)]
    first, second = tried(plan, key, stops=False)
    assert first == all_of(plan)
    assert second == spared(plan, first, fitted(plan, failed=key))


def test_the_end_of_what_was_never_begun_is_passed_on_and_not_believed():
    told = []
    noted = Noted(lambda *words: told.append(words))
    noted("01", "a", "end")
    noted("01", "b", "start")
    noted("01", "b", "end")
    assert (noted.of("01"), noted.of("02")) == ({"b": "end"}, {})
    assert told == [("01", "a", "end"), ("01", "b", "start"), ("01", "b", "end")]
