"""Each interface once on files: load, one call, save; nothing again that is done."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.dataset.confounds import load_strategies
from bids_fx.dataset.index import find_runs
from bids_fx.derivatives import paths
from bids_fx.interfaces.glm import CombineRuns, FitRun
from bids_fx.interfaces.reportlets import DrawContrast, DrawRun
from bids_fx.plan import make_plan
from bids_fx.settings import AnalysisSettings, DataSelection
from tests.synthetic import DatasetSpec, make_dataset

SETTINGS = AnalysisSettings(contrasts=("face - house",))
LABEL = "faceGtHouse"


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a plan, its output folder and what the fits of its runs gave."""
    root = tmp_path_factory.mktemp("interfaces")
    truth = make_dataset(root / "data", DatasetSpec(n_volumes=50))
    data = DataSelection(
        bids_dir=truth.bids_dir, derivatives=(("fmriprep", truth.derivatives_dir),)
    )
    found = find_runs(data, "01", analysis=SETTINGS)
    plan = make_plan(found, SETTINGS, load_strategies(), known_conditions={})
    out = root / "out"
    out.mkdir()
    maps = [fit(run, out, {run.key}) for run in plan.runs]
    return plan, out, maps


def fit(run, out: Path, todo: set[str]) -> dict[str, str]:
    interface = FitRun(run=run, settings=SETTINGS, todo=todo, out_dir=str(out))
    return interface.run(cwd=out).outputs.maps


def combine(plan, out: Path, maps, todo: set[str]):
    group = plan.groups[0]
    interface = CombineRuns(plan=plan, group=group, todo=todo, out_dir=str(out), maps=maps)
    return interface.run(cwd=out).outputs


def test_a_fit_publishes_every_image_of_the_plan(fitted):
    plan, out, maps = fitted
    for run, published in zip(plan.runs, maps, strict=True):
        assert all((out / path).is_file() for path in paths.run_images(run))
        assert set(published) == {f"{run.key}/{LABEL}/{s}" for s in ("effect", "variance", "dof")}


def test_a_run_that_is_done_is_passed_on_untouched(fitted):
    plan, out, maps = fitted
    before = {path: Path(path).stat().st_mtime_ns for path in maps[0].values()}
    assert fit(plan.runs[0], out, set()) == maps[0]
    assert {path: Path(path).stat().st_mtime_ns for path in before} == before


def test_a_join_publishes_the_combination_of_the_published_maps(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    outputs = combine(plan, out, maps, {group.key})
    assert all((out / path).is_file() for path in paths.group_images(group))
    assert len(outputs.combined) == 11
    assert outputs.maps == maps[0] | maps[1]
    effects, variances = (
        np.stack([nb.load(run[f"{key}/{LABEL}/{stat}"]).get_fdata() for key, run in runs])
        for stat, runs in (
            (stat, list(zip((r.key for r in plan.runs), maps, strict=True)))
            for stat in ("effect", "variance")
        )
    )
    expected = (effects / variances).sum(axis=0) / (1 / variances).sum(axis=0)
    written = nb.load(out / paths.statmap(group.entities, LABEL, "effect")).get_fdata()
    np.testing.assert_allclose(written, expected, rtol=1e-6)  # float32 file


def test_the_order_of_the_runs_does_not_matter_to_a_join(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    path = out / paths.statmap(group.entities, LABEL, "z")
    combine(plan, out, maps, {group.key})
    first = path.read_bytes()
    combine(plan, out, maps[::-1], {group.key})
    assert path.read_bytes() == first


def test_a_group_that_is_done_is_passed_on(fitted):
    plan, out, maps = fitted
    outputs = combine(plan, out, maps, set())
    assert outputs.combined == []
    assert outputs.maps == maps[0] | maps[1]


def test_figures_are_drawn_where_the_plan_says(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    combine(plan, out, maps, {group.key})
    drawn = DrawRun(run=plan.runs[0], out_dir=str(out)).run(cwd=out).outputs.figures
    expected = paths.run_figures(plan.runs[0]).values()
    assert set(drawn) == {str(out / path) for path in expected}
    interface = DrawContrast(
        plan=plan.outline(), group=group, label=LABEL, out_dir=str(out), maps=maps[0]
    )
    drawn = interface.run(cwd=out).outputs.figures
    assert set(drawn) == {
        str(out / paths.group_figures(group)[LABEL]),
        str(out / paths.group_clusters(group)[LABEL]),
    }
