"""What is said of a model in plain words, and the program that says it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bids_fx.cli.explain_model import main
from bids_fx.stats_models.analysis import analyse
from bids_fx.stats_models.explain import explain
from bids_fx.stats_models.read import parse_model
from tests.model_files import (
    Json,
    a_contrast,
    plain,
    read,
    with_contrast,
    with_run,
    with_run_model,
    with_subject,
)


def told(raw: object) -> str:
    """Return what is said of a sound model, without line breaks."""
    model, _, notices = parse_model(raw, "m.json")
    assert model is not None
    analysis = analyse(model, "m.json")
    assert analysis.problems == ()
    return " ".join(explain(analysis, notices).split())


def saved(tmp_path: Path, raw: object, name: str = "model-x_smdl.json") -> str:
    path = tmp_path / name
    path.write_text(json.dumps(raw), encoding="utf-8")
    return str(path)


CONVOLVE: Json = {
    "Transformer": "pybids-transforms-v1",
    "Instructions": [{"Name": "Convolve", "Input": ["face"], "Model": "fir"}],
}
SESSION: Json = {
    "Level": "Session",
    "Name": "session",
    "GroupBy": ["session", "subject", "contrast"],
    "Model": {"Type": "meta", "X": [1]},
    "DummyContrasts": {"Test": "t"},
}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (plain(), "m.json: model 'plain' (BIDS Stats Models 1.0.0) It is about images of all tas"),
        ({**plain(), "Input": {"task": ["a", "b"]}}, "It is about images of task a or b."),
        (plain(), "Columns of the design (X): face, house; and an intercept."),
        (plain(), "Contrast diff = face - house (t test)."),
        (with_contrast(Weights=["1/3", 2]), "Contrast diff = 1/3*face + 2*house (t test)."),
        (
            with_contrast(Weights=[[1, 0], [0, 1]], Test="F"),
            "Contrast diff = F(face; house) (F test).",
        ),
        (with_run(DummyContrasts={"Test": "pass"}), "Contrast house = house (no test)."),
        (
            with_run(
                Model={"Type": "glm", "X": ["f*", "house", "face"]}, DummyContrasts={"Test": "t"}
            ),
            "Contrasts: one for each column like f*.",
        ),
        (plain(), "convolved with the HRF spm, by default, since the model says nothing."),
        (
            with_run_model(Software={"bids_fx": {"HRFModel": "glover"}}),
            "convolved with the HRF glover, as Software.bids_fx has it.",
        ),
        (
            with_run_model(HRF={"Variables": ["face"], "Model": "glover"}),
            "Convolved with the HRF glover: face.",
        ),
        (
            with_run(Transformations=CONVOLVE),
            "Variables are transformed: Convolve face (Model fir).",
        ),
        (with_run(Transformations=CONVOLVE), "other variables of events in X would enter as they"),
        (plain(), "Drift: cosines, which take out periods above 128 s, by default."),
        (
            with_run_model(Options={"HighPassFilterCutoffHz": 0.01}),
            "Drift: cosines, which take out periods above 100 s (HighPassFilterCutoffHz 0.01).",
        ),
        (
            with_run_model(X=["face", "house", "cosine*", 1]),
            "Drift: none but the cosine columns that X names.",
        ),
        (with_run_model(Software={"bids_fx": {"DriftModel": "none"}}), "Drift: none."),
        (with_run_model(Software={"bids_fx": {"HighPass": 90}}), "periods above 90 s."),
        (
            with_run_model(Software={"bids_fx": {"NoiseModel": "ols", "SmoothingFWHM": 6}}),
            "Settings for this program: NoiseModel ols; SmoothingFWHM 6.",
        ),
        (plain(), "To 'subject' it passes on diff."),
        (plain(), "It takes the results of 'run': diff."),
        (
            plain(),
            (
                "It combines over run and session, by fixed effects, separately for each subject, "
                "each contrast by itself."
            ),
        ),
        (
            {**plain(), "Nodes": [plain()["Nodes"][0], SESSION, plain()["Nodes"][1]]},
            "It combines over session, by fixed effects, separately for each subject",
        ),
        (with_subject(DummyContrasts={"Test": "pass"}), "It hands on what it takes."),
        (with_run_model(Type=None), "Assumed and noted - node 'run': its Model has no Type"),
    ],
)
def test_model_is_told(raw: object, text: str) -> None:
    assert text in told(raw)


def test_results_that_are_told_apart_are_told() -> None:
    split = [{"Name": "Split", "Input": ["diff"], "By": "session"}]
    raw = with_subject(
        GroupBy=["subject"],
        Transformations={"Transformer": "pybids-transforms-v1", "Instructions": split},
        Model={"Type": "meta", "X": ["diff.pre", "diff.post"]},
        DummyContrasts=None,
        Contrasts=[a_contrast("change", {"diff.post": 1, "diff.pre": -1})],
    )
    text = told(raw)
    assert "Results are told apart by their labels: Split diff (By session)." in text
    assert "Contrast change = `diff.post` - `diff.pre` (t test)." in text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (
            with_run_model(HRF={"Variables": ["face"], "Model": "spm"}),
            "Model.HRF is ignored by FitLins and pybids",
        ),
        (with_run(Transformations=CONVOLVE), "Convolve is ignored by bidspm"),
        (with_run(Transformations=CONVOLVE), "FIR delays are counted in steps of 0.1 s"),
        (plain(), "Nothing is convolved by FitLins and pybids"),
        (
            with_run_model(Options={"HighPassFilterCutoffHz": 0.01}),
            "Options.HighPassFilterCutoffHz is ignored by FitLins",
        ),
        (
            with_run_model(Software={"bids_fx": {"NoiseModel": "ols"}}),
            "Software.bids_fx is for this program alone",
        ),
        (plain(), "only where Type is spelled 'Meta'"),
        (
            with_subject(Contrasts=[a_contrast("neg", {1: -1})]),
            "weights of contrasts above run level are ignored by FitLins",
        ),
        (with_contrast(Test="F"), "F contrasts end at their node in the specification"),
        (
            with_contrast(Weights=[[1, 0], [0, 1]], Test="F"),
            "F contrasts of several rows are left out by FitLins' AFNI estimator",
        ),
        (
            {**plain(), "Nodes": [{**plain()["Nodes"][0], "Model": {"X": [1]}, "Contrasts": []}]},
            "A model of runs with an intercept alone is refused by FitLins and pybids",
        ),
        (
            {**plain(), "Nodes": [*plain()["Nodes"], {**SESSION, "Level": "Dataset"}]},
            "Nodes of level Dataset are run by the others",
        ),
    ],
)
def test_what_others_do_is_told_where_it_applies(raw: object, text: str) -> None:
    assert text in told(raw)


@pytest.mark.parametrize(
    "text",
    [
        *("Model.HRF is ignored", "Convolve is ignored", "FIR delays", "HighPassFilterCutoffHz"),
        *("Software.bids_fx is for", "F contrasts", "weights of contrasts above", "Dataset"),
    ],
)
def test_what_others_do_is_not_told_where_it_does_not_apply(text: str) -> None:
    assert text not in told(plain()).partition("In other programs")[2]


def test_sound_files_exit_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [saved(tmp_path, plain(), f"model-{name}_smdl.json") for name in "ab"]
    assert main(files) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [f"model-{name}_smdl.json: model 'plain'" in out for name in "ab"] == [True, True]


def test_faults_are_listed_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = saved(tmp_path, with_contrast(Weights=[1], Test="z"))
    assert main([bad]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        "bids_fx-model: 1 problem:\n  - model-x_smdl.json: node 'run': Contrasts[0]"
    )


def test_what_cannot_be_run_is_a_fault_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = with_subject(GroupBy=["run", "session", "subject", "contrast"])
    assert main([saved(tmp_path, raw)]) == 65
    assert "node 'subject': its GroupBy leaves nothing to combine" in capsys.readouterr().err


def test_sound_files_are_told_beside_faulty_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = saved(tmp_path, plain(), "model-good_smdl.json")
    assert main([good, saved(tmp_path, []), str(tmp_path / "none.json")]) == 66
    out, err = capsys.readouterr()
    assert "model-good_smdl.json: model 'plain'" in out
    assert err.startswith("bids_fx-model: 2 problems:\n")


def test_upgrade_prints_the_present_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = plain()
    raw["Steps"] = [{k: v for k, v in node.items() if k != "Name"} for node in raw.pop("Nodes")]
    assert main(["--upgrade", saved(tmp_path, raw)]) == 0
    assert read(json.loads(capsys.readouterr().out)) == read(plain())


def test_old_form_says_how_it_is_upgraded() -> None:
    raw = plain()
    raw["Steps"] = raw.pop("Nodes")
    assert "bids_fx-model --upgrade FILE prints it in the present form" in told(raw)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--help"], 0, "usage: bids_fx-model [-h] [--upgrade] [--version] FILE [FILE ...]"),
        (["--version"], 0, "bids_fx "),
        ([], 2, "the following arguments are required: FILE"),
        (["--upgrade", "a", "b"], 2, "--upgrade takes one FILE"),
        ([""], 2, "the path is empty"),
    ],
)
def test_usage_is_as_usual(
    words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == code
    assert text in "".join(capsys.readouterr())


def test_models_are_told_without_heavy_packages() -> None:
    code = (
        "import sys, bids_fx.cli.explain_model, bids_fx.stats_models.explain\n"
        "import bids_fx.stats_models.read, bids_fx.stats_models.write\n"
        "heavy = {'pandas', 'nibabel', 'nipype', 'nilearn', 'matplotlib', 'bids'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
