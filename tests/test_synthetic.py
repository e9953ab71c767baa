"""The synthetic datasets are what they say they are."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import integrate

from tests.simulation import MOTION, spm_hrf, spm_response
from tests.synthetic import DatasetSpec, RunTruth, make_dataset

FloatArray = npt.NDArray[np.float64]

QUIET = DatasetSpec(runs=(), noise_percent=1.0, drift_percent=0.0, motion_percent_per_mm=0.0)
#: What a raw dataset without its images cannot be free of.
ABSENT_IMAGES = {"SIDECAR_WITHOUT_DATAFILE", "SYMLINK_BROKEN", "EMPTY_FILE"}
#: Bound of a mean over voxels, whose noise is independent, in its standard errors; the noise is
#: autocorrelated, which makes the error of least squares a little larger than it says.
N_STANDARD_ERRORS = 5.0


def percent_change(run: RunTruth) -> FloatArray:
    """Return the covered voxels' series in percent of their mean, shape (n_kept, n_voxels)."""
    series = nb.load(run.bold).get_fdata()[run.covered].T[run.kept]
    return np.asarray(100 * (series / series.mean(axis=0) - 1))


def fit(run: RunTruth) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return the least-squares effects and their standard errors, in the covered voxels."""
    confounds = pd.read_csv(run.confounds, sep="\t", na_values="n/a")
    nuisance = [*MOTION, *confounds.columns[confounds.columns.str.startswith("cosine")]]
    columns = [*run.responses.values(), *confounds[nuisance].to_numpy().T]
    design = np.column_stack([*columns, np.ones(run.n_volumes)])[run.kept]
    data = percent_change(run)
    effects, squares, rank, _ = np.linalg.lstsq(design, data, rcond=None)
    variance = np.outer(np.diag(np.linalg.inv(design.T @ design)), squares / (len(design) - rank))
    return (
        dict(zip(run.responses, effects, strict=False)),
        dict(zip(run.responses, np.sqrt(variance), strict=False)),
    )


@pytest.mark.parametrize(
    "spec",
    [
        DatasetSpec(),
        DatasetSpec(runs=(), oblique=True, start_time=None, slice_timing_corrected=False),
        DatasetSpec(runs=("1",), motion_outliers=(20, 41), non_steady_scans=2, dtype="int16"),
        DatasetSpec(runs=("01",), modulated=True, event_duration=0.0, noise_percent=0.2),
        DatasetSpec(uncovered=("run-2",), run_gains=(("run-2", 1.5),)),
        DatasetSpec(events_at_root=True, run_volumes=(("run-2", 70),)),
    ],
    ids=["default", "no-start-time", "outliers", "impulses", "gain", "events-at-root"],
)
def test_least_squares_finds_the_planted_effects(tmp_path: Path, spec: DatasetSpec) -> None:
    truth = make_dataset(tmp_path, spec)
    for run in truth.runs:
        effects, errors = fit(run)
        for name, effect in effects.items():
            planted, null = truth.planted[name][run.covered], truth.null[run.covered]
            bound = N_STANDARD_ERRORS * errors[name].mean()
            difference = effect[planted].mean() - run.effects[name]
            assert abs(difference) < bound / np.sqrt(planted.sum())
            assert abs(effect[null].mean()) < bound / np.sqrt(null.sum())


def test_noise_has_the_stated_size_and_autocorrelation(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path, replace(QUIET, effects={"face": 0.0}, n_volumes=120))
    noise = percent_change(truth.runs[0])
    lagged = (noise[1:] * noise[:-1]).sum() / (noise**2).sum()
    assert lagged == pytest.approx(truth.spec.rho, abs=0.03)
    assert noise.std() == pytest.approx(truth.spec.noise_percent, abs=0.03)


def test_planted_voxels_are_disjoint_and_fill_the_brain(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path, QUIET)
    masks = np.array([*truth.planted.values(), truth.null])
    assert masks.any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(masks.sum(axis=0), truth.runs[0].brain)


def test_effect_map_of_a_contrast_is_the_weighted_sum(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path, QUIET)
    contrast = truth.effect_map({"face": 1.0, "house": -1.0})
    assert set(contrast[truth.planted["face"]]) == {2.0}
    assert set(contrast[truth.planted["house"]]) == {-1.0}
    assert set(contrast[truth.planted["object"] | truth.null]) == {0.0}


def test_response_to_an_impulse_has_area_one() -> None:
    area, _ = integrate.quad(lambda t: float(spm_hrf(np.array([t]))[0]), 0, 32)
    assert area == pytest.approx(1.0, abs=1e-8)


def test_response_to_a_box_car_is_the_integral_of_the_impulse_response() -> None:
    time = np.array([9.3])
    one = (np.array([2.0]), np.array([5.0]), np.array([1.5]))
    expected, _ = integrate.quad(lambda u: 1.5 * float(spm_hrf(time - u)[0]), 2.0, 7.0)
    assert spm_response(time, *one)[0] == pytest.approx(expected, abs=1e-8)


def test_sustained_response_is_one() -> None:
    long = (np.array([0.0]), np.array([100.0]), np.array([1.0]))
    np.testing.assert_allclose(spm_response(np.array([40.0, 90.0]), *long), 1.0, rtol=1e-12)


def test_a_run_is_the_same_whatever_other_runs_there_are(tmp_path: Path) -> None:
    alone = make_dataset(tmp_path / "a").select("run-2")[0]
    more = DatasetSpec(participants=("00", "01"), runs=("0", "1", "2"))
    among = make_dataset(tmp_path / "b", more).select("sub-01_run-2")[0]
    for name in ("confounds", "events", "sidecar"):
        assert getattr(alone, name).read_bytes() == getattr(among, name).read_bytes()
    np.testing.assert_array_equal(percent_change(alone), percent_change(among))


def test_a_missing_condition_has_neither_events_nor_signal(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path, DatasetSpec(missing=(("run-2", "house"),)))
    first, second = truth.runs
    assert set(first.effects) - set(second.effects) == {"house"}
    assert second.events is not None
    assert "house" not in second.events.read_text()


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_uncovered_corner_is_out_of_the_mask_and_empty(tmp_path: Path, value: float) -> None:
    spec = replace(QUIET, uncovered=("",), uncovered_value=value)
    run = make_dataset(tmp_path, spec).runs[0]
    corner = run.brain & ~run.covered
    assert 10 < corner.sum() < run.brain.sum() / 4
    assert run.mask is not None
    np.testing.assert_array_equal(np.asarray(nb.load(run.mask).dataobj), run.covered)
    np.testing.assert_array_equal(nb.load(run.bold).get_fdata()[corner], value)


def test_names_have_all_entities_in_order(tmp_path: Path) -> None:
    spec = replace(
        QUIET,
        sessions=("pre",),
        runs=("01",),
        variants=((("dir", "LR"), ("acq", "mb")),),
        spaces=("MNI152NLin6Asym:res-2", "func"),
    )
    names = [run.bold.name for run in make_dataset(tmp_path, spec).runs]
    stem = "sub-01_ses-pre_task-main_acq-mb_dir-LR_run-01"
    assert names == [
        f"{stem}_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz",
        f"{stem}_desc-preproc_bold.nii.gz",
    ]


def test_rest_has_no_events_and_no_signal(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path, replace(QUIET, rest_tasks=("rest",)))
    (rest,) = truth.select("task-rest")
    assert rest.events is None
    assert rest.effects == {}


def test_confounds_have_missing_values_in_the_first_row_only(tmp_path: Path) -> None:
    run = make_dataset(tmp_path, QUIET).runs[0]
    table = pd.read_csv(run.confounds, sep="\t", na_values="n/a", keep_default_na=False)
    missing = table.columns[table.isna().any()]
    assert {"framewise_displacement", "dvars", "trans_x_derivative1"} <= set(missing)
    assert table.iloc[1:].notna().all().all()
    assert table.iloc[0][missing].isna().all()


RAW_TREE = DatasetSpec(participants=("01", "02"), sessions=("a", "b"), rest_tasks=("rest",))


@pytest.mark.parametrize("spec", [RAW_TREE, replace(RAW_TREE, raw_images="dangling")])
def test_raw_tree_is_valid_but_for_its_images(tmp_path: Path, spec: DatasetSpec) -> None:
    make_dataset(tmp_path, spec)
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run(
        [str(validator), str(tmp_path), "--ignoreWarnings", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert {issue["code"] for issue in issues} <= ABSENT_IMAGES


def test_the_program_writes_a_dataset(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.synthetic", str(tmp_path), "--sessions", "2", "--runs", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    written = [Path(line) for line in done.stdout.splitlines()]
    assert len(written) == 2
    assert all(path.is_file() for path in written)
