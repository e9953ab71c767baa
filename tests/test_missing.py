"""What is missing: told and done without, or refused, and tracked to the groups that lack it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from bids_fx.dataset.confounds import load_strategies
from bids_fx.drafts import draft_plan
from bids_fx.entities import parse_name
from bids_fx.errors import ExitCode
from bids_fx.glm.design import Condition
from bids_fx.inputs import Absence, BoldRun, ConfoundTable, Found, Grid, RunMaps
from bids_fx.missing import requests_met
from bids_fx.plan import finish_plan, make_plan
from bids_fx.records import Plan
from bids_fx.settings import AnalysisSettings, idle_settings

GRID = Grid(shape=(4, 4, 4), affine=((2.0, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 2.0, 0), (0, 0, 0, 1)))
N_SCANS = 60
MNI = "space-MNI152NLin2009cAsym"
REASON = "it has events but no BOLD series"


def run(name: str, *columns: str) -> BoldRun:
    """Return a run with one condition, and with some columns of confounds."""
    rng = np.random.default_rng(3)
    table = ConfoundTable(
        path=Path(f"{name}.tsv"), values={c: rng.standard_normal(N_SCANS) for c in columns}
    )
    face = Condition(
        name="face",
        onsets=np.array([10.0, 50.0]),
        durations=np.array([5.0, 5.0]),
        amplitudes=np.ones(2),
    )
    return BoldRun(
        entities=parse_name(f"{name}_bold.nii.gz").entities,
        bold=Path(f"{name}_bold.nii.gz"),
        uris={Path(f"{name}_bold.nii.gz"): f"bids:x:{name}_bold.nii.gz"},
        grid=GRID,
        n_scans=N_SCANS,
        repetition_time=2.0,
        conditions=(face,),
        confounds=table,
    )


def absence(name: str) -> Absence:
    return Absence(entities=parse_name(f"{name}_bold.nii.gz").entities, reason=REASON)


def plan_of(
    *runs: BoldRun | RunMaps, absent: Iterable[str] = (), participant: str = "1", **choices: object
) -> Plan:
    settings = AnalysisSettings(**({"confounds": (), "noise_model": "ols"} | choices))
    found = Found(participant=participant, runs=runs, absent=tuple(map(absence, absent)))
    return make_plan(found, settings, load_strategies(), known_conditions={})


def told(plan: Plan) -> str:
    return "\n".join(notice.text for notice in plan.notices if notice.warning)


def lacking(plan: Plan) -> dict[str, list[str]]:
    """Return the absent runs of each group."""
    return {str(group.entities): list(group.absent) for group in plan.groups}


# ------------------------------------------------------------------------------ runs and labels


def test_absent_run_is_a_warning_and_stands_in_the_plan():
    plan = plan_of(run("sub-1_task-x_run-1"), absent=["sub-1_task-x_run-2"])
    assert plan.problems == ()
    assert f"sub-1_task-x_run-2: left out, since {REASON}." in told(plan)
    assert [str(one.entities) for one in plan.absent] == ["sub-1_task-x_run-2"]


def test_every_absence_is_bad_data_where_that_is_asked_for():
    absent = ["sub-1_task-x_run-2", "sub-1_ses-3"]
    plan = plan_of(run("sub-1_task-x_run-1"), absent=absent, missing="error")
    assert [problem.where for problem in plan.problems] == absent
    assert {problem.code for problem in plan.problems} == {ExitCode.BAD_DATA}
    assert all("--missing drop" in problem.remedy for problem in plan.problems)
    assert told(plan) == ""


def test_absent_run_is_named_in_the_groups_of_its_session_and_of_all():
    runs = [run(f"sub-1_ses-{ses}_task-x_run-1_{MNI}") for ses in "ab"]
    plan = plan_of(*runs, absent=["sub-1_ses-b_task-x_run-2", "sub-1_ses-c_task-x_run-1"])
    assert lacking(plan) == {
        f"sub-1_ses-a_task-x_{MNI}": [],
        f"sub-1_ses-b_task-x_{MNI}": ["sub-1_ses-b_task-x_run-2"],
        f"sub-1_task-x_{MNI}": ["sub-1_ses-b_task-x_run-2", "sub-1_ses-c_task-x_run-1"],
    }
    assert plan.groups[1].absent == {"sub-1_ses-b_task-x_run-2": REASON}


def test_sessions_that_are_not_combined_do_not_lack_each_others_runs():
    runs = [run(f"sub-1_ses-{ses}_task-x_run-1") for ses in "ab"]
    plan = plan_of(*runs, absent=["sub-1_ses-b_task-x_run-2"], combine_over=("run",))
    assert lacking(plan) == {
        "sub-1_ses-a_task-x": [],
        "sub-1_ses-b_task-x": ["sub-1_ses-b_task-x_run-2"],
    }


@pytest.mark.parametrize(
    ("absent", "lacks"),
    [
        ("sub-1_task-x_run-02", True),
        ("sub-1_task-X_run-2", True),
        (f"sub-1_task-x_run-2_{MNI}", True),
        ("sub-1_task-x_run-2_space-T1w", False),
        ("sub-1_task-y_run-2", False),
        ("sub-1_task-x_acq-hi_run-2", False),
        ("sub-1_run-2", True),
        ("sub-1_task-x", True),
        ("sub-1_task-y", False),
    ],
)
def test_group_lacks_what_agrees_with_it_in_all_that_is_not_combined_over(absent, lacks):
    plan = plan_of(run(f"sub-1_task-x_run-1_{MNI}"), absent=[absent])
    assert [list(group.absent) for group in plan.groups] == [[absent] if lacks else []]


def test_session_that_was_asked_for_is_lacked_by_all_sessions_together_alone():
    plan = plan_of(run("sub-1_ses-a_task-x_run-1"), absent=["sub-1_ses-c"])
    assert lacking(plan) == {"sub-1_ses-a_task-x": [], "sub-1_task-x": ["sub-1_ses-c"]}


def test_single_echo_of_a_run_is_in_a_group_that_lacks_the_run():
    plan = plan_of(run("sub-1_task-x_run-1_echo-2"), absent=["sub-1_task-x_run-2"])
    assert list(plan.groups[0].absent) == ["sub-1_task-x_run-2"]


def test_hash_of_a_group_changes_with_what_it_lacks_and_that_of_a_run_does_not():
    whole = plan_of(run("sub-1_task-x_run-1"))
    first, second = (
        plan_of(run("sub-1_task-x_run-1"), absent=[f"sub-1_task-x_run-{label}"]) for label in "23"
    )
    assert len({plan.groups[0].settings_hash for plan in (whole, first, second)}) == 3
    assert len({plan.runs[0].settings_hash for plan in (whole, first, second)}) == 1


# ------------------------------------------------------------------------------------ confounds

COMPONENTS = [f"a_comp_cor_{i:02}" for i in range(5)]


def test_column_that_one_run_lacks_is_done_without_and_told():
    plan = plan_of(
        run("sub-1_task-x_run-1", "csf", "x"),
        run("sub-1_task-x_run-2", "x"),
        confounds=("csf", "x"),
    )
    assert plan.problems == ()
    assert [r.confounds.columns for r in plan.runs] == [("csf", "x"), ("x",)]
    assert [r.confounds.missing for r in plan.runs] == [{}, {"csf": "no column"}]
    assert (
        "sub-1_task-x_run-2: confounds csf: no column in its table; its model does without the "
        "others, and differs from those of other runs." in told(plan)
    )


@pytest.mark.parametrize("missing", ["drop", "error"])
def test_column_that_no_run_has_is_a_slip_in_any_case(missing):
    runs = [run(f"sub-1_task-x_run-{i}", "csf") for i in (1, 2)]
    plan = plan_of(*runs, confounds=("csv",), missing=missing)
    assert len(plan.problems) == 2
    assert all("did you mean csf" in problem.remedy for problem in plan.problems)
    assert plan.problems[0].where == "sub-1_task-x_run-1: sub-1_task-x_run-1.tsv"


def test_column_that_another_participant_has_is_no_slip():
    settings = AnalysisSettings(confounds=("csf",), noise_model="ols")
    drafts = [
        draft_plan(Found(participant=label, runs=(source,)), settings, {})
        for label, source in (
            ("1", run("sub-1_task-x_run-1", "csf")),
            ("2", run("sub-2_task-x_run-1", "x")),
        )
    ]
    met = requests_met(drafts)
    plans = [finish_plan(d, settings, known_conditions={}, known_confounds=met) for d in drafts]
    assert met == {"csf"}
    assert [plan.problems for plan in plans] == [(), ()]
    assert plans[1].runs[0].confounds.missing == {"csf": "no column"}


@pytest.mark.parametrize("there", [3, 0])
def test_fewer_components_than_asked_for_are_taken_and_told(there):
    plan = plan_of(
        run("sub-1_task-x_run-1", *COMPONENTS),
        run("sub-1_task-x_run-2", *COMPONENTS[:there]),
        confounds=("acompcor",),
    )
    assert plan.problems == ()
    assert plan.runs[1].confounds.columns == tuple(COMPONENTS[:there])
    assert f"acompcor: {there} of 5 columns a_comp_cor_[0-9]* in its table" in told(plan)


def test_models_that_lack_the_same_do_not_differ():
    runs = [run(f"sub-1_task-x_run-{i}", *COMPONENTS[:3]) for i in (1, 2)]
    plan = plan_of(*runs, confounds=("acompcor",))
    assert told(plan).count("3 of 5 columns") == 2
    assert "differs" not in told(plan)


def test_lacking_confounds_are_bad_data_where_that_is_asked_for():
    plan = plan_of(
        run("sub-1_task-x_run-1", "csf", *COMPONENTS),
        run("sub-1_task-x_run-2", "csf", *COMPONENTS[:3]),
        run("sub-1_task-x_run-3", *COMPONENTS),
        confounds=("acompcor", "csf"),
        missing="error",
    )
    assert [(problem.where, problem.found) for problem in plan.problems] == [
        (
            "sub-1_task-x_run-2",
            "confounds acompcor: 3 of 5 columns a_comp_cor_[0-9]* in its table",
        ),
        ("sub-1_task-x_run-3", "confounds csf: no column in its table"),
    ]
    assert {problem.code for problem in plan.problems} == {ExitCode.BAD_DATA}


def test_strategy_of_certain_columns_is_met_as_a_whole_or_not_at_all():
    plan = plan_of(
        run("sub-1_task-x_run-1", "csf", "white_matter"),
        run("sub-1_task-x_run-2", "csf"),
        confounds=("wm-csf",),
    )
    (problem,) = plan.problems
    assert "no column white_matter" in problem.found


def test_hash_of_a_run_changes_with_what_its_table_lacks():
    def hash_of(*confounds: str) -> str:
        other = run("sub-1_task-x_run-2", "csf", "gsr1", "x")
        plan = plan_of(run("sub-1_task-x_run-1", "x"), other, confounds=confounds)
        return plan.runs[0].settings_hash

    assert len({hash_of("x"), hash_of("x", "csf"), hash_of("x", "gsr1")}) == 3


# ------------------------------------------------------------------------- maps made beforehand


def given(name: str, *labels: str) -> RunMaps:
    maps = {label: {"effect": Path(f"{name}_{label}.nii.gz")} for label in labels}
    return RunMaps(
        entities=parse_name(f"{name}_bold.nii.gz").entities,
        grid=GRID,
        maps=maps,
        names={label: label for label in labels},
        dof=dict.fromkeys(labels, 20.0),
    )


def test_map_that_one_run_lacks_is_told_once():
    runs = [
        given(f"sub-1_ses-{s}_task-x_run-1", *labels) for s, labels in (("a", "fh"), ("b", "f"))
    ]
    runs.append(given("sub-1_ses-b_task-x_run-2", "f", "h"))
    plan = plan_of(*runs)
    assert plan.problems == ()
    text = "sub-1_ses-b_task-x_run-1: contrast 'h' is left out: this run has no map of it."
    assert told(plan).splitlines().count(text) == 1


def test_map_that_one_run_lacks_is_bad_data_where_that_is_asked_for():
    runs = [given("sub-1_task-x_run-1", "f", "h"), given("sub-1_task-x_run-2", "f")]
    plan = plan_of(*runs, missing="error")
    (problem,) = plan.problems
    assert problem.where == "sub-1_task-x_run-2"
    assert problem.found == "contrast 'h' cannot be combined: this run has no map of it"
    assert problem.code == ExitCode.BAD_DATA


def test_policy_is_in_force_for_maps_made_beforehand_too():
    assert "missing" not in idle_settings(AnalysisSettings(), given_designs=False, given_maps=True)
