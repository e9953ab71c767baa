"""What is wrong in a model file, with its place and what to do."""

from __future__ import annotations

import re

import pytest

from bids_fx.errors import ExitCode
from bids_fx.stats_models.read import parse_model
from tests.model_files import (
    Json,
    a_contrast,
    faults_of,
    plain,
    with_contrast,
    with_run,
    with_run_model,
    with_subject,
)


def with_options(**options: object) -> Json:
    return with_run_model(Options=options)


def with_instructions(*items: object) -> Json:
    return with_run(
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": list(items)}
    )


CONDITIONS = {"face": 1, "house": -1}
CASES: dict[str, tuple[object, str]] = {
    "no object": ([], "it is a list; write an object"),
    "unknown key": ({**plain(), "Modle": 1}, r"there is no key 'Modle'.*the keys are Name"),
    "unknown key of a node": (with_run(Levl="x"), r"Nodes\[0\]: .*'Levl' \(did you mean 'Level'"),
    "unknown key of Model": (
        with_run_model(HRff={}),
        r"node 'run': Model: .*'HRff' \(did you mean 'HRF'",
    ),
    "unknown key of Options": (with_options(HighPass=1), "no key 'HighPass'"),
    "unknown key of a contrast": (
        with_contrast(Wieghts=[1]),
        r"node 'run': Contrasts\[0\]: there is no key 'Wieghts' \(did you mean 'Weights'",
    ),
    "key in two spellings": (with_contrast(weights=[1, -1]), "Weights stands twice"),
    "no nodes": ({"Name": "x", "BIDSModelVersion": "1.0.0"}, "there are no Nodes"),
    "empty nodes": ({**plain(), "Nodes": []}, "Nodes: it is empty"),
    "nodes of no list": ({**plain(), "Nodes": {}}, "Nodes: it is an object; write a list"),
    "steps and nodes": ({**plain(), "Steps": []}, "Nodes stands twice"),
    "no level": (with_run(Level=None), r"Nodes\[0\]: Level not there"),
    "unknown level": (with_run(Level="Rum"), r"no level 'Rum' \(did you mean 'Run'"),
    "name that cannot be printed": (with_run(Name="a\nb"), r"Name: 'a\\nb' is no name"),
    "meta at run level": (
        with_run_model(Type="meta"),
        "level Run cannot be 'meta'; write glm",
    ),
    "glm above": (
        with_subject(Model={"Type": "glm", "X": [1]}),
        "node 'subject': Model: Type: 'glm' would .* write meta to combine",
    ),
    "unknown type": (with_run_model(Type="gml"), r"no type 'gml' \(did you mean 'glm'"),
    "no X": (with_run(Model={"Type": "glm"}), "Model: X: there is none"),
    "empty X": (with_run_model(X=[]), "Model: X: there is none"),
    "no intercept": (with_run_model(X=["face", "house", 0]), "X: 0 leaves no intercept"),
    "X with an object": (with_run_model(X=["face", {}]), "item 2: it is an object"),
    "X twice": (
        with_run_model(X=["face", "house", "trial_type.face"]),
        "X: it names 'trial_type.face' twice",
    ),
    "formula": (with_run_model(Formula="1 + face"), "Formula is not handled.*list its terms in X"),
    "variance components": (
        with_run_model(VarianceComponents=[{"Name": "s"}]),
        "VarianceComponents is not handled, and would have no effect",
    ),
    "error distribution": (with_run_model(ErrorDistribution={"f": 1}), "ErrorDistribution is not"),
    "low pass": (with_options(LowPassFilterCutoffHz=0.1), "LowPassFilterCutoffHz is not handled"),
    "replaced variables": (with_options(ReplaceVariables={"a": 1}), "ReplaceVariables is not"),
    "mask": (with_options(Mask={"desc": ["brain"]}), "Mask is not handled.*own brain mask"),
    "aggregate": (with_options(Aggregate="mean"), "Aggregate is not handled.*each voxel"),
    "dummies of an old name": (
        with_run(AutoContrasts=True),
        'AutoContrasts is not handled.*write "DummyContrasts"',
    ),
    "seconds for Hz": (
        with_options(HighPassFilterCutoffHz=128),
        "128 Hz would leave nothing of the data; if 128 seconds were meant, write 0.007812",
    ),
    "cut-off of 0": (with_options(HighPassFilterCutoffHz=0), "0 Hz is not possible"),
    "cut-off below 0": (with_options(HighPassFilterCutoffHz=-0.01), "-0.01 Hz is not possible"),
    "cut-off as a text": (with_options(HighPassFilterCutoffHz="0.01"), "it is the text '0.01'"),
    "cut-off that is endless": (
        with_options(HighPassFilterCutoffHz=float("inf")),
        "inf Hz is not",
    ),
    "unknown HRF": (
        with_run_model(HRF={"Variables": ["face"], "Model": "spmm"}),
        r"HRF: unknown HRF model 'spmm' \(did you mean 'spm'",
    ),
    "HRF without a model": (
        with_run_model(HRF={"Variables": ["face"]}),
        "HRF: Model not there; name the variables that are convolved, and the model",
    ),
    "HRF of what X has not": (
        with_run_model(HRF={"Variables": ["fase"], "Model": "spm"}),
        r"HRF: Variables: 'fase' is not in X \(did you mean 'face'",
    ),
    "HRF parameter that it has not": (
        with_run_model(HRF={"Variables": ["face"], "Model": "spm", "Parameters": {"Delay": 5}}),
        "parameter of the HRF model 'spm': 'Delay'",
    ),
    "HRF and Convolve": (
        {
            **with_run(
                Model={
                    "Type": "glm",
                    "X": ["face", "house", 1],
                    "HRF": {"Variables": ["face"], "Model": "spm"},
                },
                Transformations={
                    "Transformer": "pybids-transforms-v1",
                    "Instructions": [{"Name": "Convolve", "Input": ["trial_type.*"]}],
                },
            )
        },
        "'face' is convolved by an instruction and by HRF; keep one",
    ),
    "HRF above run level": (
        with_subject(
            Model={"Type": "meta", "X": ["diff"], "HRF": {"Variables": ["diff"], "Model": "spm"}}
        ),
        "HRF has no meaning above run level",
    ),
    "high pass above run level": (
        with_subject(
            Model={"Type": "meta", "X": [1], "Options": {"HighPassFilterCutoffHz": 0.01}}
        ),
        "HighPassFilterCutoffHz has no meaning above run level",
    ),
    "unknown transformer": (
        with_run(Transformations={"Transformer": "pybids-v1", "Instructions": []}),
        "Transformer: there is no transformer 'pybids-v1'.*write one of pybids-transforms-v1",
    ),
    "unknown instruction": (
        with_instructions({"Name": "Convolv", "Input": ["face"]}),
        r"node 'run': instruction 1 \(Convolv\): unknown instruction 'Convolv'.*'Convolve'",
    ),
    "instruction of no object": (with_instructions("Factor"), "instruction 1: it is the text"),
    "unknown grouping": (
        with_run(GroupBy=["run", "subjekt"]),
        r"GroupBy: there is no entity 'subjekt' \(did you mean 'subject'",
    ),
    "contrast in the grouping of runs": (
        with_run(GroupBy=["run", "subject", "contrast"]),
        "GroupBy: the runs come before any contrast",
    ),
    "unknown Input": ({**plain(), "Input": {"tsk": "x"}}, r"Input: .*'tsk' \(did you mean 'task'"),
    "Input of null": ({**plain(), "Input": {"task": None}}, "Input: task: it is null"),
    "Input of no object": ({**plain(), "Input": ["x"]}, "Input: it is a list"),
    "weights too few": (
        with_contrast(Weights=[1]),
        r"'diff': Weights: 1 weight for 2 in ConditionList \(face, house\)",
    ),
    "weights too many": (with_contrast(Weights=[1, -1, 0]), "3 weights for 2 in ConditionList"),
    "rows of two lengths": (
        with_contrast(Weights=[[1, -1], [1]], Test="F"),
        "2 and 1 weights for 2 in ConditionList",
    ),
    "no weights": (with_contrast(Weights=[]), "Weights: there are none"),
    "weights of zero": (with_contrast(Weights=[0, 0]), "all weights are 0"),
    "row of zero": (
        with_contrast(Weights=[[1, 0], [0, 0]], Test="F"),
        "all weights of row 2 are 0",
    ),
    "dependent rows": (
        with_contrast(Weights=[[1, -1], [-2, 2]], Test="F"),
        "rows are linearly dependent: row 2 is a multiple of row 1",
    ),
    "t test of two rows": (
        with_contrast(Weights=[[1, 0], [0, 1]]),
        "2 rows for a t test; give one row, or write Test F",
    ),
    "pass of two rows": (
        with_contrast(Weights=[[1, 0], [0, 1]], Test="pass"),
        "2 rows for a contrast of Test pass",
    ),
    "fraction of nothing": (with_contrast(Weights=["1/0", -1]), "the text '1/0' is no weight"),
    "weight of words": (with_contrast(Weights=["2*3", -1]), r"the text '2\*3' is no weight"),
    "weight that is no number": (with_contrast(Weights=["nan", -1]), "'nan' is no weight"),
    "weight that is endless": (with_contrast(Weights=[float("inf"), -1]), "number inf is no"),
    "weight that is too large": (
        with_contrast(Weights=[1.1e10, -1]),
        r"the weight 1.1e\+10 is too large or too small; give weights from 1e-10 to 1e\+10",
    ),
    "weight that is too small": (with_contrast(Weights=["1/1e11", -1]), "weight 1e-11 is too"),
    "weight of true": (with_contrast(Weights=[True, -1]), "true is no weight"),
    "unknown test": (with_contrast(Test="z"), "no test 'z'.*write one of t, F, pass"),
    "condition that X has not": (
        with_contrast(ConditionList=["face", "hous"]),
        r"Contrasts\[0\] 'diff': 'hous' is not in X \(did you mean 'house'",
    ),
    "condition twice": (
        with_contrast(ConditionList=["face", "trial_type.face"]),
        "ConditionList: it names 'trial_type.face' twice",
    ),
    "intercept that X has not": (
        {
            **with_run(
                Model={"Type": "glm", "X": ["face", "house"]},
                Contrasts=[a_contrast("mean", {1: 1})],
            )
        },
        "it names the intercept .* not in X; add 1 to X",
    ),
    "contrast without a name": (with_contrast(Name=None), "Name not there"),
    "two contrasts of one name": (
        with_run(Contrasts=[a_contrast("a", {"face": 1}), a_contrast("a", {"house": 1})]),
        "Contrasts: 2 contrasts are named 'a'",
    ),
    "dummy and contrast of one name": (
        with_run(Contrasts=[a_contrast("face", CONDITIONS)], DummyContrasts={"Test": "t"}),
        "'face' is both a contrast and a dummy contrast",
    ),
    "dummy and contrast of one name but for trial_type": (
        with_run(
            Model={"Type": "glm", "X": ["trial_type.face", "house", 1]},
            Contrasts=[a_contrast("face", CONDITIONS)],
            DummyContrasts={"Test": "t"},
        ),
        "'trial_type.face' is both a contrast and a dummy contrast",
    ),
    "dummy of what X has not": (
        with_run(DummyContrasts={"Contrasts": ["hose"], "Test": "t"}),
        r"DummyContrasts: 'hose' is not in X \(did you mean 'house'",
    ),
    "dummies of no object": (with_run(DummyContrasts=True), "DummyContrasts: it is true"),
}


