"""A model applied to a run: which regressors it gets, and what is told of the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_fx.entities import parse_name
from bids_fx.glm.design import Column
from bids_fx.inputs import BoldRun, ConfoundTable, EventTable, Grid
from bids_fx.model_runs import CONVOLVED, IMPLIED, UNCONVOLVED, Applied, apply_model
from bids_fx.stats_models.records import DummyContrasts, ModelHRF, Node, NodeContrast
from tests.simulation import spm_response
from tests.small_runs import read

NAME = "sub-01_task-x_run-1"
#: Ten volumes, one every 2 s.
N_SCANS, TR = 10, 2.0
SPM = CONVOLVED.format("spm")
FACTOR = {"Name": "Factor", "Input": ["trial_type"]}
#: Of one sum of responses by other code.
PRECISION = {"rtol": 1e-9, "atol": 1e-12}


def a_run(
    trial_type: tuple[str | None, ...] = ("face", "house", "face"),
    confounds: dict[str, list[float]] | None = None,
    **columns: list[float],
) -> BoldRun:
    """Return a run with events of 2 s, one every 4 s, and a table of confounds."""
    n = len(trial_type)
    names = np.empty(n, dtype=object)
    names[:] = trial_type
    values: dict[str, Any] = {"trial_type": names}
    values |= {name: np.array(column, np.float64) for name, column in columns.items()}
    table = {"trans_x": np.arange(N_SCANS, dtype=np.float64)}
    table |= {name: np.array(column, np.float64) for name, column in (confounds or {}).items()}
    return BoldRun(
        entities=parse_name(f"{NAME}_bold.nii.gz").entities,
        bold=Path("bold.nii.gz"),
        grid=Grid(shape=(1, 1, 1), affine=tuple(tuple(row) for row in np.eye(4).tolist())),
        n_scans=N_SCANS,
        repetition_time=TR,
        events=EventTable(
            path=Path("events.tsv"),
            onsets=4.0 * np.arange(n),
            durations=np.full(n, 2.0),
            columns=values,
        ),
        confounds=ConfoundTable(path=Path("confounds.tsv"), values=table),
    )


def a_node(*x: str, instructions: tuple[dict[str, object], ...] = (), **more: Any) -> Node:
    """Return a run node with instructions in the file's spelling."""
    items = tuple(read(raw, f"instruction {i}") for i, raw in enumerate(instructions, start=1))
    return Node(name="run", level="run", x=x, instructions=items, **more)


def convolve(*names: str, **more: object) -> dict[str, object]:
    return {"Name": "Convolve", "Input": list(names), "Model": "spm", **more}


def weighing(*names: str) -> tuple[NodeContrast, ...]:
    return (NodeContrast(name="c", conditions=names, weights=((1.0,) * len(names),)),)


def applied(run: BoldRun, node: Node) -> Applied:
    return apply_model(run, node, hrf_model="spm")


def columns(found: Applied) -> list[Column]:
    return [column for response in found.responses for column in response.columns]


def names(found: Applied) -> list[str]:
    return [column.name for column in columns(found)]


def matrix(found: Applied) -> np.ndarray:
    return np.hstack([response.matrix for response in found.responses])


def response_at(onsets: list[float], heights: list[float] | None = None) -> np.ndarray:
    n = len(onsets)
    return spm_response(
        TR * np.arange(N_SCANS),
        np.array(onsets),
        np.full(n, 2.0),
        np.ones(n) if heights is None else np.array(heights),
    )


# ---- what X names


def test_levels_of_trial_type_are_conditions_in_the_order_of_x():
    found = applied(a_run(), a_node("house", "face"))
    assert columns(found) == [
        Column(name="house", role="condition", condition="house", basis=0),
        Column(name="face", role="condition", condition="face", basis=0),
    ]
    expected = np.column_stack([response_at([4.0]), response_at([0.0, 8.0])])
    np.testing.assert_allclose(matrix(found), expected, **PRECISION)


@pytest.mark.parametrize("entry", ["trial_type.face", "face", "trial_type.f*"])
def test_a_level_may_be_named_with_and_without_its_column(entry):
    assert names(applied(a_run(), a_node(entry))) == ["face"]


@pytest.mark.parametrize("entry", ["trial_type.f*", "f*"])
def test_a_pattern_may_stand_for_levels_with_and_without_their_column(entry):
    assert names(applied(a_run(), a_node(entry, instructions=(FACTOR,)))) == ["face"]


def test_a_regressor_that_two_entries_name_enters_once():
    assert names(applied(a_run(), a_node("face", "trial_type.*"))) == ["face", "house"]


