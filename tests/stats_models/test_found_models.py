"""Model files of other programs: each is read as it is meant, or refused with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bids_fx.stats_models.outputs import node_contrasts
from bids_fx.stats_models.read import read_model
from bids_fx.stats_models.write import model_json

FOUND = Path(__file__).parent.parent / "data" / "stats_models"
FITLINS = "fitlins/examples/models/{}/models/model-001_smdl.json"

#: Nodes with their levels and the contrasts they make, and some words of each notice but the last.
READ = {
    "stats-models/specification/examples/model-example_smdl.json": (
        {
            ("run", "run"): ["incongruent_vs_congruent"],
            ("subject", "subject"): ["incongruent_vs_congruent"],
            ("dataset", "dataset"): ["intercept"],
        },
        ["'dataset': the level Dataset is not run yet"],
    ),
    "stats-models/specification/examples/model-walkthrough_smdl.json": (
        {
            ("run_level", "run"): ["IvC"],
            ("subject_level", "subject"): ["IvC"],
            ("one-sample_dataset", "dataset"): ["intercept"],
        },
        ["Dataset is not run yet", r"'task without brackets' \(a list\)"],
    ),
    FITLINS.format("ds000003"): (
        {
            ("subject", "run"): [
                *("word_gt_pseudo", "task_vs_baseline"),
                *("trial_type.word", "trial_type.pseudoword"),
            ],
            ("t-test", "dataset"): ["intercept"],
            ("F-test", "dataset"): ["any_words"],
        },
        [
            "no Type, and is read as 'glm'",
            "without 'run'",
            "'t-test'.*not run",
            "'F-test'.*not run",
        ],
    ),
    FITLINS.format("ds000030"): (
        {("run", "run"): ["accept_vs_explode"], ("dataset", "dataset"): ["intercept"]},
        [
            *("old form of Steps", "no BIDSModelVersion", "no Type", "also has an intercept"),
            *("Transformations: it is a list", "GroupBy: .* read as run, subject"),
            *("no Model, and is read as X = ", "GroupBy: .* read as contrast"),
            *("passes on accept_vs_explode alone", "Dataset is not run yet"),
        ],
    ),
    FITLINS.format("ds000114"): (
        {
            ("run", "run"): ["finger_vs_others"],
            ("session", "session"): ["finger_vs_others"],
            ("subject", "subject"): ["session_diff"],
            ("dataset", "dataset"): ["intercept"],
        },
        [
            *("old form of Steps", "no BIDSModelVersion", "no Type", "also has an intercept"),
            *("it is a list", "run, subject", "'session': it has no Model"),
            *("session, subject, contrast", "'subject': its Model has no Type", "it is a list"),
            *("read as subject", "no Model", "read as contrast", "session_diff alone", "not run"),
        ],
    ),
    FITLINS.format("ds000117"): (
        {
            ("run", "run"): ["face_vs_scram"],
            ("subject", "subject"): ["face_vs_scram"],
            ("dataset", "dataset"): ["intercept"],
        },
        [
            *("old form of Steps", "no BIDSModelVersion", "no Type", "also has an intercept"),
            *("it is a list", "run, subject", "'subject': it has no Model"),
            *("'FEMA' of old files is read as a t test", "subject, contrast", "no Model"),
            *("contrast", "face_vs_scram alone", "face_vs_scram alone", "not run"),
        ],
    ),
    "pybids/ds-005_type-test_intercept.json": (
        {
            ("run", "run"): ["gain"],
            ("participant", "subject"): ["gain"],
            ("group", "dataset"): ["intercept"],
        },
        ["no BIDSModelVersion", "no Type", "no Type", "'FEMA'", "Dataset is not run yet"],
    ),
    "pybids/ds-005_type-mfx_model.json": (
        {("run", "run"): ["trial_type", "RT"], ("group", "dataset"): []},
        [
            *("no BIDSModelVersion", "no Type", "also has an intercept", "it is a list"),
            *("run, subject", "VarianceComponents has no effect", "nothing", "not run yet"),
        ],
    ),
}
REFUSED = {
    "pybids/ds-005_type-interceptonlyrunlevel_model.json": [
        "'Run': HRF: Variables: 'trial_type.parametric gain' is not in X; name what X has: none",
        "'Run': HRF: the HRF model .*: a dispersion must be above 0 s and at most the delay",
        r"Contrasts\[0\] 'run_parametric gain': 'trial_type.parametric gain' is not in X",
    ],
    "pybids/ds-005_type-testnodummy_model.json": [
        "'run': Model: Formula is not handled, and would have no effect; list its terms in X",
        r"'run': Contrasts\[2\] 'RT:gain': 'RT:gain' is not in X \(did you mean 'gain'\?\)",
    ],
    "pybids/ds-005_type-test_model.json": [
        "there is no key 'dummy'; the keys are Name, BIDSModelVersion, Input, Nodes",
        "there are no Nodes; write a BIDS Stats Model, with a list of Nodes",
    ],
}


def test_each_file_is_among_those_read_and_those_refused() -> None:
    found = {path.relative_to(FOUND).as_posix() for path in FOUND.rglob("*.json")}
    assert found == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READ)
def test_file_is_read_with_its_nodes_and_notices(name: str) -> None:
    nodes, texts = READ[name]
    model, problems, notices = read_model(FOUND / name)
    assert problems == ()
    assert model is not None
    made = {
        (node.name, node.level): [contrast.name for contrast in node_contrasts(model, node)]
        for node in model.nodes
    }
    assert made == nodes
    own = [notice.text for notice in notices if "not spelled as" not in notice.text]
    spelling = [notice.text for notice in notices if "not spelled as" in notice.text]
    in_order = [*own, *spelling][: len(texts)]
    assert len(own) <= len(texts)
    assert [
        (text, notice)
        for text, notice in zip(texts, in_order, strict=True)
        if not re.search(text, notice)
    ] == []


@pytest.mark.parametrize("name", REFUSED)
def test_file_is_refused_with_what_to_do(name: str) -> None:
    model, problems, _ = read_model(FOUND / name)
    assert model is None
    assert len(problems) == len(REFUSED[name])
    for problem, text in zip(problems, REFUSED[name], strict=True):
        assert re.search(text, str(problem))


@pytest.mark.parametrize("name", READ)
def test_file_in_the_present_form_gives_the_same_model(name: str, tmp_path: Path) -> None:
    model, _, _ = read_model(FOUND / name)
    assert model is not None
    upgraded = tmp_path / "model-new_smdl.json"
    upgraded.write_text(model_json(model), encoding="utf-8")
    again, problems, _ = read_model(upgraded)
    assert problems == ()
    assert again == model
