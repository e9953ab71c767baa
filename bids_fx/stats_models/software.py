"""What a model file says to this program alone: ``Model.Software.bids_fx``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bids_fx.glm.names import normalise_drift_name, normalise_hrf_name, normalise_noise_name
from bids_fx.settings import COMBINATIONS, MISSING_POLICIES, SIGNAL_SCALINGS
from bids_fx.stats_models.findings import (
    Place,
    folded,
    kind_of,
    read_object,
    says_nothing,
    texts_of,
)
from bids_fx.stats_models.names import is_held
from bids_fx.suggest import did_you_mean, listed
from bids_fx.transforms.scope import is_pattern
from bids_fx.values import (
    BadValueError,
    all_combinable,
    all_confounds,
    choice,
    combinable,
    displacement_mm,
    dummy_scans,
    model_name,
    period_s,
    slice_time,
    smoothing_mm,
)

#: Its name in the file.
PROGRAM = "bids_fx"
LABELS = "Labels"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting that a model file can have.

    Parameters
    ----------
    field : str
        Its name in `bids_fx.settings.AnalysisSettings`.
    convert : callable
        Takes the text as the command line would get it, or one text of a list.
    finish : callable
        Takes all converted texts of a list.
    kind : str
        What the value of JSON must be: ``text`` (or a number), ``list`` or ``flag``.
    above : bool
        Whether nodes above run level have it too.
    """

    field: str
    convert: Callable[[str], object] | None = None
    finish: Callable[[Sequence[Any]], object] | None = None
    kind: Literal["text", "list", "flag"] = "text"
    above: bool = False


SETTINGS: dict[str, Setting] = {
    "HRFModel": Setting("hrf_model", model_name(normalise_hrf_name)),
    "Confounds": Setting("confounds", finish=all_confounds, kind="list"),
    "HighPass": Setting("high_pass_s", period_s),
    "DriftModel": Setting("drift_model", model_name(normalise_drift_name)),
    "NoiseModel": Setting("noise_model", model_name(normalise_noise_name)),
    "SmoothingFWHM": Setting("smoothing_fwhm_mm", smoothing_mm),
    "SignalScaling": Setting("signal_scaling", choice(SIGNAL_SCALINGS)),
    "FDThreshold": Setting("fd_threshold_mm", displacement_mm),
    "DummyScans": Setting("dummy_scans", dummy_scans),
    "SliceTimeRef": Setting("slice_time_ref", slice_time),
    "Combination": Setting("combination", choice(COMBINATIONS), above=True),
    "CombineOver": Setting("combine_over", combinable, all_combinable, "list", above=True),
    "CombineSubset": Setting("combine_subset", kind="flag"),
    "Missing": Setting("missing", choice(MISSING_POLICIES)),
}


def read_software(
    raw: object, place: Place, *, at_run: bool
) -> tuple[dict[str, object], dict[str, str]]:
    """Return the settings of this program, and the labels of contrasts.

    Parameters
    ----------
    raw : object
        ``Model.Software``; None where there is none.
    place : Place
        The node.
    at_run : bool
        Whether the node is of level run.

    Returns
    -------
    settings : dict of str to object
        Checked values by the fields of `bids_fx.settings.AnalysisSettings`.
    labels : dict of str to str
        By the names of contrasts, unchecked against them, see `check_labels`.
    """
    if raw is None:
        return {}, {}
    place = place.at("Software")
    if not isinstance(raw, dict):
        place.fault(f"it is {kind_of(raw)}", "write an object of programs")
        return {}, {}
    own: dict[str, object] = {}
    others = []
    for name, value in raw.items():
        if folded(name) != folded(PROGRAM):
            others += [] if says_nothing(value) else [name]
            continue
        place.spelled(name, PROGRAM)
        own = read_object(value, place.at(PROGRAM), (*SETTINGS, LABELS))
    if others:
        place.note(f"what it says to {listed(others)} is not for this program and is passed over")
    labels = _read_labels(own.pop(LABELS, {}), place.at(PROGRAM).at(LABELS))
    settings = {}
    for key, value in own.items():
        where = place.at(PROGRAM).at(key)
        if not (at_run or SETTINGS[key].above):
            where.fault("it is a setting of the runs", "move it to the node of level Run")
            continue
        try:
            settings[SETTINGS[key].field] = _checked(value, SETTINGS[key], where)
        except BadValueError as error:
            where.fault(error.found, error.remedy)
    return settings, labels


def _checked(value: object, setting: Setting, place: Place) -> object:
    """Return the value of a setting; raise BadValueError where it cannot be."""
    if setting.kind == "flag":
        if not isinstance(value, bool):
            raise BadValueError(f"it is {kind_of(value)}", "write true or false")
        return value
    if setting.kind == "list":
        texts = texts_of(value, place)
        values = texts if setting.convert is None else [setting.convert(text) for text in texts]
        return values if setting.finish is None else setting.finish(values)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadValueError(f"it is {kind_of(value)}", "write a number or a text")
    return value if setting.convert is None else setting.convert(str(value))


def _read_labels(raw: object, place: Place) -> dict[str, str]:
    """Return labels of contrasts that can stand in file names."""
    if not isinstance(raw, dict):
        place.fault(f"it is {kind_of(raw)}", "write an object, contrasts' names to labels")
        return {}
    labels: dict[str, str] = {}
    for name, label in raw.items():
        if not isinstance(label, str) or not re.fullmatch("[a-zA-Z0-9]+", label):
            place.named(name).fault(f"{kind_of(label)} is no label", "use letters and digits")
        elif label.casefold() in (other.casefold() for other in labels.values()):
            place.named(name).fault(f"'{label}' is another's label too", "give each its own")
        else:
            labels[name] = label
    return labels


def check_labels(labels: Mapping[str, str], names: tuple[str, ...], place: Place) -> None:
    """Check that labels are those of contrasts of their node.

    Parameters
    ----------
    labels : mapping of str to str
        By the names of contrasts.
    names : tuple of str
        Names of the node's contrasts, or shell patterns of them.
    place : Place
        The node.
    """
    literal = [name for name in names if not is_pattern(name)]
    for name in labels:
        if not is_held(name, names):
            question = did_you_mean(name, literal)
            found = f"no contrast is named '{name}'" + (f" ({question})" if question else "")
            place.at(LABELS).fault(found, f"the node has {listed(literal)}")
