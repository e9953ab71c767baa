"""Models written down: the specification's spelling, and the same model again."""

from __future__ import annotations

import json

import pytest

from bids_fx.stats_models.write import model_json
from tests.model_files import Json, a_contrast, notices_of, plain, read

STEPS: list[Json] = [
    {"Name": "Factor", "Input": ["trial_type"]},
    {"Name": "Group", "Input": ["face", "house"], "Output": ["both"]},
    {"Name": "Scale", "Input": ["RT"], "Demean": True, "Rescale": False, "Output": ["RT_scaled"]},
    {"Name": "Lag", "Input": ["trans_x"], "Shift": 1, "Output": ["before"]},
]


def rich() -> Json:
    """Return a model that says all that can be said."""
    raw = plain() | {
        "Description": "Gesichter gegen H\N{LATIN SMALL LETTER A WITH DIAERESIS}user",
        "Input": {"subject": ["01", "02"], "task": ["x"], "acquisition": ["fast"]},
    }
    run, subject = raw["Nodes"]
    run |= {
        "Transformations": {"Transformer": "pybids-transforms-v1", "Instructions": STEPS},
        "Contrasts": [
            a_contrast("diff", {"face": 1, "house": -1}),
            a_contrast("third", {"face": "1/3", "house": -0.5}),
            a_contrast("any", {"face": [1, 0], "house": [0, 1]}, "F")
            | {"Weights": [[1, 0], [0, 1]]},
        ],
        "DummyContrasts": {"Contrasts": ["face"], "Test": "pass"},
    }
    run["Model"] |= {
        "X": ["face", "house", "RT_*", 1],
        "HRF": {"Variables": ["face", "house"], "Model": "spm + derivative"},
        "Options": {"HighPassFilterCutoffHz": 0.0078},
        "Software": {
            "bids_fx": {
                "Confounds": ["motion6", "nss"],
                "NoiseModel": "ols",
                "SmoothingFWHM": 5.5,
                "DummyScans": 2,
                "CombineSubset": True,
                "Labels": {"diff": "faceGtHouse"},
            }
        },
    }
    raw["Edges"] = [
        {"Source": "run", "Destination": "subject", "Filter": {"contrast": ["diff", "third"]}}
    ]
    subject["Model"]["Software"] = {"bids_fx": {"Combination": "unweighted"}}
    return raw


@pytest.mark.parametrize("raw", [plain(), rich(), {**plain(), "Nodes": plain()["Nodes"][:1]}])
def test_model_is_the_same_when_it_is_read_again(raw: Json) -> None:
    model = read(raw)
    assert read(json.loads(model_json(model))) == model


def test_what_is_written_is_spelled_as_the_specification_has_it() -> None:
    written = json.loads(model_json(read(rich())))
    assert [text for text in notices_of(written) if "not spelled" in text] == []


@pytest.mark.parametrize(
    "hrf",
    [
        {"Model": "glover"},
        {"Model": "fir"},
        {"Model": "fir", "Parameters": {"fir_delays": [0, 1, 2]}},
        {"Model": "fir", "Parameters": {"fir_delays": [4]}},
        {"Model": "fir", "Parameters": {"fir_delays": [0, 2]}},
        {
            "Model": "DoubleGamma + derivative",
            "Parameters": {
                "PeakDelay": 5,
                "UndershootDelay": 15.5,
                "PeakDispersion": 1,
                "UndershootDispersion": 1,
                "PeakUndershootRatio": 6,
            },
        },
    ],
)
def test_hrf_is_written_with_its_parameters(hrf: Json) -> None:
    raw = plain()
    raw["Nodes"][0]["Model"]["HRF"] = {"Variables": ["face"], **hrf}
    written = json.loads(model_json(read(raw)))
    assert written["Nodes"][0]["Model"]["HRF"] == {"Variables": ["face"], **hrf}


def test_plain_model_is_written_as_it_was() -> None:
    edges = [{"Source": "run", "Destination": "subject"}]
    assert json.loads(model_json(read(plain()))) == {**plain(), "Edges": edges}


def test_short_lists_stand_on_one_line() -> None:
    lines = model_json(read(plain())).splitlines()
    assert '          "ConditionList": ["face", "house"],' in lines
    assert max(map(len, lines)) <= 90


def test_names_are_written_as_they_are() -> None:
    assert "H\N{LATIN SMALL LETTER A WITH DIAERESIS}user" in model_json(read(rich()))