def test_columns_of_the_confounds_table_are_left_to_the_choice_of_confounds():
    found = applied(a_run(confounds={"rot_x": [0.0] * 10}), a_node("trans_x", "rot_*"))
    assert (found.confounds, found.responses) == (("trans_x", "rot_x"), ())


def test_a_confound_that_an_instruction_only_reads_stays_a_column_of_the_table():
    threshold = {"Name": "Threshold", "Input": ["trans_x"], "Threshold": 7.5, "Output": ["late"]}
    found = applied(a_run(), a_node("trans_x", "late", instructions=(threshold,)))
    assert found.confounds == ("trans_x",)
    assert columns(found) == [Column(name="late", role="confound")]
    np.testing.assert_array_equal(matrix(found)[:, 0], [0, 0, 0, 0, 0, 0, 0, 0, 8, 9])


def test_a_numeric_column_is_the_height_of_its_responses():
    found = applied(a_run(gain=[1.0, 2.0, 4.0]), a_node("gain"))
    expected = response_at([0.0, 4.0, 8.0], [1.0, 2.0, 4.0])
    np.testing.assert_allclose(matrix(found)[:, 0], expected, **PRECISION)


def test_events_without_a_value_are_left_out_with_a_notice():
    found = applied(a_run(gain=[1.0, np.nan, 4.0]), a_node("gain"))
    np.testing.assert_allclose(
        matrix(found)[:, 0], response_at([0.0, 8.0], [1.0, 4.0]), **PRECISION
    )
    assert [notice.text for notice in found.notices] == [
        f"{NAME}: 1 event without 'gain' left out of it."
    ]


def test_a_column_of_texts_is_no_regressor():
    found = applied(a_run(), a_node("trial_type"))
    assert (found.texts, found.responses) == (("trial_type",), ())


def test_a_regressor_with_gaps_is_refused_with_the_scan():
    lag = {"Name": "Scale", "Input": ["dvars"], "ReplaceNA": "off"}
    run = a_run(confounds={"dvars": [np.nan, *range(1, 10)]})
    found = applied(run, a_node("dvars", instructions=(lag,)))
    assert [str(problem) for problem in found.problems] == [
        (
            f"{NAME}: 'dvars' has no value in scan 1; fill them in by an instruction, such as "
            "Scale with ReplaceNA, or leave it out."
        )
    ]


# ---- what is convolved


def test_model_that_says_nothing_is_convolved_with_the_default():
    found = applied(a_run(), a_node("face", "house"))
    assert found.remarks == {IMPLIED: ("face", "house"), SPM: ("face", "house")}
    assert found.hrf_models == ("spm",)


def test_model_that_convolves_one_variable_is_taken_at_its_word_for_the_others():
    node = a_node("face", "house", instructions=(FACTOR, convolve("trial_type.face")))
    found = applied(a_run(), node)
    assert found.remarks == {UNCONVOLVED: ("house",)}
    # A box of 2 s from 4 s on, at scans every 2 s.
    np.testing.assert_array_equal(matrix(found)[:, 1], [0, 0, 1, 0, 0, 0, 0, 0, 0, 0])


def test_an_instruction_may_name_a_level_by_its_name_alone():
    found = applied(a_run(), a_node("face", instructions=(FACTOR, convolve("face"))))
    assert (found.remarks, found.lacking) == ({}, {})
    np.testing.assert_allclose(matrix(found)[:, 0], response_at([0.0, 8.0]), **PRECISION)


def test_hrf_convolves_the_variables_that_it_names():
    hrf = ModelHRF(variables=("face",), hrf_model="spm + derivative")
    found = applied(a_run(), a_node("face", "house", hrf=hrf))
    assert columns(found) == [
        Column(name="face", role="condition", condition="face", basis=0),
        Column(name="face_derivative", role="derivative", condition="face", basis=1),
        Column(name="house", role="condition", condition="house", basis=0),
    ]
    assert found.hrf_models == ("spm + derivative",)


def test_two_hrf_models_are_both_told():
    steps = (FACTOR, convolve("face"), convolve("house", Model="glover"))
    found = applied(a_run(), a_node("face", "house", instructions=steps))
    assert found.hrf_models == ("glover", "spm")


def test_each_condition_has_its_hrf_model_or_none_if_it_enters_as_it_is():
    product = {"Name": "Product", "Input": ["trial_type.face", "trans_x"], "Output": ["ppi"]}
    steps = (FACTOR, convolve("trial_type.face", Model="spm + derivative"), product)
    found = applied(a_run(), a_node("face", "house", "ppi", "trans_x", instructions=steps))
    assert found.hrf_of == {"face": "spm + derivative", "house": None, "ppi": None}


