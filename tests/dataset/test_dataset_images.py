"""Images: what is streamed equals what nibabel loads, and no broken file passes."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.dataset import images
from bids_fx.dataset.images import (
    MaskedSeries,
    check_complete,
    check_same_grid,
    read_header,
    read_map,
    read_series,
    read_volume,
)
from bids_fx.dataset.masks import compute_mask, mask_of
from bids_fx.dataset.stored import StoredMatrix
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.glm.design import Column, Design
from bids_fx.glm.scaling import scale_factor
from bids_fx.glm.smoothing import Smoother, sigma_voxels
from bids_fx.inputs import Grid
from tests.dataset.trees import write_image, write_text
from tests.whole_smoothing import smooth_whole

SHAPE = (7, 6, 5)
N_SCANS = 9
#: A float32 has 24 bits; two roundings (storing, taking out the rest of the mean) cost one ulp.
FLOAT32 = 2.0**-23

Writer = Callable[[Path, np.ndarray], Path]


def as_int16_with_slope(path: Path, values: np.ndarray) -> Path:
    image = nb.Nifti1Image(values, np.eye(4))
    image.set_data_dtype(np.int16)
    image.to_filename(path)
    assert nb.load(path).dataobj.slope != 1
    return path


def as_float32(path: Path, values: np.ndarray) -> Path:
    nb.Nifti1Image(values.astype(np.float32), np.eye(4)).to_filename(path)
    return path


def as_big_endian(path: Path, values: np.ndarray) -> Path:
    header = nb.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float64)
    nb.Nifti1Image(values, np.eye(4), header).to_filename(path)
    assert nb.load(path).header.endianness == ">"
    return path


def as_nifti2(path: Path, values: np.ndarray) -> Path:
    nb.Nifti2Image(values.astype(np.uint16), np.eye(4)).to_filename(path)
    return path


WRITERS = [as_int16_with_slope, as_float32, as_big_endian, as_nifti2]


@pytest.fixture
def values(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(1000, 50, (*SHAPE, N_SCANS))


@pytest.fixture
def inside(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:6, 1:4, 2:5] = rng.random((4, 3, 3)) > 0.3
    return mask


@pytest.fixture
def mask_file(tmp_path: Path, inside: np.ndarray) -> Path:
    return write_image(tmp_path / "mask.nii.gz", inside.astype(np.uint8), zoom=1.0)


def read(bold: Path, mask: Path | None, *, fwhm_mm: float = 0, **left_out: int) -> MaskedSeries:
    """Read a series but for some scans."""
    kept = np.ones(N_SCANS, dtype=bool)
    kept[list(left_out.values())] = False
    return read_series(bold, mask, fwhm_mm=fwhm_mm, kept=kept)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("write", WRITERS)
def test_series_equals_what_nibabel_loads_less_the_mean(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path, write: Writer,
    ending: str,
) -> None:  # fmt: skip
    bold = write(tmp_path / f"bold{ending}", values)
    series = read(bold, mask_file)
    expected = nb.load(bold).get_fdata()[inside].T
    mean = expected.mean(axis=0)
    # values differ from the mean by less than 400
    np.testing.assert_allclose(series.values, expected - mean, rtol=0, atol=400 * FLOAT32)
    np.testing.assert_allclose(series.mean, mean, rtol=1e-14)  # float64 sums in another order
    assert series.values.dtype == np.float32
    np.testing.assert_array_equal(series.mask, inside)


def test_mean_is_taken_over_kept_scans_alone(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path
) -> None:
    values[..., 0] *= 3  # a first scan that is brighter, as before the steady state
    bold = as_big_endian(tmp_path / "bold.nii.gz", values)
    series = read(bold, mask_file, first=0, other=4)
    mean = np.delete(values, [0, 4], axis=3).mean(axis=3)
    np.testing.assert_allclose(series.mean, mean[inside], rtol=1e-14)
    np.testing.assert_allclose(series.mean_image, mean, rtol=FLOAT32)
    expected = (values - mean[..., None])[inside].T[[1, 2, 3, 5, 6, 7, 8]]
    np.testing.assert_allclose(series.values, expected, rtol=0, atol=400 * FLOAT32)


def test_large_mean_costs_no_precision(
    tmp_path: Path, rng: np.random.Generator, inside: np.ndarray, mask_file: Path
) -> None:
    values = rng.normal(10_000, 1, (*SHAPE, N_SCANS))
    bold = as_big_endian(tmp_path / "bold.nii.gz", values)
    expected = (values - values.mean(axis=3, keepdims=True))[inside].T
    # float32 of the values themselves would be off by 5e-4
    np.testing.assert_allclose(read(bold, mask_file).values, expected, rtol=0, atol=8 * FLOAT32)


@pytest.mark.parametrize("fwhm_mm", [0.0, 3.0])
@pytest.mark.parametrize("factor", [10.0, 0.0, np.nan, np.inf])
def test_nothing_in_a_scan_that_is_left_out_changes_what_is_read(
    tmp_path: Path, values: np.ndarray, mask_file: Path, fwhm_mm: float, factor: float
) -> None:
    clean = read(as_float32(tmp_path / "a.nii", values), mask_file, fwhm_mm=fwhm_mm, a=0, b=5)
    values[..., [0, 5]] *= factor
    series = read(as_float32(tmp_path / "b.nii", values), mask_file, fwhm_mm=fwhm_mm, a=0, b=5)
    np.testing.assert_array_equal(series.values, clean.values)
    np.testing.assert_array_equal(series.mean, clean.mean)
    np.testing.assert_array_equal(series.mean_image, clean.mean_image)
    assert series.bold_sha256 != clean.bold_sha256


def test_percent_signal_is_of_the_kept_scans_alone(tmp_path: Path, mask_file: Path) -> None:
    # on and off by turns, 20 above and below 1000: an effect of 2 percent; a bright first scan
    task = np.array([0.0, *[1.0, -1.0] * 4])
    values = np.full((*SHAPE, N_SCANS), 1000.0) + 20 * task
    values[..., 0] *= 10
    columns = (
        Column(name="on", role="condition", condition="on", basis=0),
        Column(name="censored_scan_0000", role="censored"),
        Column(name="constant", role="constant"),
    )
    matrix = np.column_stack([task, np.arange(N_SCANS) == 0, np.ones(N_SCANS)])
    design = Design(matrix=matrix, columns=columns)
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    series = read_series(bold, mask_file, fwhm_mm=0, kept=design.kept)
    scaled = series.values * scale_factor(series.mean, "psc")
    effects = np.linalg.lstsq(design.fitted.matrix, scaled, rcond=None)[0]
    np.testing.assert_allclose(effects[0], 2.0, rtol=FLOAT32)
    np.testing.assert_allclose(effects[1], 0.0, atol=FLOAT32)


def test_only_kept_scans_take_memory(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path
) -> None:
    series = read(as_float32(tmp_path / "bold.nii", values), mask_file, a=0, b=1, c=2, d=8)
    assert series.values.shape == (N_SCANS - 4, inside.sum())
    assert series.values.base is None  # no view of a matrix of all scans


def test_scans_that_are_left_out_are_not_smoothed(
    tmp_path: Path, values: np.ndarray, mask_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoothed = []
    smooth = Smoother.smooth

    def counted(smoother: Smoother, volume: np.ndarray) -> None:
        smoothed.append(volume)
        smooth(smoother, volume)

    monkeypatch.setattr(Smoother, "smooth", counted)
    read(as_float32(tmp_path / "bold.nii", values), mask_file, fwhm_mm=4.0, a=0, b=4, c=8)
    assert len(smoothed) == N_SCANS - 3


@pytest.mark.parametrize("scan", [0, 8])
def test_truncated_last_scan_is_an_error_though_it_is_left_out(
    tmp_path: Path, values: np.ndarray, mask_file: Path, scan: int
) -> None:
    bold = as_float32(tmp_path / "bold.nii", values)
    bold.write_bytes(bold.read_bytes()[:-4])
    with pytest.raises(BIDSFXError, match="truncated"):
        read(bold, mask_file, left_out=scan)


@pytest.mark.parametrize("fwhm_mm", [2.0, 5.0])
def test_smoothing_in_the_masks_box_equals_smoothing_the_whole_image(
    tmp_path: Path, rng: np.random.Generator, fwhm_mm: float
) -> None:
    shape = (20, 17, 15)
    values = rng.normal(1000, 50, (*shape, N_SCANS)).astype(np.float32)
    inside = np.zeros(shape, dtype=bool)
    inside[0:3, 8:11, 12:15] = True  # at two borders of the image
    inside[6, 7, 9] = True
    bold = write_image(tmp_path / "bold.nii.gz", values, zoom=1.0)
    mask = write_image(tmp_path / "mask.nii.gz", inside.astype(np.uint8), zoom=1.0)
    series = read(bold, mask, fwhm_mm=fwhm_mm)
    sigma = sigma_voxels(fwhm_mm, (1, 1, 1))
    whole = np.stack([smooth_whole(values[..., t], sigma)[inside] for t in range(N_SCANS)])
    shifted = whole - whole[0]
    offset = shifted.sum(axis=0, dtype=np.float64) / N_SCANS
    np.testing.assert_array_equal(series.values, (shifted - offset).astype(np.float32))
    np.testing.assert_array_equal(series.mean, whole[0] + offset)


@pytest.mark.parametrize("fwhm_mm", [0.0, 3.0])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("on_disk", [False, True])
def test_threads_and_disk_change_no_bit(
    tmp_path: Path,
    rng: np.random.Generator,
    values: np.ndarray,
    mask_file: Path,
    inside: np.ndarray,
    fwhm_mm: float,
    n_threads: int,
    on_disk: bool,
) -> None:
    values[tuple(np.argwhere(inside)[4])] *= np.where(np.arange(N_SCANS) == 2, np.nan, 1)
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    kept = rng.random(N_SCANS) > 0.2
    plain = read_series(bold, mask_file, fwhm_mm=fwhm_mm, kept=kept)
    series = read_series(
        bold,
        mask_file,
        fwhm_mm=fwhm_mm,
        kept=kept,
        n_threads=n_threads,
        folder=tmp_path if on_disk else None,
    )
    assert isinstance(series.values, StoredMatrix) == on_disk
    np.testing.assert_array_equal(series.values[:, slice(None)], plain.values)
    np.testing.assert_array_equal(series.mean, plain.mean)
    np.testing.assert_array_equal(series.mean_image, plain.mean_image)


@pytest.mark.parametrize("value", [65535, 40000, 1])
def test_short_integers_are_summed_exactly(tmp_path: Path, mask_file: Path, value: int) -> None:
    stored = np.full((*SHAPE, N_SCANS), value, dtype=np.uint16)
    nb.Nifti1Image(stored, np.eye(4)).to_filename(tmp_path / "bold.nii.gz")
    series = read(tmp_path / "bold.nii.gz", mask_file)
    np.testing.assert_array_equal(series.mean_image, np.float32(value))


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)])
def test_long_integers_do_not_overflow(tmp_path: Path, mask_file: Path, value: int) -> None:
    stored = np.full((*SHAPE, N_SCANS), value, dtype=np.int32)
    nb.Nifti1Image(stored, np.eye(4)).to_filename(tmp_path / "bold.nii.gz")
    series = read(tmp_path / "bold.nii.gz", mask_file)
    np.testing.assert_array_equal(series.mean_image, np.float32(value))


def test_short_integers_of_many_scans_are_summed_in_double_precision() -> None:
    header = read_header_of(np.uint16, n_scans=2**15)
    assert images._sum_dtype(header) is np.float64
    assert images._sum_dtype(read_header_of(np.uint16, n_scans=2**15 - 1)) is np.int32
    assert (2**15 - 1) * 65535 < 2**31


def read_header_of(dtype: type, n_scans: int) -> images.ImageHeader:
    return images.ImageHeader(
        path=Path("bold.nii"),
        shape=(1, 1, 1, n_scans),
        grid=Grid(shape=(1, 1, 1), affine=tuple(map(tuple, np.eye(4).tolist()))),
        dtype=np.dtype(dtype),
        slope=1.0,
        inter=0.0,
        data_offset=352,
        repetition_time=None,
    )


def test_mean_image_is_not_smoothed(tmp_path: Path, values: np.ndarray, mask_file: Path) -> None:
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    series = read(bold, mask_file, fwhm_mm=4.0)
    expected = values.astype(np.float32).mean(axis=3, dtype=np.float64)
    np.testing.assert_allclose(series.mean_image, expected, rtol=FLOAT32)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_voxel_that_is_not_finite_is_nan_throughout_and_touches_no_other(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path, wrong: float
) -> None:
    clean = read(as_float32(tmp_path / "clean.nii.gz", values), mask_file)
    place = tuple(np.argwhere(inside)[5])
    values[(*place, 3)] = wrong
    series = read(as_float32(tmp_path / "bold.nii.gz", values), mask_file)
    assert np.isnan(series.values[:, 5]).all()
    assert np.isnan(series.mean[5])
    np.testing.assert_array_equal(
        np.delete(series.values, 5, axis=1), np.delete(clean.values, 5, axis=1)
    )


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_voxel_that_is_not_finite_in_a_scan_that_is_left_out_is_whole(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path, wrong: float
) -> None:
    values[(*np.argwhere(inside)[5], 4)] = wrong
    series = read(as_float32(tmp_path / "bold.nii.gz", values), mask_file, gap=4)
    expected = np.delete(values[inside][5], 4)
    np.testing.assert_allclose(series.mean[5], expected.mean(), rtol=FLOAT32)
    np.testing.assert_allclose(
        series.values[:, 5], expected - expected.mean(), rtol=0, atol=2000 * FLOAT32
    )


@pytest.mark.parametrize("level", [0.0, 0.1, -7.3, 1e6])
def test_constant_voxel_is_zero_throughout(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path, level: float
) -> None:
    place = tuple(np.argwhere(inside)[5])
    values[place] = level
    values[(*place, 0)] = 3.0  # constant over kept scans
    series = read(as_big_endian(tmp_path / "bold.nii.gz", values), mask_file, first=0)
    assert not series.values[:, 5].any()
    assert series.mean[5] == level


@pytest.mark.parametrize("scans", [[3], [1, 3], slice(None)])
def test_voxel_beyond_the_numbers_of_float32_is_nan_throughout(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray, mask_file: Path, scans: list[int]
) -> None:
    values[(*np.argwhere(inside)[5], scans)] = 1e39 * np.arange(1, N_SCANS + 1)[scans]
    series = read(as_big_endian(tmp_path / "bold.nii.gz", values), mask_file)
    assert np.isnan(series.values[:, 5]).all()
    assert np.isnan(series.mean[5])
    assert np.isfinite(np.delete(series.values, 5, axis=1)).all()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_hashes_are_those_of_the_files(
    tmp_path: Path, values: np.ndarray, mask_file: Path, ending: str
) -> None:
    bold = as_float32(tmp_path / f"bold{ending}", values)
    series = read(bold, mask_file)
    assert series.bold_sha256 == hashlib.sha256(bold.read_bytes()).hexdigest()
    assert series.mask_sha256 == hashlib.sha256(mask_file.read_bytes()).hexdigest()


def test_hash_covers_what_follows_the_last_volume(
    tmp_path: Path, values: np.ndarray, mask_file: Path
) -> None:
    bold = as_float32(tmp_path / "bold.nii", values)
    with bold.open("ab") as file:
        file.write(bytes(3_000_000))
    check_complete(bold, read_header(bold))
    assert read(bold, mask_file).bold_sha256 == hashlib.sha256(bold.read_bytes()).hexdigest()


def test_file_of_several_gzip_members_is_read_to_the_end(
    tmp_path: Path, values: np.ndarray, mask_file: Path
) -> None:
    plain = as_float32(tmp_path / "bold.nii", values).read_bytes()
    bold = tmp_path / "bold.nii.gz"
    bold.write_bytes(gzip.compress(plain[:1000], mtime=0) + gzip.compress(plain[1000:], mtime=0))
    check_complete(bold, read_header(bold))
    expected = read(tmp_path / "bold.nii", mask_file)
    series = read(bold, mask_file)
    np.testing.assert_array_equal(series.values, expected.values)
    assert series.bold_sha256 == hashlib.sha256(bold.read_bytes()).hexdigest()


@pytest.mark.parametrize("place", [0.3, 0.6, 0.95, 1.0])
def test_flipped_bit_in_a_compressed_series_is_an_error(
    tmp_path: Path, values: np.ndarray, mask_file: Path, place: float
) -> None:
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    content = bytearray(bold.read_bytes())
    content[int(place * (len(content) - 6))] ^= 4
    bold.write_bytes(content)
    with pytest.raises(BIDSFXError, match=re.escape(str(bold))) as raised:
        read(bold, mask_file)
    assert raised.value.exit_code == ExitCode.BAD_DATA


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("lost", [1, 100, 0.5])
def test_truncated_series_is_an_error_before_and_while_reading(
    tmp_path: Path, values: np.ndarray, mask_file: Path, ending: str, lost: float
) -> None:
    bold = as_float32(tmp_path / f"bold{ending}", values)
    header = read_header(bold)
    content = bold.read_bytes()
    cut = int(lost if lost >= 1 else lost * len(content))
    bold.write_bytes(content[:-cut])
    with pytest.raises(BIDSFXError, match="truncated"):
        check_complete(bold, header)
    with pytest.raises(BIDSFXError, match="truncated"):
        read(bold, mask_file)


def test_truncated_gzip_with_a_lucky_trailer_is_an_error(
    tmp_path: Path, values: np.ndarray, mask_file: Path
) -> None:
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    content = bold.read_bytes()
    bold.write_bytes(content[: len(content) // 2] + content[-4:])
    with pytest.raises(BIDSFXError, match=r"bold\.nii\.gz"):
        read(bold, mask_file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"hello", "not a NIfTI image"),
        (b"x" * 1000, "not a NIfTI image"),
        (b"/annex/objects/MD5E-s1--0.nii.gz\n", "placeholder of git-annex"),
        (gzip.compress(b"x" * 1000, mtime=0), "not a NIfTI image"),
    ],
)
def test_file_that_is_no_image_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bold.nii.gz"
    path.write_bytes(content)
    with pytest.raises(BIDSFXError, match=message):
        read_header(path)


def test_dangling_link_is_a_missing_input(tmp_path: Path) -> None:
    path = tmp_path / "bold.nii.gz"
    path.symlink_to(tmp_path / "nowhere.nii.gz")
    with pytest.raises(BIDSFXError, match="a link to a file that is not there") as raised:
        read_header(path)
    assert raised.value.exit_code == ExitCode.MISSING_INPUT


def test_header_says_shape_grid_and_repetition_time(tmp_path: Path) -> None:
    affine = np.array([[-2.0, 0, 0, 10], [0, 1.8, 0.9, 20], [0, -0.9, 1.8, 30], [0, 0, 0, 1]])
    image = nb.Nifti1Image(np.zeros((3, 4, 5, 6), dtype=np.int16), affine)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((*image.header.get_zooms()[:3], 1500))
    path = tmp_path / "bold.nii.gz"
    image.to_filename(path)
    header = read_header(path)
    assert header.shape == (3, 4, 5, 6)
    assert header.n_scans == 6
    assert header.grid.shape == (3, 4, 5)
    np.testing.assert_array_equal(header.grid.affine, nb.load(path).affine)
    assert header.repetition_time == pytest.approx(1.5, rel=FLOAT32)


def test_affine_comes_from_the_qform_where_there_is_no_sform(tmp_path: Path) -> None:
    image = nb.Nifti1Image(np.zeros(SHAPE, dtype=np.int16), None)
    image.set_qform(np.diag([2.0, 3, 4, 1]), code=1)
    path = tmp_path / "a.nii"
    image.to_filename(path)
    np.testing.assert_array_equal(read_header(path).grid.affine, np.diag([2.0, 3, 4, 1]))


@pytest.mark.parametrize("units", ["unknown", "hz"])
def test_time_without_a_unit_of_time_is_none(tmp_path: Path, units: str) -> None:
    path = write_image(tmp_path / "a.nii", np.zeros((*SHAPE, 3)), units=units)
    assert read_header(path).repetition_time is None


def test_axes_of_length_1_at_the_end_do_not_count(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii", np.zeros((*SHAPE, 3, 1)))
    assert read_header(path).shape == (*SHAPE, 3)


def test_complex_image_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.nii", np.zeros(SHAPE, dtype=np.complex64))
    with pytest.raises(BIDSFXError, match="voxels of type complex64"):
        read_header(path)


@pytest.mark.parametrize("write", WRITERS)
def test_map_equals_what_nibabel_loads(tmp_path: Path, values: np.ndarray, write: Writer) -> None:
    path = write(tmp_path / "map.nii.gz", values[..., 0])
    found = read_map(path)
    np.testing.assert_array_equal(found, nb.load(path).get_fdata())
    assert found.dtype == np.float64


def test_volume_comes_with_the_hash_of_its_file(tmp_path: Path, values: np.ndarray) -> None:
    path = as_float32(tmp_path / "map.nii.gz", values[..., 0])
    assert read_volume(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_series_is_no_map(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(BIDSFXError, match=r"an image of shape \(7, 6, 5, 9\)"):
        read_map(as_float32(tmp_path / "bold.nii.gz", values))


def test_mask_is_what_is_neither_0_nor_nan(tmp_path: Path) -> None:
    values = np.array([[[0, 1, np.nan, 3, 255]]], dtype=np.float32)
    path = write_image(tmp_path / "mask.nii.gz", values)
    np.testing.assert_array_equal(
        mask_of(read_volume(path).values, path), [[[False, True, False, True, True]]]
    )


def test_empty_mask_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "mask.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    with pytest.raises(BIDSFXError, match="a mask without any voxel"):
        mask_of(read_volume(path).values, path)


@pytest.mark.parametrize(
    ("shape", "shift", "message"),
    [((4, 4, 5), 0.0, r"its grid is \(4, 4, 5\)"), ((4, 4, 4), 0.01, "differs .* up to 0.01")],
)
def test_images_on_different_grids_are_refused(
    shape: tuple[int, int, int], shift: float, message: str
) -> None:
    affine = np.diag([2.0, 2, 2, 1])
    first = Grid(shape=(4, 4, 4), affine=tuple(map(tuple, affine)))
    affine[0, 3] += shift
    second = Grid(shape=shape, affine=tuple(map(tuple, affine)))
    with pytest.raises(BIDSFXError, match=message):
        check_same_grid(Path("b.nii"), second, Path("a.nii"), first)


def test_images_on_one_grid_to_a_micrometre_are_accepted() -> None:
    affine = np.diag([2.0, 2, 2, 1])
    first = Grid(shape=(4, 4, 4), affine=tuple(map(tuple, affine)))
    second = Grid(shape=(4, 4, 4), affine=tuple(map(tuple, affine + 5e-4)))
    check_same_grid(Path("b.nii"), second, Path("a.nii"), first)


def test_series_and_mask_on_different_grids_are_refused(
    tmp_path: Path, values: np.ndarray, inside: np.ndarray
) -> None:
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    mask = write_image(tmp_path / "mask.nii.gz", inside.astype(np.uint8), zoom=3.0)
    with pytest.raises(BIDSFXError, match=r"mask\.nii\.gz: its affine differs from that of bold"):
        read(bold, mask)


def ball(shape: tuple[int, int, int], radius: float) -> np.ndarray:
    """Return the voxels within a distance of the middle."""
    places = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    return (places**2).sum(axis=0) < radius**2


def test_computed_mask_finds_the_bright_ball(rng: np.random.Generator) -> None:
    head = ball((30, 30, 30), 10)
    image = np.where(head, 1000, 20) + rng.normal(0, 5, head.shape)
    mask = compute_mask(image)
    # opening may round off the ball's edge, nothing else
    assert (mask & ~head).sum() == 0
    assert mask.sum() > 0.9 * head.sum()


def test_computed_mask_of_a_flat_image_is_empty() -> None:
    assert not compute_mask(np.full((5, 5, 5), 3.0)).any()


def test_series_without_mask_gets_the_mask_of_its_mean(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    head = ball((24, 24, 24), 9)
    values = np.where(head, 1000, 20)[..., None] + rng.normal(0, 5, (*head.shape, N_SCANS))
    values[..., 0] = 5000  # left out: it would hide the ball
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    series = read(bold, None, first=0)
    np.testing.assert_array_equal(series.mask, compute_mask(series.mean_image))
    assert series.mask.sum() > 0.9 * head.sum()
    assert series.mask_sha256 is None
    assert series.values.shape == (N_SCANS - 1, series.mask.sum())


def test_series_in_which_no_brain_stands_out_is_refused(tmp_path: Path) -> None:
    bold = as_float32(tmp_path / "bold.nii.gz", np.ones((*SHAPE, N_SCANS)))
    with pytest.raises(BIDSFXError, match="no brain stands out"):
        read(bold, None)


@pytest.mark.parametrize("kept", [np.ones(N_SCANS - 1, dtype=bool), np.zeros(N_SCANS, dtype=bool)])
def test_choice_of_scans_that_does_not_fit_is_the_callers_fault(
    tmp_path: Path, values: np.ndarray, mask_file: Path, kept: np.ndarray
) -> None:
    bold = as_float32(tmp_path / "bold.nii.gz", values)
    with pytest.raises(ValueError, match="kept must choose among 9 scans"):
        read_series(bold, mask_file, fwhm_mm=0, kept=kept)


def test_text_file_among_images_names_itself(tmp_path: Path) -> None:
    path = write_text(tmp_path / "x_bold.nii", "not an image")
    with pytest.raises(BIDSFXError) as raised:
        read_header(path)
    assert raised.value.problems[0].where == str(path)


def test_real_series_equals_what_nibabel_loads(oneback: Path) -> None:
    stem = "sub-02_task-oneback_run-1_desc"
    folder = oneback / "derivatives" / "preproc" / "sub-02" / "func"
    bold, mask = folder / f"{stem}-preproc_bold.nii.gz", folder / f"{stem}-brain_mask.nii.gz"
    n_scans = read_header(bold).n_scans
    series = read_series(bold, mask, fwhm_mm=0, kept=np.ones(n_scans, dtype=bool))
    expected = nb.load(bold).get_fdata()[nb.load(mask).get_fdata() > 0].T
    expected = expected - expected.mean(axis=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(series.values, expected, rtol=0, atol=2 * scale * FLOAT32)
