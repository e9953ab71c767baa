"""The figures and the cluster table of a contrast: published files in, files out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from scipy.special import stdtrit

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import (
    COMBINED,
    Cluster,
    MapNumbers,
    write_cluster_sidecar,
    write_clusters,
)
from bids_fx.derivatives.influence import InfluenceRow, read_influence
from bids_fx.inputs import RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.reports import maps
from bids_fx.reports.anatomy import find_anatomy
from bids_fx.reports.atlases import Atlas, find_atlas
from bids_fx.reports.figures.clusters import cluster_table
from bids_fx.reports.figures.cuts import StatRow
from bids_fx.reports.figures.forest import ForestLine, ForestPeak, draw_forest
from bids_fx.reports.figures.heterogeneity import draw_heterogeneity
from bids_fx.reports.figures.places import drawable
from bids_fx.reports.figures.statmaps import draw_statmaps, learn_rows
from bids_fx.reports.figures.style import save_bands, save_figure
from bids_fx.reports.thresholds import cutoff_told
from bids_fx.reports.titles import combined_title, effect_units, group_title, run_title
from bids_fx.reports.wording import number

#: Share of the distribution below the upper end of a 95 % interval.
_UPPER = 0.975


def draw_group_contrast(
    plan: Plan, group: GroupPlan, label: str, out_dir: Path
) -> dict[str, Path]:
    """Draw one contrast's maps, combined and of each run, and list the clusters.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        One of its groups. Where its combined map is not written, the runs stand alone.
    label : str
        Label of a contrast that at least one run can estimate.
    out_dir : Path
        The output folder, where the maps were published.

    Returns
    -------
    dict of str to Path
        The figures by kind, as `paths.group_figures`; ``clusters``, the table, and ``sidecar``,
        what is said of it, which is written last.

    Raises
    ------
    FileNotFoundError
        Where a map that was planned is missing.
    """
    item = next(item for item in group.estimable if item.contrast.label == label)
    is_f = item.contrast.test == "F"
    rest = f"{'   ·   F test' if is_f else ''}   ·   {group_title(group)}"
    title = drawable(item.contrast.name, f"contrast-{label}") + rest
    shown = _Shown.of(plan, group, item, out_dir)
    files = {kind: out_dir / path for kind, path in paths.group_figures(group)[label].items()}
    # What says of which threshold the figures are must not say so of others.
    (out_dir / paths.sidecar(paths.group_clusters(group)[label])).unlink(missing_ok=True)
    threshold = plan.report.threshold
    facts, cuts = learn_rows(shown, threshold, None)
    bands = draw_statmaps(
        shown, title=title, threshold=threshold, cuts=cuts, one_sided=is_f, facts=facts
    )
    save_bands(bands, files["z"])
    numbers = dict(zip(shown.keys, (fact.numbers for fact in facts), strict=True))
    if "isq" in files:
        _draw_heterogeneity(shown, title, cuts, numbers[COMBINED].cutoff, files["isq"])
        _draw_forest(shown, item.contrast.name + rest, files["forest"])
    return files | _write_clusters(shown, numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """The maps of a contrast: each input's is read whenever it is asked for, then let go.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        One of its groups.
    item : GroupContrast
        One of its contrasts.
    out_dir : Path
        The output folder.
    combined : Volume or None
        The combined z map, if it is written.
    """

    plan: Plan
    group: GroupPlan
    item: GroupContrast
    out_dir: Path
    combined: maps.Volume | None

    @classmethod
    def of(cls, plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path) -> _Shown:
        """Read the combined map."""
        combined = None
        if group.not_written is None:
            combined = maps.combined(group, item.contrast.label, "z", out_dir)
        return cls(plan=plan, group=group, item=item, out_dir=out_dir, combined=combined)

    @property
    def inputs(self) -> list[RunPlan | GroupPlan]:
        """What enters."""
        return self.plan.inputs(self.item)

    @property
    def keys(self) -> list[str]:
        """Names of the maps in tables, in their order."""
        first = [] if self.combined is None else [COMBINED]
        return [*first, *(result.key for result in self.inputs)]

    def __iter__(self) -> Iterator[StatRow]:
        """Iterate over the combined map and each input's."""
        if self.combined is not None:
            yield StatRow(
                name=combined_title(len(self.item.input_keys), self.group.input_noun),
                z=self.combined.data,
                affine=self.combined.affine,
                background=self._behind_combined(),
            )
        for result in self.inputs:
            z = maps.result_z(result, self.item.source_label, self.out_dir)
            yield StatRow(
                name=run_title(result, self.group),
                z=z.data,
                affine=z.affine,
                background=self._mean_image(self._first_run(result)),
            )

    def _first_run(self, result: RunPlan | GroupPlan) -> RunPlan:
        """Return the run itself, or the first one of a combination."""
        if isinstance(result, RunPlan):
            return result
        return next(self.plan.contrast_runs(result.source_of(self.item)))

    def _behind_combined(self) -> Callable[[], maps.Volume] | None:
        """Return what reads the anatomy or, where there is none, the first run's mean image."""
        first = next(self.plan.contrast_runs(self.item))
        anatomy = find_anatomy(first)
        return self._mean_image(first) if anatomy is None else partial(maps.read_volume, anatomy)

    def _mean_image(self, run: RunPlan) -> Callable[[], maps.Volume] | None:
        """Return what reads a run's mean image; maps made beforehand have none."""
        if isinstance(run.source, RunMaps):
            return None
        return partial(maps.mean_image, run, self.out_dir)

    def stat(self, stat: str) -> maps.Volume:
        """Read a map of the combined contrast."""
        return maps.combined(self.group, self.item.contrast.label, stat, self.out_dir)


