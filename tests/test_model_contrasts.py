"""The contrasts of a model against the regressors that runs have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_fx.entities import parse_name
from bids_fx.glm.design import Column, Response
from bids_fx.inputs import BoldRun, ConfoundTable, Grid
from bids_fx.model_contrasts import are_known, asked_contrasts, model_contrasts
from bids_fx.settings import AnalysisSettings
from bids_fx.stats_models.analysis import Analysis, analyse
from tests.model_files import a_contrast, read, with_run

GRID = Grid(shape=(1, 1, 1), affine=tuple(tuple(row) for row in np.eye(4).tolist()))


def a_run(
    *conditions: str,
    task: str = "x",
    confounds: tuple[str, ...] = (),
    further: dict[str, int] | None = None,
) -> BoldRun:
    """Return a run whose regressors are responses to conditions; `further` of the first one."""
    columns = tuple(Column(name=n, role="condition", condition=n, basis=0) for n in conditions)
    columns += tuple(
        Column(name=conditions[0] + ending, role="derivative", condition=conditions[0], basis=i)
        for ending, i in (further or {}).items()
    )
    return BoldRun(
        entities=parse_name(f"sub-01_task-{task}_bold.nii.gz").entities,
        bold=Path("bold.nii.gz"),
        grid=GRID,
        n_scans=4,
        repetition_time=2.0,
        responses=tuple(Response(matrix=np.ones((4, 1)), columns=(c,)) for c in columns),
        confounds=ConfoundTable(
            path=Path("c.tsv"), values={name: np.zeros(4) for name in confounds}
        ),
    )


def an_analysis(*contrasts: Any, x: tuple[object, ...] = ("face", "house", 1), **more: Any):
    raw = with_run(Model={"Type": "glm", "X": list(x)}, Contrasts=list(contrasts), **more)
    return analyse(read(raw), "m.json")


def made(analysis: Analysis, *runs: BoldRun, task: str = "x"):
    found = model_contrasts(runs, analysis, {})
    assert found.problems == ()
    return found.by_task[task]


def test_contrast_is_rows_of_weights():
    (one,) = made(an_analysis(a_contrast("d", {"face": 1, "house": -0.5})), a_run("face", "house"))
    assert (one.name, one.label, one.test) == ("d", "d", "t")
    assert one.rows == ((("face", None, 1.0), ("house", None, -0.5)),)
    assert one.formula == "face - 0.5*house"


def test_weights_of_zero_are_no_terms():
    f_test = {
        "Name": "any",
        "ConditionList": ["face", "house"],
        "Weights": [[1, 0], [0, 1]],
        "Test": "F",
    }
    (one,) = made(an_analysis(f_test), a_run("face", "house"))
    assert one.rows == ((("face", None, 1.0),), (("house", None, 1.0),))
    assert (one.test, one.formula) == ("F", "F(face; house)")


def test_condition_of_weight_zero_need_not_be_there():
    analysis = an_analysis(a_contrast("f", {"face": 1, "house": 0}))
    (one,) = made(analysis, a_run("face"))
    assert one.rows == ((("face", None, 1.0),),)


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("trial_type.face", ("face", None, 1.0)),
        ("face_derivative", ("face", 1, 1.0)),
        ("face_dispersion", ("face", 2, 1.0)),
        ("face_delay_4", ("face", 2, 1.0)),
        ("trial_type.face_4", ("face", 2, 1.0)),
        ("house_delay_4", ("house", 2, 1.0)),
        ("trans_x", ("trans_x", None, 1.0)),
    ],
)
def test_names_mean_conditions_their_bases_and_confounds(name, term):
    x = ("face", 1) if name.endswith(".face") else ("face", name, 1)
    analysis = an_analysis(a_contrast("c", {name: 1}), x=x)
    endings = {"_delay_2": 1, "_delay_4": 2}
    if "delay" not in name and not name.endswith("_4"):
        endings = {"_derivative": 1, "_dispersion": 2}
    (one,) = made(analysis, a_run("face", "house", confounds=("trans_x",), further=endings))
    assert one.rows == ((term,),)


def test_condition_that_looks_like_a_delay_is_itself():
    analysis = an_analysis(a_contrast("c", {"back_2": 1}), x=("back", "back_2", 1))
    (one,) = made(analysis, a_run("back", "back_2"))
    assert one.rows == ((("back_2", None, 1.0),),)


def test_dummies_of_x_are_of_conditions_alone():
    analysis = an_analysis(x=("house", "trans_x", "face", 1), DummyContrasts={"Test": "t"})
    run = a_run("face", "house", confounds=("trans_x",))
    assert [one.name for one in made(analysis, run)] == ["house", "face"]


def test_dummies_of_a_pattern_are_those_that_it_matches():
    analysis = an_analysis(
        x=("trial_type.*", 1), DummyContrasts={"Contrasts": ["trial_type.f*"], "Test": "t"}
    )
    assert [one.name for one in made(analysis, a_run("face", "flower", "house"))] == [
        "face",
        "flower",
    ]


def test_contrast_is_for_the_tasks_that_have_its_conditions():
    analysis = an_analysis(a_contrast("f", {"face": 1}), a_contrast("h", {"house": 1}))
    runs = (a_run("face", "house", task="x"), a_run("face", task="y"))
    found = model_contrasts(runs, analysis, {})
    assert {task: [one.name for one in own] for task, own in found.by_task.items()} == {
        "x": ["f", "h"],
        "y": ["f"],
    }
    assert [notice.text for notice in found.notices] == [
        "Contrast 'h' is left out for task y: it has no house."
    ]


def test_condition_of_other_participants_is_known():
    analysis = an_analysis(a_contrast("h", {"house": 1}))
    assert model_contrasts([a_run("face")], analysis, {}).problems != ()
    found = model_contrasts([a_run("face")], analysis, {"x": ["house"]})
    assert [one.name for one in found.by_task["x"]] == ["h"]


def test_condition_that_no_run_has_is_a_problem_with_the_closest():
    analysis = an_analysis(a_contrast("h", {"hous": 1}), x=("hous", 1))
    (problem,) = model_contrasts([a_run("face", "house")], analysis, {}).problems
    assert str(problem) == (
        "m.json: contrast 'h': no run has the condition hous (did you mean 'house'?); the "
        "conditions are: face, house."
    )


def test_number_behind_a_condition_is_no_basis_that_the_runs_lack():
    analysis = an_analysis(a_contrast("c", {"load_2": 1}), x=("load", "load_2", 1))
    (problem,) = model_contrasts([a_run("load")], analysis, {}).problems
    assert "no run has the condition load_2" in problem.found


def test_contrasts_are_known_if_one_task_has_them():
    analysis = an_analysis(a_contrast("h", {"house": 1}))
    assert are_known(analysis, {"x": ["face"], "y": ["house"]}, ())
    assert not are_known(analysis, {"x": ["face"], "y": []}, ())


def test_contrasts_of_the_command_line_come_after_the_model_s():
    settings = replace(AnalysisSettings(), contrasts=("s = face + house",))
    analysis = an_analysis(a_contrast("f", {"face": 1}))
    found = asked_contrasts([a_run("face", "house")], settings, {}, analysis)
    assert [one.name for one in found.by_task["x"]] == ["f", "s"]


@pytest.mark.parametrize(
    ("x", "confounds", "are"),
    [
        (("face", 1), (), True),
        (("face", "trans_x", 1), ("trans_x",), True),
        (("face", "object", 1), (), False),
        (("trial_type.*", 1), (), False),
    ],
)
def test_dummy_contrasts_may_be_of_conditions_that_others_have(x, confounds, are):
    analysis = an_analysis(x=x, DummyContrasts={"Test": "t"})
    assert are_known(analysis, {"x": ["face"]}, confounds) == are


def test_what_instructions_make_of_an_absent_condition_is_no_slip():
    rename = {"Name": "Rename", "Input": ["trial_type.object"], "Output": ["things"]}
    analysis = an_analysis(
        a_contrast("c", {"face": 1, "things": -1}),
        x=("face", "things", 1),
        Transformations=[rename],
    )
    run = replace(a_run("face"), absent={"things": "no object"})
    (one,) = made(analysis, run)
    assert one.rows == ((("face", None, 1.0), ("things", None, -1.0)),)
