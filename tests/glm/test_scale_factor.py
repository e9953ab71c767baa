"""Factors that bring the signal to percent, and what is left of voxels without signal."""

from __future__ import annotations

import numpy as np
import pytest

from bids_fx.glm.quality import quality_measures, temporal_snr
from bids_fx.glm.scaling import scale_factor

MEAN = np.array([50.0, 200.0, 0.5, 0.0, -3.0, np.nan, np.inf])


def test_percent_is_of_the_voxels_own_mean() -> None:
    factor = scale_factor(MEAN, "psc")
    np.testing.assert_allclose(factor[:3], [2.0, 0.5, 200.0], rtol=1e-15)


def test_voxel_without_a_mean_above_zero_has_no_percent() -> None:
    assert np.isnan(scale_factor(MEAN, "psc")[3:]).all()


def test_mean_of_which_a_percent_is_too_small_for_a_number_has_none() -> None:
    assert np.isnan(scale_factor(np.array([1e-310, 5e-324]), "psc")).all()
    assert np.isfinite(scale_factor(np.array([1e-300]), "psc")).all()


def test_voxel_that_is_not_finite_costs_no_other_its_scale() -> None:
    np.testing.assert_array_equal(
        scale_factor(np.array([np.nan, 50.0, np.inf, 200.0]), "psc"), [np.nan, 2.0, np.nan, 0.5]
    )


def test_grand_mean_brings_the_mean_over_finite_voxels_to_a_hundred() -> None:
    factor = scale_factor(MEAN, "grand-mean")
    assert np.unique(factor).size == 1
    np.testing.assert_allclose((factor * MEAN)[:5].mean(), 100.0, rtol=1e-14)


@pytest.mark.parametrize("mean", [[-1.0, -2.0], [np.nan, np.nan], [1.0, -1.0]])
def test_grand_mean_that_is_not_above_zero_has_no_percent(mean: list[float]) -> None:
    assert np.isnan(scale_factor(np.array(mean), "grand-mean")).all()


def test_no_scaling_leaves_all_voxels() -> None:
    assert scale_factor(MEAN, "none").tolist() == [1.0] * 7


def test_unknown_scaling_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown signal scaling 'percent'"):
        scale_factor(MEAN, "percent")


def test_temporal_snr_is_mean_over_residual_sd() -> None:
    snr = temporal_snr(np.array([100.0, 90.0]), np.array([2.0, 3.0]))
    assert snr.tolist() == [50.0, 30.0]


@pytest.mark.parametrize(
    ("mean", "sd"),
    [(np.nan, 1.0), (np.inf, 1.0), (0.0, 1.0), (-5.0, 1.0), (5.0, 0.0), (5.0, np.nan)],
)
def test_temporal_snr_of_what_is_no_signal_is_nan(mean: float, sd: float) -> None:
    assert np.isnan(temporal_snr(np.array([mean]), np.array([sd]))).all()


def test_measures_are_medians_over_finite_voxels() -> None:
    maps = {"tsnr": np.array([1.0, 9.0, np.nan, 2.0]), "ar1": np.array([np.nan] * 4)}
    assert quality_measures(maps) == {
        "tsnr_median": 2.0,
        "tsnr_missing": 1,
        "ar1_median": None,
        "ar1_missing": 4,
    }
