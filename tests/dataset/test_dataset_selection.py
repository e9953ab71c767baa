"""Which runs are meant, of what a dataset has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_fx.dataset.selection import (
    Selection,
    check_filters,
    is_wanted_run,
    passes_filter,
    select_runs,
)
from bids_fx.entities import parse_name
from bids_fx.errors import ExitCode
from bids_fx.settings import DataSelection
from tests.dataset.trees import Tree, names

MNI = "space-MNI152NLin2009cAsym"


def pick(stems: str, **choices: Any) -> Selection:
    """Select of runs without ``sub-01`` in their names."""
    found = [parse_name(f"sub-01_{stem}_bold").entities for stem in stems.split()]
    return select_runs(found, DataSelection(bids_dir=Path(), **choices), "01")


def chosen(selection: Selection) -> list[str]:
    return [str(entities).removeprefix("sub-01_") for entities in selection.chosen]


def left_out(selection: Selection) -> list[str]:
    return [str(entities).removeprefix("sub-01_") for entities in selection.left_out]


def texts(selection: Selection) -> str:
    absences = map(str, (*selection.unknown, *selection.absent))
    return "\n".join([*absences, *(notice.text for notice in selection.notices)])


@pytest.mark.parametrize(
    ("choices", "expected", "others"),
    [
        ({}, "ses-1_task-a_run-1 ses-1_task-a_run-2 ses-2_task-a_run-1", ""),
        ({"runs": ("01",)}, "ses-1_task-a_run-1 ses-2_task-a_run-1", "ses-1_task-a_run-2"),
        ({"sessions": ("2",)}, "ses-2_task-a_run-1", "ses-1_task-a_run-1 ses-1_task-a_run-2"),
        ({"filters": {"run": 2}}, "ses-1_task-a_run-2", "ses-1_task-a_run-1 ses-2_task-a_run-1"),
        ({"filters": {"session": ["1", "3"], "run": [1]}}, "ses-1_task-a_run-1",
         "ses-1_task-a_run-2 ses-2_task-a_run-1"),
    ],
)  # fmt: skip
def test_filters_keep_what_they_say_and_tell_the_rest(
    choices: dict[str, Any], expected: str, others: str
) -> None:
    selection = pick("ses-2_task-a_run-1 ses-1_task-a_run-2 ses-1_task-a_run-1", **choices)
    assert chosen(selection) == expected.split()
    assert left_out(selection) == others.split()
    assert (selection.problems, selection.notices) == ((), ())


def test_runs_are_in_the_order_of_their_numbers() -> None:
    assert chosen(pick("task-a_run-10 task-a_run-9")) == ["task-a_run-9", "task-a_run-10"]


@pytest.mark.parametrize("choices", [{"tasks": ("b",)}, {"filters": {"task": "b"}}])
def test_other_tasks_are_not_left_out_runs(choices: dict[str, Any]) -> None:
    selection = pick("task-a_run-1 task-b_run-1 task-B_run-2", **choices)
    assert chosen(selection) == ["task-b_run-1", "task-B_run-2"]
    assert selection.left_out == ()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"acquisition": "mb"}, ["task-a_acq-mb"]),
        ({"acq": None}, ["task-a", "task-a_dir-LR"]),
        ({"acquisition": "*"}, ["task-a_acq-mb"]),
        ({"direction": "*", "acq": None}, ["task-a_dir-LR"]),
        ({"acquisition": [None, "mb"], "dir": None}, ["task-a", "task-a_acq-mb"]),
        ({"acq": "Query.NONE", "dir": "<Query.NONE: 1>"}, ["task-a"]),
        ({"acq": "Query.OPTIONAL", "dir": "<Query.ANY: 2>"}, ["task-a_dir-LR"]),
        ({"suffix": "bold", "datatype": "func", "dir": "LR"}, ["task-a_dir-LR"]),
    ],
)
def test_filter_file_means_what_pybids_means(
    filters: dict[str, object], expected: list[str]
) -> None:
    assert check_filters(filters) == ()
    selection = pick("task-a task-a_acq-mb task-a_dir-LR", filters=filters)
    assert chosen(selection) == expected
    assert len(selection.left_out) == 3 - len(expected)


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("1", 1, True),
        ("01", "1", True),
        ("LR", "lr", True),
        ("1", "2", False),
        ("1", [], False),
        ("1", None, False),
        (None, [None], True),
        (None, "1", False),
        (None, "*", False),
    ],
)
def test_filter_of_one_label(label: str | None, value: object, expected: bool) -> None:
    assert passes_filter(label, value) is expected


def test_label_that_is_not_there_beside_others_that_are_is_told() -> None:
    selection = pick("task-a_run-1 task-a_run-2", runs=("1", "7"))
    assert chosen(selection) == ["task-a_run-1"]
    assert texts(selection) == "sub-01_run-7: left out, since there is no run 7, but 1, 2."


@pytest.mark.parametrize(
    "choices",
    [{"runs": ("7",)}, {"sessions": ("1",)}, {"tasks": ("b",)}, {"filters": {"run": 7}}],
)
def test_filters_that_leave_nothing_are_a_problem_that_tells_what_is_there(
    choices: dict[str, Any],
) -> None:
    selection = pick(f"task-a_run-1_{MNI} task-a_run-2_{MNI}", **choices)
    (problem,) = selection.problems
    assert selection.notices == ()
    assert problem.code == ExitCode.NOTHING_SELECTED
    assert problem.remedy == (
        "ask for what is there (task a; run 1, 2; space MNI152NLin2009cAsym)"
    )


# ------------------------------------------------------------------------------------- spaces


@pytest.mark.parametrize(
    ("there", "spaces", "expected"),
    [
        ("task-a", (), "task-a"),
        ("task-a_space-T1w", (), "task-a_space-T1w"),
        (f"task-a task-a_{MNI} task-a_space-T1w", (), f"task-a_{MNI}"),
        (f"task-a task-a_{MNI} task-a_space-T1w", ("func",), "task-a"),
        (f"task-a task-a_{MNI} task-a_space-T1w", ("boldref",), "task-a"),
        (f"task-a task-a_{MNI} task-a_space-T1w", ("anat",), "task-a_space-T1w"),
        (f"task-a task-a_{MNI}", ("mni152nlin2009casym", "func"), f"task-a task-a_{MNI}"),
        (f"task-a_{MNI}_res-1 task-a_{MNI}_res-2", ("MNI152NLin2009cAsym:res-02",),
         f"task-a_{MNI}_res-2"),
        (f"task-a_{MNI} task-a_{MNI}_res-2", ("MNI152NLin2009cAsym:res-native",), f"task-a_{MNI}"),
        (f"task-a_{MNI}_res-2", ("MNI152NLin2009cAsym",), f"task-a_{MNI}_res-2"),
        ("task-a_space-MNIInfant_cohort-1 task-a_space-MNIInfant_cohort-2",
         ("MNIInfant:cohort-2",), "task-a_space-MNIInfant_cohort-2"),
    ],
)  # fmt: skip
def test_space_is_chosen(there: str, spaces: tuple[str, ...], expected: str) -> None:
    selection = pick(there, spaces=spaces)
    assert sorted(chosen(selection)) == sorted(expected.split())
    assert selection.problems == ()


def test_choice_of_the_default_space_is_told() -> None:
    selection = pick(f"task-a task-a_{MNI}")
    assert texts(selection) == ("Space MNI152NLin2009cAsym is taken of func, MNI152NLin2009cAsym.")
    assert not selection.notices[0].warning


@pytest.mark.parametrize(
    ("there", "spaces", "message", "code"),
    [
        ("task-a task-a_space-T1w", (), "choose among func, T1w", ExitCode.BAD_DATA),
        (f"task-a_{MNI}_res-1 task-a_{MNI}_res-2", (),
         "choose among MNI152NLin2009cAsym:res-1, MNI152NLin2009cAsym:res-2", ExitCode.BAD_DATA),
        (f"task-a task-a_{MNI} task-a_{MNI}_res-2", (),
         "choose among MNI152NLin2009cAsym, MNI152NLin2009cAsym:res-2", ExitCode.BAD_DATA),
        (f"task-a_{MNI}_res-1 task-a_{MNI}_res-2", ("MNI152NLin2009cAsym",),
         "several variants of space MNI152NLin2009cAsym are there", ExitCode.BAD_DATA),
        ("task-a task-a_space-T1w", ("MNI152NLin6Asym",), "choose among func, T1w",
         ExitCode.NOTHING_SELECTED),
        (f"task-a_{MNI}_res-1", ("MNI152NLin2009cAsym:res-2",),
         "choose among MNI152NLin2009cAsym:res-1", ExitCode.NOTHING_SELECTED),
    ],
)  # fmt: skip
def test_space_that_cannot_be_chosen_is_a_problem(
    there: str, spaces: tuple[str, ...], message: str, code: ExitCode
) -> None:
    selection = pick(there, spaces=spaces)
    (problem,) = selection.problems
    assert message in str(problem)
    assert problem.code == code
    assert selection.chosen == ()


def test_left_out_runs_are_those_of_the_chosen_space() -> None:
    stems = " ".join(f"task-a_run-{run}{space}" for run in (1, 2) for space in ("", f"_{MNI}"))
    assert left_out(pick(stems, runs=("1",))) == [f"task-a_run-2_{MNI}"]


def test_space_filter_leaves_nothing_out() -> None:
    selection = pick(f"task-a_{MNI}_res-1 task-a_{MNI}_res-2", filters={"resolution": 2})
    assert chosen(selection) == [f"task-a_{MNI}_res-2"]
    assert selection.left_out == ()


def test_run_that_lacks_the_space_is_told() -> None:
    selection = pick(f"task-a_run-1 task-a_run-1_{MNI} task-a_run-2")
    assert chosen(selection) == [f"task-a_run-1_{MNI}"]
    assert (
        "sub-01_task-a_run-2_space-MNI152NLin2009cAsym: left out, since it is not there in space "
        "MNI152NLin2009cAsym" in texts(selection)
    )
    assert "run-1:" not in texts(selection)


def test_single_echoes_in_another_space_are_no_lacking_runs() -> None:
    selection = pick(f"task-a_echo-1 task-a_echo-2 task-a_{MNI}")
    assert chosen(selection) == [f"task-a_{MNI}"]
    assert "not there in space" not in texts(selection)


# ------------------------------------------------------------------------------------- echoes


def test_single_echoes_are_left_out_beside_their_combination() -> None:
    selection = pick("task-a_run-1 task-a_run-1_echo-1 task-a_run-1_echo-2 task-a_run-2")
    assert chosen(selection) == ["task-a_run-1", "task-a_run-2"]
    assert "its 2 single echoes are left out" in texts(selection)
    assert selection.left_out == ()


def test_single_echoes_alone_are_a_problem() -> None:
    selection = pick("task-a_run-1_echo-1 task-a_run-1_echo-2 task-a_run-2")
    (problem,) = selection.problems
    assert problem.where == "sub-01_task-a_run-1"
    assert problem.found == "only single echoes (1, 2)"
    assert problem.remedy.endswith('a --bids-filter-file with {"bold": {"echo": "2"}}')


def test_one_echo_alone_is_taken() -> None:
    assert chosen(pick("task-a_echo-2")) == ["task-a_echo-2"]


def test_echo_is_picked_by_the_filter_file() -> None:
    selection = pick("task-a task-a_echo-1 task-a_echo-2", filters={"echo": 2})
    assert chosen(selection) == ["task-a_echo-2"]
    assert selection.problems == ()


def test_left_out_run_is_told_once_whatever_its_echoes() -> None:
    stems = "task-a_run-1 task-a_run-2 task-a_run-2_echo-1 task-a_run-2_echo-2"
    assert left_out(pick(stems, runs=("1",))) == ["task-a_run-2"]


def test_image_of_phases_is_left_out_unless_asked_for() -> None:
    selection = pick("task-a_part-mag task-a_part-phase")
    assert chosen(selection) == ["task-a_part-mag"]
    assert "part-phase: left out" in texts(selection)
    filters: dict[str, object] = {"part": "phase"}
    assert chosen(pick("task-a_part-phase", filters=filters)) == ["task-a_part-phase"]


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, True),
        ({"runs": ("2",)}, False),
        ({"filters": {"space": "T1w", "echo": 1}}, True),
        ({"filters": {"acq": "mb"}}, False),
    ],
)
def test_raw_run_is_judged_without_space_and_echo(choices: dict[str, Any], expected: bool) -> None:
    run = parse_name("sub-01_task-a_run-1_bold").entities
    assert is_wanted_run(run, DataSelection(bids_dir=Path(), **choices)) is expected


# ---------------------------------------------------------------------------- in a dataset


def test_filtered_runs_of_a_dataset_are_left_out(tree: Tree) -> None:
    for run in (1, 2, 3):
        tree.run(f"sub-01_task-a_run-{run}_{MNI}")
    found = tree.find(runs=("1", "3"))
    assert names(found) == [f"sub-01_task-a_run-{run}_{MNI}" for run in (1, 3)]
    assert [str(entities) for entities in found.left_out] == [f"sub-01_task-a_run-2_{MNI}"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [({"desc": "other"}, 1), ({"extension": ".nii"}, 0), ({"extension": ".nii.gz"}, 1)],
)
def test_filters_on_the_kind_of_file(
    tree: Tree, filters: dict[str, object], expected: int
) -> None:
    bold = tree.run("sub-01_task-a")
    if "desc" in filters:
        bold.rename(bold.with_name("sub-01_task-a_desc-other_bold.nii.gz"))
    assert len(tree.find(filters=filters).runs) == expected


def test_echoes_of_a_dataset_share_confounds_and_mask(tree: Tree) -> None:
    tree.run("sub-01_task-a_echo-1", mask=False)
    tree.run("sub-01_task-a_echo-2")
    mask = tree.func(tree.preproc, "sub-01_task-a_echo-2", "desc-brain_mask.nii.gz")
    mask.rename(tree.func(tree.preproc, "sub-01_task-a", "desc-brain_mask.nii.gz"))
    found = tree.find(filters={"echo": 1})
    assert names(found) == ["sub-01_task-a_echo-1"]
    (run,) = found.runs
    assert run.mask is not None
    assert run.confounds is not None
    assert len(run.events_files) == 1
