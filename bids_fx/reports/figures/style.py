"""The look of the figures, and how they are saved with the same bytes every time."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias

import numpy as np

from bids_fx.derivatives.write import write_bytes
from bids_fx.glm.design import Role
from bids_fx.reports.figures.places import FONT, Place, add_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    RcValue: TypeAlias = str | float | bool | list[str]

Arguments = ParamSpec("Arguments")

INK, FAINT = "#1c2733", "#8a939c"

#: Colours that people with colour blindness can tell apart (Okabe and Ito 2008).
ROLE_COLOURS: dict[Role, str] = {
    "condition": "#0072b2",
    "derivative": "#56b4e9",
    "confound": "#7f8790",
    "censored": "#d55e00",
    "drift": "#e69f00",
    "constant": "#3a3f45",
}

#: PNG figures are 14 inches wide.
DOTS_PER_INCH = 100

#: Names come from the data: a dollar sign in them is no formula (`parse_math`). Text in an SVG
#: stays text, so that the browser finds the letters that matplotlib's own font lacks.
_STYLE: dict[str, RcValue] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "font.family": [FONT],
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "bids_fx",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw in the program's style, whatever the user's matplotlib settings are."""

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        import matplotlib as mpl

        with mpl.rc_context(), warnings.catch_warnings():
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            _allow_any_letter()
            return draw(*args, **kwargs)

    return drawn


def save_figure(figure: Figure, path: Path) -> Path:
    """Save a figure; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        What to save.
    path : Path
        Ends in ``.svg`` or ``.png``; written to a temporary name, then renamed.

    Returns
    -------
    Path
        `path`.

    Notes
    -----
    No date and no version is written, and the ids in an SVG are hashes of what they name. A PNG
    gets a palette of 256 colours: half the size, and no channel is off by more than some 4 of 255.
    """
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        _allow_any_letter()
        content = _as_svg(figure) if path.suffix == ".svg" else _as_png(figure)
    write_bytes(path, content)
    return path


def colour_bar(
    figure: Figure,
    place: Place,
    colours: str | Colormap,
    ends: tuple[float, float],
    ticks: Mapping[float, str],
) -> Axes:
    """Draw a colour bar; matplotlib's own takes as long as a whole picture.

    Parameters
    ----------
    figure : Figure
        Where to draw it.
    place : tuple of 4 float
        As `add_axes` takes it.
    colours : str or Colormap
        Or the name of one.
    ends : tuple of 2 float
        The least and the greatest value.
    ticks : mapping of float to str
        Text at the right of each value.

    Returns
    -------
    Axes
        Its y axis has the values.
    """
    axes = add_axes(figure, place)
    ramp = np.linspace(0.0, 1.0, 256)[:, None]
    axes.imshow(ramp, cmap=colours, aspect="auto", origin="lower", extent=(0.0, 1.0, *ends))
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks(list(ticks), list(ticks.values()))
    return axes


def message_figure(message: str) -> Figure:
    """Return a small figure that says why there is nothing to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.9))
    label: Text = figure.text(0.5, 0.5, message, ha="center", va="center", color=INK)
    label.set_wrap(True)
    return figure


def _allow_any_letter() -> None:
    """Let names hold letters that the font lacks: a box is drawn, or the browser's own font."""
    warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)


def _as_svg(figure: Figure) -> bytes:
    """Return a figure as SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _as_png(figure: Figure) -> bytes:
    """Return a figure as PNG with a palette of at most 256 colours, without dithering."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = canvas.buffer_rgba()
    # The same memory, not a copy; figures of many runs are large.
    pixels = Image.frombuffer("RGBA", drawn.shape[1::-1], drawn, "raw", "RGBA", 0, 1)
    flat = pixels.convert("RGB").quantize(
        256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    buffer = io.BytesIO()
    # The highest level would take four times as long for a file that is 4 % smaller.
    flat.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
