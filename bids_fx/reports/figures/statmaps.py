"""Mosaics of z maps: the combined map and each run's at the same axial cuts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.style import styled
from bids_fx.reports.maps import find_peak, inverse, is_covered, world_coordinates
from bids_fx.reports.wording import MINUS, coordinates, number, shorten
from bids_fx.settings import Z_THRESHOLD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]

N_CUTS = 7

#: Millimetres between the points at which maps are sampled, unless voxels are smaller.
_STEP_MM = 1.0
_MARGIN_MM = 4.0

#: Widths in inches of the whole figure, of the text beside a row and of the colour bar.
_WIDTH, _TEXT_WIDTH, _BAR_WIDTH, _HEAD_HEIGHT, _GAP = 14.0, 2.1, 0.75, 0.65, 0.06
#: Height in inches of the longest text beside a row: three lines of name, four of numbers.
_TEXT_HEIGHT = 1.45
_PAPER, _LIGHT, _DIM = "#0c0e11", "#f1f3f5", "#a7b0b9"
_COLD = ("#7ff5ff", "#1fa8ff", "#2a3cff")
_HOT = ("#c1121f", "#ff7b00", "#fff04d")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """One row of a mosaic.

    Parameters
    ----------
    name : str
        What the map is, for people.
    z : ndarray of shape (nx, ny, nz)
        NaN or 0 where there is no result.
    background : ndarray of shape (nx, ny, nz) or None
        Image to show it on, on the same grid; None shows where `z` has a result.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm; any orientation, oblique too.
    """

    name: str
    z: FloatArray
    background: FloatArray | None
    affine: npt.NDArray[np.float64]


@styled
def draw_statmaps(
    rows: Sequence[StatRow],
    *,
    title: str,
    threshold: float = Z_THRESHOLD,
    cuts: Sequence[float] | None = None,
    one_sided: bool = False,
) -> Figure:
    """Draw z maps at the same axial cuts, one row a map, with one scale for all.

    Parameters
    ----------
    rows : sequence of StatRow
        At least one; the first (the combined map) chooses the cuts.
    title : str
        Stands above the figure.
    threshold : float
        Voxels with a |z| up to this are not coloured.
    cuts : sequence of float or None
        World z coordinates in mm; None lets `choose_cuts` choose.
    one_sided : bool
        Whether z is never negative, as that of an F test; the colours then start at 0.

    Returns
    -------
    Figure
        One axes a row and cut, and the colour bar's.

    Notes
    -----
    Cuts are planes of the world, not of the voxel grid, so that rows on different or oblique
    grids show the same places. z is sampled at the nearest voxel, the background linearly.
    Left is left.
    """
    from matplotlib.figure import Figure

    first = rows[0]
    levels = tuple(cuts) if cuts is not None else choose_cuts(first.z, first.affine, threshold)
    bounds = _bounds(rows)
    (left, right), (back, front) = bounds[0], bounds[1]
    panel = (_WIDTH - _TEXT_WIDTH - _BAR_WIDTH) / len(levels) - _GAP
    height = panel * (front - back) / (right - left)
    pitch = max(height, _TEXT_HEIGHT) + _GAP
    total = _HEAD_HEIGHT + len(rows) * pitch + 0.1
    figure = Figure(figsize=(_WIDTH, total), facecolor=_PAPER)
    limit = colour_limit(rows, threshold)
    scale = _Scale(0.0 if one_sided else -limit, threshold, limit)
    colours = _colours(scale)
    figure.text(0.012, 1 - 0.2 / total, title, size=13, weight="bold", color=_LIGHT, va="center")
    peak_level = _level_of_peak(first, levels)
    for row_index, row in enumerate(rows):
        top = total - _HEAD_HEIGHT - row_index * pitch - _GAP
        bottom = top - height
        _describe(figure, row, scale, y=(top - 0.12) / total, total=total)
        samples = _sample(row, levels, bounds, threshold)
        for index, (grey, z) in enumerate(samples):
            x = _TEXT_WIDTH + index * (panel + _GAP)
            axes = figure.add_axes((x / _WIDTH, bottom / total, panel / _WIDTH, height / total))
            _draw_panel(axes, grey, z, (left, right, back, front), colours, scale)
            if row_index == 0:
                _head(axes, levels[index], is_peak=index == peak_level)
            if index == 0:
                _mark_sides(axes)
    _draw_bar(figure, colours, scale, total=total)
    return figure


def choose_cuts(
    z: FloatArray,
    affine: npt.NDArray[np.float64],
    threshold: float = Z_THRESHOLD,
    n_cuts: int = N_CUTS,
) -> tuple[float, ...]:
    """Choose axial cuts that go through the peak and spread over what is above threshold.

    Parameters
    ----------
    z : ndarray of shape (nx, ny, nz)
        NaN or 0 where there is no result.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm.
    threshold : float
        Voxels with a greater |z| span the cuts; without any, the whole map does.
    n_cuts : int
        Number of cuts; >= 2.

    Returns
    -------
    tuple of float
        World z coordinates in mm, ascending; one of them is the peak's own.
    """
    covered = is_covered(z)
    if not covered.any():
        return tuple(np.linspace(-20.0, 40.0, n_cuts).tolist())
    heights = world_coordinates(np.argwhere(covered), affine)[:, 2]
    lowest, highest = np.percentile(heights, [5, 95])
    shown = heights[np.abs(z[covered]) > threshold]
    low, high = np.percentile(shown, [2, 98]) if shown.size else (lowest, highest)
    # Cuts closer than a voxel would show the same thing twice.
    slice_mm = float(np.abs(affine[2, :3]).sum())
    missing = (n_cuts - 1) * max(slice_mm, 4.0) - (high - low)
    if missing > 0:
        low, high = max(low - missing / 2, lowest), min(high + missing / 2, highest)
    levels = np.linspace(low, high, n_cuts)
    peak = find_peak(z, affine)
    assert peak is not None
    levels[np.argmin(np.abs(levels - peak.xyz[2]))] = peak.xyz[2]
    return tuple(np.sort(levels).tolist())


def colour_limit(rows: Sequence[StatRow], threshold: float = Z_THRESHOLD) -> float:
    """Return the end of the colour scale: the largest |z| of all rows, in whole steps."""
    largest = max(
        (float(np.abs(row.z[is_covered(row.z)]).max(initial=0.0)) for row in rows), default=0.0
    )
    return float(max(np.ceil(largest), np.ceil(threshold) + 1))


class _Scale(NamedTuple):
    """The colour scale: its ends and the |z| from which on there is colour."""

    low: float
    threshold: float
    high: float


def _bounds(rows: Sequence[StatRow]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the world x and y that all rows' results span, with a margin; (low, high) in mm."""
    points = [world_coordinates(np.argwhere(is_covered(row.z)), row.affine) for row in rows]
    every = np.concatenate(points)
    if not every.size:
        shape = np.array(rows[0].z.shape)
        every = world_coordinates(np.array([[0, 0, 0], shape - 1]), rows[0].affine)
    low = every[:, :2].min(axis=0) - _MARGIN_MM
    high = every[:, :2].max(axis=0) + _MARGIN_MM
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _sample(
    row: StatRow,
    levels: Sequence[float],
    bounds: tuple[tuple[float, float], tuple[float, float]],
    threshold: float,
) -> list[tuple[FloatArray, FloatArray]]:
    """Sample a row at all cuts: grey background from 0 to 1, and z, NaN below threshold."""
    from scipy.ndimage import map_coordinates

    voxel_mm = float(np.sqrt((row.affine[:3, :3] ** 2).sum(axis=0)).min())
    step = min(_STEP_MM, voxel_mm)
    xs = np.arange(bounds[0][0], bounds[0][1] + step / 2, step)
    ys = np.arange(bounds[1][0], bounds[1][1] + step / 2, step)
    points = np.stack(np.meshgrid(levels, ys, xs, indexing="ij")[::-1], axis=-1)
    voxels = np.moveaxis(world_coordinates(points, inverse(row.affine)), -1, 0)
    covered = is_covered(row.z)
    z = map_coordinates(
        np.where(covered, row.z, 0.0).astype(np.float64), voxels, order=0, cval=0.0
    )
    grey = map_coordinates(_grey(row, covered), voxels, order=1, cval=0.0)
    return list(zip(grey, np.where(np.abs(z) > threshold, z, np.nan), strict=True))


