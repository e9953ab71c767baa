"""Images that are read in parts of their grid, and their streams."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.dataset.nifti import read_header
from bids_fx.dataset.slabs import SlabReader
from bids_fx.dataset.streams import PIECE, InflatedFile, ReopenedFile, reading
from bids_fx.derivatives.write import sha256
from bids_fx.errors import BIDSFXError

SHAPE = (5, 4, 3)
N_VOXELS = 60


def write(path: Path, values: np.ndarray) -> Path:
    nb.Nifti1Image(values, np.eye(4)).to_filename(path)
    return path


def read_all(path: Path, size: int) -> tuple[np.ndarray, str]:
    """Return the values of shape (n_volumes, n_voxels) in the file's order, and the hash."""
    reader = SlabReader(read_header(path))
    parts = []
    for start in range(0, N_VOXELS, size):
        n_voxels = min(size, N_VOXELS - start)
        parts.append(reader.read(n_voxels).values(np.arange(n_voxels)))
    return np.concatenate(parts, axis=1), reader.finish()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("n_volumes", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 60])
def test_parts_are_those_of_the_image_and_the_hash_is_the_files(
    tmp_path: Path, rng: np.random.Generator, name: str, n_volumes: int, size: int
) -> None:
    values = rng.normal(size=(*SHAPE, n_volumes)).astype(np.float32)
    path = write(tmp_path / name, values)
    found, digest = read_all(path, size)
    np.testing.assert_array_equal(found, values.reshape(N_VOXELS, n_volumes, order="F").T)
    assert digest == sha256(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_the_hash_covers_what_follows_the_last_voxel(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    path = write(tmp_path / name, rng.normal(size=(50, 40, 30, 2)))
    with path.open("ab") as file:
        file.write(bytes(2 * PIECE))
    reader = SlabReader(read_header(path))
    reader.read(60_000)
    assert reader.finish() == sha256(path)


def test_values_are_in_the_units_of_the_image(tmp_path: Path) -> None:
    stored = np.arange(N_VOXELS, dtype=np.int16)
    path = write(tmp_path / "a.nii", stored.reshape(SHAPE, order="F"))
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<2f", 0.5, 3.0)  # scl_slope and scl_inter
    path.write_bytes(content)
    np.testing.assert_array_equal(read_all(path, 11)[0][0], stored * 0.5 + 3)


def test_a_voxel_is_finite_where_any_volume_is(tmp_path: Path) -> None:
    values = np.full((*SHAPE, 2), np.nan, dtype=np.float32)
    values[1, 0, 0, 0], values[2, 0, 0, 1], values[3, 0, 0, 1] = 1, 2, np.inf
    slab = SlabReader(read_header(write(tmp_path / "a.nii", values))).read(5)
    assert slab.finite().tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_truncated_file_is_named(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    path = write(tmp_path / name, rng.normal(size=(*SHAPE, 2)))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(BIDSFXError, match=rf"{name}: truncated"):
        read_all(path, 20)


def test_a_checksum_that_is_wrong_is_told(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write(tmp_path / "a.nii.gz", rng.normal(size=SHAPE))
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(BIDSFXError, match=r"a\.nii\.gz: cannot be read"):
        read_all(path, 60)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_that_another_takes_the_place_of_is_refused(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    shape = (50, 40, 30)  # of several pieces
    path = write(tmp_path / name, rng.normal(size=shape))
    assert path.stat().st_size > 2 * PIECE
    reader = SlabReader(read_header(path))
    reader.read(10)
    write(tmp_path / f"b_{name}", rng.normal(size=shape)).replace(path)
    with pytest.raises(BIDSFXError, match=rf"{name}: changed while it was read"):
        reader.read(59_000)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_readers_hold_no_file_open(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    path = write(tmp_path / name, rng.normal(size=(*SHAPE, 3)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    readers = [SlabReader(read_header(path)) for _ in range(20)]
    for reader in readers:
        reader.read(30)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def inflate(path: Path) -> bytes:
    with reading(path):
        return io.BufferedReader(InflatedFile(ReopenedFile(path))).read()


def test_members_that_follow_each_other_and_zeros_after_them_are_one_stream(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    content = rng.bytes(3 * PIECE)
    path = tmp_path / "a.gz"
    for padding in (0, 5, 2 * PIECE):
        zeros = bytes(padding)
        members = gzip.compress(content[:1000]), gzip.compress(content[1000:]), gzip.compress(b"")
        path.write_bytes(b"".join(member + zeros for member in members))
        assert inflate(path) == content == gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("cut", [3, 1000, 40_000, -8, -1])
def test_a_gzip_file_that_ends_early_is_truncated(
    tmp_path: Path, rng: np.random.Generator, cut: int
) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(rng.bytes(50_000))[:cut])
    with pytest.raises(BIDSFXError, match=r"a\.gz: truncated: the compressed data end early"):
        inflate(path)


def test_what_is_no_member_after_a_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"content") + b"no gzip, but long enough for its header")
    with pytest.raises(BIDSFXError, match=r"a\.gz: cannot be read"):
        inflate(path)
