"""Settings of this program in a model file."""

from __future__ import annotations

from dataclasses import fields

import pytest

from bids_fx.settings import AnalysisSettings
from bids_fx.stats_models.software import SETTINGS
from tests.model_files import Json, a_contrast, faults_of, plain, read, with_run, with_run_model


def with_software(**own: object) -> Json:
    return with_run_model(Software={"bids_fx": own})


@pytest.mark.parametrize(
    ("key", "value", "field", "read_as"),
    [
        ("HRFModel", "SPM+derivative", "hrf_model", "spm + derivative"),
        ("Confounds", ["motion24", "a_comp_cor_0?"], "confounds", ("motion24", "a_comp_cor_0?")),
        ("Confounds", "none", "confounds", ()),
        ("HighPass", 100, "high_pass_s", 100.0),
        ("DriftModel", "Polynomial:2", "drift_model", "polynomial:2"),
        ("NoiseModel", "none", "noise_model", "ols"),
        ("SmoothingFWHM", 6, "smoothing_fwhm_mm", 6.0),
        ("SignalScaling", "grand-mean", "signal_scaling", "grand-mean"),
        ("FDThreshold", 0.5, "fd_threshold_mm", 0.5),
        ("DummyScans", 4, "dummy_scans", 4),
        ("SliceTimeRef", "middle", "slice_time_ref", 0.5),
        ("Combination", "unweighted", "combination", "unweighted"),
        ("CombineOver", ["dir", "session"], "combine_over", ("run", "ses", "dir")),
        ("CombineSubset", True, "combine_subset", True),
        ("Missing", "error", "missing", "error"),
    ],
)
def test_setting_is_read_as_on_the_command_line(
    key: str, value: object, field: str, read_as: object
) -> None:
    assert read(with_software(**{key: value})).root.software == {field: read_as}


def test_settings_are_those_of_the_analysis() -> None:
    known = {field.name for field in fields(AnalysisSettings)}
    # what a model says in its own words, and what is for maps that no model was fitted for
    elsewhere = {"contrasts", "model_name", "run_dof"}
    assert {setting.field for setting in SETTINGS.values()} == known - elsewhere


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"NoisModel": "ar1"}, "no key 'NoisModel' (did you mean 'NoiseModel'?)"),
        ({"NoiseModel": "ar2"}, "bids_fx: NoiseModel: unknown noise model 'ar2'"),
        ({"HighPass": 0.008}, "0.008 Hz is a period of 125 s"),
        ({"DummyScans": 1.5}, "'1.5' is not possible"),
        ({"CombineSubset": "yes"}, "CombineSubset: it is the text 'yes'; write true or false"),
        ({"SmoothingFWHM": True}, "SmoothingFWHM: it is true; write a number or a text"),
        ({"Confounds": ["none", "motion6"]}, "'none' stands beside other confounds"),
        ({"CombineOver": ["task"]}, "CombineOver: runs are never combined over 'task'"),
        ({"Missing": "keep"}, "there is no 'keep'; choose one of drop, error"),
        ({"Labels": {"dif": "x"}}, "Labels: no contrast is named 'dif' (did you mean 'diff'?)"),
        ({"Labels": {"diff": "a_b"}}, "Labels 'diff': the text 'a_b' is no label"),
        ({"Labels": ["a"]}, "Labels: it is a list"),
    ],
)
def test_setting_that_cannot_be_is_a_fault(own: Json, text: str) -> None:
    (fault,) = faults_of(with_software(**own))
    assert fault.startswith("node 'run': ")
    assert text in fault


def test_two_contrasts_have_no_label_together() -> None:
    raw = with_run(Contrasts=[a_contrast("a", {"face": 1}), a_contrast("b", {"house": 1})])
    raw["Nodes"][0]["Model"]["Software"] = {"bids_fx": {"Labels": {"a": "x", "b": "X"}}}
    (fault,) = faults_of(raw)
    assert "Labels 'b': 'X' is another's label too" in fault


def test_labels_of_contrasts_are_kept() -> None:
    assert read(with_software(Labels={"diff": "faceGtHouse"})).root.labels == {
        "diff": "faceGtHouse"
    }


@pytest.mark.parametrize("name", ["bids_fx", "BIDS-FX", "BidsFx"])
def test_spelling_of_the_program_does_not_matter(name: str) -> None:
    raw = with_run_model(Software={name: {"noise_model": "ols"}})
    assert read(raw).root.software == {"noise_model": "ols"}


def test_combination_may_be_said_above_run_level() -> None:
    raw = plain()
    raw["Nodes"][1]["Model"]["Software"] = {"bids_fx": {"Combination": "unweighted"}}
    assert read(raw).nodes[1].software == {"combination": "unweighted"}


def test_settings_of_runs_are_refused_above_run_level() -> None:
    raw = plain()
    raw["Nodes"][1]["Model"]["Software"] = {"bids_fx": {"NoiseModel": "ols"}}
    (fault,) = faults_of(raw)
    assert "NoiseModel: it is a setting of the runs; move it to the node of level Run" in fault


@pytest.mark.parametrize(
    ("own", "is_sound"),
    [
        ({"HighPass": 125}, True),
        ({"HighPass": 128}, False),
        ({"DriftModel": "cosine"}, True),
        ({"DriftModel": "none"}, False),
    ],
)
def test_drift_is_said_once(own: Json, *, is_sound: bool) -> None:
    raw = with_software(**own)
    raw["Nodes"][0]["Model"]["Options"] = {"HighPassFilterCutoffHz": 0.008}
    assert (faults_of(raw) == []) == is_sound


@pytest.mark.parametrize(("own", "is_sound"), [("spm", True), ("glover", False)])
def test_hrf_is_said_once(own: str, *, is_sound: bool) -> None:
    raw = with_software(HRFModel=own)
    raw["Nodes"][0]["Model"]["HRF"] = {"Variables": ["face"], "Model": "SPM"}
    assert (faults_of(raw) == []) == is_sound
