"""Bad input gets one list of everything that is wrong, before any work, and damages nothing."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, RunTruth, Truth, make_dataset

pytestmark = pytest.mark.e2e


def run(truth: Truth, out: Path, *more: str) -> int:
    options = ["--nprocs", "1", "--skip-bids-validation"]
    return main([str(truth.bids_dir), str(out), "participant", *options, *more])


@pytest.fixture
def truth(tmp_path) -> Truth:
    return make_dataset(tmp_path / "data", DatasetSpec())


def edit_table(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path, sep="\t")).to_csv(path, sep="\t", index=False, na_rep="n/a")


def no_events(first: RunTruth) -> None:
    first.events.unlink()


def no_onset(first: RunTruth) -> None:
    edit_table(first.events, lambda table: table.drop(columns="onset"))


def no_duration(first: RunTruth) -> None:
    edit_table(first.events, lambda table: table.drop(columns="duration"))


def no_trial_type(first: RunTruth) -> None:
    edit_table(first.events, lambda table: table.rename(columns={"trial_type": "condition"}))


def short_confounds(first: RunTruth) -> None:
    edit_table(first.confounds, lambda table: table.iloc[:-3])


def no_motion(first: RunTruth) -> None:
    edit_table(first.confounds, lambda table: table.drop(columns="rot_y"))


def no_repetition_time(first: RunTruth) -> None:
    for path in (first.sidecar, *first.events.parents[2].glob("*bold.json")):
        if path.exists():
            values = json.loads(path.read_text())
            values.pop("RepetitionTime", None)
            path.write_text(json.dumps(values))
    for path in first.events.parent.glob("*bold.json"):
        path.unlink()
    image = nb.load(first.bold)
    image.header["pixdim"][4] = 0
    nb.save(nb.Nifti1Image(np.asarray(image.dataobj), None, image.header), first.bold)


def other_grid(first: RunTruth) -> None:
    image = nb.load(first.mask)
    nb.save(nb.Nifti1Image(np.asarray(image.dataobj)[:-1], image.affine), first.mask)


def truncated(first: RunTruth) -> None:
    content = first.bold.read_bytes()
    first.bold.write_bytes(content[: len(content) // 2])


def no_nifti(first: RunTruth) -> None:
    first.bold.write_bytes(
        gzip.compress(b"these are not the voxels you are looking for" * 40, mtime=0)
    )


FAULTS = [
    (no_events, 66, "events"),
    (no_onset, 65, "onset"),
    (no_duration, 65, "duration"),
    (no_trial_type, 65, "trial_type"),
    (short_confounds, 65, "77"),
    (no_motion, 65, "rot_y"),
    (no_repetition_time, 65, "RepetitionTime"),
    (other_grid, 65, "grid"),
    (truncated, 65, "truncated"),
    (no_nifti, 65, "NIfTI"),
]


@pytest.mark.parametrize(
    ("fault", "code", "words"), FAULTS, ids=[fault.__name__ for fault, *_ in FAULTS]
)
def test_each_fault_is_named_with_its_file_before_any_work(
    truth, tmp_path, capsys, fault, code, words
):
    fault(truth.runs[0])
    assert run(truth, tmp_path / "out") == code
    message = capsys.readouterr().err
    assert words in message
    assert "run-1" in message
    assert ";" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "code", "words"),
    [
        (["--contrast", "fce - house"], 65, "did you mean 'face'"),
        (
            ["--contrast", "face - house", "--contrast", "faceGtHouse = house"],
            65,
            "both be written",
        ),
        (["--contrast", "both = F(face; 2*face)"], 2, "linearly dependent"),
        (["--contrast", "both = F(face; )"], 2, "F(face; )"),
        (["--contrast", "face - (house"], 2, "face - (house"),
        (["--confounds", "no_such_*"], 65, "no_such_*"),
        (["--participant-label", "77"], 18, "77"),
        (["--task-id", "maintask"], 18, "maintask"),
        (["--space", "T1w"], 18, "T1w"),
        (["-d", "/nowhere/at/all"], 66, "/nowhere/at/all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_each_impossible_wish_is_refused_by_name(truth, tmp_path, capsys, option, code, words):
    assert run(truth, tmp_path / "out", *option) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_all_faults_of_all_runs_stand_in_one_list(truth, tmp_path, capsys):
    short_confounds(truth.runs[0])
    no_onset(truth.runs[0])
    truncated(truth.runs[1])
    assert run(truth, tmp_path / "out") == 65
    message = capsys.readouterr().err
    assert all(word in message for word in ("77", "onset", "truncated"))


def test_a_participants_faults_cost_only_that_participant(tmp_path, capsys):
    truth = make_dataset(tmp_path / "data", DatasetSpec(participants=("01", "02"), runs=("1",)))
    truncated(truth.select("sub-01")[0])
    out = tmp_path / "out"
    assert run(truth, out, "--contrast", "face") == 1
    assert "sub-01" in capsys.readouterr().err
    assert list(out.glob("sub-02/func/*_stat-z_statmap.nii.gz"))
    assert not list(out.glob("sub-01/func/*"))
    assert "truncated" in (out / "sub-01.html").read_text()


def test_stop_on_first_crash_makes_it_all_or_nothing(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(participants=("01", "02"), runs=("1",)))
    truncated(truth.select("sub-01")[0])
    assert run(truth, tmp_path / "out", "--stop-on-first-crash") == 65
    assert not (tmp_path / "out").exists()


def test_a_missing_input_comes_before_bad_data_in_the_exit_code(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(participants=("01", "02"), runs=("1",)))
    truncated(truth.select("sub-01")[0])
    no_events(truth.select("sub-02")[0])
    assert run(truth, tmp_path / "out", "--task-id", "main") == 66


def test_earlier_results_stay_as_they_were(truth, tmp_path):
    out = tmp_path / "out"
    assert run(truth, out, "--contrast", "face") == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    truncated(truth.runs[0])
    assert run(truth, out, "--contrast", "face") == 65
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_data_that_turn_out_bad_while_they_are_read_fail_their_run_alone(truth, tmp_path):
    """A flipped bit is not seen in the header; the checksum at the end of the stream tells."""
    content = bytearray(truth.runs[0].bold.read_bytes())
    content[len(content) // 2] ^= 0x10
    truth.runs[0].bold.write_bytes(bytes(content))
    out = tmp_path / "out"
    assert run(truth, out, "--contrast", "face") == 1
    report = (out / "sub-01.html").read_text()
    assert truth.runs[0].bold.name in report
    assert list(out.rglob("*run-2*_stat-z_statmap.nii.gz"))
    assert not list(out.rglob("*run-1*_stat-z_statmap.nii.gz"))


def test_a_series_without_signal_is_refused_by_name(truth, tmp_path):
    image = nb.load(truth.runs[0].bold)
    values = np.asarray(image.dataobj)
    values = values - values.mean(axis=3, keepdims=True)
    nb.save(nb.Nifti1Image(values, image.affine, image.header), truth.runs[0].bold)
    assert run(truth, tmp_path / "out", "--contrast", "face") == 1
    assert "mean of zero or less" in (tmp_path / "out" / "sub-01.html").read_text()


def test_an_output_folder_that_cannot_be_made_has_its_own_code(truth, tmp_path):
    (tmp_path / "file").touch()
    assert run(truth, tmp_path / "file" / "out") == 73


def test_a_hostile_condition_is_shown_as_text(tmp_path):
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1",)))
    hostile = "<script>alert('x')</script>"
    path = truth.runs[0].events
    path.write_text(path.read_text().replace("face", hostile))
    assert run(truth, tmp_path / "out") == 0
    report = (tmp_path / "out" / "sub-01.html").read_text()
    assert "<script>alert" not in report
    assert "&lt;script&gt;alert" in report


def test_nothing_is_written_to_the_inputs(truth, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in truth.bids_dir.rglob("*")}
    assert run(truth, tmp_path / "out", "--contrast", "face") == 0
    assert {path: path.stat().st_mtime_ns for path in truth.bids_dir.rglob("*")} == before


def test_the_derivatives_may_lie_elsewhere(truth, tmp_path):
    elsewhere = tmp_path / "fmriprep"
    shutil.move(truth.derivatives_dir, elsewhere)
    assert run(truth, tmp_path / "out", "--contrast", "face", "-d", str(elsewhere)) == 0


def test_a_condition_that_only_another_participant_has_is_a_warning(tmp_path):
    spec = DatasetSpec(participants=("01", "02"), runs=("1",), missing=(("sub-01", "object"),))
    truth = make_dataset(tmp_path / "data", spec)
    options = ["--participant-label", "01", "--contrast", "object", "--contrast", "face"]
    assert run(truth, tmp_path / "out", *options) == 0
    assert "no event in this run" in (tmp_path / "out" / "sub-01.html").read_text()
