"""What the events table of a run means, missing values included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.tsv import Table, read_table, shown
from bids_fx.errors import BIDSFXError, Notice
from bids_fx.glm.design import Condition
from bids_fx.inputs import EventTable, FloatArray

BoolArray = npt.NDArray[np.bool_]

#: Spellings of a missing trial type. ``NA`` is not among them: it can be a condition's name.
MISSING_NAMES = frozenset({"", "n/a", "N/A", "nan", "NaN"})


def read_events(
    path: Path, *, run_seconds: float, participant: str | None = None
) -> tuple[tuple[Condition, ...], tuple[Notice, ...]]:
    """Read the events of one run, by trial type.

    Parameters
    ----------
    path : Path
        Table with the columns ``onset``, ``duration`` and ``trial_type``, perhaps
        ``modulation`` (height of each event).
    run_seconds : float
        Number of volumes times the repetition time. Events that start then or later are left
        out with a warning; events that start before the first volume are kept, since their
        response reaches into the run.
    participant : str or None
        For the notices.

    Returns
    -------
    conditions : tuple of Condition
        Sorted by name; within one, in the table's order.
    notices : tuple of Notice
        What was left out or assumed.

    Raises
    ------
    BIDSFXError
        If a column is absent or holds text, a number is infinite (or as good as that: beyond
        `LARGEST_NUMBER`), or a duration is negative.

    Notes
    -----
    Missing values: an event without onset, trial type or modulation is left out; one without
    duration is taken as an impulse (duration 0). Each with a warning.
    """
    table = read_table(path)
    _require_event_columns(table, ("onset", "duration", "trial_type"))
    onsets, durations = table.numbers("onset"), table.numbers("duration")
    names = np.array(table.columns["trial_type"], dtype=object)
    modulated = "modulation" in table.columns
    heights = table.numbers("modulation") if modulated else np.ones(table.n_rows)
    _require_finite_events(table, onsets, durations, heights)

    nameless = np.isin(names, list(MISSING_NAMES))
    late = onsets >= run_seconds
    kept = ~(np.isnan(onsets) | nameless | np.isnan(heights) | late)
    reasons = (
        (np.isnan(onsets), "without onset left out"),
        (nameless, "without trial_type left out"),
        (np.isnan(heights), "without modulation left out"),
        (late, f"after the end of the run ({run_seconds:g} s) left out"),
        (kept & np.isnan(durations), "without duration taken as impulses"),
        (kept & _repeated(names, onsets, durations), "written twice: their responses add up"),
    )
    texts = [_event_notice(table, chosen, what) for chosen, what in reasons if chosen.any()]
    if not kept.any():
        texts.append(f"{path.name}: no events in the run.")
    durations = np.nan_to_num(durations, nan=0.0)
    conditions = tuple(
        Condition(name=name, onsets=onsets[of], durations=durations[of], amplitudes=heights[of])
        for name, of in _by_name(names, kept)
    )
    return conditions, tuple(Notice(text=text, participant=participant) for text in texts)


def read_event_table(
    path: Path, *, run_seconds: float, participant: str | None = None
) -> tuple[EventTable, tuple[Notice, ...]]:
    """Read the events of one run with all their columns, for a model that transforms them.

    Parameters
    ----------
    path : Path
        Table with the columns ``onset`` and ``duration`` and any others.
    run_seconds : float
        Number of volumes times the repetition time, as for `read_events`.
    participant : str or None
        For the notices.

    Returns
    -------
    events : EventTable
        Without the events that have no onset or start after the end of the run.
    notices : tuple of Notice
        What was left out or assumed.

    Raises
    ------
    BIDSFXError
        If onset or duration is absent or holds text, one of them is infinite, or a duration is
        negative.

    Notes
    -----
    A column of numbers and missing values alone holds numbers, any other and ``trial_type``
    texts. Missing values stay missing; what becomes of them is for the model to say.
    """
    table = read_table(path)
    _require_event_columns(table, ("onset", "duration"))
    onsets, durations = table.numbers("onset"), table.numbers("duration")
    _require_finite_events(table, onsets, durations)
    late = onsets >= run_seconds
    kept = ~(np.isnan(onsets) | late)
    reasons = (
        (np.isnan(onsets), "without onset left out"),
        (late, f"after the end of the run ({run_seconds:g} s) left out"),
        (kept & np.isnan(durations), "without duration taken as impulses"),
    )
    texts = [_event_notice(table, chosen, what) for chosen, what in reasons if chosen.any()]
    if not kept.any():
        texts.append(f"{path.name}: no events in the run.")
    columns = [name for name in table.columns if name not in {"onset", "duration"}]
    events = EventTable(
        path=path,
        onsets=onsets[kept],
        durations=np.nan_to_num(durations[kept], nan=0.0),
        columns={name: _event_column(table, name)[kept] for name in columns},
    )
    return events, tuple(Notice(text=text, participant=participant) for text in texts)


def _by_name(
    names: npt.NDArray[np.object_], kept: BoolArray
) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Iterate over the trial types by name, each with its kept rows in the table's order."""
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(kept).tolist():
        rows.setdefault(names[row], []).append(row)
    return ((name, np.array(rows[name])) for name in sorted(rows))


