"""The figures and tables of groups: published files in, files out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.inputs import RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.reports import maps
from bids_fx.reports.anatomy import find_anatomy
from bids_fx.reports.figures.clusters import Cluster, cluster_table, write_clusters
from bids_fx.reports.figures.cuts import StatRow
from bids_fx.reports.figures.statmaps import draw_statmaps
from bids_fx.reports.figures.style import save_bands

#: Name of the combined map in cluster tables.
COMBINED = "combined"


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
    shown = _Shown.of(plan, group, item, out_dir)
    bands = draw_statmaps(shown, title=title, one_sided=is_f)
    figure_file = save_bands(bands, out_dir / paths.group_figures(group)[label])
    table = _clusters(shown)
    return figure_file, write_clusters(out_dir / paths.group_clusters(group)[label], table)


def group_title(group: GroupPlan) -> str:
    """Return a group's entities for people, the participant left out.

    Examples
    --------
    >>> from bids_fx.entities import parse_name
    >>> entities = parse_name("sub-01_task-x_space-MNI152Lin_bold.nii.gz").entities
    >>> group_title(
    ...     GroupPlan(
    ...         key="", level="subject", levels=("subject",), entities=entities, input_keys=()
    ...     )
    ... )
    'task-x space-MNI152Lin'
    """
    return str(group.entities.without("sub")).replace("_", " ")


def run_title(result: RunPlan | GroupPlan, group: GroupPlan) -> str:
    """Return what tells a run, or what else is combined, from the others of its group.

    Returns
    -------
    str
        For example ``ses-2 run-1``; ``single run`` where it has no entity of its own.
    """
    own = result.entities.without(*group.entities)
    return str(own).replace("_", " ") or f"single {group.input_noun}"


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


def combined_title(number: int, noun: str = "run") -> str:
    """Return what the combined map is called.

    Examples
    --------
    >>> combined_title(2), combined_title(1, "session")
    ('combined (2 runs)', 'combined (1 session)')
    """
    return f"combined ({number} {noun}{'' if number == 1 else 's'})"


def _clusters(shown: _Shown) -> list[tuple[str, Cluster]]:
    """Return the clusters of the combined map, or of each input where none is written."""
    contrast, out_dir = shown.item.contrast, shown.out_dir
    # The effects of an F contrast are not one a voxel.
    has_effect = contrast.test == "t"
    if shown.combined is not None:
        effect = None
        if has_effect:
            effect = maps.combined(shown.group, contrast.label, "effect", out_dir)
        return [(COMBINED, cluster) for cluster in _of(shown.combined, effect)]
    found = []
    label = shown.item.source_label
    for result in shown.inputs:
        effect = maps.result_effect(result, label, out_dir) if has_effect else None
        clusters = _of(maps.result_z(result, label, out_dir), effect)
        found += [(result.key, cluster) for cluster in clusters]
    return found


def _of(z: maps.Volume, effect: maps.Volume | None) -> list[Cluster]:
    """Return the clusters of one map."""
    effects = None if effect is None else effect.data
    return cluster_table(z.data, z.affine, maps.is_covered(z.data), effect=effects)
