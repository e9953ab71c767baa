"""Publishing the results of a run or a combination: maps, sidecars and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.contrasts import write_contrasts, write_group_contrasts
from bids_fx.derivatives.images import ImageWriter
from bids_fx.derivatives.influence import InfluenceRow, write_influence
from bids_fx.derivatives.meanings import said_of
from bids_fx.derivatives.superseded import superseded_by_group, superseded_by_run
from bids_fx.derivatives.timeseries import write_traces
from bids_fx.derivatives.write import (
    remove_outputs,
    remove_vouchers,
    sha256,
    six_digits,
    write_image,
    write_json,
    write_table,
)
from bids_fx.glm.carpet import Residuals
from bids_fx.inputs import BoldRun, FloatArray, RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.settings import AnalysisSettings
from bids_fx.threads import map_in_order
from bids_fx.traces import MotionTraces


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The numbers of one run, ready to be written.

    Parameters
    ----------
    mask : ndarray of bool, 3D
        The voxels that were fitted; vectors below are in its C order.
    mean_image : ndarray of float32, 3D
        Mean over the kept scans.
    model_maps : dict of str to ndarray of shape (n_voxels,)
        By ``stat-`` label.
    contrast_maps : dict of str to dict of str to ndarray
        By contrast label, then by ``stat-`` label; of shape (n_voxels,), or (n_volumes, n_voxels)
        for effects and covariances of an F contrast.
    dof : float
        Residual degrees of freedom of the model.
    quality : dict of str to float
        Quality measures of the run.
    traces : MotionTraces
        Its motion, scan by scan.
    residuals : Residuals
        The residuals of some of its voxels.
    hashes : dict of str to str
        SHA-256 of each image that was read, by its BIDS URI.
    """

    mask: npt.NDArray[np.bool_]
    mean_image: npt.NDArray[np.float32]
    model_maps: dict[str, FloatArray]
    contrast_maps: Mapping[str, Mapping[str, FloatArray]]
    dof: float
    quality: dict[str, float | int | None]
    traces: MotionTraces
    residuals: Residuals
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedContrast:
    """The numbers of one contrast combined over runs, ready to be written.

    Parameters
    ----------
    mask : ndarray of bool, 3D
        The voxels that at least one run covers; vectors below are in its C order.
    maps : dict of str to ndarray
        By ``stat-`` label; shapes as in `RunResult`, types as computed or
        `bids_fx.derivatives.images.as_published`.
    gave_way : int
        Number of voxels where few degrees of freedom of a run made the weighted combination a
        plain mean.
    influence : tuple of InfluenceRow
        Where two runs or more enter: what each run does to the peaks.
    hashes : dict of str to str
        SHA-256 of each run map that was read, by its BIDS URI.
    """

    mask: npt.NDArray[np.bool_]
    maps: Mapping[str, npt.NDArray[Any]]
    gave_way: int
    influence: tuple[InfluenceRow, ...]
    hashes: dict[str, str]


def write_design(run: RunPlan, settings: AnalysisSettings, out_dir: Path) -> None:
    """Write a run's design matrix and its sidecar.

    Parameters
    ----------
    run : RunPlan
        A run that is fitted.
    settings : AnalysisSettings
        The choices of the plan.
    out_dir : Path
        The output folder.
    """
    if run.design is None:
        return
    path = paths.design(run.entities)
    write_table(out_dir / path, run.design.names, run.design.matrix.tolist())
    assert isinstance(run.source, BoldRun)
    hashes = {run.source.uris[file]: sha256(file) for file in sidecars.table_inputs(run)}
    write_json(out_dir / paths.sidecar(path), sidecars.design(run, settings, hashes))


def write_run(
    run: RunPlan,
    result: RunResult,
    settings: AnalysisSettings,
    out_dir: Path,
    *,
    n_threads: int = 1,
) -> dict[str, Path]:
    """Publish the maps of one run, the table of its contrasts and what tells of its quality.

    Parameters
    ----------
    run : RunPlan
        What was planned.
    result : RunResult
        What was computed.
    settings : AnalysisSettings
        The choices of the plan.
    out_dir : Path
        The output folder.
    n_threads : int
        Threads that write; >= 1.

    Returns
    -------
    dict of str to Path
        The contrast maps by `map_key`.
    """
    assert isinstance(run.source, BoldRun)
    writer = ImageWriter(out_dir, run.entities, result.mask, run.source.grid)
    # Without it nothing is finished; it comes back as the last of all.
    remove_vouchers([paths.mask(run.entities)], out_dir)
    remove_outputs((*superseded_by_run(run), *paths.fit_figures(run).values()), out_dir)
    common = sidecars.run_image(run, settings, result.hashes)
    published: dict[str, Path] = {}

    def images() -> Iterator[Callable[[], object]]:
        yield partial(_write_mean_image, writer, run, result, common)
        for stat in paths.model_stats(run):
            path = paths.model_map(run.entities, stat)
            sidecar = {**common, **sidecars.model_map(stat, settings)}
            yield partial(writer.write, path, result.model_maps[stat], sidecar, stat=stat)
        for item in run.estimable:
            # They are made now, for this contrast alone.
            maps, label = result.contrast_maps[item.contrast.label], item.contrast.label
            median = _median(maps["dof"])
            dofs = sidecars.constant_dofs(item, settings, result.dof)
            for stat in paths.contrast_stats(item.contrast):
                particular = sidecars.run_contrast(item, stat, settings, result.dof, median)
                path = paths.statmap(run.entities, label, stat)
                published[map_key(run.key, label, stat)] = out_dir / path
                sidecar = {**common, **particular}
                yield partial(writer.write, path, maps[stat], sidecar, stat=stat, dofs=dofs)

    for _ in map_in_order(_called, images(), n_threads):
        pass
    write_contrasts(run, out_dir)
    quality = {name: six_digits(value) for name, value in result.quality.items()}
    write_json(out_dir / paths.quality(run.entities), quality)
    write_traces(run, result.traces, result.residuals, out_dir)
    mask_sidecar = {**common, "Type": "Brain", "Description": "Voxels that were fitted"}
    writer.write_mask(paths.mask(run.entities), mask_sidecar)
    return published


