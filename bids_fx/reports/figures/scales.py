"""The colours of z maps: nothing up to a cutoff, hot above it, cold below its negative."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bids_fx.reports.figures.mosaics import NEUTRAL, Bar

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

_COLD = ("#7ff5ff", "#1fa8ff", "#2a3cff")
_HOT = ("#c1121f", "#ff7b00", "#fff04d")


class Scale(NamedTuple):
    """The ends of a colour scale and the |z| from which on there is colour, if anywhere."""

    low: float
    cutoff: float
    high: float


def scale_of(largest: float, cutoff: float, *, one_sided: bool) -> Scale:
    """Return the scale of maps: coloured from the least of their cutoffs on.

    Parameters
    ----------
    largest : float
        The greatest |z|.
    cutoff : float
        The least of the cutoffs; may be infinite.
    one_sided : bool
        Whether z is never negative.
    """
    high = max(math.ceil(largest), 1 if math.isinf(cutoff) else math.ceil(cutoff) + 1)
    return Scale(0.0 if one_sided else -float(high), cutoff, float(high))


def colours_of(scale: Scale) -> Colormap:
    """Return the colours of a scale: cold if it goes below 0, nothing, hot."""
    from matplotlib.colors import LinearSegmentedColormap

    if math.isinf(scale.cutoff):
        return LinearSegmentedColormap.from_list("none", [NEUTRAL, NEUTRAL], N=2)
    edge = min(scale.cutoff / scale.high, 0.999)
    if scale.low == 0:
        cold: list[tuple[float, str]] = []
        start, end = 0.0, edge
    else:
        start, end = 0.5 - edge / 2, 0.5 + edge / 2
        cold = list(zip(np.linspace(0, start, 3).tolist(), _COLD, strict=True))
    hot = list(zip(np.linspace(end, 1, 3).tolist(), _HOT, strict=True))
    none = [(start, NEUTRAL), (end, NEUTRAL)]
    return LinearSegmentedColormap.from_list("coldhot", [*cold, *none, *hot], N=512)


def bar_of(scale: Scale, colours: Colormap) -> Bar:
    """Return a scale as it is drawn."""
    low, cutoff, high = scale
    marks = () if math.isinf(cutoff) else (cutoff,)
    return Bar("z", low, high, (*(-mark for mark in marks), *marks), colours)
