"""The results part of the report: each group's contrasts with maps, peaks and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import as_drawn
from bids_fx.derivatives.meanings import said_of
from bids_fx.inputs import RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.reports.anatomy import find_anatomy
from bids_fx.reports.cluster_tables import cluster_table, influence_table
from bids_fx.reports.files import embed
from bids_fx.reports.page import ContrastPart, GroupPart, Picture
from bids_fx.reports.peaks import PeakLine, compare, peak_lines, peak_table
from bids_fx.reports.thresholds import threshold_told
from bids_fx.reports.titles import effect_units, group_title, run_title
from bids_fx.reports.wording import count

#: What the figures show of how what is combined differs.
_ISQ = (
    "I² of the {number} at the cuts of the combined map: the share of the variation of their "
    "effects that sampling error does not explain. 0 %: they differ no more than their errors "
    "make them; 75 % and more: much. With few {noun}s it is imprecise: of two or three, even a "
    "large I² may be chance, and 0 % does not show that they agree. Outlined: the combined map "
    "above its threshold."
)
_FOREST = (
    "Left: the effect of each {noun} ({units}) with its 95 % interval, by its own degrees of "
    "freedom; the area of its mark is its weight in the combined effect, the diamond, which is "
    "as wide as its interval. Right: combined z without this {noun}; the one that changes it "
    "most is marked. Q is Cochran's; its p is by Welch's F, since chi-square would be liberal "
    "where variances are estimated. A peak is chosen for its height, so that effects there tend "
    "to be too large."
)

#: Maps of which a figure's alternative text tells the peak.
_TOLD = 5

#: What is behind the map of a combination.
_FIRST_RUNS = "the mean image of its first run"


class _Told(NamedTuple):
    """What is told of a figure."""

    title: str
    caption: str
    alt: str


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
    since = [run_title(one, group) for one in plan.inputs(group) if one.key in plan.replaced]
    if since:
        text += (
            f" Fitted again since, with other settings: {', '.join(since)}, so that the maps that "
            "entered are not there any more."
        )
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
    plan = as_drawn(plan, group, contrast.label, out_dir)
    lines = peak_lines(plan, group, item, out_dir)
    if contrast.test == "F":
        rows = count(plan.n_rows(item), "row")
        text = f"F test of {rows} together, which has no direction."
        if group.not_written is None and item.has_influence:
            text += (
                f" It has several effects, so there is no plot of each {noun}'s effect and no I²; "
                f"the table of what each {noun} does has their F."
            )
        notes.insert(0, text)
    if group.not_written is None:
        # A contrast between means, or of a negative one, need not have a higher peak.
        is_positive_mean = item.is_mean and min(item.weights) > 0
        if is_positive_mean and plan.replaced.isdisjoint(item.input_keys):
            notes.append(compare(group, item, lines))
        notes += _without_weights(group, item, out_dir)
    pictures = _pictures(plan, group, item, lines, out_dir)
    return ContrastPart(
        anchor=anchor,
        name=contrast.name,
        formula=contrast.formula,
        notes=tuple(notes),
        picture=pictures["z"],
        peaks=peak_table(plan, group, item, lines),
        clusters=cluster_table(plan, group, item, out_dir),
        heterogeneity=pictures.get("isq"),
        forest=pictures.get("forest"),
        influence=influence_table(plan, group, item, out_dir),
        peak_z=None if group.not_written else lines[0].peak_z,
    )


def _pictures(
    plan: Plan,
    group: GroupPlan,
    item: GroupContrast,
    lines: Sequence[PeakLine],
    out_dir: Path,
) -> dict[str, Picture]:
    """Return the figures of a contrast by kind."""
    name, noun = item.contrast.name, group.input_noun
    told = {
        "z": _Told(
            name,
            _caption(plan, group, item),
            f"z maps of {name}, one row a map: a glass brain from three sides and axial cuts. "
            f"{_told(item, lines)} Peaks and clusters are in the tables that follow.",
        ),
        "isq": _Told(
            f"{name}: how the {noun}s differ",
            _ISQ.format(number=count(len(item.input_keys), noun), noun=noun),
            f"Map of I² of {name} at axial cuts, in percent. Its values at the peaks are in the "
            "next figure.",
        ),
        "forest": _Told(
            f"{name}: each {noun} at the peaks",
            _FOREST.format(noun=noun, units=effect_units(plan)),
            f"Forest plot of {name}: the effect of each {noun} and the combined one at the peaks "
            "of the combined map, with 95 % intervals. The numbers are in the table that follows.",
        ),
    }
    return {
        kind: embed(path, out_dir, **told[kind]._asdict())
        for kind, path in paths.group_figures(group)[item.contrast.label].items()
    }


def _told(item: GroupContrast, lines: Sequence[PeakLine]) -> str:
    """Return what the first maps show; more would be too much to listen to."""
    told = [line.told(one_sided=item.contrast.test == "F") for line in lines[:_TOLD]]
    more = f" And {len(lines) - _TOLD} more." if len(lines) > _TOLD else ""
    return "; ".join(told) + "." + more


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
    size = "z" if item.contrast.test == "F" else "|z|"
    return (
        f"Rows: {rows}. At the left of each a glass brain: z where {size} is the largest on the "
        "line of sight, within the outline of the voxels that have a result. Then the same axial "
        f"cuts of all, on {ground}. Coloured: "
        f"{threshold_told(plan.report.threshold, item.contrast.test)}; which {size} that is, is "
        "above each row. One colour scale for all rows. World coordinates in mm; left is left."
    )


def _without_weights(group: GroupPlan, item: GroupContrast, out_dir: Path) -> list[str]:
    """Say in how many voxels weights gave way, read from the combined map's sidecar."""
    path = paths.sidecar(paths.statmap(group.entities, item.contrast.label, "z"))
    number = object_or_nothing(out_dir / path).get("VoxelsWithoutWeights")
    if not isinstance(number, int) or not number:
        return []
    text = (
        f"In {count(number, 'voxel')} a run has too few degrees of freedom for weights (8 or "
        "less): there the runs count equally, so that one that tells little blurs the others."
    )
    return [said_of(group.input_noun, text)]
