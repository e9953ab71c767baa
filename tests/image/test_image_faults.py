"""What goes wrong in a container is told as README's table of exit codes says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.containers import Image
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.image

CALL = ("/data", "/out", "participant", "--skip-bids-validation")


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    return make_dataset(tmp_path / "data", DatasetSpec())


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((*CALL, "--smoothing", "wide"), 2, "--smoothing"),
        (("/data/derivatives", "/out", "participant"), 16, "dataset_description.json"),
        ((*CALL[:2], "everybody", *CALL[3:]), 17, "everybody"),
        ((*CALL, "--participant-label", "nobody"), 18, "nobody"),
        (("/nowhere", "/out", "participant"), 66, "/nowhere"),
        ((CALL[0], "/opt/out", *CALL[2:]), 73, "/opt/out"),
    ],
)
def test_a_call_that_cannot_be_done_ends_with_the_documented_code(
    image: Image, truth: Truth, tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = image.run(*arguments, data=truth.bids_dir, out=tmp_path / "out")
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_bad_data_are_told_file_by_file_before_any_work(
    image: Image, truth: Truth, tmp_path: Path
) -> None:
    tables = [run.events for run in truth.runs if run.events is not None]
    for table in tables:
        table.write_text("duration\ttrial_type\n1\tface\n")
    done = image.run(*CALL, data=truth.bids_dir, out=tmp_path / "out")
    assert done.returncode == 65, done.stderr
    assert all(table.name in done.stderr for table in tables)
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_folder_that_is_not_the_callers_is_told(
    image: Image, truth: Truth, tmp_path: Path
) -> None:
    data = truth.bids_dir
    done = image.run(*CALL, data=data, flags=("-v", f"{tmp_path}:/out:ro"))
    assert done.returncode == 73, done.stderr
    assert "/out" in done.stderr


def test_a_limit_of_quality_that_is_broken_fails_the_call(
    image: Image, truth: Truth, tmp_path: Path
) -> None:
    done = image.run(*CALL, data=truth.bids_dir, out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    limit = ("/data", "/out", "group", "--qc-fail", "n_scans>1")
    failed = image.run(*limit, data=truth.bids_dir, out=tmp_path / "out")
    assert failed.returncode == 1, failed.stderr
