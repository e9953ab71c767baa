"""The file runs alone, with nothing but an old Python and its standard library."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bids_fx.cluster import jobs
from tests.fake_slurm import JobFolder

FILE = Path(jobs.__file__)
#: Of Python 3.6, as far as they are imported; those of later versions are not among them.
STANDARD_LIBRARY = {
    *("argparse", "calendar", "collections", "contextlib", "fcntl", "itertools", "json", "os"),
    *("pathlib", "pwd", "re", "shlex", "shutil", "signal", "subprocess", "sys", "time", "typing"),
}


def run_alone(
    job: JobFolder, *arguments: str, option: str = "-I", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the copy in a job's folder: no site packages, no environment, no package beside it."""
    copy = job.path / "cluster_jobs.py"
    shutil.copy(FILE, copy)
    return subprocess.run(
        [sys.executable, option, "-S", copy, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )


def test_file_is_written_in_python_3_6() -> None:
    ast.parse(FILE.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_file_uses_nothing_that_came_after_python_3_6() -> None:
    vermin = Path(sys.executable).with_name("vermin")
    done = subprocess.run(
        [vermin, "--target=3.6-", "--no-tips", "--violations", FILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_file_imports_nothing_but_the_standard_library() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or ".").partition(".")[0])
    assert imported == STANDARD_LIBRARY


def test_copy_in_a_jobs_folder_tells_of_that_job(job: JobFolder) -> None:
    job.end(1, 0)
    done = run_alone(job, "status", "--all")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f"{job.path} (bids_fx-faces): 1 done, 2 unsent",
        "  sub-01  done",
        "  sub-02  unsent    was not submitted; resubmit sends it again",
        "  sub-03  unsent    was not submitted; resubmit sends it again",
    ]


def test_copy_without_a_command_says_how_it_is_used(job: JobFolder) -> None:
    done = run_alone(job)
    assert done.returncode == 2
    assert "usage: cluster_jobs.py" in done.stderr


def test_letters_that_the_terminal_lacks_do_not_end_it(job: JobFolder) -> None:
    values = json.loads((job.path / "job.json").read_text())
    (job.path / "job.json").write_text(json.dumps(values | {"refused": {"99": ["Übung fehlt"]}}))
    done = run_alone(job, "status", option="-s", PYTHONIOENCODING="ascii")
    assert "\\xdcbung fehlt" in done.stdout


@pytest.mark.parametrize("arguments", ["status --all", "status --all --json"])
def test_reader_that_wants_no_more_changes_nothing(job: JobFolder, arguments: str) -> None:
    shutil.copy(FILE, job.path / "cluster_jobs.py")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-I", "-S", job.path / "cluster_jobs.py", *arguments.split()],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_stream_that_takes_nothing_changes_nothing(job: JobFolder, redirection: str) -> None:
    shutil.copy(FILE, job.path / "cluster_jobs.py")
    command = f"{sys.executable} -I -S '{job.path}/cluster_jobs.py'"
    (job.path / "job.json").replace(job.path / "kept")
    for expected, name in ((66, "nothing"), (1, "job.json")):
        if name == "job.json":
            (job.path / "kept").replace(job.path / name)
        call = ["sh", "-c", f"{command} status --all {redirection}"]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == expected
        assert "Traceback" not in done.stdout + done.stderr


def test_full_disk_behind_standard_output_is_told(job: JobFolder) -> None:
    with Path("/dev/full").open("w") as stream:
        shutil.copy(FILE, job.path / "cluster_jobs.py")
        done = subprocess.run(
            [sys.executable, "-I", "-S", job.path / "cluster_jobs.py", "status"],
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Standard output cannot be written: " in done.stderr
    assert len(done.stderr.splitlines()) == 1
