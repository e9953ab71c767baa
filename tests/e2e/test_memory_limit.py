"""``--mem-mb`` is kept: measured from outside, on a series that does not fit as a whole."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bids_fx.derivatives.write import sha256
from bigdata import SPACE, BigDataset, make_big_dataset
from processes import Measurement, measure
from tests.long_series import LONG

pytestmark = pytest.mark.e2e

#: MB: less than the program and one series, more than the program and what is not on disk.
LITTLE_MB = 330


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> BigDataset:
    return make_big_dataset(tmp_path_factory.mktemp("data"), LONG)


def call(dataset: BigDataset, out: Path, *options: str) -> Measurement:
    command = [sys.executable, "-m", "bids_fx", dataset.root / "raw", out, "participant"]
    command += ["-d", dataset.root / "fmriprep", "--space", SPACE, "--skip-bids-validation"]
    command += ["--smoothing-fwhm", "5", "--contrast", "face - house", *options]
    return measure(command, folder=out.parent / f"{out.name}-call", may_fail=True)


def maps(out: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(out.rglob("*.nii.gz"))}


@pytest.fixture(scope="module")
def unlimited(dataset: BigDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unlimited") / "out"
    assert call(dataset, out).exit_code == 0
    return out


def test_the_dry_run_says_what_is_kept_on_disk(dataset: BigDataset, tmp_path: Path) -> None:
    limit = ("--mem-mb", str(LITTLE_MB))
    told = call(dataset, tmp_path / "out", *limit, "--dry-run").output
    assert told.count("its series kept on disk") == LONG.n_runs
    assert "kept on disk" not in call(dataset, tmp_path / "out", "--dry-run").output


def test_a_series_that_does_not_fit_gives_the_same_maps_within_the_limit(
    dataset: BigDataset, unlimited: Path, tmp_path: Path
) -> None:
    done = call(dataset, tmp_path / "out", "--mem-mb", str(LITTLE_MB))
    assert done.exit_code == 0, done.output
    assert done.peak_mb <= LITTLE_MB
    assert maps(tmp_path / "out") == maps(unlimited)


@pytest.mark.parametrize("limit_mb", [600, 900])
def test_several_processes_keep_the_limit_together(
    dataset: BigDataset, unlimited: Path, tmp_path: Path, limit_mb: int
) -> None:
    done = call(dataset, tmp_path / "out", "--nprocs", "2", "--mem-mb", str(limit_mb))
    assert done.exit_code == 0, done.output
    assert done.peak_mb <= limit_mb
    assert maps(tmp_path / "out") == maps(unlimited)


@pytest.mark.parametrize(
    "options",
    [(), ("--omp-nthreads", "2"), ("--omp-nthreads", "2", "--noise-model", "ols")],
    ids=["alone", "threads", "ols"],
)
def test_what_is_refused_is_named_and_suffices(
    dataset: BigDataset, tmp_path: Path, options: tuple[str, ...]
) -> None:
    refused = call(dataset, tmp_path / "out", *options, "--mem-mb", "256")
    assert refused.exit_code == 2
    assert not (tmp_path / "out").exists()
    needed = max(int(found) for found in re.findall(r"allow (\d+) MB", refused.output))
    assert 256 < needed < LITTLE_MB
    done = call(dataset, tmp_path / "out", *options, "--mem-mb", str(needed))
    assert done.exit_code == 0, done.output
    assert done.peak_mb <= needed
