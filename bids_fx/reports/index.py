"""The page of all participants: one HTML file, from what the output folder holds of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bids_fx import __version__
from bids_fx.analyses import differences
from bids_fx.derivatives import paths
from bids_fx.quality import BY_NAME
from bids_fx.reports.page import Table
from bids_fx.reports.strips import Strip, make_strip
from bids_fx.reports.templates import render
from bids_fx.reports.wording import brief, count, shorten
from bids_fx.settings import setting_text
from bids_fx.standing import (
    WORST,
    Analysis,
    Overview,
    Standing,
    shown_measures,
)

#: Class of each state's colour.
_TONES = {
    "failed": "bad",
    "unknown": "bad",
    "running": "warning",
    "planned": "warning",
    "not started": "soft",
    "done": "good",
}
#: What the worst values are called at the heads of columns.
_SHORT_NAMES = {
    "fd_mean": "Mean FD (mm)",
    "censored_perc": "Censored (%)",
    "tsnr_median": "tSNR",
}
#: Characters of a reason in the table; all of it is in the list.
_SHORT = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A participant in the table; `cells` are texts, in the order of `HEAD` behind the state."""

    name: str
    href: str
    state: str
    tone: str
    is_wrong: bool
    cells: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A participant with what is wrong."""

    name: str
    href: str
    state: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSettings:
    """Participants whose settings are not those of most, and what differs."""

    participants: tuple[str, ...]
    told: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPage:
    """The page.

    Parameters
    ----------
    version : str
        The program's.
    state, verdict : str
        Class of the verdict's colour; one sentence.
    tiles : tuple of (str, str, str, str)
        The most important counts: value, what is counted, where it is told, class of its colour.
    worst : tuple of (str, str)
        The worst quality over all runs: name and value.
    head : tuple of str
        Names of the columns of numbers.
    rows : tuple of Row
        One per participant.
    faults : tuple of Fault
        Who failed, and why.
    limits : tuple of str
        How many runs break each limit.
    strips : tuple of Strip
        Distributions of the measures.
    same : str
        Whether all participants have the same settings, in one sentence.
    settings : tuple of Table
        The analyses, and the settings of the most frequent.
    others : tuple of OtherSettings
        Who differs.
    """

    version: str
    state: str
    verdict: str
    tiles: tuple[tuple[str, str, str, str], ...]
    worst: tuple[tuple[str, str], ...]
    head: tuple[str, ...]
    rows: tuple[Row, ...]
    faults: tuple[Fault, ...]
    limits: tuple[str, ...]
    strips: tuple[Strip, ...]
    same: str
    settings: tuple[Table, ...]
    others: tuple[OtherSettings, ...]


def index_html(overview: Overview) -> str:
    """Return the page of all participants.

    Parameters
    ----------
    overview : Overview
        What the output folder holds; the same gives the same page.
    """
    return render("index.html.jinja", "index.js", _page(overview))


def _page(overview: Overview) -> IndexPage:
    """Gather all that the page shows."""
    state, verdict = _verdict(overview)
    names = [analysis.name for analysis in overview.analyses]
    strips = (
        make_strip(measure, overview.runs, names, overview.limits)
        for measure in shown_measures(overview.limits)
    )
    return IndexPage(
        version=__version__,
        state=state,
        verdict=verdict,
        tiles=tuple(_tiles(overview)),
        worst=tuple(
            (_worst_name(name), brief(value))
            for name, value in overview.worst.items()
            if value is not None
        ),
        head=(
            *("Runs used", "Runs left out", "Contrasts", "Warnings", "Outputs missing"),
            *(_SHORT_NAMES[name] for name in WORST),
        ),
        rows=tuple(map(_row, overview.standings)),
        faults=tuple(map(_fault, filter(lambda one: one.is_wrong, overview.standings))),
        limits=tuple(_limits(overview)),
        strips=tuple(strip for strip in strips if strip is not None),
        same=_same(overview),
        settings=tuple(_settings_tables(overview)),
        others=tuple(_others(overview)),
    )


def _verdict(overview: Overview) -> tuple[str, str]:
    """Return the state of all participants together and the sentence that says it."""
    counts, total = overview.counts, count(len(overview.standings), "participant")
    n_open = sum(counts[state] for state in ("running", "planned", "not started"))
    told = [
        *([f"{counts['failed']} {_have(counts['failed'])} failed"] if counts["failed"] else []),
        *([f"{counts['unknown']} {_are(counts['unknown'])} unknown"] if counts["unknown"] else []),
        *([f"{n_open} {_are(n_open)} not done yet"] if n_open else []),
    ]
    if not told:
        return "good", f"Complete: {total}, all done."
    is_wrong = any(standing.is_wrong for standing in overview.standings)
    *head, last = told
    words = f"{', '.join(head)} and {last}" if head else last
    return "bad" if is_wrong else "warning", f"Of {total}, {words}."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _tiles(overview: Overview) -> Iterator[tuple[str, str, str, str]]:
    """Iterate over the most important counts."""
    total = len(overview.standings)
    yield str(total), _plural("participant", total), "participants", ""
    for state, number in overview.counts.items():
        if number or state in ("done", "failed"):
            is_wrong = _TONES[state] == "bad"
            goal = "failures" if number and is_wrong else "participants"
            yield str(number), state, goal, _TONES[state] if number else ""
    standings = overview.standings
    n_used = sum(one.n_used for one in standings)
    yield str(n_used), f"{_plural('run', n_used)} used", "quality", ""
    for number, noun, more, tone in (
        (sum(one.n_left_out for one in standings), "run", " left out", "warning"),
        (sum(len(one.missing) for one in standings), "output", " missing", "bad"),
        (sum(len(one.warnings) for one in standings), "warning", "", "warning"),
    ):
        if number:
            yield str(number), f"{_plural(noun, number)}{more}", "participants", tone
    if overview.others:
        number = sum(len(group.participants) for group in overview.others)
        yield str(number), "other settings", "settings", "warning"


def _plural(noun: str, number: int) -> str:
    return noun if number == 1 else f"{noun}s"


def _row(standing: Standing) -> Row:
    """Return a participant's row."""
    numbers = (
        *(standing.n_used, standing.n_left_out, len(standing.contrasts)),
        *(len(standing.warnings), len(standing.missing)),
    )
    has_any = bool(standing.n_used or standing.n_left_out)
    return Row(
        name=f"sub-{standing.participant}",
        href=_href(standing),
        state=standing.state,
        tone=_TONES[standing.state],
        is_wrong=standing.is_wrong,
        cells=(
            *(str(number) if has_any else "" for number in numbers),
            *("" if value is None else brief(value) for value in standing.worst.values()),
            ", ".join(analysis.name for analysis in standing.analyses),
        ),
        reason=shorten(standing.reasons[0], _SHORT) if standing.reasons else "",
    )


