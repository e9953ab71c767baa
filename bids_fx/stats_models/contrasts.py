"""The contrasts of a node, as they stand in the file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bids_fx.expressions import MAX_WEIGHT, MIN_WEIGHT, is_weight
from bids_fx.f_tests import dependence
from bids_fx.stats_models.findings import Place, choice_of, kind_of, read_object, text_of
from bids_fx.stats_models.names import is_held, read_name, repeated
from bids_fx.stats_models.records import (
    INTERCEPT,
    DummyContrasts,
    NodeContrast,
    NodeTest,
)
from bids_fx.suggest import did_you_mean, listed

_KEYS = ("Name", "ConditionList", "Weights", "Test")
_DUMMY_KEYS = ("Contrasts", "Test")
_TESTS: dict[str, NodeTest] = {"t": "t", "F": "F", "pass": "pass"}
#: Tests of old files: a t test of a fixed effect.
_META_TESTS = ("fema", "meta")
_NUMBER = r"\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*"
_FRACTION = re.compile(rf"{_NUMBER}(?:/{_NUMBER})?")


def read_contrasts(
    raw: object, place: Place, x: tuple[str, ...] | None, *, has_intercept: bool
) -> tuple[NodeContrast, ...]:
    """Return the contrasts of a node.

    Parameters
    ----------
    raw : object
        ``Contrasts``; None where there are none.
    place : Place
        The node.
    x : tuple of str or None
        Names in X without the intercept; None where they cannot be read.
    has_intercept : bool
        Whether X names the intercept.
    """
    if raw is None:
        return ()
    items = raw if isinstance(raw, list) else [raw]
    if not isinstance(raw, list):
        place.spelled("Contrasts without brackets", "a list")
    found = []
    for i, item in enumerate(items):
        contrast = _read_contrast(item, place.at(f"Contrasts[{i}]"))
        if contrast is not None:
            at = place.at(f"Contrasts[{i}]").named(contrast.name)
            _check_conditions(contrast.conditions, at, x, has_intercept=has_intercept)
            found.append(contrast)
    names = [contrast.name for contrast in found]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            place.at("Contrasts").fault(
                f"{names.count(name)} contrasts are named '{name}'", "give each its own name"
            )
    return tuple(found)


def read_dummies(
    raw: object, place: Place, x: tuple[str, ...] | None, *, has_intercept: bool, at_run: bool
) -> DummyContrasts | None:
    """Return the dummy contrasts of a node, or None where there are none.

    Parameters
    ----------
    raw : object
        ``DummyContrasts``; None where there are none.
    place : Place
        The node.
    x : tuple of str or None
        Names in X without the intercept; None where they cannot be read.
    has_intercept : bool
        Whether X names the intercept.
    at_run : bool
        Whether the node is of level run. Above it, names beside an intercept alone may be those
        of the contrasts that come from below.
    """
    if raw is None:
        return None
    place = place.at("DummyContrasts")
    old = {"Conditions": "Contrasts", "ConditionList": "Contrasts", "Type": "Test"}
    values = read_object(raw, place, _DUMMY_KEYS, old=old)
    test = _test(values.get("Test"), place) or "t"
    if "Contrasts" not in values:
        return DummyContrasts(test=test)
    conditions = _names(values["Contrasts"], place.at("Contrasts"))
    if not conditions:
        return None
    if at_run or x:
        _check_conditions(conditions, place, x, has_intercept=has_intercept)
    return DummyContrasts(conditions=conditions, test=test)


def _read_contrast(raw: object, place: Place) -> NodeContrast | None:
    """Return one contrast, or None where it cannot be read."""
    values = read_object(raw, place, _KEYS, old={"Type": "Test"})
    if not isinstance(raw, dict):
        return None
    missing = [key for key in ("Name", "ConditionList", "Weights") if key not in values]
    if missing:
        place.fault(f"{' and '.join(missing)} not there", "each contrast needs them")
        return None
    name = text_of(values["Name"], place.at("Name"))
    if name is None:
        return None
    if not isinstance(values["Name"], str):
        place.note(f"its name is the number {name}, read as text")
    place = place.named(name)
    conditions = _names(values["ConditionList"], place.at("ConditionList"))
    rows = _rows(values["Weights"], place.at("Weights"))
    if rows is None or not conditions:
        return None
    if "Test" in values:
        test = _test(values["Test"], place)
    else:
        test = "t" if len(rows) == 1 else "F"
        place.note(f"it has no Test, and is read as {'a t' if test == 't' else 'an F'} test")
    if test is None or not _are_sound(rows, conditions, test, place):
        return None
    return NodeContrast(name=name, conditions=conditions, weights=rows, test=test)


def _test(value: object, place: Place) -> NodeTest | None:
    """Return a test; None where there is none, or none that is known."""
    if value is None:
        return None
    if isinstance(value, str) and value.casefold() in _META_TESTS:
        place.note(f"Test '{value}' of old files is read as a t test")
        return "t"
    word = choice_of(value, place.at("Test"), _TESTS, "test")
    return None if word is None else _TESTS[word]


def _names(value: object, place: Place) -> tuple[str, ...]:
    """Return names of conditions, the intercept in its one spelling."""
    if not isinstance(value, list):
        place.spelled(f"{place.text.rpartition(': ')[2]} without brackets", "a list")
    names: list[str] = []
    for item in value if isinstance(value, list) else [value]:
        name = text_of(item, place)
        if name is not None:
            names.append(read_name(name))
    twice = repeated(names)
    if twice is not None:
        place.fault(f"it names '{twice}' twice", "name each once, with the sum of its weights")
    return tuple(names)


def _rows(value: object, place: Place) -> tuple[tuple[float, ...], ...] | None:
    """Return weights as rows of numbers; None where they cannot be read."""
    if not isinstance(value, list):
        place.spelled("Weights without brackets", "a list")
    items = value if isinstance(value, list) else [value]
    rows = [row for row in items if isinstance(row, list)]
    if len(rows) < len(items):
        rows = [items]
    read = [[_weight(item, place) for item in row] for row in rows]
    numbers = [tuple(weight for weight in row if weight is not None) for row in read]
    if not rows:
        place.fault("there are none", "give a number for each condition")
        return None
    if any(len(row) != len(given) for row, given in zip(numbers, rows, strict=True)):
        return None
    return tuple(numbers)


def _weight(value: object, place: Place) -> float | None:
    """Return a weight: a number, or a fraction such as ``1/3`` as a text."""
    number = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _quotient(value, 1)
    elif isinstance(value, str) and (match := _FRACTION.fullmatch(value)) is not None:
        number = _quotient(float(match[1]), float(match[2] or 1))
    if number is None:
        place.fault(
            f"{kind_of(value)} is no weight", 'write finite numbers, or fractions such as "1/3"'
        )
    elif not is_weight(number):
        place.fault(
            f"the weight {number:g} is too large or too small",
            f"give weights from {MIN_WEIGHT:g} to {MAX_WEIGHT:g} in size, or 0",
        )
    return number


def _quotient(above: float, below: float) -> float | None:
    """Return a finite quotient, or None where there is none."""
    try:
        number = above / below
    except (OverflowError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _are_sound(
    rows: tuple[tuple[float, ...], ...], conditions: tuple[str, ...], test: NodeTest, place: Place
) -> bool:
    """Check that weights suit their conditions and their test."""
    where = place.at("Weights")
    lengths = [len(row) for row in rows]
    if any(length != len(conditions) for length in lengths):
        found = " and ".join(dict.fromkeys(map(str, lengths)))
        where.fault(
            f"{found} {'weight' if lengths == [1] else 'weights'} for "
            f"{len(conditions)} in ConditionList ({listed(conditions)})",
            "give as many weights as conditions",
        )
        return False
    if test != "F" and len(rows) > 1:
        where.fault(
            f"{len(rows)} rows for a {'t test' if test == 't' else 'contrast of Test pass'}",
            "give one row, or write Test F",
        )
        return False
    zero = next((i for i, row in enumerate(rows, start=1) if not any(row)), None)
    if zero is not None:
        which = "all weights are 0" if len(rows) == 1 else f"all weights of row {zero} are 0"
        where.fault(which, "a contrast needs a weight that is not 0")
        return False
    dependent = dependence([dict(zip(conditions, row, strict=True)) for row in rows])
    if dependent is not None:
        where.fault(f"its rows are linearly dependent: {dependent}", "leave that row out")
        return False
    return True


def _check_conditions(
    conditions: Sequence[str], place: Place, x: tuple[str, ...] | None, *, has_intercept: bool
) -> None:
    """Check that X has the conditions of a contrast."""
    if x is None:
        return
    for name in conditions:
        if name == INTERCEPT:
            if not has_intercept:
                place.fault("it names the intercept (1), which is not in X", "add 1 to X")
        elif not is_held(name, x):
            question = did_you_mean(name, x)
            found = f"'{name}' is not in X" + (f" ({question})" if question else "")
            place.fault(found, f"name what X has: {listed(x)}")
