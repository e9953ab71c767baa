"""Fitting a run and combining runs, as nipype interfaces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_fx.dataset.images import read_series, read_volumes
from bids_fx.derivatives import paths
from bids_fx.derivatives.influence import InfluenceRow
from bids_fx.derivatives.results import (
    GroupResult,
    RunResult,
    map_key,
    published_maps,
    write_design,
    write_group,
    write_run,
)
from bids_fx.derivatives.status import map_uri
from bids_fx.derivatives.write import sha256
from bids_fx.glm.combined import GAVE_WAY, combined_f_maps, combined_maps
from bids_fx.glm.influence import peak_influence, peak_influence_rows
from bids_fx.glm.maps import ContrastRows, run_maps
from bids_fx.inputs import BoldRun, FloatArray, Grid, RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.settings import AnalysisSettings

IntArray = npt.NDArray[np.intp]


class _FitRunInputSpec(BaseInterfaceInputSpec):
    run = traits.Instance(RunPlan, mandatory=True, nohash=True, desc="the run's plan")
    settings = traits.Instance(AnalysisSettings, mandatory=True, desc="choices of the analysis")
    todo = traits.Set(traits.Str, mandatory=True, desc="keys of the runs that are not done yet")
    out_dir = Directory(mandatory=True, desc="output folder")
    n_threads = traits.Int(1, usedefault=True, nohash=True, desc="threads of the fit")


class _FitRunOutputSpec(TraitedSpec):
    maps = traits.Dict(traits.Str, File(exists=True), desc="published maps by run/contrast/stat")


class FitRun(SimpleInterface):
    """Fit one run's model and publish its maps; a run that is done is passed on."""

    input_spec = _FitRunInputSpec
    output_spec = _FitRunOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        run: RunPlan = self.inputs.run
        out_dir = Path(self.inputs.out_dir)
        if run.key in self.inputs.todo:
            result = _fit(run, self.inputs.settings, self.inputs.n_threads)
            write_design(run, self.inputs.settings, out_dir)
            write_run(run, result, self.inputs.settings, out_dir)
        published = published_maps(run, out_dir)
        self._results["maps"] = _as_text(
            {k: file for k, file in published.items() if file.exists()}
        )
        return runtime


class _CombineRunsInputSpec(BaseInterfaceInputSpec):
    plan = traits.Instance(Plan, mandatory=True, nohash=True, desc="the participant's plan")
    group = traits.Instance(GroupPlan, mandatory=True, nohash=True, desc="the group's plan")
    todo = traits.Set(traits.Str, mandatory=True, desc="keys of the groups that are not done yet")
    out_dir = Directory(mandatory=True, desc="output folder")
    maps = traits.List(
        traits.Dict(traits.Str, File(exists=True)), mandatory=True, desc="maps of each run"
    )


class _CombineRunsOutputSpec(TraitedSpec):
    maps = traits.Dict(traits.Str, File(exists=True), desc="the runs' maps, passed on")
    combined = traits.List(File(exists=True), desc="published combined maps")


class CombineRuns(SimpleInterface):
    """Combine the published maps of a group's runs; a group that is done is passed on."""

    input_spec = _CombineRunsInputSpec
    output_spec = _CombineRunsOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        group: GroupPlan = self.inputs.group
        maps = {key: Path(file) for run in self.inputs.maps for key, file in run.items()}
        combined: list[Path] = []
        if group.key in self.inputs.todo and group.estimable:
            out_dir = Path(self.inputs.out_dir)
            result = _combine(self.inputs.plan, group, maps, out_dir)
            combined = write_group(self.inputs.plan, group, result, out_dir)
        self._results["maps"] = _as_text(maps)
        self._results["combined"] = [str(path) for path in combined]
        return runtime


