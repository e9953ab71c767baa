"""Where axes and texts stand in a figure, so that nothing is drawn twice to find out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.transforms import Transform

FONT = "DejaVu Sans"
POINTS_PER_INCH = 72

#: Left, bottom, width and height as shares of the figure.
Place = tuple[float, float, float, float]

#: Inches from axes to the labels of their axes, with the ticks' numbers between.
_LABEL_BELOW, _LABEL_LEFT = 0.27, 0.48


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is left free around the axes of a figure, in inches."""

    left: float
    right: float
    top: float
    bottom: float

    def within(self, figure: Figure) -> Place:
        """Return the place that is left for axes."""
        width, height = figure.get_size_inches().tolist()
        # However long a name is, something of the axes is to be seen.
        wide = max(width - self.left - self.right, 0.5)
        high = max(height - self.top - self.bottom, 0.5)
        return self.left / width, self.bottom / height, wide / width, high / height

    def above(self, figure: Figure, *, gap: float, height: float) -> Place:
        """Return the place of a strip above the axes."""
        left, bottom, width, high = self.within(figure)
        inches = figure.get_figheight()
        return left, bottom + high + gap / inches, width, height / inches

    def stacked(self, figure: Figure, number: int, *, gap: float) -> list[Place]:
        """Return places of the same size, one below the other, the first at the top."""
        left, bottom, width, height = self.within(figure)
        between = gap / figure.get_figheight()
        each = (height - between * (number - 1)) / number
        return [
            (left, bottom + index * (each + between), width, each)
            for index in reversed(range(number))
        ]

    def square(self, figure: Figure) -> Room:
        """Return room for axes that are as wide as high, at the upper left of this room."""
        width, height = figure.get_size_inches().tolist()
        excess = (width - self.left - self.right) - (height - self.top - self.bottom)
        return replace(
            self, right=self.right + max(excess, 0.0), bottom=self.bottom + max(-excess, 0.0)
        )


def add_axes(figure: Figure, place: Place) -> Axes:
    """Add axes whose labels have places of their own.

    Notes
    -----
    To find a place, matplotlib measures the number at every tick, of axes without a label too.
    """
    axes = figure.add_axes(place)
    width, height = figure.get_size_inches().tolist()
    axes.xaxis.set_label_coords(0.5, -_LABEL_BELOW / (place[3] * height))
    axes.yaxis.set_label_coords(-_LABEL_LEFT / (place[2] * width), 0.5)
    return axes


def shift(axes: Axes, x: float, y: float) -> Transform:
    """Return a shift by inches."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(x, y, axes.figure.dpi_scale_trans)


def longest_inches(texts: Sequence[str], size: float, bold: Sequence[bool] | None = None) -> float:
    """Return the width of the longest of some texts in inches; 0 without any.

    Parameters
    ----------
    texts : sequence of str
        Each is written in one line.
    size : float
        In points.
    bold : sequence of bool or None
        Which texts are bold; None means none.
    """
    heavy = bold if bold is not None else (False,) * len(texts)
    widths = (
        text_width(one_line(text), size, bold=is_bold)
        for text, is_bold in zip(texts, heavy, strict=True)
    )
    return max(widths, default=0.0) / POINTS_PER_INCH


def one_line(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.splitlines())


@cache
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text of one line in points."""
    return _measure(text, find_font(size, bold=bold))[0]


@cache
def line_middle(size: float) -> float:
    """Return how far a line's middle is above its base in points, as matplotlib centres it."""
    _, height, descent = _measure("lp", find_font(size))
    return height / 2 - descent


def drawable(name: str, otherwise: str) -> str:
    """Return a name, or what is to stand for it where the figures' font lacks one of its letters.

    For pictures of pixels: in an SVG the browser finds every letter.

    Examples
    --------
    >>> drawable("façade > 0", "contrast-1"), drawable("人脸 > 0", "contrast-1")
    ('façade > 0', 'contrast-1')
    """
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(find_font(10.0, bold=True)))
    known = all(font.get_char_index(ord(letter)) for letter in name if not letter.isspace())
    return name if known else otherwise


@cache
def find_font(size: float, *, bold: bool = False) -> FontProperties:
    """Return the figures' font in a size in points."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(
        family=FONT,
        style="normal",
        variant="normal",
        stretch="normal",
        weight="bold" if bold else "normal",
        size=size,
    )


def _measure(text: str, font: FontProperties) -> tuple[float, float, float]:
    """Return width, height and descent of a text in points."""
    from matplotlib.textpath import text_to_path

    width, height, descent = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width), float(height), float(descent)
