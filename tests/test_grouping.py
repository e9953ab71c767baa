"""Which runs are combined, under which names, and when not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.entities import parse_name
from bids_fx.grouping import collapse_lone_runs, group_runs, number_runs
from bids_fx.inputs import BoldRun, Grid
from bids_fx.model import Contrast
from bids_fx.records import RunContrast, RunPlan
from bids_fx.settings import AnalysisSettings

SETTINGS = AnalysisSettings()
FACE = Contrast(name="face", label="face", rows=((("face", None, 1.0),),), formula="face")
GRID = Grid(shape=(2, 2, 2), affine=((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0), (0, 0, 0, 1)))


def run_plan(name: str, *, reason: str | None = None, grid: Grid = GRID) -> RunPlan:
    entities = parse_name(f"{name}_bold.nii.gz").entities
    source = BoldRun(entities=entities, bold=Path("x"), grid=grid, n_scans=10, repetition_time=2.0)
    return RunPlan(
        key=str(entities.without("sub")),
        entities=entities,
        source=source,
        contrasts=(RunContrast(contrast=FACE, reason=reason),),
    )


def groups_of(*names: str, settings: AnalysisSettings = SETTINGS, left_out: tuple[str, ...] = ()):
    runs = collapse_lone_runs([run_plan(name) for name in names], settings)
    absent = [parse_name(f"{name}_bold.nii.gz").entities for name in left_out]
    groups, problems, notices = group_runs(runs, absent, settings)
    return runs, groups, problems, notices


def written(groups):
    return {str(g.entities): g.input_keys for g in groups if g.not_written is None}


def test_runs_of_one_task_and_space_form_one_group():
    _, groups, _, _ = groups_of("sub-1_task-x_run-1_space-A", "sub-1_task-x_run-2_space-A")
    assert written(groups) == {
        "sub-1_task-x_space-A": ("task-x_run-1_space-A", "task-x_run-2_space-A")
    }


@pytest.mark.parametrize("key", ["task", "acq", "dir", "echo", "space", "res"])
def test_runs_that_differ_in_another_entity_are_not_combined(key):
    _, groups, _, _ = groups_of(
        *(f"sub-1_{key}-{label}_run-{run}" for label in "ab" for run in "12")
    )
    assert len(written(groups)) == 2
    assert all(len(keys) == 2 for keys in written(groups).values())


def test_sessions_are_combined_each_and_then_from_all_their_runs():
    _, groups, _, _ = groups_of(*(f"sub-1_ses-{s}_task-x_run-{r}" for s in "ab" for r in "12"))
    assert [(group.level, str(group.entities), len(group.input_keys)) for group in groups] == [
        ("session", "sub-1_ses-a_task-x", 2),
        ("session", "sub-1_ses-b_task-x", 2),
        ("subject", "sub-1_task-x", 4),
    ]


def test_a_lone_run_without_a_run_entity_stands_for_the_combined_result_too():
    runs, groups, _, _ = groups_of("sub-1_task-x_space-A")
    assert runs[0].levels == ("run", "subject")
    assert written(groups) == {}


def test_a_lone_run_with_a_number_gives_both_results():
    runs, groups, _, _ = groups_of("sub-1_task-x_run-1_space-A")
    assert runs[0].levels == ("run",)
    assert list(written(groups)) == ["sub-1_task-x_space-A"]


def test_a_lone_unnumbered_run_in_each_session_is_also_the_session():
    runs, groups, _, _ = groups_of("sub-1_ses-a_task-x", "sub-1_ses-b_task-x")
    assert [run.levels for run in runs] == [("run", "session")] * 2
    assert list(written(groups)) == ["sub-1_task-x"]


def test_an_unnumbered_run_among_numbered_ones_gets_the_next_free_number():
    names = ["sub-1_task-x_run-1_space-A", "sub-1_task-x_run-3_space-A", "sub-1_task-x_space-A"]
    entities = number_runs([parse_name(f"{name}_bold.nii").entities for name in names])
    assert [str(item) for item in entities] == [*names[:2], "sub-1_task-x_run-2_space-A"]


def test_directions_are_combined_where_that_is_asked_for():
    settings = replace(SETTINGS, combine_over=("run", "ses", "dir"))
    _, groups, _, _ = groups_of("sub-1_task-x_dir-LR", "sub-1_task-x_dir-RL", settings=settings)
    assert list(written(groups)) == ["sub-1_task-x"]


def test_a_filtered_run_keeps_the_combined_map_from_being_written():
    names = ("sub-1_ses-a_task-x_run-1", "sub-1_ses-b_task-x_run-1", "sub-1_ses-b_task-x_run-2")
    _, groups, _, notices = groups_of(*names, left_out=("sub-1_ses-a_task-x_run-2",))
    assert list(written(groups)) == ["sub-1_ses-b_task-x"]
    assert "filters leave out" in " ".join(notice.text for notice in notices)


def test_a_filtered_run_is_no_obstacle_with_combine_subset():
    settings = replace(SETTINGS, combine_subset=True)
    _, groups, _, _ = groups_of(
        "sub-1_task-x_run-1", left_out=("sub-1_task-x_run-2",), settings=settings
    )
    assert list(written(groups)) == ["sub-1_task-x"]


@pytest.mark.parametrize(("space", "is_problem"), [("_space-A", True), ("", False)])
def test_unequal_grids_are_never_combined(space, is_problem):
    other = replace(GRID, shape=(3, 2, 2))
    runs = [
        run_plan(f"sub-1_task-x_run-1{space}"),
        run_plan(f"sub-1_task-x_run-2{space}", grid=other),
    ]
    groups, problems, notices = group_runs(runs, (), SETTINGS)
    assert bool(problems) == is_problem
    if not is_problem:
        assert written(groups) == {}
        assert "different voxel grids" in notices[0].text


def test_runs_without_a_space_are_combined_with_a_warning():
    _, groups, _, notices = groups_of("sub-1_task-x_run-1", "sub-1_task-x_run-2")
    assert len(written(groups)) == 1
    assert notices[0].warning
    assert "no space entity" in notices[0].text


def test_a_run_that_cannot_estimate_a_contrast_is_left_out_of_it_by_name():
    runs = [
        run_plan("sub-1_task-x_run-1_space-A"),
        run_plan("sub-1_task-x_run-2_space-A", reason="no event"),
    ]
    groups, _, _ = group_runs(runs, (), SETTINGS)
    (item,) = groups[0].contrasts
    assert item.input_keys == ("task-x_run-1_space-A",)
    assert item.dropped == {"task-x_run-2_space-A": "no event"}


def test_the_group_hash_follows_the_runs_and_the_combination():
    runs = [run_plan("sub-1_task-x_run-1_space-A"), run_plan("sub-1_task-x_run-2_space-A")]
    first = group_runs(runs, (), SETTINGS)[0][0].settings_hash
    other = group_runs(runs, (), replace(SETTINGS, combination="unweighted"))[0][0].settings_hash
    changed = [replace(runs[0], settings_hash="other"), runs[1]]
    assert len({first, other, group_runs(changed, (), SETTINGS)[0][0].settings_hash}) == 3


def test_a_run_whose_siblings_were_filtered_is_not_alone():
    runs = collapse_lone_runs(
        [run_plan("sub-1_task-x")], SETTINGS, [parse_name("sub-1_task-x_run-2_bold.nii").entities]
    )
    assert runs[0].levels == ("run",)


def test_a_free_number_does_not_depend_on_filters():
    item = parse_name("sub-1_task-x_bold.nii").entities
    (numbered,) = number_runs([item], [parse_name("sub-1_task-x_run-1_bold.nii").entities])
    assert str(numbered) == "sub-1_task-x_run-2"
