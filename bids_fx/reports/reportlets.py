"""The figures and tables of runs and groups: published files in, files out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bids_fx.derivatives import paths
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.reports import maps
from bids_fx.reports.anatomy import find_anatomy, on_grid
from bids_fx.reports.figures.clusters import Cluster, cluster_table, write_clusters
from bids_fx.reports.figures.designs import (
    draw_contrasts,
    draw_correlation,
    draw_design,
    draw_motion,
)
from bids_fx.reports.figures.statmaps import StatRow, draw_statmaps
from bids_fx.reports.figures.style import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Name of the combined map in cluster tables.
COMBINED = "combined"


def draw_run_figures(run: RunPlan, out_dir: Path) -> dict[str, Path]:
    """Draw the figures of a run's model.

    Parameters
    ----------
    run : RunPlan
        A run that is fitted; maps made beforehand have no such figures.
    out_dir : Path
        The output folder.

    Returns
    -------
    dict of str to Path
        By kind (``design``, ``corr``, ``contrasts``, ``motion``), as `paths.run_figures`.
    """
    design = run.design
    if design is None:
        return {}
    draw: dict[str, Callable[[], Figure]] = {
        "design": lambda: draw_design(design),
        "corr": lambda: draw_correlation(design),
        "contrasts": lambda: draw_contrasts(run),
        "motion": lambda: draw_motion(run),
    }
    return {
        kind: save_figure(draw[kind](), out_dir / path)
        for kind, path in paths.run_figures(run).items()
    }


def draw_group_contrast(
    plan: Plan, group: GroupPlan, label: str, out_dir: Path
) -> tuple[Path, Path]:
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
    figure, clusters : Path
        The PNG and the table (columns as in `write_clusters`).

    Raises
    ------
    FileNotFoundError
        Where a map that was planned is missing.
    """
    item = next(item for item in group.estimable if item.contrast.label == label)
    is_f = item.contrast.test == "F"
    name = f"{item.contrast.name}   ·   F test" if is_f else item.contrast.name
    title = f"{name}   ·   {group_title(group)}"
    figure = draw_statmaps(_rows(plan, group, item, out_dir), title=title, one_sided=is_f)
    figure_file = save_figure(figure, out_dir / paths.group_figures(group)[label])
    table = _clusters(plan, group, item, out_dir)
    return figure_file, write_clusters(out_dir / paths.group_clusters(group)[label], table)


def group_title(group: GroupPlan) -> str:
    """Return a group's entities for people, the participant left out.

    Examples
    --------
    >>> from bids_fx.entities import parse_name
    >>> entities = parse_name("sub-01_task-x_space-MNI152Lin_bold.nii.gz").entities
    >>> group_title(
    ...     GroupPlan(key="", level="subject", levels=("subject",), entities=entities, run_keys=())
    ... )
    'task-x space-MNI152Lin'
    """
    return str(group.entities.without("sub")).replace("_", " ")


def run_title(run: RunPlan, group: GroupPlan) -> str:
    """Return what tells a run from the others of its group.

    Returns
    -------
    str
        For example ``ses-2 run-1``; ``single run`` where it has no entity of its own.
    """
    own = run.entities.without(*group.entities)
    return str(own).replace("_", " ") or "single run"


def _rows(plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path) -> list[StatRow]:
    """Return the combined map, if it is written, and each run's."""
    label = item.contrast.label
    rows = []
    for key in item.run_keys:
        run = plan.run(key)
        z, grey = maps.run_z(run, label, out_dir), maps.background(run, out_dir)
        rows.append(
            StatRow(
                name=run_title(run, group),
                z=z.data,
                background=None if grey is None else grey.data,
                affine=z.affine,
            )
        )
    if group.not_written is not None:
        return rows
    z = maps.combined(group, label, "z", out_dir)
    anatomy = find_anatomy(plan.run(item.run_keys[0]))
    behind = rows[0].background if anatomy is None else on_grid(anatomy, z).data
    combined = StatRow(
        name=combined_title(len(item.run_keys)), z=z.data, background=behind, affine=z.affine
    )
    return [combined, *rows]


def combined_title(n_runs: int) -> str:
    """Return what the combined map is called.

    Examples
    --------
    >>> combined_title(2), combined_title(1)
    ('combined (2 runs)', 'combined (1 run)')
    """
    return f"combined ({n_runs} run{'' if n_runs == 1 else 's'})"


def _clusters(
    plan: Plan, group: GroupPlan, item: GroupContrast, out_dir: Path
) -> list[tuple[str, Cluster]]:
    """Return the clusters of the combined map, or of each run where none is written."""
    label = item.contrast.label
    has_effect = item.contrast.test == "t"
    if group.not_written is None:
        z = maps.combined(group, label, "z", out_dir)
        effect = maps.combined(group, label, "effect", out_dir) if has_effect else None
        return [(COMBINED, cluster) for cluster in _of(z, effect)]
    found = []
    for run in map(plan.run, item.run_keys):
        effect = maps.run_effect(run, label, out_dir) if has_effect else None
        clusters = _of(maps.run_z(run, label, out_dir), effect)
        found += [(run.key, cluster) for cluster in clusters]
    return found


def _of(z: maps.Volume, effect: maps.Volume | None) -> list[Cluster]:
    """Return the clusters of one map; the effects of an F contrast are not one a voxel."""
    effects = None if effect is None else effect.data
    return cluster_table(z.data, z.affine, maps.is_covered(z.data), effect=effects)
