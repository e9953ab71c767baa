"""Forest plots and maps of heterogeneity: what is drawn where."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from bids_fx.report_settings import Threshold
from bids_fx.reports.figures import StatRow
from bids_fx.reports.figures.forest import ForestLine, ForestPeak, draw_forest
from bids_fx.reports.figures.heterogeneity import draw_heterogeneity
from bids_fx.reports.figures.labels import Labels
from bids_fx.reports.maps import Volume
from bids_fx.reports.thresholds import z_cutoff


def make_peak(n_lines: int = 3, **changes: object) -> ForestPeak:
    lines = tuple(
        ForestLine(
            name=f"run-{i + 1}",
            effect=1.0 + i,
            half_width=0.5,
            weight=(i + 1) / 6,
            z_without=5.0 - i,
        )
        for i in range(n_lines)
    )
    values = {
        "name": "Positive peak",
        "xyz": (3.0, -1.0, 0.0),
        "z": 6.0,
        "text": "Q = 4",
        "lines": lines,
        "combined": ForestLine(name="combined", effect=2.25, half_width=0.25),
    }
    return ForestPeak(**values | changes)


def draw(*peaks: ForestPeak) -> Figure:
    return draw_forest(peaks, title="face", units="% signal change", noun="run")


def names_of(figure: Figure) -> tuple[str, ...]:
    (labels,) = figure.findobj(Labels)
    return labels.texts


def test_each_line_has_its_effect_its_interval_and_its_weight() -> None:
    figure = draw(make_peak())
    effects, _ = figure.axes
    segments = np.array(effects.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 0], [[0.5, 1.5], [1.5, 2.5], [2.5, 3.5]])
    np.testing.assert_array_equal(segments[:, 0, 1], [0.0, -1.0, -2.0])
    marks = effects.collections[1]
    np.testing.assert_allclose(marks.get_offsets()[:, 0], [1.0, 2.0, 3.0])
    sizes = marks.get_sizes()
    np.testing.assert_allclose(sizes / sizes[0], [1.0, 2.0, 3.0])
    assert names_of(figure) == ("run-1", "run-2", "run-3", "combined")
    assert effects.get_xlabel() == "effect (% signal change), 95 % interval"


def test_the_diamond_is_as_wide_as_the_combined_interval() -> None:
    effects, _ = draw(make_peak()).axes
    (diamond,) = effects.patches
    assert (diamond.xy[:, 0].min(), diamond.xy[:, 0].max()) == (2.0, 2.5)
    # Below the three lines.
    assert diamond.xy[:, 1].max() < -2.0


def test_zero_is_in_sight_whatever_the_effects_are() -> None:
    for sign in (1.0, -1.0):
        lines = (ForestLine(name="a", effect=sign * 10, half_width=1.0, weight=1.0),)
        combined = ForestLine(name="combined", effect=sign * 10, half_width=1.0)
        effects, _ = draw(make_peak(lines=lines, combined=combined)).axes
        low, high = effects.get_xlim()
        assert low < 0 < high


def test_the_line_without_which_z_changes_most_is_marked() -> None:
    figure = draw(make_peak())
    without = figure.axes[1]
    lines, marks, combined = without.collections
    np.testing.assert_allclose(marks.get_offsets()[:, 0], [5.0, 4.0, 3.0])
    np.testing.assert_allclose(np.array(lines.get_segments())[:, :, 0].max(axis=1), 6.0)
    colours = [tuple(colour) for colour in marks.get_facecolors()]
    assert colours[0] == colours[1] != colours[2]
    assert combined.get_offsets()[0, 0] == 6.0


def test_a_line_without_a_result_says_so_and_keeps_its_place() -> None:
    gone = ForestLine(name="run-2", effect=math.nan, half_width=math.nan, weight=0.0)
    peak = make_peak()
    lines = (peak.lines[0], gone, peak.lines[2])
    figure = draw(make_peak(lines=lines))
    effects, without = figure.axes
    (text,) = [text for text in effects.texts if text.get_text() == "no result here"]
    assert text.get_position()[1] == -1.0
    np.testing.assert_allclose(effects.collections[1].get_offsets()[:, 0], [1.0, 3.0])
    assert len(without.collections[1].get_offsets()) == 2
    assert all(map(np.isfinite, (*effects.get_xlim(), *without.get_xlim())))


def test_both_peaks_stand_side_by_side_with_where_they_are() -> None:
    figure = draw(make_peak(), make_peak(name="Negative peak", z=-4.0))
    lefts = [axes.get_position().x0 for axes in figure.axes]
    rights = [axes.get_position().x1 for axes in figure.axes]
    assert len(lefts) == 4
    assert all(right < left for right, left in zip(rights, lefts[1:], strict=False))
    texts = [text.get_text() for text in figure.texts]
    minus = "\N{MINUS SIGN}"
    assert f"Positive peak: z = 6.00 at (3, {minus}1, 0) mm" in texts
    assert f"Negative peak: z = {minus}4.00 at (3, {minus}1, 0) mm" in texts


def test_many_lines_keep_their_distance() -> None:
    few, many = draw(make_peak(2)), draw(make_peak(64))
    pitch = [
        axes.get_window_extent().height / np.ptp(axes.get_ylim())
        for axes in (few.axes[0], many.axes[0])
    ]
    assert pitch[0] == pytest.approx(pitch[1], rel=0.02)
    assert len(names_of(many)) == 65


def test_without_a_peak_the_figure_says_so() -> None:
    assert [text.get_text() for text in draw().texts] == ["The combined map has no peak."]


AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def heterogeneity(z: np.ndarray, isq: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the pixels of one cut through the middle of maps on a black ground."""
    row = StatRow(name="combined", z=z, affine=AFFINE, background=None)
    volume = Volume(data=isq, affine=AFFINE)
    (figure,) = draw_heterogeneity(
        row, volume, title="t", text="", cuts=[9.0, 12.0], cutoff=cutoff
    )
    (image,) = figure.images
    return image.get_array()[:, : image.get_array().shape[1] // 2 - 6, :3].astype(int)


def test_i_squared_is_coloured_where_it_is_known() -> None:
    z, isq = np.full((12, 12, 8), 1.0), np.full((12, 12, 8), np.nan)
    isq[:4, :6], isq[:4, 6:], isq[4:8] = 0.0, 50.0, 100.0
    picture = heterogeneity(z, isq, np.inf)
    # The front is up.
    front, line = picture[len(picture) // 4], picture[len(picture) * 3 // 4]
    np.testing.assert_allclose(front[len(front) // 6], [0xC2, 0x40, 0x8A], atol=2)
    low, high, unknown = (line[len(line) * i // 6] for i in (1, 3, 5))
    assert low.tolist() == [0x2B, 0x2F, 0x34]
    assert high.tolist() == [0xFF, 0xF2, 0xB0]
    assert len(set(unknown.tolist())) == 1  # the ground alone


def test_what_is_above_the_threshold_is_outlined() -> None:
    z, isq = np.full((12, 12, 8), 1.0), np.zeros((12, 12, 8))
    z[4:8, 4:8] = 6.0
    light = (0xF1, 0xF3, 0xF5)
    outline = (heterogeneity(z, isq, z_cutoff(z, Threshold())) == light).all(axis=-1)
    rows, columns = np.nonzero(outline)
    inside = outline[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert inside[[0, -1]].all()
    assert inside[:, [0, -1]].all()
    assert not inside[1:-1, 1:-1].any()
    # A third of the map's 36 mm is as wide as its 4 voxels.
    assert np.ptp(columns) == pytest.approx(outline.shape[1] * 12 / 41, abs=2)
    assert not (heterogeneity(z, isq, np.inf) == light).all(axis=-1).any()
