"""The variables of a run that a model file speaks of, and which of them a name in X means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

import numpy as np

from bids_fx.glm.names import delay_ending
from bids_fx.inputs import BoldRun, ConfoundTable
from bids_fx.stats_models.names import TRIAL_TYPE, plain_name
from bids_fx.stats_models.records import Node
from bids_fx.transforms.apply import transform
from bids_fx.transforms.records import Clock, Dense, Instruction, Sparse, Variable, Variables
from bids_fx.transforms.scope import is_pattern

_COLUMN = TRIAL_TYPE.removesuffix(".")
#: The instruction that a model means which names values of ``trial_type`` and has none.
_FACTOR = Instruction(name="Factor", inputs=(_COLUMN,), where=f"Factor of {_COLUMN}")
#: Displacements from the scan before, which the first scan cannot have: 0, no motion.
_DISPLACEMENT = ("framewise_displacement", "FramewiseDisplacement")


def run_variables(
    source: BoldRun, root: Node, clock: Clock, *, hrf_model: str
) -> tuple[Variables, tuple[str, ...]]:
    """Carry out a model's instructions on a run.

    Parameters
    ----------
    source : BoldRun
        The run, with its whole events table.
    root : Node
        The model's node at run level.
    clock : Clock
        Of the run.
    hrf_model : str
        The model of a Convolve that names none.

    Returns
    -------
    variables : Variables
        What X can name.
    implied : tuple of str
        Entries of X that are values of ``trial_type``, where no instruction takes it apart.

    Raises
    ------
    TransformError
        If an instruction cannot be carried out.

    Notes
    -----
    A model that names values of ``trial_type`` without a Factor means one: before the
    instructions, where they name such values, else behind them, so that what they make of the
    column counts. The column itself stays for the instructions.
    """
    do = partial(
        transform,
        clock=clock,
        entities=source.entities,
        hrf_model=hrf_model,
        unread=source.confounds.values if source.confounds is not None else (),
    )
    variables = Variables(values=_given(source, root.instructions, clock))
    column = variables.values.get(_COLUMN)
    is_factored = any(i.name == "Factor" and _COLUMN in i.inputs for i in root.instructions)
    if is_factored or not isinstance(column, Sparse) or not column.is_text:
        return do(variables, root.instructions), ()
    columns = set(variables.values)
    if _values_among(_named_by(root.instructions), column, columns):
        # The column is let go behind the instructions, as a Factor would have done before them.
        first = do(variables, (_FACTOR,))
        absent = {name: why for name, why in first.absent.items() if name != _COLUMN}
        values = {_COLUMN: column, **first.values}
        variables = do(replace(first, values=values, absent=absent), root.instructions)
        left = {name: value for name, value in variables.values.items() if name != _COLUMN}
        variables = replace(variables, values=left)
    else:
        variables = do(variables, root.instructions)
        column = variables.values.get(_COLUMN)
        hrf = root.hrf.variables if root.hrf is not None else ()
        if not isinstance(column, Sparse) or not _values_among((*root.x, *hrf), column, columns):
            return variables, ()
        last = do(variables, (_FACTOR,))
        variables = replace(last, unknown=variables.unknown)
    return variables, _values_among(root.x, column, columns)


def matching(entry: str, variables: Variables, table: ConfoundTable | None) -> list[str]:
    """Return the names of variables and of columns of the confounds table that X means.

    Parameters
    ----------
    entry : str
        A name or a shell pattern.
    variables : Variables
        As `run_variables` returns them.
    table : ConfoundTable or None
        Its columns are variables too, but for those that an instruction took away.
    """
    there = list(variables.values)
    columns = [
        name
        for name in (table.values if table is not None else ())
        if name not in variables.values and name not in variables.absent
    ]
    if is_pattern(entry):
        found = [n for n in there if fnmatchcase(n, entry) or fnmatchcase(plain_name(n), entry)]
        return found + [name for name in columns if fnmatchcase(name, entry)]
    # pybids calls the delay of two scans ``face_2``.
    condition, _, number = entry.rpartition("_")
    short = condition + delay_ending(number)
    for name in (entry, TRIAL_TYPE + entry, short, TRIAL_TYPE + short):
        if name in there:
            return [name]
    delay = entry + delay_ending("")
    every = [name for name in there if name.startswith((delay, TRIAL_TYPE + delay))]
    return every or [name for name in columns if name == entry]


def confounds_read(source: BoldRun, instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return the columns of a run's confounds table that instructions name."""
    named = _named_by(instructions)
    of_events = source.events.columns if source.events is not None else ()
    return tuple(
        name
        for name in (source.confounds.values if source.confounds is not None else ())
        if name not in of_events and any(fnmatchcase(name, one) for one in named)
    )


def _given(
    source: BoldRun, instructions: Sequence[Instruction], clock: Clock
) -> dict[str, Variable]:
    """Return the variables that the instructions start from.

    Of the confounds table, which may have hundreds of columns, those alone that they name.
    """
    variables: dict[str, Variable] = {}
    events, table = source.events, source.confounds
    if events is not None:
        variables |= {
            name: Sparse(onsets=events.onsets, durations=events.durations, values=values)
            for name, values in events.columns.items()
        }
    if table is None:
        return variables
    for name in confounds_read(source, instructions):
        values = table.values[name]
        if name in table.filled and name in _DISPLACEMENT:
            values = np.concatenate([[0.0], values[1:]])
        variables[name] = Dense(
            values=values,
            start=clock.slice_time,
            step=clock.repetition_time,
            confound=name,
            is_nuisance=True,
        )
    return variables


def _values_among(names: Iterable[str], column: Sparse, columns: Iterable[str]) -> tuple[str, ...]:
    """Return the names that mean values of ``trial_type``, or patterns of them."""
    values, others = set(column.values), set(columns)
    return tuple(
        name
        for name in names
        if name.startswith(TRIAL_TYPE) or (name in values and name not in others)
    )


def _named_by(instructions: Iterable[Instruction]) -> set[str]:
    """Return everything in instructions that may be the name of a variable, or a pattern."""
    named: set[str] = set()
    for item in instructions:
        named.update(item.inputs)
        for value in item.arguments.values():
            values = value if isinstance(value, list | tuple) else [value]
            named.update(one for one in values if isinstance(one, str))
    return named
