"""Standard streams that are closed, full, or that nobody reads to the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_outputs import finish
from tests.synthetic import DatasetSpec, make_dataset

PROGRAM = (sys.executable, "-m", "bids_fx")


@pytest.fixture
def call(tmp_path: Path) -> list[str]:
    """Return a short call that does all its work: the level group on one participant."""
    finish(tmp_path / "out", "01")
    return [*PROGRAM, str(tmp_path / "raw"), str(tmp_path / "out"), "group"]


def is_done(out_dir: Path) -> bool:
    return all((out_dir / name).is_file() for name in ("index.html", "qc.tsv", "summary.json"))


def unread() -> int:
    """Return the end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("words", [[], ["--log-json"]])
def test_work_is_done_though_nobody_reads_it(call, stream, words, tmp_path):
    pipe = unread()
    others = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {stream: pipe}
    done = subprocess.run([*call, *words], check=False, text=True, **others)
    os.close(pipe)
    assert done.returncode == 0, done.stderr
    assert is_done(tmp_path / "out")
    assert "Traceback" not in (done.stderr or "") + (done.stdout or "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_work_is_done_though_streams_are_closed(call, closed, tmp_path):
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *call]
    done = subprocess.run(shell, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert is_done(tmp_path / "out")
    assert "Traceback" not in done.stderr
    expected = "" if ">&- " in f"{closed} " and not closed.startswith("2") else "index.html\n"
    assert done.stdout.endswith(expected)
    assert bool(done.stdout) == bool(expected)


@pytest.mark.e2e
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_processes_that_are_started_work_though_streams_are_closed(closed, tmp_path):
    spec = DatasetSpec(shape=(4, 4, 4), n_volumes=40, runs=("1",))
    bids = make_dataset(tmp_path / "bids", spec).bids_dir
    words = ["participant", "--nprocs", "2", "--contrast", "face", "--skip-bids-validation"]
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *PROGRAM, str(bids), str(tmp_path / "out")]
    done = subprocess.run([*shell, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert (tmp_path / "out" / "sub-01.html").is_file()


def test_problems_never_come_on_standard_output(tmp_path):
    shell = ["sh", "-c", '"$@" 2>&-', "sh", *PROGRAM, str(tmp_path / "raw")]
    done = subprocess.run(shell, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("word", ["--help", "--version", "--bids-exec-spec"])
def test_who_reads_only_the_first_lines_of_a_text_breaks_nothing(word):
    pipe = unread()
    done = subprocess.run(
        [*PROGRAM, word], check=False, stdout=pipe, stderr=subprocess.PIPE, text=True
    )
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_text_that_cannot_be_written_is_code_74(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "--help"], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 74
    assert "standard output: cannot be written (No space left on device)" in done.stderr


def test_a_path_that_cannot_be_written_is_told_and_ends_no_work(call, tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(call, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, is_done(tmp_path / "out")) == (0, True)
    assert (
        f"Standard output cannot be written (No space left on device): {tmp_path}" in done.stderr
    )
