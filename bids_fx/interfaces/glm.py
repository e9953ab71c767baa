"""Fitting a run and combining runs, as nipype interfaces."""

from __future__ import annotations

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

from bids_fx.dataset.images import read_map, read_series
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
from bids_fx.glm.maps import combined_maps, run_maps
from bids_fx.inputs import BoldRun, FloatArray, RunMaps
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.settings import AnalysisSettings

BoolArray = npt.NDArray[np.bool_]


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
    kept = np.ones(source.n_scans, dtype=bool)
    kept[[item.scan for item in run.confounds.censored]] = False
    series = read_series(source.bold, source.mask, fwhm_mm=settings.smoothing_fwhm_mm, kept=kept)
    assert run.design is not None
    statistics = run_maps(
        series.values,
        series.mean,
        run.design,
        {item.contrast.label: item.weights for item in run.estimable},
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


def _combine(plan: Plan, group: GroupPlan, maps: dict[str, Path], out_dir: Path) -> GroupResult:
    """Read the runs' maps contrast by contrast and combine them."""
    combined = {}
    covered: dict[str, BoolArray] = {}
    hashes: dict[str, str] = {}
    for item in group.estimable:
        label = item.contrast.label
        effects, variances, dofs = _read_contrast(plan, item, maps)
        covered[label] = np.logical_or.reduce(np.isfinite(effects) & (variances > 0))
        inside = covered[label].ravel()
        combined[label] = combined_maps(
            *(stack.reshape(len(stack), -1)[:, inside] for stack in (effects, variances, dofs)),
            combination=plan.settings.combination,
        )
        for key in item.run_keys:
            for stat in ("effect", "variance", "dof"):
                file = maps.get(map_key(key, label, stat))
                if file is not None:
                    hashes[map_uri(plan.run(key), file, out_dir)] = sha256(file)
    mask: BoolArray = np.logical_or.reduce(list(covered.values()))
    expanded = {}
    for label in list(combined):
        # One contrast at a time gives its memory back.
        stats = combined.pop(label)
        expanded[label] = {s: _expand(values, covered[label], mask) for s, values in stats.items()}
    grid = plan.run(group.run_keys[0]).source.grid
    return GroupResult(grid=grid, mask=mask, contrast_maps=expanded, hashes=hashes)


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


def _read_contrast(
    plan: Plan, item: GroupContrast, maps: dict[str, Path]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Read effect, variance and dof of a contrast, each of shape (n_runs, x, y, z)."""
    effects, variances, dofs = [], [], []
    for key in item.run_keys:
        label = item.contrast.label
        effects.append(read_map(maps[map_key(key, label, "effect")]))
        variances.append(read_map(maps[map_key(key, label, "variance")]))
        dof_file = maps.get(map_key(key, label, "dof"))
        if dof_file is not None:
            dofs.append(read_map(dof_file))
            continue
        source = plan.run(key).source
        assert isinstance(source, RunMaps)
        dofs.append(np.full_like(effects[-1], source.dof[label]))
    return np.stack(effects), np.stack(variances), np.stack(dofs)


def _expand(values: FloatArray, inside: BoolArray, mask: BoolArray) -> FloatArray:
    """Bring a vector from the voxels of one contrast to those of the group's mask."""
    expanded = np.full(int(mask.sum()), np.nan)
    expanded[inside[mask]] = values
    return expanded


def _as_text(maps: dict[str, Path]) -> dict[str, str]:
    """Return paths as the text that nipype wants."""
    return {key: str(path) for key, path in maps.items()}
