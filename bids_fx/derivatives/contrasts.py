"""The tables of contrasts: what a run can estimate and how well, which runs a group combines."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bids_fx.derivatives import paths
from bids_fx.derivatives.write import six_digits, write_table
from bids_fx.records import GroupPlan, Plan, RunContrast, RunPlan

#: Columns of the table of a run, which tells nothing that depends on the image and its space.
#: `rows` counts those of the test, which are the numerator's degrees of freedom of F; `efficiency`
#: is the smallest of its rows, `inflation` (the variance inflation factor) the largest.
COLUMNS = (
    *("contrast", "label", "formula", "estimable", "reason"),
    *("test", "rows", "efficiency", "inflation"),
)


def write_contrasts(run: RunPlan, out_dir: Path) -> Path:
    """Write the table of a run's contrasts.

    Parameters
    ----------
    run : RunPlan
        A run that was fitted.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The table; of a contrast that cannot be estimated it has the reason and no numbers.
    """
    lines = [
        (
            item.contrast.name,
            item.contrast.label,
            item.contrast.formula,
            str(item.reason is None).lower(),
            item.reason,
            item.contrast.test,
            len(item.rows),
            *map(six_digits, worst_row(item)),
        )
        for item in run.contrasts
    ]
    path = out_dir / paths.contrasts_table(run.entities)
    write_table(path, COLUMNS, lines)
    return path


#: Columns of the table of a group, which has one line for each contrast and run, or whatever else
#: the group combines.
GROUP_COLUMNS = ("input", "contrast", "label", "estimable", "entered", "reason")


def write_group_contrasts(plan: Plan, group: GroupPlan, out_dir: Path) -> Path:
    """Write what enters each combined contrast of a group, and why the rest does not.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group of it that is written.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The table. Of runs that are absent it is unknown what they could estimate.
    """
    lines: list[tuple[object, ...]] = []
    for item in group.contrasts:
        names = (item.contrast.name, item.contrast.label)
        for result in plan.inputs(group):
            enters = result.key in item.input_keys
            why = None if enters else item.dropped.get(result.key, item.reason or None)
            said = (str(answer).lower() for answer in (result.key not in item.dropped, enters))
            lines.append((result.entities, *names, *said, why))
        lines += [(name, *names, None, "false", why) for name, why in group.absent.items()]
    path = out_dir / paths.group_contrasts_table(group)
    write_table(path, GROUP_COLUMNS, lines)
    return path


def worst_row(item: RunContrast) -> tuple[float, float]:
    """Return the smallest efficiency and the largest variance inflation factor of the rows.

    Both are NaN of a contrast that cannot be estimated, and where any row's is.
    """
    if not item.efficiency:
        return math.nan, math.nan
    return float(np.min(item.efficiency)), float(np.max(item.inflation))
