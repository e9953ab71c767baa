"""The peaks of a contrast's z maps: the table of them, and how the combined map compares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from bids_fx.derivatives.clusters import COMBINED, MapNumbers, drawn_maps
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.reports.page import Table
from bids_fx.reports.thresholds import cutoff_told, threshold_told
from bids_fx.reports.titles import combined_title, run_title
from bids_fx.reports.wording import MISSING, coordinates, count, number


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakLine:
    """What is told of one map.

    Parameters
    ----------
    name : str
        What the map is, for people.
    numbers : MapNumbers or None
        Its peak, threshold and extent, as it was drawn; None where nothing tells them.
    """

    name: str
    numbers: MapNumbers | None

    @property
    def peak_z(self) -> float | None:
        """The z of its main peak, if it is known."""
        return None if self.numbers is None else self.numbers.main_z

    def cells(self, *, one_sided: bool) -> tuple[str, ...]:
        """Return peak, its place, minimum, threshold, number of voxels and combined peak."""
        found = self.numbers
        if found is None:
            return (MISSING,) * 6
        if found.peak_z is None:
            return ("n/a",) * 6
        survives = not math.isinf(found.cutoff)
        return (
            number(found.peak_z),
            coordinates(found.xyz),
            number(found.lowest),
            cutoff_told(found.cutoff, one_sided=one_sided) if survives else "none survives",
            f"{found.n_above:,}",
            number(found.at_combined),
        )

    def told(self, *, one_sided: bool) -> str:
        """Return what somebody needs to know who cannot see the map."""
        found = self.numbers
        if found is None:
            return f"{self.name}: missing"
        if found.main_z is None:
            return f"{self.name}: no voxel has a result"
        peak = f"peak z {number(found.main_z)} at {coordinates(found.main_xyz)} mm"
        if math.isinf(found.cutoff):
            return f"{self.name}: {peak}, no voxel survives the threshold"
        above = cutoff_told(found.cutoff, one_sided=one_sided)
        return f"{self.name}: {peak}, {count(found.n_above, 'voxel', 'no')} with {above}"


def peak_lines(plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path) -> list[PeakLine]:
    """Return the lines of the combined map and of each input's, for the table of peaks.

    They are of what the figures show: no map is read again.
    """
    drawn = drawn_maps(group, item.contrast.label, out_dir)
    names = {result.key: run_title(result, group) for result in plan.shown_inputs(item)}
    if group.not_written is None:
        title = combined_title(len(item.input_keys), group.input_noun)
        names = {COMBINED: title, **names}
    return [PeakLine(name=name, numbers=drawn.get(key)) for key, name in names.items()]


def peak_table(
    plan: Plan, group: GroupPlan, item: GroupContrast, lines: Sequence[PeakLine]
) -> Table:
    """Return the table of peaks; without a combined map there is no combined peak.

    The z of an F test is never negative, so that it has no minimum worth a column.
    """
    is_f = item.contrast.test == "F"
    head = (
        *("Map", "Peak z", "Place (x, y, z in mm)", "Minimum z"),
        *("Threshold", "Voxels above", "z at the combined peak"),
    )
    shown = [True, True, True, not is_f, True, True, group.not_written is None]
    told = threshold_told(plan.report.threshold, item.contrast.test)
    combined = lines[0].numbers if group.not_written is None else None
    is_low = combined is not None and combined.falls
    which = " The combined peak is the combined map's minimum." if is_low else ""
    return Table(
        caption=f"Peaks of the z maps. Threshold: {told}.{which}",
        head=tuple(compress(head, shown)),
        rows=tuple(
            tuple(compress((line.name, *line.cells(one_sided=is_f)), shown)) for line in lines
        ),
        tones={MISSING: "bad"},
    )


def compare(group: GroupPlan, item: GroupContrast, lines: Sequence[PeakLine]) -> str:
    """Say whether the combined map has the higher peak, of whatever sign, as it should."""
    combined, *runs = [(line.peak_z, line.name) for line in lines]
    known = [(value, name) for value, name in runs if value is not None]
    highest, _ = combined
    if highest is None or not known:
        return "The peaks cannot be compared, since maps are missing or empty."
    best, name = max(known, key=lambda run: abs(run[0]))
    values = f"z = {number(highest)} against {number(best)} ({name})"
    if len(runs) == 1:
        return f"One {group.input_noun} alone enters the combined map: {values}."
    if abs(highest) > abs(best):
        return f"The combined map has the higher peak: {values}."
    where = {
        "t": "the maps stat-q and stat-isq say by how much",
        "F": "the map stat-zchange says what any one of them does",
    }
    return (
        f"The combined map does not have the higher peak: {values}. The {group.input_noun}s "
        f"differ there; {where[item.contrast.test]}."
    )
