"""The peaks of a contrast's z maps: the table of them, and how the combined map compares."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path

from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.reports import maps
from bids_fx.reports.page import Table
from bids_fx.reports.thresholds import cutoff_told, threshold_told, z_cutoff
from bids_fx.reports.titles import combined_title, run_title
from bids_fx.reports.wording import MISSING, coordinates, count, number


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakLine:
    """What is told of one map.

    Parameters
    ----------
    name : str
        What the map is, for people.
    found : Summary or None
        Its peak and extent; None where it is missing or has no result.
    cutoff : float
        The |z| above which its voxels are shown.
    at_combined : float
        Its value at the combined map's peak.
    is_missing : bool
        Whether it cannot be read.
    """

    name: str
    found: maps.Summary | None = None
    cutoff: float = math.inf
    at_combined: float = math.nan
    is_missing: bool = False

    @property
    def peak_z(self) -> float | None:
        """Its highest z, if it is known."""
        return None if self.found is None else self.found.peak.value

    def cells(self, *, one_sided: bool) -> tuple[str, ...]:
        """Return peak, its place, minimum, threshold, number of voxels and combined peak."""
        if self.is_missing:
            return (MISSING,) * 6
        if self.found is None:
            return ("n/a",) * 6
        survives = not math.isinf(self.cutoff)
        return (
            number(self.found.peak.value),
            coordinates(self.found.peak.xyz),
            number(self.found.lowest),
            cutoff_told(self.cutoff, one_sided=one_sided) if survives else "none survives",
            f"{self.found.n_above:,}",
            number(self.at_combined),
        )

    def told(self, *, one_sided: bool) -> str:
        """Return what somebody needs to know who cannot see the map."""
        if self.is_missing:
            return f"{self.name}: missing"
        if self.found is None:
            return f"{self.name}: no voxel has a result"
        peak = f"peak z {number(self.found.peak.value)} at {coordinates(self.found.peak.xyz)} mm"
        if math.isinf(self.cutoff):
            return f"{self.name}: {peak}, no voxel survives the threshold"
        above = cutoff_told(self.cutoff, one_sided=one_sided)
        return f"{self.name}: {peak}, {count(self.found.n_above, 'voxel', 'no')} with {above}"


def peak_lines(
    plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path
) -> Iterator[PeakLine]:
    """Read the combined map and each input's, one at a time, for the table of peaks."""
    label = item.contrast.label
    readers: list[tuple[str, Callable[[], maps.Volume]]] = []
    if group.not_written is None:
        read_combined = partial(maps.combined, group, label, "z", out_dir)
        title = combined_title(len(item.input_keys), group.input_noun)
        readers.append((title, read_combined))
    readers += [
        (run_title(result, group), partial(maps.result_z, result, item.source_label, out_dir))
        for result in plan.shown_inputs(item)
    ]
    place: tuple[float, float, float] | None = None
    for index, (name, read) in enumerate(readers):
        try:
            volume = read()
        except OSError:
            yield PeakLine(name=name, is_missing=True)
            continue
        cutoff = z_cutoff(volume.data, plan.report.threshold)
        found = maps.summarize(volume.data, volume.affine, cutoff)
        if index == 0 and found is not None:
            place = found.peak.xyz
        there = math.nan if place is None else maps.value_at(volume, place)
        yield PeakLine(name=name, found=found, cutoff=cutoff, at_combined=there)


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
    return Table(
        caption=f"Peaks of the z maps. Threshold: {told}.",
        head=tuple(compress(head, shown)),
        rows=tuple(
            tuple(compress((line.name, *line.cells(one_sided=is_f)), shown)) for line in lines
        ),
        tones={MISSING: "bad"},
    )


def compare(group: GroupPlan, item: GroupContrast, lines: Sequence[PeakLine]) -> str:
    """Say whether the combined map has the higher peak, as it should."""
    combined, *runs = [(line.peak_z, line.name) for line in lines]
    known = [(value, name) for value, name in runs if value is not None]
    highest, _ = combined
    if highest is None or not known:
        return "The peaks cannot be compared, since maps are missing or empty."
    best, name = max(known, key=lambda run: run[0])
    values = f"z = {number(highest)} against {number(best)} ({name})"
    if len(runs) == 1:
        return f"One {group.input_noun} alone enters the combined map: {values}."
    if highest > best:
        return f"The combined map has the higher peak: {values}."
    where = {
        "t": "the maps stat-q and stat-isq say by how much",
        "F": "the map stat-zchange says what any one of them does",
    }
    return (
        f"The combined map does not have the higher peak: {values}. The {group.input_noun}s "
        f"differ there; {where[item.contrast.test]}."
    )
