"""A container's memory limit is seen, and what is killed by it is a failed run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bigdata import SPACE, BigDataset, make_big_dataset
from tests.containers import Image
from tests.long_series import LONG

pytestmark = pytest.mark.image

#: Enough for the program, not for two series on top of it.
LIMIT = ("--memory", "350m", "--memory-swap", "350m")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> BigDataset:
    return make_big_dataset(tmp_path_factory.mktemp("data"), LONG)


def call(
    image: Image, dataset: BigDataset, out: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    arguments = ("/data/raw", "/out", "participant", "-d", "/data/fmriprep", "--space", SPACE)
    more = ("--contrast", "face - house", "--skip-bids-validation", *options)
    return image.run(*arguments, *more, data=dataset.root, out=out, flags=LIMIT)


def test_the_plan_keeps_the_limit_of_the_container(
    image: Image, dataset: BigDataset, tmp_path: Path
) -> None:
    told = call(image, dataset, tmp_path / "out", "--dry-run")
    assert told.stdout.count("its series kept on disk") == LONG.n_runs
    more = call(image, dataset, tmp_path / "out", "--dry-run", "--mem-mb", "8000")
    assert "kept on disk" not in more.stdout


def test_what_the_limit_kills_is_a_failed_run(
    image: Image, dataset: BigDataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = call(image, dataset, out, "--nprocs", "2", "--mem-mb", "8000")
    assert done.returncode == 1, done.stderr
    assert "its process was killed by SIGKILL, as happens when memory runs out" in done.stderr
    state = json.loads((out / ".bids_fx_work" / "states" / "sub-01.json").read_text())
    assert state["state"] == "failed"
