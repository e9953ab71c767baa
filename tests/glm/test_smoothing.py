"""Gaussian smoothing, of whole volumes and of some voxels of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from bids_fx.glm.smoothing import (
    FWHM_PER_SIGMA,
    Smoother,
    kernel_radius,
    sigma_voxels,
)
from tests.whole_smoothing import smooth_whole

SHAPE = (24, 29, 21)


@pytest.fixture
def volume(rng: np.random.Generator) -> np.ndarray:
    """Return a volume of noise."""
    return rng.normal(size=SHAPE).astype(np.float32)


def smooth_volume(volume: np.ndarray, sigma: tuple[float, ...]) -> np.ndarray:
    """Smooth all voxels of a copy."""
    smoothed = volume.astype(np.float32)
    Smoother.of(np.ones(volume.shape, dtype=bool), sigma).smooth(smoothed)
    return smoothed


def test_sigma_is_the_width_over_the_voxel_size() -> None:
    width = FWHM_PER_SIGMA
    np.testing.assert_allclose(sigma_voxels(width, (1.0, 2.0, 0.5)), (1.0, 0.5, 2.0), rtol=1e-15)


def test_kernel_is_at_half_its_maximum_at_half_its_width() -> None:
    sigma = sigma_voxels(8.0, (0.25, 1.0, 1.0))[0]
    impulse = np.zeros((301, 1, 1), dtype=np.float32)
    impulse[150] = 1.0
    profile = smooth_volume(impulse, (sigma, 0.0, 0.0))[:, 0, 0]
    # 8 mm are 32 voxels of 0.25 mm: 16 to each side
    np.testing.assert_allclose(profile[[134, 166]] / profile[150], 0.5, rtol=1e-5)


def test_radius_is_where_the_kernel_ends() -> None:
    impulse = np.zeros((61, 1, 1), dtype=np.float32)
    impulse[30] = 1.0
    for sigma in (0.3, 0.85, 1.274, 3.11):
        touched = np.flatnonzero(smooth_volume(impulse, (sigma, 0.0, 0.0)))
        (radius, *_) = kernel_radius((sigma, 0.0, 0.0))
        assert touched.min() >= 30 - radius
        assert touched.max() <= 30 + radius
        assert radius == int(4 * sigma + 0.5)


def test_smoothing_keeps_the_sum() -> None:
    impulse = np.zeros(SHAPE, dtype=np.float32)
    impulse[0, 5, 20] = 10.0  # near borders, where the kernel is mirrored
    assert smooth_volume(impulse, (1.5, 2.0, 1.0)).sum() == pytest.approx(10.0, rel=1e-6)


def test_constant_volume_stays_as_it_is() -> None:
    constant = np.full(SHAPE, 7.0, dtype=np.float32)
    np.testing.assert_allclose(smooth_volume(constant, (1.5, 2.0, 1.0)), 7.0, rtol=1e-6)


def test_each_axis_has_its_own_width() -> None:
    impulse = np.zeros(SHAPE, dtype=np.float32)
    impulse[12, 14, 10] = 1.0
    smoothed = smooth_volume(impulse, (1.5, 0.0, 0.8)).astype(np.float64)
    places = np.indices(SHAPE) - np.array([12, 14, 10])[:, None, None, None]
    moments = (smoothed * places**2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(moments, [1.5**2, 0.0, 0.8**2], rtol=5e-3)  # truncated tails


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_counts_as_zero(value: float, volume: np.ndarray) -> None:
    zero = volume.copy()
    zero[3, 4, 5] = 0.0
    volume[3, 4, 5] = value
    np.testing.assert_array_equal(
        smooth_volume(volume, (1.0, 1.0, 1.0)), smooth_volume(zero, (1.0, 1.0, 1.0))
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "sigma", [(1.27, 0.85, 0.85), (3.0, 3.4, 5.0), (0.0, 1.0, 0.2), (60.0, 0.0, 249.0)]
)
@pytest.mark.parametrize("share", [0.0002, 0.02, 1.0])
def test_wanted_voxels_are_those_of_the_whole_volume_bit_for_bit(
    share: float,
    sigma: tuple[float, ...],
    order: Literal["C", "F"],
    volume: np.ndarray,
    rng: np.random.Generator,
) -> None:
    wanted = rng.random(SHAPE) < share
    wanted[2, 27, 1] = wanted[11, 14, 10] = True  # near borders, and far from them
    found = np.array(volume, order=order)
    Smoother.of(wanted, sigma).smooth(found)
    np.testing.assert_array_equal(found[wanted], smooth_whole(volume, sigma)[wanted])


@pytest.mark.parametrize(
    "box",
    [
        (slice(9, 14), slice(10, 20), slice(8, 12)),  # inside
        (slice(0, 5), slice(3, 29), slice(15, 21)),  # at borders of the image
        (slice(0, 24), slice(0, 29), slice(0, 21)),  # all of it
        (slice(2, 3), slice(27, 28), slice(1, 2)),  # one voxel, less than a kernel from borders
    ],
)
@pytest.mark.parametrize("sigma", [(1.27, 0.85, 0.85), (3.0, 3.4, 5.0), (0.0, 1.0, 0.2)])
def test_padded_box_equals_the_whole_image_bit_for_bit(
    box: tuple[slice, ...], sigma: tuple[float, ...], volume: np.ndarray
) -> None:
    wanted = np.zeros(SHAPE, dtype=bool)
    wanted[box] = True
    padded = tuple(
        slice(max(one.start - r, 0), one.stop + r)
        for one, r in zip(box, kernel_radius(sigma), strict=True)
    )
    part = volume[padded].copy()
    Smoother.of(wanted[padded], sigma).smooth(part)
    np.testing.assert_array_equal(part[wanted[padded]], smooth_whole(volume, sigma)[wanted])


def test_what_nothing_wanted_depends_on_is_not_smoothed(volume: np.ndarray) -> None:
    wanted = np.zeros(SHAPE, dtype=bool)
    wanted[12, 14, 10] = True
    touched = volume.copy()
    Smoother.of(wanted, (1.0, 1.0, 1.0)).smooth(touched)
    x, y, z = np.nonzero(touched != volume)
    assert np.abs(x - 12).max() <= 4
    assert np.abs(y - 14).max() <= 4
    assert np.abs(z - 10).max() <= 4


@pytest.mark.parametrize("sigma", [251.0, 1e8, 1e300])
def test_kernel_far_longer_than_the_axis_is_cut_to_it_and_takes_the_mean(
    sigma: float, volume: np.ndarray
) -> None:
    part = volume[:5]
    smoother = Smoother.of(np.ones(part.shape, dtype=bool), (sigma, 0.0, 0.0))
    assert smoother.kernels[0].size == 10
    means = np.broadcast_to(part.mean(axis=0, dtype=np.float64), part.shape)
    np.testing.assert_allclose(smooth_volume(part, (sigma, 0.0, 0.0)), means, atol=1e-6)
    np.testing.assert_allclose(smooth_whole(part, (251.0, 0.0, 0.0)), means, atol=1e-3)


def test_no_width_changes_no_bit(volume: np.ndarray) -> None:
    smoothed = smooth_volume(volume, sigma_voxels(0.0, (2.0, 2.0, 2.0)))
    np.testing.assert_array_equal(smoothed, volume)


@pytest.mark.parametrize(
    ("width", "size"), [(-1.0, 2.0), (np.nan, 2.0), (6.0, 0.0), (6.0, np.nan)]
)
def test_impossible_kernel_is_refused(width: float, size: float) -> None:
    with pytest.raises(ValueError, match="mm, found"):
        sigma_voxels(width, (2.0, 2.0, size))


def test_one_sigma_for_three_axes_is_refused(volume: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected 3 standard deviations, found 1"):
        smooth_volume(volume, (1.0,))
