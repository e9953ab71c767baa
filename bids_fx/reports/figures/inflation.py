"""Bars of the variance inflation of a design's columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bids_fx.glm.contrasts import variance_inflation
from bids_fx.glm.design import Design
from bids_fx.glm.names import HIGH_INFLATION
from bids_fx.reports.figures.places import Place, add_axes, shift
from bids_fx.reports.figures.style import INK, ROLE_COLOURS
from bids_fx.reports.wording import brief

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_inflation(figure: Figure, place: Place, design: Design) -> None:
    """Draw the variance inflation of each column below it; those without one have no bar."""
    from bids_fx.reports.figures.labels import Labels

    fitted = design.fitted
    found: dict[str, float] = {}
    if fitted.matrix.size:
        found = dict(zip(fitted.names, variance_inflation(fitted.matrix).tolist(), strict=True))
    factors = np.array([found.get(column.name, np.nan) for column in design.columns])
    largest = factors[np.isfinite(factors)].max(initial=HIGH_INFLATION)
    # What is infinite stands out of the others, and leaves room for its sign.
    heights, top = np.minimum(factors, 3.0 * largest), 15.0 * largest
    axes = add_axes(figure, place)
    shown = np.flatnonzero(~np.isnan(factors))
    axes.bar(
        shown,
        heights[shown],
        width=0.75,
        color=[ROLE_COLOURS[design.columns[i].role] for i in shown],
    )
    axes.axhline(HIGH_INFLATION, color=INK, linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylim(0.8, top)
    axes.set_xlim(-0.5, len(factors) - 0.5)
    axes.set_xticks([])
    ticks = [10**power for power in range(int(np.log10(top)) + 1)]
    axes.set_yticks(ticks, [brief(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel("VIF")
    axes.spines[["top", "right"]].set_visible(False)
    labels = Labels(
        np.column_stack([shown, heights[shown]]),
        [_two_digits(value) for value in factors[shown].tolist()],
        transform=axes.transData + shift(axes, 0.0, 0.03),
        size=6.5,
        colours=[INK] * len(shown),
        align="left",
        upwards=True,
    )
    axes.add_artist(labels)


def _two_digits(value: float) -> str:
    """Return a variance inflation factor with two digits.

    Examples
    --------
    >>> _two_digits(1.0), _two_digits(4.3913), _two_digits(1234.0), _two_digits(float("inf"))
    ('1', '4.4', '1,234', '∞')
    """
    if math.isinf(value):
        return "\N{INFINITY}"
    return f"{value:,.0f}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0")
