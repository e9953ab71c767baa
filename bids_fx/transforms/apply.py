"""Carrying out instructions on the variables of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from bids_fx.transforms import compute, munge
from bids_fx.transforms.each import affixed, densified, do_each
from bids_fx.transforms.records import (
    Clock,
    Dense,
    Instruction,
    Sparse,
    TransformError,
    Variable,
    Variables,
)
from bids_fx.transforms.scope import Scope, check_aligned, events_of, numbers, with_values


def transform(
    variables: Variables,
    instructions: Sequence[Instruction],
    clock: Clock,
    *,
    entities: Mapping[str, str],
    hrf_model: str,
    unread: Collection[str] = (),
) -> Variables:
    """Return the variables of a run after all instructions, in their order.

    Parameters
    ----------
    variables : Variables
        What the run has.
    instructions : sequence of Instruction
        As `bids_fx.transforms.instructions.read_instruction` gives them.
    clock : Clock
        Of the run.
    entities : mapping of str to str
        The run's entities by short key, for `Split`.
    hrf_model : str
        The model of a `Convolve` that names none.
    unread : collection of str
        Names of variables that the run has beside `variables`, which hold all that an instruction
        may name: what `Select` leaves out too.

    Returns
    -------
    Variables
        What is made from a variable that the run has not is absent, with the reason, and so is
        what is made from that. A level of a factored variable without an event is 0 at all of its
        events, which is exact: `Or`, `Sum` and `Orthogonalize` take it so beside others, and
        `Not` of it is 1 throughout; `And` and `Product` with it, and all instructions on it alone,
        give an absent variable. So is every name that an instruction took from a variable and that
        no other has got since (`Delete`, `Rename`, `Select` ...).

    Raises
    ------
    TransformError
        If an instruction cannot be carried out; the text names its place.

    Notes
    -----
    Outputs are named as in pybids: ``Output`` names the results in the inputs' order, and without
    it they take the inputs' names (and places), with ``OutputPrefix`` before and ``OutputSuffix``
    behind either. Results that are more than one for an input, those of `Factor`, `Split` and
    `Convolve`, have the output's name before ``.level``, ``_derivative`` and the like, where
    pybids renames the first alone.
    """
    scope = Scope(
        clock=clock,
        entities=entities,
        hrf_model=hrf_model,
        values=dict(variables.values),
        groups=dict(variables.groups),
        absent=dict(variables.absent),
        zeros=dict(variables.zeros),
        levels=dict(variables.levels),
        notices=list(variables.notices),
        unread=unread,
    )
    for instruction in instructions:
        scope.where, scope.before = instruction.where, dict(scope.values)
        try:
            _carry_out(scope, instruction)
        except TransformError as error:
            told = f"{instruction.where}: {error.found}"
            raise TransformError(told, error.remedy) from None
    return scope.variables()


def _carry_out(scope: Scope, instruction: Instruction) -> None:
    name = instruction.name
    if name in _WHOLE:
        _WHOLE[name](scope, instruction)
    elif name in compute.JOINT or name == "Concatenate":
        _join(scope, instruction)
    else:
        do_each(scope, instruction)


def _join(scope: Scope, instruction: Instruction) -> None:
    """Carry out an instruction that makes one variable of several."""
    kind, arguments = instruction.name, instruction.arguments
    names, out = scope.expand(instruction.inputs), affixed(instruction, instruction.outputs[0])
    found: dict[str, Variable] = {}
    gone: list[str] = []
    for name in names:
        variable = densified(scope, name, scope.values.get(name), arguments)
        if variable is None:
            gone.append(name)
            variable = densified(scope, name, scope.zero_events(name), arguments)
        if variable is not None:
            found[name] = variable
    takes_zeros = kind in ("Or", "Sum") and len(found) == len(names) > len(gone)
    if gone and not takes_zeros:
        scope.put_absent(out, scope.why_absent(gone[0]), scope.zero_events(gone[0]))
        return
    variables = list(found.values())
    check_aligned(names, variables)
    if kind == "Concatenate":
        events_of(names[0], variables[0], kind)
        scope.put(out, munge.concatenated(variables))
        return
    columns = [numbers(name, variable) for name, variable in found.items()]
    scope.put(out, with_values(variables, compute.JOINT[kind](columns, arguments)))


def _select(scope: Scope, instruction: Instruction) -> None:
    kept = set(scope.expand(instruction.inputs, keep_unmatched=False))
    there = [*scope.values, *(name for name in scope.unread if name not in scope.absent)]
    _remove(scope, [name for name in there if name not in kept], "Select left out")


def _delete(scope: Scope, instruction: Instruction) -> None:
    meant = scope.expand(instruction.inputs, keep_unmatched=False)
    _remove(scope, [name for name in meant if name in scope.values], "Delete took away")


def _remove(scope: Scope, names: Sequence[str], what: str) -> None:
    for name in names:
        scope.values.pop(name, None)
        scope.absent[name] = f"{what} {name!r}"


def _group(scope: Scope, instruction: Instruction) -> None:
    name = affixed(instruction, instruction.outputs[0])
    if name in scope.values:
        raise TransformError(f"{name!r} is the name of a variable, and cannot be that of a group")
    scope.groups[name] = tuple(scope.expand(instruction.inputs, keep_unmatched=False))


def _constant(scope: Scope, instruction: Instruction) -> None:
    """Make a variable of one value at the events of the first variable that has some.

    The published examples add it to the events table; a run without any gets samples.
    """
    value = compute.number(instruction.arguments, "Value", 1.0)
    out = affixed(instruction, instruction.outputs[0])
    sparse = (item for item in scope.values.values() if isinstance(item, Sparse))
    events = next(sparse, None)
    if events is not None:
        scope.put(out, with_values([events], np.full(events.onsets.size, value)))
        return
    clock = scope.clock
    values = np.full(clock.n_scans, value)
    scope.put(out, Dense(values=values, start=clock.slice_time, step=clock.repetition_time))


_WHOLE: Mapping[str, Callable[[Scope, Instruction], None]] = {
    "Constant": _constant,
    "Delete": _delete,
    "Group": _group,
    "Select": _select,
}