def _fault(standing: Standing) -> Fault:
    """Return a participant with what is wrong."""
    return Fault(
        name=f"sub-{standing.participant}",
        href=_href(standing),
        state=standing.state,
        reasons=standing.reasons,
    )


def _href(standing: Standing) -> str:
    """Return where a participant's report is, seen from the page; empty without any."""
    return str(paths.report(standing.participant)) if standing.has_report else ""


def _limits(overview: Overview) -> Iterator[str]:
    """Iterate over the limits with the number of runs that break each."""
    for limit, n_broken, n_measured, n_runs in overview.judged:
        told = f"{limit}: {n_broken} of {count(n_measured, 'measured run')} {_breaks(n_broken)} it"
        left = n_runs - n_measured
        more = f"; {count(left, 'run')} {_have(left)} no value of it" if left else ""
        yield f"{told}{more}."


def _breaks(number: int) -> str:
    return "breaks" if number == 1 else "break"


def _worst_name(measure: str) -> str:
    """Return what the worst value of a measure is called."""
    known = BY_NAME[measure]
    units = "" if known.units == "ratio" else f" ({known.units.replace('percent', '%')})"
    return f"Worst {known.title}{units}"


def _same(overview: Overview) -> str:
    """Say whether all participants have the same settings."""
    if not overview.groups:
        return "There are no results yet."
    total = sum(len(group.participants) for group in overview.groups)
    if not overview.others:
        whose = "The participant has" if total == 1 else f"All {total} participants have"
        return f"{whose} results of one analysis."
    number = sum(len(group.participants) for group in overview.others)
    return (
        f"Of {count(total, 'participant')} with results, {number} {_have(number)} others than "
        f"those of analysis {overview.analyses[0].name} alone. Runs in qc.tsv are told apart by "
        "the column 'analysis': measures that depend on the model compare within one analysis "
        "only."
    )


def _settings_tables(overview: Overview) -> Iterator[Table]:
    """Iterate over the table of analyses and that of the first one's settings."""
    analyses = overview.analyses
    if not analyses:
        return
    first = analyses[0]
    n_participants = Counter(
        one.name for standing in overview.standings for one in standing.analyses
    )
    n_runs = Counter(run.analysis for run in overview.runs)
    yield Table(
        caption="Analyses: calls of the same settings (but for the contrasts), model file and "
        "software",
        head=("Analysis", "Participants", "Runs", "What differs from the first"),
        rows=tuple(
            (
                analysis.name,
                str(n_participants[analysis.name]),
                str(n_runs[analysis.name]),
                "\N{EM DASH}" if analysis == first else _differing(analysis, first),
            )
            for analysis in analyses
        ),
    )
    settings = first.call.plan.settings
    yield Table(
        caption=f"Settings and software of analysis {first.name}",
        head=("Setting", "Value"),
        rows=(
            *(
                (name, setting_text(name, value))
                for name, value in settings.to_json().items()
                if name != "contrasts" and value != ""
            ),
            *first.call.software.items(),
        ),
    )


def _differing(analysis: Analysis, first: Analysis) -> str:
    """Return what tells an analysis from another, in one text."""
    return "; ".join(differences(analysis.call, first.call))


def _others(overview: Overview) -> Iterator[OtherSettings]:
    """Iterate over who has results of anything but the analysis of the most participants."""
    for group in overview.others:
        first = overview.analyses[0]
        number = len(group.analyses)
        what = "another analysis" if number == 1 else f"{number} analyses"
        yield OtherSettings(
            participants=tuple(f"sub-{label}" for label in group.participants),
            told=f"{_have(len(group.participants))} results of {what}",
            differences=tuple(
                f"{one.name}: {_differing(one, first)}"
                for one in group.analyses
                if one.name != first.name
            ),
        )
