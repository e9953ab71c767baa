"""Joining results: from the files of their maps to those of others, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.estimates import EstimateFiles, EstimateReader, Estimates
from bids_fx.dataset.images import read_map
from bids_fx.derivatives import paths
from bids_fx.derivatives.images import as_published
from bids_fx.derivatives.influence import InfluenceRow
from bids_fx.derivatives.joined import map_uri
from bids_fx.derivatives.results import (
    CombinedContrast,
    clear_group_contrast,
    map_key,
    write_group_contrast,
    write_group_mask,
)
from bids_fx.derivatives.status import recorded_hashes
from bids_fx.glm.combined import GAVE_WAY, combined_f_maps, combined_maps, summed_maps
from bids_fx.glm.influence import peak_influence, peak_influence_rows
from bids_fx.glm.peaks import Peak, find_peaks, highest
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.threads import map_in_order


def join_runs(
    plan: Plan,
    group: GroupPlan,
    label: str,
    maps: Mapping[str, Path],
    out_dir: Path,
    *,
    n_threads: int,
) -> list[Path]:
    """Combine a contrast's maps of a group's inputs and publish the results.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group that is written.
    label : str
        Label of a contrast that an input of the group can estimate.
    maps : mapping of str to Path
        The inputs' maps by `map_key`.
    out_dir : Path
        The output folder.
    n_threads : int
        Threads that combine and write; >= 1. No result depends on it.

    Returns
    -------
    list of Path
        The combined maps.

    Raises
    ------
    BIDSFXError
        If a map is absent, truncated or corrupt, on another grid or not of the contrast's number
        of volumes; if an output cannot be written.

    Notes
    -----
    All maps of a contrast are gone through side by side, so that no more than a slab of them is
    held, whatever the number of runs.
    """
    (item,) = (one for one in group.estimable if one.contrast.label == label)
    clear_group_contrast(group, item, out_dir)
    combined = _combine_contrast(plan, group, item, maps, out_dir, n_threads)
    return write_group_contrast(plan, group, item, combined, out_dir, n_threads=n_threads)


def join_masks(plan: Plan, group: GroupPlan, out_dir: Path) -> Path:
    """Publish the voxels that at least one input covers in any contrast of a group.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group of it, all contrasts of which `join_runs` has published.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The mask.

    Raises
    ------
    BIDSFXError
        If a published map is absent, truncated or corrupt; if the mask cannot be written.
    """
    mask = np.zeros(next(plan.group_runs(group)).source.grid.shape, dtype=bool)
    hashes: dict[str, str] = {}
    for item in group.estimable:
        counts = paths.statmap(group.entities, item.contrast.label, "nruns")
        mask |= read_map(out_dir / counts) > 0
        hashes |= recorded_hashes(counts, out_dir)
    return write_group_mask(plan, group, mask, hashes, out_dir)


def _combine_contrast(
    plan: Plan,
    group: GroupPlan,
    item: GroupContrast,
    maps: Mapping[str, Path],
    out_dir: Path,
    n_threads: int,
) -> CombinedContrast:
    """Read a contrast's maps of all inputs and combine them."""
    source = next(plan.contrast_runs(item)).source
    files = {key: _files(plan, item, key, maps) for key in item.input_keys}
    first = files[item.input_keys[0]].effect
    reader = EstimateReader(
        list(files.values()),
        n_rows=plan.n_rows(item) if item.contrast.test == "F" else None,
        grid=source.grid,
        origin=source.bold if isinstance(source, BoldRun) else first,
    )
    combine = partial(_combine, item=item, combination=plan.combination(group))
    parts: list[_Part] = []
    peaks: dict[Peak, Estimates] = {}
    for part, found in map_in_order(combine, reader.slabs(), n_threads):
        parts.append(part)
        peaks = {peak: (peaks | found)[peak] for peak in highest((*peaks, *found))}
    hashes = reader.finish()
    places = np.concatenate([part.places for part in parts])
    mask = np.zeros(source.grid.shape, dtype=bool)
    mask.reshape(-1)[places] = True
    order = places.argsort()
    return CombinedContrast(
        mask=mask,
        maps={
            # Of the parts each map is let go as soon as it is joined.
            stat: np.concatenate([part.maps.pop(stat) for part in parts], axis=-1)[..., order]
            for stat in tuple(parts[0].maps)
        },
        gave_way=sum(part.gave_way for part in parts),
        influence=_influence(plan, group, item, peaks),
        hashes={
            map_uri(plan.result(key), file, out_dir): hashes[file]
            for key, own in files.items()
            for file in (own.effect, own.spread, own.dof)
            if isinstance(file, Path)
        },
    )


