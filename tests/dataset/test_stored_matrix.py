"""A matrix on disk gives what one in memory gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bids_fx.dataset.stored import StoredMatrix
from bids_fx.errors import BIDSFXError, ExitCode

SHAPE = (7, 50)


@pytest.fixture
def matrix(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=SHAPE).astype(np.float32)


@pytest.fixture
def stored(tmp_path: Path, matrix: np.ndarray) -> StoredMatrix:
    stored = StoredMatrix(tmp_path, SHAPE)
    for row in (3, 0, 1, 2, 6, 5, 4):
        stored[row] = matrix[row]
    return stored


def test_rows_are_read_as_they_were_written(stored: StoredMatrix, matrix: np.ndarray) -> None:
    for row in range(SHAPE[0]):
        np.testing.assert_array_equal(stored[row], matrix[row])


@pytest.mark.parametrize("columns", [slice(0, 50), slice(13, 14), slice(40, 99), slice(50, 60)])
def test_columns_are_read_as_from_an_array(
    columns: slice, stored: StoredMatrix, matrix: np.ndarray
) -> None:
    np.testing.assert_array_equal(stored[:, columns], matrix[:, columns])


def test_columns_are_picked_as_from_an_array(stored: StoredMatrix, matrix: np.ndarray) -> None:
    picked = np.array([2, 3, 17, 49])
    np.testing.assert_array_equal(stored[:, picked], matrix[:, picked])


def test_a_row_of_float64_is_rounded_as_in_an_array(stored: StoredMatrix) -> None:
    stored[2] = np.full(SHAPE[1], 0.1)
    np.testing.assert_array_equal(stored[2], np.full(SHAPE[1], np.float32(0.1)))


def test_a_part_of_the_rows_is_refused(stored: StoredMatrix) -> None:
    with pytest.raises(IndexError, match="of all rows"):
        stored[1:, slice(0, 2)]


def test_a_row_behind_all_that_was_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EOFError, match="ends before row 1"):
        StoredMatrix(tmp_path, SHAPE)[1]


def test_a_slice_with_gaps_is_refused(stored: StoredMatrix) -> None:
    with pytest.raises(IndexError, match="next to each other"):
        stored[:, 0:10:2]


def test_no_file_has_a_name(stored: StoredMatrix, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BIDSFXError, match="cannot be written") as caught:
        StoredMatrix(tmp_path / "none", SHAPE)
    assert caught.value.exit_code == ExitCode.CANNOT_CREATE


def test_a_full_disk_is_told(
    stored: StoredMatrix, matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(BIDSFXError, match="No space left") as caught:
        stored[0] = matrix[0]
    assert caught.value.exit_code == ExitCode.WRITE_FAILED
