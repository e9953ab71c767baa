"""Maps as the viewer takes them: small, in their place, and exact to half a step."""

from __future__ import annotations

import base64
import gzip
import zlib

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.reports.maps import Volume, world_coordinates
from bids_fx.reports.viewer_maps import Box, Packed, pack_background, pack_integers, pack_map
from tests.small_plans import AFFINE, SHAPE

FloatArray = npt.NDArray[np.float64]
#: The same voxels, seen from elsewhere: oblique, and of other sizes along each axis.
OBLIQUE = np.array([[0, -2.0, 0.5, 7], [1.5, 0, 0, -3], [0.2, 0, 3.0, 1], [0, 0, 0, 1]])


def decode(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def unpack(data: str, inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.int16]:
    """Undo the packing one voxel at a time, as the page does."""
    content = np.frombuffer(decode(data), np.uint8).astype(int)
    high, low = content.reshape(2, -1)
    codes = iter((high * 256 + low).tolist())
    found = np.zeros(np.add(inside.shape, 1), np.int64)  # a rim of 0 before the first voxels
    for z, y, x in np.ndindex(inside.shape[::-1]):
        if inside[x, y, z]:
            code = next(codes)
            i, j, k = x + 1, y + 1, z + 1
            predicted = (
                *(found[x, j, k], found[i, y, k], found[i, j, z]),
                *(-found[x, y, k], -found[x, j, z], -found[i, y, z], found[x, y, z]),
            )
            value = sum(predicted) + ((code >> 1) ^ -(code & 1))
            found[i, j, k] = (value + 2**15) % 2**16 - 2**15
    assert next(codes, None) is None
    return found[1:, 1:, 1:].astype(np.int16)


def values_of(packed: Packed) -> FloatArray:
    """Return what the page shows of a map, NaN outside."""
    inside = packed.box.inside
    return np.where(inside, unpack(packed.data, inside) * packed.step, np.nan)


def make_volume(rng: np.random.Generator, scale: float = 3.0) -> Volume:
    """Return a map with results in some voxels, not in those of the first plane."""
    values = rng.standard_normal(SHAPE) * scale
    values[rng.random(SHAPE) < 0.3] = np.nan
    values[0] = np.nan
    values[1, 0, 0] = values[5, 6, 4] = 1.0
    return Volume(data=values, affine=AFFINE)


@pytest.mark.parametrize("stat", ["z", "t", "F", "effect", "isq"])
def test_values_are_those_of_the_map_to_half_a_step(rng: np.random.Generator, stat: str) -> None:
    volume = make_volume(rng)
    covered = np.isfinite(volume.data)
    packed = pack_map(volume, covered, stat)
    found = values_of(packed)
    np.testing.assert_array_equal(np.isfinite(found), packed.box.cut(covered))
    error = np.nanmax(np.abs(found - packed.box.cut(volume.data)))
    assert 0 < error <= packed.step / 2 * (1 + 1e-12)


def test_whole_numbers_come_back_whatever_their_size(rng: np.random.Generator) -> None:
    inside = rng.random((4, 5, 6)) < 0.7
    integers = rng.integers(-(2**15), 2**15, inside.shape).astype(np.int16)
    integers[~inside] = 0
    np.testing.assert_array_equal(unpack(pack_integers(integers, inside), inside), integers)


def test_steps_of_z_are_the_digits_that_are_shown(rng: np.random.Generator) -> None:
    volume = make_volume(rng)
    assert pack_map(volume, np.isfinite(volume.data), "z").step == 0.01


def test_steps_of_effects_follow_their_size(rng: np.random.Generator) -> None:
    volume = make_volume(rng)
    covered = np.isfinite(volume.data)
    step = pack_map(volume, covered, "effect").step
    assert 1 < np.median(np.abs(volume.data[covered])) / 32 / step < 2.5
    assert f"{step:g}".strip("0.") in {"1", "2", "5"}
    larger = Volume(data=volume.data * 1000, affine=volume.affine)
    assert pack_map(larger, covered, "effect").step == pytest.approx(step * 1000)


def test_huge_values_fit_at_the_price_of_larger_steps(rng: np.random.Generator) -> None:
    volume = make_volume(rng)
    volume.data[3, 3, 3] = -1e6
    packed = pack_map(volume, np.isfinite(volume.data), "z")
    assert packed.largest == 1e6
    assert packed.step == pytest.approx(1e6 / 32767)
    assert np.nanmin(values_of(packed)) == pytest.approx(-1e6)


def test_map_of_nothing_but_zeros_is_packed() -> None:
    packed = pack_map(Volume(data=np.zeros(SHAPE), affine=AFFINE), np.ones(SHAPE, bool), "effect")
    np.testing.assert_array_equal(values_of(packed), np.zeros(SHAPE))


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE])
def test_box_is_the_smallest_and_every_voxel_stays_where_it_is(affine: FloatArray) -> None:
    covered = np.zeros(SHAPE, bool)
    covered[2, 3, 1] = covered[4, 5, 3] = True
    box = Box.around(covered, affine)
    assert box.start == (2, 3, 1)
    assert box.shape == (3, 3, 3)
    moved = world_coordinates(np.argwhere(box.inside), box.affine)
    np.testing.assert_allclose(moved, world_coordinates(np.argwhere(covered), affine))
    grown = box.grown(2)
    assert grown.start == (0, 1, -1)
    assert grown.shape == (7, 7, 7)
    moved = world_coordinates(np.argwhere(grown.inside), grown.affine)
    np.testing.assert_allclose(moved, world_coordinates(np.argwhere(covered), affine))


