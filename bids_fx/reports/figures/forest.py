"""Forest plots: each run's effect at the combined map's peaks, and z without each run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bids_fx.reports.figures.places import POINTS_PER_INCH, add_axes, text_width
from bids_fx.reports.figures.style import FAINT, INK, message_figure, styled
from bids_fx.reports.wording import coordinates, number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: In inches: the whole figure, one line, above and below the axes, beside and between them.
_WIDTH, _LINE, _TOP, _BOTTOM, _RIGHT, _BETWEEN = 9.2, 0.21, 0.82, 0.62, 0.15, 0.14
#: The widest names, z without each run, and between two peaks.
_NAMES, _WITHOUT, _APART = 1.9, 1.0, 0.3
_SIZE = 8.5
#: Area in points² of the mark of all the weight.
_AREA = 150.0
_RUN, _ALL, _STRONG, _SOFT = "#0072b2", "#1c2733", "#d55e00", "#56616c"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestLine:
    """One estimate of an effect.

    Parameters
    ----------
    name : str
        Whose it is, for people.
    effect : float
        The effect; NaN where there is no result.
    half_width : float
        Half of its 95 % interval.
    weight : float
        Its share of the combined effect, from 0 to 1.
    z_without : float
        z of all without this one; NaN where no other has a result.
    """

    name: str
    effect: float
    half_width: float
    weight: float = math.nan
    z_without: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestPeak:
    """What is drawn of one peak.

    Parameters
    ----------
    name : str
        What peak it is.
    xyz : tuple of 3 float
        Its place, world coordinates in mm.
    z : float
        Combined z.
    text : str
        What is told of the differences.
    lines : tuple of ForestLine
        What is combined, in order.
    combined : ForestLine
        The combined effect.
    """

    name: str
    xyz: tuple[float, float, float]
    z: float
    text: str
    lines: tuple[ForestLine, ...]
    combined: ForestLine


@styled
def draw_forest(peaks: Sequence[ForestPeak], *, title: str, units: str, noun: str) -> Figure:
    """Draw what is combined at each peak, side by side.

    Parameters
    ----------
    peaks : sequence of ForestPeak
        Of the same lines; none gives a message.
    title : str
        Stands above the figure.
    units : str
        Of the effects.
    noun : str
        What is combined: ``run`` or what else.

    Returns
    -------
    Figure
        For each peak two axes: effects with their 95 % intervals, the mark's area in proportion
        to the weight; and z of all without each, where the one that changes it most stands out.
    """
    from matplotlib.figure import Figure

    if not peaks:
        return message_figure("The combined map has no peak.")
    names = [*(line.name for line in peaks[0].lines), peaks[0].combined.name]
    wide = _names_width(names)
    height = _TOP + _LINE * (len(names) + 0.8) + _BOTTOM
    figure = Figure(figsize=(_WIDTH, height))
    figure.text(
        0.1 / _WIDTH, 1 - 0.18 / height, shorten(title, 95), size=10, weight="bold", va="center"
    )
    free = _WIDTH - wide - _RIGHT - _APART * (len(peaks) - 1)
    each = free / len(peaks)
    for index, peak in enumerate(peaks):
        left = wide + index * (each + _APART)
        bottom, tall = _BOTTOM / height, 1 - (_TOP + _BOTTOM) / height
        effects = add_axes(
            figure, (left / _WIDTH, bottom, (each - _WITHOUT - _BETWEEN) / _WIDTH, tall)
        )
        place = ((left + each - _WITHOUT) / _WIDTH, bottom, _WITHOUT / _WIDTH, tall)
        without = add_axes(figure, place)
        _draw_effects(effects, peak, units)
        _draw_without(without, peak, noun)
        figure.text(left / _WIDTH, 1 - 0.44 / height, _peak_title(peak), size=9, va="center")
        figure.text(
            left / _WIDTH, 1 - 0.63 / height, peak.text, size=_SIZE, color=_SOFT, va="center"
        )
        if index == 0:
            _write_names(effects, names)
    return figure


def _names_width(names: Sequence[str]) -> float:
    """Return the inches that names take, with what is beside them."""
    longest = max(text_width(_short(name), _SIZE, bold=True) for name in names)
    return min(longest / POINTS_PER_INCH, _NAMES) + 0.3


def _short(name: str) -> str:
    """Return a name that fits."""
    line = " ".join(name.split())
    length = len(line)
    while text_width(shorten(line, length), _SIZE, bold=True) > _NAMES * POINTS_PER_INCH:
        length -= 1
    return shorten(line, length)


def _peak_title(peak: ForestPeak) -> str:
    """Return which peak it is, where and how high."""
    return f"{peak.name}: z = {number(peak.z)} at {coordinates(peak.xyz)} mm"


def _write_names(axes: Axes, names: Sequence[str]) -> None:
    """Write whose each line is, at the left of the axes."""
    from bids_fx.reports.figures.labels import Labels

    heights = _heights(len(names))
    labels = Labels(
        np.column_stack([np.full(len(names), -0.02), heights]),
        [_short(name) for name in names],
        transform=axes.get_yaxis_transform(),
        size=_SIZE,
        colours=[INK] * len(names),
        bold=[False] * (len(names) - 1) + [True],
        align="right",
    )
    axes.add_artist(labels)
    labels.set_clip_on(False)


def _heights(number_of_lines: int) -> list[float]:
    """Return the heights of the lines from the top, the last one apart from the others."""
    return [-float(index) for index in range(number_of_lines - 1)] + [-number_of_lines + 0.6]


def _prepare(axes: Axes, n_lines: int) -> None:
    """Make room for the lines, without numbers at the left."""
    axes.set_ylim(-n_lines + 0.6 - 0.7, 0.7)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="x", labelsize=8)


def _draw_effects(axes: Axes, peak: ForestPeak, units: str) -> None:
    """Draw effects and intervals."""
    lines = [*peak.lines, peak.combined]
    heights = _heights(len(lines))
    ends = [0.0]
    for line in lines:
        if math.isfinite(line.effect):
            wide = line.half_width if math.isfinite(line.half_width) else 0.0
            ends += [line.effect - wide, line.effect + wide]
    margin = 0.05 * (max(ends) - min(ends)) or 1.0
    _prepare(axes, len(lines))
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    axes.locator_params(axis="x", nbins=5)
    axes.axvline(0.0, color=FAINT, linewidth=0.8)
    axes.axvline(peak.combined.effect, color=_ALL, linewidth=0.8, linestyle=":")
    known = [
        (line, height)
        for line, height in zip(peak.lines, heights, strict=False)
        if math.isfinite(line.effect)
    ]
    axes.hlines(
        [height for _, height in known],
        [line.effect - line.half_width for line, _ in known],
        [line.effect + line.half_width for line, _ in known],
        color=_RUN,
        linewidth=1.3,
    )
    axes.scatter(
        [line.effect for line, _ in known],
        [height for _, height in known],
        s=[_AREA * max(line.weight, 0.02) if line.weight > 0 else 3.0 for line, _ in known],
        marker="s",
        color=_RUN,
        linewidth=0,
        zorder=3,
    )
    for line, height in zip(peak.lines, heights, strict=False):
        if not math.isfinite(line.effect):
            axes.text(
                0.5,
                height,
                "no result here",
                transform=axes.get_yaxis_transform(),
                size=7.5,
                color=_SOFT,
                ha="center",
                va="center",
            )
    _draw_diamond(axes, peak.combined, heights[-1])
    axes.set_xlabel(f"effect ({units}), 95 % interval")


def _draw_diamond(axes: Axes, combined: ForestLine, height: float) -> None:
    """Draw the combined effect: as wide as its interval."""
    effect, half = combined.effect, combined.half_width
    if math.isfinite(effect) and math.isfinite(half):
        axes.fill(
            [effect - half, effect, effect + half, effect],
            [height, height + 0.32, height, height - 0.32],
            color=_ALL,
            linewidth=0,
            zorder=3,
        )


def _draw_without(axes: Axes, peak: ForestPeak, noun: str) -> None:
    """Draw z of all without each, and mark the one that changes it most."""
    n_lines = len(peak.lines) + 1
    heights = _heights(n_lines)
    _prepare(axes, n_lines)
    axes.axvline(peak.z, color=_ALL, linewidth=0.8, linestyle=":")
    known = [
        (line.z_without, height)
        for line, height in zip(peak.lines, heights, strict=False)
        if math.isfinite(line.z_without)
    ]
    if known:
        values = np.array([z for z, _ in known])
        marks = [height for _, height in known]
        strongest = int(np.abs(values - peak.z).argmax())
        colours = [_STRONG if index == strongest else _RUN for index in range(len(known))]
        axes.hlines(marks, values, [peak.z] * len(known), color=colours, linewidth=1.0)
        axes.scatter(values, marks, s=16, color=colours, linewidth=0, zorder=3)
    axes.scatter([peak.z], [heights[-1]], s=22, marker="D", color=_ALL, linewidth=0, zorder=3)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=3)
    axes.set_xlabel(f"z without the {noun}")
