"""What contrasts are in the design of a run: columns, estimability, efficiency and inflation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.contrasts import run_contrasts, task_contrasts
from bids_fx.entities import parse_name
from bids_fx.errors import ExitCode, Problem
from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Condition, Design, make_design
from bids_fx.inputs import BoldRun, Found, Grid, RunMaps
from bids_fx.model import parse_contrast
from bids_fx.plan import make_plan
from bids_fx.records import Plan, RunContrast
from bids_fx.settings import AnalysisSettings

GRID = Grid(shape=(4, 4, 4), affine=((2.0, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 2.0, 0), (0, 0, 0, 1)))
NAMES = ("body", "face", "house", "twin")
ONSETS = {"body": (22, 70, 141), "face": (10, 60, 130), "house": (35, 90, 160)}


def condition(name: str) -> Condition:
    """Return three events of a condition; those of ``twin`` are the face's."""
    onsets = np.array(ONSETS.get(name, ONSETS["face"]), dtype=float)
    return Condition(name=name, onsets=onsets, durations=np.full(3, 4.0), amplitudes=np.ones(3))


def bold_run(*conditions: str) -> BoldRun:
    bold = Path("/data/bold.nii.gz")
    return BoldRun(
        entities=parse_name("sub-1_task-x_bold.nii.gz").entities,
        bold=bold,
        uris={bold: "bids:x:bold.nii.gz"},
        grid=GRID,
        n_scans=100,
        repetition_time=2.0,
        n_mask_voxels=40,
        conditions=tuple(map(condition, conditions)),
    )


def design_of(run: BoldRun, hrf_model: str = "spm", censored: Sequence[int] = ()) -> Design:
    return make_design(
        run.frame_times,
        repetition_time=2.0,
        conditions=run.conditions,
        hrf_model=hrf_model,
        drift_model="cosine",
        high_pass_s=128.0,
        confounds=None,
        confound_names=(),
        censored=censored,
    )


def planned(
    text: str, *conditions: str, hrf_model: str = "spm"
) -> tuple[RunContrast, list[Problem]]:
    """Return a contrast in a run of some conditions, and the problems it causes."""
    run = bold_run(*(conditions or ("body", "face", "house")))
    design = design_of(run, hrf_model)
    space = design_space(design.matrix)
    (item,), problems = run_contrasts(run, design, space, [parse_contrast(text, NAMES)])
    return item, problems


def rows_of(text: str, hrf_model: str = "spm") -> list[dict[str, float]]:
    item, problems = planned(text, hrf_model=hrf_model)
    assert (item.reason, problems) == (None, [])
    return [dict(row) for row in item.rows]


def test_f_test_has_a_row_of_columns_for_each_of_its_rows():
    rows = rows_of("F(face - house; (body + face)/2)")
    assert rows == [{"face": 1.0, "house": -1.0}, {"body": 0.5, "face": 0.5}]


def test_f_test_of_basis_functions_tests_each():
    rows = rows_of("F(face; face[1]; face[2])", "spm + derivative + dispersion")
    assert rows == [{"face": 1.0}, {"face_derivative": 1.0}, {"face_dispersion": 1.0}]


def test_f_test_of_fir_delays_tests_each_and_a_plain_condition_is_their_mean():
    rows = rows_of("F(face[0]; face[2]; house - body)", "fir:3")
    assert rows == [
        {"face_delay_0": 1.0},
        {"face_delay_2": 1.0},
        {
            f"{name}_delay_{k}": sign / 3
            for name, sign in (("house", 1), ("body", -1))
            for k in range(3)
        },
    ]


@pytest.mark.parametrize("text", ["early", "face - early"])
def test_condition_whose_responses_end_before_the_first_scan_is_the_reason(text):
    early = replace(condition("early"), onsets=np.array([-90.0, -80.0, -70.0]))
    run = replace(bold_run(), conditions=(condition("face"), early))
    design = design_of(run)
    contrast = parse_contrast(text, ("early", "face"))
    (item,), problems = run_contrasts(run, design, design_space(design.matrix), [contrast])
    assert item.reason == "no response to condition 'early' reaches into this run's scans"
    assert problems == []


def test_condition_whose_responses_end_early_is_no_reason_where_it_has_no_weight():
    early = replace(condition("early"), onsets=np.array([-90.0, -80.0, -70.0]))
    run = replace(bold_run(), conditions=(condition("face"), condition("twin"), early))
    design = design_of(run)
    contrast = parse_contrast("face", ("early", "face", "twin"))
    (item,), _ = run_contrasts(run, design, design_space(design.matrix), [contrast])
    assert item.reason == "its regressors are a combination of others in this run's design"


def test_f_test_can_be_estimated_where_all_its_rows_can():
    conditions = ("face", "house", "twin")
    assert planned("F(house; face + twin)", *conditions)[0].reason is None
    item, problems = planned("F(house; face)", *conditions)
    assert (item.rows, item.efficiency, item.inflation, problems) == ((), (), (), [])
    assert item.reason == "its regressors are a combination of others in this run's design"


def test_condition_that_the_second_row_lacks_is_the_reason():
    item, problems = planned("F(face; body)", "face", "house")
    assert (item.reason, problems) == ("condition 'body' has no event in this run", [])


def test_basis_function_that_the_second_row_lacks_is_a_problem():
    item, (problem,) = planned("F(face; body[1])")
    assert item.rows == ()
    assert "body[1]" in problem.found


@pytest.mark.parametrize(
    ("text", "hrf_model"),
    [("F(face; face[0])", "spm"), ("F(face[0]; face[1]; face)", "fir:2")],
)
def test_rows_that_only_the_hrf_model_makes_dependent_are_a_problem(text, hrf_model):
    _, (problem,) = planned(text, hrf_model=hrf_model)
    assert problem.where == f"contrast '{text}'"
    assert "linearly dependent in sub-1_task-x: row " in problem.found