def _draw_heterogeneity(
    shown: _Shown, title: str, cuts: tuple[float, ...], cutoff: float, path: Path
) -> None:
    """Draw I² of the combined map, at the cuts of its z."""
    row = next(iter(shown))
    outlined = "" if cutoff == float("inf") else f" Outlined: combined {cutoff_told(cutoff)}."
    noun = shown.group.input_noun
    text = (
        f"I² of {len(shown.item.input_keys)} {noun}s: share of the variation of their effects "
        f"beyond sampling error.{outlined}"
    )
    bands = draw_heterogeneity(
        row, shown.stat("isq"), title=title, text=text, cuts=cuts, cutoff=cutoff
    )
    save_bands(bands, path)


def _draw_forest(shown: _Shown, title: str, path: Path) -> None:
    """Draw what is combined at the peaks of the combined map."""
    group, label = shown.group, shown.item.contrast.label
    rows = read_influence(shown.out_dir / paths.influence_tables(group)[label])
    by_peak = [list(some) for _, some in groupby(rows, key=lambda row: row.peak)]
    places = [(some[0].x, some[0].y, some[0].z) for some in by_peak]
    # One map at a time: of each no more than the peaks is kept.
    at_peaks = {
        stat: [maps.value_at(volume, place) for place in places]
        for stat in ("effect", *paths.FOREST_STATS)
        for volume in [shown.stat(stat)]
    }
    peaks = [
        _forest_peak(shown, some, {stat: values[index] for stat, values in at_peaks.items()})
        for index, some in enumerate(by_peak)
    ]
    units, noun = effect_units(shown.plan), group.input_noun
    save_figure(draw_forest(peaks, title=title, units=units, noun=noun), path)


def _forest_peak(
    shown: _Shown, rows: list[InfluenceRow], combined: dict[str, float]
) -> ForestPeak:
    """Return what is drawn of one peak."""
    names = {str(one.entities): run_title(one, shown.group) for one in shown.inputs}
    first = rows[0]
    n_there = sum(row.weight > 0 for row in rows)
    differ = (
        f"Q = {number(combined['q'])} ({number(n_there - 1, 0)} df), p = {combined['qp']:.2g} by "
        f"Welch's F, I² = {number(combined['isq'], 0)} %"
    )
    return ForestPeak(
        name=f"{first.peak.title()} peak",
        xyz=(first.x, first.y, first.z),
        z=first.z_all,
        text=differ if n_there > 1 else f"one {shown.group.input_noun} alone has a result here",
        lines=tuple(
            ForestLine(
                name=names.get(row.run, row.run),
                effect=row.effect,
                half_width=float(stdtrit(row.dof, _UPPER)) * row.standard_error,
                weight=row.weight,
                z_without=row.z_without,
            )
            for row in rows
        ),
        combined=ForestLine(
            name="combined",
            effect=combined["effect"],
            half_width=float(stdtrit(combined["dof"], _UPPER)) * combined["variance"] ** 0.5,
        ),
    )


def _write_clusters(shown: _Shown, numbers: dict[str, MapNumbers]) -> dict[str, Path]:
    """Write the clusters of the combined map, or of each input where none is written."""
    plan, group, contrast = shown.plan, shown.group, shown.item.contrast
    # The effects of an F contrast are not one a voxel.
    has_effect = contrast.test == "t"
    found: list[tuple[str, Cluster]] = []
    if shown.combined is not None:
        effect = shown.stat("effect") if has_effect else None
        found += _named(COMBINED, shown.combined, numbers[COMBINED].cutoff, effect)
    else:
        label = shown.item.source_label
        for result in shown.inputs:
            z = maps.result_z(result, label, shown.out_dir)
            effect = maps.result_effect(result, label, shown.out_dir) if has_effect else None
            found += _named(result.key, z, numbers[result.key].cutoff, effect)
    found, told = _with_regions(found, find_atlas(next(plan.contrast_runs(shown.item))))
    path = paths.group_clusters(group)[contrast.label]
    return {
        "clusters": write_clusters(shown.out_dir / path, found),
        "sidecar": write_cluster_sidecar(plan, group, shown.item, numbers, told, shown.out_dir),
    }


def _named(
    name: str, z: maps.Volume, cutoff: float, effect: maps.Volume | None
) -> list[tuple[str, Cluster]]:
    """Return the clusters of one map with its name."""
    covered = maps.is_covered(z.data)
    effects = None if effect is None else effect.data
    clusters = cluster_table(z.data, z.affine, covered, cutoff, effect=effects)
    return [(name, cluster) for cluster in clusters]


def _with_regions(
    found: list[tuple[str, Cluster]], atlas: Atlas | None
) -> tuple[list[tuple[str, Cluster]], dict[str, str]]:
    """Return clusters with the regions of their peaks, and what the sidecar says of these."""
    if atlas is None:
        return found, {}
    try:
        regions = atlas.regions(cluster.xyz for _, cluster in found)
    except OSError as error:
        # Names are a help to the reader: without them the table is as true.
        return found, {"RegionsLeftOut": str(error)}
    named = [
        (name, replace(cluster, region=region))
        for (name, cluster), region in zip(found, regions, strict=True)
    ]
    return named, {"Atlas": atlas.name}
