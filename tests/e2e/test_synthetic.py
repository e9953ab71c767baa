"""Known effects are found again, whatever the layout; what is missing is told."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, Truth, make_dataset
from tests.validator import bids_errors

pytestmark = pytest.mark.e2e

EFFECTS = {"face": 2.0, "house": 1.0, "object": -1.0}


def run(truth: Truth, out: Path, *more: str) -> int:
    options = ["--nprocs", "1", "--skip-bids-validation", "--no-interactive"]
    return main([str(truth.bids_dir), str(out), "participant", *options, *more])


def read(out: Path, name: str) -> np.ndarray:
    (path,) = out.glob(f"sub-*/**/{name}_statmap.nii.gz")
    return nb.load(path).get_fdata()


def sidecar(out: Path, name: str) -> dict:
    (path,) = out.glob(f"sub-*/**/{name}_statmap.json")
    return json.loads(path.read_text())


def check_effects(truth: Truth, out: Path, stem: str, gain: float = 1.0) -> None:
    """Compare the mean error over the planted voxels with its standard error."""
    for condition, effect in EFFECTS.items():
        inside = truth.planted[condition]
        estimate = read(out, f"{stem}_contrast-{condition}_stat-effect")[inside]
        variance = read(out, f"{stem}_contrast-{condition}_stat-variance")[inside]
        error = (estimate.mean() - gain * effect) / np.sqrt(variance.mean() / inside.sum())
        assert abs(error) < 4, (condition, estimate.mean())
        # Errors of single voxels are as large as their variance says.
        spread = ((estimate - gain * effect) ** 2 / variance).mean()
        assert 0.4 < spread < 2.5, (condition, spread)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory) -> tuple[Truth, Path]:
    """Two sessions with two runs and with one, of which one lacks a condition."""
    root = tmp_path_factory.mktemp("sessions")
    spec = DatasetSpec(
        participants=("01",),
        sessions=("a", "b"),
        runs=("1", "2"),
        missing=(("ses-b_run-2", "object"),),
        uncovered=("ses-a_run-1",),
        raw_images="dangling",
        rest_tasks=("rest",),
        oblique=True,
    )
    truth = make_dataset(root / "data", spec)
    assert run(truth, root / "out") == 0
    return truth, root / "out"


def test_every_run_finds_the_planted_effects(sessions):
    truth, out = sessions
    stem = "sub-01_ses-a_task-main_run-2_space-MNI152NLin2009cAsym"
    check_effects(truth, out, stem)


@pytest.mark.parametrize("session", ["_ses-a", ""])
def test_sessions_and_subject_find_the_planted_effects(sessions, session):
    truth, out = sessions
    check_effects(truth, out, f"sub-01{session}_task-main_space-MNI152NLin2009cAsym")


def test_each_voxel_is_combined_over_the_runs_that_cover_it(sessions):
    truth, out = sessions
    stem = "sub-01_task-main_space-MNI152NLin2009cAsym_contrast-face_stat-"
    counts = read(out, f"{stem}nruns")
    (bare,) = truth.select("ses-a_task-main_run-1")
    np.testing.assert_array_equal(counts == 3, bare.brain & ~bare.covered)
    np.testing.assert_array_equal(counts == 4, bare.covered)
    np.testing.assert_array_equal(np.isfinite(read(out, f"{stem}z")), bare.brain)


def test_a_missing_condition_costs_its_run_those_contrasts_alone(sessions):
    _, out = sessions
    stem = "sub-01_task-main_space-MNI152NLin2009cAsym_contrast-"
    facts = sidecar(out, f"{stem}object_stat-z")
    missing = "sub-01_ses-b_task-main_run-2_space-MNI152NLin2009cAsym"
    assert facts["NumberOfRuns"] == 3
    assert missing not in facts["Runs"]
    assert "no event" in facts["RunsLeftOut"][missing]
    assert sidecar(out, f"{stem}face_stat-z")["NumberOfRuns"] == 4
    report = (out / "sub-01.html").read_text()
    assert "no event in this run" in report
    table = next(out.glob("sub-01/ses-b/func/*run-2_contrasts.tsv")).read_text()
    assert "\tfalse\tcondition 'object' has no event in this run" in table


def test_the_output_of_sessions_is_a_valid_bids_dataset(sessions):
    assert bids_errors(sessions[1]) == []


def test_a_task_without_events_is_left_out_with_a_notice(sessions):
    _, out = sessions
    assert not list(out.rglob("*task-rest*"))
    assert "rest" in (out / "sub-01.html").read_text()


def test_a_missing_condition_is_bad_data_where_that_is_asked_for(sessions, tmp_path, capsys):
    truth, _ = sessions
    assert run(truth, tmp_path / "out", "--missing", "error") == 65
    assert "'object' has no event" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_filters_leave_no_combined_map_that_would_be_a_lie(sessions, tmp_path):
    truth, _ = sessions
    assert run(truth, tmp_path / "out", "--run-id", "1", "--contrast", "face") == 0
    maps = [path.name for path in (tmp_path / "out").rglob("*_stat-z_statmap.nii.gz")]
    assert maps
    assert all("run-1" in name for name in maps)
    assert "--combine-subset" in (tmp_path / "out" / "sub-01.html").read_text()


def test_a_filtered_subset_is_combined_on_demand(sessions, tmp_path):
    truth, _ = sessions
    options = ("--run-id", "2", "--combine-subset", "--contrast", "face")
    assert run(truth, tmp_path / "out", *options) == 0
    stem = "sub-01_task-main_space-MNI152NLin2009cAsym_contrast-face_stat-z"
    assert sidecar(tmp_path / "out", stem)["NumberOfRuns"] == 2


@pytest.mark.parametrize(
    ("spec", "stem"),
    [
        (DatasetSpec(runs=()), "sub-01_task-main_space-MNI152NLin2009cAsym"),
        (DatasetSpec(spaces=("func",), masks=True), "sub-01_task-main"),
        (DatasetSpec(spaces=("T1w",), dtype="int16"), "sub-01_task-main_space-T1w"),
        (
            DatasetSpec(variants=((("acq", "mb"),),), spaces=("MNI152NLin6Asym:res-2",)),
            "sub-01_task-main_acq-mb_space-MNI152NLin6Asym_res-2",
        ),
        (
            DatasetSpec(events_at_root=True, raw_images="empty", non_steady_scans=3),
            "sub-01_task-main_space-MNI152NLin2009cAsym",
        ),
        (DatasetSpec(start_time=None, event_duration=0.0), None),
        (DatasetSpec(motion_outliers=(20, 41), modulated=True), None),
    ],
    ids=[
        "no run",
        "native",
        "T1w int16",
        "acq and res",
        "events at root",
        "impulses",
        "modulated",
    ],
)
def test_layouts_and_events_of_all_kinds_give_the_planted_effects(tmp_path, spec, stem):
    truth = make_dataset(tmp_path / "data", spec)
    confounds = ["--confounds", "motion6", "nss", "scrub"]
    assert run(truth, tmp_path / "out", *confounds) == 0
    check_effects(truth, tmp_path / "out", stem or "sub-01_task-main_space-MNI152NLin2009cAsym")


def test_a_lone_run_without_a_number_is_written_once_for_both_levels(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=()))
    assert run(truth, tmp_path / "out", "--contrast", "face") == 0
    stem = "sub-01_task-main_space-MNI152NLin2009cAsym_contrast-face_stat-z"
    assert sidecar(tmp_path / "out", stem)["Levels"] == ["run", "subject"]
    assert not list((tmp_path / "out").rglob("*stat-nruns*"))


def test_a_mask_is_computed_where_there_is_none(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(masks=False, shape=(24, 28, 20)))
    assert run(truth, tmp_path / "out", "--contrast", "face") == 0
    (path, _) = sorted((tmp_path / "out").rglob("*run-*_desc-brain_mask.nii.gz"))
    mask = nb.load(path).get_fdata() > 0
    brain = truth.runs[0].brain
    overlap = 2 * (mask & brain).sum() / (mask.sum() + brain.sum())
    assert overlap > 0.8
    assert "mask" in (tmp_path / "out" / "sub-01.html").read_text()


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> tuple[Truth, Path]:
    """Return a dataset of one run and the outputs of a call with the defaults."""
    root = tmp_path_factory.mktemp("plain")
    truth = make_dataset(root / "data", DatasetSpec(runs=("1",), motion_outliers=(30,)))
    assert run(truth, root / "out", "--contrast", "face") == 0
    return truth, root / "out"


@pytest.mark.parametrize(
    "options",
    [
        ["--hrf-model", "glover + derivative + dispersion"],
        ["--hrf-model", "fir:8", "--contrast", "face[2] - house[2]"],
        ["--drift-model", "polynomial", "--noise-model", "ols"],
        ["--drift-model", "none", "--confounds", "none", "--signal-scaling", "none"],
        ["--confounds", "motion24", "wm-csf", "acompcor", "gsr", "scrub", "nss"],
        ["--smoothing-fwhm", "5", "--signal-scaling", "grand-mean", "--dummy-scans", "2"],
        ["--fd-threshold", "0.4", "--high-pass", "100", "--slice-time-ref", "0.5"],
    ],
    ids=" ".join,
)
def test_every_modelling_option_runs_and_reaches_the_sidecar(plain, tmp_path, options):
    truth, usual = plain
    contrast = () if "--contrast" in options else ("--contrast", "face")
    assert run(truth, tmp_path, *options, *contrast) == 0
    model = json.loads(next(tmp_path.rglob("*run-1*stat-tsnr_statmap.json")).read_text())
    default = json.loads(next(usual.rglob("*run-1*stat-tsnr_statmap.json")).read_text())
    assert model["StatisticalModel"] != default["StatisticalModel"]
    assert model["SettingsHash"] != default["SettingsHash"]


def test_one_changed_setting_computes_again_and_the_old_one_back_again(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1",)))
    out = tmp_path / "out"
    name = "sub-01_task-main_run-1_space-MNI152NLin2009cAsym_contrast-face_stat-effect"
    effects = []
    for fwhm in ("0", "6", "0"):
        assert run(truth, out, "--contrast", "face", "--smoothing-fwhm", fwhm) == 0
        effects.append(np.nan_to_num(read(out, name)))
    assert np.abs(effects[0] - effects[1]).max() > 0.1
    np.testing.assert_array_equal(effects[0], effects[2])


def test_an_added_run_refits_that_run_and_the_join_alone(tmp_path):
    make_dataset(tmp_path / "data", DatasetSpec(runs=("1", "2")))
    out = tmp_path / "out"
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1", "2")))
    assert run(truth, out, "--contrast", "face") == 0
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*run-*_statmap.nii.gz")}
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1", "2", "3")))
    assert run(truth, out, "--contrast", "face") == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    stem = "sub-01_task-main_space-MNI152NLin2009cAsym_contrast-face_stat-z"
    assert sidecar(out, stem)["NumberOfRuns"] == 3


def test_contrasts_apply_to_the_tasks_that_have_their_conditions(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(tasks=("main", "other"), runs=("1",)))
    for path in truth.bids_dir.rglob("*task-other*_events.tsv"):
        path.write_text(path.read_text().replace("face", "song"))
    assert run(truth, tmp_path / "out", "--contrast", "song - house") == 0
    names = {path.name for path in (tmp_path / "out").rglob("*contrast-*_stat-z_statmap.nii.gz")}
    assert names
    assert all("task-other" in name for name in names)
