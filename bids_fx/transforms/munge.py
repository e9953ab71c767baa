"""Instructions that rearrange events: levels, parts, selections, replacements."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bids_fx.entities import LONG_NAMES
from bids_fx.transforms.compute import Arguments, BoolArray
from bids_fx.transforms.query import QueryError, answer, names_in, parse_query, subjects_of
from bids_fx.transforms.records import (
    Dense,
    Levels,
    Sparse,
    TransformError,
    Variable,
)
from bids_fx.transforms.scope import (
    Scope,
    check_aligned,
    counted,
    events_of,
    with_values,
)


def label_of(value: object) -> str:
    """Return a level's label: whole numbers without a decimal point.

    Examples
    --------
    >>> label_of("face"), label_of(2.0), label_of(0.5)
    ('face', '2', '0.5')
    """
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def labels(variable: Variable) -> npt.NDArray[np.object_]:
    """Return the label of each value; None where it is missing."""
    result = np.empty(variable.values.size, dtype=object)
    for row, value in enumerate(variable.values.tolist()):
        missing = value is None or value != value  # only NaN is not itself
        result[row] = None if missing else label_of(value)
    return result


def factor(scope: Scope, name: str, out: str, variable: Variable, arguments: Arguments) -> None:
    """Put an indicator for each level in the place of a variable.

    The events stay, so that the indicators are aligned with other columns of the table; one
    without a value is 0 in all. ``Constraint`` drop_one leaves out the reference level, mean_zero
    too, whose events are -1 / (number of levels - 1) in all others; it does nothing where there
    is one level. The levels are those of the run; without ``RefLevel`` the first of them is the
    reference, which is told.
    """
    events = events_of(name, variable, "Factor")
    found = labels(events)
    prefix = out + str(arguments.get("Sep", "."))
    levels = _sorted_levels(events)
    missing = sum(label is None for label in found)
    if missing:
        has = "belongs" if missing == 1 else "belong"
        scope.note(f"{counted(missing)} of {name!r} without a value {has} to no level")
    zeros = np.zeros(found.size)
    nothing = Sparse(onsets=events.onsets, durations=events.durations, values=zeros)
    scope.levels[prefix] = Levels(variable=out, events=nothing)
    scope.values.pop(name)
    scope.absent[name] = f"Factor took {name!r} apart"
    constraint = arguments.get("Constraint", "none")
    reference = _reference(scope, name, levels, arguments) if constraint != "none" else None
    if constraint == "mean_zero" and reference is not None and reference not in levels:
        for level in levels:
            scope.put_absent(prefix + level, f"{name!r} has no event {reference!r} in this run")
        levels = []
    for level in levels:
        column = (found == level).astype(np.float64)
        if level == reference:
            told = f"{level!r} is the reference level of {name!r}, which has no column"
            scope.put_absent(prefix + level, told)
            continue
        if constraint == "mean_zero" and reference is not None:
            column[found == reference] = -1 / (len(levels) - 1)
        scope.put(prefix + level, replace(nothing, values=column))


def _sorted_levels(variable: Sparse) -> list[str]:
    if variable.is_text:
        return sorted({value for value in variable.values if value is not None})
    known = variable.values[np.isfinite(variable.values)]
    return [label_of(value) for value in np.unique(known).tolist()]


def _reference(scope: Scope, name: str, levels: list[str], arguments: Arguments) -> str | None:
    """Return the level that has no column; None where there is nothing to constrain."""
    given = arguments.get("RefLevel")
    if given is not None:
        return str(given)
    if len(levels) < 2:
        return None
    scope.note(f"the reference level of {name!r} is {levels[0]!r}, the run's first")
    return levels[0]


def filtered(scope: Scope, name: str, variable: Variable, arguments: Arguments) -> Variable:
    """Return the events that meet ``Query``; ``By`` names the variables it asks for."""
    events = events_of(name, variable, "Filter")
    return _kept(events, holds(scope, name, variable, arguments))


def holds(scope: Scope, name: str, variable: Variable, arguments: Arguments) -> BoolArray:
    """Return where ``Query`` holds at the events of a variable (`missing_in_query` beforehand).

    Raises
    ------
    TransformError
        If it compares what cannot be compared, or a variable of other events.
    """
    query = parse_query(str(arguments["Query"]), _known(scope, name, arguments))
    columns: dict[str, Variable] = {}
    for other in names_in(query):
        found = variable if other == name else scope.before.get(other) or scope.zero_events(other)
        if found is not None:
            columns[other] = found
    check_aligned([name, *columns], [variable, *columns.values()])
    values = {other: column.values for other, column in columns.items()}
    try:
        return answer(query, values, variable.values.size)
    except QueryError as error:
        raise TransformError(str(error)) from None


def missing_in_query(scope: Scope, name: str, arguments: Arguments) -> str | None:
    """Return the first variable that ``Query`` or ``By`` asks for and the run has not."""
    by = arguments.get("By", ())
    assert isinstance(by, tuple)
    query = parse_query(str(arguments["Query"]), _known(scope, name, arguments))
    asked = [*scope.expand(by), *subjects_of(query)]
    return next(
        (
            other
            for other in asked
            if other != name and other not in scope.before and scope.zero_events(other) is None
        ),
        None,
    )


def _known(scope: Scope, name: str, arguments: Arguments) -> list[str]:
    by = arguments.get("By", ())
    assert isinstance(by, tuple)
    return [name, *by, *scope.before, *scope.absent]


def _kept(events: Sparse, rows: BoolArray) -> Sparse:
    return Sparse(
        onsets=events.onsets[rows], durations=events.durations[rows], values=events.values[rows]
    )


def without_missing(name: str, variable: Variable) -> Variable:
    """Return the events that have a value."""
    events = events_of(name, variable, "DropNA")
    return _kept(events, np.array([label is not None for label in labels(events)], np.bool_))


def split(scope: Scope, name: str, out: str, variable: Variable, arguments: Arguments) -> None:
    """Make a variable of each part of one, by the levels of others or by entities of the run.

    The parts of ``RT`` by ``sex`` are ``RT.sex[F]`` and ``RT.sex[M]``, by more than one variable
    ``RT.sex[F].hand[left]``, as in pybids. A part of events has those events alone; one of samples
    has 0 elsewhere. Events without a level are in no part, and parts without any are not made.
    """
    by = arguments["By"]
    assert isinstance(by, tuple)
    columns: list[npt.NDArray[np.object_]] = []
    for other in scope.expand(by):
        entity = scope.entities.get(LONG_NAMES.get(other.casefold(), other.casefold()))
        if other in scope.before:
            check_aligned([name, other], [variable, scope.before[other]])
            columns.append(labels(scope.before[other]))
        elif entity is not None:
            columns.append(np.full(variable.values.size, entity, dtype=object))
        else:
            scope.put_absent(f"{out}.{other}", scope.why_absent(other))
            scope.levels[f"{out}.{other}["] = Levels(variable=f"{out}.{other}")
            return
    names = scope.expand(by)
    scope.levels[f"{out}.{names[0]}["] = Levels(variable=out)
    levels = [sorted({label for label in column if label is not None}) for column in columns]
    for combination in itertools.product(*levels):
        rows = np.logical_and.reduce(
            [column == label for column, label in zip(columns, combination, strict=True)]
        )
        if not rows.any():
            continue
        parts = [f"{other}[{label}]" for other, label in zip(names, combination, strict=True)]
        part = ".".join([out, *parts])
        scope.put(part, respelt(_part(variable, rows), name, part))


def _part(variable: Variable, rows: BoolArray) -> Variable:
    if isinstance(variable, Sparse):
        return _kept(variable, rows)
    if rows.all():
        return variable
    return with_values([variable], np.where(rows, variable.values, 0.0))


def replaced(name: str, variable: Variable, arguments: Arguments) -> Variable:
    """Return a variable with some of its values, onsets or durations replaced.

    Keys of ``Replace`` are compared with numbers as numbers, and as they are with texts (pybids
    never finds a number, since the keys of a JSON object are texts); null stands for missing.
    What consists of numbers then is a variable of numbers.
    """
    pairs = arguments["Replace"]
    assert isinstance(pairs, Mapping)
    attribute = str(arguments.get("Attribute", "value"))
    if attribute == "value":
        values = _as_column(_substituted(variable.values, pairs))
        if isinstance(variable, Sparse):
            return replace(variable, values=values)
        if values.dtype == object:
            raise TransformError(f"{name!r} has samples, which cannot be texts")
        return with_values([variable], values.astype(np.float64))
    events = events_of(name, variable, f"Replace of {attribute}")
    times = _as_column(
        _substituted(events.onsets if attribute == "onset" else events.durations, pairs)
    )
    return _with_times(events, attribute, times)


def _substituted(values: npt.NDArray[np.generic], pairs: Mapping[str, object]) -> list[object]:
    if values.dtype == object:
        return [pairs.get(value, value) for value in values.tolist()]
    by_number = {_float(key): new for key, new in pairs.items()}
    return [by_number.get(value, value) for value in values.tolist()]


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _as_column(values: Sequence[object]) -> npt.NDArray[np.generic]:
    """Return numbers if all values are numbers or missing, else texts."""
    if all(value is None or isinstance(value, (int, float)) for value in values):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        missing = value is None or value != value  # only NaN is not itself
        column[row] = None if missing else label_of(value)
    return column


def _with_times(events: Sparse, attribute: str, times: npt.NDArray[np.generic]) -> Sparse:
    if times.dtype == object or not np.isfinite(times.astype(np.float64)).all():
        raise TransformError(f"an event's {attribute} must be a number")
    numbers = times.astype(np.float64)
    if attribute == "onset":
        return replace(events, onsets=numbers)
    if (numbers < 0).any():
        raise TransformError(f"a duration must not be negative, found {numbers.min():g}")
    return replace(events, durations=numbers)


def assigned(
    scope: Scope, name: str, variable: Variable, target: str, arguments: Arguments
) -> Sparse:
    """Return a target with its values, onsets or durations taken from another variable's.

    ``InputAttr`` and ``TargetAttr`` (value) may be ``value`` or ``amplitude``, ``onset`` and
    ``duration``. Both have the same number of events, not always the same times. An event whose
    new onset or duration is missing keeps the old one and loses its value.
    """
    source = events_of(name, variable, "Assign")
    events = events_of(target, scope.before[target], "Assign")
    if source.onsets.size != events.onsets.size:
        raise TransformError(
            f"{name!r} has {counted(source.onsets.size)} and {target!r} has {events.onsets.size}"
        )
    given = {"onset": source.onsets, "duration": source.durations}.get(
        str(arguments.get("InputAttr", "value")), source.values
    )
    attribute = str(arguments.get("TargetAttr", "value"))
    if attribute in ("value", "amplitude"):
        return replace(events, values=given)
    if given.dtype == object:
        raise TransformError(f"{name!r} holds texts, which cannot be an event's {attribute}")
    lost = ~np.isfinite(given)
    if lost.any():
        scope.note(f"{counted(int(lost.sum()))} of {target!r} without {attribute} left out")
    old = events.onsets if attribute == "onset" else events.durations
    values = events.values.copy()
    values[lost] = None if events.is_text else np.nan
    return _with_times(replace(events, values=values), attribute, np.where(lost, old, given))


def concatenated(variables: Sequence[Variable]) -> Sparse:
    """Return texts joined by ``_``; missing where one is."""
    columns = [labels(variable) for variable in variables]
    joined = np.empty(columns[0].size, dtype=object)
    for row, parts in enumerate(zip(*columns, strict=True)):
        joined[row] = None if None in parts else "_".join(parts)
    first = variables[0]
    assert isinstance(first, Sparse)
    return Sparse(onsets=first.onsets, durations=first.durations, values=joined)


def labelled_rows(name: str, variable: Variable, arguments: Arguments) -> Variable:
    """Return how many events of the same value in a row there were so far, this one included.

    ``Cumulative`` counts them from the beginning, not from the last other value.
    """
    events = events_of(name, variable, "LabelIdenticalRows")
    counts: dict[object, int] = {}
    result = np.empty(events.onsets.size)
    previous: object = None
    for row, label in enumerate(labels(events)):
        if label != previous and not arguments.get("Cumulative"):
            counts.clear()
        counts[label] = counts.get(label, 0) + 1
        result[row], previous = counts[label], label
    return Sparse(onsets=events.onsets, durations=events.durations, values=result)


def merged_rows(name: str, variable: Variable) -> Variable:
    """Return one event for events of one value that follow each other: first onset to last end."""
    events = events_of(name, variable, "MergeIdenticalRows")
    order = np.argsort(events.onsets, kind="stable")
    found = labels(events)[order]
    starts = [row for row in range(found.size) if row == 0 or found[row] != found[row - 1]]
    onsets, ends = events.onsets[order], (events.onsets + events.durations)[order]
    durations = [
        ends[start:stop].max() - onsets[start]
        for start, stop in itertools.pairwise([*starts, found.size])
    ]
    return Sparse(
        onsets=onsets[starts],
        durations=np.array(durations, dtype=np.float64),
        values=events.values[order][starts],
    )


def respelt(variable: Variable, name: str, out: str) -> Variable:
    """Return a variable under a new name.

    A canonical response becomes that of the new name. A column of the confounds table is that
    column no longer, since the design would have it by its old name, but nuisance still.
    """
    if not isinstance(variable, Dense) or out == name:
        return variable
    condition = out if variable.condition == name else variable.condition
    return replace(variable, condition=condition, confound=None)
