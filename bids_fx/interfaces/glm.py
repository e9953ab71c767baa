"""Fitting a run and combining runs, as nipype interfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    Directory,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from bids_fx.dataset.images import read_series
from bids_fx.derivatives.results import (
    RunResult,
    map_key,
    published_maps,
    write_design,
    write_run,
)
from bids_fx.glm.maps import ContrastRows, run_maps
from bids_fx.inputs import BoldRun
from bids_fx.joining import join_masks, join_runs
from bids_fx.records import GroupPlan, Plan, RunPlan
from bids_fx.settings import AnalysisSettings
from bids_fx.traces import motion_traces, scan_measures


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
            folder = Path(runtime.cwd) if run.on_disk else None
            settings, n_threads = self.inputs.settings, self.inputs.n_threads
            result = _fit(run, settings, n_threads, folder)
            write_design(run, settings, out_dir)
            write_run(run, result, settings, out_dir, n_threads=n_threads)
        published = published_maps(run, out_dir)
        self._results["maps"] = {k: str(file) for k, file in published.items() if file.exists()}
        return runtime


class _GroupInputSpec(BaseInterfaceInputSpec):
    plan = traits.Instance(Plan, mandatory=True, nohash=True, desc="the participant's plan")
    group = traits.Instance(GroupPlan, mandatory=True, nohash=True, desc="the group's plan")
    out_dir = Directory(mandatory=True, desc="output folder")


class _CombineRunsInputSpec(_GroupInputSpec):
    label = traits.Str(mandatory=True, desc="the contrast's label")
    # Of all contrasts, and therefore no `File`s: nipype would look at each for every contrast.
    maps = traits.List(
        traits.Dict(traits.Str, traits.Str), mandatory=True, desc="maps of each input"
    )
    n_threads = traits.Int(1, usedefault=True, nohash=True, desc="threads of the combination")


class _CombineRunsOutputSpec(TraitedSpec):
    maps = traits.List(File(exists=True), desc="published combined maps")
    estimates = traits.Dict(
        traits.Str,
        File(exists=True),
        desc="those that are combined further, by group/contrast/stat",
    )


class CombineRuns(SimpleInterface):
    """Combine the published maps that a group's inputs have of one contrast."""

    input_spec = _CombineRunsInputSpec
    output_spec = _CombineRunsOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        inputs = self.inputs
        maps = {key: Path(file) for run in inputs.maps for key, file in run.items()}
        combined = join_runs(
            inputs.plan,
            inputs.group,
            inputs.label,
            maps,
            Path(inputs.out_dir),
            n_threads=inputs.n_threads,
        )
        self._results["maps"] = [str(path) for path in combined]
        self._results["estimates"] = published_estimates(
            inputs.group, inputs.label, Path(inputs.out_dir)
        )
        return runtime


def published_estimates(group: GroupPlan, label: str, out_dir: Path) -> dict[str, str]:
    """Return where the maps of a group's contrast that are combined further are, by `map_key`."""
    published = published_maps(group, out_dir)
    prefix = map_key(group.key, label, "")
    return {key: str(file) for key, file in published.items() if key.startswith(prefix)}


class _JoinMasksInputSpec(_GroupInputSpec):
    maps = traits.List(mandatory=True, desc="combined maps of all contrasts, which it waits for")


class _JoinMasksOutputSpec(TraitedSpec):
    mask = File(exists=True, desc="published mask")


class JoinMasks(SimpleInterface):
    """Publish the voxels of all contrasts of a group, once these are published."""

    input_spec = _JoinMasksInputSpec
    output_spec = _JoinMasksOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        inputs = self.inputs
        mask = join_masks(inputs.plan, inputs.group, Path(inputs.out_dir))
        self._results["mask"] = str(mask)
        return runtime


def _fit(
    run: RunPlan, settings: AnalysisSettings, n_threads: int, folder: Path | None
) -> RunResult:
    """Read one run, into a file in a folder or into memory, and fit its model."""
    source = run.source
    assert isinstance(source, BoldRun)
    assert run.design is not None
    series = read_series(
        source.bold,
        source.mask,
        fwhm_mm=settings.smoothing_fwhm_mm,
        kept=run.design.kept,
        n_threads=n_threads,
        folder=folder,
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
    traces = motion_traces(source)
    read = {source.bold: series.bold_sha256, source.mask: series.mask_sha256}
    return RunResult(
        mask=series.mask,
        mean_image=series.mean_image,
        model_maps=statistics.model,
        contrast_maps=statistics.contrasts,
        dof=statistics.dof,
        quality=statistics.quality | scan_measures(run, traces),
        traces=traces,
        residuals=statistics.residuals,
        hashes={source.uris[file]: value for file, value in read.items() if file and value},
    )
