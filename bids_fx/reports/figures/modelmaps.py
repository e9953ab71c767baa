"""Figure of the maps of a run's model: each at the same axial cuts, with its own colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.cuts import N_CUTS, Window, find_extent, nearest, with_margin
from bids_fx.reports.figures.places import Place, add_axes
from bids_fx.reports.figures.style import DOTS_PER_INCH, colour_bar, message_figure, styled
from bids_fx.reports.maps import Volume, is_covered
from bids_fx.reports.wording import brief, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]

#: Pixels: the whole picture, the names at the left, the colour bars at the right, between cuts,
#: above the first row, and below the last.
_WIDTH, _NAMES, _BARS, _GAP, _HEAD, _FOOT = 1400, 150, 110, 6, 50, 30
#: Colours of what is from 0 up, and of what is on both sides of 0.
_SEQUENTIAL, _DIVERGING = "viridis", "RdBu_r"
#: Share of the voxels, in percent, that the colours tell apart.
_SHOWN_PERCENT = 98.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMap:
    """A map of a run's model.

    Parameters
    ----------
    name, units : str
        What it is called, and what its colour bar says.
    volume : Volume
        NaN where there is no result.
    is_signed : bool
        Whether its colours are on both sides of 0.
    """

    name: str
    units: str
    volume: Volume
    is_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A map's pixels, shape (n_rows, n_columns), and the ends of its colours."""

    name: str
    units: str
    pixels: FloatArray
    ends: tuple[float, float]


@styled
def draw_model_maps(maps: Iterable[ModelMap], *, title: str) -> Figure:
    """Draw maps at the same axial cuts, evenly spread over the first.

    Parameters
    ----------
    maps : iterable of ModelMap
        Each is let go before the next is taken.
    title : str
        Stands above the figure.

    Returns
    -------
    Figure
        For each map one axes with all its cuts and one of its colour bar; a message where the
        first map has no result.
    """
    from matplotlib.figure import Figure

    rows: list[_Row] = []
    levels: tuple[float, ...] = ()
    window = None
    for item in maps:
        if window is None:
            covered = is_covered(item.volume.data)
            if not covered.any():
                return message_figure("The model's maps have no voxel with a result.")
            levels, window = _frame(covered, item.volume.affine)
        rows.append(_sampled(item, levels, window))
        del item
    if window is None:
        return message_figure("The model has no maps.")
    high = window.shape[0]
    size = (_WIDTH, _HEAD + len(rows) * (high + _GAP) + _FOOT)
    figure = Figure(figsize=(size[0] / DOTS_PER_INCH, size[1] / DOTS_PER_INCH))
    figure.text(10 / size[0], 1 - 16 / size[1], title, fontsize=11, fontweight="bold", va="center")
    for index, row in enumerate(rows):
        bottom = size[1] - _HEAD - (index + 1) * high - index * _GAP
        _draw_row(figure, row, (_NAMES, bottom, row.pixels.shape[1], high), size)
    _name_cuts(figure, levels, window, size)
    return figure


def _frame(
    covered: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]
) -> tuple[tuple[float, ...], Window]:
    """Return the cuts, and what each of them shows."""
    low, high = find_extent(covered, affine)
    # The outermost slices show next to nothing.
    levels = np.linspace(low[2], high[2], N_CUTS + 2)[1:-1]
    panel = (_WIDTH - _NAMES - _BARS) // N_CUTS - _GAP
    wide, _ = with_margin(low[:2], high[:2])
    return tuple(levels.tolist()), Window.around(low[:2], high[:2], float(wide) / panel)


def _sampled(item: ModelMap, levels: Sequence[float], window: Window) -> _Row:
    """Return what the cuts show of a map, with gaps between them."""
    data, affine = item.volume.data, item.volume.affine
    pixels = nearest(data, affine, levels, window)
    pixels = np.where(is_covered(pixels), pixels, np.nan)
    pixels = np.pad(pixels, ((0, 0), (0, 0), (0, _GAP)), constant_values=np.nan)
    values = data[is_covered(data)]
    limit = 1.0
    if values.size:
        largest = float(np.percentile(np.abs(values), _SHOWN_PERCENT))
        limit = float(f"{largest:.2g}") or 1.0
    return _Row(
        name=item.name,
        units=item.units,
        pixels=np.hstack(list(pixels)),
        ends=(-limit if item.is_signed else 0.0, limit),
    )


def _draw_row(
    figure: Figure, row: _Row, pixels: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """Draw one map with its name and colour bar; places are in pixels."""
    import matplotlib as mpl

    left, bottom, width, height = pixels
    name = _DIVERGING if row.ends[0] < 0 else _SEQUENTIAL
    colours = mpl.colormaps[name].with_extremes(bad="black")
    axes = add_axes(figure, _shares((left, bottom, width - _GAP, height), size))
    axes.imshow(
        row.pixels[:, : width - _GAP],
        cmap=colours,
        vmin=row.ends[0],
        vmax=row.ends[1],
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_axis_off()
    middle = (bottom + height / 2) / size[1]
    figure.text(10 / size[0], middle, row.name, fontsize=10, va="center")
    place = _shares((left + width + 8, bottom + height // 8, 14, height * 3 // 4), size)
    ticks = {value: brief(value) for value in np.linspace(*row.ends, 3).tolist()}
    bar = colour_bar(figure, place, colours, row.ends, ticks)
    bar.set_title(row.units, fontsize=8, fontweight="normal", loc="left", pad=7)


def _name_cuts(
    figure: Figure, levels: Sequence[float], window: Window, size: tuple[int, int]
) -> None:
    """Write above each cut where it is, and below the first which side is which."""
    step = window.shape[1] + _GAP
    for index, level in enumerate(levels):
        middle = _NAMES + index * step + window.shape[1] / 2
        text = f"z = {number(level, 0)} mm"
        place = (middle / size[0], 1 - (_HEAD - 9) / size[1])
        figure.text(*place, text, fontsize=9, ha="center", va="center")
    left, right = _NAMES, _NAMES + window.shape[1]
    for x, side in ((left + 4, "L"), (right - 4, "R")):
        align = "left" if side == "L" else "right"
        figure.text(x / size[0], 14 / size[1], side, fontsize=9, ha=align, va="center")


def _shares(pixels: tuple[int, int, int, int], size: tuple[int, int]) -> Place:
    """Return a place in pixels as shares of the figure."""
    left, bottom, width, height = pixels
    return left / size[0], bottom / size[1], width / size[0], height / size[1]
