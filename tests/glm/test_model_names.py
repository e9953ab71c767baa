"""Names of models as users write them."""

from __future__ import annotations

import pytest

from bids_fx.glm.names import (
    DRIFT_MODELS,
    HRF_MODELS,
    NOISE_MODELS,
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