def _files(plan: Plan, item: GroupContrast, key: str, maps: Mapping[str, Path]) -> EstimateFiles:
    """Return an input's maps of the contrast that another is made from."""
    label = item.source_label
    effect, spread, dof = (
        map_key(key, label, stat) for stat in paths.estimate_stats(item.contrast)
    )
    if dof in maps:
        return EstimateFiles(effect=maps[effect], spread=maps[spread], dof=maps[dof])
    source = plan.run(key).source
    assert isinstance(source, RunMaps)
    return EstimateFiles(effect=maps[effect], spread=maps[spread], dof=source.dof[label])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A contrast combined in some voxels.

    Parameters
    ----------
    places : ndarray of int, shape (n_voxels,)
        Of those voxels that a run covers, in the grid's C order.
    maps : dict of str to ndarray
        Over them, by ``stat-`` label; as published, but for the degrees of freedom, whose median
        is that of the computed ones.
    gave_way : int
        Number of voxels where few degrees of freedom made the weighted combination a plain mean.
    """

    places: npt.NDArray[np.intp]
    maps: dict[str, npt.NDArray[Any]]
    gave_way: int


def _combine(
    slab: Estimates, *, item: GroupContrast, combination: str
) -> tuple[_Part, dict[Peak, Estimates]]:
    """Combine a contrast by its test in a slab; also return its peaks there."""
    slab = slab.weighed(item.weights)
    stacks = (slab.effects, slab.spreads, slab.dofs)
    if item.contrast.test == "F":
        stats = combined_f_maps(*stacks, combination=combination)
    elif item.is_mean:
        stats = combined_maps(*stacks, combination=combination)
    else:
        places = {key: place for place, key in enumerate(item.input_keys)}
        cells = [[places[key] for key in cell.input_keys] for cell in item.cells]
        stats = summed_maps(*stacks, cells=cells, combination=combination)
    gave_way = int(stats.pop(GAVE_WAY).sum())
    covered = stats["nruns"] > 0
    inside = {stat: values[..., covered] for stat, values in stats.items()}
    part = _Part(
        places=slab.places[covered],
        maps={s: v if s == "dof" else as_published(s, v) for s, v in inside.items()},
        gave_way=gave_way,
    )
    peaks = find_peaks(stats["z"], slab.places) if item.has_influence else {}
    return part, {peak: slab.at(voxel) for peak, voxel in peaks.items()}


def _influence(
    plan: Plan, group: GroupPlan, item: GroupContrast, peaks: Mapping[Peak, Estimates]
) -> tuple[InfluenceRow, ...]:
    """Return what each input does to the peaks of the combined map, as they are ordered."""
    grid = next(plan.contrast_runs(item)).source.grid
    rows = []
    for peak, estimates in peaks.items():
        index = np.unravel_index(peak.place, grid.shape)
        x, y, up = (np.asarray(grid.affine)[:3] @ [*index, 1.0] + 0.0).tolist()
        numbers = _influence_at(item, estimates, plan.combination(group))
        rows += [
            InfluenceRow(peak.sign, str(result.entities), x, y, up, *own)
            for result, own in zip(plan.inputs(item), numbers, strict=True)
        ]
    return tuple(rows)


def _influence_at(
    item: GroupContrast, estimates: Estimates, combination: str
) -> list[tuple[float, ...]]:
    """Return each input's numbers at the one voxel of the estimates, as in `InfluenceRow`."""
    stacks = (estimates.effects, estimates.spreads, estimates.dofs)
    none = float("nan")
    if item.contrast.test == "F":
        joint = peak_influence_rows(*stacks, voxel=0, combination=combination)
        return [
            (none, none, run.f, run.dof, none, run.z_with, run.z_without, run.change)
            for run in joint
        ]
    rows: list[tuple[float, ...]] = []
    for run in peak_influence(*stacks, voxel=0, combination=combination):
        # What a run that does not enter holds there is no estimate.
        enters = run.share > 0
        own = (run.effect, math.sqrt(run.variance), none, run.dof) if enters else (none,) * 4
        rows.append((*own, run.share, run.z_with, run.z_without, run.change))
    return rows
