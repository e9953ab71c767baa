"""Strip plots: every run's value of a measure as a point on a line, one line per analysis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bids_fx.quality import BY_NAME, breaks
from bids_fx.report_settings import QualityLimit
from bids_fx.reports.wording import brief, count
from bids_fx.standing import RunQuality

#: Analyses with a line of their own; a plot of more would be of lines without points.
MAX_LANES = 6
#: Points that tell their run when they are pointed at: the farthest from the middle.
MAX_TITLED = 200

#: In pixels of the drawing.
_WIDTH, _LANE, _TOP, _BOTTOM, _MARGIN = 640.0, 34.0, 18.0, 22.0, 24.0
#: Left of the points, where lines have names.
_NAMES = 72.0
#: Half of the longest text below the axis, such as -1.235e-05.
_LONGEST = 45.0
#: Steps of the golden ratio fill a line evenly, whatever the number of points.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A run that is told when it is pointed at."""

    x: str
    y: str
    title: str
    is_bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The runs of one analysis.

    Parameters
    ----------
    name : str
        Of the analysis; empty where there is one alone.
    y : str
        Of the line.
    dots : str
        Path of the points that tell nothing; may be empty.
    points : tuple of Point
        The others.
    """

    name: str
    y: str
    dots: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The distribution of one measure over runs.

    Parameters
    ----------
    title, description, alt : str
        What the measure is called, with units; what it is; what the plot shows.
    width, height, axis : str
        Of the drawing; where its axis is.
    lanes : tuple of Lane
        One per analysis.
    ticks : tuple of (str, str, str)
        Places on the axis, their text, and which part of it stands there: so that none is cut.
    limits : tuple of (str, str)
        The limits that runs must keep: place and text.
    note : str
        What is not drawn; may be empty.
    """

    title: str
    description: str
    alt: str
    width: str
    height: str
    axis: str
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[str, str, str], ...]
    limits: tuple[tuple[str, str], ...]
    note: str


def make_strip(
    measure: str,
    runs: Sequence[RunQuality],
    analyses: Sequence[str],
    limits: Sequence[QualityLimit],
) -> Strip | None:
    """Lay out the plot of a measure.

    Parameters
    ----------
    measure : str
        One of `bids_fx.quality.BY_NAME`.
    runs : sequence of RunQuality
        All runs.
    analyses : sequence of str
        Names of the analyses in the order of their lines.
    limits : sequence of QualityLimit
        Those of all measures.

    Returns
    -------
    Strip or None
        None where no run has a value.
    """
    known = BY_NAME[measure]
    own = [limit for limit in limits if limit.measure == measure]
    values_of = _values(measure, runs)
    shown = [name for name in analyses if name in values_of]
    if not shown:
        return None
    lanes = {name: values_of[name] for name in shown[:MAX_LANES]}
    values = [value for lane in lanes.values() for _, value in lane]
    is_named = len(shown) > 1
    left_end = _NAMES if is_named else _MARGIN
    place = _scale([*values, *(limit.value for limit in own)], left_end)
    left = sum(len(values_of[name]) for name in shown[MAX_LANES:])
    axis = _TOP + _LANE * len(lanes)
    # "ratio" and the like name no unit.
    title = known.title if known.units == "ratio" else f"{known.title} ({known.units})"
    return Strip(
        title=title[:1].upper() + title[1:],
        description=f"{known.description}.",
        alt=f"{known.title} of {count(len(values), 'run')}: {brief(min(values))} to "
        f"{brief(max(values))}, median {brief(median(values))} {known.units}",
        width=f"{_WIDTH:g}",
        height=f"{axis + _BOTTOM:g}",
        axis=f"{axis:g}",
        lanes=tuple(
            _lane(name if is_named else "", number, lane, place, own)
            for number, (name, lane) in enumerate(lanes.items())
        ),
        ticks=tuple(_tick(place(value), brief(value)) for value in _ticks(values)),
        limits=tuple((place(limit.value), str(limit)) for limit in own),
        note=f"{count(left, 'run')} of {len(shown) - MAX_LANES} further analyses "
        "are in qc.tsv alone."
        if left
        else "",
    )


def _values(measure: str, runs: Sequence[RunQuality]) -> dict[str, list[tuple[RunQuality, float]]]:
    """Return the runs of each analysis that have a value, with it."""
    found: dict[str, list[tuple[RunQuality, float]]] = {}
    for run in runs:
        value = run.measures.get(measure)
        if value is not None:
            found.setdefault(run.analysis, []).append((run, value))
    return found


def _scale(values: Sequence[float], start: float) -> Callable[[float], str]:
    """Return where on the axis a value is; one value alone is in the middle."""
    low, high = min(values), max(values)
    length = _WIDTH - _MARGIN - start

    def place(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return f"{start + share * length:.1f}"

    return place


def _ticks(values: Sequence[float]) -> tuple[float, ...]:
    """Return the values below which a text stands: the ends."""
    return tuple(dict.fromkeys((min(values), max(values))))


def _tick(x: str, text: str) -> tuple[str, str, str]:
    """Return a text below the axis: near the ends of the drawing it goes inwards."""
    if float(x) < _LONGEST:
        return x, text, "start"
    return x, text, "end" if float(x) > _WIDTH - _LONGEST else "middle"


def _lane(
    name: str,
    number: int,
    runs: Sequence[tuple[RunQuality, float]],
    place: Callable[[float], str],
    limits: Sequence[QualityLimit],
) -> Lane:
    """Lay out the points of one analysis; those in the middle tell nothing if there are many."""
    middle = median(value for _, value in runs)
    ranked = sorted(range(len(runs)), key=lambda index: -abs(runs[index][1] - middle))
    titled = set(ranked[:MAX_TITLED])
    centre = _TOP + _LANE * (number + 0.5)
    dots, points = [], []
    for index, (run, value) in enumerate(runs):
        x, y = place(value), f"{centre + (index * _GOLDEN % 1 - 0.5) * _LANE * 0.6:.1f}"
        if index not in titled:
            dots.append(f"M{x} {y}h0")
            continue
        is_bad = any(breaks(limit, value) for limit in limits)
        words = " ".join(str(run.entities).split("_"))
        points.append(Point(x=x, y=y, title=f"{words}: {brief(value)}", is_bad=is_bad))
    return Lane(name=name, y=f"{centre:g}", dots="".join(dots), points=tuple(points))
