"""The settings and data of a call under a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_fx.settings import AnalysisSettings, DataSelection
from bids_fx.stats_models.choices import data_under, settings_under
from tests.model_files import plain, read, with_run, with_run_model, with_subject

DATA = DataSelection(bids_dir=Path("data"))


def under(raw: Any, settings: AnalysisSettings | None = None, *given: str):
    return settings_under(read(raw), settings or AnalysisSettings(), given, "m.json")


def software(**values: object) -> dict[str, object]:
    return {"Software": {"bids_fx": values}}


def test_confounds_are_those_of_x_alone():
    settings, _, _ = under(plain())
    assert (settings.confounds, settings.model_name) == ((), "plain")


def test_software_brings_confounds_and_other_settings():
    settings, problems, _ = under(
        with_run_model(**software(Confounds=["motion6"], NoiseModel="ols", DummyScans=3))
    )
    assert (settings.confounds, settings.noise_model, settings.dummy_scans) == (
        ("motion6",),
        "ols",
        3,
    )
    assert problems == ()


def test_cut_off_in_hertz_is_one_in_seconds():
    settings, _, notices = under(with_run_model(Options={"HighPassFilterCutoffHz": 0.01}))
    assert (settings.drift_model, settings.high_pass_s) == ("cosine", 100.0)
    assert notices == ()


def test_exact_seconds_of_software_beat_those_of_the_rounded_hertz():
    model = with_run_model(Options={"HighPassFilterCutoffHz": 1 / 90}, **software(HighPass="90"))
    assert under(model)[0].high_pass_s == 90.0


def test_seconds_in_software_bring_cosines_with_them():
    settings, _, _ = under(with_run_model(**software(HighPass=90)))
    assert (settings.drift_model, settings.high_pass_s) == ("cosine", 90.0)


def test_silence_on_drift_is_told():
    settings, _, (notice,) = under(plain())
    assert (settings.drift_model, settings.high_pass_s) == ("cosine", 128.0)
    assert (notice.text, notice.warning) == (
        "m.json: it says nothing of drift: cosines with 128 s are added.",
        False,
    )


@pytest.mark.parametrize("column", ["cosine00", "cosine*", "Cosine01"])
def test_cosines_in_x_are_the_drift(column):
    settings, _, (notice,) = under(with_run_model(X=["face", "house", column, 1]))
    assert settings.drift_model == "none"
    assert notice.text == "m.json: the drift is that of the cosine columns in X."


def test_drift_that_the_user_gives_is_kept_beside_cosines_in_x():
    settings, _, notices = under(
        with_run_model(X=["face", "house", "cosine00", 1]),
        AnalysisSettings(drift_model="polynomial:2"),
        "drift_model",
    )
    assert (settings.drift_model, notices) == ("polynomial:2", ())


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("noise_model", "ar1", "--noise-model ar1"),
        ("smoothing_fwhm_mm", 5.0, "--smoothing-fwhm 5"),
        ("fd_threshold_mm", 0.4, "--fd-threshold 0.4"),
    ],
)
def test_option_that_contradicts_the_file_is_a_usage_error(field, value, option):
    model = with_run_model(**software(NoiseModel="ols", SmoothingFWHM=6, FDThreshold=0.5))
    _, (problem,), _ = under(model, AnalysisSettings(**{field: value}), field)
    assert (problem.where, problem.code) == (option, 2)
    assert problem.found.startswith("m.json says ")


def test_option_that_says_what_the_file_says_is_none():
    model = with_run_model(**software(NoiseModel="ols"))
    assert under(model, AnalysisSettings(noise_model="ols"), "noise_model")[1] == ()


@pytest.mark.parametrize(
    ("instruction", "is_refused"),
    [({"Model": "spm"}, True), ({}, False)],
    ids=["named", "left to us"],
)
def test_hrf_option_is_for_convolutions_without_a_model(instruction, is_refused):
    convolve = {"Name": "Convolve", "Input": ["face", "house"], **instruction}
    model = with_run(
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": [convolve]}
    )
    _, problems, _ = under(model, AnalysisSettings(hrf_model="glover"), "hrf_model")
    assert [problem.where for problem in problems] == ["--hrf-model glover"] * is_refused


def test_hrf_option_is_for_the_one_convolution_that_leaves_it_open():
    steps = [{"Name": "Convolve", "Input": ["face"], "Model": "spm"}]
    steps.append({"Name": "Convolve", "Input": ["house"]})
    model = with_run(
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": steps}
    )
    assert under(model, AnalysisSettings(hrf_model="glover"), "hrf_model")[1] == ()


def test_hrf_option_holds_where_the_file_says_nothing():
    settings, problems, _ = under(plain(), AnalysisSettings(hrf_model="glover"), "hrf_model")
    assert (settings.hrf_model, problems) == ("glover", ())


def test_combination_that_all_nodes_share_is_the_settings():
    meta = {"Type": "meta", "X": [1], "Software": {"bids_fx": {"Combination": "unweighted"}}}
    assert under(with_subject(Model=meta))[0].combination == "unweighted"


# ---- data


def with_input(**labels: object) -> Any:
    return {**plain(), "Input": labels}


def test_input_is_the_scope_of_the_analysis():
    data, problems = data_under(read(with_input(task=["a", "b"], subject="01")), DATA, "m.json")
    assert data.scope == {"task": ("a", "b")}
    assert (data.participants, data.participants_by) == (("01",), "Input of m.json: subject")
    assert problems == ()


def test_options_choose_within_the_input():
    asked = DataSelection(bids_dir=Path("data"), participants=("1",), tasks=("A",))
    model = read(with_input(task=["a", "b"], subject=["01", "02"]))
    data, problems = data_under(model, asked, "m.json")
    assert (data.participants, data.participants_by) == (("1",), "--participant-label")
    assert problems == ()


def test_options_outside_the_input_are_usage_errors():
    asked = DataSelection(bids_dir=Path("data"), participants=("03",), tasks=("c",))
    model = read(with_input(task=["a", "b"], subject=["01", "02"]))
    _, problems = data_under(model, asked, "m.json")
    assert [(problem.where, problem.found, int(problem.code)) for problem in problems] == [
        ("--participant-label 03", "Input of m.json has 01, 02 only", 2),
        ("--task-id c", "Input of m.json has a, b only", 2),
    ]
