"""``Model`` of a node, as it stands in the file: the design and how it is fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bids_fx.stats_models.findings import (
    Place,
    choice_of,
    folded,
    kind_of,
    read_object,
    says_nothing,
    texts_of,
)
from bids_fx.stats_models.hrf import read_hrf
from bids_fx.stats_models.names import read_name, repeated
from bids_fx.stats_models.records import INTERCEPT, ModelHRF, NodeLevel
from bids_fx.stats_models.software import read_software

_MODEL_KEYS = ("Type", "X", "HRF", "Options", "Software")
_OPTION_KEYS = ("HighPassFilterCutoffHz",)
#: What would have no effect here, and what to do instead.
_REFUSED_MODEL = {
    "Formula": "list its terms in X, made by Transformations such as Product, and leave it out",
    "VarianceComponents": "leave it out; runs are combined by fixed effects",
    "ErrorDistribution": 'leave it out; "Software": {"bids_fx": {"NoiseModel": "ar1"}} chooses '
    "the noise model",
    "Mask": "leave it out; each run is fitted within its own brain mask",
    "Aggregate": "leave it out; each voxel is fitted by itself",
}
_REFUSED_OPTIONS = {
    "LowPassFilterCutoffHz": "leave it out; the noise model takes care of autocorrelation",
    "ReplaceVariables": "leave it out; all voxels have the same design",
    "Mask": _REFUSED_MODEL["Mask"],
    "Aggregate": _REFUSED_MODEL["Aggregate"],
}
#: A cut-off above this, in Hz, would leave no slow signal of any task: it must be seconds.
_FASTEST_CUTOFF_HZ = 1.0


@dataclass(slots=True)
class NodeModel:
    """What ``Model`` of a node says; `x` is None where it cannot be read."""

    x: tuple[str, ...] | None = None
    has_intercept: bool = False
    model_type: str = "glm"
    hrf: ModelHRF | None = None
    high_pass_hz: float | None = None
    software: dict[str, object] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def read_node_model(raw: object, place: Place, level: NodeLevel) -> NodeModel:
    """Return what ``Model`` says; absent above run level, it is the plain combination.

    Parameters
    ----------
    raw : object
        Plain JSON; None where there is none.
    place : Place
        The node.
    level : str
        Of the node.
    """
    if raw is None and level != "run":
        place.note("it has no Model, and is read as X = [1]")
        usual = "glm" if level == "dataset" else "meta"
        return NodeModel(x=(), has_intercept=True, model_type=usual)
    if level == "dataset":
        return _read_dataset_model(raw, place)
    values = read_object(
        {} if raw is None else raw, place.at("Model"), _MODEL_KEYS, refused=_REFUSED_MODEL
    )
    model = NodeModel(model_type=_read_type(values.get("Type"), place, level))
    if raw is None or isinstance(raw, dict):
        _read_x(values.get("X"), place, level, model)
    model.hrf = read_hrf(values.get("HRF"), place, model.x)
    model.high_pass_hz = _read_high_pass(values.get("Options"), place)
    model.software, model.labels = read_software(
        values.get("Software"), place, at_run=level == "run"
    )
    if level != "run":
        for key, value in (("HRF", model.hrf), (_OPTION_KEYS[0], model.high_pass_hz)):
            if value is not None:
                place.fault(f"{key} has no meaning above run level", "leave it out")
    return model


def _read_dataset_model(raw: object, place: Place) -> NodeModel:
    """Return what ``Model`` says at dataset level, where most of it has no effect yet."""
    level: NodeLevel = "dataset"
    values = read_object(raw, place.at("Model"), (*_MODEL_KEYS, *_REFUSED_MODEL))
    known = (*_OPTION_KEYS, *_REFUSED_OPTIONS)
    options = read_object(values.get("Options", {}), place.at("Options"), known)
    model = NodeModel(model_type=_read_type(values.get("Type"), place, level))
    if isinstance(raw, dict):
        _read_x(values.get("X"), place, level, model)
    stated = {key: values.get(key) for key in ("HRF", *_REFUSED_MODEL)} | options
    idle = [key for key, value in stated.items() if not says_nothing(value)]
    if idle:
        place.note(f"{', '.join(idle)} has no effect, since the level is not run")
    model.software, model.labels = read_software(values.get("Software"), place, at_run=False)
    return model


def _read_type(value: object, place: Place, level: NodeLevel) -> str:
    """Return the type of a model."""
    usual = "glm" if level in ("run", "dataset") else "meta"
    if value is None:
        if level != "dataset":
            place.note(f"its Model has no Type, and is read as '{usual}'")
        return usual
    place = place.at("Model").at("Type")
    if level == "dataset" and isinstance(value, str) and folded(value) not in _TYPES:
        return value
    word = choice_of(value, place, {"glm": "glm", "meta": "meta", "FEMA": "meta"}, "type")
    if word is None or level == "dataset" or word == usual:
        return word or usual
    if level == "run":
        place.fault(f"a node of level Run cannot be '{value}'", "write glm")
    else:
        place.fault(
            f"'glm' would take the spread between the results below for their error, by ordinary "
            f"least squares, which is not handled at level {level.capitalize()}",
            "write meta to combine them by fixed effects",
        )
    return usual


_TYPES = ("glm", "meta", "fema")


def _read_x(value: object, place: Place, level: NodeLevel, model: NodeModel) -> None:
    """Take the names of X."""
    place = place.at("Model").at("X")
    if value is None and level != "run":
        place.note("it is not there, and is read as [1]")
        model.x, model.has_intercept = (), True
        return
    if value is None or value == []:
        place.fault("there is none", "list the variables that the design consists of")
        return
    names = texts_of(value, place)
    if len(names) < (len(value) if isinstance(value, list) else 1):
        return
    if "0" in names:
        place.fault("0 leaves no intercept", "leave it out; the design always has an intercept")
        return
    if "intercept" in names:
        place.note("'intercept' is read as the intercept, 1")
    variables = tuple(map(read_name, names))
    twice = repeated(variables)
    if twice is not None:
        shown = "1" if twice == INTERCEPT else twice
        place.fault(f"it names '{shown}' twice", "name each variable once")
    model.has_intercept = INTERCEPT in variables
    model.x = tuple(name for name in variables if name != INTERCEPT)
    if level == "run" and not model.has_intercept:
        place.note("the design also has an intercept, which X does not name")


def _read_high_pass(raw: object, place: Place) -> float | None:
    """Return the cut-off of the high-pass filter in Hz, or None where there is none."""
    place = place.at("Options")
    values = read_object({} if raw is None else raw, place, _OPTION_KEYS, refused=_REFUSED_OPTIONS)
    value = values.get(_OPTION_KEYS[0])
    if value is None:
        return None
    place = place.at(_OPTION_KEYS[0])
    if isinstance(value, bool) or not isinstance(value, int | float):
        place.fault(f"it is {kind_of(value)}", "give a frequency in Hz, such as 0.008")
    elif not (math.isfinite(value) and value > 0):
        place.fault(f"{value:g} Hz is not possible", "give a frequency > 0 in Hz, such as 0.008")
    elif value > _FASTEST_CUTOFF_HZ:
        place.fault(
            f"{value:g} Hz would leave nothing of the data",
            f"if {value:g} seconds were meant, write {1 / value:.4g}",
        )
    else:
        return float(value)
    return None
