"""Writing models down, in the specification's spelling."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bids_fx.errors import visible_json
from bids_fx.glm.names import double_gamma_parameters, fir_delays
from bids_fx.stats_models.names import long_key
from bids_fx.stats_models.nodes import LEVELS
from bids_fx.stats_models.records import (
    INTERCEPT,
    DummyContrasts,
    Edge,
    ModelHRF,
    Node,
    NodeContrast,
    StatsModel,
)
from bids_fx.stats_models.software import LABELS, PROGRAM, SETTINGS
from bids_fx.stats_models.transformations import TRANSFORMER
from bids_fx.transforms.records import Instruction

_GAMMA = (
    *("PeakDelay", "UndershootDelay", "PeakDispersion", "UndershootDispersion"),
    "PeakUndershootRatio",
)
_LEVEL_NAMES = {level: name for name, level in LEVELS.items()}
#: Lists and objects that fit into it stand on one line.
_WIDTH = 88


def model_json(model: StatsModel) -> str:
    """Return a model as JSON that `bids_fx.stats_models.read.parse_model` reads again.

    Parameters
    ----------
    model : StatsModel
        A sound model.

    Returns
    -------
    str
        Always the same for equal models; ends with a line break.
    """
    content: dict[str, object] = {"Name": model.name, "BIDSModelVersion": model.version}
    if model.description:
        content["Description"] = model.description
    if model.input:
        content["Input"] = _filter(model.input)
    content["Nodes"] = [_node(node) for node in model.nodes]
    if model.edges:
        content["Edges"] = [_edge(edge) for edge in model.edges]
    return f"{visible_json(_laid_out(content, indent=0))}\n"


def _laid_out(value: object, *, indent: int) -> str:
    """Return JSON with short lists and objects on one line each."""
    flat = json.dumps(value, ensure_ascii=False)
    holds_objects = isinstance(value, list) and any(isinstance(item, dict) for item in value)
    is_short = len(flat) + indent <= _WIDTH and not holds_objects and indent > 0
    if is_short or not value or not isinstance(value, dict | list):
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        opening, closing = "{}"
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(item, indent=indent + 2)}"
            for key, item in value.items()
        ]
    else:
        opening, closing = "[]"
        parts = [_laid_out(item, indent=indent + 2) for item in value]
    lines = ",\n".join(inner + part for part in parts)
    return f"{opening}\n{lines}\n{' ' * indent}{closing}"


def _filter(chosen: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    return {long_key(key): list(labels) for key, labels in chosen.items()}


def _edge(edge: Edge) -> dict[str, object]:
    content: dict[str, object] = {"Source": edge.source, "Destination": edge.destination}
    if edge.filter:
        content["Filter"] = _filter(edge.filter)
    return content


def _node(node: Node) -> dict[str, object]:
    content: dict[str, object] = {
        "Level": _LEVEL_NAMES[node.level],
        "Name": node.name,
        "GroupBy": [long_key(key) for key in node.group_by],
    }
    if node.instructions:
        items = [_instruction(item) for item in node.instructions]
        content["Transformations"] = {"Transformer": TRANSFORMER, "Instructions": items}
    content["Model"] = _model(node)
    if node.contrasts:
        content["Contrasts"] = [_contrast(contrast) for contrast in node.contrasts]
    if node.dummies is not None:
        content["DummyContrasts"] = _dummies(node.dummies)
    return content


def _instruction(item: Instruction) -> dict[str, object]:
    content: dict[str, object] = {"Name": item.name}
    if item.inputs:
        content["Input"] = list(item.inputs)
    content |= {key: _plain(value) for key, value in item.arguments.items()}
    if item.outputs:
        content["Output"] = list(item.outputs)
    return content


def _plain(value: object) -> object:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _model(node: Node) -> dict[str, object]:
    """Return ``Model`` of a node."""
    x = [*node.x, *([INTERCEPT] if node.has_intercept else [])]
    content: dict[str, object] = {"Type": node.model_type, "X": _names(x)}
    if node.hrf is not None:
        content["HRF"] = _hrf(node.hrf)
    if node.high_pass_hz is not None:
        content["Options"] = {"HighPassFilterCutoffHz": node.high_pass_hz}
    own: dict[str, object] = {
        key: _plain(node.software[setting.field])
        for key, setting in SETTINGS.items()
        if setting.field in node.software
    }
    if node.labels:
        own[LABELS] = dict(node.labels)
    if own:
        content["Software"] = {PROGRAM: own}
    return content


def _names(names: list[str] | tuple[str, ...]) -> list[object]:
    """Return names with the intercept as the specification writes it."""
    return [1 if name == INTERCEPT else name for name in names]


def _hrf(hrf: ModelHRF) -> dict[str, object]:
    """Return ``HRF`` with its parameters by name."""
    family, _, rest = hrf.hrf_model.partition(":")
    content: dict[str, object] = {"Variables": list(hrf.variables), "Model": hrf.hrf_model}
    delays = fir_delays(hrf.hrf_model)
    if delays is not None:
        content |= {"Model": family, "Parameters": {"fir_delays": list(delays)}}
    elif rest:
        values = map(_number, double_gamma_parameters(hrf.hrf_model))
        content["Model"] = "DoubleGamma" + "".join(rest.partition(" +")[1:])
        content["Parameters"] = dict(zip(_GAMMA, values, strict=True))
    return content


def _contrast(contrast: NodeContrast) -> dict[str, object]:
    rows = [[_number(weight) for weight in row] for row in contrast.weights]
    return {
        "Name": contrast.name,
        "ConditionList": _names(contrast.conditions),
        "Weights": rows[0] if len(rows) == 1 else rows,
        "Test": contrast.test,
    }


def _dummies(dummies: DummyContrasts) -> dict[str, object]:
    named = {} if dummies.conditions is None else {"Contrasts": _names(dummies.conditions)}
    return {**named, "Test": dummies.test}


def _number(value: float) -> float | int:
    """Return a whole number without a decimal point."""
    return int(value) if value == int(value) else value
