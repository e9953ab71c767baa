"""Rates of false positives over simulated designs, and the tables that show them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from printing import aligned

FloatArray = npt.NDArray[np.float64]

#: What one design gives: by method and measure, a mean over its voxels.
Outcome = Mapping[str, Mapping[str, float]]

#: Measures in the order of their tables: heading, factor and decimals.
MEASURES = {
    "p001": ("False positives per 1000 at two-sided p < .001", 1000, 2),
    "p05": ("Rate at two-sided p < .05", 1, 4),
    "rho": ("Mean estimated rho", 1, 3),
    "lag": ("Lag-one autocorrelation of the whitened residuals", 1, 3),
}
#: Standard errors that a rate may lie beyond a limit by chance.
N_ERRORS = 2.0
LEGEND = (
    "Mean over designs ± its standard error. Beyond the limits by more than 2 standard errors: "
    "`!`; by less: `?`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a rate is to lie within.

    Parameters
    ----------
    measure : str
        One of `MEASURES`.
    low, high : float
        In the unit of the measure's table.
    methods : tuple of str
        To which it applies; none means all.
    """

    measure: str
    low: float
    high: float
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of data.

    Parameters
    ----------
    group, column : str
        Where it stands in the table.
    draw : callable
        Makes the data of one design from a generator and a number of voxels, and analyses them.
    limits : tuple of Limit
        What the rates are judged by.
    """

    group: str
    column: str
    draw: Callable[[np.random.Generator, int], Outcome]
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A set of cells that are shown together.

    Parameters
    ----------
    number : int
        As it is chosen on the command line.
    title, note : str
        What is shown, and on what data.
    cells : tuple of Cell
        Those of one group follow each other.
    """

    number: int
    title: str
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """Mean and standard error over designs."""

    mean: float
    error: float

    def mark(self, low: float, high: float) -> str:
        """Return how the rate misses its limits; nothing where it does not."""
        beyond = max(low - self.mean, self.mean - high)
        if beyond <= 0:
            return ""
        return "!" if beyond > N_ERRORS * self.error else "?"


#: What many designs give, by method and measure.
Summary = Mapping[str, Mapping[str, Rate]]


def hits(p: FloatArray) -> dict[str, float]:
    """Return the shares of p values below .001 and .05.

    Raises
    ------
    ValueError
        If one is NaN: a test that gives no answer would pass for one that holds its level.
    """
    if np.isnan(p).any():
        raise ValueError(f"{np.isnan(p).sum()} of {p.size} tests gave no p value")
    return {"p001": float((p < 0.001).mean()), "p05": float((p < 0.05).mean())}


def summarise(outcomes: Sequence[Outcome]) -> Summary:
    """Return by method and measure the mean over designs and its standard error.

    Parameters
    ----------
    outcomes : sequence of Outcome
        Of all designs of a cell, with the same methods and measures.

    Returns
    -------
    dict
        In the units of the measures' tables.
    """
    return {
        method: {
            measure: _rate([outcome[method][measure] for outcome in outcomes], measure)
            for measure in measures
        }
        for method, measures in outcomes[0].items()
    }


def _rate(values: Sequence[float], measure: str) -> Rate:
    scaled = np.array(values) * MEASURES[measure][1]
    error = scaled.std(ddof=1) / math.sqrt(scaled.size) if scaled.size > 1 else math.nan
    return Rate(float(scaled.mean()), float(error))


def show(table: Table, summaries: Sequence[Summary], *, markdown: bool) -> Iterator[str]:
    """Iterate over the lines of a table, one block per measure.

    Parameters
    ----------
    table : Table
        What is shown.
    summaries : sequence of dict
        Of each cell, as `summarise` returns them.
    markdown : bool
        Else for the terminal.
    """
    yield f"{'### ' if markdown else ''}{table.number}. {table.title}"
    yield from ("", table.note)
    columns = list(dict.fromkeys(cell.column for cell in table.cells))
    for measure, (heading, _, _) in MEASURES.items():
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for cell, summary in zip(table.cells, summaries, strict=True):
            for method, rates in summary.items():
                if measure in rates:
                    shown = _entry(cell, method, measure, rates[measure])
                    rows.setdefault((cell.group, method), {})[cell.column] = shown
        if rows:
            yield from ("", f"{heading}:", "")
            lines = [[*key, *(row.get(c, "") for c in columns)] for key, row in rows.items()]
            yield from aligned([["", "", *columns], *lines], markdown=markdown)


def _entry(cell: Cell, method: str, measure: str, rate: Rate) -> str:
    decimals = MEASURES[measure][2]
    marks = (
        rate.mark(limit.low, limit.high)
        for limit in cell.limits
        if limit.measure == measure and method in (limit.methods or (method,))
    )
    return f"{rate.mean:.{decimals}f} ± {rate.error:.{decimals}f}{''.join(marks)}"
