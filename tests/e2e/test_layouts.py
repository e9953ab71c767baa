"""Layouts as people have them: planned and run, or refused with what to do about it."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_fx.cli.run import main
from bids_fx.errors import ExitCode
from tests.simulation import spm_response
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

LAYOUTS = ("ds001", "ds005", "ds102", "ds114", "synthetic")
#: Both sides are closed forms in float64; the design is written with all its digits.
CLOSED_FORM = 1e-9
SPACE = "MNI152NLin2009cAsym"
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def call(bids_dir: Path, out: Path, *more: str) -> int:
    options = ["--nprocs", "1", "--skip-bids-validation", "--no-interactive"]
    return main([str(bids_dir), str(out), "participant", *options, *more])


def preprocess(layout: Path, root: Path, n_scans: int) -> Path:
    """Copy a raw layout and give it small derivatives with a series for each raw image."""
    bids_dir = Path(shutil.copytree(layout, root / layout.name))
    derivatives = bids_dir / "derivatives" / "fmriprep"
    rng = np.random.default_rng(20251121)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    for raw in sorted(bids_dir.glob("sub-*/**/*_bold.nii*")):
        task = re.search(r"task-\w+?_", raw.name)[0]
        sidecar = json.loads((bids_dir / f"{task}bold.json").read_text())
        stem = raw.name.partition("_bold.")[0]
        folder = derivatives / raw.parent.relative_to(bids_dir)
        folder.mkdir(parents=True, exist_ok=True)
        values = rng.normal(100, 1, (4, 4, 3, n_scans)).astype(np.float32)
        series = nb.Nifti1Image(values, affine)
        series.header.set_zooms((4, 4, 4, sidecar["RepetitionTime"]))
        series.header.set_xyzt_units("mm", "sec")
        series.to_filename(folder / f"{stem}_space-{SPACE}_desc-preproc_bold.nii.gz")
        mask = nb.Nifti1Image(np.ones((4, 4, 3), dtype=np.uint8), affine)
        mask.to_filename(folder / f"{stem}_space-{SPACE}_desc-brain_mask.nii.gz")
        np.savetxt(
            folder / f"{stem}_desc-confounds_timeseries.tsv",
            rng.normal(size=(n_scans, len(MOTION))),
            delimiter="\t",
            header="\t".join(MOTION),
            comments="",
        )
    description = {"Name": "small", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}
    (derivatives / "dataset_description.json").write_text(json.dumps(description))
    return bids_dir


# ------------------------------------------------------------------------- as they are published


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_without_derivatives_is_refused(real_data, tmp_path, capsys, layout):
    bids_dir = real_data / "bids_examples" / layout
    assert call(bids_dir, tmp_path / "out", "--dry-run") == ExitCode.MISSING_INPUT
    assert f"{bids_dir / 'derivatives' / 'fmriprep'}: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_of_a_layout_that_hold_nothing_are_each_named(real_data, tmp_path, capsys, layout):
    bids_dir = real_data / "bids_examples" / layout
    options = ["--raw-bold", "--confounds", "none", "--dry-run"]
    assert call(bids_dir, tmp_path / "out", *options) == ExitCode.BAD_DATA
    told = capsys.readouterr().out
    content = "truncated: 352 of 134218080 bytes" if layout == "synthetic" else "an empty file"
    images = [path for path in bids_dir.glob("sub-*/**/*_bold.nii*") if "rest" not in path.name]
    assert len(images) >= 3
    assert all(f"ERROR {path}: {content}" in told for path in images)
    assert told.count("ERROR") == len(images)


def test_empty_derivatives_of_fmriprep_are_each_named(real_data, tmp_path, capsys):
    derivatives = real_data / "bids_examples" / "ds000001-fmriprep"
    options = ["-d", f"fmriprep={derivatives}", "--participant-label", "10", "--dry-run"]
    code = call(real_data / "bids_examples" / "ds001", tmp_path / "out", *options)
    told = capsys.readouterr().out
    assert code == ExitCode.BAD_DATA
    stems = [f"sub-10_task-balloonanalogrisktask_run-{i}_space-{SPACE}_res-2" for i in (1, 2, 3)]
    for ending in ("desc-preproc_bold.nii.gz", "desc-brain_mask.nii.gz"):
        for stem in stems:
            path = derivatives / "sub-10" / "func" / f"{stem}_{ending}"
            assert f"ERROR {path}: an empty file" in told
    assert told.count("ERROR") == 6
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- with series of their own length

PUMPS = ["cash_demean", "control_pumps_demean", "explode_demean", "pumps_demean"]
WORDS = ["Correct_Task", "Incorrect_Task", "No_Response_Control", "No_Response_Task"]
VERBS = {"covertverbgeneration", "overtverbgeneration", "overtwordrepetition"}


@pytest.mark.parametrize(
    ("layout", "participants", "n_scans", "conditions", "n_runs", "n_written"),
    [
        ("ds001", ["01", "10"], 300, {"balloonanalogrisktask": PUMPS}, 3, 1),
        ("ds005", ["01"], 240, {"mixedgamblestask": ["parametric gain"]}, 3, 1),
        (
            "ds102",
            ["01", "10"],
            146,
            {
                "flankertask": [
                    "congruent_correct",
                    "incongruent_correct",
                    "incongruent_incorrect",
                ]
            },
            2,
            1,
        ),
        # Events of four tasks stand at the root; each session has one run of each task.
        (
            "ds114",
            ["01"],
            240,
            {
                **{task: ["Task"] for task in VERBS},
                "fingerfootlips": ["Finger", "Foot", "Lips"],
                "linebisection": [*WORDS, "Response_Control"],
            },
            10,
            5,
        ),
    ],
)
def test_layout_is_planned(
    real_data, tmp_path, capsys, layout, participants, n_scans, conditions, n_runs, n_written
):
    bids_dir = preprocess(real_data / "bids_examples" / layout, tmp_path, n_scans)
    assert call(bids_dir, tmp_path / "out", "--dry-run=json") == 0
    plans = json.loads(capsys.readouterr().out)["participants"]
    assert [plan["participant"] for plan in plans] == participants
    for plan in plans:
        assert len(plan["runs"]) == n_runs
        written = [group for group in plan["groups"] if group["not_written"] is None]
        assert len(written) == n_written
        assert {level for group in written for level in group["levels"]} == {"subject"}
        assert sum(len(group["runs"]) for group in written) == n_runs
    found: dict[str, set[str]] = {}
    for run in (run for plan in plans for run in plan["runs"]):
        task = re.search(r"task-([a-z]+)", run["run"])[1]
        found.setdefault(task, set()).update(run["conditions"])
    assert found == {task: set(names) for task, names in conditions.items()}


@pytest.fixture(scope="module")
def nback(real_data, tmp_path_factory) -> Path:
    """Two sessions with two runs each and a rest, and one events table at the root, run."""
    root = tmp_path_factory.mktemp("nback")
    bids_dir = preprocess(real_data / "bids_examples" / "synthetic", root, 64)
    assert call(bids_dir, root / "out", "--contrast", "target = " + TARGET) == 0
    return root / "out"


TARGET = "scene_target_nbackparam - scene_nontarget_nbackparam"


def test_layout_of_sessions_is_run(nback):
    folder = nback / "sub-01"
    stem = f"space-{SPACE}_contrast-target_stat-z_statmap.nii.gz"
    names = {path.name for path in folder.rglob(f"*_{stem}")}
    assert names == {
        f"sub-01_task-nback_{stem}",
        *(f"sub-01_ses-{ses}_task-nback_{stem}" for ses in ("01", "02")),
        *(
            f"sub-01_ses-{ses}_task-nback_run-{run}_{stem}"
            for ses in ("01", "02")
            for run in ("01", "02")
        ),
    }


def test_sources_of_a_layout_name_the_events_at_the_root(nback):
    sidecar = next(nback.rglob("*run-01*contrast-target_stat-effect_statmap.json"))
    assert "bids:raw:task-nback_events.tsv" in json.loads(sidecar.read_text())["Sources"]


def test_rest_of_a_layout_is_left_out_with_a_notice(nback):
    assert "task-rest: left out, since it has no events" in (nback / "sub-01.html").read_text()


# ---------------------------------------------------------------------- differences in one entity

SMALL = {"shape": (8, 8, 7)}


def estimates(out: Path, name: str) -> np.ndarray:
    (path,) = out.rglob(f"{name}_statmap.nii.gz")
    return nb.load(path).get_fdata()


def sidecar_of(out: Path, name: str) -> dict:
    (path,) = out.rglob(f"{name}_statmap.json")
    return json.loads(path.read_text())


def make(root: Path, **spec: object) -> Truth:
    return make_dataset(root / "data", DatasetSpec(**(SMALL | spec)))


def variants(key: str, *labels: str | None) -> tuple:
    return tuple(((key, label),) if label else () for label in labels)


def test_directions_of_phase_encoding_are_combined_where_that_is_asked_for(tmp_path):
    truth = make(tmp_path, runs=(), variants=variants("dir", "LR", "RL"))
    options = ["--contrast", "face", "--combine-over", "run,dir"]
    assert call(truth.bids_dir, tmp_path / "out", *options) == 0
    stems = [f"sub-01_task-main{key}_space-{SPACE}_contrast-face" for key in ("", "_dir-LR")]
    said = sidecar_of(tmp_path / "out", f"{stems[0]}_stat-effect")
    assert said["NumberOfRuns"] == 2
    effects, lone = (estimates(tmp_path / "out", f"{stem}_stat-effect") for stem in stems)
    variance, lone_variance = (
        estimates(tmp_path / "out", f"{stem}_stat-variance") for stem in stems
    )
    inside = truth.planted["face"]
    np.testing.assert_allclose(effects[inside].mean(), 2.0, atol=0.1)  # of 2 percent planted
    assert np.median(variance[inside] / lone_variance[inside]) < 0.75
    assert not np.array_equal(effects[inside], lone[inside])


@pytest.mark.parametrize("key", ["dir", "acq"])
def test_runs_that_differ_in_one_entity_alone_are_kept_apart(tmp_path, key):
    truth = make(tmp_path, runs=(), variants=variants(key, "a", "b"))
    assert call(truth.bids_dir, tmp_path / "out", "--contrast", "face") == 0
    names = {path.name for path in (tmp_path / "out").rglob("*face_stat-z_statmap.nii.gz")}
    ending = f"space-{SPACE}_contrast-face_stat-z_statmap.nii.gz"
    assert names == {f"sub-01_task-main_{key}-{label}_{ending}" for label in ("a", "b")}


@pytest.fixture
def filtered(tmp_path: Path) -> Callable[[dict[str, object]], list[str]]:
    """Return a function that writes a filter file and returns the options that name it."""

    def write(filters: dict[str, object]) -> list[str]:
        path = tmp_path / "filters.json"
        path.write_text(json.dumps({"bold": filters, "t1w": {"session": "1"}}))
        return ["--bids-filter-file", str(path)]

    return write


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, [""]),
        ({"echo": None}, [""]),
        ({"echo": "2"}, ["_echo-2"]),
        ({"echo": ["1", "2"]}, ["_echo-1", "_echo-2"]),
        ({"echo": "*"}, ["_echo-1", "_echo-2"]),
        ({"echo": "Query.ANY"}, ["_echo-1", "_echo-2"]),
    ],
)
def test_echoes_are_chosen_by_the_filter_file(tmp_path, capsys, filtered, filters, expected):
    truth = make(tmp_path, runs=(), variants=variants("echo", None, "1", "2"))
    options = filtered(filters) if filters is not None else []
    assert call(truth.bids_dir, tmp_path / "out", "--dry-run=json", *options) == 0
    (plan,) = json.loads(capsys.readouterr().out)["participants"]
    stems = [f"sub-01_task-main{echo}_space-{SPACE}" for echo in expected]
    assert [run["run"] for run in plan["runs"]] == stems


def test_spaces_and_resolutions_are_analysed_side_by_side(tmp_path):
    spaces = (f"{SPACE}:res-1", f"{SPACE}:res-2", "T1w", "func")
    truth = make(tmp_path, runs=("1",), spaces=spaces)
    options = ["--contrast", "face", "--space", f"{SPACE}:res-2", "T1w", "func"]
    assert call(truth.bids_dir, tmp_path / "out", *options) == 0
    paths = (tmp_path / "out").rglob("*contrast-face_stat-z_statmap.nii.gz")
    names = {path.name for path in paths if "run-" not in path.name}
    ending = "_contrast-face_stat-z_statmap.nii.gz"
    stems = (f"_space-{SPACE}_res-2", "_space-T1w", "")
    assert names == {f"sub-01_task-main{stem}{ending}" for stem in stems}


def test_sessions_of_unequal_numbers_of_runs_are_combined_from_all_runs(tmp_path):
    truth = make(tmp_path, sessions=("a", "b"), runs=("1", "2"))
    for path in truth.bids_dir.rglob("*ses-b*run-2*"):
        path.unlink()
    assert call(truth.bids_dir, tmp_path / "out", "--contrast", "face") == 0
    for session, count in (("_ses-a", 2), ("_ses-b", 1), ("", 3)):
        stem = f"sub-01{session}_task-main_space-{SPACE}_contrast-face_stat-z"
        assert sidecar_of(tmp_path / "out", stem)["NumberOfRuns"] == count


@pytest.mark.parametrize(
    "options",
    [
        "--task-id a b --session-label 1 2 --run-id 1 2",
        "--task-id a --task-id b --run-id 01 --run-id 02",
        "--task-id task-a task-b --session-label ses-1 ses-2 --run-id run-1 run-2",
    ],
    ids=["several values", "repeated", "with prefixes"],
)
def test_labels_may_be_several_repeated_and_with_prefixes(tmp_path, capsys, options):
    truth = make(
        tmp_path, tasks=("a", "b", "c"), sessions=("1", "2"), runs=("1", "2", "3"), n_volumes=40
    )
    assert call(truth.bids_dir, tmp_path / "out", "--dry-run=json", *options.split()) == 0
    (plan,) = json.loads(capsys.readouterr().out)["participants"]
    assert {run["run"] for run in plan["runs"]} == {
        f"sub-01_ses-{ses}_task-{task}_run-{run}_space-{SPACE}"
        for task in "ab"
        for ses in "12"
        for run in "12"
    }


def test_derivatives_of_other_programs_are_run_on_what_they_have(tmp_path):
    truth = make(tmp_path, runs=(), shape=(24, 28, 20), masks=False, derivatives="spm")
    (run,) = truth.runs
    run.bold.rename(run.bold.with_name(run.bold.name.replace("desc-preproc", "desc-swau")))
    for path in (run.sidecar, run.confounds, truth.derivatives_dir / "dataset_description.json"):
        path.unlink()
    options = ["-d", str(truth.derivatives_dir), "--desc-label", "swau", "--confounds", "none"]
    assert call(truth.bids_dir, tmp_path / "out", "--contrast", "face", *options) == 0
    report = (tmp_path / "out" / "sub-01.html").read_text()
    for words in ("no brain mask beside it", "have no dataset_description.json"):
        assert words in report
    assert list((tmp_path / "out").rglob("*contrast-face_stat-z_statmap.nii.gz"))


# ------------------------------------------------------------------------------------- the events

ODD_EVENTS = """\
onset\tduration\ttrial_type\tmodulation
-4\t6\todd\t1
-90\t6\todd\t1
20\t6\todd\t1
23\t6\todd\t1
23\t6\todd\t1
60\tn/a\todd\t2
n/a\t6\todd\t1
80\t6\tn/a\t1
90\t6\todd\tn/a
157\t9\todd\t1
160\t6\todd\t1
"""
#: Onset, duration and height of those that count, in a run of 160 s.
COUNTED = [(-4, 6, 1), (20, 6, 1), (23, 6, 1), (23, 6, 1), (60, 0, 2), (157, 9, 1)]


def test_odd_events_enter_the_design_as_they_are_told(tmp_path):
    truth = make(tmp_path, runs=())
    (run,) = truth.runs
    content = gzip.compress(ODD_EVENTS.encode(), mtime=0)
    run.events.with_name(run.events.name + ".gz").write_bytes(content)
    run.events.unlink()
    assert call(truth.bids_dir, tmp_path / "out", "--contrast", "odd") == 0
    (path,) = (tmp_path / "out").rglob("*_design.tsv")
    regressor = pd.read_csv(path, sep="\t")["odd"].to_numpy()
    onsets, durations, heights = np.array(COUNTED, dtype=float).T
    expected = spm_response(run.frame_times, onsets, durations, heights)
    np.testing.assert_allclose(regressor, expected, rtol=0, atol=CLOSED_FORM)
    report = (tmp_path / "out" / "sub-01.html").read_text()
    for words in ("without onset left out (line 8)", "without trial_type left out (line 9)"):
        assert words in report
    for words in ("without modulation left out (line 10)", "without duration taken as impulses"):
        assert words in report
    for words in ("after the end of the run (160 s) left out (line 12)", "written twice"):
        assert words in report