@pytest.mark.parametrize("case", CASES)
def test_fault_is_named_with_its_place(case: str) -> None:
    raw, text = CASES[case]
    assert [fault for fault in faults_of(raw) if re.search(text, fault)]


@pytest.mark.parametrize("case", CASES)
def test_fault_stands_alone_in_the_list(case: str) -> None:
    raw, _ = CASES[case]
    assert len(faults_of(raw)) == 1


def test_all_faults_come_in_one_list() -> None:
    raw = with_contrast(Weights=[1], Test="z")
    raw["Nodes"][0]["Model"]["Formula"] = "0 + face"
    raw["Nodes"][1]["GroupBy"] = ["subjekt", "contrast"]
    raw["Edges"] = [{"Source": "run", "Destination": "subjects"}]
    found = "\n".join(faults_of(raw))
    for text in ("Formula", "no test 'z'", "subjekt", "no node 'subjects'"):
        assert text in found


def test_faults_of_content_exit_with_65() -> None:
    _, problems, _ = parse_model({"dummy": []}, "m.json")
    assert {problem.code for problem in problems} == {ExitCode.BAD_DATA}


@pytest.mark.parametrize(
    "raw",
    [
        with_run_model(Formula=None, VarianceComponents=[], ErrorDistribution={}),
        with_options(LowPassFilterCutoffHz=None, ReplaceVariables={}, Mask={}, Aggregate="none"),
        with_run_model(HRF={}, Software={}),
        with_run(Description="a comment", Transformations=[]),
        {**plain(), "$schema": "anywhere"},
    ],
)
def test_keys_that_say_nothing_pass(raw: object) -> None:
    assert faults_of(raw) == []
