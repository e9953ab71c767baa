"""The |z| above which the voxels of a map are shown, against published and independent answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm

from bids_fx.report_settings import Threshold
from bids_fx.reports.thresholds import cutoff_told, threshold_told, z_cutoff

#: The fifteen p values of Benjamini and Hochberg (1995), section 3.2: at a rate of .05 their
#: procedure rejects the four smallest, Bonferroni's the three smallest.
PUBLISHED = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240),
    *(0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]
FDR = Threshold(correction="fdr", error_rate=0.05)
BONFERRONI = Threshold(correction="bonferroni", error_rate=0.05)


def z_of(p: object) -> np.ndarray:
    """Return z of two-sided p values, every other one negative."""
    z = norm.isf(np.asarray(p) / 2)
    return np.where(z == 0, 1e-12, z) * np.resize([1, -1], np.shape(z))


def survivors(z: np.ndarray, threshold: Threshold) -> np.ndarray:
    return np.abs(z) > z_cutoff(z, threshold)


def test_uncorrected_cutoff_is_the_normal_quantile_whatever_the_map_is() -> None:
    for z in (np.array([1.0, np.nan]), np.full(3, np.nan)):
        # Abramowitz and Stegun, table 26.5.
        assert z_cutoff(z, Threshold()) == pytest.approx(3.290526731491, abs=1e-11)
        half = Threshold(error_rate=0.05)
        assert z_cutoff(z, half) == pytest.approx(1.959963984540, abs=1e-11)


def test_a_rate_of_one_shows_every_voxel_with_a_result() -> None:
    z = np.array([0.25, -0.001, np.nan, 0.0])
    for correction in ("uncorrected", "fdr"):
        threshold = Threshold(correction=correction, error_rate=1.0)
        np.testing.assert_array_equal(survivors(z, threshold), [True, True, False, False])


@pytest.mark.parametrize(("threshold", "number"), [(FDR, 4), (BONFERRONI, 3)])
def test_published_example_is_reproduced(threshold: Threshold, number: int) -> None:
    expected = np.arange(15) < number
    np.testing.assert_array_equal(survivors(z_of(PUBLISHED), threshold), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.001, 0.05, 0.3])
def test_discoveries_are_those_of_scipy(
    rng: np.random.Generator, dtype: type, rate: float
) -> None:
    z = rng.standard_normal((9, 10, 11))
    z[:4] *= 2.5
    z = z.astype(dtype)
    p = 2 * norm.sf(np.abs(z.astype(np.float64)))
    expected = false_discovery_control(p.ravel()).reshape(z.shape) <= rate
    assert 0 < expected.sum() < z.size
    threshold = Threshold(correction="fdr", error_rate=rate)
    np.testing.assert_array_equal(survivors(z, threshold), expected)


def test_voxels_without_a_result_do_not_count() -> None:
    z = z_of(PUBLISHED)
    padded = np.concatenate([z, np.full(500, np.nan), np.zeros(500), [np.inf]])
    for threshold in (FDR, BONFERRONI):
        assert z_cutoff(padded, threshold) == z_cutoff(z, threshold)


def test_ties_at_the_cutoff_survive_together() -> None:
    z = np.array([3.0, 3.0, -3.0, 2.0, 0.1, 0.2, 0.3])
    # p of 3 is .0027, below 3/7 of .05 as a group of three; p of 2 is .0455, above 4/7 of it.
    np.testing.assert_array_equal(survivors(z, FDR), [True] * 3 + [False] * 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_p_value_that_is_the_critical_one_survives(dtype: type) -> None:
    z = np.array([2.0, 0.5], dtype)
    p = 2 * norm.sf(2.0)
    exact = Threshold(correction="fdr", error_rate=float(2 * p) * (1 + 1e-14))
    np.testing.assert_array_equal(survivors(z, exact), [True, False])
    below = Threshold(correction="fdr", error_rate=float(2 * p) * (1 - 1e-6))
    assert z_cutoff(z, below) == math.inf


def test_without_a_survivor_nothing_is_shown_and_that_is_told() -> None:
    z = np.linspace(-1.0, 1.0, 101)
    cutoff = z_cutoff(z, FDR)
    assert cutoff == math.inf
    assert not survivors(z, FDR).any()
    assert cutoff_told(cutoff) == "|z| > ∞"
    assert z_cutoff(np.full(4, np.nan), FDR) == math.inf


def test_bonferroni_divides_by_the_voxels_with_a_result() -> None:
    z = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    assert z_cutoff(z, BONFERRONI) == pytest.approx(norm.isf(0.05 / 4 / 2), rel=1e-12)
    assert z_cutoff(np.full(4, np.nan), BONFERRONI) == math.inf


def test_tails_below_the_smallest_double_are_told_apart() -> None:
    z = np.array([50.0, 45.0, 1.0])
    tiny = Threshold(correction="fdr", error_rate=1e-300)
    np.testing.assert_array_equal(survivors(z, tiny), [True, True, False])
    # log(p/2) of a Bonferroni-corrected rate below the smallest double is no 0.
    many = np.full(1_000_000, 1.0)
    smallest = Threshold(correction="bonferroni", error_rate=5e-324)
    assert 38.5 < z_cutoff(many, smallest) < 39.5


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        (Threshold(), "p < .001 two-sided in each voxel, not corrected"),
        (FDR, "a false discovery rate of .05 over the voxels of each map"),
        (BONFERRONI, "p < .05 two-sided, corrected for the number of voxels of each map"),
    ],
)
def test_kind_and_rate_are_told(threshold: Threshold, told: str) -> None:
    assert threshold_told(threshold, "t").startswith(told)
    assert "two-sided p" not in threshold_told(threshold, "F")
