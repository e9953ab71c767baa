"""Many short texts as one artist: matplotlib's own take a millisecond each, and its ticks two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.text import Text

from bids_fx.reports.figures.places import find_font, line_middle, one_line, text_width

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase
    from matplotlib.transforms import Transform

Align = Literal["left", "center", "right"]


class Labels(Artist):
    """Texts of one size, each of one line, in the middle of their places across the line.

    Parameters
    ----------
    places : ndarray of shape (n, 2)
        In the units of `transform`.
    texts : sequence of str
        One a place.
    transform : Transform
        From places to the figure's pixels.
    size : float
        In points.
    colours : sequence of str
        One a text.
    bold : sequence of bool or None
        Which texts are bold; None means none.
    align : str
        Which end of a text stands at its place, or its ``center``.
    upwards : bool
        Whether texts are read upwards, turned by 90 degrees.
    """

    def __init__(
        self,
        places: npt.NDArray[np.float64],
        texts: Sequence[str],
        *,
        transform: Transform,
        size: float,
        colours: Sequence[str],
        bold: Sequence[bool] | None = None,
        align: Align = "center",
        upwards: bool = False,
    ) -> None:
        super().__init__()
        self.places = places
        self.texts = tuple(map(one_line, texts))
        self.colours = tuple(colours)
        self.bold = tuple(bold) if bold is not None else (False,) * len(self.texts)
        self.size = size
        self.align = align
        self.upwards = upwards
        self.set_transform(transform)
        self.set_zorder(3)

    def draw(self, renderer: RendererBase) -> None:
        """Draw all texts."""
        gc = renderer.new_gc()
        # In an SVG its place and alignment hold whatever font the browser has.
        anchor = Text(ha=self.align, rotation_mode="anchor", transform=None)
        along = np.array([0.0, 1.0] if self.upwards else [1.0, 0.0])
        across = np.array([-1.0, 0.0] if self.upwards else [0.0, 1.0])
        pixels = float(np.asarray(renderer.points_to_pixels(1.0)))
        middle = line_middle(self.size) * pixels
        share = {"left": 0.0, "center": 0.5, "right": 1.0}[self.align]
        _, height = renderer.get_canvas_width_height()
        for place, text, colour, bold in zip(
            self.get_transform().transform(self.places),
            self.texts,
            self.colours,
            self.bold,
            strict=True,
        ):
            base = place - middle * across
            anchor.set_position(tuple(base))
            gc.set_foreground(colour)
            x, y = base - share * pixels * text_width(text, self.size, bold=bold) * along
            renderer.draw_text(
                gc,
                x,
                height - y if renderer.flipy() else y,
                text,
                find_font(self.size, bold=bold),
                90.0 if self.upwards else 0.0,
                ismath=False,
                mtext=anchor,
            )
        gc.restore()
