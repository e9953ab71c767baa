"""The results part of the report: each group's contrasts with maps, peaks and clusters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.derivatives.influence import InfluenceRow, read_influence
from bids_fx.derivatives.meanings import said_of
from bids_fx.inputs import RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.reports import maps
from bids_fx.reports.anatomy import find_anatomy
from bids_fx.reports.figures.clusters import Cluster, read_clusters
from bids_fx.reports.files import embed, read_json
from bids_fx.reports.page import ContrastPart, GroupPart, Table
from bids_fx.reports.reportlets import combined_title, group_title, run_title
from bids_fx.reports.wording import MISSING, brief, coordinates, count, number
from bids_fx.settings import Z_THRESHOLD

#: What is behind the map of a combination.
_FIRST_RUNS = "the mean image of its first run"

#: Clusters that the page lists; the table on disk has all.
N_CLUSTERS = 10

#: What is coloured and listed, by the contrast's test.
THRESHOLD_TEXT = {
    "t": (
        f"|z| > {Z_THRESHOLD:g}, which is p < .001 two-sided in each voxel, not corrected for "
        "the number of voxels"
    ),
    "F": (
        f"z of the F test > {Z_THRESHOLD:g}, which is p < .001 in each voxel (z has the two-sided "
        "tail that p of F is), not corrected for the number of voxels"
    ),
}

#: Units of effects, by `signal_scaling`.
_UNITS = {
    "psc": "% signal change",
    "grand-mean": "% of the mask's mean",
    "none": "units of the BOLD image",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One map's row in the table of peaks; `peak` is None where there is no result."""

    name: str
    cells: tuple[str, ...]
    peak: maps.Peak | None


def group_part(plan: Plan, group: GroupPlan, anchor: str, out_dir: Path) -> GroupPart:
    """Gather what the report shows of one group.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        One of its groups.
    anchor : str
        Its id in the page.
    out_dir : Path
        The output folder.

    Returns
    -------
    GroupPart
        Files that are missing or damaged show as missing.
    """
    names = ", ".join(run_title(result, group) for result in plan.inputs(group))
    noun = group.input_noun
    if group.not_written is not None:
        text = f"No combined map is written: {group.not_written}. {noun.title()}s: {names}."
    else:
        how = {
            "weighted": "weighted by the inverse of their variances",
            "unweighted": "each with the same weight",
        }[plan.combination(group)]
        text = f"{count(len(group.input_keys), noun)}, {how}: {names}."
    if group.absent:
        text += f" Not there: {', '.join(_absent_titles(group))}."
    of = "Session" if group.level == "session" else "Participant"
    if plan.steps and group.step:
        text = f"Node {group.step}. {text}"
    return GroupPart(
        anchor=anchor,
        title=f"{of}: {group_title(group)}",
        level=group.level,
        text=text,
        contrasts=tuple(
            _contrast_part(plan, group, item, f"{anchor}-contrast-{index}", out_dir)
            for index, item in enumerate(group.contrasts, start=1)
        ),
    )


def _absent_titles(group: GroupPlan) -> list[str]:
    """Return what tells the absent runs of a group from each other."""
    shared = str(group.entities).split("_")
    return [
        " ".join(pair for pair in name.split("_") if pair not in shared) or "single run"
        for name in group.absent
    ]


def _contrast_part(
    plan: Plan, group: GroupPlan, item: GroupContrast, anchor: str, out_dir: Path
) -> ContrastPart:
    """Gather what the report shows of one contrast."""
    contrast, noun = item.contrast, group.input_noun
    notes = [
        f"{run_title(plan.result(key), group)} is left out: {reason}."
        for key, reason in item.dropped.items()
    ]
    if not item.input_keys:
        none = f"No {noun} can estimate this contrast, so there is no map of it."
        notes.insert(0, f"There is no map of it: {item.reason}." if item.reason else none)
        return ContrastPart(
            anchor=anchor, name=contrast.name, formula=contrast.formula, notes=tuple(notes)
        )
    summaries = list(_summaries(plan, group, item, out_dir))
    if contrast.test == "F":
        rows = count(plan.n_rows(item), "row")
        notes.insert(0, f"F test of {rows} together, which has no direction.")
    if group.not_written is None:
        # A contrast between means, or of a negative one, need not have a higher peak.
        if item.is_mean and min(item.weights) > 0:
            notes.append(_compare(group, item, summaries))
        notes += _without_weights(group, item, out_dir)
    return ContrastPart(
        anchor=anchor,
        name=contrast.name,
        formula=contrast.formula,
        notes=tuple(notes),
        picture=embed(
            paths.group_figures(group)[contrast.label],
            out_dir,
            title=contrast.name,
            caption=_caption(plan, group, item),
            alt=(
                f"z maps of {contrast.name} at axial cuts, one row a map. "
                "Peaks and clusters are in the tables that follow."
            ),
        ),
        peaks=_peak_table(group, item, summaries),
        clusters=_cluster_table(plan, group, item, out_dir),
        influence=_influence_table(plan, group, item, out_dir),
        peak_z=None if group.not_written else _peak_z(summaries),
    )


