"""The tables of contrasts: what a run can estimate and how well, which runs a group combines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bids_fx.derivatives import paths
from bids_fx.derivatives.write import six_digits, write_table
from bids_fx.records import GroupPlan, Plan, RunPlan


class ContrastRow(NamedTuple):
    """A contrast in one run; NaN where it cannot be estimated.

    Attributes
    ----------
    contrast, label, formula : str
        As in the plan.
    estimable : str
        ``true`` or ``false``.
    reason : str
        Why not; ``n/a`` where it can be estimated.
    test : str
        ``t`` or ``F``.
    rows : int
        Number of rows, which is the numerator's degrees of freedom of F; 0 where it cannot be
        estimated.
    efficiency : float
        The smallest of its rows.
    inflation : float
        The variance inflation factor, the largest of its rows.
    dof_median : float
        Degrees of freedom of t or of F's denominator, median over the voxels.
    """

    contrast: str
    label: str
    formula: str
    estimable: str
    reason: str
    test: str
    rows: int
    efficiency: float
    inflation: float
    dof_median: float


def write_contrasts(run: RunPlan, dof_medians: Mapping[str, float | None], out_dir: Path) -> Path:
    """Write the table of a run's contrasts.

    Parameters
    ----------
    run : RunPlan
        A run that was fitted.
    dof_medians : mapping of str to float or None
        By label of the contrasts that it can estimate; None where no voxel has a result.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The table.
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
            six_digits(min(item.efficiency, default=None)),
            six_digits(_largest(item.inflation)),
            six_digits(dof_medians.get(item.contrast.label)),
        )
        for item in run.contrasts
    ]
    path = out_dir / paths.contrasts_table(run.entities)
    write_table(path, ContrastRow._fields, lines)
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


def _largest(values: Sequence[float]) -> float | None:
    """Return the largest value; NaN where there is one, whatever its place."""
    return float(np.max(values)) if values else None


def read_contrasts(path: Path) -> list[ContrastRow]:
    """Read a table that `write_contrasts` wrote.

    Raises
    ------
    OSError
        Where it is missing.
    ValueError
        Where it is damaged.
    """
    head, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    if tuple(head.split("\t")) != ContrastRow._fields:
        raise ValueError(f"{path.name} does not have the columns of a table of contrasts")
    rows = []
    for line in lines:
        contrast, label, formula, estimable, reason, test, n_rows, *numbers = line.split("\t")
        efficiency, inflation, dof = (float("nan" if x == "n/a" else x) for x in numbers)
        rows.append(
            ContrastRow(
                contrast=contrast,
                label=label,
                formula=formula,
                estimable=estimable,
                reason=reason,
                test=test,
                rows=int(n_rows),
                efficiency=efficiency,
                inflation=inflation,
                dof_median=dof,
            )
        )
    return rows
