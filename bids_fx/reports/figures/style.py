"""The look of the figures, and how they are saved with the same bytes every time."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias

from bids_fx.derivatives.write import write_bytes
from bids_fx.glm.design import Role

if TYPE_CHECKING:
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
    "font.family": ["DejaVu Sans"],
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

    buffer = io.BytesIO()
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        _allow_any_letter()
        if path.suffix == ".svg":
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_bytes(path, buffer.getvalue() if path.suffix == ".svg" else _with_palette(buffer))
    return path


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


def _with_palette(png: io.BytesIO) -> bytes:
    """Return a PNG with a palette of at most 256 colours, without dithering."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(png) as image:
        flat = image.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
        flat.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
