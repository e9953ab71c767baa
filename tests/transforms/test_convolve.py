"""Responses of variables, against the design's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bids_fx.glm.design import Condition, make_design
from bids_fx.glm.hrf import convolve_events
from bids_fx.transforms.convolve import convolve
from bids_fx.transforms.records import Clock, Dense, TransformError, Variables
from tests.small_runs import CLOCK, carry_out, events, samples

LATE = Clock(n_scans=30, repetition_time=1.7, slice_time=0.85)
WORDS = ["face", "house", "face", "face", "house"]
ONSETS = [-1.0, 3.3, 7.1, 7.1, 40.0]
DURATIONS = [0.0, 2.0, 0.0, 1.5, 3.0]
MODELS = ["spm + derivative + dispersion", "glover", "fir:3", "fir:1,4", "doublegamma:5,15,1,1,6"]


@pytest.mark.parametrize("model", MODELS)
def test_response_of_a_level_is_the_design_of_its_condition_bit_for_bit(model: str) -> None:
    found = carry_out(
        {"trial_type": events(WORDS, onsets=ONSETS, durations=DURATIONS)},
        {"Name": "Factor", "Input": "trial_type"},
        {"Name": "Rename", "Input": "trial_type.face", "Output": "face"},
        {"Name": "Convolve", "Input": "face"},
        hrf_model=model,
        clock=LATE,
    )
    rows = [i for i, word in enumerate(WORDS) if word == "face"]
    condition = Condition(
        name="face",
        onsets=np.array(ONSETS)[rows],
        durations=np.array(DURATIONS)[rows],
        amplitudes=np.ones(len(rows)),
    )
    design = make_design(
        conditions=[condition],
        frame_times=LATE.frame_times,
        repetition_time=1.7,
        hrf_model=model,
        drift_model="none",
        high_pass_s=128.0,
        confounds=None,
        confound_names=[],
        censored=[],
    )
    made = {
        name: item
        for name, item in found.values.items()
        if isinstance(item, Dense) and item.condition == "face"
    }
    assert list(made) == [column.name for column in design.columns if column.condition]
    for index, item in enumerate(made.values()):
        assert np.array_equal(item.values, design.matrix[:, index])
        assert (item.basis, item.is_fir) == (index, model.startswith("fir"))
        assert (item.start, item.step) == (0.85, 1.7)


def test_response_of_samples_is_that_of_a_step_function() -> None:
    steps = samples([2, 2, 0, -1, 0], start=1.0, step=1.0)
    found = convolve("x", steps, CLOCK, "spm")["x"]
    blocks = convolve_events(
        np.array([1.0, 4.0]),
        np.array([2.0, 1.0]),
        np.array([2.0, -1.0]),
        frame_times=CLOCK.frame_times,
        hrf_model="spm",
        repetition_time=2.0,
    )
    np.testing.assert_allclose(found.values, blocks[:, 0], rtol=0, atol=1e-14)


def test_missing_values_have_no_response_and_are_told() -> None:
    found = carry_out(
        {"a": events([1, None, None]), "b": samples([1, np.nan])},
        {"Name": "Convolve", "Input": ["a", "b"]},
    )
    alone = convolve("a", events([1]), CLOCK, "spm")["a"]
    assert np.array_equal(found.values["a"].values, alone.values)
    assert found.notices == (
        "instruction 1 (Convolve): 2 events of 'a' without a value left out",
        "instruction 1 (Convolve): 1 sample of 'b' without a value left out",
    )


def names(*raws: dict[str, Any]) -> Variables:
    return carry_out({"a": events([1])}, *[{"Name": "Convolve", "Input": "a", **r} for r in raws])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, ["a"]),
        ({"Derivative": True}, ["a", "a_derivative"]),
        ({"Model": "spm + derivative", "Dispersion": True}, ["a", "a_derivative", "a_dispersion"]),
        ({"Model": "glover", "Output": "b", "Derivative": True}, ["a", "b", "b_derivative"]),
        ({"Model": "fir", "FIRDelays": [0, 2]}, ["a_delay_0", "a_delay_2"]),
        ({"Model": "fir", "FIRDelays": 3}, ["a_delay_3"]),
        ({"Model": "fir:2", "OutputSuffix": "_x"}, ["a", "a_x_delay_0", "a_x_delay_1"]),
        ({"Model": "DoubleGamma", "Parameters": {"PeakDelay": 5}}, ["a"]),
    ],
)
def test_responses_are_named_by_their_basis(raw: dict[str, Any], expected: list[str]) -> None:
    assert list(names(raw).values) == expected


def test_fir_delays_are_scans() -> None:
    found = names({"Model": "fir", "FIRDelays": [0, 2]})
    # the event of 1 s covers half of the 2 s that a column sums up, one scan after another
    assert found.values["a_delay_0"].values.tolist() == [0, 0.5] + [0] * 8
    assert found.values["a_delay_2"].values.tolist() == [0, 0, 0, 0.5] + [0] * 6


def test_fir_responses_take_the_place_of_the_events() -> None:
    found = names({"Model": "fir:2"})
    assert found.why_absent("a") == "'a' became a_delay_0, a_delay_1"


def test_default_model_that_fits_not_is_told() -> None:
    raw = {"Name": "Convolve", "Input": "a", "Derivative": True}
    with pytest.raises(TransformError, match=r"^instruction 1 \(Convolve\): 'a': 'Derivative' is"):
        carry_out({"a": events([1])}, raw, hrf_model="fir")


def test_nuisance_stays_nuisance() -> None:
    found = convolve("a", samples([1, 0], is_nuisance=True), CLOCK, "spm")["a"]
    assert (found.is_nuisance, found.condition) == (True, "a")


@pytest.mark.parametrize(
    ("values", "told"),
    [(["x"], "'a' holds texts; take them apart by Factor first"), ([0, None], "'a' has no event")],
)
def test_what_has_no_response_is_refused(values: list[Any], told: str) -> None:
    with pytest.raises(TransformError, match=told):
        convolve("a", events(values), CLOCK, "spm")
