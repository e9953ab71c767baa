"""Which maps the viewer of the page could show, and in which order they are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import as_drawn
from bids_fx.inputs import RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.reports import maps
from bids_fx.reports.anatomy import find_anatomy
from bids_fx.reports.thresholds import threshold_briefly, z_cutoff
from bids_fx.reports.titles import combined_title, effect_units, group_title, run_title

#: What is taken into a page whose room is limited, the first first. What is not combined any
#: further counts as combined.
ORDER = (
    *(("combined", "z"), ("combined", "effect"), ("input", "z"), ("combined", "isq")),
    *(("input", "effect"), ("combined", "t"), ("combined", "F")),
)
#: What is behind maps without any image that could be.
FLAT = "a flat grey where there are results"
#: Of maps other than z, the percentage of voxels that is not coloured at first.
HIDDEN_PERCENT = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What is behind maps.

    Parameters
    ----------
    key : str
        The same for the same image.
    name : str
        What it is, for people.
    read : callable or None
        Reads it; None for a flat grey.
    """

    key: str
    name: str
    read: Callable[[], maps.Volume] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A map that the viewer could show.

    Parameters
    ----------
    group, contrast, result : str
        What it is of, as the page calls it.
    stat : str
        Its ``stat-`` label.
    units : str
        For people; empty where it has none.
    rank : int
        Its place in `ORDER`.
    key : str
        The same for the same map.
    read : callable
        Reads it; raises OSError where it is missing or damaged.
    cutoff : callable
        Of its values, the one beyond which voxels are coloured at first.
    threshold : str
        Which threshold of the report that is, for people; empty where it is none.
    background : Background
        What is behind it.
    one_sided : bool
        Whether it is never negative.
    """

    group: str
    contrast: str
    result: str
    stat: str
    units: str
    rank: int
    key: str
    read: Callable[[], maps.Volume]
    cutoff: Callable[[maps.FloatArray], float]
    threshold: str
    background: Background
    one_sided: bool


def choices(plans: Sequence[Plan], out_dir: Path) -> list[Choice]:
    """Return all maps that the viewer could show, in the order in which they are taken.

    Parameters
    ----------
    plans : sequence of Plan
        What the page shows.
    out_dir : Path
        The output folder.
    """
    found: list[Choice] = []
    names: set[str] = set()
    for number, plan in enumerate(plans, start=1):
        for group in plan.groups:
            level = "Session" if group.level == "session" else "Participant"
            name = f"{level}: {group_title(group)}"
            if name in names:
                name = f"{name} (analysis {number})"
            names.add(name)
            for item in group.estimable:
                drawn = as_drawn(plan, group, item.contrast.label, out_dir)
                found += _Source(drawn, group, item, out_dir).choices(name)
    return sorted(found, key=lambda choice: choice.rank)


@dataclass(frozen=True, slots=True)
class _Source:
    """One contrast of a group."""

    plan: Plan
    group: GroupPlan
    item: GroupContrast
    out_dir: Path

    def choices(self, name: str) -> Iterator[Choice]:
        """Iterate over its maps, those of the combination first."""
        group, item = self.group, self.item
        is_f = item.contrast.test == "F"
        shown = ("z",) if is_f else ("z", "effect")
        if group.not_written is None:
            title = combined_title(len(item.input_keys), group.input_noun)
            there = paths.combined_stats(item)
            for stat in (*shown, "isq", "F" if is_f else "t"):
                if stat in there:
                    yield self._choice(name, title, group, stat, role="combined")
        role = "input" if group.not_written is None else "combined"
        for result in self.plan.shown_inputs(item):
            if result.key in self.plan.replaced:  # its maps are of another analysis now
                continue
            for stat in shown:
                yield self._choice(name, run_title(result, group), result, stat, role=role)

    def _choice(
        self, name: str, title: str, result: RunPlan | GroupPlan, stat: str, *, role: str
    ) -> Choice:
        """Return one map of the combination or of what enters it."""
        own = result is self.group
        label = self.item.contrast.label if own else self.item.source_label
        return Choice(
            group=name,
            contrast=self.item.contrast.name,
            result=title,
            stat=stat,
            units=self._units(stat),
            rank=ORDER.index((role, stat)),
            key=f"{result.entities} {label} {stat}",
            read=self._reader(result, label, stat),
            cutoff=self._cutoff(stat),
            threshold=threshold_briefly(self.plan.report.threshold) if stat == "z" else "",
            background=self._background(),
            one_sided=self.item.contrast.test == "F" or stat == "isq",
        )

    def _reader(
        self, result: RunPlan | GroupPlan, label: str, stat: str
    ) -> Callable[[], maps.Volume]:
        """Return what reads a map."""
        if stat == "z":
            return partial(maps.result_z, result, label, self.out_dir)
        if stat == "effect":
            return partial(maps.result_effect, result, label, self.out_dir)
        return partial(
            maps.read_volume, self.out_dir / paths.statmap(result.entities, label, stat)
        )

    def _units(self, stat: str) -> str:
        """Return the units of a map."""
        if stat == "effect":
            return effect_units(self.plan)
        return "%" if stat == "isq" else ""

    def _cutoff(self, stat: str) -> Callable[[maps.FloatArray], float]:
        """Return what chooses the value that the viewer starts with: for z, the report's."""
        if stat == "z":
            return partial(z_cutoff, threshold=self.plan.report.threshold)
        return _upper_percentile

    def _background(self) -> Background:
        """Return the anatomy, else the mean image of the group's first run, else a flat grey."""
        first = next(self.plan.group_runs(self.group))
        anatomy = find_anatomy(first)
        if anatomy is not None:
            read = partial(maps.read_volume, anatomy)
            return Background(key=str(anatomy), name=f"the anatomy, {anatomy.name}", read=read)
        if isinstance(first.source, RunMaps):
            return Background(key=f"flat {first.key}", name=FLAT, read=None)
        path = self.out_dir / paths.mean_image(first.entities)
        name = f"the mean image of {run_title(first, self.group)}"
        return Background(key=str(path), name=name, read=partial(maps.read_volume, path))


def _upper_percentile(values: maps.FloatArray) -> float:
    """Return the absolute value that few voxels of a map exceed."""
    return float(np.percentile(np.abs(values), HIDDEN_PERCENT))
