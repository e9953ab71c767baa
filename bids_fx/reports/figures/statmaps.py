"""Mosaics of z maps: the combined map and each run's at the same axial cuts."""

from __future__ import annotations

import gc
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.cuts import StatRow, Window, choose_cuts, find_extent, sample
from bids_fx.reports.figures.style import DOTS_PER_INCH, colour_bar, styled
from bids_fx.reports.maps import Summary, is_covered, summarize
from bids_fx.reports.wording import MINUS, coordinates, number, shorten
from bids_fx.settings import Z_THRESHOLD

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]

#: Rows that are drawn at once: one row of the whole brain takes 5 MB until it is saved.
BAND_ROWS = 12

#: Widths in pixels of the whole figure, of the text beside a row and of the colour bar; heights
#: of the head, of what is below the last row, and of the longest text beside a row: three lines
#: of name, four of numbers.
_WIDTH, _TEXT_WIDTH, _BAR_WIDTH = 1400, 210, 75
_HEAD_HEIGHT, _FOOT_HEIGHT, _TEXT_HEIGHT, _GAP = 65, 10, 145, 6
_PAPER, _LIGHT, _DIM = "#0c0e11", "#f1f3f5", "#a7b0b9"
_COLD = ("#7ff5ff", "#1fa8ff", "#2a3cff")
_HOT = ("#c1121f", "#ff7b00", "#fff04d")


def draw_statmaps(
    rows: Iterable[StatRow],
    *,
    title: str,
    threshold: float = Z_THRESHOLD,
    cuts: Sequence[float] | None = None,
    one_sided: bool = False,
) -> Iterator[Figure]:
    """Draw z maps at the same axial cuts, one row a map, with one scale for all.

    Parameters
    ----------
    rows : iterable of StatRow
        At least one; the first (the combined map) chooses the cuts. Gone through twice, so that
        rows which are read anew each time are in memory one at a time.
    title : str
        Stands above the figure.
    threshold : float
        Voxels with a |z| up to this are not coloured.
    cuts : sequence of float or None
        World z coordinates in mm; None lets `choose_cuts` choose.
    one_sided : bool
        Whether z is never negative, as that of an F test; the colours then start at 0.

    Yields
    ------
    Figure
        A band of up to `BAND_ROWS` rows, from the top down: one image a row, with all its cuts;
        the first also has the head and one axes, the colour bar's.

    Notes
    -----
    Cuts are planes of the world, not of the voxel grid, so that rows on different or oblique
    grids show the same places. Each pixel shows z of the nearest voxel on the background, which
    is sampled linearly. Left is left.
    """
    facts, levels = _learn_all(rows, threshold, cuts)
    panel = (_WIDTH - _TEXT_WIDTH - _BAR_WIDTH) // len(levels) - _GAP
    limit = float(max(np.ceil(max(fact.largest for fact in facts)), np.ceil(threshold) + 1))
    scale = _Scale(0.0 if one_sided else -limit, threshold, limit)
    frame = _Frame(
        levels=levels,
        peak_level=_level_of_peak(facts[0], levels),
        window=_window(facts, panel),
        scale=scale,
        colours=_colours(scale),
    )
    again = iter(rows)
    for start in range(0, len(facts), BAND_ROWS):
        if start:
            # Figures hold themselves in circles: the band before would stay in memory.
            gc.collect()
        is_last = start + BAND_ROWS >= len(facts)
        yield _draw_band(
            # To the very end, so that what reads the rows lets the last one go.
            islice(again, None if is_last else BAND_ROWS),
            facts[start : start + BAND_ROWS],
            frame,
            title=None if start else title,
            is_last=is_last,
        )


class _Scale(NamedTuple):
    """The colour scale: its ends and the |z| from which on there is colour."""

    low: float
    threshold: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What all rows share.

    Parameters
    ----------
    levels : tuple of float
        World z coordinates of the cuts in mm.
    peak_level : int or None
        Which cut goes through the peak of the first row, if one does.
    window : Window
        What each cut shows.
    scale : _Scale
        The ends of the colours.
    colours : Colormap
        The colours.
    """

    levels: tuple[float, ...]
    peak_level: int | None
    window: Window
    scale: _Scale
    colours: Colormap


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is kept of a row while the others are read.

    Parameters
    ----------
    name : str
        What the map is, for people.
    numbers : Summary or None
        None where there is no result.
    low, high : ndarray of shape (3,)
        World coordinates in mm that the results span; without any, the whole grid's.
    """

    name: str
    numbers: Summary | None
    low: FloatArray
    high: FloatArray

    @property
    def largest(self) -> float:
        """The greatest |z|; 0 where there is no result."""
        if self.numbers is None:
            return 0.0
        return max(abs(self.numbers.peak.value), abs(self.numbers.lowest))


