"""A Slurm that only answers, and the folder of a job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fake_slurm import FakeSlurm, JobFolder


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Return programs of Slurm that stand first on PATH."""
    fake = FakeSlurm(tmp_path / "slurm")
    fake.install()
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    """Return the folder of a job of three participants."""
    folder = JobFolder(tmp_path / "out" / "jobs" / "job-1")
    folder.write()
    return folder
