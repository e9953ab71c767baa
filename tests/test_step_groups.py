"""Steps of a model: what they combine, under which names, and which contrasts they can make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.entities import parse_name
from bids_fx.errors import Notice, Problem
from bids_fx.grouping import collapse_lone_runs, group_runs
from bids_fx.inputs import BoldRun, Grid
from bids_fx.model import Contrast
from bids_fx.places import default_steps
from bids_fx.records import GroupCell, GroupPlan, Plan, RunContrast, RunPlan
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Cell, Step, StepContrast

SETTINGS = AnalysisSettings()
GRID = Grid(shape=(2, 2, 2), affine=((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0), (0, 0, 0, 1)))
FACE = Contrast(name="face", label="face", rows=((("face", None, 1.0),),), formula="face")
HOUSE = Contrast(name="house", label="house", rows=((("house", None, 1.0),),), formula="house")
ANY = Contrast(name="any", label="any", rows=FACE.rows + HOUSE.rows, formula="F(f; h)", test="F")

SESSION = Step(name="session", level="session")
SUBJECT = Step(name="subject", level="subject", source="session", over=("ses",))
FOUR = tuple(f"sub-1_ses-{s}_task-x_run-{r}_space-A" for s in "ab" for r in "12")


def run_plan(
    name: str, *contrasts: Contrast, reason: str | None = None, grid: Grid = GRID
) -> RunPlan:
    entities = parse_name(f"{name}_bold.nii.gz").entities
    return RunPlan(
        key=str(entities.without("sub")),
        entities=entities,
        source=BoldRun(
            entities=entities, bold=Path("x"), grid=grid, n_scans=10, repetition_time=2.0
        ),
        contrasts=tuple(
            RunContrast(contrast=one, reason=reason, rows=((),) * len(one.rows))
            for one in contrasts or (FACE,)
        ),
        settings_hash=name,
    )


def wish(*cells: tuple[float, dict[str, str]], source: str = "face", **names: str) -> StepContrast:
    given = {"name": "made", "label": "made"} | names
    made = tuple(Cell(weight=weight, labels=labels) for weight, labels in cells)
    return StepContrast(source=source, cells=made, **given)


DIFFERENCE = wish((1.0, {"ses": "a"}), (-1.0, {"ses": "b"}))


def gathered(
    runs: Sequence[RunPlan | str],
    *steps: Step,
    left_out: Sequence[str] = (),
    settings: AnalysisSettings = SETTINGS,
) -> tuple[Plan, tuple[Problem, ...], tuple[Notice, ...]]:
    plans = [run_plan(run) if isinstance(run, str) else run for run in runs]
    absent = [parse_name(f"{name}_bold.nii.gz").entities for name in left_out]
    collapsed = collapse_lone_runs(plans, settings, absent, steps)
    groups, problems, notices = group_runs(collapsed, absent, settings, steps)
    plan = Plan(
        participant="1", settings=settings, runs=collapsed, groups=groups, steps=tuple(steps)
    )
    return plan, problems, notices


def told(plan: Plan) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (group.step, str(group.entities), group.input_keys)
        for group in plan.groups
        if group.not_written is None
    ]


def last(plan: Plan) -> GroupPlan:
    return plan.groups[-1]


@pytest.mark.parametrize("over", [("run", "ses"), ("run",), ("run", "ses", "acq")])
@pytest.mark.parametrize("names", [FOUR, ("sub-1_task-x_run-1", "sub-1_task-x_run-2")])
def test_the_steps_of_the_settings_are_what_no_steps_mean(
    over: tuple[str, ...], names: tuple[str, ...]
) -> None:
    settings = replace(SETTINGS, combine_over=over)
    runs = collapse_lone_runs([run_plan(name) for name in names], settings)
    assert group_runs(runs, (), settings, default_steps(settings)) == group_runs(
        runs, (), settings
    )


def test_a_step_with_a_source_combines_the_groups_of_that_step() -> None:
    plan, _, _ = gathered(FOUR, SUBJECT, SESSION)
    sessions = [f"session_ses-{s}_task-x_space-A" for s in "ab"]
    assert told(plan)[:2] == [
        (
            "session",
            f"sub-1_ses-{s}_task-x_space-A",
            tuple(run.key for run in plan.runs[i : i + 2]),
        )
        for s, i in (("a", 0), ("b", 2))
    ]
    assert told(plan)[2:] == [("subject", "sub-1_task-x_space-A", tuple(sessions))]
    assert [group.input_noun for group in plan.groups] == ["run", "run", "session"]
    assert list(plan.group_runs(last(plan))) == list(plan.runs)


def test_entities_that_the_source_combines_over_stay_out_of_the_name() -> None:
    plan, _, _ = gathered(FOUR, SESSION, replace(SUBJECT, over=()))
    # Without `ses` in what is combined over, no result with a session is the participant's.
    assert [step for step, _, _ in told(plan)] == ["session", "session"]
    plan, _, _ = gathered(("sub-1_task-x_run-1", "sub-1_task-x_run-2"), SESSION, SUBJECT)
    assert told(plan) == [("subject", "sub-1_task-x", ("task-x_run-1", "task-x_run-2"))]
    assert last(plan).input_noun == "run"


def test_a_lone_run_that_stands_for_its_session_is_taken_itself() -> None:
    names = ("sub-1_ses-a_task-x_space-A", *FOUR[2:])
    plan, _, _ = gathered(names, SESSION, SUBJECT)
    assert plan.runs[0].levels == ("run", "session")
    assert last(plan).input_keys == ("ses-a_task-x_space-A", "session_ses-b_task-x_space-A")
    assert last(plan).input_noun == "session"


def test_a_session_of_one_numbered_run_is_taken_as_its_own_result() -> None:
    plan, _, _ = gathered(FOUR[1:], SESSION, SUBJECT)
    assert last(plan).input_keys[0] == "session_ses-a_task-x_space-A"


def test_a_session_without_an_estimate_is_dropped_with_its_reason() -> None:
    runs = [run_plan(name, reason="no event" if "ses-b" in name else None) for name in FOUR]
    plan, _, _ = gathered(runs, SESSION, SUBJECT)
    (item,) = last(plan).contrasts
    assert item.input_keys == ("session_ses-a_task-x_space-A",)
    assert item.dropped == {
        "session_ses-b_task-x_space-A": "no run of it can estimate it: no event"
    }
    assert [run.key for run in plan.contrast_runs(item)] == [run.key for run in plan.runs[:2]]


def test_several_reasons_of_a_session_are_told_by_run() -> None:
    runs = [
        run_plan(name, reason={"2": "no house", "3": "no face"}.get(name[-9]))
        for name in (FOUR[0], *(f"sub-1_ses-b_task-x_run-{r}_space-A" for r in "23"))
    ]
    plan, _, _ = gathered(runs, SESSION, SUBJECT)
    (reason,) = last(plan).contrasts[0].dropped.values()
    assert reason == (
        "no run of it can estimate it: ses-b_task-x_run-2_space-A: no house; "
        "ses-b_task-x_run-3_space-A: no face"
    )


def test_filters_keep_chained_results_from_being_written_too() -> None:
    plan, _, _ = gathered(FOUR[1:], SESSION, SUBJECT, left_out=FOUR[:1])
    assert told(plan) == [
        ("session", "sub-1_ses-b_task-x_space-A", tuple(run.key for run in plan.runs[1:]))
    ]
    assert "filters leave out" in str(last(plan).not_written)
    plan, _, _ = gathered(
        FOUR[1:],
        *(SESSION, SUBJECT),
        left_out=FOUR[:1],
        settings=replace(SETTINGS, combine_subset=True),
    )
    assert len(told(plan)) == 3


def test_a_contrast_between_sessions_has_a_mean_of_each() -> None:
    plan, _, _ = gathered(FOUR, SESSION, replace(SUBJECT, contrasts=(DIFFERENCE,)))
    (item,) = last(plan).contrasts
    sessions = [f"session_ses-{s}_task-x_space-A" for s in "ab"]
    assert item.cells == tuple(
        GroupCell(weight=weight, input_keys=(key,))
        for weight, key in zip((1.0, -1.0), sessions, strict=True)
    )
    assert item.input_keys == tuple(sessions)
    assert item.weights == (1.0, -1.0)
    assert item.contrast.formula == "face[ses-a] - face[ses-b]"
    assert item.source_label == "face"
    assert not item.is_mean


def test_means_may_be_of_runs_themselves() -> None:
    step = Step(name="diff", level="subject", over=("run", "ses"), contrasts=(DIFFERENCE,))
    plan, _, _ = gathered(FOUR, step)
    (item,) = last(plan).contrasts
    keys = tuple(run.key for run in plan.runs)
    assert [cell.input_keys for cell in item.cells] == [keys[:2], keys[2:]]


def test_a_mean_without_any_result_makes_a_contrast_impossible_by_name() -> None:
    plan, _, _ = gathered(FOUR[:2], SESSION, replace(SUBJECT, contrasts=(DIFFERENCE,)))
    (item,) = last(plan).contrasts
    assert item.reason == "no result of session b"
    assert last(plan).estimable == ()
    runs = [run_plan(name, reason="no event" if "ses-b" in name else None) for name in FOUR]
    plan, _, _ = gathered(runs, SESSION, replace(SUBJECT, contrasts=(DIFFERENCE,)))
    (item,) = last(plan).contrasts
    assert item.reason == "no result of session b"
    assert list(item.dropped) == ["session_ses-b_task-x_space-A"]


def test_results_that_a_contrast_does_not_ask_for_are_left_out_by_name() -> None:
    third = ("sub-1_ses-c_task-x_run-1_space-A",)
    plan, _, _ = gathered(FOUR + third, SESSION, replace(SUBJECT, contrasts=(DIFFERENCE,)))
    (item,) = last(plan).contrasts
    assert item.dropped == {"session_ses-c_task-x_space-A": "the contrast does not ask for it"}


def test_labels_are_compared_without_case_and_leading_zeros() -> None:
    one = wish((1.0, {"run": "01"}))
    plan, _, _ = gathered(FOUR[:2], replace(SESSION, contrasts=(one,)))
    assert last(plan).contrasts[0].input_keys == (plan.runs[0].key,)


def test_only_the_contrasts_that_a_step_asks_for_are_made() -> None:
    runs = [run_plan(name, FACE, HOUSE) for name in FOUR[:2]]
    plain = StepContrast(name="house", label="house", source="house")
    plan, _, _ = gathered(runs, replace(SESSION, contrasts=(plain,)))
    assert [item.contrast for item in plan.groups[0].contrasts] == [HOUSE]


def test_a_plain_contrast_under_another_name_keeps_its_meaning() -> None:
    renamed = StepContrast(name="faces", label="faces", source="face")
    plan, _, _ = gathered(FOUR[:2], replace(SESSION, contrasts=(renamed,)))
    (item,) = last(plan).contrasts
    assert (item.contrast.label, item.contrast.formula) == ("faces", "face")
    assert (item.source_label, item.cells) == ("face", ())


def test_a_contrast_of_nothing_that_is_there_is_told() -> None:
    absent = StepContrast(name="cats", label="cats", source="cats")
    plan, _, notices = gathered(FOUR[:2], replace(SESSION, contrasts=(absent,)))
    assert told(plan) == []
    assert any("'cats' of node 'session' is not made" in notice.text for notice in notices)


@pytest.mark.parametrize(
    "wished",
    [
        wish((1.0, {"ses": "a"}), (-1.0, {"ses": "b"}), source="any"),
        wish((2.0, {}), source="any"),
    ],
)
def test_a_weighted_sum_of_f_contrasts_is_refused(wished: StepContrast) -> None:
    runs = [run_plan(name, ANY) for name in FOUR]
    _, problems, _ = gathered(runs, SESSION, replace(SUBJECT, contrasts=(wished,)))
    assert ["F contrast 'any'" in problem.found for problem in problems] == [True]
    assert problems[0].where == "contrast 'made' of node 'subject'"


@pytest.mark.parametrize("weight", [1.0, -1.0])
def test_an_f_contrast_of_one_mean_is_made(weight: float) -> None:
    runs = [run_plan(name, ANY) for name in FOUR]
    one = wish((weight, {"ses": "a"}), source="any")
    plan, problems, _ = gathered(runs, SESSION, replace(SUBJECT, contrasts=(one,)))
    assert problems == ()
    assert plan.n_rows(last(plan).contrasts[0]) == 2


def test_a_result_in_two_means_is_refused() -> None:
    twice = wish((1.0, {}), (-1.0, {"ses": "a"}))
    _, problems, _ = gathered(FOUR, SESSION, replace(SUBJECT, contrasts=(twice,)))
    assert "with several weights" in problems[0].found


def test_a_lone_run_is_written_again_under_another_contrasts_name_alone() -> None:
    wishes = (
        StepContrast(name="face", label="face", source="face"),
        wish((-1.0, {}), name="minus face", label="minusFace"),
    )
    step = Step(name="subject", level="subject", contrasts=wishes)
    plan, _, _ = gathered(("sub-1_task-x",), step)
    own, made = plan.groups
    assert plan.runs[0].levels == ("run", "subject")
    assert [item.contrast.label for item in own.contrasts] == ["face"]
    assert own.is_lone
    assert [item.contrast.label for item in made.contrasts] == ["minusFace"]
    assert made.not_written is None
    assert made.key != own.key
    assert made.mask_desc == "subject"


def test_a_lone_run_does_not_stand_for_what_is_made_of_it() -> None:
    step = Step(name="subject", level="subject", contrasts=(wish((-1.0, {})),))
    plan, _, _ = gathered(("sub-1_task-x",), step)
    assert plan.runs[0].levels == ("run",)
    assert [group.not_written for group in plan.groups] == [None]


def test_a_filter_by_a_label_that_a_lone_run_has_changes_nothing_of_it() -> None:
    kept = wish((1.0, {"task": "x"}), name="face", label="face")
    step = Step(name="subject", level="subject", contrasts=(kept,))
    plan, _, _ = gathered(("sub-1_task-x", "sub-1_task-y"), step)
    assert [run.levels for run in plan.runs] == [("run", "subject"), ("run",)]
    assert [(str(g.entities), g.is_lone, g.step) for g in plan.groups] == [
        ("sub-1_task-x", True, "subject"),
        ("sub-1_task-y", True, ""),
    ]


def test_what_a_source_leaves_out_does_not_come_in_by_itself() -> None:
    kept = wish((1.0, {"task": "x"}), name="face", label="face")
    names = tuple(f"sub-1_ses-a_task-{t}_run-{r}_space-A" for t in "xy" for r in "12")
    plan, _, _ = gathered(names, replace(SESSION, contrasts=(kept,)), SUBJECT)
    assert [(step, name) for step, name, _ in told(plan)] == [
        ("session", "sub-1_ses-a_task-x_space-A"),
        ("subject", "sub-1_task-x_space-A"),
    ]


def test_runs_that_no_step_takes_are_shown_side_by_side() -> None:
    plan, _, _ = gathered(FOUR)
    assert [group.key for group in plan.groups] == [
        "runs_ses-a_task-x_space-A",
        "runs_ses-b_task-x_space-A",
    ]
    assert all(group.shows_runs_alone for group in plan.groups)
    assert [run.levels for run in plan.runs] == [("run",)] * 4


def test_contrasts_of_runs_that_no_step_takes_are_shown_side_by_side() -> None:
    runs = [run_plan(name, FACE, HOUSE) for name in FOUR[:2]]
    plain = StepContrast(name="house", label="house", source="house")
    plan, _, _ = gathered(runs, replace(SESSION, contrasts=(plain,)))
    shown = [[item.contrast.label for item in group.contrasts] for group in plan.groups]
    assert shown == [["house"], ["face"]]
    assert [group.not_written is None for group in plan.groups] == [True, False]
    assert plan.groups[1].input_keys == plan.groups[0].input_keys


def test_other_entities_leave_the_name_where_a_step_combines_over_them() -> None:
    names = [f"sub-1_task-x_dir-{d}_run-{r}_space-A" for d in ("LR", "RL") for r in "12"]
    runs = Step(name="runs", level="subject")
    directions = Step(name="directions", level="subject", source="runs", over=("dir",))
    plan, _, _ = gathered(names, runs, directions)
    assert [(step, name) for step, name, _ in told(plan)] == [
        ("runs", "sub-1_task-x_dir-LR_space-A"),
        ("runs", "sub-1_task-x_dir-RL_space-A"),
        ("directions", "sub-1_task-x_space-A"),
    ]
    assert last(plan).input_noun == "result"
    # What no step takes is called so in keys, which are unique.
    assert plan.groups[0].key.startswith("runs2_")


def test_two_steps_of_one_name_space_keep_their_masks_apart() -> None:
    other = Step(name="the other", level="subject", source="session", over=("ses",))
    plan, _, _ = gathered(FOUR, SESSION, SUBJECT, replace(other, contrasts=(DIFFERENCE,)))
    assert [group.mask_desc for group in plan.groups] == ["brain", "brain", "brain", "theOther"]
    assert len({group.key for group in plan.groups}) == 4


def test_a_step_has_its_own_combination_which_its_hash_follows() -> None:
    plans = [
        gathered(FOUR, SESSION, replace(SUBJECT, combination=combination))[0]
        for combination in (None, "weighted", "unweighted")
    ]
    assert [plan.combination(last(plan)) for plan in plans] == [
        *("weighted", "weighted", "unweighted"),
    ]
    hashes = [last(plan).settings_hash for plan in plans]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len({plan.groups[0].settings_hash for plan in plans}) == 1


def test_the_hash_follows_weights_labels_and_the_runs_beneath() -> None:
    def hashed(*runs: RunPlan | str, made: StepContrast = DIFFERENCE) -> str:
        plan, _, _ = gathered(runs or FOUR, SESSION, replace(SUBJECT, contrasts=(made,)))
        return last(plan).settings_hash

    swapped = wish((1.0, {"ses": "b"}), (-1.0, {"ses": "a"}))
    heavier = wish((2.0, {"ses": "a"}), (-1.0, {"ses": "b"}))
    other = replace(run_plan(FOUR[0]), settings_hash="other")
    hashes = {
        hashed(),
        hashed(made=swapped),
        hashed(made=heavier),
        hashed(other, *FOUR[1:]),
    }
    assert len(hashes) == 4


def test_runs_with_and_without_a_session_are_not_chained_into_one() -> None:
    _, problems, _ = gathered((*FOUR, "sub-1_task-x_run-3_space-A"), SESSION, SUBJECT)
    assert [problem.where for problem in problems] == ["sub-1_task-x_run-3_space-A"]


def test_a_step_of_no_known_source_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no known source: \\['subject'\\]"):
        gathered(FOUR, SUBJECT)