def _learn_all(
    rows: Iterable[StatRow], threshold: float, cuts: Sequence[float] | None
) -> tuple[list[_Facts], tuple[float, ...]]:
    """Return what is kept of the rows, and the cuts."""
    facts: list[_Facts] = []
    levels: tuple[float, ...] = () if cuts is None else tuple(cuts)
    for row in rows:
        facts.append(_learn(row, threshold))
        levels = levels or choose_cuts(row.z, row.affine, threshold)
    return facts, levels


def _learn(row: StatRow, threshold: float) -> _Facts:
    """Return what is kept of a row."""
    numbers = summarize(row.z, row.affine, threshold)
    shown = is_covered(row.z) if numbers is not None else np.ones(row.z.shape, bool)
    low, high = find_extent(shown, row.affine)
    return _Facts(name=row.name, numbers=numbers, low=low, high=high)


@styled
def _draw_band(
    rows: Iterable[StatRow],
    facts: Sequence[_Facts],
    frame: _Frame,
    *,
    title: str | None,
    is_last: bool,
) -> Figure:
    """Draw some rows; where there is a title, with the head and the colour bar."""
    from matplotlib.figure import Figure

    height, panel = frame.window.shape
    pitch = max(height, _TEXT_HEIGHT) + _GAP
    head = 0 if title is None else _HEAD_HEIGHT
    total = head + len(facts) * pitch + (_FOOT_HEIGHT if is_last else 0)
    figure = Figure(
        figsize=(_WIDTH / DOTS_PER_INCH, total / DOTS_PER_INCH),
        dpi=DOTS_PER_INCH,
        facecolor=_PAPER,
    )
    if title is not None:
        _head(figure, title, frame, total=total)
        _draw_bar(figure, frame, total=total)
    for index, row in enumerate(rows):
        top = total - head - index * pitch - _GAP
        strip = _paint(row, frame)
        figure.figimage(strip, xo=_TEXT_WIDTH, yo=top - height)
        _describe(figure, facts[index], frame.scale, top=top - 12, total=total)
        _mark_sides(figure, panel, top=top, total=total)
    assert len(figure.images) == len(facts), "rows are gone through twice"
    return figure


def _window(facts: Sequence[_Facts], width: int) -> Window:
    """Return the window around the results of all rows."""
    known = [fact for fact in facts if fact.numbers is not None] or facts
    low = np.min([fact.low[:2] for fact in known], axis=0)
    high = np.max([fact.high[:2] for fact in known], axis=0)
    return Window.around(low, high, width)


def _colours(scale: _Scale) -> Colormap:
    """Return the colours of a scale: cold if it goes below 0, nothing, hot."""
    from matplotlib.colors import LinearSegmentedColormap

    edge = min(scale.threshold / scale.high, 0.999)
    if scale.low == 0:
        cold: list[tuple[float, str]] = []
        start, end = 0.0, edge
    else:
        start, end = 0.5 - edge / 2, 0.5 + edge / 2
        cold = list(zip(np.linspace(0, start, 3).tolist(), _COLD, strict=True))
    hot = list(zip(np.linspace(end, 1, 3).tolist(), _HOT, strict=True))
    none = [(start, "#2b2f34"), (end, "#2b2f34")]
    return LinearSegmentedColormap.from_list("coldhot", [*cold, *none, *hot], N=512)


def _paint(row: StatRow, frame: _Frame) -> npt.NDArray[np.uint8]:
    """Return the cuts of a row side by side, as red, green and blue of each pixel."""
    from matplotlib.colors import to_rgb

    scale = frame.scale
    grey, z = sample(row, frame.levels, frame.window, scale.threshold)
    n_cuts, height, width = z.shape
    shown = np.isfinite(z)
    panels = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=-1)
    share = (z[shown] - scale.low) / (scale.high - scale.low)
    panels[shown] = frame.colours(share, bytes=True)[:, :3]
    strip = np.empty((height, n_cuts, width + _GAP, 3), np.uint8)
    strip[...] = np.rint(np.multiply(to_rgb(_PAPER), 255))
    strip[:, :, :width] = panels.swapaxes(0, 1)
    return strip.reshape(height, -1, 3)[:, :-_GAP]