def _grey(row: StatRow, covered: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the background scaled to 0 to 1; without one, a flat grey where there are results."""
    if row.background is None:
        return np.where(covered, 0.3, 0.0)
    image = np.nan_to_num(np.asarray(row.background, dtype=np.float64), posinf=0.0, neginf=0.0)
    inside = image[covered] if covered.any() else image.ravel()
    bright = float(np.percentile(inside, 99.5)) * 1.3
    return np.clip(image / bright, 0.0, 1.0) if bright > 0 else np.zeros(image.shape)


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


def _draw_panel(
    axes: Axes,
    grey: FloatArray,
    z: FloatArray,
    extent: tuple[float, float, float, float],
    colours: Colormap,
    scale: _Scale,
) -> None:
    """Draw one cut; left is left, the front is up."""
    axes.imshow(
        grey, cmap="gray", vmin=0, vmax=1, origin="lower", extent=extent, interpolation="bilinear"
    )
    axes.imshow(
        np.ma.masked_invalid(z),
        cmap=colours,
        vmin=scale.low,
        vmax=scale.high,
        origin="lower",
        extent=extent,
        interpolation="nearest",
    )
    axes.set_axis_off()
    axes.set_aspect("equal")


def _head(axes: Axes, level: float, *, is_peak: bool) -> None:
    """Write a cut's coordinate above its column."""
    axes.set_title(
        f"z = {number(round(level) + 0.0, 0)} mm" + ("  (peak)" if is_peak else ""),
        loc="center",
        size=9.5,
        weight="bold" if is_peak else "normal",
        color=_LIGHT if is_peak else _DIM,
        pad=4,
    )


def _mark_sides(axes: Axes) -> None:
    """Mark the sides of the first panel of a row."""
    for x, side in ((0.02, "L"), (0.98, "R")):
        axes.text(
            x,
            0.98,
            side,
            transform=axes.transAxes,
            ha="left" if side == "L" else "right",
            va="top",
            size=11,
            weight="bold",
            color=_LIGHT,
        )


def _describe(figure: Figure, row: StatRow, scale: _Scale, *, y: float, total: float) -> None:
    """Write a row's name and numbers beside it."""
    name = "\n".join(textwrap.wrap(shorten(row.name, 66), 22)) or "?"
    figure.text(0.012, y, name, size=10.5, weight="bold", color=_LIGHT, va="top")
    lines = 0.21 * (name.count("\n") + 1)
    figure.text(
        0.012,
        y - lines / total,
        _row_text(row, scale),
        size=9,
        color=_DIM,
        va="top",
        linespacing=1.5,
    )


def _row_text(row: StatRow, scale: _Scale) -> str:
    """Return the numbers of a row as lines of text; a scale from 0 has no minimum to tell."""
    peak = find_peak(row.z, row.affine)
    if peak is None:
        return "no voxel has a result"
    covered = row.z[is_covered(row.z)]
    n_above = int((np.abs(covered) > scale.threshold).sum())
    above = f"{n_above:,} voxels" if n_above else "No voxel"
    lines = [f"peak z {number(peak.value)}", f"at {coordinates(peak.xyz)} mm"]
    if scale.low == 0:
        return "\n".join([*lines, f"{above} with z > {scale.threshold:g}"])
    lowest = f"min z {number(float(covered.min()))}"
    return "\n".join([*lines, lowest, f"{above} with |z| > {scale.threshold:g}"])


def _level_of_peak(row: StatRow, levels: Sequence[float]) -> int | None:
    """Return which cut goes through the peak, if one does."""
    peak = find_peak(row.z, row.affine)
    if peak is None:
        return None
    distances = np.abs(np.asarray(levels) - peak.xyz[2])
    return int(distances.argmin()) if distances.min() < 0.5 else None


def _draw_bar(figure: Figure, colours: Colormap, scale: _Scale, *, total: float) -> None:
    """Draw the colour bar at the right of the first rows."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    height = min(total - _HEAD_HEIGHT - 0.3, 3.2)
    bottom = total - _HEAD_HEIGHT - height - 0.05
    place = ((_WIDTH - 0.58) / _WIDTH, bottom / total, 0.14 / _WIDTH, height / total)
    axes = figure.add_axes(place)
    mappable = ScalarMappable(Normalize(scale.low, scale.high), colours)
    ticks = [0.0, scale.threshold, scale.high]
    if scale.low < 0:
        ticks = [scale.low, -scale.threshold, *ticks]
    bar = figure.colorbar(mappable, cax=axes, ticks=ticks)
    bar.set_ticklabels([f"{tick:g}".replace("-", MINUS) for tick in ticks])
    bar.outline.set_edgecolor(_DIM)
    axes.tick_params(colors=_LIGHT, labelsize=8, length=2)
    axes.set_title("z", color=_LIGHT, size=11, weight="bold", pad=6, loc="center")
