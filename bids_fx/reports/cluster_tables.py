"""The report's tables of a contrast's clusters, and of what each run does to its peaks."""

from __future__ import annotations

import math
from itertools import compress
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import COMBINED, Cluster, read_clusters
from bids_fx.derivatives.influence import InfluenceRow, read_influence
from bids_fx.json_files import object_or_nothing
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.reports.page import Table
from bids_fx.reports.thresholds import cutoff_told, threshold_told
from bids_fx.reports.titles import effect_units, run_title
from bids_fx.reports.wording import brief, coordinates, number

#: Clusters that the page lists; the table on disk has all.
N_CLUSTERS = 10


def cluster_table(
    plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path
) -> Table | None:
    """Return the largest peaks of the cluster table; None where the file is missing."""
    path = paths.group_clusters(group)[item.contrast.label]
    try:
        found = read_clusters(out_dir / path)
    except (OSError, ValueError):
        return None
    # Several maps stand one after the other in the file.
    shown = sorted(found, key=lambda pair: -abs(pair[1].peak_z))[:N_CLUSTERS]
    names = {result.key: run_title(result, group) for result in plan.inputs(group)}
    told = object_or_nothing(out_dir / paths.sidecar(path))
    atlas, left_out = told.get("Atlas"), told.get("RegionsLeftOut")
    regions = f" Region of the peak: {atlas}." if atlas else ""
    regions += f" Without regions: {left_out}." if left_out else ""
    rest = ""
    if len(found) > len(shown):
        rest = f" The {len(shown)} with the largest |z| of {len(found):,}."
    caption = (
        "Clusters of voxels that touch by their faces, "
        f"{threshold_told(plan.report.threshold, item.contrast.test)}{_cutoff(told, item)}."
        f"{rest}{regions}" + (f" All are in {path.name}." if found else "")
    )
    head = (
        *("Cluster", "Map", "Peak z", "Place (x, y, z in mm)", "Region"),
        *(f"Effect at the peak ({effect_units(plan)})", "Size (mm³)", "Voxels"),
    )
    # Whose clusters they are need not be said where all are the combined map's, and the effects
    # of an F contrast are several.
    is_t = item.contrast.test == "t"
    kept = [True, bool(group.not_written), True, True, bool(atlas), is_t, True, True]
    rows = [
        (str(rank), names.get(name, name), *_cluster_cells(cluster))
        for rank, (name, cluster) in enumerate(shown, start=1)
    ]
    return Table(
        caption=caption,
        head=tuple(compress(head, kept)),
        rows=tuple(tuple(compress(row, kept)) for row in rows),
    )


def _cutoff(told: dict[str, object], item: GroupContrast) -> str:
    """Return the z above which voxels belong to clusters, where all are of one map."""
    threshold = told.get("Threshold")
    cutoffs = threshold.get("Z") if isinstance(threshold, dict) else None
    if not isinstance(cutoffs, dict) or (len(cutoffs) != 1 and COMBINED not in cutoffs):
        return ""
    value = cutoffs.get(COMBINED, next(iter(cutoffs.values())))
    if not isinstance(value, float | int):
        return ", which no voxel survives"
    return f": {cutoff_told(value, one_sided=item.contrast.test == 'F')}"


def _cluster_cells(cluster: Cluster) -> tuple[str, ...]:
    """Return what a table says of a cluster."""
    return (
        number(cluster.peak_z),
        coordinates(cluster.xyz),
        cluster.region or "n/a",
        brief(cluster.effect),
        number(cluster.size_mm3, 0),
        f"{cluster.n_voxels:,}",
    )


def influence_table(
    plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path
) -> Table | None:
    """Return what each run does to the combined peaks; None for a run alone."""
    path = paths.influence_tables(group).get(item.contrast.label)
    if path is None:
        return None
    try:
        found = read_influence(out_dir / path)
    except (OSError, ValueError, TypeError):
        return Table(caption="The table of what each run does is missing.", head=(), rows=())
    names = {str(result.entities): run_title(result, group) for result in plan.inputs(group)}
    noun = group.input_noun
    head = (
        noun.title(),
        "Peak",
        "Effect",
        "SE",
        "F",
        "dof",
        "Weight",
        "z of all",
        "z without",
        "Change",
    )
    # An F contrast has an F in place of one effect and one weight.
    is_t = item.contrast.test == "t"
    kept = [True, True, is_t, is_t, not is_t, True, is_t, True, True, True]
    own = (
        f"its own estimate there (effect and standard error in {effect_units(plan)}), its share "
        "of the weight"
        if is_t
        else "its own F there with its degrees of freedom"
    )
    rows = [(names.get(row.run, row.run), *_influence_cells(row)) for row in found]
    return Table(
        caption=(
            f"What each {noun} does to the peaks of the combined map: {own}, and z of all "
            f"{noun}s and without this one. Also in {path.name}."
        ),
        head=tuple(compress(head, kept)),
        rows=tuple(tuple(compress(row, kept)) for row in rows),
    )


def _influence_cells(row: InfluenceRow) -> tuple[str, ...]:
    """Return what a table says of one run at one peak."""
    share = "n/a" if math.isnan(row.weight) else f"{number(100 * row.weight, 0)} %"
    return (
        coordinates((row.x, row.y, row.z)),
        *(brief(row.effect), brief(row.standard_error), brief(row.F), number(row.dof, 1), share),
        *(number(row.z_all), number(row.z_without), number(row.change)),
    )
