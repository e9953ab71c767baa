"""The look of the figures, and how they are saved with the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.write import write_bytes
from bids_fx.glm.design import Role
from bids_fx.reports.figures.places import FONT, Place, add_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from PIL.Image import Image

    RcValue: TypeAlias = str | float | bool | list[str]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

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


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Draw or save in the program's style, whatever the user's matplotlib settings are."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        import matplotlib as mpl

        with mpl.rc_context(), warnings.catch_warnings():
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            _allow_any_letter()
            return draw(*args, **kwargs)

    return drawn


@styled
def save_figure(figure: Figure, path: Path) -> Path:
    """Save a figure as SVG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        What to save.
    path : Path
        Written to a temporary name, then renamed.

    Returns
    -------
    Path
        `path`.

    Notes
    -----
    No date and no version is written, and the ids are hashes of what they name.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    write_bytes(path, buffer.getvalue())
    return path


@styled
def save_bands(bands: Iterable[Figure], path: Path) -> Path:
    """Save a picture as PNG that is drawn in bands; the same bands give the same bytes.

    Parameters
    ----------
    bands : iterable of Figure
        From the top of the picture down, of the same width; at least one. None is held while
        the next is drawn: of those before, one byte a pixel is kept.
    path : Path
        Written to a temporary name, then renamed.

    Returns
    -------
    Path
        `path`.

    Notes
    -----
    No date and no version is written. The palette is that of the 256 colours that represent the
    first band best, so all that occurs should occur there: half the size, and no channel is off
    by more than some 4 of 255.
    """
    from PIL import Image

    drawn = map(_rasterize, bands)
    first = next(drawn).quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette = np.reshape(np.array(first.getpalette(), np.uint8), (-1, 3))
    indices = bytearray(first.tobytes())
    for below in map(partial(_nearest, palette), drawn):
        indices += below.tobytes()
    size = (first.width, len(indices) // first.width)
    whole = Image.frombuffer("P", size, indices, "raw", "P", 0, 1)
    whole.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    # The highest level would take four times as long for a file that is 4 % smaller.
    whole.save(buffer, format="PNG", compress_level=6)
    write_bytes(path, buffer.getvalue())
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


def _rasterize(figure: Figure) -> Image:
    """Return the pixels of a figure: red, green and blue."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = canvas.buffer_rgba()
    # The same memory, not a copy, until it is converted.
    pixels = Image.frombuffer("RGBA", drawn.shape[1::-1], drawn, "raw", "RGBA", 0, 1)
    return pixels.convert("RGB")


def _nearest(palette: npt.NDArray[np.uint8], pixels: Image) -> npt.NDArray[np.uint8]:
    """Return which colour of a palette, of shape (n, 3), is the nearest to each pixel.

    Pillow's own search rounds colours to multiples of 4, by which a band's paper would differ
    from that of the band above.
    """
    codes = np.zeros(pixels.size[::-1], np.int32)
    for channel in pixels.split():
        codes <<= 8
        codes |= np.asarray(channel)
    # Of 16 million colours some thousands occur; memory that stays 0 takes no room.
    table = np.zeros(1 << 24, np.uint8)
    table[codes] = 1
    found = np.flatnonzero(table)
    distances = np.zeros((len(found), len(palette)), np.int32)
    for shift, values in zip((16, 8, 0), palette.T.astype(np.int32), strict=True):
        distances += np.subtract.outer((found >> shift & 255).astype(np.int32), values) ** 2
    table[found] = distances.argmin(axis=1)
    return table[codes]
