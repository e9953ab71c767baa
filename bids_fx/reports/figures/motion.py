"""Figure of a run's motion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.timeseries import QualityTraces
from bids_fx.reports.figures.places import Room, add_axes, longest_inches
from bids_fx.reports.figures.style import INK, message_figure, styled
from bids_fx.traces import FD, ROTATIONS, TRANSLATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

#: Colour of what is censored and of the limit that censors.
CENSORED_COLOUR = "#d55e00"
SCAN_LABEL = "scan (the first is 0)"
_AXIS_COLOURS = ("#0072b2", "#d55e00", "#009e73")
#: Points of the legends' names.
_LEGEND_SIZE = 8.0


@styled
def draw_motion(traces: QualityTraces) -> Figure:
    """Draw the motion parameters and the framewise displacement of a run.

    Parameters
    ----------
    traces : QualityTraces
        May lack any of these columns. Scans that are censored, for whatever reason, are marked
        in every panel, and the displacement's threshold, if there is one, is a line in its
        panel.

    Returns
    -------
    Figure
        One axes for each of translation (mm), rotation (degrees) and displacement (mm) that is
        there; a message where none is.
    """
    from matplotlib.figure import Figure

    values = traces.columns
    panels = [
        (label, [name for name in names if name in values], scale)
        for label, names, scale in (
            ("translation (mm)", TRANSLATIONS, 1.0),
            ("rotation (degrees)", ROTATIONS, 180.0 / np.pi),
            ("framewise\ndisplacement (mm)", (FD,), 1.0),
        )
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return message_figure("The confounds table has no motion parameters.")
    figure = Figure(figsize=(7.6, 0.8 + 1.55 * len(panels)))
    # A panel of one line needs no legend.
    legends = [name for _, names, _ in panels if len(names) > 1 for name in names]
    room = Room(left=0.85, right=0.55 + longest_inches(legends, _LEGEND_SIZE), top=0.3, bottom=0.5)
    every = [add_axes(figure, place) for place in room.stacked(figure, len(panels), gap=0.12)]
    n_scans = len(values[panels[0][1][0]])
    for axes, (label, names, scale) in zip(every, panels, strict=True):
        _draw_traces(axes, label, {name: values[name] * scale for name in names})
        mark_censored(axes, traces.censored)
        if names == [FD]:
            draw_limit(axes, traces.fd_limit_mm)
        axes.set_xlim(-0.5, n_scans - 0.5)
        axes.tick_params(axis="x", labelbottom=axes is every[-1])
    every[-1].set_xlabel(SCAN_LABEL)
    every[0].set_title(censored_title(len(traces.censored), n_scans))
    return figure


def _draw_traces(axes: Axes, label: str, traces: Mapping[str, FloatArray]) -> None:
    """Draw the columns of one panel over the scans."""
    for colour, (name, trace) in zip(_AXIS_COLOURS, traces.items(), strict=False):
        axes.plot(trace, color=INK if len(traces) == 1 else colour, linewidth=1.0, label=name)
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    if len(traces) > 1:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=_LEGEND_SIZE
        )


def draw_limit(axes: Axes, limit: float | None) -> None:
    """Draw the limit above which scans are censored, if there is one."""
    if limit is not None:
        axes.axhline(limit, color=CENSORED_COLOUR, linewidth=1.0, linestyle="--")


def mark_censored(axes: Axes, scans: Sequence[int]) -> None:
    """Shade the scans that are censored."""
    for scan in scans:
        axes.axvspan(scan - 0.5, scan + 0.5, color=CENSORED_COLOUR, alpha=0.25, linewidth=0)


def censored_title(n_censored: int, n_scans: int) -> str:
    """Say how many scans are censored."""
    if not n_censored:
        return "no scan is censored"
    return f"{n_censored} of {n_scans} scans are censored (shaded)"
