"""The nodes of a model, each as it stands in the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from bids_fx.stats_models.contrasts import read_contrasts, read_dummies
from bids_fx.stats_models.findings import (
    Place,
    choice_of,
    kind_of,
    read_object,
    text_of,
    texts_of,
)
from bids_fx.stats_models.hrf import convolved_twice, nameable
from bids_fx.stats_models.names import (
    CONTRAST,
    entity_key,
    entity_names,
    long_key,
    plain_name,
)
from bids_fx.stats_models.node_models import read_node_model
from bids_fx.stats_models.records import (
    INTERCEPT,
    Node,
    NodeLevel,
)
from bids_fx.stats_models.software import check_labels
from bids_fx.stats_models.transformations import read_transformations
from bids_fx.suggest import did_you_mean

LEVELS: dict[str, NodeLevel] = {
    "Run": "run",
    "Session": "session",
    "Subject": "subject",
    "Dataset": "dataset",
}

_KEYS = ("Level", "Name", "GroupBy", "Transformations", "Model", "Contrasts", "DummyContrasts")
#: What would have no effect here, and what to do instead.
_REFUSED_NODE = {"AutoContrasts": 'write "DummyContrasts": {"Test": "t"}'}


def read_nodes(raw: object, place: Place) -> tuple[Node, ...]:
    """Return the nodes of a model; those with faults are among `Findings.faulty`.

    Parameters
    ----------
    raw : object
        ``Nodes``.
    place : Place
        The file.
    """
    if not isinstance(raw, list) or not raw:
        found = "it is empty" if raw == [] else f"it is {kind_of(raw)}"
        place.at("Nodes").fault(found, "write a list of nodes")
        return ()
    nodes = [_read_node(item, i, place) for i, item in enumerate(raw)]
    names = [node.name for node in nodes if node is not None]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            place.at("Nodes").fault(
                f"{names.count(name)} nodes are named '{name}'", "give each its own name"
            )
    return tuple(node for node in nodes if node is not None)


def _read_node(raw: object, index: int, file: Place) -> Node | None:
    """Return a node; None where its level or name is not known."""
    values = read_object(raw, file.at(f"Nodes[{index}]"), _KEYS, refused=_REFUSED_NODE)
    if not isinstance(raw, dict):
        return None
    place = file.at(f"Nodes[{index}]")
    level = _read_level(values, place)
    name = _read_name(values, level, place)
    if level is None or name is None:
        return None
    place = Place(file.findings, f"{file.text}: node '{name}'", name)
    model = read_node_model(values.get("Model"), place, level)
    at_run = level == "run"
    intercept = model.has_intercept
    instructions = read_transformations(values.get("Transformations"), place)
    columns = nameable(model.x, model.hrf, instructions)
    contrasts = read_contrasts(values.get("Contrasts"), place, columns, has_intercept=intercept)
    dummies = read_dummies(
        values.get("DummyContrasts"), place, model.x, has_intercept=intercept, at_run=at_run
    )
    if model.hrf is not None:
        twice = convolved_twice(model.hrf, instructions)
        if twice is not None:
            place.fault(f"'{twice}' is convolved by an instruction and by HRF", "keep one of them")
    node = Node(
        name=name,
        level=level,
        group_by=_read_grouping(values.get("GroupBy"), place, level, model.x),
        model_type=model.model_type,
        x=model.x or (),
        has_intercept=intercept,
        instructions=instructions,
        hrf=model.hrf,
        high_pass_hz=model.high_pass_hz,
        contrasts=contrasts,
        dummies=dummies,
        software=model.software,
        labels=model.labels,
    )
    if at_run:
        _check_run_node(node, place)
    return node


def _read_level(values: dict[str, object], place: Place) -> NodeLevel | None:
    if "Level" not in values:
        place.fault("Level not there", f"write one of {', '.join(LEVELS)}")
        return None
    word = choice_of(values["Level"], place.at("Level"), {name: name for name in LEVELS}, "level")
    return None if word is None else LEVELS[word]


def _read_name(values: dict[str, object], level: str | None, place: Place) -> str | None:
    if "Name" not in values and level is not None:
        place.note(f"it has no Name, and is named '{level}' by its Level")
        return level
    return text_of(values.get("Name"), place.at("Name"))


def _read_grouping(
    raw: object, place: Place, level: NodeLevel, x: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the short keys by which a node groups what it takes."""
    keys: list[str] = []
    place = place.at("GroupBy")
    if raw is None:
        keys = [*_OWN_KEYS[level], *([CONTRAST] if level != "run" and not x else [])]
        names = ", ".join(map(long_key, keys)) or "nothing"
        place.note(f"it is not there, and is read as {names}")
        return tuple(keys)
    for name in () if raw == [] else texts_of(raw, place):
        key = CONTRAST if name.casefold() == CONTRAST else entity_key(name)
        if key is None and level == "dataset":
            key = name  # a column of participants.tsv
        if key is None:
            question = did_you_mean(name, (CONTRAST, *entity_names()))
            found = f"there is no entity '{name}'" + (f" ({question})" if question else "")
            place.fault(found, "name entities, such as run, session and subject, or contrast")
        elif key not in keys:
            keys.append(key)
    return _completed(keys, place, level)