def _event_column(table: Table, name: str) -> npt.NDArray[Any]:
    """Return a column as numbers where it holds nothing else, or as texts."""
    if name != "trial_type":
        try:
            return table.numbers(name)
        except BIDSFXError:
            pass  # a column of texts, which is no fault
    cells = [None if cell in MISSING_NAMES else cell for cell in table.columns[name]]
    return np.array(cells, dtype=object)


def _require_event_columns(table: Table, names: Sequence[str]) -> None:
    """Refuse an events table without some columns."""
    absent = [name for name in names if name not in table.columns]
    if not absent:
        return
    there = shown(", ".join(table.columns))
    remedy = f"the columns there are: {there}"
    if len(table.columns) == 1:
        remedy = f"separate columns by tabs (the header is '{there}')"
    elif absent == ["trial_type"]:
        remedy = f"name the column that holds the conditions trial_type ({remedy})"
    raise BIDSFXError.single(
        str(table.path), f"no column {' and '.join(map(repr, absent))}", remedy
    )


def _require_finite_events(
    table: Table, onsets: FloatArray, durations: FloatArray, *others: FloatArray
) -> None:
    """Refuse infinite numbers and negative durations."""
    infinite = np.logical_or.reduce([np.isinf(values) for values in (onsets, durations, *others)])
    for wrong, what in (
        (infinite, "infinite numbers"),
        (durations < 0, "negative durations"),
    ):
        if wrong.any():
            raise BIDSFXError.single(
                str(table.path),
                f"{what} in {_lines(table, wrong)}",
                "correct them, or write n/a where a value is not known",
            )


def _repeated(
    names: npt.NDArray[np.object_], onsets: FloatArray, durations: FloatArray
) -> BoolArray:
    """Mark the events that have an equal one before them, shape (n_events,)."""
    seen: set[tuple[str, float, float]] = set()
    marks = np.zeros(len(onsets), dtype=bool)
    for row, event in enumerate(zip(names, onsets.tolist(), durations.tolist(), strict=True)):
        marks[row] = event in seen
        seen.add(event)
    return marks


def _event_notice(table: Table, chosen: BoolArray, what: str) -> str:
    """Word a notice on some events."""
    count = int(chosen.sum())
    return f"{table.path.name}: {count} event{'s' * (count > 1)} {what} ({_lines(table, chosen)})."


def _lines(table: Table, chosen: BoolArray) -> str:
    """Name the lines of some rows, at most five of them."""
    numbers = [str(table.lines[row]) for row in np.flatnonzero(chosen)]
    shown = ", ".join(numbers[:5]) + (", ..." if len(numbers) > 5 else "")
    return f"line{'s' * (len(numbers) > 1)} {shown}"
