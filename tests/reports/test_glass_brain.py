"""Glass brains: what is seen of a map along the world's axes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.reports.figures import glass
from bids_fx.reports.figures.cuts import Window
from bids_fx.reports.figures.glass import VIEWS, Projection, edge_of, project

FloatArray = npt.NDArray[np.float64]

#: Voxels of 3 mm along the world's axes, from left, back and bottom.
STRAIGHT = np.array([[3.0, 0, 0, -30.0], [0, 3.0, 0, -40.0], [0, 0, 3.0, -20.0], [0, 0, 0, 1.0]])
SHAPE = (21, 25, 15)
#: All of the world, in pixels of 1 mm that begin at whole millimetres.
WINDOW = Window(left=-60.0, top=60.0, pixel_mm=1.0, shape=(120, 120))
SAGITTAL, CORONAL, AXIAL = range(3)


def turned(degrees: float) -> FloatArray:
    """Return the straight affine turned about the left-right axis."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ STRAIGHT


def seen(z: FloatArray, affine: FloatArray = STRAIGHT, cutoff: float = 3.0) -> list[Projection]:
    return project(z, affine, cutoff, (WINDOW,) * len(VIEWS))


def flat(value: float = 0.5) -> FloatArray:
    return np.full(SHAPE, value)


def span(shown: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return the edges of what is shown: from and to along the picture's axes, in mm."""
    rows, columns = np.nonzero(shown)
    right, up = WINDOW.xs[columns], WINDOW.ys[rows]
    return right.min() - 0.5, right.max() + 0.5, up.min() - 0.5, up.max() + 0.5


def test_a_voxel_is_seen_from_three_sides_where_the_world_has_it() -> None:
    z = flat()
    z[3, 16, 6] = 7.0  # x from -22.5 to -19.5, y from 6.5 to 9.5, z from -3.5 to -0.5 mm
    x, y, up = (-22.5, -19.5), (6.5, 9.5), (-3.5, -0.5)
    # Pixels whose middle is within.
    sides = [span(np.isfinite(one.z)) for one in seen(z)]
    for found, expected in zip(sides, [(*y, *up), (*x, *up), (*x, *y)], strict=True):
        assert found == pytest.approx(expected, abs=0.5)
    for one in seen(z):
        assert set(one.z[np.isfinite(one.z)]) == {7.0}


def test_the_value_of_the_largest_absolute_one_on_the_line_of_sight_is_seen() -> None:
    z = flat()
    z[3, 16, 6], z[15, 16, 6], z[9, 16, 6] = 4.0, -5.0, 3.5
    views = seen(z)
    assert set(views[SAGITTAL].z[np.isfinite(views[SAGITTAL].z)]) == {-5.0}
    assert set(views[AXIAL].z[np.isfinite(views[AXIAL].z)]) == {4.0, -5.0, 3.5}


def test_only_what_is_above_the_cutoff_is_seen() -> None:
    z = flat()
    z[3, 16, 6], z[15, 5, 6] = 3.0, -3.1
    (shown,) = {tuple(set(one.z[np.isfinite(one.z)])) for one in seen(z)}
    assert shown == (-3.1,)
    assert not any(np.isfinite(one.z).any() for one in seen(z, cutoff=np.inf))


def test_inside_is_where_a_voxel_has_a_result() -> None:
    z = np.full(SHAPE, np.nan)
    z[5:15, 5:20, 3:12] = 0.5
    expected = [(-26.5, 18.5, -12.5, 14.5), (-16.5, 13.5, -12.5, 14.5), (-16.5, 13.5, -26.5, 18.5)]
    for one, edges in zip(seen(z), expected, strict=True):
        # Its corners are rounded.
        assert span(one.inside) == pytest.approx(edges, abs=1.0)
        assert one.inside[60 - 1, 60]


@pytest.mark.parametrize("degrees", [0, 15, -40, 45])
def test_a_tilted_block_is_seen_without_gaps(degrees: float) -> None:
    z = flat()
    z[8:12, 8:16, 5:10] = 6.0
    for one in seen(z, turned(degrees)):
        shown = np.isfinite(one.z)
        for line in [*shown, *shown.T]:
            places = np.flatnonzero(line)
            assert not places.size or places[-1] - places[0] + 1 == places.size
        assert one.inside[shown].mean() > 0.95


@pytest.mark.parametrize("degrees", [15, -40])
def test_a_tilted_voxel_is_seen_where_the_world_has_it(degrees: float) -> None:
    z = flat()
    z[3, 16, 6] = 7.0
    affine = turned(degrees)
    place = (affine @ [3, 16, 6, 1])[:3]
    for one, view in zip(seen(z, affine), VIEWS, strict=True):
        left, right, low, high = span(np.isfinite(one.z))
        middle = ((left + right) / 2, (low + high) / 2)
        assert middle == pytest.approx((place[view.right], place[view.up]), abs=1.6)


def test_flat_voxels_leave_no_gaps() -> None:
    affine = np.diag([2.0, 2.0, 6.0, 1.0])
    affine[:3, 3] = (-20.0, -24.0, -40.0)
    z = flat()
    z[5:9, 5:9, 5:9] = 6.0
    shown = np.isfinite(seen(z, affine)[SAGITTAL].z)
    left, right, low, high = span(shown)
    assert (right - left, high - low) == pytest.approx((8.0, 24.0), abs=1.0)
    assert shown.sum() == (right - left) * (high - low)
    assert seen(z, affine)[SAGITTAL].inside.sum() > 0.97 * 50.0 * 90.0


def test_axes_that_are_swapped_in_the_file_change_nothing(rng: np.random.Generator) -> None:
    z = 3 * rng.standard_normal(SHAPE)
    swapped = seen(z.transpose(2, 0, 1), STRAIGHT[:, [2, 0, 1, 3]])
    for one, other in zip(seen(z), swapped, strict=True):
        np.testing.assert_array_equal(one.z, other.z)
        np.testing.assert_array_equal(one.inside, other.inside)


def test_the_number_of_voxels_that_are_looked_at_once_changes_nothing(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = 3 * rng.standard_normal(SHAPE)
    z[:4] = np.nan
    whole = seen(z, turned(15))
    monkeypatch.setattr(glass, "_BLOCK", 1)
    for one, other in zip(seen(z, turned(15)), whole, strict=True):
        np.testing.assert_array_equal(one.z, other.z)
        np.testing.assert_array_equal(one.inside, other.inside)


def test_a_map_without_a_result_shows_nothing() -> None:
    for one in seen(np.full(SHAPE, np.nan)):
        assert not one.inside.any()
        assert np.isnan(one.z).all()


def test_the_edge_is_the_outermost_pixels() -> None:
    inside = np.zeros((7, 8), bool)
    inside[1:6, 2:7] = True
    edge = edge_of(inside)
    assert edge.sum() == 5 * 5 - 3 * 3
    assert not edge[2:5, 3:6].any()
