"""Small model files, for tests of what is read from them."""

from __future__ import annotations

import copy
from typing import Any

from bids_fx.stats_models.read import parse_model
from bids_fx.stats_models.records import StatsModel

Json = dict[str, Any]

#: Two conditions, one contrast; runs, then participants, then all of them.
PLAIN: Json = {
    "Name": "plain",
    "BIDSModelVersion": "1.0.0",
    "Nodes": [
        {
            "Level": "Run",
            "Name": "run",
            "GroupBy": ["run", "subject"],
            "Model": {"Type": "glm", "X": ["face", "house", 1]},
            "Contrasts": [
                {
                    "Name": "diff",
                    "ConditionList": ["face", "house"],
                    "Weights": [1, -1],
                    "Test": "t",
                }
            ],
        },
        {
            "Level": "Subject",
            "Name": "subject",
            "GroupBy": ["subject", "contrast"],
            "Model": {"Type": "meta", "X": [1]},
            "DummyContrasts": {"Test": "t"},
        },
    ],
}


def plain() -> Json:
    """Return a fresh copy of `PLAIN`."""
    return copy.deepcopy(PLAIN)


def with_run(**changes: object) -> Json:
    """Return the plain model with other keys in its run node."""
    raw = plain()
    raw["Nodes"][0].update(changes)
    return raw


def with_run_model(**changes: object) -> Json:
    """Return the plain model with other keys in ``Model`` of its run node."""
    raw = plain()
    raw["Nodes"][0]["Model"].update(changes)
    return raw


def with_subject(**changes: object) -> Json:
    """Return the plain model with other keys in its subject node; None removes one."""
    raw = plain()
    raw["Nodes"][1].update(changes)
    return raw


def with_contrast(**changes: object) -> Json:
    """Return the plain model with other keys in its contrast."""
    raw = plain()
    raw["Nodes"][0]["Contrasts"][0].update(changes)
    return raw


def a_contrast(name: str, weights: dict[object, object], test: str = "t") -> Json:
    """Return a contrast of weights by condition."""
    return {
        "Name": name,
        "ConditionList": list(weights),
        "Weights": list(weights.values()),
        "Test": test,
    }


def faults_of(raw: object) -> list[str]:
    """Return what is wrong with a model, without the file's name."""
    model, problems, _ = parse_model(raw, "m.json")
    assert (model is None) == bool(problems)
    return [str(problem).removeprefix("m.json: ") for problem in problems]


def read(raw: object) -> StatsModel:
    """Return a model that must be sound."""
    model, problems, _ = parse_model(raw, "m.json")
    assert problems == ()
    assert model is not None
    return model


def notices_of(raw: object) -> list[str]:
    """Return what was assumed of a sound model, without the file's name."""
    _, problems, notices = parse_model(raw, "m.json")
    assert problems == ()
    return [notice.text.removeprefix("m.json: ") for notice in notices]
