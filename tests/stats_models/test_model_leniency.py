"""What is read in a model file although it is not spelled as the specification has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_fx.errors import ExitCode
from bids_fx.stats_models.read import parse_model, read_model
from bids_fx.stats_models.records import DummyContrasts, ModelHRF
from tests.model_files import (
    PLAIN,
    Json,
    a_contrast,
    faults_of,
    notices_of,
    plain,
    read,
    with_contrast,
    with_run,
    with_run_model,
    with_subject,
)


def snake(value: object) -> object:
    """Return JSON with its keys in lower case and with underscores."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in key).lstrip("_"): snake(item)
        for key, item in value.items()
    }


def loosely(raw: Json) -> Json:
    """Return the plain model with loose values."""
    raw["Nodes"][0]["Level"] = "run"
    raw["Nodes"][0]["Model"]["Type"] = "GLM"
    raw["Nodes"][0]["GroupBy"] = ["Run", "SUBJECT"]
    raw["Nodes"][0]["Contrasts"][0]["Test"] = "T"
    raw["Nodes"][1]["Level"] = "SUBJECT"
    raw["Nodes"][1]["Model"] = {"Type": "Meta", "X": 1}
    return raw


def test_case_and_underscores_do_not_matter() -> None:
    assert read(snake(plain())) == read(plain())


def test_case_of_values_and_scalars_for_lists_do_not_matter() -> None:
    assert read(loosely(plain())) == read(plain())


def test_other_spellings_are_one_notice() -> None:
    (text,) = notices_of(loosely(plain()))
    assert text.startswith("not spelled as the specification has it")
    for pair in ("'run' (Run)", "'GLM' (glm)", "'T' (t)", "'Meta' (meta)", "'X without brackets'"):
        assert pair in text


def test_plain_model_needs_no_notice() -> None:
    assert notices_of(plain()) == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({k: v for k, v in PLAIN.items() if k != "Name"}, "no Name, and is named 'm' by its file"),
        ({k: v for k, v in PLAIN.items() if k != "BIDSModelVersion"}, "is read as 1.0.0"),
        ({**PLAIN, "BIDSModelVersion": "2.0"}, "written for version 2.0, and is read as 1.0.0"),
        ({**PLAIN, "Input": {"task": []}}, "the empty list of 'task' is read as all"),
        (with_run(Name=None), r"Nodes[0]: it has no Name, and is named 'run' by its Level"),
        (with_run_model(Type=None), "node 'run': its Model has no Type, and is read as 'glm'"),
        (
            with_subject(Model={"X": [1]}),
            "'subject': its Model has no Type, and is read as 'meta'",
        ),
        (with_subject(Model=None), "node 'subject': it has no Model, and is read as X = [1]"),
        (with_subject(Model={"Type": "meta"}), "X: it is not there, and is read as [1]"),
        (with_run(GroupBy=None), "GroupBy: it is not there, and is read as run, subject"),
        (with_subject(GroupBy=None), "GroupBy: it is not there, and is read as subject, contrast"),
        (with_subject(GroupBy=["contrast"]), "'subject' is not in it, and is taken as there"),
        (with_run(GroupBy=["subject"]), "without 'run' other programs may fit the runs as one"),
        (with_run_model(X=["face", "house"]), "the design also has an intercept"),
        (with_run_model(X=["face", "house", "intercept"]), "'intercept' is read as the intercept"),
        (with_contrast(Name=1), "Contrasts[0]: its name is the number 1, read as text"),
        (with_contrast(Test=None), "'diff': it has no Test, and is read as a t test"),
        (with_contrast(Test="FEMA"), "'diff': Test 'FEMA' of old files is read as a t test"),
        (with_subject(DummyContrasts={"Test": "meta"}), "Test 'meta' of old files is read as a t"),
        (with_run(Contrasts=None), "node 'run': it makes no contrast of its own"),
        (with_run(Transformations=[{"Name": "Factor", "Input": "trial_type"}]), "it is a list"),
        (
            with_run(Transformations={"Instructions": [{"Name": "Factor", "Input": "a"}]}),
            "it names no Transformer, and is read as pybids-transforms-v1",
        ),
        (
            with_run_model(Software={"FSL": {"a": 1}, "SPM": {}}),
            "Software: what it says to FSL is not for this program and is passed over",
        ),
    ],
)
def test_what_is_assumed_is_a_notice(raw: object, text: str) -> None:
    if isinstance(raw, dict) and not raw["Nodes"][0].get("Contrasts", True):
        raw["Nodes"] = raw["Nodes"][:1]
    assert [notice for notice in notices_of(raw) if text in notice]


