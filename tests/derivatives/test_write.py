"""Files are whole or absent, and the same for the same content."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.derivatives import write
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.inputs import Grid

AFFINE = ((2.0, 0.1, 0, -4), (-0.1, 2.0, 0, 3), (0, 0, 3.0, 5), (0, 0, 0, 1.0))
GRID = Grid(shape=(3, 4, 2), affine=AFFINE)


def write_example(path: Path, dtype=np.float32, **options):
    mask = np.zeros(GRID.shape, bool)
    mask[1:, 1:3] = True
    values = np.arange(mask.sum()).astype(dtype)
    write.write_image(path, values, mask, GRID, standard_space=True, **options)
    return mask, values


def test_an_image_holds_the_values_in_the_mask_and_nan_outside(tmp_path):
    path = tmp_path / "a.nii.gz"
    mask, values = write_example(path)
    image = nb.load(path)
    data = np.asanyarray(image.dataobj)
    assert data.dtype == np.float32
    np.testing.assert_array_equal(data[mask], values)
    assert np.isnan(data[~mask]).all()
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)  # float32 header
    assert image.header["sform_code"] == 4
    assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("n_volumes", [(), (1,), (3,)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1"])
def test_an_image_is_the_file_that_nibabel_makes_of_it(tmp_path, rng, n_volumes, dtype):
    mask = rng.random(GRID.shape) < 0.5
    values = rng.uniform(0, 100, (*n_volumes, mask.sum())).astype(dtype)
    path = tmp_path / "a.nii.gz"
    intent = ("f test", (2.0, 40.0))
    write.write_image(path, values, mask, GRID, standard_space=False, intent=intent, outside=7)
    volumes = np.full((*GRID.shape, *n_volumes), 7, dtype)
    volumes[mask] = values.T
    image = nb.Nifti1Image(volumes, None)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_intent(*intent)
    image.set_sform(np.array(AFFINE), 1)
    image.set_qform(np.array(AFFINE), 1, strip_shears=True)
    assert gzip.decompress(path.read_bytes()) == image.to_bytes()


def test_p_values_keep_double_precision(tmp_path):
    write_example(tmp_path / "p.nii.gz", np.float64)
    assert nb.load(tmp_path / "p.nii.gz").get_data_dtype() == np.float64


def test_a_t_map_states_its_degrees_of_freedom(tmp_path):
    write_example(tmp_path / "t.nii.gz", intent=("t test", (40.0,)))
    assert nb.load(tmp_path / "t.nii.gz").header.get_intent()[:2] == ("t test", (40.0,))


def test_equal_images_are_equal_files_without_a_date(tmp_path):
    for name in "ab":
        write_example(tmp_path / f"{name}.nii.gz")
    first, second = (tmp_path / "a.nii.gz").read_bytes(), (tmp_path / "b.nii.gz").read_bytes()
    assert first == second
    assert first[4:8] == b"\0\0\0\0"
    assert len(gzip.decompress(first)) == 352 + 24 * 4


def test_no_file_appears_where_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BIDSFXError, match=r"a\.txt: cannot be written \(No space left") as caught:
        write.write_text(path, "new")
    assert caught.value.exit_code == ExitCode.WRITE_FAILED
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_folder_that_cannot_be_made_is_told_by_its_code(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BIDSFXError) as caught:
        write.write_text(tmp_path / "file" / "a.txt", "new")
    assert caught.value.exit_code == ExitCode.CANNOT_CREATE


def test_a_table_keeps_all_digits_and_marks_what_is_missing(tmp_path):
    path = tmp_path / "a.tsv"
    write.write_table(path, ("x", "y"), [(0.1 + 0.2, None), (float("nan"), "a\tb\nc")])
    assert path.read_text() == "x\ty\n0.30000000000000004\tn/a\nn/a\ta b c\n"


def test_a_file_does_not_depend_on_a_whim_of_the_compressor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isal import igzip

    write_example(tmp_path / "a.nii.gz")
    levels = iter([0, 2, 2])

    def compress(content: object, compresslevel: int, mtime: int) -> bytes:
        return original(content, compresslevel=next(levels), mtime=mtime)

    original = igzip.compress
    monkeypatch.setattr(igzip, "compress", compress)
    write_example(tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert next(levels, None) is None


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_a_file_belongs_to_whom_the_umask_says(tmp_path, umask):
    before = os.umask(umask)
    try:
        write.write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path):
    name = "ä" * 125 + ".json"
    write.write_text(tmp_path / name, "a")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def killed_while_writing(path: Path) -> None:
    """Leave what a process leaves that is killed while it writes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Path, "replace", lambda *_: None)
        write.write_text(path, "half of it")


def test_of_two_processes_with_one_number_each_writes_its_own_temporary_file(tmp_path):
    for _ in range(2):
        killed_while_writing(tmp_path / "a.txt")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_temporary_file_is_no_link_that_somebody_put_there(tmp_path, monkeypatch):
    monkeypatch.setattr(write.secrets, "token_hex", lambda _: "0123456789abcdef")
    (tmp_path / ".a.txt.0123456789abcdef.tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BIDSFXError, match="File exists"):
        write.write_text(tmp_path / "a.txt", "a")
    assert not (tmp_path / "elsewhere").exists()


def test_what_was_left_unfinished_of_a_participant_is_removed_and_nothing_else(tmp_path):
    label = "01"
    for name in (
        "sub-01/func/a.nii.gz",
        "sub-01/ses-1/figures/a.svg",
        "sub-01.html",
        ".bids_fx_work/hashes/sub-01.json",
    ):
        killed_while_writing(tmp_path / name)
    others = ["sub-011.html", "sub-02.html", "sub-02/a.json", ".bids_fx_work/hashes/sub-02.json"]
    for name in others:
        killed_while_writing(tmp_path / name)
    (tmp_path / "sub-01" / ".a.json.tmp").write_text("somebody's")
    write.remove_unfinished(tmp_path, label)
    left = sorted(path.name[1:-21] for path in tmp_path.rglob(".*.tmp"))
    assert left == sorted(["", *(Path(name).name for name in others)])


def test_unfinished_files_are_removed_by_their_names(tmp_path):
    for name in ("index.html", "a.html", f"{200 * 'b'}.html"):
        killed_while_writing(tmp_path / name)
    write.remove_temporaries(tmp_path, "index.html", f"{200 * 'b'}.html")
    assert [path.name[:8] for path in tmp_path.iterdir()] == [".a.html."]
    write.remove_temporaries(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write.remove_temporaries(tmp_path / "absent")
