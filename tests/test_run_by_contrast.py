"""The table of runs by contrasts, as plan, report and dry run show it."""

from __future__ import annotations

from bids_fx.inputs import Absence
from bids_fx.run_by_contrast import run_by_contrast
from tests.small_plans import (
    FACE,
    FACE_HOUSE,
    entities,
    make_contrast,
    make_group,
    make_plan,
    make_run,
)


def absence(name: str, reason: str = "it has no events") -> Absence:
    return Absence(entities=entities(name), reason=reason)


def test_cells_are_estimable_or_say_why_not_or_are_of_another_task():
    runs = (
        make_run("sub-01_task-x_run-1"),
        make_run("sub-01_task-x_run-2", reasons={"face": "no face"}),
        make_run("sub-01_task-y", contrasts=(make_contrast("rest", rest=1.0),)),
    )
    table = run_by_contrast(make_plan(runs, ()))
    assert [item.name for item in table.contrasts] == ["face", "face - house", "rest"]
    assert table.cells == (("", "", None), ("no face", "", None), (None, None, ""))
    assert table.runs == tuple(run.entities for run in runs)


def test_reasons_are_lettered_in_their_order_and_each_once():
    runs = (
        make_run("sub-01_task-x_run-1", reasons={FACE_HOUSE.label: "second"}),
        make_run("sub-01_task-x_run-2", reasons={"face": "first", FACE_HOUSE.label: "second"}),
    )
    assert run_by_contrast(make_plan(runs, ())).marks == {"second": "a", "first": "b"}
    assert run_by_contrast(make_plan()).marks == {}


def test_absent_run_lacks_all_contrasts_of_its_task():
    runs = (
        make_run("sub-01_task-x_run-1", contrasts=(FACE,)),
        make_run("sub-01_task-y", contrasts=(make_contrast("rest", rest=1.0),)),
    )
    absent = (absence("sub-01_task-x_run-2"), absence("sub-01_ses-3"))
    table = run_by_contrast(make_plan(runs, (), absent=absent))
    assert [str(run) for run in table.runs][2:] == ["sub-01_task-x_run-2"]
    assert table.cells[2] == ("the run is left out, since it has no events", None)


def test_map_that_was_not_made_beforehand_is_lacked_as_its_group_says():
    runs = (
        make_run("sub-01_task-x_run-1"),
        make_run("sub-01_task-x_run-2", contrasts=(FACE,)),
    )
    group = make_group("sub-01_task-x", runs)
    (face, both) = group.contrasts
    both.dropped["task-x_run-2"] = "this run has no map of it"
    table = run_by_contrast(make_plan(runs, (group,)))
    assert face.dropped == {}
    assert table.cells == (("", ""), ("", "this run has no map of it"))
