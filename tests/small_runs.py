"""Runs of a few events, and instructions carried out on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bids_fx.transforms.apply import transform
from bids_fx.transforms.instructions import read_instruction
from bids_fx.transforms.records import Clock, Dense, Instruction, Sparse, Variable, Variables

#: Ten volumes, one every 2 s.
CLOCK = Clock(n_scans=10, repetition_time=2.0)


def events(
    values: Sequence[Any],
    onsets: Sequence[float] | None = None,
    durations: Sequence[float] | None = None,
) -> Sparse:
    """Return events at 0, 4, 8 ... s of 1 s; None is a missing value."""
    n = len(values)
    is_text = any(isinstance(value, str) for value in values)
    column = np.empty(n, dtype=object)
    column[:] = values
    return Sparse(
        onsets=np.array(4.0 * np.arange(n) if onsets is None else onsets, np.float64),
        durations=np.array(np.ones(n) if durations is None else durations, np.float64),
        values=column if is_text else column.astype(np.float64),
    )


def samples(values: Sequence[float], start: float = 0.0, step: float = 2.0, **kind: Any) -> Dense:
    """Return samples, one every 2 s from 0 s on."""
    return Dense(values=np.array(values, np.float64), start=start, step=step, **kind)


def read(raw: Mapping[str, object], where: str = "here") -> Instruction:
    """Return an instruction that has no fault."""
    instruction, faults = read_instruction(raw, where)
    assert faults == ()
    assert instruction is not None
    return instruction


def carry_out(
    values: Mapping[str, Variable],
    *raws: Mapping[str, object],
    entities: Mapping[str, str] | None = None,
    hrf_model: str = "spm",
    clock: Clock = CLOCK,
    unread: Collection[str] = (),
) -> Variables:
    """Return the variables after instructions."""
    groups = [name for raw in raws for name in [raw.get("Output")] if isinstance(name, str)]
    read_all = [read_instruction(raw, f"instruction {i}", groups) for i, raw in enumerate(raws, 1)]
    assert [faults for _, faults in read_all if faults] == []
    return transform(
        Variables(values=values),
        [instruction for instruction, _ in read_all if instruction is not None],
        clock,
        entities=entities or {"sub": "01"},
        hrf_model=hrf_model,
        unread=unread,
    )


def table(variables: Variables) -> dict[str, list[Any]]:
    """Return all values as lists; None for missing ones."""
    return {
        name: [None if value is None or value != value else value for value in item.values]
        for name, item in variables.values.items()
    }