def test_it_is_told_whether_instructions_read_the_confounds_table():
    scale = {"Name": "Scale", "Input": ["trans_*"], "Output": ["moved"]}
    assert applied(a_run(), a_node("face", instructions=(scale,))).reads_confounds
    found = applied(a_run(), a_node("face", "trans_x", instructions=(FACTOR, convolve("face"))))
    assert not found.reads_confounds


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("face", ["face_delay_0", "face_delay_2"]),
        ("face_delay_2", ["face_delay_2"]),
        ("face_2", ["face_delay_2"]),
        ("trial_type.face_2", ["face_delay_2"]),
    ],
)
def test_fir_delays_are_entered_together_or_one_by_one(entry, expected):
    steps = (FACTOR, convolve("trial_type.*", Model="fir", FIRDelays=[0, 2]))
    found = applied(a_run(), a_node(entry, instructions=steps))
    assert names(found) == expected
    assert {column.role for column in columns(found)} == {"condition"}


def test_events_of_a_response_are_kept_for_the_report():
    (condition,) = applied(a_run(gain=[2.0, 0.0, 3.0]), a_node("gain")).conditions
    assert condition.name == "gain"
    np.testing.assert_array_equal(condition.onsets, [0.0, 8.0])
    np.testing.assert_array_equal(condition.amplitudes, [2.0, 3.0])


# ---- what is not there


def test_a_condition_without_events_is_absent_with_the_reason():
    node = a_node("face", "tool", contrasts=weighing("face", "tool"))
    found = applied(a_run(), node)
    assert found.absent == {"tool": "condition 'tool' has no event in this run"}
    assert found.lacking == {"tool": "X: condition 'tool' has no event in this run"}
    assert [(notice.text, notice.warning) for notice in found.notices] == [
        (
            (
                f"{NAME}: it is fitted without 'tool' of X: condition 'tool' has no event in "
                "this run."
            ),
            False,
        )
    ]
    assert found.confounds == ()


@pytest.mark.parametrize(
    "more",
    [
        {"contrasts": weighing("trial_type.tool")},
        {"dummies": DummyContrasts(conditions=("tool",))},
        {"dummies": DummyContrasts()},
        {"hrf": ModelHRF(variables=("tool",), hrf_model="spm")},
    ],
    ids=["contrast", "dummy", "dummies of X", "HRF"],
)
def test_what_a_contrast_or_the_hrf_names_is_a_condition(more):
    found = applied(a_run(), a_node("tool", **more))
    assert found.absent == {"tool": "condition 'tool' has no event in this run"}
    assert found.confounds == ()


def test_what_nothing_else_names_is_taken_for_a_confound():
    found = applied(a_run(), a_node("face", "trans_xx"))
    assert found.confounds == ("trans_xx",)
    assert found.lacking == {
        "trans_xx": "X: this run has no 'trans_xx', nor has its confounds table (did you mean "
        "'trans_x'?)"
    }
    assert found.notices == ()


def test_a_nuisance_regressor_that_cannot_be_made_is_missed():
    steps = ({"Name": "Threshold", "Input": ["fd"], "Threshold": 0.5, "Output": ["bad"]},)
    found = applied(a_run(), a_node("trans_x", "bad", instructions=steps))
    assert found.missed == {"bad": "no variable 'fd' in this run"}
    assert found.lacking["fd"] == "instruction 1 (Threshold): no variable 'fd' in this run"


def test_a_pattern_that_matches_nothing_is_told():
    found = applied(a_run(), a_node("face", "motion_outlier*"))
    assert (found.unmatched, found.lacking) == (("motion_outlier*",), {})


def test_a_variable_that_is_zero_throughout_has_no_response():
    found = applied(a_run(gain=[0.0, 0.0, 0.0]), a_node("gain"))
    assert found.responses == ()
    assert found.absent == {"gain": "condition 'gain' has no event in this run"}


def test_an_instruction_that_cannot_be_carried_out_is_refused():
    steps = ({"Name": "Demean", "Input": ["trial_type"]},)
    (problem,) = applied(a_run(), a_node("face", instructions=steps)).problems
    assert problem.where == NAME
    assert problem.found == "instruction 1 (Demean): 'trial_type' holds texts"
    assert problem.remedy == "make numbers of them by Factor first"


# ---- values of trial_type that no Factor names