def test_tests_without_a_name_are_told_by_their_rows() -> None:
    raw = with_contrast(Test=None, Weights=[[1, 0], [0, 1]])
    assert read(raw).root.contrasts[0].test == "F"


@pytest.mark.parametrize(
    ("written", "weights"),
    [
        (["1/3", "-1/3"], (1 / 3, -1 / 3)),
        ([" 1 / 2 ", "-.5"], (0.5, -0.5)),
        (["1e-1", "+1."], (0.1, 1.0)),
        ([[1, -1]], (1.0, -1.0)),
        ([2, 0], (2.0, 0.0)),
    ],
)
def test_weights_are_numbers_or_fractions(written: object, weights: tuple[float, ...]) -> None:
    assert read(with_contrast(Weights=written)).root.contrasts[0].weights == (weights,)


def test_scalars_stand_for_conditions_and_weights() -> None:
    contrast = read(with_contrast(ConditionList="face", Weights=2)).root.contrasts[0]
    assert (contrast.conditions, contrast.weights) == (("face",), ((2.0,),))


@pytest.mark.parametrize("x", [["trial_type.face", "house"], ["trial_type.*", "house"], ["*"]])
def test_conditions_may_leave_out_trial_type(x: list[str]) -> None:
    assert read(with_run_model(X=x)).root.contrasts[0].conditions == ("face", "house")


def test_names_with_brackets_are_themselves() -> None:
    raw = with_run(
        Model={"Type": "glm", "X": ["RT[1]", 1]}, Contrasts=[a_contrast("slow", {"RT[1]": 1})]
    )
    assert read(raw).root.contrasts[0].conditions == ("RT[1]",)


@pytest.mark.parametrize("name", ["intercept", 1])
def test_intercept_has_one_spelling_and_is_no_effect_of_a_run(name: object) -> None:
    (fault,) = faults_of(with_run(Contrasts=[a_contrast("mean", {name: 1})]))
    assert "a contrast weighs the intercept of a run" in fault


def test_old_names_of_dummy_contrasts_are_read() -> None:
    raw = with_run(DummyContrasts={"Conditions": ["face"], "Type": "t"})
    assert read(raw).root.dummies == DummyContrasts(conditions=("face",))


def test_an_empty_list_of_dummy_contrasts_makes_none() -> None:
    assert read(with_run(DummyContrasts={"Contrasts": [], "Test": "t"})).root.dummies is None


def test_input_has_labels_by_short_keys() -> None:
    raw = {**plain(), "Input": {"Subject": ["sub-01", "02"], "task": "x", "run": [1, 2]}}
    assert read(raw).input == {"sub": ("01", "02"), "task": ("x",), "run": ("1", "2")}


@pytest.mark.parametrize(
    ("hrf", "name"),
    [
        ({"Model": "SPM + Derivative"}, "spm + derivative"),
        ({"Model": "fir", "Parameters": {"fir_delays": [0, 1, 2]}}, "fir:3"),
        ({"Model": "FIR", "Parameters": {"FIRDelays": [0, 2, 4]}}, "fir:0,2,4"),
        ({"Model": "fir", "Parameters": {"FIRDelays": [3]}}, "fir:3,"),
        ({"Model": "DoubleGamma", "Parameters": {"PeakDelay": 5}}, "doublegamma:5,16,1,1,6"),
    ],
)
def test_hrf_is_named_as_the_settings_name_it(hrf: Json, name: str) -> None:
    raw = with_run_model(HRF={"Variables": "face", **hrf})
    assert read(raw).root.hrf == ModelHRF(variables=("face",), hrf_model=name)


