"""Peaks of a map that is seen part by part."""

from __future__ import annotations

import numpy as np
import pytest

from bids_fx.glm.peaks import Peak, find_peaks, highest


@pytest.mark.parametrize(
    ("z", "peaks"),
    [
        ([1.0, -3.0, 2.0, np.nan], [("negative", 1), ("positive", 2)]),
        ([1.0, -1.0, 2.0], [("positive", 2), ("negative", 1)]),
        ([2.0, -2.0], [("positive", 0), ("negative", 1)]),
        ([-2.0, 2.0], [("positive", 1), ("negative", 0)]),
        ([0.0, 4.0, 4.0], [("positive", 1)]),
        ([-1.0, np.nan], [("negative", 0)]),
        ([np.nan, 0.0], []),
        ([], []),
    ],
)
def test_peaks_are_the_largest_z_of_each_sign(
    z: list[float], peaks: list[tuple[str, int]]
) -> None:
    found = highest(find_peaks(np.array(z), np.arange(len(z))))
    assert [(peak.sign, peak.place) for peak in found] == peaks


def test_of_equal_values_the_first_in_the_map_is_the_peak_whatever_their_order() -> None:
    found = find_peaks(np.array([5.0, -6.0, 5.0, -6.0]), np.array([9, 2, 3, 7]))
    assert found == {Peak(5.0, 3): 2, Peak(-6.0, 2): 1}


def test_values_that_are_published_as_equal_are_equal() -> None:
    larger = np.nextafter(5.0, 6.0)
    assert np.float32(larger) == np.float32(5.0)
    assert find_peaks(np.array([5.0, larger]), np.array([0, 1])) == {Peak(5.0, 0): 0}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_peaks_do_not_depend_on_the_parts(size: int, rng: np.random.Generator) -> None:
    z, places = rng.integers(-3, 4, 40).astype(np.float64), rng.permutation(40)
    parts = [slice(start, start + size) for start in range(0, 40, size)]
    found = highest(peak for part in parts for peak in find_peaks(z[part], places[part]))
    assert found == [Peak(3.0, places[z == 3].min()), Peak(-3.0, places[z == -3].min())]
