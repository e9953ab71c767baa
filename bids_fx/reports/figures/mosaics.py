"""What mosaics share: dark paper, a head with title and scale, and panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.places import POINTS_PER_INCH, add_axes, text_width
from bids_fx.reports.figures.style import DOTS_PER_INCH
from bids_fx.reports.wording import MINUS, number, shorten

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Pixels = npt.NDArray[np.uint8]

#: In pixels: the whole figure, what is free at its left and right, between panels, between groups
#: of panels, and the head.
WIDTH, MARGIN, GAP, WIDE_GAP, HEAD = 1400, 14, 6, 14, 88
PAPER, LIGHT, DIM = "#0c0e11", "#f1f3f5", "#a7b0b9"
#: The highest panel in pixels.
TALLEST = 320
#: Where no value is shown.
NEUTRAL = "#2b2f34"

_BAR_WIDTH, _BAR_HEIGHT = 300, 11
_TITLE_SIZE, _TEXT_SIZE = 13.0, 9.5


class Bar(NamedTuple):
    """A colour scale.

    Attributes
    ----------
    name : str
        What is coloured, with units.
    low, high : float
        Its ends, which are labelled below.
    marks : tuple of float
        Values within that are labelled above, ascending.
    colours : Colormap
        From `low` to `high`.
    """

    name: str
    low: float
    high: float
    marks: tuple[float, ...]
    colours: Colormap


class Column(NamedTuple):
    """What stands above one panel or several, whose left edge and width are in pixels."""

    left: int
    width: int
    text: str
    is_strong: bool = False


def new_band(height: int) -> Figure:
    """Return an empty part of a figure, with a height in pixels."""
    from matplotlib.figure import Figure

    size = (WIDTH / DOTS_PER_INCH, height / DOTS_PER_INCH)
    return Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor=PAPER)


def write_head(figure: Figure, title: str, text: str, columns: Sequence[Column], bar: Bar) -> None:
    """Write title and explanation, draw the colour bar and write what the columns are."""
    from bids_fx.reports.figures.labels import Labels

    total = round(figure.get_figheight() * DOTS_PER_INCH)
    free = WIDTH - 3 * MARGIN - _BAR_WIDTH - pixels_wide(bar.name, 11.0, bold=True) - 30
    title = fitting(title, free, _TITLE_SIZE, bold=True)
    write(figure, MARGIN, total - 22, title, _TITLE_SIZE, LIGHT, bold=True)
    write(figure, MARGIN, total - 46, fitting(text, free, _TEXT_SIZE), _TEXT_SIZE, DIM)
    _draw_bar(figure, bar, total)
    heads = Labels(
        np.array([(one.left + one.width / 2, total - HEAD + 10) for one in columns]),
        [fitting(one.text, one.width + 2 * GAP, _TEXT_SIZE, bold=True) for one in columns],
        transform=figure.dpi_scale_trans.frozen().scale(1 / DOTS_PER_INCH),
        size=_TEXT_SIZE,
        colours=[LIGHT if one.is_strong else DIM for one in columns],
        bold=[one.is_strong for one in columns],
    )
    figure.add_artist(heads)


def write(
    figure: Figure, left: float, middle: float, text: str, size: float, colour: str, **font: bool
) -> float:
    """Write a line at a place in pixels; return where it ends."""
    bold = font.get("bold", False)
    width, height = figure.get_size_inches() * DOTS_PER_INCH
    figure.text(
        left / width,
        middle / height,
        text,
        size=size,
        color=colour,
        weight="bold" if bold else "normal",
        va="center",
    )
    return left + pixels_wide(text, size, bold=bold)


def level_told(level: float) -> str:
    """Return where an axial cut is.

    Examples
    --------
    >>> level_told(12.4)
    'z = 12 mm'
    """
    return f"z = {number(round(level) + 0.0, 0)} mm"


def mark_sides(figure: Figure, panels: Sequence[tuple[int, int, int, tuple[str, str]]]) -> None:
    """Mark the sides of panels: left edge, width and upper edge in pixels, and both letters."""
    from bids_fx.reports.figures.labels import Labels

    places, texts = [], []
    for left, width, top, (first, second) in panels:
        places += [(left + 9, top - 11), (left + width - 9, top - 11)]
        texts += [first, second]
    marks = Labels(
        np.array(places, dtype=np.float64),
        texts,
        transform=figure.dpi_scale_trans.frozen().scale(1 / DOTS_PER_INCH),
        size=10.0,
        colours=[LIGHT] * len(texts),
        bold=[True] * len(texts),
    )
    figure.add_artist(marks)


def blank(height: int, width: int) -> Pixels:
    """Return dark paper, as red, green and blue of each pixel."""
    from matplotlib.colors import to_rgb

    paper = np.empty((height, width, 3), np.uint8)
    paper[...] = np.rint(np.multiply(to_rgb(PAPER), 255))
    return paper


def beside(panels: Sequence[Pixels], lefts: Sequence[int], height: int) -> Pixels:
    """Return panels as one picture on dark paper, each in the middle of its height.

    Parameters
    ----------
    panels : sequence of ndarray of shape (n_rows, n_columns, 3)
        Red, green and blue.
    lefts : sequence of int
        Left edge of each in the picture.
    height : int
        Rows of the picture.
    """
    picture = blank(height, lefts[-1] + panels[-1].shape[1])
    for panel, left in zip(panels, lefts, strict=True):
        top = (height - len(panel)) // 2
        picture[top : top + len(panel), left : left + panel.shape[1]] = panel
    return picture


def pixels_wide(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in pixels."""
    return text_width(text, size, bold=bold) * DOTS_PER_INCH / POINTS_PER_INCH


