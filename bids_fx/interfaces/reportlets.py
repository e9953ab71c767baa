"""Drawing the figures of the report, as nipype interfaces."""

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

from bids_fx.records import GroupPlan, Plan, RunPlan
from bids_fx.reports.contrast_figures import draw_group_contrast
from bids_fx.reports.runfigures import draw_design_figures, draw_fit_figures


class _DrawRunInputSpec(BaseInterfaceInputSpec):
    run = traits.Instance(RunPlan, mandatory=True, nohash=True, desc="the run's plan")
    out_dir = Directory(mandatory=True, desc="output folder")


class _FiguresOutputSpec(TraitedSpec):
    figures = traits.List(File(exists=True), desc="the files that were drawn")


class DrawRun(SimpleInterface):
    """Draw the figures of a run's design."""

    input_spec = _DrawRunInputSpec
    output_spec = _FiguresOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        drawn = draw_design_figures(self.inputs.run, Path(self.inputs.out_dir))
        self._results["figures"] = [str(path) for path in drawn.values()]
        return runtime


class _DrawFitInputSpec(_DrawRunInputSpec):
    todo = traits.Set(traits.Str, mandatory=True, desc="keys of the runs that are to be drawn")
    maps = traits.Dict(mandatory=True, desc="published maps of the run, which it waits for")


class DrawFit(SimpleInterface):
    """Draw the figures of a run's motion, residuals and model, once it is fitted."""

    input_spec = _DrawFitInputSpec
    output_spec = _FiguresOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        run: RunPlan = self.inputs.run
        is_wanted = run.key in self.inputs.todo
        drawn = draw_fit_figures(run, Path(self.inputs.out_dir)) if is_wanted else {}
        self._results["figures"] = [str(path) for path in drawn.values()]
        return runtime


class _DrawContrastInputSpec(BaseInterfaceInputSpec):
    plan = traits.Instance(Plan, mandatory=True, nohash=True, desc="the participant's plan")
    group = traits.Instance(GroupPlan, mandatory=True, nohash=True, desc="the group's plan")
    label = traits.Str(mandatory=True, desc="the contrast's label")
    out_dir = Directory(mandatory=True, desc="output folder")
    maps = traits.List(mandatory=True, desc="maps that it waits for: combined, or of the runs")


class DrawContrast(SimpleInterface):
    """Draw a contrast's combined map and run maps, and write its cluster table."""

    input_spec = _DrawContrastInputSpec
    output_spec = _FiguresOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        inputs = self.inputs
        drawn = draw_group_contrast(inputs.plan, inputs.group, inputs.label, Path(inputs.out_dir))
        self._results["figures"] = [str(path) for path in drawn.values()]
        return runtime
