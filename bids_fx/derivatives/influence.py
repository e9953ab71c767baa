"""The table of what each run does to the peak of a combined contrast, written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.meanings import said_of
from bids_fx.derivatives.write import six_digits, write_json, write_table
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.regular import read_text

#: What the columns mean, for the table's sidecar.
_COLUMNS: dict[str, str] = {
    "peak": "Sign of the combined map's peak in z; an F contrast has a positive one alone",
    "run": "Run that is looked at",
    "x": "Place of the peak's voxel, world coordinate",
    "y": "Place of the peak's voxel, world coordinate",
    "z": "Place of the peak's voxel, world coordinate",
    "effect": "The run's effect there; n/a for an F contrast, which has several",
    "standard_error": "Standard error of the run's effect; n/a for an F contrast",
    "F": "The run's own F there; n/a for a t contrast",
    "dof": "Degrees of freedom of the run's t, or of the denominator of its F",
    "weight": "Share of the run in the combined effect; n/a for an F contrast",
    "z_all": "Combined z value of all runs",
    "z_without": "Combined z value of all runs but this one",
    "change": "z_all minus z_without",
}


class InfluenceRow(NamedTuple):
    """What one run does to a peak of a combined map; nothing where it does not enter there.

    Attributes
    ----------
    peak : str
        ``positive`` or ``negative``.
    run : str
        The run's entities.
    x, y, z : float
        Centre of the peak's voxel, world coordinates in mm.
    effect, standard_error, F, dof : float
        The run's own estimate there; the first two NaN for an F contrast, F for a t contrast.
    weight : float
        Its share of the combined effect, from 0 to 1; NaN for an F contrast.
    z_all, z_without, change : float
        Combined z of all runs, of all but this one, and the former minus the latter.
    """

    peak: str
    run: str
    x: float
    y: float
    z: float
    effect: float
    standard_error: float
    F: float
    dof: float
    weight: float
    z_all: float
    z_without: float
    change: float


def write_influence(
    plan: Plan,
    group: GroupPlan,
    item: GroupContrast,
    rows: Sequence[InfluenceRow],
    out_dir: Path,
) -> Path:
    """Write what each run does to the peaks of a combined contrast, and what the columns mean.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        The combination.
    item : GroupContrast
        A contrast into which two runs or more enter.
    rows : sequence of InfluenceRow
        Highest peak first, its runs in the plan's order; none where the map has no peak.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The table, its numbers with six digits.
    """
    path = paths.influence_tables(group)[item.contrast.label]
    cells = [(row.peak, row.run, *(six_digits(value) for value in row[2:])) for row in rows]
    write_table(out_dir / path, InfluenceRow._fields, cells)
    effect_units = sidecars.effect_units(plan)
    column_units = {"x": "mm", "y": "mm", "z": "mm", "dof": "count"}
    column_units |= dict.fromkeys(("effect", "standard_error"), effect_units)
    write_json(
        out_dir / paths.sidecar(path),
        {
            "Description": (
                f"What each {group.input_noun} does to the peak of contrast "
                f"'{item.contrast.name}' combined over {len(item.input_keys)} {group.input_noun}s"
            ),
            "ContrastName": item.contrast.name,
            "ContrastTest": item.contrast.test,
            "Combination": plan.combination(group),
            **{
                name: {
                    "Description": said_of(group.input_noun, text),
                    "Units": column_units.get(name, "arbitrary"),
                }
                for name, text in _COLUMNS.items()
            },
        },
    )
    return out_dir / path


def read_influence(path: Path) -> list[InfluenceRow]:
    """Read a table that `write_influence` wrote.

    Raises
    ------
    OSError
        Where it is missing.
    ValueError, TypeError
        Where it is damaged.
    """
    head, *lines = read_text(path).splitlines() or [""]
    if tuple(head.split("\t")) != InfluenceRow._fields:
        raise ValueError(f"{path.name} does not have the columns of a table of influence")
    rows = []
    for line in lines:
        peak, run, *cells = line.split("\t")
        numbers = (float("nan" if cell == "n/a" else cell) for cell in cells)
        rows.append(InfluenceRow(peak, run, *numbers))
    return rows
