"""Mosaics of z maps: cuts, sides, scale and numbers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from bids_fx.reports.figures import StatRow, choose_cuts, draw_statmaps, save_figure
from tests.small_plans import AFFINE, SHAPE, z_values

FloatArray = npt.NDArray[np.float64]

#: Voxels of 3 mm along the world's axes, from left, back and bottom.
STRAIGHT = np.array([[3.0, 0, 0, -30.0], [0, 3.0, 0, -40.0], [0, 0, 3.0, -20.0], [0, 0, 0, 1.0]])
LARGE = (21, 25, 15)


def rotated(affine: FloatArray, degrees: float) -> FloatArray:
    """Return an affine turned about the left-right axis, as scanners tilt their slices."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ affine


def make_row(z: FloatArray, affine: FloatArray = STRAIGHT, name: str = "combined") -> StatRow:
    return StatRow(name=name, z=z, background=np.ones(z.shape), affine=affine)


def noise(seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(0.1, 1.0, LARGE)


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if len(axes.images) == 2]


def overlay(axes: Axes) -> np.ma.MaskedArray:
    return np.ma.masked_invalid(axes.images[1].get_array())


def shown_place(axes: Axes) -> tuple[float, float]:
    """Return the world x and y of the middle of what is coloured."""
    rows, columns = np.nonzero(~overlay(axes).mask)
    n_rows, n_columns = overlay(axes).shape
    left, right, back, front = axes.images[1].get_extent()
    x = left + (columns.mean() + 0.5) / n_columns * (right - left)
    y = back + (rows.mean() + 0.5) / n_rows * (front - back)
    return x, y


def column_heads(figure: Figure) -> list[str]:
    return [
        axes.get_title(loc="center") for axes in panels(figure) if axes.get_title(loc="center")
    ]


def row_texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_one_cut_goes_through_the_peak() -> None:
    z = noise()
    z[4, 5, 3] = 7.0
    assert -20.0 + 3 * 3.0 in choose_cuts(z, STRAIGHT)


def test_cuts_are_seven_ascending_and_at_least_a_voxel_apart() -> None:
    z = noise()
    z[4, 5, 7] = 7.0
    cuts = choose_cuts(z, STRAIGHT)
    assert len(cuts) == 7
    assert min(high - low for low, high in pairwise(cuts)) >= 3.0


def test_cuts_span_what_is_above_threshold() -> None:
    z = noise()
    z[:, :, 2:13] += 5.0
    z[0, 0, 8] = 9.0
    cuts = choose_cuts(z, STRAIGHT)
    assert cuts[0] == pytest.approx(-20.0 + 2 * 3.0, abs=3.0)
    assert cuts[-1] == pytest.approx(-20.0 + 12 * 3.0, abs=3.0)


def test_cuts_without_anything_above_threshold_span_the_map() -> None:
    cuts = choose_cuts(noise(), STRAIGHT)
    assert cuts[0] <= -10.0
    assert cuts[-1] >= 12.0


def test_cuts_of_an_empty_map_are_still_seven() -> None:
    assert len(choose_cuts(np.full(LARGE, np.nan), STRAIGHT)) == 7


def test_every_row_is_drawn_at_the_same_cuts_and_place() -> None:
    tilted = rotated(STRAIGHT, 20)
    figure = draw_statmaps([make_row(noise()), make_row(noise(1), tilted, "run-1")], title="t")
    every = panels(figure)
    assert len(every) == 14
    extents = {tuple(axes.images[0].get_extent()) for axes in every}
    assert len(extents) == 1
    assert len(column_heads(figure)) == 7


def test_cut_through_the_peak_is_marked_and_says_where_it_is() -> None:
    z = noise()
    z[4, 5, 3] = 7.0
    heads = column_heads(draw_statmaps([make_row(z)], title="t"))
    assert [head for head in heads if "peak" in head] == ["z = \N{MINUS SIGN}11 mm  (peak)"]


@pytest.mark.parametrize(
    "affine",
    [STRAIGHT, STRAIGHT * [[-1], [1], [1], [1]], rotated(STRAIGHT, 15), rotated(STRAIGHT, -40)],
    ids=["left to right", "right to left", "tilted", "tilted back"],
)
def test_voxel_is_coloured_where_the_world_has_it(affine: FloatArray) -> None:
    z = noise()
    z[3, 16, 6] = 7.0
    x, y, up = (affine @ [3, 16, 6, 1])[:3]
    figure = draw_statmaps([make_row(z, affine)], title="t", cuts=[up])
    (axes,) = panels(figure)
    # A voxel is 3 mm wide, sampled every 1 mm; a tilted one is cut unevenly.
    assert shown_place(axes) == pytest.approx((x, y), abs=1.5)


def test_left_is_left_and_marked() -> None:
    axes = panels(draw_statmaps([make_row(noise())], title="t"))[0]
    left, right, _, _ = axes.images[0].get_extent()
    assert left < right
    assert axes.images[0].origin == "lower"
    marks = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert marks["L"] < 0.1
    assert marks["R"] > 0.9


def test_axes_swapped_in_the_file_change_nothing() -> None:
    z = noise()
    z[3, 16, 6] = 7.0
    swapped = StatRow(
        name="combined",
        z=z.transpose(2, 0, 1),
        background=np.ones((15, 21, 25)),
        affine=STRAIGHT[:, [2, 0, 1, 3]],
    )
    first = panels(draw_statmaps([make_row(z)], title="t"))
    second = panels(draw_statmaps([swapped], title="t"))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(overlay(a).filled(0), overlay(b).filled(0))


