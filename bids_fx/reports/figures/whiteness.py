"""Figure of the autocorrelation of a run's residuals, before and after whitening."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bids_fx.reports.figures.places import Room, add_axes
from bids_fx.reports.figures.style import FAINT, INK, message_figure, styled
from bids_fx.reports.wording import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Two-sided 5 % of the normal distribution.
_NORMAL_95 = 1.96
_BARS = {
    "residual_autocorrelation_lag1": ("before,\nlag 1", "#7f8790"),
    **{
        f"whitened_autocorrelation_lag{lag}": (f"after,\nlag {lag}", "#0072b2")
        for lag in (1, 2, 3)
    },
}


@styled
def draw_whiteness(measures: Mapping[str, object]) -> Figure:
    r"""Draw the median autocorrelation of the residuals, and the limits of white noise.

    Parameters
    ----------
    measures : mapping of str to float, int or None
        The run's measures of quality.

    Returns
    -------
    Figure
        One axes with a bar for each of lag 1 before whitening and lags 1 to 3 after it, and a
        band for what 95 % of the voxels are within if their noise is white,
        :math:`\pm 1.96 / \sqrt{dof}`; a message where nothing was measured.
    """
    from matplotlib.figure import Figure

    dof = measures.get("dof")
    found = {name: value for name in _BARS if isinstance(value := measures.get(name), int | float)}
    if not found or not isinstance(dof, int | float):
        return message_figure("No voxel was fitted, so that no autocorrelation was measured.")
    limit = _NORMAL_95 / float(np.sqrt(dof))
    figure = Figure(figsize=(5.5, 3.0))
    axes = add_axes(figure, Room(left=0.85, right=0.1, top=0.3, bottom=0.55).within(figure))
    axes.axhspan(-limit, limit, color="#009e73", alpha=0.15, linewidth=0)
    axes.axhline(0.0, color=FAINT, linewidth=0.8)
    values = list(found.values())
    axes.bar(range(len(values)), values, width=0.55, color=[_BARS[name][1] for name in found])
    reach = 1.25 * max(limit, *map(abs, values))
    for place, value in enumerate(values):
        shift = 0.03 * reach if value >= 0 else -0.03 * reach
        align = "bottom" if value >= 0 else "top"
        # Rounded first, so that no 0 has a sign.
        text = number(round(value, 2) + 0.0)
        axes.text(place, value + shift, text, ha="center", va=align, color=INK)
    axes.set_ylim(-max(limit * 1.25, -1.4 * min(values)), reach)
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_xticks(range(len(values)), [_BARS[name][0] for name in found])
    axes.set_ylabel("autocorrelation, median")
    axes.spines[["top", "right"]].set_visible(False)
    share = measures.get("whitened_outside_share")
    if isinstance(share, int | float):
        axes.set_title(f"{100 * share:.1f} % outside the band after whitening (white noise: 5 %)")
    return figure