def fitting(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Return a text on one line, its middle left out where it is wider than some pixels."""
    line = " ".join(text.split())
    length = len(line)
    while length > 1 and pixels_wide(shorten(line, length), size, bold=bold) > width:
        length = max(1, int(length * 0.9))
    return shorten(line, length)


def _draw_bar(figure: Figure, bar: Bar, total: int) -> None:
    """Draw the colour bar at the right of the head: marks above, ends below."""
    left, middle = WIDTH - MARGIN - _BAR_WIDTH - 12, total - 33
    width, height = figure.get_size_inches() * DOTS_PER_INCH
    place = (
        left / width,
        (middle - _BAR_HEIGHT / 2) / height,
        _BAR_WIDTH / width,
        _BAR_HEIGHT / height,
    )
    axes = add_axes(figure, place)
    extent = (bar.low, bar.high, 0.0, 1.0)
    ramp = np.linspace(0.0, 1.0, 512)[None]
    axes.imshow(ramp, cmap=bar.colours, aspect="auto", origin="lower", extent=extent)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_edgecolor(DIM)
    start = left - 10 - pixels_wide(bar.name, 11.0, bold=True)
    write(figure, start, middle, bar.name, 11.0, LIGHT, bold=True)
    per_unit = _BAR_WIDTH / (bar.high - bar.low)
    for value, side in _labelled(bar):
        text = f"{value:.3g}".replace("-", MINUS)
        wide = pixels_wide(text, 8.5)
        x = left + (value - bar.low) * per_unit - wide * side
        is_end = value in {bar.low, bar.high}
        write(figure, x, middle + (-15 if is_end else 14), text, 8.5, LIGHT)


def _labelled(bar: Bar) -> list[tuple[float, float]]:
    """Return the values that are labelled, and which share of a label is left of its value."""
    ends = [(bar.low, 0.5), (bar.high, 0.5)]
    within = [value for value in bar.marks if bar.low < value < bar.high]
    if bar.low >= 0:
        return ends + [(value, 0.5) for value in within]
    # Marks on both sides of 0 may be close: their labels point away from each other.
    return ends + [(value, 0.1 if value > 0 else 0.9) for value in within]
