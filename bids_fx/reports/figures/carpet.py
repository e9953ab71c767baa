"""Figure of a run's residuals: each scan beside what the head did in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.timeseries import CARPET_LIMIT, QualityTraces
from bids_fx.reports.figures.motion import (
    CENSORED_COLOUR,
    SCAN_LABEL,
    censored_title,
    draw_limit,
    mark_censored,
)
from bids_fx.reports.figures.places import Place, Room, add_axes
from bids_fx.reports.figures.style import INK, colour_bar, styled
from bids_fx.reports.wording import brief
from bids_fx.traces import FD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

#: Inches of a panel of a trace, of the carpet, and between them.
_TRACE_INCHES, _CARPET_INCHES, _GAP_INCHES = 0.95, 3.2, 0.12
_COLOURS = "gray"
#: Shades of the carpet: nobody tells more of them in noise, and more make the file twice as large.
_SHADES = 32


@styled
def draw_carpet(traces: QualityTraces, carpet: FloatArray) -> Figure:
    """Draw displacement, residuals' spread and the residuals themselves over the same scans.

    Parameters
    ----------
    traces : QualityTraces
        Its displacement may be missing; scans that are censored are marked.
    carpet : ndarray of shape (n_rows, n_scans)
        Residuals in standard deviations of each row; NaN in censored scans.

    Returns
    -------
    Figure
        One axes of the displacement, if there is one, of the residuals' standard deviation over
        voxels, of the carpet, and of its colour bar.
    """
    from matplotlib.figure import Figure

    columns = traces.columns
    panels = [("FD (mm)", columns[FD])] if FD in columns else []
    panels.append(("residual SD", columns["residual_sd"]))
    n_scans = carpet.shape[1]
    room = Room(left=0.85, right=0.9, top=0.3, bottom=0.5)
    above = len(panels) * (_TRACE_INCHES + _GAP_INCHES)
    figure = Figure(figsize=(7.6, room.top + above + _CARPET_INCHES + room.bottom))
    left, bottom, width, _ = room.within(figure)
    inches = figure.get_figheight()
    for index, (label, values) in enumerate(panels):
        below = _CARPET_INCHES + (len(panels) - 1 - index) * _TRACE_INCHES
        below += (len(panels) - index) * _GAP_INCHES
        place = (left, bottom + below / inches, width, _TRACE_INCHES / inches)
        axes = _draw_trace(figure, place, label, values)
        mark_censored(axes, traces.censored)
        if label == "FD (mm)":
            draw_limit(axes, traces.fd_limit_mm)
    figure.axes[0].set_title(censored_title(len(traces.censored), n_scans))
    _draw_image(figure, (left, bottom, width, _CARPET_INCHES / inches), carpet)
    return figure


def _draw_trace(figure: Figure, place: Place, label: str, values: FloatArray) -> Axes:
    """Draw one trace over the scans; a scan between two without a value is a point."""
    axes = add_axes(figure, place)
    axes.plot(values, color=INK, linewidth=0.9, marker=".", markersize=1.5)
    axes.set_ylabel(label)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_ylim(bottom=0.0)
    axes.tick_params(axis="x", labelbottom=False)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _draw_image(figure: Figure, place: Place, carpet: FloatArray) -> None:
    """Draw the carpet with its colour bar."""
    import matplotlib as mpl

    axes = add_axes(figure, place)
    colours = (
        mpl.colormaps[_COLOURS].resampled(_SHADES).with_extremes(bad=_tint(CENSORED_COLOUR, 0.25))
    )
    # Without interpolation an SVG holds a pixel for each value, not for each dot of a screen.
    axes.imshow(
        carpet,
        cmap=colours,
        vmin=-CARPET_LIMIT,
        vmax=CARPET_LIMIT,
        aspect="auto",
        interpolation="none",
    )
    axes.set_yticks([])
    axes.set_ylabel("voxels, most global on top")
    axes.yaxis.set_label_coords(-0.03, 0.5)
    axes.set_xlabel(SCAN_LABEL)
    left, bottom, width, height = place
    inches = figure.get_figwidth()
    ends = (-CARPET_LIMIT, CARPET_LIMIT)
    ticks = {value: brief(value) for value in np.linspace(*ends, 5).tolist()}
    bar = colour_bar(
        figure,
        (left + width + 0.12 / inches, bottom, 0.15 / inches, height),
        _COLOURS,
        ends,
        ticks,
    )
    bar.yaxis.set_label_position("right")
    bar.yaxis.set_label_coords(1 + 0.42 / 0.15, 0.5)
    bar.set_ylabel("residual (SD of the row)", va="top")


def _tint(colour: str, share: float) -> tuple[float, ...]:
    """Return a colour as it looks on white where only a share of it covers."""
    from matplotlib.colors import to_rgb

    return tuple(1 - share * (1 - channel) for channel in to_rgb(colour))
