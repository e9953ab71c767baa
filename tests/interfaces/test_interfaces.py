"""Each interface once on files: load, one call, save; nothing again that is done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.dataset.confounds import load_strategies
from bids_fx.dataset.images import read_series
from bids_fx.dataset.index import find_runs
from bids_fx.derivatives import paths
from bids_fx.derivatives.influence import read_influence
from bids_fx.glm.combined import combined_f_maps
from bids_fx.interfaces.glm import CombineRuns, FitRun, JoinMasks
from bids_fx.interfaces.reportlets import DrawContrast, DrawFit, DrawRun
from bids_fx.plan import make_plan
from bids_fx.settings import AnalysisSettings, DataSelection
from tests.synthetic import DatasetSpec, make_dataset

SETTINGS = AnalysisSettings(contrasts=("face - house", "any = F(face; house)"))
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


def combine(plan, out: Path, maps, **choices: int) -> list[str]:
    """Combine all contrasts of the first group; return the maps."""
    common = {"plan": plan, "group": plan.groups[0], "out_dir": str(out)}
    combined: list[str] = []
    for item in plan.groups[0].estimable:
        label = item.contrast.label
        interface = CombineRuns(**common, label=label, maps=maps, **choices)
        combined += interface.run(cwd=out).outputs.maps
    mask = JoinMasks(**common, maps=combined).run(cwd=out).outputs.mask
    assert Path(mask) == out / paths.mask(plan.groups[0].entities)
    return combined


def test_a_fit_publishes_every_image_of_the_plan(fitted):
    plan, out, maps = fitted
    for run, published in zip(plan.runs, maps, strict=True):
        assert all((out / path).is_file() for path in paths.run_images(run))
        assert set(published) == {
            *(f"{run.key}/{LABEL}/{stat}" for stat in ("effect", "variance", "dof")),
            *(f"{run.key}/any/{stat}" for stat in ("effect", "covariance", "dof")),
        }


def test_a_series_that_goes_to_disk_is_kept_in_the_nodes_folder(fitted, tmp_path, monkeypatch):
    plan, out, _ = fitted
    folders = []

    def read(*places, **choices):
        folders.append(choices["folder"])
        return read_series(*places, **choices)

    monkeypatch.setattr("bids_fx.interfaces.glm.read_series", read)
    again = tmp_path / "out"
    again.mkdir()
    run = plan.runs[0]
    for on_disk in (True, False):
        fit(replace(run, on_disk=on_disk), again, {run.key})
        for path in paths.run_images(run):
            assert (again / path).read_bytes() == (out / path).read_bytes()
    assert folders == [again, None]


def test_a_run_that_is_done_is_passed_on_untouched(fitted):
    plan, out, maps = fitted
    before = {path: Path(path).stat().st_mtime_ns for path in maps[0].values()}
    assert fit(plan.runs[0], out, set()) == maps[0]
    assert {path: Path(path).stat().st_mtime_ns for path in before} == before


def test_a_join_publishes_the_combination_of_the_published_maps(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    combined = combine(plan, out, maps)
    written = {*combined, str(out / paths.mask(group.entities))}
    assert written == {str(out / path) for path in paths.group_images(group)}
    assert len(combined) == 14 + 10
    effects, variances = (
        np.stack([nb.load(run[f"{key}/{LABEL}/{stat}"]).get_fdata() for key, run in runs])
        for stat, runs in (
            (stat, list(zip((r.key for r in plan.runs), maps, strict=True)))
            for stat in ("effect", "variance")
        )
    )
    expected = (effects / variances).sum(axis=0) / (1 / variances).sum(axis=0)
    written = read(out, group, LABEL, "effect")
    np.testing.assert_allclose(written, expected, rtol=1e-6)  # float32 file


def test_a_join_of_an_f_contrast_combines_all_rows_with_their_covariances(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    combine(plan, out, maps)
    stacks = [
        np.stack(
            [
                nb.load(run[f"{key.key}/any/{stat}"]).get_fdata().reshape(-1, *n_rows).T
                for key, run in zip(plan.runs, maps, strict=True)
            ]
        )
        for stat, n_rows in (("effect", (2,)), ("covariance", (3,)), ("dof", ()))
    ]
    expected = combined_f_maps(*stacks, combination="weighted")
    for stat in ("effect", "covariance"):
        written = read(out, group, "any", stat)
        np.testing.assert_allclose(
            written.reshape(-1, written.shape[-1]).T, expected[stat], rtol=1e-6
        )
    for stat in ("F", "z", "dof", "zchange"):
        np.testing.assert_allclose(
            read(out, group, "any", stat).ravel(), expected[stat], rtol=1e-6, err_msg=stat
        )


@pytest.mark.parametrize("label", [LABEL, "any"])
def test_a_join_tells_what_each_run_does_to_the_peaks(fitted, label):
    plan, out, maps = fitted
    group = plan.groups[0]
    combine(plan, out, maps)
    rows = read_influence(out / paths.influence_tables(group)[label])
    z, run, change = (read(out, group, label, s) for s in ("z", "zchangerun", "zchange"))
    affine = nb.load(out / paths.statmap(group.entities, label, "z")).affine
    assert [row.run for row in rows[:2]] == [str(one.entities) for one in plan.runs]
    assert {row.peak for row in rows} == (
        {"positive"} if label == "any" else {"positive", "negative"}
    )
    for row in rows:
        peak = np.nanargmax(z) if row.peak == "positive" else np.nanargmin(z)
        place = np.unravel_index(peak, z.shape)
        assert (row.x, row.y, row.z) == pytest.approx(affine[:3] @ [*place, 1], abs=1e-4)
        assert row.z_all == pytest.approx(z[place], rel=1e-5)  # six digits
        assert row.change == pytest.approx(row.z_all - row.z_without, abs=1e-4)
    # The run that the map names makes the change that the map has.
    place = np.unravel_index(np.nanargmax(z), z.shape)
    largest = rows[[row.peak for row in rows].index("positive") :][int(run[place]) - 1]
    assert largest.change == pytest.approx(change[place], rel=1e-4)


def test_own_estimates_at_a_peak_are_those_of_the_run_maps(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    combine(plan, out, maps)
    rows = read_influence(out / paths.influence_tables(group)[LABEL])
    place = np.unravel_index(
        np.nanargmax(read(out, group, LABEL, "z")), plan.runs[0].source.grid.shape
    )
    for row in (row for row in rows if row.peak == "positive"):
        key, run = next(
            (one.key, files)
            for one, files in zip(plan.runs, maps, strict=True)
            if str(one.entities) == row.run
        )
        effect, variance, dof = (
            nb.load(run[f"{key}/{LABEL}/{stat}"]).get_fdata()[place]
            for stat in ("effect", "variance", "dof")
        )
        own = (row.effect, row.standard_error, row.dof)
        assert own == pytest.approx((effect, np.sqrt(variance), dof), rel=1e-5)
        assert np.isnan(row.F)
    assert sum(row.weight for row in rows if row.peak == "positive") == pytest.approx(1, abs=1e-5)


def test_a_voxel_counts_as_covered_where_a_run_enters_it(fitted, tmp_path):
    plan, out, maps = fitted
    group = plan.groups[0]
    changed = []
    for number, run in enumerate(maps):
        files = {}
        for name, file in run.items():
            image = nb.load(file)
            data = image.get_fdata(dtype=np.float32)
            data[2, 2, 1] = np.nan  # neither run
            data[2, 3, 1] = 0 if number == 0 else data[2, 3, 1]  # the second alone
            data[3, 2, 1] = 0  # a number, but no variance: neither again
            if name.endswith("/dof") and number == 0:
                data[3, 3, 1] = 5  # too few for weights
            files[name] = str(tmp_path / f"{number}_{Path(file).name}")
            nb.save(nb.Nifti1Image(data, image.affine), files[name])
        changed.append(files)
    for run in changed:
        for file in run.values():
            (out / Path(file).name).write_bytes(Path(file).read_bytes())
    changed = [{k: str(out / Path(f).name) for k, f in run.items()} for run in changed]
    combine(plan, out, changed)
    mask = nb.load(out / paths.mask(group.entities)).get_fdata()
    pairs = list(zip(plan.runs, changed, strict=True))
    for label in (LABEL, "any"):
        counts = read(out, group, label, "nruns")
        assert (counts[2, 2, 1], counts[2, 3, 1], counts[3, 2, 1]) == (0, 1, 0)
        dofs = np.stack([nb.load(run[f"{key.key}/{label}/dof"]).get_fdata() for key, run in pairs])
        few = int(((dofs <= 8).any(axis=0) & (counts == 2)).sum())
        path = out / paths.sidecar(paths.statmap(group.entities, label, "z"))
        assert json.loads(path.read_text())["VoxelsWithoutWeights"] == few > 0
        np.testing.assert_array_equal(counts > 0, mask == 1)
        np.testing.assert_array_equal(np.isfinite(read(out, group, label, "z")), mask == 1)


def read(out: Path, group, label: str, stat: str) -> np.ndarray:
    return nb.load(out / paths.statmap(group.entities, label, stat)).get_fdata()


def test_the_order_of_the_runs_does_not_matter_to_a_join(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    path = out / paths.statmap(group.entities, LABEL, "z")
    combine(plan, out, maps)
    first = path.read_bytes()
    combine(plan, out, maps[::-1])
    assert path.read_bytes() == first


def test_the_number_of_threads_does_not_matter_to_a_join(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    images = [out / path for path in paths.group_images(group)]
    combine(plan, out, maps)
    first = [path.read_bytes() for path in images]
    for path in images:
        path.unlink()
    combine(plan, out, maps, n_threads=3)
    assert [path.read_bytes() for path in images] == first


def test_a_contrast_is_combined_alone(fitted, tmp_path):
    plan, out, maps = fitted
    group = plan.groups[0]
    left_alone = replace(group, contrasts=group.contrasts[:1])
    for file in paths.group_images(group):
        (out / file).unlink(missing_ok=True)
    CombineRuns(plan=plan, group=group, label=LABEL, maps=maps, out_dir=str(out), n_threads=1).run(
        cwd=tmp_path
    )
    written = {file for file in paths.group_images(group) if (out / file).exists()}
    assert written == {*paths.group_images(left_alone)} - {paths.mask(group.entities)}


def test_figures_are_drawn_where_the_plan_says(fitted):
    plan, out, maps = fitted
    group = plan.groups[0]
    combined = combine(plan, out, maps)
    run = plan.runs[0]
    drawn = DrawRun(run=run, out_dir=str(out)).run(cwd=out).outputs.figures
    fit = DrawFit(run=run, out_dir=str(out), todo={run.key}, maps=maps[0])
    drawn += fit.run(cwd=out).outputs.figures
    expected = paths.run_figures(run).values()
    assert set(drawn) == {str(out / path) for path in expected}
    interface = DrawContrast(
        plan=plan.outline(), group=group, label=LABEL, out_dir=str(out), maps=combined
    )
    drawn = interface.run(cwd=out).outputs.figures
    assert set(drawn) == {
        *(str(out / path) for path in paths.group_figures(group)[LABEL].values()),
        str(out / paths.group_clusters(group)[LABEL]),
        str(out / paths.sidecar(paths.group_clusters(group)[LABEL])),
    }
