"""A job's scripts, called by hand as a scheduler calls them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bids_fx.cli.cluster import main as cluster
from bids_fx.cli.run import main
from bids_fx.settings import WORK_AREA
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.e2e

#: What tells of calls and not of results: summaries have seconds and memory.
OF_CALLS = {"logs", "jobs", "summary.json", WORK_AREA}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = DatasetSpec(participants=("01", "02"), runs=("1", "2"), n_volumes=60)
    return make_dataset(tmp_path_factory.mktemp("of a job") / "it's data", spec).bids_dir


@pytest.fixture(scope="module")
def out(data: Path) -> Path:
    """Return the output of a job whose tasks have run."""
    out = data.parent / "by tasks"
    assert cluster(["slurm", str(data), str(out), "--cpus", "1", "--skip-bids-validation"]) == 0
    for number in ("2", "1"):
        run(out / "jobs" / "job-1" / "task.sh", number)
    run(out / "jobs" / "job-1" / "group.sh")
    return out


def run(script: Path, *arguments: str) -> None:
    command = ["sh", str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


def results(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.relative_to(out).parts[0] not in OF_CALLS
    }


def test_tasks_give_the_results_of_one_call_for_all(data: Path, out: Path) -> None:
    plain = data.parent / "plain"
    assert main([str(data), str(plain), "participant", "--skip-bids-validation"]) == 0
    assert main([str(data), str(plain), "group"]) == 0
    ours, theirs = results(out), results(plain)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_ends_of_all_tasks_are_kept(out: Path) -> None:
    ended = {
        path.stem: json.loads(path.read_text())["code"]
        for path in (out / "jobs" / "job-1" / "ended").iterdir()
    }
    assert ended == {"1": 0, "2": 0, "group": 0}


def test_status_tells_that_all_are_done(out: Path) -> None:
    assert cluster(["status", str(out)]) == 0
