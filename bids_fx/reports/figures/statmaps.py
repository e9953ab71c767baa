"""Figures of z maps: glass brain and axial cuts, of the combined map and of each run."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_fx.report_settings import Threshold
from bids_fx.reports.figures.cuts import (
    StatRow,
    Window,
    choose_cuts,
    find_extent,
    sample,
    with_margin,
)
from bids_fx.reports.figures.glass import VIEWS, Projection, edge_of, project
from bids_fx.reports.figures.mosaics import (
    DIM,
    GAP,
    HEAD,
    LIGHT,
    MARGIN,
    TALLEST,
    WIDE_GAP,
    WIDTH,
    Column,
    Pixels,
    beside,
    blank,
    fitting,
    level_told,
    mark_sides,
    new_band,
    write,
    write_head,
)
from bids_fx.reports.figures.scales import Scale, bar_of, colours_of, scale_of
from bids_fx.reports.figures.style import styled
from bids_fx.reports.maps import Summary, is_covered, summarize
from bids_fx.reports.thresholds import cutoff_told, threshold_told, z_cutoff
from bids_fx.reports.wording import coordinates, count, number

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]

#: Rows that are drawn at once: one row of the whole brain takes 5 MB until it is saved.
BAND_ROWS = 12

#: In pixels: the line above a row, what is below the last one, the longest name.
_LINE, _FOOT, _NAME = 30, 8, 620
#: Of a glass brain: inside, and its edge of some pixels.
_GLASS, _EDGE, _EDGE_WIDTH = (27, 31, 36), (112, 121, 130), 2


def draw_statmaps(
    rows: Iterable[StatRow],
    *,
    title: str,
    threshold: Threshold,
    cuts: Sequence[float] | None = None,
    one_sided: bool = False,
) -> Iterator[Figure]:
    r"""Draw z maps one row a map: a glass brain, and the same axial cuts of all.

    Parameters
    ----------
    rows : iterable of StatRow
        At least one; the first (the combined map) chooses the cuts. Gone through twice, so that
        rows which are read anew each time are in memory one at a time.
    title : str
        Stands above the figure.
    threshold : Threshold
        What is coloured; a correction is for the voxels of each map by itself.
    cuts : sequence of float or None
        World z coordinates in mm; None lets `choose_cuts` choose.
    one_sided : bool
        Whether z is never negative, as that of an F test; the colours then start at 0.

    Yields
    ------
    Figure
        A band of up to `BAND_ROWS` rows, from the top down: one image a row, with all its
        panels; the first also has the head and one axes, the colour bar's.

    Notes
    -----
    Cuts and projections are along the axes of the world, not of the voxel grid, so that rows on
    different or oblique grids show the same places; all are drawn to the same scale in mm. In a
    cut, each pixel shows z of the nearest voxel on the background, which is sampled linearly; in
    a glass brain, the z of the largest \|z\| on the line of sight. Left is left.
    """
    facts, levels = _learn_all(rows, threshold, cuts)
    scale = scale_of(
        max(fact.largest for fact in facts),
        min(fact.cutoff for fact in facts),
        one_sided=one_sided,
    )
    frame = _Frame(
        levels=levels,
        peak_level=_level_of_peak(facts[0], levels),
        windows=_windows(facts, len(levels)),
        scale=scale,
        colours=colours_of(scale),
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
            head=None
            if start
            else (title, f"Coloured: {threshold_told(threshold, 'F' if one_sided else 't')}"),
            is_last=is_last,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What all rows share.

    Parameters
    ----------
    levels : tuple of float
        World z coordinates of the cuts in mm.
    peak_level : int or None
        Which cut goes through the peak of the first row, if one does.
    windows : tuple of Window
        What each view of the glass brain shows, and last what each cut does.
    scale : Scale
        The ends of the colours.
    colours : Colormap
        The colours.
    """

    levels: tuple[float, ...]
    peak_level: int | None
    windows: tuple[Window, ...]
    scale: Scale
    colours: Colormap

    @property
    def widths(self) -> list[int]:
        """Widths of all panels in pixels."""
        *views, cut = (window.shape[1] for window in self.windows)
        return [*views, *[cut] * len(self.levels)]

    @property
    def lefts(self) -> list[int]:
        """Left edges of all panels in pixels, from the first one's."""
        gaps = [WIDE_GAP if index == len(VIEWS) else GAP for index in range(1, len(self.widths))]
        steps = [width + gap for width, gap in zip(self.widths, gaps, strict=False)]
        return list(accumulate(steps, initial=0))

    @property
    def height(self) -> int:
        """Height of a row's panels in pixels."""
        return max(window.shape[0] for window in self.windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is kept of a row while the others are read.

    Parameters
    ----------
    name : str
        What the map is, for people.
    cutoff : float
        The |z| above which its voxels are coloured.
    numbers : Summary or None
        None where there is no result.
    low, high : ndarray of shape (3,)
        World coordinates in mm that the results span; without any, the whole grid's.
    """

    name: str
    cutoff: float
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
    rows: Iterable[StatRow], threshold: Threshold, cuts: Sequence[float] | None
) -> tuple[list[_Facts], tuple[float, ...]]:
    """Return what is kept of the rows, and the cuts."""
    facts: list[_Facts] = []
    levels: tuple[float, ...] = () if cuts is None else tuple(cuts)
    for row in rows:
        facts.append(_learn(row, threshold))
        levels = levels or choose_cuts(row.z, row.affine, facts[0].cutoff)
    return facts, levels


def _learn(row: StatRow, threshold: Threshold) -> _Facts:
    """Return what is kept of a row."""
    cutoff = z_cutoff(row.z, threshold)
    numbers = summarize(row.z, row.affine, cutoff)
    shown = is_covered(row.z) if numbers is not None else np.ones(row.z.shape, bool)
    low, high = find_extent(shown, row.affine)
    return _Facts(name=row.name, cutoff=cutoff, numbers=numbers, low=low, high=high)


@styled
def _draw_band(
    rows: Iterable[StatRow],
    facts: Sequence[_Facts],
    frame: _Frame,
    *,
    head: tuple[str, str] | None,
    is_last: bool,
) -> Figure:
    """Draw some rows; where there is a head, with the names of the columns and the colour bar."""
    pitch = _LINE + frame.height + GAP
    above = 0 if head is None else HEAD
    total = above + len(facts) * pitch + (_FOOT if is_last else 0)
    figure = new_band(total)
    if head is not None:
        write_head(figure, *head, _columns(frame), bar_of(frame.scale, frame.colours))
    for index, row in enumerate(rows):
        top = total - above - index * pitch
        _describe(figure, facts[index], frame.scale, middle=top - _LINE / 2)
        figure.figimage(
            _paint(row, facts[index].cutoff, frame),
            xo=MARGIN,
            yo=top - _LINE - frame.height,
        )
        _mark(figure, frame, top=top - _LINE)
    assert len(figure.images) == len(facts), "rows are gone through twice"
    return figure


def _windows(facts: Sequence[_Facts], n_levels: int) -> tuple[Window, ...]:
    """Return the windows around the results of all rows: of each view, and of the cuts."""
    known = [fact for fact in facts if fact.numbers is not None] or facts
    low = np.min([fact.low for fact in known], axis=0)
    high = np.max([fact.high for fact in known], axis=0)
    axes = [[view.right, view.up] for view in VIEWS]
    axes.append([0, 1])
    sizes = np.array([with_margin(low[pair], high[pair]) for pair in axes])
    wide = float(sizes[:-1, 0].sum() + n_levels * sizes[-1, 0])
    n_panels = len(VIEWS) + n_levels
    # Each panel's width is rounded to whole pixels.
    free = WIDTH - 2 * MARGIN - (n_panels - 2) * GAP - WIDE_GAP - n_panels
    pixel_mm = max(wide / free, float(sizes[:, 1].max()) / TALLEST)
    return tuple(Window.around(low[pair], high[pair], pixel_mm) for pair in axes)


def _paint(row: StatRow, cutoff: float, frame: _Frame) -> Pixels:
    """Return the glass brain and the cuts of a row side by side, as red, green and blue."""
    *views, cut = frame.windows
    panels = [
        _paint_glass(seen, frame) for seen in project(row.z, row.affine, cutoff, tuple(views))
    ]
    grey, z = sample(row, frame.levels, cut)
    shown = np.where(np.abs(z) > cutoff, z, np.nan)
    panels += [_painted(*both, frame) for both in zip(grey, shown, strict=True)]
    return beside(panels, frame.lefts, frame.height)


def _painted(grey: npt.NDArray[np.float64], z: FloatArray, frame: _Frame) -> Pixels:
    """Return the pixels of a cut: those with a z in its colour, the others grey."""
    pixels = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=-1)
    _colour(pixels, z, frame)
    return pixels


def _paint_glass(seen: Projection, frame: _Frame) -> Pixels:
    """Return the pixels of one view of a glass brain."""
    pixels = blank(*seen.inside.shape)
    pixels[seen.inside] = _GLASS
    pixels[edge_of(seen.inside, _EDGE_WIDTH)] = _EDGE
    _colour(pixels, seen.z, frame)
    return pixels


def _colour(pixels: Pixels, z: FloatArray, frame: _Frame) -> None:
    """Give the pixels that have a z its colour."""
    shown = np.isfinite(z)
    share = (z[shown] - frame.scale.low) / (frame.scale.high - frame.scale.low)
    pixels[shown] = frame.colours(share, bytes=True)[:, :3]


def _columns(frame: _Frame) -> list[Column]:
    """Return what stands above the panels."""
    lefts = [MARGIN + left for left in frame.lefts]
    n_views = len(VIEWS)
    end = lefts[n_views - 1] + frame.widths[n_views - 1]
    glass = Column(lefts[0], end - lefts[0], "glass brain: largest |z| on the line of sight")
    cuts = zip(lefts[n_views:], frame.widths[n_views:], frame.levels, strict=True)
    return [glass] + [
        Column(
            left,
            width,
            level_told(level) + (" (peak)" if is_peak else ""),
            is_peak,
        )
        for index, (left, width, level) in enumerate(cuts)
        for is_peak in [index == frame.peak_level]
    ]


def _mark(figure: Figure, frame: _Frame, *, top: int) -> None:
    """Mark the sides of a row's glass brain and of its first cut."""
    sides = [*(view.sides for view in VIEWS), ("L", "R")]
    panels = []
    for left, window, letters in zip(frame.lefts, frame.windows, sides, strict=False):
        height, width = window.shape
        panels.append((MARGIN + left, width, top - (frame.height - height) // 2, letters))
    mark_sides(figure, panels)


def _describe(figure: Figure, fact: _Facts, scale: Scale, *, middle: float) -> None:
    """Write a row's name and numbers above it."""
    name = fitting(fact.name, _NAME, 10.5, bold=True) or "?"
    end = write(figure, MARGIN, middle, name, 10.5, LIGHT, bold=True)
    write(figure, end + 18, middle, _row_text(fact, scale), 9.5, DIM)


def _row_text(fact: _Facts, scale: Scale) -> str:
    """Return the numbers of a row; a scale from 0 has no minimum to tell."""
    numbers, one_sided = fact.numbers, scale.low == 0
    if numbers is None:
        return "no voxel has a result"
    parts = [f"peak z {number(numbers.peak.value)} at {coordinates(numbers.peak.xyz)} mm"]
    parts += [] if one_sided else [f"min z {number(numbers.lowest)}"]
    if math.isinf(fact.cutoff):
        parts.append("no voxel survives")
    else:
        above = count(numbers.n_above, "voxel", "no")
        parts.append(f"{above} with {cutoff_told(fact.cutoff, one_sided=one_sided)}")
    return "   ·   ".join(parts)


def _level_of_peak(fact: _Facts, levels: Sequence[float]) -> int | None:
    """Return which cut goes through the peak, if one does."""
    if fact.numbers is None:
        return None
    distances = np.abs(np.asarray(levels) - fact.numbers.peak.xyz[2])
    return int(distances.argmin()) if distances.min() < 0.5 else None