def _called(function: Callable[[], object]) -> None:
    function()


def _median(values: npt.NDArray[Any]) -> float | None:
    """Return the median of the finite values to six digits, or None where there is none."""
    finite = values[np.isfinite(values)]
    return six_digits(float(np.median(finite))) if finite.size else None


def _write_mean_image(
    writer: ImageWriter, run: RunPlan, result: RunResult, common: Mapping[str, object]
) -> None:
    """Write the whole mean image: the background of figures shows the head around the mask."""
    everywhere = np.ones_like(result.mask)
    path = paths.mean_image(run.entities)
    write_image(
        writer.out_dir / path,
        result.mean_image.ravel(),
        everywhere,
        writer.grid,
        standard_space=writer.standard_space,
    )
    assert isinstance(run.source, BoldRun)
    description = "Mean over the kept scans, not smoothed"
    sidecar = {
        **common,
        "Description": description,
        "SkullStripped": run.source.skull_stripped,
    }
    write_json(writer.out_dir / paths.sidecar(path), sidecar)


def clear_group_contrast(group: GroupPlan, item: GroupContrast, out_dir: Path) -> None:
    """Remove the files of an earlier call that those of a combined contrast will contradict."""
    remove_outputs(superseded_by_group(group, item), out_dir)


def write_group_contrast(
    plan: Plan,
    group: GroupPlan,
    item: GroupContrast,
    result: CombinedContrast,
    out_dir: Path,
    *,
    n_threads: int = 1,
) -> list[Path]:
    """Publish the maps of one combined contrast, and what each run does to their peaks.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group of it that is written.
    item : GroupContrast
        What was planned.
    result : CombinedContrast
        What was computed.
    out_dir : Path
        The output folder.
    n_threads : int
        Threads that write; >= 1.

    Returns
    -------
    list of Path
        The maps.
    """
    label = item.contrast.label
    # Without these the contrast is not drawn, nor finished where it has such a table, and what
    # tells of all contrasts is not there.
    influence = paths.influence_tables(group).get(label)
    mask = paths.mask(group.entities, group.mask_desc)
    clusters = paths.group_clusters(group)[label]
    remove_vouchers(filter(None, (mask, clusters, influence)), out_dir)
    writer = _group_writer(plan, group, result.mask, out_dir)
    common = sidecars.group_image(plan, group, item, result.hashes)
    median = _median(result.maps["dof"])

    def write(stat: str) -> Path:
        sidecar = {
            **common,
            **sidecars.group_contrast(plan, group, item, stat, median),
            "VoxelsWithoutWeights": result.gave_way,
        }
        path = paths.statmap(group.entities, label, stat)
        return writer.write(path, result.maps[stat], sidecar, stat=stat)

    written = list(map_in_order(write, paths.combined_stats(item), n_threads))
    if influence is not None:
        write_influence(plan, group, item, result.influence, out_dir)
    return written


def write_group_mask(
    plan: Plan,
    group: GroupPlan,
    mask: npt.NDArray[np.bool_],
    hashes: Mapping[str, str],
    out_dir: Path,
) -> Path:
    """Publish the voxels of all contrasts of a group, and the table of its runs by contrasts.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group of it that is written.
    mask : ndarray of bool, 3D
        The voxels that at least one run covers in any contrast.
    hashes : mapping of str to str
        SHA-256 of each run map that any contrast was combined from, by its BIDS URI.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The mask.
    """
    sidecar = {
        **sidecars.group_image(plan, group, None, hashes),
        "Type": "Brain",
        "Description": said_of(group.input_noun, "Voxels that at least one run covers"),
    }
    path = paths.mask(group.entities, group.mask_desc)
    write_group_contrasts(plan, group, out_dir)
    # The last of all: with it the group is finished.
    _group_writer(plan, group, mask, out_dir).write_mask(path, sidecar)
    return out_dir / path


def _group_writer(
    plan: Plan, group: GroupPlan, mask: npt.NDArray[np.bool_], out_dir: Path
) -> ImageWriter:
    grid = next(plan.group_runs(group)).source.grid
    return ImageWriter(out_dir, group.entities, mask, grid)


def map_key(key: str, label: str, stat: str) -> str:
    """Return the name under which a map of a run or group passes through the workflow.

    Examples
    --------
    >>> map_key("task-x_run-1", "face", "effect")
    'task-x_run-1/face/effect'
    """
    return f"{key}/{label}/{stat}"


def published_maps(result: RunPlan | GroupPlan, out_dir: Path) -> dict[str, Path]:
    """Return where the maps that a join reads are: published by us, or made beforehand."""
    if isinstance(result, RunPlan) and isinstance(result.source, RunMaps):
        return {
            map_key(result.key, label, stat): path
            for label, maps in result.source.maps.items()
            for stat, path in maps.items()
        }
    return {
        map_key(result.key, item.contrast.label, stat): out_dir
        / paths.statmap(result.entities, item.contrast.label, stat)
        for item in result.estimable
        for stat in paths.estimate_stats(item.contrast)
    }