def _fit(run: RunPlan, settings: AnalysisSettings, n_threads: int) -> RunResult:
    """Read one run, fit its model and name the resulting maps."""
    source = run.source
    assert isinstance(source, BoldRun)
    assert run.design is not None
    series = read_series(
        source.bold, source.mask, fwhm_mm=settings.smoothing_fwhm_mm, kept=run.design.kept
    )
    statistics = run_maps(
        series.values,
        series.mean,
        run.design,
        {
            item.contrast.label: ContrastRows(test=item.contrast.test, rows=item.rows)
            for item in run.estimable
        },
        noise_model=settings.noise_model,
        signal_scaling=settings.signal_scaling,
        n_threads=n_threads,
    )
    read = {source.bold: series.bold_sha256, source.mask: series.mask_sha256}
    return RunResult(
        mask=series.mask,
        mean_image=series.mean_image,
        model_maps=statistics.model,
        contrast_maps=statistics.contrasts,
        dof=statistics.dof,
        quality=statistics.quality | _motion(run),
        hashes={source.uris[file]: value for file, value in read.items() if file and value},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimates:
    """A contrast's estimates of all runs; voxels are those where any run has an effect.

    Parameters
    ----------
    effects, spreads, dofs : ndarray
        Effects, their variances or covariances, and degrees of freedom: of shape
        (n_runs, n_voxels) for a t contrast; the first two (n_runs, q, n_voxels) and
        (n_runs, q (q + 1) / 2, n_voxels) for an F contrast.
    voxels : ndarray of int, shape (n_voxels,)
        Their places in the grid's C order.
    """

    effects: FloatArray
    spreads: FloatArray
    dofs: FloatArray
    voxels: IntArray


def _combine(plan: Plan, group: GroupPlan, maps: dict[str, Path], out_dir: Path) -> GroupResult:
    """Read the runs' maps contrast by contrast and combine them."""
    grid = plan.run(group.run_keys[0]).source.grid
    combined: dict[str, tuple[IntArray, dict[str, FloatArray]]] = {}
    influences: dict[str, tuple[InfluenceRow, ...]] = {}
    gave_way: dict[str, int] = {}
    hashes: dict[str, str] = {}
    for item in group.estimable:
        label = item.contrast.label
        estimates = _read_estimates(plan, item, maps)
        stats = _combined(item, estimates, plan.settings.combination)
        gave_way[label] = int(stats.pop(GAVE_WAY).sum())
        influences[label] = _influence(plan, item, estimates, stats["z"], grid)
        covered = stats["nruns"] > 0
        combined[label] = (
            estimates.voxels[covered],
            {stat: values[..., covered] for stat, values in stats.items()},
        )
        for key in item.run_keys:
            for stat in paths.estimate_stats(item.contrast):
                file = maps.get(map_key(key, label, stat))
                if file is not None:
                    hashes[map_uri(plan.run(key), file, out_dir)] = sha256(file)
    mask = np.zeros(grid.shape, dtype=bool)
    for voxels, _ in combined.values():
        mask.flat[voxels] = True
    inside = np.flatnonzero(mask)
    expanded = {}
    for label in list(combined):
        # One contrast at a time gives its memory back.
        voxels, stats = combined.pop(label)
        places = np.searchsorted(inside, voxels)
        expanded[label] = {s: _expand(v, places, len(inside)) for s, v in stats.items()}
    return GroupResult(
        grid=grid,
        mask=mask,
        contrast_maps=expanded,
        gave_way=gave_way,
        influences=influences,
        hashes=hashes,
    )


def _combined(
    item: GroupContrast, estimates: _Estimates, combination: str
) -> dict[str, FloatArray]:
    """Combine a contrast by its test."""
    combine = combined_f_maps if item.contrast.test == "F" else combined_maps
    return combine(estimates.effects, estimates.spreads, estimates.dofs, combination=combination)


def _influence(
    plan: Plan, item: GroupContrast, estimates: _Estimates, z: FloatArray, grid: Grid
) -> tuple[InfluenceRow, ...]:
    """Return what each run does to the peaks of the combined map, the highest |z| first."""
    if len(item.run_keys) < 2:
        return ()
    rows = []
    for peak, voxel in find_peaks(z):
        index = np.unravel_index(estimates.voxels[voxel], grid.shape)
        x, y, up = (np.asarray(grid.affine)[:3] @ [*index, 1.0] + 0.0).tolist()
        numbers = _influence_at(item, estimates, voxel, plan.settings.combination)
        rows += [
            InfluenceRow(peak, str(plan.run(key).entities), x, y, up, *own)
            for key, own in zip(item.run_keys, numbers, strict=True)
        ]
    return tuple(rows)


def _influence_at(
    item: GroupContrast, estimates: _Estimates, voxel: int, combination: str
) -> list[tuple[float, ...]]:
    """Return each run's numbers at one voxel, as `InfluenceRow` orders them."""
    stacks = (estimates.effects, estimates.spreads, estimates.dofs)
    none = float("nan")
    if item.contrast.test == "F":
        joint = peak_influence_rows(*stacks, voxel=voxel, combination=combination)
        return [
            (none, none, run.f, run.dof, none, run.z_with, run.z_without, run.change)
            for run in joint
        ]
    rows: list[tuple[float, ...]] = []
    for run in peak_influence(*stacks, voxel=voxel, combination=combination):
        # What a run that does not enter holds there is no estimate.
        enters = run.share > 0
        own = (run.effect, math.sqrt(run.variance), none, run.dof) if enters else (none,) * 4
        rows.append((*own, run.share, run.z_with, run.z_without, run.change))
    return rows


def find_peaks(z: FloatArray) -> list[tuple[str, int]]:
    """Return the voxels of the peaks of both signs, the higher |z| first.

    Parameters
    ----------
    z : ndarray of shape (n_voxels,)
        As computed; taken as it is published, in float32.

    Returns
    -------
    list of (str, int)
        ``positive`` or ``negative`` and the voxel; of equal values the first.

    Examples
    --------
    >>> find_peaks(np.array([1.0, -3.0, 2.0]))
    [('negative', 1), ('positive', 2)]
    """
    published = np.nan_to_num(z.astype(np.float32))
    if not published.size:
        return []
    largest, smallest = int(published.argmax()), int(published.argmin())
    peaks = [("positive", largest)] if published[largest] > 0 else []
    peaks += [("negative", smallest)] if published[smallest] < 0 else []
    return sorted(peaks, key=lambda peak: -abs(float(published[peak[1]])))


def _motion(run: RunPlan) -> dict[str, float | int | None]:
    """Return what the confounds say of the run's motion, and how many scans were censored."""
    source = run.source
    assert isinstance(source, BoldRun)
    table = source.confounds.values if source.confounds is not None else {}
    names = ("framewise_displacement", "FramewiseDisplacement")
    columns = (table[name] for name in names if name in table)
    trace = next((column for column in columns if np.isfinite(column).any()), None)
    return {
        "n_scans": source.n_scans,
        "n_censored": len(run.confounds.censored),
        "fd_mean_mm": None if trace is None else float(np.nanmean(trace)),
        "fd_max_mm": None if trace is None else float(np.nanmax(trace)),
    }


def _read_estimates(plan: Plan, item: GroupContrast, maps: dict[str, Path]) -> _Estimates:
    """Read effects, their (co)variances and degrees of freedom of a contrast."""
    label = item.contrast.label
    effect, spread, dof = paths.estimate_stats(item.contrast)
    effects, spreads, dofs = [], [], []
    for key in item.run_keys:
        effects.append(_read_flat(maps[map_key(key, label, effect)]))
        spreads.append(_read_flat(maps[map_key(key, label, spread)]))
        dof_file = maps.get(map_key(key, label, dof))
        if dof_file is not None:
            dofs.append(_read_flat(dof_file)[0])
            continue
        source = plan.run(key).source
        assert isinstance(source, RunMaps)
        dofs.append(np.full(effects[-1].shape[1], source.dof[label]))
    # Brains fill a part of their grids; which voxel a run covers is for the core to say.
    voxels = np.flatnonzero(np.isfinite(effects).any(axis=(0, 1)))
    stacks = [np.stack([one[:, voxels] for one in stack]) for stack in (effects, spreads)]
    if item.contrast.test == "t":
        stacks = [stack[:, 0] for stack in stacks]
    return _Estimates(
        effects=stacks[0],
        spreads=stacks[1],
        dofs=np.stack([one[voxels] for one in dofs]),
        voxels=voxels,
    )


def _read_flat(file: Path) -> FloatArray:
    """Read a map, shape (n_volumes, n_voxels of the grid)."""
    volumes = read_volumes(file)
    return volumes.reshape(len(volumes), -1)


def _expand(values: FloatArray, places: IntArray, n_voxels: int) -> FloatArray:
    """Bring values from the voxels of one contrast to those of the group's mask."""
    expanded = np.full((*values.shape[:-1], n_voxels), np.nan)
    expanded[..., places] = values
    return expanded


def _as_text(maps: dict[str, Path]) -> dict[str, str]:
    """Return paths as the text that nipype wants."""
    return {key: str(path) for key, path in maps.items()}
