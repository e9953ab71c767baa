"""What is decided before any work: contrasts, estimability, hashes and names."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.entities import parse_name
from bids_fx.errors import ExitCode
from bids_fx.glm.design import Column, Condition, Design
from bids_fx.glm.names import MIN_DOF, NOISE_MODELS
from bids_fx.inputs import BoldRun, ConfoundTable, Found, Grid, RunMaps
from bids_fx.plan import make_plan
from bids_fx.records import Plan
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Step

GRID = Grid(shape=(4, 4, 4), affine=((2.0, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 2.0, 0), (0, 0, 0, 1)))
BARE = AnalysisSettings(confounds=())


def condition(name: str, *onsets: float) -> Condition:
    times = np.array(onsets)
    durations = np.full(times.shape, 4.0)
    return Condition(name=name, onsets=times, durations=durations, amplitudes=np.ones_like(times))


FACE, HOUSE = condition("face", 10, 60, 130), condition("house", 35, 90, 160)


def bold_run(name: str, *conditions: Condition, **fields: object) -> BoldRun:
    entities = parse_name(f"{name}_bold.nii.gz").entities
    given = {
        "entities": entities,
        "bold": Path(f"/data/{name}_bold.nii.gz"),
        "uris": {Path(f"/data/{name}_bold.nii.gz"): f"bids:x:{name}_bold.nii.gz"},
        "grid": GRID,
        "n_scans": 100,
        "repetition_time": 2.0,
        "n_mask_voxels": 40,
        "conditions": conditions or (FACE, HOUSE),
    }
    return BoldRun(**(given | fields))


def plan_of(*runs: BoldRun | RunMaps, settings: AnalysisSettings = BARE, known=()) -> Plan:
    found = Found(participant="1", runs=runs)
    return make_plan(found, settings, {}, known_conditions=dict(known))


def names(plan: Plan) -> list[str]:
    return [item.contrast.label for item in plan.runs[0].contrasts]


def test_without_contrasts_each_condition_and_each_against_the_others_is_planned():
    song = condition("song", 20, 70)
    plan = plan_of(bold_run("sub-1_task-x", FACE, HOUSE, song))
    assert names(plan) == [
        *("face", "house", "song"),
        *("faceGtOthers", "houseGtOthers", "songGtOthers"),
    ]
    weights = dict(plan.runs[0].contrasts[3].rows[0])
    assert weights == {"face": 1.0, "house": -0.5, "song": -0.5}


def test_a_contrast_under_derivatives_means_the_canonical_column():
    settings = replace(BARE, contrasts=("face - house", "face[1]"), hrf_model="spm + derivative")
    first, second = plan_of(bold_run("sub-1_task-x"), settings=settings).runs[0].contrasts
    assert dict(first.rows[0]) == {"face": 1.0, "house": -1.0}
    assert dict(second.rows[0]) == {"face_derivative": 1.0}


def test_a_contrast_under_fir_means_the_mean_of_the_delays_or_one_of_them():
    settings = replace(BARE, contrasts=("face", "face[2] - house[0]"), hrf_model="fir:4")
    first, second = plan_of(bold_run("sub-1_task-x"), settings=settings).runs[0].contrasts
    assert dict(first.rows[0]) == {f"face_delay_{k}": 0.25 for k in range(4)}
    assert dict(second.rows[0]) == {"face_delay_2": 1.0, "house_delay_0": -1.0}


def test_a_basis_function_that_the_model_lacks_is_a_problem():
    settings = replace(BARE, contrasts=("face[3]",))
    (problem,) = plan_of(bold_run("sub-1_task-x"), settings=settings).problems
    assert "face[3]" in problem.found


def test_a_condition_without_events_in_a_run_costs_that_run_its_contrasts():
    settings = replace(BARE, contrasts=("face", "face - house"))
    plan = plan_of(
        bold_run("sub-1_task-x_run-1_space-A"),
        bold_run("sub-1_task-x_run-2_space-A", FACE),
        settings=settings,
    )
    assert plan.problems == ()
    assert [item.reason is None for item in plan.runs[1].contrasts] == [True, False]
    assert "house" in plan.runs[1].contrasts[1].reason
    assert any("face - house" in notice.text for notice in plan.notices)


def test_a_condition_known_elsewhere_is_no_error_but_cannot_be_estimated():
    settings = replace(BARE, contrasts=("song",))
    plan = plan_of(bold_run("sub-1_task-x"), settings=settings, known={"x": ["song"]})
    assert plan.problems == ()
    assert plan.runs[0].estimable == ()


def test_an_unknown_condition_is_a_problem_with_the_closest_one():
    settings = replace(BARE, contrasts=("hose - face",))
    (problem,) = plan_of(bold_run("sub-1_task-x"), settings=settings).problems
    assert "did you mean 'house'" in problem.found
    assert problem.participant == "1"


def test_missing_conditions_are_problems_where_that_is_asked_for():
    settings = replace(BARE, contrasts=("house",), missing="error")
    plan = plan_of(
        bold_run("sub-1_task-x_run-1"), bold_run("sub-1_task-x_run-2", FACE), settings=settings
    )
    assert [problem.code for problem in plan.problems] == [ExitCode.BAD_DATA]


def test_regressors_that_are_the_same_cannot_be_told_apart_but_can_be_summed():
    settings = replace(BARE, contrasts=("face", "face + twin"))
    run = bold_run("sub-1_task-x", FACE, replace(FACE, name="twin"))
    alone, summed = plan_of(run, settings=settings).runs[0].contrasts
    assert "combination of others" in alone.reason
    assert summed.reason is None


SHORT = bold_run("sub-1_task-x", condition("face", 0, 30), condition("house", 1, 36), n_scans=30)
WHITE = replace(BARE, noise_model="ols", drift_model="none")


def test_a_design_that_leaves_no_degrees_of_freedom_is_a_problem():
    # two conditions and the constant
    assert plan_of(SHORT, settings=replace(WHITE, dummy_scans=26)).problems == ()
    (problem,) = plan_of(SHORT, settings=replace(WHITE, dummy_scans=27)).problems
    assert problem.where == "sub-1_task-x"
    assert problem.found == (
        "3 of 30 scans are left for a design of rank 3: "
        "27 of 30 scans are censored (dummy scan: 27)"
    )
    assert problem.remedy == (
        "lower --dummy-scans, use fewer confounds or conditions, or leave the run out"
    )


def test_a_run_of_too_few_scans_that_are_all_kept_is_told_so():
    (problem,) = plan_of(replace(SHORT, n_scans=3), settings=WHITE).problems
    assert problem.found == "3 scans for a design of rank 3"
    assert problem.remedy == "use fewer confounds or conditions, or leave the run out"


def test_a_run_of_which_every_scan_is_censored_is_a_problem():
    (problem,) = plan_of(SHORT, settings=replace(WHITE, dummy_scans=30)).problems
    assert problem.found.startswith("0 of 30 scans are left for a design of rank 0")


def test_every_noise_model_says_how_many_degrees_of_freedom_it_needs():
    assert MIN_DOF.keys() == {*NOISE_MODELS}


@pytest.mark.parametrize(("noise_model", "least"), [("ols", 1), ("ar1", 8), ("arma11", 8)])
def test_noise_models_that_are_estimated_need_degrees_of_freedom(noise_model, least):
    settings = replace(WHITE, noise_model=noise_model)
    enough = replace(settings, dummy_scans=30 - 3 - least)
    assert plan_of(SHORT, settings=enough).problems == ()
    (problem,) = plan_of(SHORT, settings=replace(enough, dummy_scans=31 - 3 - least)).problems
    told = f"the noise model {noise_model} needs 8 more than the rank" in problem.found
    assert told == ("--noise-model ols" in problem.remedy) == (noise_model != "ols")


def displaced(n_scans: int, n_displaced: int) -> ConfoundTable:
    """Return a table in which so many scans, from the second on, moved by 1 mm."""
    moved = (np.arange(n_scans) > 0) & (np.arange(n_scans) <= n_displaced)
    return ConfoundTable(
        path=Path("c.tsv"), values={"framewise_displacement": moved.astype(np.float64)}
    )


def test_a_run_with_too_few_scans_left_tells_every_rule_that_censors():
    settings = replace(WHITE, fd_threshold_mm=0.4, dummy_scans=2)
    run = replace(SHORT, confounds=displaced(30, 28))
    (problem,) = plan_of(run, settings=settings).problems
    assert "29 of 30 scans are censored" in problem.found
    # the second scan is both
    assert "(dummy scan: 2; framewise displacement > 0.4 mm: 28)" in problem.found
    assert problem.remedy.startswith("lower --dummy-scans, raise --fd-threshold, use fewer")


def test_a_run_that_is_mostly_censored_is_noticed():
    settings = replace(BARE, contrasts=("face",), fd_threshold_mm=0.5)

    def texts(n_displaced: int) -> list[str]:
        run = bold_run("sub-1_task-x", confounds=displaced(100, n_displaced))
        plan = plan_of(run, settings=settings)
        assert plan.problems == ()
        return [notice.text for notice in plan.notices if notice.warning]

    assert texts(50) == []
    assert texts(51) == [
        "sub-1_task-x: 51 of 100 scans are censored (framewise displacement > 0.5 mm: 51)."
    ]


def test_degrees_of_freedom_are_kept_scans_minus_the_rank_of_what_is_fitted():
    run = plan_of(SHORT, settings=replace(WHITE, dummy_scans=5)).runs[0]
    assert run.design.fitted.matrix.shape == (25, 3)
    assert run.source.n_scans - run.rank == 25 - 3


def test_a_contrast_that_only_censored_scans_tell_says_so():
    early = condition("early", 0)  # its response ends before 40 s, that is before scan 20
    settings = replace(BARE, contrasts=("face", "early", "song"), dummy_scans=20)
    run = bold_run("sub-1_task-x", condition("face", 60, 130), early)
    plan = plan_of(run, settings=settings, known={"x": ["song"]})
    face, first, song = plan.runs[0].contrasts
    assert face.reason is None
    assert first.reason == "the scans that could tell it are censored in this run"
    assert song.reason == "condition 'song' has no event in this run"
    with_all = plan_of(run, settings=replace(settings, dummy_scans=0), known={"x": ["song"]})
    assert with_all.runs[0].contrasts[1].reason is None


def test_two_contrasts_of_one_label_are_a_problem_without_regard_to_case():
    settings = replace(BARE, contrasts=("a = face", "A = house"))
    problems = plan_of(bold_run("sub-1_task-x"), settings=settings).problems
    assert "would both be written" in problems[0].found


def test_designs_that_differ_between_spaces_are_a_problem():
    spaces = ("sub-01_task-x_run-1_space-A", "sub-01_task-x_run-1_space-B")
    first, second = (bold_run(name, condition("face", 3, 9, 20, 31)) for name in spaces)
    assert not plan_of(first, second).problems
    (problem,) = plan_of(first, replace(second, slice_time=0.5)).problems
    assert problem.where == "sub-01_task-x_run-1_design.tsv"
    assert "the designs of task-x_run-1_space-A and task-x_run-1_space-B differ" in problem.found


def test_confounds_and_censored_scans_enter_the_design(rng):
    table = ConfoundTable(
        path=Path("c.tsv"),
        values={"trans_x": rng.normal(size=100), "other": rng.normal(size=100)},
    )
    settings = replace(BARE, confounds=("trans_x",), dummy_scans=2)
    run = plan_of(bold_run("sub-1_task-x", confounds=table), settings=settings).runs[0]
    assert [item.scan for item in run.confounds.censored] == [0, 1]
    roles = [column.role for column in run.design.columns]
    assert (roles.count("confound"), roles.count("censored")) == (1, 2)
    place = run.design.names.index("trans_x")
    np.testing.assert_array_equal(run.design.matrix[:, place], table.values["trans_x"])
    assert run.source.confounds.values.keys() == {"trans_x"}


def test_a_condition_named_like_a_confound_is_a_problem(rng):
    table = ConfoundTable(path=Path("c.tsv"), values={"face": rng.normal(size=100)})
    settings = replace(BARE, confounds=("face",))
    (problem,) = plan_of(bold_run("sub-1_task-x", confounds=table), settings=settings).problems
    assert "face" in problem.found


def hash_of(settings: AnalysisSettings = BARE, **fields: object) -> str:
    return plan_of(bold_run("sub-1_task-x", **fields), settings=settings).runs[0].settings_hash


@pytest.mark.parametrize(
    "change",
    [
        {"hrf_model": "glover"},
        {"drift_model": "none"},
        {"high_pass_s": 60.0},
        {"noise_model": "ols"},
        {"smoothing_fwhm_mm": 5.0},
        {"signal_scaling": "none"},
        {"dummy_scans": 1},
        {"contrasts": ("face",)},
    ],
    ids=str,
)
def test_every_setting_of_the_model_changes_the_hash(change):
    assert hash_of(replace(BARE, **change)) != hash_of()


@pytest.mark.parametrize(
    "change", [{"slice_time": 0.5}, {"repetition_time": 1.5}, {"mask": Path("m.nii.gz")}], ids=str
)
def test_every_fact_of_the_run_that_counts_changes_the_hash(change):
    change = dict(change)
    if "mask" in change:
        change["uris"] = {change["mask"]: "bids:x:m.nii.gz"}
    assert hash_of(**change) != hash_of()


@pytest.mark.parametrize("change", [{"combination": "unweighted"}, {"combine_subset": True}])
def test_settings_of_the_combination_leave_the_runs_as_they_are(change):
    assert hash_of(replace(BARE, **change)) == hash_of()


def design_made_beforehand(*, named: bool) -> BoldRun:
    columns = (
        Column(name="cue", role="condition", condition="cue", basis=0),
        Column(name="constant", role="constant"),
    )
    matrix = np.column_stack([np.arange(100) % 2, np.ones(100)]).astype(float)
    return bold_run(
        "sub-1_task-x",
        design=Design(matrix=matrix, columns=columns),
        design_file=Path("d.tsv"),
        names_conditions=named,
    )


def test_a_design_made_beforehand_is_used_as_it_is():
    run = plan_of(design_made_beforehand(named=True)).runs[0]
    assert run.design.names == ("cue", "constant")
    assert [item.contrast.label for item in run.contrasts] == ["cue"]


def with_outliers(role: str, *scans: int) -> BoldRun:
    """Return a run whose design made beforehand marks scans, each in a column of a role."""
    run = design_made_beforehand(named=True)
    names = [f"motion_outlier{i:02}" for i in range(len(scans))]
    columns = (*run.design.columns, *(Column(name=name, role=role) for name in names))
    spikes = [np.arange(100) == scan for scan in scans]
    return replace(
        run, design=Design(matrix=np.column_stack([run.design.matrix, *spikes]), columns=columns)
    )


def test_scans_that_a_design_made_beforehand_censors_are_told_once_each():
    run = plan_of(with_outliers("censored", 7, 3, 7)).runs[0]
    assert [(item.scan, item.reason) for item in run.confounds.censored] == [
        (3, "column of the design (motion_outlier01)"),
        (7, "column of the design (motion_outlier00, motion_outlier02)"),
    ]
    assert run.design.fitted.matrix.shape == (98, 2)
    assert run.source.n_scans - run.rank == 98 - 2


def test_a_design_made_beforehand_that_censors_too_much_is_a_problem():
    plan = plan_of(with_outliers("censored", *range(98)))
    (problem,) = plan.problems
    assert "(column of the design: 98)" in problem.found
    assert "--fd-threshold" not in problem.remedy


def test_kept_scans_change_the_hash():
    hashes = {
        plan_of(with_outliers(role, scan)).runs[0].settings_hash
        for role in ("censored", "confound")
        for scan in (3, 4)
    }
    assert len(hashes) == 4


def test_a_design_that_names_no_conditions_needs_contrasts():
    (problem,) = plan_of(design_made_beforehand(named=False)).problems
    assert "--contrast" in problem.remedy
    settings = replace(BARE, contrasts=("cue",))
    assert plan_of(design_made_beforehand(named=False), settings=settings).problems == ()


def test_maps_made_beforehand_are_combined_by_label():
    maps = {"faces": {"effect": Path("e.nii"), "variance": Path("v.nii")}}
    runs = [
        RunMaps(
            entities=parse_name(f"sub-1_task-x_run-{run}_space-A_bold.nii").entities,
            grid=GRID,
            maps=maps,
            names={"faces": "face - house"},
            dof={"faces": 40.0},
        )
        for run in (1, 2)
    ]
    plan = plan_of(*runs)
    (group,) = plan.written_groups
    assert group.contrasts[0].contrast.name == "face - house"
    assert len(group.contrasts[0].input_keys) == 2


def test_the_outline_of_a_plan_decides_the_same_without_its_arrays():
    plan = plan_of(bold_run("sub-1_task-x_run-1_space-A"), bold_run("sub-1_task-x_run-2_space-A"))
    outline = plan.outline()
    assert outline.groups == plan.groups
    assert all(run.design is None for run in outline.runs)
    assert repr(outline.runs[0]) == "task-x_run-1_space-A"


def test_a_run_that_tells_far_less_of_a_contrast_than_the_others_is_warned_of():
    settings = replace(BARE, contrasts=("face",))
    # Its one event comes 4 s before the run ends: hardly any of the response is there.
    end = bold_run("sub-1_task-x_run-3").n_scans * 2 - 4
    runs = [
        bold_run(f"sub-1_task-x_run-{n}", condition("face", *onsets))
        for n, onsets in ((1, (20, 60, 130)), (2, (30, 80, 140)), (3, (end,)))
    ]
    texts = [notice.text for notice in plan_of(*runs, settings=settings).notices]
    (found,) = (text for text in texts if "tells little of contrast 'face'" in text)
    assert found.startswith("sub-1_task-x_run-3: ")
    even = plan_of(*runs[:2], settings=settings).notices
    assert not any("tells little" in notice.text for notice in even)


def test_plans_are_shared_by_all_nodes_that_get_them():
    plan = plan_of(bold_run("sub-1_task-x"))
    inputs = {"plan": plan, "runs": {run.key: run for run in plan.runs}}
    copied = copy.deepcopy(inputs)
    assert copied["plan"] is plan
    assert all(copied["runs"][run.key] is run for run in plan.runs)


def stepped(*steps: Step) -> Plan:
    runs = [bold_run(f"sub-1_ses-{s}_task-x_run-{r}_space-A") for s in "ab" for r in "12"]
    found = Found(participant="1", runs=tuple(runs))
    settings = replace(BARE, contrasts=("face",))
    return make_plan(found, settings, {}, known_conditions={}, steps=steps)


def test_runs_are_combined_by_the_steps_that_are_given():
    session = Step(name="session", level="session")
    plan = stepped(session, Step(name="subject", level="subject", source="session", over=("ses",)))
    assert plan.problems == ()
    assert [group.input_noun for group in plan.groups] == ["run", "run", "session"]
    assert plan.steps is not None
    assert stepped().groups[0].not_written == "the analysis does not combine them"


def test_two_nodes_whose_results_have_one_name_are_a_problem():
    first = Step(name="first", level="subject", over=("run", "ses"))
    problems = stepped(first, replace(first, name="second")).problems
    assert [problem.where for problem in problems] == ["sub-1_task-x_space-A_contrast-face"]
    assert problems[0].found == (
        "'face' of node 'first' and 'face' of node 'second' would both be written as "
        "sub-1_task-x_space-A_contrast-face"
    )
    assert "leave one of the nodes out" in problems[0].remedy