#: What a node of each level must keep apart.
_OWN_KEYS: dict[NodeLevel, tuple[str, ...]] = {
    "run": ("run", "sub"),
    "session": ("ses", "sub"),
    "subject": ("sub",),
    "dataset": (),
}


def _completed(keys: Sequence[str], place: Place, level: NodeLevel) -> tuple[str, ...]:
    """Return the keys with those that the node's level implies."""
    if level == "run":
        if CONTRAST in keys:
            place.fault("the runs come before any contrast", "leave out contrast")
        if "run" not in keys:
            place.note(
                "without 'run' other programs may fit the runs as one long run; here each run is "
                "fitted by itself"
            )
        return tuple(keys)
    missing = [key for key in _OWN_KEYS[level] if key not in keys]
    for key in missing:
        name = {"sub": "subject", "ses": "session"}[key]
        place.note(f"'{name}' is not in it, and is taken as there at level {level.capitalize()}")
    return (*keys, *missing)


def _check_run_node(node: Node, place: Place) -> None:
    """Check what a node of level run says as a whole."""
    names = [contrast.name for contrast in node.contrasts]
    for name in node.dummy_names:
        if plain_name(name) in map(plain_name, names):
            place.fault(
                f"'{name}' is both a contrast and a dummy contrast",
                "give the contrast another name, or name the others in DummyContrasts.Contrasts",
            )
    if node.dummies is None and not names:
        place.note("it makes no contrast of its own", warning=True)
    names += node.dummy_names
    weighed = {*node.dummy_names, *(name for one in node.contrasts for name in one.conditions)}
    if node.has_intercept and INTERCEPT in weighed:
        place.fault(
            "a contrast weighs the intercept of a run: the signal that effects are percent of",
            "name the conditions in Contrasts or DummyContrasts, without 1",
        )
    check_labels(node.labels, tuple(names), place)
    _check_drift(node, place)
    if node.hrf is not None and node.software.get("hrf_model", node.hrf.hrf_model) != (
        node.hrf.hrf_model
    ):
        place.fault("Model.HRF and Software.bids_fx.HRFModel contradict each other", "keep one")


def _check_drift(node: Node, place: Place) -> None:
    """Check that the model does not say two things of the drift."""
    if node.high_pass_hz is None:
        return
    if node.software.get("drift_model", "cosine") != "cosine":
        place.fault(
            "HighPassFilterCutoffHz asks for a drift of cosines, and Software.bids_fx.DriftModel "
            "for another",
            "keep one of them",
        )
    period = node.software.get("high_pass_s")
    if period is not None and not math.isclose(
        cast("float", period) * node.high_pass_hz, 1.0, rel_tol=1e-3
    ):
        place.fault(
            "HighPassFilterCutoffHz and Software.bids_fx.HighPass contradict each other",
            "keep one of them",
        )