def _peak_z(summaries: list[_Line]) -> float | None:
    """Return the highest z of the combined map, which is the first."""
    return None if summaries[0].peak is None else summaries[0].peak.value


def _caption(plan: Plan, group: GroupPlan, item: GroupContrast) -> str:
    """Return what a figure of z maps shows."""
    each = f"each {group.input_noun}" + (f"'s {item.source}" if item.source else "")
    rows = each if group.not_written else f"the combined map, then {each}"
    runs = list(plan.contrast_runs(item))
    anatomy = find_anatomy(runs[0])
    if all(isinstance(run.source, RunMaps) for run in runs):
        ground = "a flat grey where there are results, since the maps were made beforehand"
        if anatomy is not None and not group.not_written:
            ground += f" (for the combined map, the anatomy, {anatomy.name})"
    elif group.not_written:
        ground = "its mean image" if group.input_noun == "run" else _FIRST_RUNS
    else:
        behind = "the first run's" if anatomy is None else f"the anatomy, {anatomy.name}"
        own = "the run's mean image" if group.input_noun == "run" else _FIRST_RUNS
        ground = f"{own} (for the combined map, {behind})"
    return (
        f"Rows: {rows}, at the same axial cuts, on {ground}. Coloured: "
        f"{THRESHOLD_TEXT[item.contrast.test]}. "
        "One colour scale for all rows. World coordinates in mm; left is left."
    )


def _summaries(
    plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path
) -> Iterator[_Line]:
    """Read the combined map and each input's, one at a time, for the table of peaks."""
    label = item.contrast.label
    readers: list[tuple[str, Callable[[], maps.Volume]]] = []
    if group.not_written is None:
        read_combined = partial(maps.combined, group, label, "z", out_dir)
        title = combined_title(len(item.input_keys), group.input_noun)
        readers.append((title, read_combined))
    readers += [
        (run_title(result, group), partial(maps.result_z, result, item.source_label, out_dir))
        for result in plan.inputs(item)
    ]
    place: tuple[float, float, float] | None = None
    for index, (name, read) in enumerate(readers):
        try:
            volume = read()
        except OSError:
            yield _Line(name=name, cells=(MISSING,) * 5, peak=None)
            continue
        found = maps.summarize(volume.data, volume.affine, Z_THRESHOLD)
        if index == 0 and found is not None:
            place = found.peak.xyz
        peak = None if found is None else found.peak
        yield _Line(name=name, cells=_peak_cells(volume, found, place), peak=peak)


def _peak_cells(
    volume: maps.Volume, found: maps.Summary | None, place: tuple[float, float, float] | None
) -> tuple[str, ...]:
    """Return peak, its place, minimum, number of voxels and value at the combined peak."""
    if found is None:
        return ("n/a",) * 5
    return (
        number(found.peak.value),
        coordinates(found.peak.xyz),
        number(found.lowest),
        f"{found.n_above:,}",
        number(float("nan") if place is None else maps.value_at(volume, place)),
    )


def _peak_table(group: GroupPlan, item: GroupContrast, summaries: list[_Line]) -> Table:
    """Return the table of peaks; without a combined map there is no combined peak.

    The z of an F test is never negative, so that it has no minimum worth a column.
    """
    is_f = item.contrast.test == "F"
    head = (
        *("Map", "Peak z", "Place (x, y, z in mm)", "Minimum z"),
        f"Voxels with {'z' if is_f else '|z|'} > {Z_THRESHOLD:g}",
        "z at the combined peak",
    )
    shown = [True, True, True, not is_f, True, group.not_written is None]
    return Table(
        caption="Peaks of the z maps",
        head=tuple(compress(head, shown)),
        rows=tuple(tuple(compress((item.name, *item.cells), shown)) for item in summaries),
        tones={MISSING: "bad"},
    )