def test_filter_by_trial_type_leaves_its_values_as_conditions():
    by_face = {"Name": "Filter", "Input": ["rt"], "Query": "trial_type == 'face'"}
    by_face["By"] = ["trial_type"]
    node = a_node("face", "house", "rt", instructions=(by_face,))
    found = applied(a_run(rt=[1.0, 2.0, 3.0]), node)
    assert (names(found), found.absent) == (["face", "house", "rt"], {})
    np.testing.assert_allclose(matrix(found)[:, 2], response_at([0.0, 8.0], [1, 3]), **PRECISION)


def test_values_that_replace_makes_are_conditions():
    replace = {"Name": "Replace", "Input": ["trial_type"], "Replace": {"house": "place"}}
    found = applied(a_run(), a_node("face", "place", instructions=(replace,)))
    assert (names(found), found.absent) == (["face", "place"], {})


def test_values_that_instructions_name_are_there_before_them():
    scale = {"Name": "Or", "Input": ["face", "house"], "Output": ["any"]}
    found = applied(a_run(), a_node("any", "face", instructions=(scale,)))
    np.testing.assert_allclose(
        matrix(found), np.column_stack([response_at([0.0, 4.0, 8.0]), response_at([0.0, 8.0])]),
        **PRECISION,
    )  # fmt: skip


def test_column_itself_stays_for_instructions_beside_its_values():
    either = {"Name": "Or", "Input": ["face", "house"], "Output": ["any"]}
    by_face = {"Name": "Filter", "Input": ["rt"], "Query": "trial_type == 'face'"}
    node = a_node("any", "rt", instructions=(either, by_face | {"By": ["trial_type"]}))
    found = applied(a_run(rt=[1.0, 2.0, 3.0]), node)
    assert (names(found), found.problems) == (["any", "rt"], ())
    np.testing.assert_allclose(matrix(found)[:, 1], response_at([0.0, 8.0], [1, 3]), **PRECISION)


# ---- the HRF of the model, and confounds


@pytest.mark.parametrize("pattern", ["fa*", "trial_type.fa*", "face"])
def test_hrf_may_name_conditions_by_patterns_with_and_without_their_column(pattern):
    hrf = ModelHRF(variables=(pattern,), hrf_model="spm")
    found = applied(a_run(), a_node("face", hrf=hrf))
    np.testing.assert_allclose(matrix(found)[:, 0], response_at([0.0, 8.0]), **PRECISION)


def test_response_is_not_convolved_again():
    node = a_node(
        "face_x",
        instructions=(convolve("face", OutputSuffix="_x"),),
        hrf=ModelHRF(variables=("face_x",), hrf_model="spm"),
    )
    (problem,) = applied(a_run(), node).problems
    assert "face_x' is convolved by an instruction and by HRF" in problem.found


def test_hrf_of_a_confound_is_refused():
    hrf = ModelHRF(variables=("face", "trans_x"), hrf_model="spm")
    (problem,) = applied(a_run(), a_node("face", "trans_x", hrf=hrf)).problems
    assert "HRF names 'trans_x', a column of the confounds table" in problem.found


def test_confound_that_was_deleted_is_not_brought_back_by_a_pattern():
    delete = {"Name": "Delete", "Input": ["trans_x"]}
    run = a_run(confounds={"trans_y": [0.0] * N_SCANS})
    assert applied(run, a_node("face", "trans_?", instructions=(delete,))).confounds == (
        "trans_y",
    )


def test_displacement_of_the_first_scan_is_none_where_instructions_use_it():
    fd = [0.9, *[0.1] * (N_SCANS - 1)]
    run = a_run(confounds={"framewise_displacement": fd})
    run = replace(run, confounds=replace(run.confounds, filled={"framewise_displacement": "mean"}))
    over = {"Name": "Threshold", "Input": ["framewise_displacement"], "Threshold": 0.5}
    node = a_node("face", "out", instructions=(over | {"Output": ["out"], "Binarize": True},))
    assert matrix(applied(run, node))[:, 1].tolist() == [0.0] * N_SCANS


def test_impulse_that_no_frame_time_sees_is_refused():
    run = a_run()
    run = replace(run, events=replace(run.events, onsets=run.events.onsets + 0.5))
    run = replace(run, events=replace(run.events, durations=np.zeros(3)))
    dense = {"Name": "ToDense", "Input": ["trial_type.house"], "SamplingRate": 10}
    (problem,) = applied(run, a_node("house", instructions=(FACTOR, dense))).problems
    assert "is 0 at all frame times" in problem.found
    assert "SamplingRate 'TR'" in problem.remedy


def test_confound_that_select_leaves_out_is_not_brought_back_by_a_pattern():
    select = {"Name": "Select", "Input": ["trial_type"]}
    assert applied(a_run(), a_node("face", "trans_?", instructions=(select,))).confounds == ()