def test_record_of_a_box_tells_voxels_inside_and_the_way_back(rng: np.random.Generator) -> None:
    covered = rng.random(SHAPE) < 0.5
    record = Box.around(covered, OBLIQUE).record()
    bits = np.frombuffer(decode(str(record["inside"])), np.uint8)
    nx, ny, nz = record["shape"]
    # As the page reads them: the first index fastest, the lowest bit first.
    box = Box.around(covered, OBLIQUE)
    for x, y, z in np.ndindex(nx, ny, nz):
        i = x + nx * (y + ny * z)
        assert bool(bits[i >> 3] >> (i & 7) & 1) == box.inside[x, y, z]
    back = np.vstack([record["inverse"], [0, 0, 0, 1]])
    there = np.vstack([record["affine"], [0, 0, 0, 1]])
    np.testing.assert_allclose(back @ there, np.eye(4), atol=1e-12)


def test_smooth_map_takes_fewer_bytes_than_a_compressed_image(rng: np.random.Generator) -> None:
    from scipy.ndimage import gaussian_filter

    z = gaussian_filter(rng.standard_normal((40, 40, 40)), 1.5)
    z /= z.std()
    packed = pack_map(Volume(data=z, affine=np.eye(4)), np.ones(z.shape, bool), "z")
    image = nb.Nifti1Image(np.rint(z / packed.step).astype(np.int16), np.eye(4))
    assert len(packed.data) * 3 / 4 < 0.6 * len(gzip.compress(image.to_bytes(), mtime=0))


def test_background_is_sampled_where_the_map_is() -> None:
    # Brightness grows along the world's x, on a grid finer than the map's.
    fine = np.diag([1.0, 1, 1, 1])
    fine[:3, 3] = (-12, -14, -12)
    x = np.arange(-12, 18)[:, None, None] * np.ones((1, 36, 30))
    covered = np.zeros(SHAPE, bool)
    covered[1:5, 2:5, 1:4] = True
    box = Box.around(covered, AFFINE)
    packed = pack_background(Volume(data=x + 20, affine=fine), box)
    centres = world_coordinates(np.argwhere(box.inside), box.affine)[:, 0].reshape(box.shape)
    white = 1.3 * np.percentile(centres + 20, 99.5)
    np.testing.assert_allclose(values_of(packed), (centres + 20) * 255 / white, atol=0.5)


def test_background_reaches_beyond_the_results_and_is_black_outside_the_image() -> None:
    covered = np.ones(SHAPE, bool)
    box = Box.around(covered, AFFINE)
    packed = pack_background(Volume(data=np.full(SHAPE, 7.0), affine=AFFINE), box.grown(1))
    shades = values_of(packed)
    assert shades.shape == tuple(np.add(SHAPE, 2))
    np.testing.assert_array_equal(shades[1:-1, 1:-1, 1:-1], np.full(SHAPE, round(255 / 1.3)))
    assert shades[0].max() == 0


@pytest.mark.parametrize("data", [np.full(SHAPE, np.nan), np.full(SHAPE, -1.0)])
def test_background_without_brightness_is_black(data: FloatArray) -> None:
    box = Box.around(np.ones(SHAPE, bool), AFFINE)
    assert np.nanmax(values_of(pack_background(Volume(data=data, affine=AFFINE), box))) == 0


def test_flat_background_shows_where_results_are(rng: np.random.Generator) -> None:
    covered = rng.random(SHAPE) < 0.5
    box = Box.around(covered, AFFINE)
    shades = values_of(pack_background(None, box))
    np.testing.assert_array_equal(shades > 0, box.inside)
