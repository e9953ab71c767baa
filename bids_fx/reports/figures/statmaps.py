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

from bids_fx.derivatives.clusters import MapNumbers
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
from bids_fx.reports.maps import Volume, is_covered, summarize, value_at
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
    facts: Sequence[RowFacts] = (),
) -> Iterator[Figure]:
    r"""Draw z maps one row a map: a glass brain, and the same axial cuts of all.

    Parameters
    ----------
    rows : iterable of StatRow
        At least one; the first (the combined map) chooses the cuts. Gone through once to learn
        of them and once to draw them, so that rows which are read anew each time are in memory
        one at a time.
    title : str
        Stands above the figure.
    threshold : Threshold
        What is coloured; a correction is for the voxels of each map by itself.
    cuts : sequence of float or None
        World z coordinates in mm; None lets `choose_cuts` choose.
    one_sided : bool
        Whether z is never negative, as that of an F test; the colours then start at 0.
    facts : sequence of RowFacts
        What `learn_rows` returned of the rows, with the cuts, if it was asked before.

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
    if not facts or cuts is None:
        facts, cuts = learn_rows(rows, threshold, cuts)
    levels = tuple(cuts)
    scale = scale_of(
        max(fact.largest for fact in facts),
        min(fact.numbers.cutoff for fact in facts),
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
class RowFacts:
    """What is kept of a row while the others are read.

    Parameters
    ----------
    name : str
        What the map is, for people.
    numbers : MapNumbers
        Its peak, threshold and extent; the first row counts as the combined map.
    low, high : ndarray of shape (3,)
        World coordinates in mm that the results span; without any, the whole grid's.
    """

    name: str
    numbers: MapNumbers
    low: FloatArray
    high: FloatArray

    @property
    def largest(self) -> float:
        """The greatest |z|; 0 where there is no result."""
        if self.numbers.peak_z is None:
            return 0.0
        return max(abs(self.numbers.peak_z), abs(self.numbers.lowest))


def learn_rows(
    rows: Iterable[StatRow], threshold: Threshold, cuts: Sequence[float] | None
) -> tuple[list[RowFacts], tuple[float, ...]]:
    """Return what is kept of rows as `draw_statmaps` takes them, and the cuts."""
    facts: list[RowFacts] = []
    levels: tuple[float, ...] = () if cuts is None else tuple(cuts)
    for row in rows:
        facts.append(_learn(row, threshold, facts[0].numbers if facts else None))
        levels = levels or choose_cuts(row.z, row.affine, facts[0].numbers.cutoff)
    return facts, levels


def _learn(row: StatRow, threshold: Threshold, first: MapNumbers | None) -> RowFacts:
    """Return what is kept of a row; what the first one is like is None for itself."""
    cutoff = z_cutoff(row.z, threshold)
    found = summarize(row.z, row.affine, cutoff)
    if found is None:
        numbers, shown = MapNumbers(cutoff=cutoff), np.ones(row.z.shape, bool)
    else:
        place = found.main.xyz if first is None else first.main_xyz
        is_known = first is None or first.peak_z is not None
        volume = Volume(data=row.z, affine=row.affine)
        numbers = MapNumbers(
            cutoff=cutoff,
            peak_z=found.peak.value,
            xyz=found.peak.xyz,
            lowest=found.lowest.value,
            lowest_xyz=found.lowest.xyz,
            n_above=found.n_above,
            at_combined=value_at(volume, place) if is_known else math.nan,
        )
        shown = is_covered(row.z)
    low, high = find_extent(shown, row.affine)
    return RowFacts(name=row.name, numbers=numbers, low=low, high=high)


@styled
def _draw_band(
    rows: Iterable[StatRow],
    facts: Sequence[RowFacts],
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
            _paint(row, facts[index].numbers.cutoff, frame),
            xo=MARGIN,
            yo=top - _LINE - frame.height,
        )
        _mark(figure, frame, top=top - _LINE)
    assert len(figure.images) == len(facts), "rows are gone through twice"
    return figure


def _windows(facts: Sequence[RowFacts], n_levels: int) -> tuple[Window, ...]:
    """Return the windows around the results of all rows: of each view, and of the cuts."""
    known = [fact for fact in facts if fact.numbers.peak_z is not None] or facts
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


def _describe(figure: Figure, fact: RowFacts, scale: Scale, *, middle: float) -> None:
    """Write a row's name and numbers above it."""
    name = fitting(fact.name, _NAME, 10.5, bold=True) or "?"
    end = write(figure, MARGIN, middle, name, 10.5, LIGHT, bold=True)
    write(figure, end + 18, middle, _row_text(fact, scale), 9.5, DIM)


def _row_text(fact: RowFacts, scale: Scale) -> str:
    """Return the numbers of a row; a scale from 0 has no minimum to tell."""
    numbers, one_sided = fact.numbers, scale.low == 0
    if numbers.peak_z is None or numbers.main_z is None:
        return "no voxel has a result"
    parts = [f"peak z {number(numbers.main_z)} at {coordinates(numbers.main_xyz)} mm"]
    if not one_sided:
        falls = numbers.falls
        parts.append(
            f"max z {number(numbers.peak_z)}" if falls else f"min z {number(numbers.lowest)}"
        )
    if math.isinf(numbers.cutoff):
        parts.append("no voxel survives")
    else:
        above = count(numbers.n_above, "voxel", "no")
        parts.append(f"{above} with {cutoff_told(numbers.cutoff, one_sided=one_sided)}")
    return "   ·   ".join(parts)


def _level_of_peak(fact: RowFacts, levels: Sequence[float]) -> int | None:
    """Return which cut goes through the peak, if one does."""
    if fact.numbers.peak_z is None:
        return None
    distances = np.abs(np.asarray(levels) - fact.numbers.main_xyz[2])
    return int(distances.argmin()) if distances.min() < 0.5 else None
