"""A worker that is killed while it fits, as the out-of-memory killer does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_fx.derivatives.dataset import read_state
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.e2e

#: Seconds after which the program counts as hanging.
PATIENCE = 120


def holders(path: Path) -> list[int]:
    """Return the processes that have a file open."""
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.path.realpath(link) == str(path) for link in folder.iterdir()):
                found.append(int(folder.parent.name))
        except OSError:  # the process has ended, or is not ours
            continue
    return found


def start(truth, out: Path, *options: str) -> subprocess.Popen:
    command = [
        *(sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(out), "participant"),
        *("--nprocs", "2", "--smoothing-fwhm", "8", "--contrast", "face"),
        *("--skip-bids-validation", *options),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_reader(path: Path, process: subprocess.Popen) -> int:
    """Return the process that streams a BOLD file; the main process only reads its header."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        readers = [pid for pid in holders(path) if pid != process.pid]
        if readers:
            return readers[0]
    pytest.fail(f"no worker opened {path}: {process.communicate()}")


@pytest.fixture
def truth(tmp_path):
    """Return a dataset whose second run takes long enough to be caught in the act."""
    spec = DatasetSpec(
        runs=("1", "2"), shape=(48, 48, 24), run_volumes=(("run-1", 40), ("run-2", 120))
    )
    return make_dataset(tmp_path / "data", spec)


def test_a_killed_worker_is_a_failed_run_with_a_report_and_exit_code_1(truth, tmp_path):
    out = tmp_path / "out"
    process = start(truth, out)
    os.kill(wait_for_reader(truth.runs[1].bold.resolve(), process), signal.SIGKILL)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, log
    assert "killed by SIGKILL" in log
    report = (out / "sub-01.html").read_text()
    assert "SIGKILL" in report
    assert "fitting task-main_run-2" in report
    maps = [path.name for path in out.rglob("*_stat-effect_statmap.nii.gz")]
    assert [name for name in maps if "run-1" in name] == maps
    assert maps
    assert read_state(out, "01")["state"] == "failed"
    (summary,) = out.glob("logs/*/summary.json")
    told = json.loads(summary.read_text())["participants"]["sub-01"]
    assert (told["state"], told["peak_mb"]) == (
        "failed",
        None,
    )  # of a killed process it is unknown
    assert not list(out.rglob("*.tmp"))


def test_the_same_call_afterwards_fits_only_what_is_missing(truth, tmp_path):
    out = tmp_path / "out"
    process = start(truth, out)
    os.kill(wait_for_reader(truth.runs[1].bold.resolve(), process), signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*run-1*_statmap.nii.gz")}
    again = start(truth, out)
    _, log = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, log
    assert stamps
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert list(out.glob("sub-01/func/sub-01_task-main_space-*_stat-z_statmap.nii.gz"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_the_program_and_its_workers_with_its_code(truth, tmp_path, number, code):
    process = start(truth, tmp_path / "out")
    worker = wait_for_reader(truth.runs[1].bold.resolve(), process)
    process.send_signal(number)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, log
    assert ("goes on with what is not done yet" in log) == (code > 0)
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
    # It has not gone on to the end of its task.
    assert not list((tmp_path / "out").rglob("*run-2*_statmap.nii.gz"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_program_while_it_fits_in_its_own_process(truth, tmp_path, number, code):
    out = tmp_path / "out"
    process = start(truth, out, "--nprocs", "1")
    bold = truth.runs[1].bold.resolve()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if list(out.glob("**/_run_*run-2*/fit_run")) and process.pid in holders(bold):
            break
    process.send_signal(number)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, log
    assert "fitting task-main_run-2" in log
    assert not list(out.rglob("*run-2*_statmap.nii.gz"))
    assert not list(out.rglob("*.tmp"))
