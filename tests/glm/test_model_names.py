"""Names of models as users write them."""

from __future__ import annotations

import pytest

from bids_fx.glm.names import (
    DRIFT_MODELS,
    HRF_MODELS,
    NOISE_MODELS,
    hrf_name,
    normalise_drift_name,
    normalise_hrf_name,
    normalise_noise_name,
    unknown_name,
)


@pytest.mark.parametrize("name", [*HRF_MODELS, "fir:7"])
def test_hrf_name_is_found_whatever_its_case_and_blanks(name: str) -> None:
    assert normalise_hrf_name(name) == name
    assert normalise_hrf_name(f" {name.upper().replace(' ', '')} ") == name


@pytest.mark.parametrize("name", [*DRIFT_MODELS, "polynomial:3"])
def test_drift_name_is_found_whatever_its_case_and_blanks(name: str) -> None:
    assert normalise_drift_name(f" {name.title()} ") == name


@pytest.mark.parametrize("name", NOISE_MODELS)
def test_noise_name_is_found_whatever_its_case(name: str) -> None:
    assert normalise_noise_name(name.upper()) == name


@pytest.mark.parametrize(("alias", "name"), [("none", "ols"), ("AR1_YW", "ar1-yw")])
def test_noise_alias_is_understood(alias: str, name: str) -> None:
    assert normalise_noise_name(alias) == name


@pytest.mark.parametrize("text", ["fir:0", "fir:-1", "fir:", "fir:1.5", "gamma", ""])
def test_wrong_hrf_name_is_refused_with_the_valid_ones(text: str) -> None:
    with pytest.raises(ValueError, match=r"valid are: spm, spm \+ derivative.*fir, fir:N"):
        normalise_hrf_name(text)


@pytest.mark.parametrize("text", ["polynomial:0", "linear", "cosine:2"])
def test_wrong_drift_name_is_refused_with_the_valid_ones(text: str) -> None:
    with pytest.raises(ValueError, match="valid are: cosine, polynomial, none, polynomial:N"):
        normalise_drift_name(text)


def test_noise_model_that_is_not_there_is_refused_with_the_closest() -> None:
    with pytest.raises(ValueError, match=r"noise model 'ar2' \(did you mean 'ar1'"):
        normalise_noise_name("ar2")


def test_hint_is_left_out_where_nothing_is_close() -> None:
    assert "did you mean" not in str(unknown_name("colour", "xyz", ("red", "green")))


def test_hint_finds_a_name_that_has_capitals() -> None:
    assert "did you mean 'Face'" in str(unknown_name("column", "FACE", ("House", "Face")))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FIR: 0, 2,4", "fir:0,2,4"),
        ("fir:3,", "fir:3,"),
        ("canonical", "spm"),
        ("Canonical + Derivative", "spm + derivative"),
        ("DoubleGamma: 6.0, 16, 1, 1, 6", "doublegamma:6,16,1,1,6"),
        (
            "doublegamma:5.5,16,1,1,6+derivative+dispersion",
            "doublegamma:5.5,16,1,1,6 + derivative + dispersion",
        ),
    ],
)
def test_hrf_name_with_numbers_has_one_spelling(text: str, name: str) -> None:
    assert normalise_hrf_name(text) == name
    assert normalise_hrf_name(name) == name


@pytest.mark.parametrize(
    "text", ["fir:2,1", "fir:0,0", "fir:0,-1", "fir:0,1.5", "fir:,", "fir:1,,2"]
)
def test_wrong_fir_delays_are_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"FIR delays are whole numbers of scans, 0 or more, each"
    ):
        normalise_hrf_name(text)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ("6,16,1,1", r"expected five numbers \(PeakDelay, UndershootDelay, PeakDispersion"),
        ("6,16,1,1,x", "expected five numbers"),
        ("16,6,1,1,6", "the undershoot's delay must be longer than the peak's"),
        ("0,16,1,1,6", "which must be above 0 s"),
        ("6,33,1,1,6", "at most 32 s"),
        ("6,16,7,1,6", "a dispersion must be above 0 s and at most the delay"),
        ("6,16,1,0,6", "a dispersion must be above 0 s and at most the delay"),
        ("6,16,1,1,0.167", r"must be above 1 \(6 in SPM; write 6 where another program has 1/6\)"),
        ("6,16,1,1,inf", "must be above 1"),
    ],
)
def test_double_gamma_that_is_no_response_is_refused(numbers: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        normalise_hrf_name(f"doublegamma:{numbers}")


def test_afni_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'afni' is the response of AFNI's own program, which is"):
        normalise_hrf_name("AFNI")


@pytest.mark.parametrize(
    ("model", "parameters", "name"),
    [
        ("SPM", {}, "spm"),
        ("fir", {"fir_delays": [0, 2]}, "fir:0,2"),
        ("fir", {"FIRDelays": 3}, "fir:3,"),
        ("DoubleGamma", {}, "doublegamma:6,16,1,1,6"),
        (
            "double_gamma + derivative",
            {"PeakDelay": 5, "undershoot_delay": 15, "PeakUndershootRatio": 4},
            "doublegamma:5,15,1,1,4 + derivative",
        ),
    ],
)
def test_hrf_name_is_made_of_parameters(
    model: str, parameters: dict[str, object], name: str
) -> None:
    assert hrf_name(model, parameters) == name


@pytest.mark.parametrize(
    ("model", "parameters", "told"),
    [
        ("spm", {"PeakDelay": 5}, "parameter of the HRF model 'spm': 'PeakDelay'"),
        ("DoubleGamma", {"PeakDely": 5}, r"'PeakDely' \(did you mean 'PeakDelay'\?\)"),
        ("DoubleGamma", {"PeakDelay": "5"}, "PeakDelay must be a number, found '5'"),
        ("fir", {"fir_delays": [0, True]}, "fir_delays must be a number, found True"),
        ("fir", {"fir_delays": []}, "FIR delays are whole numbers"),
    ],
)
def test_wrong_parameters_are_refused(
    model: str, parameters: dict[str, object], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        hrf_name(model, parameters)
