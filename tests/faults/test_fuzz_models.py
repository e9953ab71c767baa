"""BIDS Stats Models: every file is read, explained and written again, or refused in our words."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example
from hypothesis import strategies as st

from bids_fx.errors import Problem
from bids_fx.json_files import parse_json
from bids_fx.settings import AnalysisSettings, DataSelection
from bids_fx.stats_models.analysis import analyse
from bids_fx.stats_models.choices import data_under, settings_under
from bids_fx.stats_models.explain import explain
from bids_fx.stats_models.outline import outline
from bids_fx.stats_models.read import parse_model, read_model
from bids_fx.stats_models.write import model_json
from bids_fx.transforms.apply import transform
from bids_fx.transforms.instructions import INSTRUCTIONS, read_instruction
from bids_fx.transforms.records import TransformError, Variables
from bids_fx.transforms.signatures import COMMON, SIGNATURES
from tests.fuzzing import (
    JSON,
    SCALARS,
    TEXTS,
    changed_bytes,
    changed_json,
    check_notices,
    check_problems,
    fuzz,
    json_text,
    keys_of,
)
from tests.model_files import PLAIN
from tests.small_runs import CLOCK, events, samples

FOUND = Path(__file__).parent.parent / "data" / "stats_models"


def _rich() -> dict[str, Any]:
    """Return a sound model that says something at every place where something may be said."""
    raw = copy.deepcopy(PLAIN)
    raw["Description"] = "all of it"
    raw["Input"] = {"task": ["main"], "run": [1, 2]}
    run = raw["Nodes"][0]
    run["Transformations"] = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [
            {"Name": "Factor", "Input": ["trial_type"]},
            {"Name": "Threshold", "Input": ["rt"], "Threshold": 0.5, "Binarize": True},
            {"Name": "Filter", "Input": ["rt"], "Query": "rt > 0.5 and trial_type == 'face'"},
            {"Name": "Convolve", "Input": ["trial_type.face"], "Model": "spm", "Derivative": True},
        ],
    }
    run["Model"] = {
        "Type": "glm",
        "X": ["trial_type.face", "trial_type.house", "rt", "trans_*", 1],
        "HRF": {"Variables": ["trial_type.house"], "Model": "glover"},
        "Options": {"HighPassFilterCutoffHz": 0.01},
        "Software": {"bids_fx": {"NoiseModel": "ar1", "DummyScans": 2, "Labels": {"diff": "d"}}},
    }
    run["Contrasts"] = [
        {
            "Name": "diff",
            "ConditionList": ["trial_type.face", "trial_type.house"],
            "Weights": [1, "-1/3"],
            "Test": "t",
        },
        {
            "Name": "any",
            "ConditionList": ["trial_type.face", "rt"],
            "Weights": [[1, 0], [0, 1]],
            "Test": "F",
        },
    ]
    run["DummyContrasts"] = {"Contrasts": ["rt"], "Test": "t"}
    raw["Nodes"].insert(
        1,
        {
            "Level": "Session",
            "Name": "ses",
            "GroupBy": ["session", "subject", "contrast"],
            "Model": {"Type": "meta", "X": [1]},
            "DummyContrasts": {"Test": "t"},
        },
    )
    raw["Nodes"].append(
        {
            "Level": "Dataset",
            "Name": "all",
            "GroupBy": ["contrast"],
            "Model": {"X": [1], "Type": "glm"},
            "DummyContrasts": {"Test": "t"},
        }
    )
    raw["Edges"] = [
        {"Source": "run", "Destination": "ses", "Filter": {"contrast": ["diff", "rt"]}},
        {"Source": "ses", "Destination": "subject"},
        {"Source": "subject", "Destination": "all"},
    ]
    return raw


RICH = _rich()
#: Sound models; those of others are as they were found.
MODELS = [PLAIN, RICH, *(json.loads(path.read_text()) for path in sorted(FOUND.rglob("*.json")))]
KEYS = sorted({key for model in MODELS for key in keys_of(model)})


def _use(raw: object, name: str = "m.json") -> None:
    """Do with a model what the programs do; its texts must be fit to be shown."""
    model, problems, notices = parse_model(raw, name)
    check_problems(problems)
    check_notices(notices)
    assert (model is None) == bool(problems)
    if model is None:
        return
    analysis = analyse(model, name)
    check_problems(analysis.problems)
    check_notices(analysis.notices)
    _, clashes, assumed = settings_under(model, AnalysisSettings(), frozenset(), name)
    _, outside = data_under(model, DataSelection(bids_dir=Path("x")), name)
    check_problems((*clashes, *outside))
    check_notices(assumed)
    if not analysis.problems:
        explain(analysis, notices).encode()
        outline(analysis)
    again, faults, _ = parse_model(json.loads(model_json(model)), name)
    assert faults == ()
    assert again == model


def test_the_models_that_are_changed_are_sound():
    for raw in (PLAIN, RICH):
        model, problems, _ = parse_model(raw, "m.json")
        assert problems == ()
        assert analyse(model, "m.json").problems == ()


@fuzz(350, soak=15_000, raw=st.sampled_from(MODELS).flatmap(lambda raw: changed_json(raw, KEYS)))
def test_a_changed_model_is_read_and_written_so_that_it_is_the_same_or_refused(raw):
    _use(parse_json(json_text(raw)))


@fuzz(50, soak=2_000, raw=JSON)
def test_any_json_in_place_of_a_model_is_refused(raw):
    _use(raw)


_TEXT = json.dumps(RICH, indent=1).encode()


@fuzz(100, soak=5_000, content=changed_bytes(_TEXT))
@example(content=b"[" * 200_000)
@example(content=b'{"a":' * 200_000)
@example(content=b'{"Nodes": ' + b"9" * 5000 + b"}")
@example(content=b'{"Name": "\\ud800"}')
@example(content=b'{"\\ud800": 1, "Nodes": []}')
@example(content=b"\xff\xfe{\x00")
@example(content=b"{" + b",".join(b'"k%d": 1' % i for i in range(20_000)) + b"}")
def test_a_file_with_bytes_changed_is_a_model_or_is_refused(content, tmp_path):
    path = tmp_path / "model-x_smdl.json"
    path.write_bytes(content)
    model, problems, notices = read_model(path)
    check_problems(problems)
    check_notices(notices)
    assert (model is None) == bool(problems)


_ARGUMENTS = sorted(
    {*COMMON, *(argument for one in SIGNATURES.values() for argument in one.arguments)}
)
_VARIABLES = ("trial_type", "rt", "face", "house", "score", "trans_x", "sub", "missing", "t*", "*")
_LIKELY = st.one_of(
    st.sampled_from(_VARIABLES),
    st.lists(st.sampled_from(_VARIABLES), min_size=1, max_size=3),
    st.sampled_from(
        (
            *("rt > 0.5", "trial_type == 'face'", "spm", "glover", "fir", "mean", "TR", "run"),
            *("drop_one", "mean_zero", "constant", "nearest", "linear", "value", "onset", "x"),
            *("duration", "amplitude", "out", {"face": "f", "1": 2}, [1, -1], [0, 1, 2], 1, 2),
            *(0, -1, 0.5, True, False, None, 1e300, 10**400),
        )
    ),
    SCALARS,
    JSON,
)


@st.composite
def instructions(draw: st.DrawFn) -> dict[str, Any]:
    """Return an instruction that may be sound."""
    name = draw(st.sampled_from(INSTRUCTIONS))
    raw: dict[str, Any] = {"Name": name, "Input": draw(_LIKELY)}
    for argument, rule in SIGNATURES[name].arguments.items():
        if rule.required or draw(st.integers(0, 3)) == 0:
            choices = [one for one in rule.choices if one is not None]
            raw[argument] = draw(st.sampled_from(choices) | _LIKELY if choices else _LIKELY)
    if draw(st.booleans()):
        raw["Output"] = draw(_LIKELY)
    if draw(st.integers(0, 9)) == 0:
        raw[draw(st.sampled_from(_ARGUMENTS) | TEXTS)] = draw(_LIKELY)
    if name == "Constant":
        del raw["Input"]
    return raw


def _variables() -> Variables:
    return Variables(
        values={
            "trial_type": events(["face", "house", "face", None]),
            "rt": events([0.5, 1.5, np.nan, 1.0]),
            "score": events([1.0, 2.0, 3.0, 4.0], durations=[0, 0, 0, 0]),
            "trans_x": samples([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        }
    )


@fuzz(400, soak=15_000, raws=st.lists(instructions(), min_size=1, max_size=4))
def test_instructions_are_carried_out_or_refused(raws):
    read = []
    for raw in raws:
        instruction, faults = read_instruction(raw, "here", ("group",))
        for fault in faults:
            check_problems([Problem(where="m.json", found=fault, remedy="write another")])
        if instruction is not None:
            read.append(instruction)
    try:
        made = transform(_variables(), read, CLOCK, entities={"sub": "01"}, hrf_model="spm")
    except TransformError as error:
        check_problems([Problem(where="m.json", found=error.found, remedy=error.remedy or "x")])
        return
    for item in made.values.values():
        assert item.values.ndim == 1
