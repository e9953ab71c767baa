"""Files of an earlier call that contradict what is planned, if it left any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from bids_fx.derivatives import paths
from bids_fx.entities import Entities
from bids_fx.inputs import RunMaps
from bids_fx.records import GroupContrast, GroupPlan, RunPlan


def superseded_by_run(run: RunPlan) -> Iterator[PurePosixPath]:
    """Iterate over files that contradict what is planned of a run, if an earlier call left any.

    They are of another test under the name of a contrast, of a contrast that the run cannot
    estimate now, or of another noise model's parameters.
    """
    if isinstance(run.source, RunMaps):
        return
    written = set(paths.run_images(run))
    for item in run.contrasts:
        files = _of_any_test(run.entities, item.contrast.label)
        yield from (path for path in files if path not in written)
    for stat in dict.fromkeys(stat for stats in paths.NOISE_STATS.values() for stat in stats):
        if paths.model_map(run.entities, stat) not in written:
            yield paths.model_map(run.entities, stat)


def superseded_by_group(group: GroupPlan, item: GroupContrast) -> Iterator[PurePosixPath]:
    """Iterate over files that contradict those of a combined contrast, as for a run.

    They are also what is told of several runs, where one alone is left.
    """
    label = item.contrast.label
    written = {*paths.group_images(group), *paths.influence_tables(group).values()}
    written.update(paths.group_figures(group).get(label, {}).values())
    files = (
        *_of_any_test(group.entities, label),
        *paths.several_figures(group.entities, label).values(),
    )
    yield from (path for path in files if path not in written)


def unfounded_by_group(group: GroupPlan) -> Iterator[PurePosixPath]:
    """Iterate over what a group has besides maps of contrasts that no input can estimate.

    They are figures and cluster tables; where it has no other contrast, also what is of all.
    """
    is_alone = (True,) if group.shows_runs_alone else (True, False)
    for item in group.contrasts:
        if not item.input_keys:
            for runs_alone in is_alone:
                label = item.contrast.label
                yield paths.statmap_figure(group.entities, label, runs_alone=runs_alone)
                yield paths.clusters(group.entities, label, runs_alone=runs_alone)
            if group.not_written is None:
                yield from paths.several_figures(group.entities, item.contrast.label).values()
    if group.not_written is None and not group.estimable:
        yield paths.mask(group.entities, group.mask_desc)
        yield paths.group_contrasts_table(group)


def _of_any_test(entities: Entities, label: str) -> Iterator[PurePosixPath]:
    """Iterate over the maps that a contrast of any test may have, and its table of influence."""
    stats = (
        *paths.T_STATS,
        *paths.F_STATS,
        *paths.COVERAGE_STATS,
        *paths.HETEROGENEITY_STATS,
        *paths.INFLUENCE_STATS,
    )
    yield from (paths.statmap(entities, label, stat) for stat in dict.fromkeys(stats))
    yield paths.influence(entities, label)
