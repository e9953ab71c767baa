"""Mosaics of z maps: cuts, sides, scale and numbers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from bids_fx.report_settings import Threshold
from bids_fx.reports.figures import StatRow, choose_cuts, draw_statmaps, save_bands
from bids_fx.reports.figures.cuts import Window, find_extent, sample
from bids_fx.reports.figures.labels import Labels
from bids_fx.reports.maps import Volume
from tests.small_plans import AFFINE, SHAPE, z_values

FloatArray = npt.NDArray[np.float64]

#: Voxels of 3 mm along the world's axes, from left, back and bottom.
STRAIGHT = np.array([[3.0, 0, 0, -30.0], [0, 3.0, 0, -40.0], [0, 0, 3.0, -20.0], [0, 0, 0, 1.0]])
LARGE = (21, 25, 15)
CUTOFF = 3.29
#: What |z| > 2.5 is.
LOWER = Threshold(error_rate=0.012419330651552265)


def rotated(affine: FloatArray, degrees: float) -> FloatArray:
    """Return an affine turned about the left-right axis, as scanners tilt their slices."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ affine


def make_row(z: FloatArray, affine: FloatArray = STRAIGHT, name: str = "combined") -> StatRow:
    background = Volume(data=np.ones(z.shape), affine=affine)
    return StatRow(name=name, z=z, affine=affine, background=lambda: background)


def noise(seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).uniform(0.1, 1.0, LARGE)


def draw(rows: Iterable[StatRow], title: str = "t", **options: Any) -> Figure:
    """Return the figure of a few rows: one band."""
    (figure,) = draw_statmaps(rows, title=title, **{"threshold": Threshold(), **options})
    return figure


def window_of(row: StatRow) -> Window:
    low, high = find_extent(np.isfinite(row.z), row.affine)
    return Window.around(low[:2], high[:2], 0.5)


def coloured(row: StatRow, level: float, cutoff: float = 3.29) -> tuple[FloatArray, Window]:
    """Return what is above a cutoff at one cut, NaN elsewhere, and its window."""
    window = window_of(row)
    _, z = sample(row, [level], window)
    return np.where(np.abs(z[0]) > cutoff, z[0], np.nan), window


def shades(row: StatRow, level: float) -> tuple[FloatArray, Window]:
    """Return the background at one cut."""
    window = window_of(row)
    grey, _ = sample(row, [level], window)
    return grey[0], window


def strips(figure: Figure) -> list[npt.NDArray[np.uint8]]:
    """Return the rows' images, without their opacity."""
    return [image.get_array()[..., :3] for image in figure.images]


