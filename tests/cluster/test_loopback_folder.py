"""The folder of a Slurm of our own: what is in it is removed, so that no other one is taken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("loopback.sh")
REFUSAL = "is not empty, and is no folder of a Slurm of ours: name another one"
NEXT = "a Slurm of its own needs root"


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Path], str]:
    """Return what starts a Slurm as somebody who may not, and returns what is said."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "id").write_text("#!/bin/sh\necho 1000\n")
    (programs / "id").chmod(0o755)

    def call(folder: Path) -> str:
        done = subprocess.run(
            ["bash", SCRIPT, "run", folder, "true"],
            env={"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (1, 2)
        return done.stderr

    return call


@pytest.mark.parametrize(
    "files", [["thesis.txt"], ["slurm.conf"], ["limits"], [".hidden"], ["slurm.conf", "mine/x"]]
)
def test_folder_of_something_else_is_refused(
    tmp_path: Path, start: Callable[[Path], str], files: list[str]
) -> None:
    for name in files:
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert REFUSAL in start(tmp_path / "home")


def test_file_is_refused(tmp_path: Path, start: Callable[[Path], str]) -> None:
    (tmp_path / "file").touch()
    assert REFUSAL in start(tmp_path / "file")


@pytest.mark.parametrize("files", [None, [], ["slurm.conf", "limits", "log"]])
def test_folder_that_is_absent_or_empty_or_ours_is_taken(
    tmp_path: Path, start: Callable[[Path], str], files: list[str] | None
) -> None:
    if files is not None:
        (tmp_path / "slurm").mkdir()
    for name in files or ():
        (tmp_path / "slurm" / name).touch()
    told = start(tmp_path / "slurm")
    assert NEXT in told
    assert REFUSAL not in told