def _head(figure: Figure, title: str, frame: _Frame, *, total: int) -> None:
    """Write the title, and the cuts' coordinates above their columns."""
    figure.text(0.012, 1 - 20 / total, title, size=13, weight="bold", color=_LIGHT, va="center")
    panel = frame.window.shape[1]
    for index, level in enumerate(frame.levels):
        is_peak = index == frame.peak_level
        figure.text(
            (_TEXT_WIDTH + index * (panel + _GAP) + panel / 2) / _WIDTH,
            1 - (_HEAD_HEIGHT + _GAP - 6) / total,
            f"z = {number(round(level) + 0.0, 0)} mm" + ("  (peak)" if is_peak else ""),
            size=9.5,
            weight="bold" if is_peak else "normal",
            color=_LIGHT if is_peak else _DIM,
            ha="center",
        )


def _mark_sides(figure: Figure, panel: int, *, top: int, total: int) -> None:
    """Mark the sides of the first panel of a row."""
    for share, side, align in ((0.02, "L", "left"), (0.98, "R", "right")):
        figure.text(
            (_TEXT_WIDTH + share * panel) / _WIDTH,
            (top - 4) / total,
            side,
            ha=align,
            va="top",
            size=11,
            weight="bold",
            color=_LIGHT,
        )


def _describe(figure: Figure, fact: _Facts, scale: _Scale, *, top: int, total: int) -> None:
    """Write a row's name and numbers beside it."""
    name = "\n".join(textwrap.wrap(shorten(fact.name, 66), 22)) or "?"
    figure.text(0.012, top / total, name, size=10.5, weight="bold", color=_LIGHT, va="top")
    figure.text(
        0.012,
        (top - 21 * (name.count("\n") + 1)) / total,
        _row_text(fact.numbers, scale),
        size=9,
        color=_DIM,
        va="top",
        linespacing=1.5,
    )


def _row_text(numbers: Summary | None, scale: _Scale) -> str:
    """Return the numbers of a row as lines of text; a scale from 0 has no minimum to tell."""
    if numbers is None:
        return "no voxel has a result"
    above = f"{numbers.n_above:,} voxels" if numbers.n_above else "No voxel"
    lines = [f"peak z {number(numbers.peak.value)}", f"at {coordinates(numbers.peak.xyz)} mm"]
    if scale.low == 0:
        return "\n".join([*lines, f"{above} with z > {scale.threshold:g}"])
    lowest = f"min z {number(numbers.lowest)}"
    return "\n".join([*lines, lowest, f"{above} with |z| > {scale.threshold:g}"])


def _level_of_peak(fact: _Facts, levels: Sequence[float]) -> int | None:
    """Return which cut goes through the peak, if one does."""
    if fact.numbers is None:
        return None
    distances = np.abs(np.asarray(levels) - fact.numbers.peak.xyz[2])
    return int(distances.argmin()) if distances.min() < 0.5 else None


def _draw_bar(figure: Figure, frame: _Frame, *, total: int) -> None:
    """Draw the colour bar at the right of the first rows."""
    scale = frame.scale
    height = min(total - _HEAD_HEIGHT - 30, 320)
    bottom = total - _HEAD_HEIGHT - height - 5
    ticks = [0.0, scale.threshold, scale.high]
    if scale.low < 0:
        ticks = [scale.low, -scale.threshold, *ticks]
    axes = colour_bar(
        figure,
        (1342 / _WIDTH, bottom / total, 14 / _WIDTH, height / total),
        frame.colours,
        (scale.low, scale.high),
        {tick: f"{tick:g}".replace("-", MINUS) for tick in ticks},
    )
    axes.spines[:].set_edgecolor(_DIM)
    axes.tick_params(colors=_LIGHT, labelsize=8, length=2)
    axes.set_title("z", color=_LIGHT, size=11, weight="bold", pad=6, loc="center")