@pytest.mark.parametrize(
    ("text", "hrf_model"),
    [("face - face[0]", "spm"), ("0.3*face - 0.1*(face[0] + face[1] + face[2])", "fir:3")],
)
def test_weights_that_cancel_out_in_the_design_are_no_contrast(text, hrf_model):
    item, problems = planned(text, hrf_model=hrf_model)
    assert (item.reason, problems) == ("its weights cancel out in this run's design", [])


def test_each_row_has_its_efficiency_and_inflation():
    text = "F(face - house; 2*body)"
    item, _ = planned(text)
    design = design_of(bold_run("body", "face", "house"))
    inverse = np.linalg.inv(design.matrix.T @ design.matrix)
    squares = ((design.matrix - design.matrix.mean(axis=0)) ** 2).sum(axis=0)
    vectors = np.zeros((2, len(design.names)))
    for row, weights in enumerate([{"face": 1.0, "house": -1.0}, {"body": 2.0}]):
        for name, weight in weights.items():
            vectors[row, design.names.index(name)] = weight
    variances = np.einsum("ij,jk,ik->i", vectors, inverse, vectors)
    np.testing.assert_allclose(item.efficiency, 1 / variances, rtol=1e-9)
    alone = (vectors[:, :-1] ** 2 / squares[:-1]).sum(axis=1)
    np.testing.assert_allclose(item.inflation, variances / alone, rtol=1e-9)


def plan_of(*runs: BoldRun | RunMaps, **choices: object) -> Plan:
    settings = replace(AnalysisSettings(confounds=(), noise_model="ols"), **choices)
    return make_plan(Found(participant="1", runs=runs), settings, {}, known_conditions={})


def test_efficiency_and_inflation_are_those_of_the_kept_scans():
    plan = plan_of(bold_run("face", "house"), contrasts=("face",), dummy_scans=30)
    (run,) = plan.runs
    (item,) = run.contrasts
    matrix = design_of(bold_run("face", "house")).matrix[30:]
    variance = np.linalg.inv(matrix.T @ matrix)[0, 0]
    np.testing.assert_allclose(item.efficiency, [1 / variance], rtol=1e-9)
    face = matrix[:, 0] - matrix[:, 0].mean()
    np.testing.assert_allclose(item.inflation, [variance * face @ face], rtol=1e-9)


def test_f_test_of_one_row_and_the_t_test_of_it_have_different_hashes():
    (t,) = plan_of(bold_run("face", "house"), contrasts=("x = face",)).runs
    (f,) = plan_of(bold_run("face", "house"), contrasts=("x = F(face)",)).runs
    assert t.contrasts[0].rows == f.contrasts[0].rows
    assert t.settings_hash != f.settings_hash


@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1e9, 1e200])
def test_unit_of_a_condition_makes_no_row_hard_to_tell_apart(unit):
    run = bold_run("body", "face", "house")
    tiny = tuple(replace(one, amplitudes=one.amplitudes * unit) for one in run.conditions)
    run = replace(run, conditions=tiny)
    design = design_of(run)
    contrasts = [
        parse_contrast(text, NAMES) for text in ("1e10*face", "1e-10*face", "F(face; body)")
    ]
    items, problems = run_contrasts(run, design, design_space(design.matrix), contrasts)
    assert ([item.reason for item in items], problems) == ([None] * 3, [])


@pytest.mark.parametrize("text", ["1e-300*face", "1e200*face", "named = house - 1.1e10*face"])
def test_weight_out_of_range_is_a_wrong_use_of_the_option(text):
    settings = AnalysisSettings(contrasts=(text,))
    (problem,) = task_contrasts([bold_run("face", "house")], settings, {}).problems
    assert (problem.code, problem.found) == (
        ExitCode.USAGE,
        "the weight of 'face' is too large or too small",
    )
    assert problem.remedy == "give weights from 1e-10 to 1e+10 in size"


def test_f_test_that_cannot_be_read_is_a_wrong_use_of_the_option():
    settings = AnalysisSettings(contrasts=("F(face; 2*face)",))
    (problem,) = task_contrasts([bold_run("face")], settings, {}).problems
    assert problem.where == "--contrast 'F(face; 2*face)'"
    assert problem.code == ExitCode.USAGE
    assert str(problem).endswith("row 2 is a multiple of row 1; " + problem.remedy + ".")
    assert "events tables" not in problem.remedy


def test_maps_of_f_tests_made_beforehand_are_planned_as_f_tests():
    maps = {
        "any": {"effect": Path("e.nii"), "covariance": Path("c.nii")},
        "face": {"effect": Path("f.nii"), "variance": Path("v.nii")},
    }
    source = RunMaps(
        entities=parse_name("sub-1_task-x_run-1_space-A_bold.nii").entities,
        grid=GRID,
        maps=maps,
        names={"any": "any of both", "face": "face"},
        dof={"any": 40.0, "face": 40.0},
        rows={"any": 2},
    )
    (run,) = plan_of(source).runs
    assert [(i.contrast.name, i.contrast.test) for i in run.contrasts] == [
        ("any of both", "F"),
        ("face", "t"),
    ]
    assert [len(item.rows) for item in run.contrasts] == [2, 0]
    (other,) = plan_of(replace(source, rows={"any": 3})).runs
    assert other.settings_hash != run.settings_hash


def test_rows_that_can_hardly_be_told_apart_are_left_out_by_name():
    apart, _ = planned("F(face; face + 0.01*house)")
    assert apart.reason is None
    close, problems = planned("F(face; face + 0.0002*house)")
    assert close.reason == "its rows can hardly be told apart in this run's design"
    assert (close.rows, problems) == ((), [])
