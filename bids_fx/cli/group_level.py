"""The level ``group``: what all participants left in the output folder, gathered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bids_fx.cli.resources import available_processors
from bids_fx.cli.streams import show_result
from bids_fx.derivatives import paths
from bids_fx.derivatives.across import write_tables
from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.planted import refuse_planted
from bids_fx.derivatives.standings import participants_in, participants_of, read_standing
from bids_fx.derivatives.write import remove_temporaries, write_text
from bids_fx.entities import same_label
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.logs import fields, log_problems
from bids_fx.reports.index import index_html
from bids_fx.reports.wording import count
from bids_fx.settings import DataSelection, Invocation
from bids_fx.standing import Analysis, Overview, Standing, label_key
from bids_fx.threads import map_in_order

logger = logging.getLogger("bids_fx")

#: What is wrong with a participant is all in the page; on the terminal that many clauses of it.
_TOLD = 3


def gather(invocation: Invocation) -> ExitCode:
    """Write the page and the tables over all participants, and tell who failed.

    Parameters
    ----------
    invocation : Invocation
        The command line as settings.

    Returns
    -------
    ExitCode
        FAILED if a participant failed, breaks a limit or cannot be read; who is not done yet has
        not failed.

    Raises
    ------
    BIDSFXError
        Where the output folder is not there or holds none of the participants asked for.

    Notes
    -----
    The lock is held from the first look to the last file: of calls at one time, the one that
    looked last also writes last.
    """
    out_dir = invocation.execution.out_dir
    labels, waiting = _chosen(invocation)
    written = (paths.QUALITY_TABLE, paths.sidecar(paths.QUALITY_TABLE), paths.SUMMARY, paths.INDEX)
    refuse_planted(out_dir)
    with locked(out_dir, "group"):
        remove_temporaries(out_dir, *(path.name for path in written))
        overview = Overview(
            standings=_standings(invocation, labels, waiting),
            limits=invocation.report.quality_limits,
        )
        write_tables(overview, out_dir)
        write_text(out_dir / paths.INDEX, index_html(overview))
    show_result(out_dir / paths.INDEX)
    return _concluded(overview)


def _chosen(invocation: Invocation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the participants in the output folder and those of the dataset not begun with."""
    out_dir, data = invocation.execution.out_dir, invocation.data
    try:
        there = participants_in(out_dir)
    except OSError as error:
        raise BIDSFXError.single(
            "OUTPUT_DIR",
            f"{out_dir} cannot be read ({error.strerror})",
            "give the folder that the level 'participant' has written to",
            ExitCode.MISSING_INPUT,
        ) from error
    waiting = tuple(label for label in participants_of(data.bids_dir) if label not in there)
    problems = [
        _nothing(f"--participant-label {label}", f"there is no sub-{label}")
        for label in data.participants
        if not any(same_label(label, one) for one in (*there, *waiting))
    ]
    there, waiting = _asked(there, data), _asked(waiting, data)
    if problems:
        raise BIDSFXError(problems)
    if not there:
        who = "none of the participants asked for" if data.participants else "no participant"
        raise BIDSFXError([_nothing("OUTPUT_DIR", f"{out_dir} holds {who}")])
    return there, waiting


def _asked(labels: Sequence[str], data: DataSelection) -> tuple[str, ...]:
    """Return those of some participants that are asked for."""
    if not data.participants:
        return tuple(labels)
    return tuple(
        label for label in labels if any(same_label(label, one) for one in data.participants)
    )


def _nothing(where: str, found: str) -> Problem:
    """Return the problem that nothing is selected."""
    remedy = "name participants for whom the level 'participant' was called, or leave it out"
    if where == "OUTPUT_DIR":
        remedy = "call the level 'participant' first, or give another folder"
    return Problem(where=where, found=found, remedy=remedy, code=ExitCode.NOTHING_SELECTED)


def _standings(
    invocation: Invocation, labels: Sequence[str], waiting: Sequence[str]
) -> tuple[Standing, ...]:
    """Read all participants; what tells an analysis is kept once, not for each of them."""
    execution = invocation.execution
    known: dict[str, Analysis] = {}
    read = partial(read_standing, execution.out_dir, limits=invocation.report.quality_limits)
    n_threads = execution.n_procs or available_processors()
    found = [
        replace(
            standing,
            analyses=tuple(known.setdefault(one.name, one) for one in standing.analyses),
        )
        for standing in map_in_order(read, labels, n_threads)
    ]
    found += [Standing(participant=label, state="not started") for label in waiting]
    return tuple(sorted(found, key=lambda standing: label_key(standing.participant)))


def _concluded(overview: Overview) -> ExitCode:
    """Tell how all went; list who failed on standard error."""
    states = {standing.participant: standing.state for standing in overview.standings}
    counts = ((number, state) for state, number in overview.counts.items() if number)
    logger.info(
        "%s: %s.",
        count(len(overview.standings), "participant"),
        ", ".join(f"{number} {state}" for number, state in counts),
        extra=fields(states=states),
    )
    for limit, _, n_measured, n_runs in overview.judged:
        if n_measured < n_runs or not n_runs:
            logger.warning(
                "The limit %s of --qc-fail judged %d of %d runs: the others have no value of it.",
                limit,
                n_measured,
                n_runs,
            )
    problems = [_problem(standing) for standing in overview.standings if standing.is_wrong]
    if not problems:
        return ExitCode.OK
    log_problems("bids_fx", problems)
    return ExitCode.FAILED


def _problem(standing: Standing) -> Problem:
    """Return what is wrong with a participant as the terminal shows it."""
    told = "; ".join(standing.reasons[:_TOLD])
    more = len(standing.reasons) - _TOLD
    report = paths.report(standing.participant)
    return Problem(
        where=f"sub-{standing.participant}",
        found=told + (f"; and {more} more" if more > 0 else ""),
        remedy=f"see {report if standing.has_report else paths.INDEX}",
    )
