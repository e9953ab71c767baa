"""Scans to be censored, as the columns of a confounds table tell them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bids_fx.inputs import ConfoundTable, FloatArray
from bids_fx.records import Censored

DISPLACEMENT = ("framewise_displacement", "FramewiseDisplacement")
#: Why a scan is censored: by which rule, and with the numbers or the column that tell it.
Reason = tuple[str, str]


def marked(table: ConfoundTable, name: str, why: str) -> dict[int, Reason]:
    """Return the scans that a column marks, and why."""
    return dict.fromkeys(np.flatnonzero(table.values[name]).tolist(), (why, f"{why} ({name})"))


def displacement_column(table: ConfoundTable) -> str | None:
    """Return the name of the column of framewise displacements in mm, if there is one."""
    return next((name for name in DISPLACEMENT if name in table.values), None)


def displaced(table: ConfoundTable, name: str, limit_mm: float) -> dict[int, Reason]:
    """Return the scans whose displacement in a column is above a limit, and why."""
    values = _measured(table, name)
    what, limit = "framewise displacement", f"> {limit_mm:g} mm"
    return {
        scan: (f"{what} {limit}", f"{what} {values[scan]:.3g} mm {limit}")
        for scan in np.flatnonzero(values > limit_mm).tolist()
    }


def _measured(table: ConfoundTable, name: str) -> FloatArray:
    """Return a column with its first value taken back to 0 where that was filled in."""
    values = table.values[name].copy()
    if name in table.filled:
        values[0] = 0
    return values


def censored(reasons: Mapping[int, list[Reason]]) -> tuple[Censored, ...]:
    """Return the censored scans in order, each once with all that censors it."""
    return tuple(
        Censored(
            scan=scan,
            reason="; ".join(dict.fromkeys(text for _, text in reasons[scan])),
            kinds=tuple(dict.fromkeys(kind for kind, _ in reasons[scan])),
        )
        for scan in sorted(reasons)
    )
