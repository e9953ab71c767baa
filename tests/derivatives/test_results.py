"""The files of a run and of a combination, as they are on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.derivatives import paths
from bids_fx.derivatives.influence import read_influence
from bids_fx.derivatives.results import (
    CombinedContrast,
    RunResult,
    published_maps,
    write_group_contrast,
    write_group_mask,
    write_run,
)
from bids_fx.model import Contrast
from bids_fx.settings import AnalysisSettings
from bids_fx.traces import motion_traces
from tests.small_plans import (
    ANY,
    FACE,
    N_SCANS,
    SHAPE,
    influence_row,
    make_plan,
    make_residuals,
    make_run,
)

N_VOXELS = 7
OLS = AnalysisSettings(noise_model="ols")
ENTITIES = "sub-01/func/sub-01_task-x"


def make_mask() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:3, 2, 1:4] = mask[5, 6, 4] = True
    return mask


def make_stats(stats: tuple[str, ...], start: float) -> dict[str, np.ndarray]:
    """Return maps that all differ; several volumes for effect and covariance of F."""
    n_volumes = {"effect": 2, "covariance": 3} if "F" in stats else {}
    maps = {}
    for index, stat in enumerate(stats):
        shape = (n_volumes[stat], N_VOXELS) if stat in n_volumes else (N_VOXELS,)
        maps[stat] = start + 100.0 * index + np.arange(np.prod(shape)).reshape(shape)
    return maps


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    run = make_run("sub-01_task-x_run-1", contrasts=(FACE, ANY), noise_model="ols")
    result = RunResult(
        mask=make_mask(),
        mean_image=np.ones(SHAPE, dtype=np.float32),
        model_maps=make_stats(paths.model_stats(run), 0.0),
        contrast_maps={
            "face": make_stats(paths.T_STATS, 1000.0) | {"dof": np.full(N_VOXELS, 35.0)},
            "any": make_stats(paths.F_STATS, 2000.0) | {"dof": np.full(N_VOXELS, np.nan)},
        },
        dof=35.0,
        quality={"dof": 35.0},
        traces=motion_traces(run.source),
        residuals=make_residuals(N_SCANS),
        hashes={"bids:preproc:a.nii.gz": "00"},
    )
    write_run(run, result, OLS, tmp_path)
    return tmp_path


@pytest.fixture
def group_folder(tmp_path: Path) -> Path:
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(FACE, ANY)) for i in (1, 2)]
    plan = make_plan(runs)
    face, either = plan.groups[0].contrasts
    stats = make_stats(paths.combined_stats(face), 0.0)
    stats["zchangerun"] = np.array([0.0, 1, 2, 2, 1, 0, 2])
    stats["nruns"] = np.array([1.0, 2, 2, 2, 2, np.nan, 2])
    stats["qp"] = np.full(N_VOXELS, 1e-200)
    rows = tuple(influence_row(str(run.entities), effect=float("nan")) for run in runs)
    maps = {"face": stats, "any": make_stats(paths.combined_stats(either), 0.0)}
    hashes = {f"bids::x_run-{i}_contrast-face_stat-effect": "ab" for i in (1, 2)}
    for item, gave_way, influence, read in ((face, 3, rows, hashes), (either, 0, (), {})):
        result = CombinedContrast(
            mask=make_mask(),
            maps=maps[item.contrast.label],
            gave_way=gave_way,
            influence=influence,
            hashes=read,
        )
        write_group_contrast(plan, plan.groups[0], item, result, tmp_path)
    write_group_mask(plan, plan.groups[0], make_mask(), hashes, tmp_path)
    return tmp_path


def load(folder: Path, name: str) -> nb.Nifti1Image:
    return nb.load(folder / f"{ENTITIES}_{name}_statmap.nii.gz")


def test_effects_of_an_f_contrast_are_one_volume_a_row(run_folder):
    image = load(run_folder, "run-1_contrast-any_stat-effect")
    assert image.shape == (*SHAPE, 2)
    values = image.get_fdata()
    np.testing.assert_array_equal(values[make_mask()][:, 0], 2000 + np.arange(7))
    np.testing.assert_array_equal(values[make_mask()][:, 1], 2007 + np.arange(7))
    assert np.isnan(values[~make_mask()]).all()


def test_covariances_of_an_f_contrast_are_the_upper_triangle(run_folder):
    values = load(run_folder, "run-1_contrast-any_stat-covariance").get_fdata()
    assert values.shape == (*SHAPE, 3)
    np.testing.assert_array_equal(values[1, 2, 2], [2101.0, 2108.0, 2115.0])


def test_a_statistic_of_an_f_contrast_is_one_volume_with_both_degrees_of_freedom(run_folder):
    image = load(run_folder, "run-1_contrast-any_stat-F")
    assert image.shape == SHAPE
    assert image.header.get_intent()[:2] == ("f test", (2.0, 35.0))


def test_a_statistic_of_a_t_contrast_states_its_degrees_of_freedom(run_folder):
    intent = load(run_folder, "run-1_contrast-face_stat-t").header.get_intent()
    assert intent[:2] == ("t test", (35.0,))


def test_a_run_writes_exactly_what_its_plan_promises(run_folder):
    run = make_run("sub-01_task-x_run-1", contrasts=(FACE, ANY), noise_model="ols")
    images = list(paths.run_images(run))
    promised = {*images, *map(paths.sidecar, images), *paths.run_tables(run)}
    promised -= {paths.design(run.entities), paths.sidecar(paths.design(run.entities))}
    written = {path.relative_to(run_folder) for path in run_folder.rglob("*") if path.is_file()}
    assert {str(path) for path in written} == {str(path) for path in promised}


def test_a_join_gets_the_covariance_of_an_f_contrast(run_folder):
    run = make_run("sub-01_task-x_run-1", contrasts=(ANY,), noise_model="ols")
    published = published_maps(run, run_folder)
    assert [key.rpartition("/")[2] for key in published] == ["effect", "covariance", "dof"]
    assert all(path.is_file() for path in published.values())


def test_the_table_of_contrasts_says_how_well_each_can_be_estimated(run_folder):
    text = (run_folder / f"{ENTITIES}_run-1_contrasts.tsv").read_text()
    head, face, either = (line.split("\t") for line in text.splitlines())
    assert head[5:] == ["test", "rows", "efficiency", "inflation"]
    assert face == ["face", "face", "face", "true", "n/a", "t", "1", "12.5", "1.75"]
    assert either[5:] == ["F", "2", "12.5", "1.75"]


def test_runs_are_counted_in_whole_numbers_and_zero_outside(group_folder):
    for stat, inside in (
        ("zchangerun", [0, 1, 2, 2, 1, 0, 2]),
        ("nruns", [1, 2, 2, 2, 2, 0, 2]),
    ):
        image = load(group_folder, f"contrast-face_stat-{stat}")
        values = np.asanyarray(image.dataobj)
        assert values.dtype == np.int16
        assert values[make_mask()].tolist() == inside
        assert (values[~make_mask()] == 0).all()


def test_p_of_heterogeneity_keeps_double_precision(group_folder):
    values = load(group_folder, "contrast-face_stat-qp").get_fdata()
    assert (values[make_mask()] == 1e-200).all()


def test_a_combination_writes_exactly_what_its_plan_promises(group_folder):
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(FACE, ANY)) for i in (1, 2)]
    group = make_plan(runs).groups[0]
    files = [*paths.group_images(group), *paths.influence_tables(group).values()]
    promised = {*files, *map(paths.sidecar, files), *paths.group_tables(group)}
    written = {p.relative_to(group_folder) for p in group_folder.rglob("*") if p.is_file()}
    assert {str(path) for path in written} == {str(path) for path in promised}


def test_influence_is_read_back_as_it_was_written(group_folder):
    path = group_folder / f"{ENTITIES}_contrast-face_influence.tsv"
    found = read_influence(path)
    assert [row.run for row in found] == ["sub-01_task-x_run-1", "sub-01_task-x_run-2"]
    assert found[0]._replace(effect=0.0, F=0.0) == influence_row(found[0].run, effect=0.0, F=0.0)
    assert np.isnan(found[0].effect)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert set(found[0]._fields) <= set(facts)
    assert (facts["x"]["Units"], facts["effect"]["Units"]) == ("mm", "percent signal change")
    assert facts["Combination"] == "weighted"


def test_a_map_without_any_peak_has_an_empty_table_of_influence(group_folder):
    path = group_folder / f"{ENTITIES}_contrast-any_influence.tsv"
    assert read_influence(path) == []
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ["", "a\tb\n", "{head}\npositive\tx\t1\n", "{head}\n1\t2\tz\n"])
def test_a_damaged_table_of_influence_is_refused(tmp_path, text):
    path = tmp_path / "a_influence.tsv"
    path.write_text(text.format(head="\t".join(influence_row("")._fields)))
    with pytest.raises((ValueError, TypeError)):
        read_influence(path)


def test_the_sidecar_says_in_how_many_voxels_weights_gave_way(group_folder):
    for label, number in (("face", 3), ("any", 0)):
        path = group_folder / f"{ENTITIES}_contrast-{label}_stat-z_statmap.json"
        assert json.loads(path.read_text())["VoxelsWithoutWeights"] == number


def test_maps_of_another_test_or_noise_model_are_removed(tmp_path):
    def names() -> set[str]:
        return {path.name for path in tmp_path.rglob("*_statmap.*")}

    def write(contrast: Contrast, noise_model: str) -> None:
        run = make_run("sub-01_task-x_run-1", contrasts=(contrast,), noise_model=noise_model)
        stats = make_stats(paths.contrast_stats(contrast), 0.0)
        result = RunResult(
            mask=make_mask(),
            mean_image=np.ones(SHAPE, dtype=np.float32),
            model_maps=make_stats(paths.model_stats(run), 0.0),
            contrast_maps={contrast.label: stats},
            dof=35.0,
            quality={"dof": 35.0},
            traces=motion_traces(run.source),
            residuals=make_residuals(N_SCANS),
            hashes={},
        )
        write_run(run, result, replace(OLS, noise_model=noise_model), tmp_path)

    write(FACE, "ols")
    others = names()
    write(replace(ANY, label="cat"), "arma11")
    assert {"stat-covariance", "stat-F", "stat-white"} <= {
        part for name in names() for part in name.split("_")
    }
    write(replace(FACE, label="cat"), "ols")
    left = {name for name in names() if "contrast-face_" not in name}
    assert names() >= others
    kinds = {name.split("stat-")[1] for name in left}
    assert kinds == {
        f"{stat}_statmap{end}"
        for stat in (*paths.T_STATS, *paths.MODEL_STATS)
        for end in (".nii.gz", ".json")
    }
