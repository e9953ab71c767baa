"""The figure of how much the effects of what is combined differ: I² at the combined map's cuts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.cuts import (
    StatRow,
    Window,
    find_extent,
    nearest,
    sample,
    with_margin,
)
from bids_fx.reports.figures.glass import edge_of
from bids_fx.reports.figures.mosaics import (
    GAP,
    HEAD,
    LIGHT,
    MARGIN,
    NEUTRAL,
    TALLEST,
    WIDTH,
    Bar,
    Column,
    Pixels,
    beside,
    level_told,
    mark_sides,
    new_band,
    write_head,
)
from bids_fx.reports.figures.style import styled
from bids_fx.reports.maps import Volume, is_covered

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.floating]

_FOOT = 8
#: From the share that sampling error explains all of, to all of it; grey is as good as none.
_RAMP = (NEUTRAL, "#5b2a86", "#c2408a", "#ff9e5e", "#fff2b0")
#: Share of an image's grey that stays visible under the colours.
_SHADE = 0.35


def draw_heterogeneity(
    row: StatRow,
    isq: Volume,
    *,
    title: str,
    text: str,
    cuts: Sequence[float],
    cutoff: float,
) -> Iterator[Figure]:
    """Draw I² of a combined map.

    Parameters
    ----------
    row : StatRow
        The combined z map and what is behind it.
    isq : Volume
        I² in percent; NaN where it is not known.
    title, text : str
        Stand above the figure.
    cuts : sequence of float
        World z coordinates in mm.
    cutoff : float
        The |z| above which voxels are outlined; may be infinite.

    Yields
    ------
    Figure
        The figure, as one band.
    """
    covered = is_covered(row.z)
    low, high = find_extent(covered if covered.any() else ~covered, row.affine)
    size = with_margin(low[:2], high[:2])
    free = WIDTH - 2 * MARGIN - (len(cuts) - 1) * GAP - len(cuts)
    pixel_mm = max(len(cuts) * float(size[0]) / free, float(size[1]) / TALLEST)
    window = Window.around(low[:2], high[:2], pixel_mm)
    yield _draw(row, isq, window, tuple(cuts), cutoff, head=(title, text))


@styled
def _draw(
    row: StatRow,
    isq: Volume,
    window: Window,
    cuts: tuple[float, ...],
    cutoff: float,
    *,
    head: tuple[str, str],
) -> Figure:
    """Draw the head and one row of cuts."""
    height, width = window.shape
    total = HEAD + height + _FOOT
    figure = new_band(total)
    lefts = [index * (width + GAP) for index in range(len(cuts))]
    columns = [
        Column(MARGIN + left, width, level_told(level))
        for left, level in zip(lefts, cuts, strict=True)
    ]
    colours = _colours()
    write_head(figure, *head, columns, Bar("I² (%)", 0.0, 100.0, (25.0, 50.0, 75.0), colours))
    grey, z = sample(row, cuts, window)
    share = nearest(isq.data, isq.affine, cuts, window)
    panels = [_painted(*three, cutoff, colours) for three in zip(grey, z, share, strict=True)]
    figure.figimage(beside(panels, lefts, height), xo=MARGIN, yo=_FOOT)
    mark_sides(figure, [(MARGIN, width, total - HEAD, ("L", "R"))])
    return figure


def _painted(
    grey: npt.NDArray[np.float64],
    z: FloatArray,
    isq: FloatArray,
    cutoff: float,
    colours: Colormap,
) -> Pixels:
    """Return the pixels of a cut: I² in colour, and what is above the cutoff outlined."""
    pixels = np.repeat(np.rint(grey * 255 * _SHADE).astype(np.uint8)[..., None], 3, axis=-1)
    known = np.isfinite(isq) & np.isfinite(z)
    pixels[known] = colours(isq[known] / 100, bytes=True)[:, :3]
    above = np.abs(z) > cutoff
    pixels[edge_of(above)] = _rgb(LIGHT)
    return pixels


def _colours() -> Colormap:
    """Return the colours from 0 to 100 %."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("isq", _RAMP, N=256)


def _rgb(colour: str) -> npt.NDArray[np.uint8]:
    """Return red, green and blue of a colour."""
    from matplotlib.colors import to_rgb

    return np.rint(np.multiply(to_rgb(colour), 255)).astype(np.uint8)