def is_hot(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    red, _, blue = np.moveaxis(pixels.astype(int), -1, 0)
    return red > blue + 60


def column_heads(figure: Figure) -> list[str]:
    return [text for text in small_texts(figure) if text.startswith("z = ")]


def small_texts(figure: Figure) -> list[str]:
    return [text for labels in figure.findobj(Labels) for text in labels.texts]


def cut_strips(figure: Figure) -> list[npt.NDArray[np.uint8]]:
    """Return of each row the picture of its first cut: behind three views of the glass brain."""
    (heads,) = [one for one in figure.findobj(Labels) if any("z = " in t for t in one.texts)]
    left, width = heads.places[1, 0], heads.places[2, 0] - heads.places[1, 0]
    start = round(left - width / 2) - figure.images[0].ox + 3
    return [strip[:, start : start + round(width) - 6] for strip in strips(figure)]


def bar_labels(figure: Figure) -> list[str]:
    """Return what is written at the colour bar, from the left."""
    box = figure.axes[0].get_window_extent()
    near = [text for text in figure.texts if text.get_window_extent().x0 > box.x0 - 30]
    return [text.get_text() for text in sorted(near, key=lambda text: text.get_window_extent().x0)]


def row_texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_one_cut_goes_through_the_peak() -> None:
    z = noise()
    z[4, 5, 3] = 7.0
    assert -20.0 + 3 * 3.0 in choose_cuts(z, STRAIGHT, CUTOFF)


def test_cuts_follow_the_largest_absolute_value() -> None:
    z = noise()
    z[4, 5, 3], z[2, 2, 12] = 5.0, -9.0
    cuts = choose_cuts(z, STRAIGHT, CUTOFF)
    assert -20.0 + 12 * 3.0 in cuts
    figure = draw([make_row(z)])
    told = row_texts(figure)
    heads = [text for label in figure.findobj(Labels) for text in label.texts]
    assert [head for head in heads if "peak" in head] == ["z = 16 mm (peak)"]
    assert "peak z \N{MINUS SIGN}9.00 at " in told
    assert "max z 5.00" in told


def test_cuts_are_six_ascending_and_at_least_a_voxel_apart() -> None:
    z = noise()
    z[4, 5, 7] = 7.0
    cuts = choose_cuts(z, STRAIGHT, CUTOFF)
    assert len(cuts) == 6
    assert min(high - low for low, high in pairwise(cuts)) >= 3.0


@pytest.mark.parametrize("middle", [0, 1, 8, 9])
def test_cuts_at_the_edge_of_a_coarse_map_show_each_another_slice(middle: int) -> None:
    coarse = np.diag([9.0, 9.0, 9.0, 1.0])
    z = np.random.default_rng(1).normal(size=(8, 8, 10))
    z[4, 5, middle] = 9.0
    cuts = choose_cuts(z, coarse, CUTOFF)
    assert cuts == pytest.approx([9.0 * min(max(middle - 2, 0), 4) + 9.0 * i for i in range(6)])


def test_cuts_of_a_thin_map_show_each_another_slice() -> None:
    z = np.full((8, 8, 6), np.nan)
    z[:, :, 1:5] = 1.0
    z[3, 3, [0, 5]] = 1.0
    z[4, 5, 1] = 9.0
    cuts = choose_cuts(z, np.diag([9.0, 9.0, 9.0, 1.0]), CUTOFF)
    assert cuts == pytest.approx([9.0 * i for i in range(6)])


def test_cuts_span_what_is_above_threshold() -> None:
    z = noise()
    z[:, :, 2:13] += 5.0
    z[0, 0, 8] = 9.0
    cuts = choose_cuts(z, STRAIGHT, CUTOFF)
    assert cuts[0] == pytest.approx(-20.0 + 2 * 3.0, abs=3.0)
    assert cuts[-1] == pytest.approx(-20.0 + 12 * 3.0, abs=3.0)


def test_cuts_without_anything_above_threshold_span_the_map() -> None:
    cuts = choose_cuts(noise(), STRAIGHT, CUTOFF)
    assert cuts[0] <= -10.0
    assert cuts[-1] >= 12.0


def test_cuts_of_an_empty_map_are_still_six() -> None:
    assert len(choose_cuts(np.full(LARGE, np.nan), STRAIGHT, CUTOFF)) == 6


def test_every_row_is_drawn_at_the_same_cuts_and_place() -> None:
    tilted = rotated(STRAIGHT, 20)
    z, turned = noise(), noise(1)
    z[10, 12, 7] = turned[10, 12, 7] = 7.0
    figure = draw([make_row(z), make_row(turned, tilted, "run-1")])
    first, second = figure.images
    assert first.get_array().shape == second.get_array().shape
    assert first.ox == second.ox
    assert len(column_heads(figure)) == 6


def test_rows_that_are_read_anew_are_drawn_alike_and_let_go_one_after_the_other() -> None:
    held = []

    class Anew:
        def __iter__(self) -> Iterator[StatRow]:
            read: list[weakref.ref[FloatArray]] = []
            for seed in range(5):
                row = make_row(noise(seed), name=f"run-{seed}")
                read.append(weakref.ref(row.z))
                held.append(sum(z() is not None for z in read))
                yield row
                del row

    kept = [make_row(noise(seed), name=f"run-{seed}") for seed in range(5)]
    anew = strips(draw(Anew()))
    for a, b in zip(anew, strips(draw(kept)), strict=True):
        np.testing.assert_array_equal(a, b)
    # Twice through the rows; the one before is held until the next has been read.
    assert len(held) == 10
    assert max(held) == 2


def test_cut_through_the_peak_is_marked_and_says_where_it_is() -> None:
    z = noise()
    z[4, 5, 3] = 7.0
    heads = column_heads(draw([make_row(z)]))
    assert [head for head in heads if "peak" in head] == ["z = \N{MINUS SIGN}11 mm (peak)"]


@pytest.mark.parametrize(
    "affine",
    [STRAIGHT, STRAIGHT * [[-1], [1], [1], [1]], rotated(STRAIGHT, 15), rotated(STRAIGHT, -40)],
    ids=["left to right", "right to left", "tilted", "tilted back"],
)
def test_voxel_is_coloured_where_the_world_has_it(affine: FloatArray) -> None:
    z = noise()
    z[3, 16, 6] = 7.0
    x, y, up = (affine @ [3, 16, 6, 1])[:3]
    shown, window = coloured(make_row(z, affine), up)
    rows, columns = np.nonzero(np.isfinite(shown))
    place = (window.xs[columns].mean(), window.ys[rows].mean())
    # A voxel is 3 mm wide; a tilted one is cut unevenly.
    assert place == pytest.approx((x, y), abs=1.0)


@pytest.mark.parametrize("degrees", [0, 15, -40])
def test_extent_is_that_of_all_voxels_with_a_result(degrees: float) -> None:
    covered = np.random.default_rng(0).random(LARGE) > 0.97
    affine = rotated(STRAIGHT * [[-1], [1], [1], [1]], degrees)
    every = np.argwhere(covered) @ affine[:3, :3].T + affine[:3, 3]
    low, high = find_extent(covered, affine)
    np.testing.assert_array_equal(low, every.min(axis=0))
    np.testing.assert_array_equal(high, every.max(axis=0))


def test_pixels_are_squares_and_their_window_has_a_margin_on_all_sides() -> None:
    window = Window.around(np.array([-70.0, -100.0]), np.array([70.0, 72.0]), 0.97)
    assert window.shape == (round(180 / 0.97), round(148 / 0.97))
    assert np.diff(window.xs) == pytest.approx(0.97)
    assert np.diff(window.ys) == pytest.approx(-0.97)
    half = window.pixel_mm / 2
    # Whole pixels: the size is right to half of one at either end.
    assert (window.xs[0] - half, window.xs[-1] + half) == pytest.approx((-74.0, 74.0), abs=half)
    assert (window.ys[-1] - half, window.ys[0] + half) == pytest.approx((-104.0, 76.0), abs=half)


def test_left_is_left_and_marked() -> None:
    z = noise()
    z[2, 20, 6] = 7.0  # x = -24 and y = 20 mm: at the left and in front
    figure = draw([make_row(z)], cuts=[-2.0, 4.0])
    (strip,) = cut_strips(figure)
    rows, columns = np.nonzero(is_hot(strip))
    height, width = strip.shape[:2]
    assert columns.max() < width / 4
    assert rows.max() < height / 4
    (heads, marks) = figure.findobj(Labels)
    assert marks.texts == ("P", "A", "L", "R", "L", "R", "L", "R")
    middle = heads.places[1, 0]
    left, right = marks.places[-2:, 0]
    assert middle - width / 2 < left < middle - 0.4 * width
    assert middle + 0.4 * width < right < middle + width / 2


def test_axes_swapped_in_the_file_change_nothing() -> None:
    z = noise()
    z[3, 16, 6] = 7.0
    swapped = make_row(z.transpose(2, 0, 1), STRAIGHT[:, [2, 0, 1, 3]])
    (first,) = strips(draw([make_row(z)]))
    (second,) = strips(draw([swapped]))
    np.testing.assert_array_equal(first, second)
    assert is_hot(first).any()


def test_only_voxels_beyond_the_threshold_are_coloured() -> None:
    z = noise()
    z[3, 16, 6], z[10, 16, 6], z[12, 5, 6] = 3.3, 3.28, -3.3
    shown, _ = coloured(make_row(z), -2.0)
    assert set(shown[np.isfinite(shown)]) == {3.3, -3.3}


def test_a_pixel_has_the_colour_of_its_value_and_the_grey_of_its_background() -> None:
    z = np.full(LARGE, 1.0)
    z[:7], z[14:] = 6.0, -6.0
    figure = draw([make_row(z)], cuts=[-2.0, 4.0])
    (strip,) = cut_strips(figure)
    middle = strip[len(strip) // 2]
    width = len(middle)
    assert is_hot(middle[width // 5])
    assert is_hot(middle[width - width // 5][::-1])
    red, green, blue = middle[width // 2].tolist()
    # The background is 1 throughout, which is 1 / 1.3 of white.
    assert red == green == blue == round(255 / 1.3)


def test_all_rows_share_one_symmetric_scale_that_ends_beyond_the_largest_value() -> None:
    low, high = noise(), noise(1)
    low[3, 3, 3], high[4, 4, 4] = 4.0, -9.4
    figure = draw([make_row(low), make_row(high)])
    (bar,) = figure.axes
    assert bar.get_xlim() == (-10.0, 10.0)
    assert {image.get_clim() for image in bar.images} == {(0.0, 1.0)}


def test_same_value_has_the_same_colour_in_every_row() -> None:
    low, high = noise(), noise(1)
    low[3, 16, 6] = high[3, 16, 6] = 4.0
    high[12, 5, 3] = 9.4
    first, second = strips(draw([make_row(low), make_row(high)], cuts=[-2.0]))
    hot = is_hot(first)
    assert hot.any()
    np.testing.assert_array_equal(first[hot], second[hot])


def test_colour_bar_is_labelled_and_marks_the_threshold() -> None:
    figure = draw([make_row(noise())], threshold=LOWER)
    minus = "\N{MINUS SIGN}"
    assert bar_labels(figure) == ["z", f"{minus}4", f"{minus}2.5", "2.5", "4"]
    assert figure.axes[0].get_xlim() == (-4.0, 4.0)


def test_scale_of_an_f_test_starts_at_zero_and_has_no_cold_end() -> None:
    z = noise()
    z[3, 3, 3] = 9.4
    figure = draw([make_row(z)], threshold=LOWER, one_sided=True)
    (bar,) = figure.axes
    assert bar.get_xlim() == (0.0, 10.0)
    assert bar_labels(figure) == ["z", "0", "2.5", "10"]
    colours = bar.images[0].get_cmap()
    red, _, blue, _ = colours(0.3)  # z = 3
    assert red > 2 * blue
    assert colours(0.1) == colours(0.2)  # z = 1 and z = 2 are below the threshold


def test_row_of_an_f_test_tells_no_minimum() -> None:
    z = noise()
    z[3, 3, 3] = 5.125
    text = row_texts(draw([make_row(z)], one_sided=True))
    assert "peak z 5.12" in text
    assert "min z" not in text
    assert "1 voxel with z > 3.29" in text


def test_row_says_name_peak_place_minimum_and_extent() -> None:
    z = z_values(0, peak=5.125)
    text = row_texts(draw([make_row(z, AFFINE, name="run-2")], title="face - house"))
    minus = "\N{MINUS SIGN}"
    for part in ("face - house", "run-2", "peak z 5.12", f"at (3, {minus}1, 0) mm"):
        assert part in text
    assert f"min z {minus}4.00" in text
    assert "2 voxels with |z| > 3.29" in text


def test_texts_of_flat_rows_with_hostile_names_do_not_overlap() -> None:
    z = np.full(LARGE, np.nan)
    z[:, 10:14] = noise()[:, 10:14]
    name = "ses-pre_acq-multiband4 dir-LR run-01 of a long name " * 3
    figure = draw([make_row(z, name=name), make_row(z, name=name)], title="$x$ <b> Größe " * 20)
    figure.draw_without_rendering()
    texts = [text for text in figure.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    panels = [
        Bbox.from_bounds(image.ox, image.oy, *image.get_array().shape[1::-1])
        for image in figure.images
    ]
    for box, other in combinations([*boxes, *panels], 2):
        assert not (box.fully_overlaps(other)), (box, other)
    assert min(box.x0 for box in boxes) > 0
    assert max(box.x1 for box in boxes) < 1400


def test_map_without_anything_above_threshold_says_so() -> None:
    assert "no voxels with |z| > 3.29" in row_texts(draw([make_row(noise())]))


def test_map_without_any_result_says_so() -> None:
    empty = make_row(np.full(SHAPE, np.nan), AFFINE)
    assert "no voxel has a result" in row_texts(draw([empty]))


def test_without_background_the_voxels_with_a_result_are_grey() -> None:
    z = noise()
    z[:10] = np.nan
    row = StatRow(name="a", z=z, affine=STRAIGHT, background=None)
    grey, window = shades(row, 1.0)
    x = window.xs
    assert grey[:, x < -2].max() == 0  # voxel 9 ends at x = -1.5
    inside = np.abs(window.ys + 4.0) < 37  # the margin around 25 voxels is empty
    assert grey[inside][:, (x > -1) & (x < 31)].min() == pytest.approx(0.3)


def test_background_may_hold_nan() -> None:
    background = np.full(LARGE, 100.0)
    background[2] = np.nan
    row = StatRow(
        name="a",
        z=noise(),
        affine=STRAIGHT,
        background=lambda: Volume(data=background, affine=STRAIGHT),
    )
    grey, _ = shades(row, 1.0)
    assert np.isfinite(grey).all()
    assert grey.max() == pytest.approx(1 / 1.3)


def test_background_on_a_finer_grid_is_shown_where_the_world_has_it() -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (-40.0, -50.0, -30.0)
    x = affine[0, 3] + np.arange(80.0)
    fine = np.broadcast_to(x[:, None, None] + 40.0, (80, 100, 60))
    row = StatRow(
        name="a",
        z=noise(),
        affine=STRAIGHT,
        background=lambda: Volume(data=fine, affine=affine),
    )
    grey, window = shades(row, -2.0)
    # White is 1.3 times the 99.5th percentile of what is in the map: x from -30 to 30 mm.
    expected = (window.xs + 40.0) / (1.3 * 70.0)
    np.testing.assert_allclose(grey, np.broadcast_to(expected, grey.shape), rtol=1e-12)


def test_background_that_ends_before_the_map_is_black_beyond() -> None:
    row = StatRow(
        name="a",
        z=noise(),
        affine=STRAIGHT,
        background=lambda: Volume(data=np.ones((11, 25, 15)), affine=STRAIGHT),
    )
    grey, window = shades(row, -2.0)
    inside = np.abs(window.ys + 4.0) < 35
    # The middles of its voxels are from x = -30 to 0.
    assert grey[inside][:, (window.xs > -30) & (window.xs < 0)].min() > 0.5
    assert grey[:, window.xs > 0.1].max() == 0


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
        mean = np.where(inside, rng.normal(1000, 60, shape), rng.normal(20, 10, shape))
        volume = Volume(data=mean, affine=affine)
        read = partial(replace, volume)
        rows.append(StatRow(name=name, z=z, affine=affine, background=read))
    path = save_bands(
        draw_statmaps(rows, title="noise", threshold=Threshold()), tmp_path / "a.png"
    )
    assert path.stat().st_size <= 400_000
    with Image.open(path) as image:
        assert image.width == 1400