def test_only_voxels_beyond_the_threshold_are_coloured() -> None:
    z = noise()
    z[3, 16, 6], z[10, 16, 6], z[12, 5, 6] = 3.3, 3.28, -3.3
    (axes,) = panels(draw_statmaps([make_row(z)], title="t", cuts=[-2.0]))
    assert set(overlay(axes).compressed()) == {3.3, -3.3}


def test_all_rows_share_one_symmetric_scale_that_ends_beyond_the_largest_value() -> None:
    low, high = noise(), noise(1)
    low[3, 3, 3], high[4, 4, 4] = 4.0, -9.4
    figure = draw_statmaps([make_row(low), make_row(high)], title="t")
    assert {axes.images[1].get_clim() for axes in panels(figure)} == {(-10.0, 10.0)}


def test_colour_bar_is_labelled_and_marks_the_threshold() -> None:
    figure = draw_statmaps([make_row(noise())], title="t", threshold=2.5)
    (bar,) = [axes for axes in figure.axes if axes.get_title(loc="center") == "z"]
    minus = "\N{MINUS SIGN}"
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert labels == [f"{minus}4", f"{minus}2.5", "0", "2.5", "4"]
    assert bar.get_ylim() == (-4.0, 4.0)


def test_scale_of_an_f_test_starts_at_zero_and_has_no_cold_end() -> None:
    z = noise()
    z[3, 3, 3] = 9.4
    figure = draw_statmaps([make_row(z)], title="t", threshold=2.5, one_sided=True)
    assert {axes.images[1].get_clim() for axes in panels(figure)} == {(0.0, 10.0)}
    (bar,) = [axes for axes in figure.axes if axes.get_title(loc="center") == "z"]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["0", "2.5", "10"]
    colours = panels(figure)[0].images[1].get_cmap()
    red, _, blue, _ = colours(0.3)  # z = 3
    assert red > 2 * blue
    assert colours(0.1) == colours(0.2)  # z = 1 and z = 2 are below the threshold


def test_row_of_an_f_test_tells_no_minimum() -> None:
    z = noise()
    z[3, 3, 3] = 5.125
    text = row_texts(draw_statmaps([make_row(z)], title="t", one_sided=True))
    assert "peak z 5.12" in text
    assert "min z" not in text
    assert "1 voxels with z > 3.29" in text


def test_row_says_name_peak_place_minimum_and_extent() -> None:
    z = z_values(0, peak=5.125)
    text = row_texts(draw_statmaps([make_row(z, AFFINE, name="run-2")], title="face - house"))
    minus = "\N{MINUS SIGN}"
    for part in ("face - house", "run-2", "peak z 5.12", f"at (3, {minus}1, 0) mm"):
        assert part in text
    assert f"min z {minus}4.00" in text
    assert "2 voxels with |z| > 3.29" in text


def test_texts_of_flat_rows_do_not_overlap() -> None:
    z = np.full(LARGE, np.nan)
    z[:, 10:14] = noise()[:, 10:14]
    name = "ses-pre_acq-multiband4 dir-LR run-01 of a long name that takes lines"
    figure = draw_statmaps([make_row(z, name=name), make_row(z, name=name)], title="t")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.texts]
    assert len(boxes) == 5
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))


def test_map_without_anything_above_threshold_says_so() -> None:
    assert "No voxel with |z| > 3.29" in row_texts(draw_statmaps([make_row(noise())], title="t"))


def test_map_without_any_result_says_so() -> None:
    empty = make_row(np.full(SHAPE, np.nan), AFFINE)
    assert "no voxel has a result" in row_texts(draw_statmaps([empty], title="t"))


def test_without_background_the_voxels_with_a_result_are_grey() -> None:
    z = noise()
    z[:10] = np.nan
    row = StatRow(name="a", z=z, background=None, affine=STRAIGHT)
    (axes,) = panels(draw_statmaps([row], title="t", cuts=[1.0]))
    grey = axes.images[0].get_array()
    left, right, _, _ = axes.images[0].get_extent()
    x = np.linspace(left, right, grey.shape[1])
    assert grey[:, x < -2].max() == 0  # voxel 9 ends at x = -1.5
    assert grey[:, (x > 2) & (x < 28)].max() == pytest.approx(0.3)


def test_background_may_hold_nan() -> None:
    background = np.full(LARGE, 100.0)
    background[2] = np.nan
    row = StatRow(name="a", z=noise(), background=background, affine=STRAIGHT)
    (axes,) = panels(draw_statmaps([row], title="t", cuts=[1.0]))
    assert np.isfinite(axes.images[0].get_array()).all()


def test_whole_brain_at_two_millimetres_makes_a_small_file(tmp_path: Path) -> None:
    shape = (97, 115, 97)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-96, -132, -78)
    rng = np.random.default_rng(3)
    grid = np.stack(np.indices(shape), axis=-1)
    inside = (((grid - [48, 57, 48]) / [36, 46, 40]) ** 2).sum(axis=-1) < 1
    rows = []
    for name in ("combined (2 runs)", "run-1", "run-2"):
        z = np.where(inside, rng.standard_normal(shape), np.nan)
        background = np.where(inside, rng.normal(1000, 60, shape), rng.normal(20, 10, shape))
        rows.append(StatRow(name=name, z=z, background=background, affine=affine))
    path = save_figure(draw_statmaps(rows, title="noise"), tmp_path / "a.png")
    assert path.stat().st_size <= 400_000
    with Image.open(path) as image:
        assert image.width == 1400