def test_hrf_beside_a_convolution_under_another_name_is_sound() -> None:
    raw = with_run_model(HRF={"Variables": ["face"], "Model": "spm"})
    convolve = {"Name": "Convolve", "Input": ["face"], "Output": ["slow_face"]}
    raw["Nodes"][0]["Transformations"] = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [convolve],
    }
    assert read(raw).root.hrf is not None


def test_convolution_of_a_group_counts_for_its_members() -> None:
    raw = with_run_model(HRF={"Variables": ["face"], "Model": "spm"})
    raw["Nodes"][0]["Transformations"] = {
        "Transformer": "pybids-transforms-v1",
        "Instructions": [
            {"Name": "Group", "Input": ["face", "house"], "Output": "all"},
            {"Name": "Convolve", "Input": ["all"]},
        ],
    }
    _, problems, _ = parse_model(raw, "m.json")
    assert "'face' is convolved by an instruction and by HRF" in str(problems[0])


def test_steps_become_nodes_that_are_named_by_their_levels() -> None:
    raw = plain()
    steps = [
        {k: v for k, v in node.items() if k not in ("Name", "GroupBy")} for node in raw["Nodes"]
    ]
    model = read({"Name": "plain", "BIDSModelVersion": "1.0.0", "Steps": steps})
    assert model == read(plain())


def test_two_steps_of_one_level_have_two_names() -> None:
    raw = {**plain(), "Steps": [*plain()["Nodes"], {"Level": "Dataset"}, {"Level": "dataset"}]}
    del raw["Nodes"]
    assert [node.name for node in read(raw).nodes] == ["run", "subject", "dataset", "dataset-2"]


def write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "model-x_smdl.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_matter(tmp_path: Path, encoding: str) -> None:
    model, problems, _ = read_model(write(tmp_path, json.dumps(plain()).encode(encoding)))
    assert problems == ()
    assert model == read(plain())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"Name": "x",\n  "Nodes": [}', "no JSON at line 2, column 13: Expecting value"),
        (b"", "no JSON at line 1, column 1"),
        (b'{"Name": NaN}', "it is no JSON: NaN is no number of JSON"),
        (b'{"Name": "\xff"}', "it is no JSON: 'utf-8' codec"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"Nodes": ' + b"[" * 900 + b"]" * 900 + b"}", "it is a list"),
        (b'{"Description": "\\ud800"}', "Description: '\\ud800' holds half a character"),
        (b'{"Nodes": 1' + b"0" * 400 + b"}", "Nodes: it is the number inf"),
        (
            b'{"Nodes": [{"Model": {"X": [1], "X": [2]}}]}',
            "Nodes[0]: Model: the key 'X' stands tw",
        ),
    ],
)
def test_faults_of_json_are_told(tmp_path: Path, data: bytes, text: str) -> None:
    model, problems, _ = read_model(write(tmp_path, data))
    assert model is None
    assert [problem for problem in problems if text in str(problem)]
    assert {problem.code for problem in problems} == {ExitCode.BAD_DATA}
    assert str(problems[0]).startswith("model-x_smdl.json: ")


def test_a_file_that_is_not_there_exits_with_66(tmp_path: Path) -> None:
    model, (problem,), _ = read_model(tmp_path / "none.json")
    assert model is None
    assert problem.code == ExitCode.MISSING_INPUT
    assert "No such file" in problem.found


def test_contrast_may_weigh_one_delay_of_a_variable_that_convolve_makes_fir_of() -> None:
    steps = [{"Name": "Convolve", "Input": ["face"], "Model": "fir", "FIRDelays": [0, 2]}]
    model = with_run(
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": steps},
        Contrasts=[a_contrast("late", {"face_delay_2": 1})],
    )
    model["Nodes"] = model["Nodes"][:1]
    assert read(model).root.contrasts[0].conditions == ("face_delay_2",)
