"""The quality of the runs in the report: the table of measures, and the worst of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bids_fx.derivatives.quality import read_quality
from bids_fx.quality import BY_NAME, MEASURES, Measure, breaks
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit
from bids_fx.reports.overview import run_names
from bids_fx.reports.page import Table
from bids_fx.reports.wording import MISSING, brief

#: Measures whose worst value stands at the top of the page, and what it is called there.
_WORST = {
    "fd_mean": "largest mean FD",
    "censored_perc": "most scans censored",
    "tsnr_median": "lowest median tSNR",
    "whitened_outside_share": "largest share beyond white noise",
}
_SHORT_UNITS = {"percent": "%", "mm": "mm"}
#: Units that the titles of measures do not tell.
_NAMED = {"mm", "percent", "SD over scans"}
BROKEN, KEPT, UNKNOWN = "broken", "kept", "not measured"


class Worst(NamedTuple):
    """The worst value that any run has of a measure.

    Attributes
    ----------
    label : str
        What it is.
    value : str
        With its units.
    run : str
        What the run is called.
    is_bad : bool
        Whether it breaks a limit of ``--qc-fail``.
    """

    label: str
    value: str
    run: str
    is_bad: bool


def worst_quality(plans: Sequence[Plan], out_dir: Path) -> tuple[Worst, ...]:
    """Return the worst values over the runs of a participant.

    Parameters
    ----------
    plans : sequence of Plan
        The plans of the participant; runs that were fitted again since do not count.
    out_dir : Path
        The output folder.

    Returns
    -------
    tuple of Worst
        In a fixed order, of equal values that of the first run; measures that no run has are
        left out.
    """
    runs = [
        _Measured(names[run.key] + whose, read_quality(run, out_dir), plan.report.quality_limits)
        for plan, names, whose in _named(plans)
        for run in plan.runs
        if run.key not in plan.replaced
    ]
    found = []
    for name, label in _WORST.items():
        values = [
            (float(value), run)
            for run in runs
            if isinstance(value := run.measures.get(name), int | float)
        ]
        if not values:
            continue
        choose = min if BY_NAME[name].bad == "<" else max
        value, run = choose(values, key=lambda pair: pair[0])
        limits = _limits_of(name, run.limits)
        found.append(
            Worst(
                label=label,
                value=measure_text(BY_NAME[name], value),
                run=run.name,
                is_bad=any(breaks(limit, value) for limit in limits),
            )
        )
    return tuple(found)


def _named(plans: Sequence[Plan]) -> Iterator[tuple[Plan, dict[str, str], str]]:
    """Iterate over plans, names of their runs and, where there are several, what these end in."""
    for number, plan in enumerate(plans, start=1):
        yield plan, run_names(plan), f" (Analysis {number})" if len(plans) > 1 else ""


class _Measured(NamedTuple):
    """A run with its measures, and the limits that they must keep."""

    name: str
    measures: Mapping[str, object]
    limits: Sequence[QualityLimit]


def measure_text(measure: Measure, value: object) -> str:
    """Return a measure's value as people read it.

    Examples
    --------
    >>> measure_text(BY_NAME["fd_mean"], 0.14451), measure_text(BY_NAME["fd_mean"], None)
    ('0.1445 mm', 'n/a')
    """
    if not isinstance(value, int | float):
        return "n/a"
    units = _SHORT_UNITS.get(measure.units)
    return f"{brief(float(value))} {units}" if units else brief(float(value))


def measures_table(measures: Mapping[str, object], limits: Sequence[QualityLimit]) -> Table:
    """Return a run's measures, those that tell of one thing below each other.

    Parameters
    ----------
    measures : mapping of str to float, int or None
        As published; without any, the table is empty and says so.
    limits : sequence of QualityLimit
        Those of ``--qc-fail``; a column says which are kept.
    """
    shown = [measure for measure in MEASURES if measure.name in measures]
    if not shown:
        return Table(caption=f"Quality measures: {MISSING}", head=(), rows=())
    rows = [_row(measure, measures[measure.name], limits) for measure in shown]
    parts = [measure.part for measure in shown]
    return Table(
        caption=(
            "Quality measures, as in _desc-qc.json; _desc-quality_timeseries.tsv has the scans"
        ),
        head=("Measure", "Value", "Name", *(("Limit",) if limits else ())),
        rows=tuple(rows),
        tones=_tones(rows) if limits else {},
        headings={i: part for i, part in enumerate(parts) if part not in parts[:i]},
        is_wide=True,
    )


def _row(measure: Measure, value: object, limits: Sequence[QualityLimit]) -> tuple[str, ...]:
    """Return the line of a measure."""
    text = brief(float(value)) if isinstance(value, int | float) else "n/a"
    title = f"{measure.title} ({measure.units})" if measure.units in _NAMED else measure.title
    told = []
    for limit in _limits_of(measure.name, limits):
        state = UNKNOWN
        if isinstance(value, int | float):
            state = BROKEN if breaks(limit, value) else KEPT
        told.append(f"{limit.sign} {brief(limit.value)}: {state}")
    return (title, text, measure.name, *((", ".join(told),) if limits else ()))


def _tones(rows: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """Return which cells of limits are good or bad news."""
    cells = [row[-1] for row in rows if row[-1]]
    return {cell: "bad" if BROKEN in cell else "good" for cell in cells if UNKNOWN not in cell}


def _limits_of(name: str, limits: Sequence[QualityLimit]) -> list[QualityLimit]:
    """Return the limits of one measure."""
    return [limit for limit in limits if limit.measure == name]
