"""Texts as one artist, and the places of axes: where things stand."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import IdentityTransform

from bids_fx.reports.figures.labels import Labels
from bids_fx.reports.figures.places import Room, add_axes, longest_inches, text_width

#: An H is empty for a tenth of its size at either side (1.7 pixels), and is set to whole pixels.
PIXELS = 3.0


def drawn_box(figure: Figure) -> tuple[float, float, float, float]:
    """Return where ink is: left, right, lower and upper end in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    ink = np.asarray(canvas.buffer_rgba())[::-1, :, 0] < 128
    rows, columns = np.nonzero(ink)
    return columns.min(), columns.max() + 1, rows.min(), rows.max() + 1


def figure_of(text: str, **look: object) -> Figure:
    figure = Figure(figsize=(3.0, 3.0), dpi=100)
    place = np.array([[150.0, 150.0]])
    options = {"transform": IdentityTransform(), "size": 12.0, "colours": ["black"]}
    figure.add_artist(Labels(place, [text], **options | look))
    return figure


@pytest.mark.parametrize(("align", "share"), [("left", 0.0), ("center", 0.5), ("right", 1.0)])
def test_text_is_aligned_at_its_place(align: str, share: float) -> None:
    left, right, low, high = drawn_box(figure_of("HHHH", align=align))
    width = text_width("HHHH", 12.0) * 100 / 72
    assert left == pytest.approx(150 - share * width, abs=PIXELS)
    assert right == pytest.approx(150 + (1 - share) * width, abs=PIXELS)
    assert low < 150 < high


def test_text_that_is_read_upwards_begins_at_its_place() -> None:
    left, right, low, high = drawn_box(figure_of("HHHH", align="left", upwards=True))
    assert low == pytest.approx(150, abs=PIXELS)
    assert high == pytest.approx(150 + text_width("HHHH", 12.0) * 100 / 72, abs=PIXELS)
    assert left < 150 < right


def test_bold_text_is_wider_and_measured_so() -> None:
    assert longest_inches(["ii", "word"], 9.0, [False, True]) == pytest.approx(
        text_width("word", 9.0, bold=True) / 72
    )
    assert text_width("word", 9.0, bold=True) > text_width("word", 9.0)
    assert longest_inches([], 9.0) == 0


def test_svg_holds_each_text_once_with_its_alignment_colour_and_one_line() -> None:
    figure = figure_of("a\n<b>", align="right", colours=["#0072b2"])
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    (found,) = re.findall(r"<text [^>]*>[^<]*</text>", buffer.getvalue().decode())
    assert ">a &lt;b&gt;</text>" in found
    assert "text-anchor: end" in found
    assert "fill: #0072b2" in found


def test_axes_fill_what_the_room_leaves() -> None:
    figure = Figure(figsize=(8.0, 4.0))
    room = Room(left=1.0, right=0.5, top=0.25, bottom=0.75)
    assert room.within(figure) == pytest.approx((1 / 8, 0.75 / 4, 6.5 / 8, 3 / 4))
    assert room.above(figure, gap=0.05, height=0.1) == pytest.approx(
        (1 / 8, 3.8 / 4, 6.5 / 8, 0.1 / 4)
    )


@pytest.mark.parametrize("size", [(8.0, 4.0), (4.0, 8.0)])
def test_square_axes_stay_at_the_upper_left(size: tuple[float, float]) -> None:
    figure = Figure(figsize=size)
    room = Room(left=1.0, right=0.5, top=0.25, bottom=0.75).square(figure)
    assert (room.left, room.top) == (1.0, 0.25)
    _, _, width, height = room.within(figure)
    assert width * size[0] == pytest.approx(height * size[1])


def test_stacked_axes_are_of_one_height_from_top_to_bottom() -> None:
    figure = Figure(figsize=(5.0, 5.0))
    places = Room(left=0.5, right=0.5, top=0.5, bottom=0.5).stacked(figure, 3, gap=0.25)
    assert [place[3] for place in places] == pytest.approx([3.5 / 3 / 5] * 3)
    bottoms = [place[1] for place in places]
    assert bottoms == sorted(bottoms, reverse=True)
    assert bottoms[-1] == pytest.approx(0.1)
    assert bottoms[0] + places[0][3] == pytest.approx(0.9)


def test_labels_of_axes_stand_clear_of_the_numbers_at_their_ticks() -> None:
    figure = Figure(figsize=(5.0, 5.0), dpi=100)
    axes = add_axes(figure, (0.3, 0.3, 0.6, 0.6))
    axes.set_xlabel("below")
    axes.set_ylabel("at the left")
    axes.set_ylim(-0.95, -0.05)
    figure.draw_without_rendering()
    x_label, y_label = (axis.label.get_window_extent() for axis in (axes.xaxis, axes.yaxis))
    assert x_label.y1 < min(tick.get_window_extent().y0 for tick in axes.get_xticklabels())
    assert y_label.x1 < min(tick.get_window_extent().x0 for tick in axes.get_yticklabels())


def test_report_is_imported_without_matplotlib() -> None:
    code = "import sys, bids_fx.reports.html; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
