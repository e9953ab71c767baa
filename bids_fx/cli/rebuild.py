"""``--reports-only``: figures and reports anew, from the output folder alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path

from bids_fx.analyses import analyses
from bids_fx.calls import Call, Failure
from bids_fx.cli.outcomes import tell
from bids_fx.cli.session import BATCH, Session
from bids_fx.cli.summary import Stamps
from bids_fx.derivatives.calls import read_calls, restored
from bids_fx.derivatives.clusters import drawn_threshold
from bids_fx.derivatives.holdings import failure_reasons, missing_outputs, refreshed
from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.planted import refuse_planted
from bids_fx.derivatives.states import under_way
from bids_fx.derivatives.status import drawable
from bids_fx.entities import same_label
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem
from bids_fx.records import Plan, Todo
from bids_fx.report_settings import ReportSettings, Threshold
from bids_fx.settings import AnalysisSettings, Invocation, setting_text
from bids_fx.suggest import listed

logger = logging.getLogger("bids_fx")

#: What says which data are analysed, and how: a report covers all that there are.
_SELECTION = {
    "sessions": "--session-label",
    "tasks": "--task-id",
    "runs": "--run-id",
    "spaces": "--space",
    "filters": "--bids-filter-file",
    "model": "--model",
    "design_dir": "--design-dir",
    "run_maps_dir": "--run-maps",
    "raw_bold": "--raw-bold",
}


def chosen(invocation: Invocation) -> tuple[str, ...]:
    """List the participants that are asked for and of whom the output folder holds anything.

    Parameters
    ----------
    invocation : Invocation
        The command line as settings.

    Returns
    -------
    tuple of str
        Labels, sorted.

    Raises
    ------
    BIDSFXError
        Where it holds nothing of a participant, or nothing of the settings that are asked for.
    """
    out_dir = invocation.execution.out_dir
    if not out_dir.is_dir():
        raise BIDSFXError.single(
            str(out_dir),
            "there is no such folder, so that there is nothing to report",
            "name the folder of the results",
            ExitCode.MISSING_INPUT,
        )
    there = sorted(path.parent.name[4:] for path in out_dir.glob("sub-*/calls.json"))
    asked = invocation.data.participants
    problems = [
        _nothing_of(out_dir, label)
        for label in asked
        if not any(same_label(label, name) for name in there)
    ]
    found = [
        name for name in there if not asked or any(same_label(label, name) for label in asked)
    ]
    if not there and not problems:
        problems = [_nothing_of(out_dir, None)]
    if problems:
        raise BIDSFXError(problems)
    if faults := _unlike(invocation, {name: read_calls(out_dir, name) for name in found}):
        raise BIDSFXError(faults)
    return tuple(found)


def passed_over(invocation: Invocation) -> Iterator[Notice]:
    """Iterate over what is said of options that do not matter to reports of what is there."""
    names = [option for name, option in _SELECTION.items() if getattr(invocation.data, name)]
    if names:
        yield Notice(
            text="--reports-only reports all that OUTPUT_DIR holds of a participant, however it "
            f"was made: {listed(names)} changes nothing.",
            warning=False,
        )


def rebuild(session: Session, participants: Sequence[str]) -> ExitCode:
    """Draw the figures of participants again, and write their reports.

    Parameters
    ----------
    session : Session
        Of a call that asks for nothing else.
    participants : sequence of str
        What `chosen` returns.

    Returns
    -------
    ExitCode
        OK if all that earlier calls planned is there, and could be drawn.
    """
    refuse_planted(session.out_dir, participants)
    with under_way(session.log_dir):
        return _rebuild(session, participants)


def _rebuild(session: Session, participants: Sequence[str]) -> ExitCode:
    """Rebuild all batches of participants, with what is written before and after them."""
    session.begin(len(participants))
    newest = [analyses(read_calls(session.out_dir, name))[0] for name in participants]
    plans = [restored(call.plan, session.out_dir) for call in newest]
    session.write_citation(plans, newest[0].software)
    with session.account.going_on():
        for start in range(0, len(participants), BATCH):
            _rebuild_batch(session, participants[start : start + BATCH])
    return session.account.summarize(participants, session.invocation.level)


def _rebuild_batch(session: Session, participants: Sequence[str]) -> None:
    """Draw and report some participants."""
    out_dir = session.out_dir
    names = (f"sub-{name}" for name in participants)
    with locked(out_dir, *names, on_loss=session.interruption.end):
        # Another call may have ended while this one waited for it.
        batch = {
            name: tuple(
                replace(one, plan=_asked(one.plan, session.invocation))
                for one in read_calls(out_dir, name)
            )
            for name in participants
        }
        keeps_threshold = "threshold" not in session.invocation.given
        work = [
            [
                part
                for one in analyses(calls)
                for part in _drawn(
                    restored(one.plan, out_dir), out_dir, keeps_threshold=keeps_threshold
                )
            ]
            for calls in batch.values()
        ]
        stamps = {
            name: Stamps.of([call.plan for call in calls], out_dir)
            for name, calls in batch.items()
        }
        failures: list[tuple[str, Failure]] = []
        # The parts of a participant have nodes of the same names: one after the other.
        for layer in zip_longest(*work):
            due = [part for part in layer if part is not None]
            failures += session.run_nodes(due) if due else []
        for name, calls in batch.items():
            own = [failure for one, failure in dict.fromkeys(failures) if one == name]
            with session.account.at_work_on(name, stamps[name]):
                judged = _judged(calls, own, out_dir)
                told = partial(tell, judged, out_dir, session.machine, session.meter)
                session.account.told(judged[-1].plan, own, told)


def _drawn(plan: Plan, out_dir: Path, *, keeps_threshold: bool) -> Iterator[tuple[Plan, Todo]]:
    """Iterate over what is drawn of a plan, by the threshold that it is drawn with.

    Contrasts of several calls may have been drawn with several: each keeps its own, unless one is
    asked for now.
    """
    todo = drawable(plan, out_dir)
    groups = {group.key: group for group in plan.groups}
    parts: dict[Threshold, set[tuple[str, str]]] = {plan.report.threshold: set()}
    for key, label in todo.group_figures:
        drawn = drawn_threshold(groups[key], label, out_dir) if keeps_threshold else None
        parts.setdefault(drawn or plan.report.threshold, set()).add((key, label))
    for threshold, figures in sorted(parts.items(), key=lambda part: str(part[0])):
        is_own = threshold == plan.report.threshold
        part = replace(todo if is_own else Todo(), group_figures=frozenset(figures))
        if part:
            yield replace(plan, report=replace(plan.report, threshold=threshold)), part


def _judged(calls: Sequence[Call], failures: Sequence[Failure], out_dir: Path) -> tuple[Call, ...]:
    """Return the calls as they stand now; the newest has what failed to be drawn."""
    *older, newest = (_as_it_stands(call, out_dir) for call in calls)
    if failures:
        reasons = [f"{item.record}: {item.message}" for item in failures]
        newest = replace(
            newest,
            state="failed",
            reasons=tuple(dict.fromkeys((*newest.reasons, *reasons))),
            failures=tuple(dict.fromkeys((*newest.failures, *failures))),
        )
    return (*older, newest)


def _as_it_stands(call: Call, out_dir: Path) -> Call:
    """Return a call as failed if anything is missing by now, as done if nothing is any more."""
    missing = missing_outputs(call.plan, out_dir, quick=False)
    if not missing:
        return refreshed(call, out_dir)
    reasons = failure_reasons(call.failures, missing)
    return replace(call, state="failed", reasons=reasons)


def _asked(plan: Plan, invocation: Invocation) -> Plan:
    """Return a plan with what is asked of its report now; what is not asked stays."""
    names = {field.name for field in fields(ReportSettings)} & invocation.given
    asked = {name: getattr(invocation.report, name) for name in names}
    return replace(plan, report=replace(plan.report, **asked))


def _unlike(invocation: Invocation, calls: Mapping[str, tuple[Call, ...]]) -> list[Problem]:
    """Return the settings that are asked for and that no result has."""
    problems = []
    given = {field.name for field in fields(AnalysisSettings)} & invocation.given
    for name in sorted(given):
        asked = getattr(invocation.analysis, name)
        for participant, own in calls.items():
            found = [getattr(call.plan.settings, name) for call in own]
            if name == "contrasts":
                every = {text for one in found for text in one}
                is_there = every >= set(asked)
            else:
                is_there = asked in found
            if not is_there:
                there = listed(list(dict.fromkeys(setting_text(name, one) for one in found)))
                problems.append(
                    Problem(
                        where=f"{name} {setting_text(name, asked)}",
                        found=f"the results in OUTPUT_DIR are of {there}, and with --reports-only "
                        "nothing is computed",
                        remedy="leave the option out, or compute first",
                        code=ExitCode.USAGE,
                        participant=participant,
                    )
                )
    return problems


def _nothing_of(out_dir: Path, participant: str | None) -> Problem:
    of_whom = "of any participant" if participant is None else f"of sub-{participant}"
    return Problem(
        where=str(out_dir),
        found=f"it holds no results {of_whom}",
        remedy="run the analysis first, or name another folder",
        code=ExitCode.NOTHING_SELECTED,
    )