def _compare(group: GroupPlan, item: GroupContrast, summaries: list[_Line]) -> str:
    """Say whether the combined map has the higher peak, as it should."""
    combined, *runs = summaries
    known = [run for run in runs if run.peak is not None]
    if combined.peak is None or not known:
        return "The peaks cannot be compared, since maps are missing or empty."
    best = max(known, key=lambda run: run.peak.value if run.peak else 0.0)
    assert best.peak is not None
    values = f"z = {number(combined.peak.value)} against {number(best.peak.value)} ({best.name})"
    if len(runs) == 1:
        return f"One {group.input_noun} alone enters the combined map: {values}."
    if combined.peak.value > best.peak.value:
        return f"The combined map has the higher peak: {values}."
    where = {
        "t": "the maps stat-q and stat-isq say by how much",
        "F": "the map stat-zchange says what any one of them does",
    }
    return (
        f"The combined map does not have the higher peak: {values}. The {group.input_noun}s "
        f"differ there; {where[item.contrast.test]}."
    )


def _cluster_table(
    plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path
) -> Table | None:
    """Return the largest peaks of the cluster table; None where the file is missing."""
    path = paths.group_clusters(group)[item.contrast.label]
    try:
        found = read_clusters(out_dir / path)
    except (OSError, ValueError):
        return None
    shown = found[:N_CLUSTERS]
    names = {result.key: run_title(result, group) for result in plan.inputs(group)}
    rest = "" if len(found) == len(shown) else f" The {len(shown)} highest of {len(found)}."
    caption = (
        f"Clusters of voxels that touch by their faces, "
        f"{THRESHOLD_TEXT[item.contrast.test]}.{rest} All are in {path.name}."
    )
    head = (
        *("Cluster", "Map", "Peak z", "Place (x, y, z in mm)"),
        *(f"Effect at the peak ({_effect_units(plan)})", "Size (mm³)", "Voxels"),
    )
    # Whose clusters they are need not be said where all are the combined map's, and the effects
    # of an F contrast are several.
    kept = [True, bool(group.not_written), True, True, item.contrast.test == "t", True, True]
    rows = [
        (str(rank), names.get(name, name), *_cluster_cells(cluster))
        for rank, (name, cluster) in enumerate(shown, start=1)
    ]
    return Table(
        caption=caption,
        head=tuple(compress(head, kept)),
        rows=tuple(tuple(compress(row, kept)) for row in rows),
    )


def _cluster_cells(cluster: Cluster) -> tuple[str, ...]:
    """Return what a table says of a cluster."""
    return (
        number(cluster.peak_z),
        coordinates(cluster.xyz),
        brief(cluster.effect),
        number(cluster.size_mm3, 0),
        f"{cluster.n_voxels:,}",
    )


def _without_weights(group: GroupPlan, item: GroupContrast, out_dir: Path) -> list[str]:
    """Say in how many voxels weights gave way, read from the combined map's sidecar."""
    path = paths.sidecar(paths.statmap(group.entities, item.contrast.label, "z"))
    number = read_json(out_dir / path).get("VoxelsWithoutWeights")
    if not isinstance(number, int) or not number:
        return []
    text = (
        f"In {count(number, 'voxel')} a run has too few degrees of freedom for weights (8 or "
        "less): there the runs count equally, so that one that tells little blurs the others."
    )
    return [said_of(group.input_noun, text)]


def _influence_table(
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
    rows = [(names.get(row.run, row.run), *_influence_cells(row)) for row in found]
    return Table(
        caption=(
            f"What each {noun} does to the peaks of the combined map: its own estimate there "
            f"(effect and standard error in {_effect_units(plan)}), its share of the weight, and "
            f"z of all {noun}s and without this one. Also in {path.name}."
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


def _effect_units(plan: Plan) -> str:
    """Return the units of combined effects, for people."""
    return "the maps' units" if plan.has_given_maps else _UNITS[plan.settings.signal_scaling]
