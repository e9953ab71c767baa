"""How participants ended: what is there, what is kept of the call, and the report of it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from bids_fx.analyses import analyses
from bids_fx.calls import Call, Failure
from bids_fx.cli.mishaps import Mishaps
from bids_fx.cli.streams import show_result
from bids_fx.derivatives import paths
from bids_fx.derivatives.calls import joined, restored, write_calls
from bids_fx.derivatives.dataset import write_state
from bids_fx.derivatives.hashes import HashCache
from bids_fx.derivatives.holdings import (
    failure_reasons,
    missing_outputs,
    n_outputs_due,
    warnings_of,
)
from bids_fx.derivatives.quality import quality_failures, quality_notices, worst_quality
from bids_fx.derivatives.status import is_outdated, run_inputs
from bids_fx.derivatives.whole import is_whole
from bids_fx.derivatives.write import refuse_unwritable
from bids_fx.errors import BIDSFXError, ExitCode, Notice
from bids_fx.logs import fields
from bids_fx.memory import Machine, packing_threads
from bids_fx.records import Plan, Todo
from bids_fx.reports.anatomy import template_notices
from bids_fx.reports.html import write_report
from bids_fx.usage import Meter, Taken

logger = logging.getLogger("bids_fx")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one participant ended.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    state : str
        ``done`` or ``failed``.
    reasons : tuple of str
        What failed.
    n_planned : int
        Number of planned outputs.
    missing : tuple of str
        Those that are not there.
    warnings : tuple of str
        What is warned of, each once.
    worst : dict of str to float or None
        The worst value over runs of some quality measures.
    taken : Taken
        Time and memory.
    write_code : ExitCode or None
        That of what could not be written, if nothing else failed.
    """

    participant: str
    state: str
    reasons: tuple[str, ...] = ()
    n_planned: int = 0
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    worst: Mapping[str, float | None] = field(default_factory=dict)
    taken: Taken
    write_code: ExitCode | None = None


def refuse(plan: Plan, out_dir: Path, machine: Machine, meter: Meter) -> Outcome:
    """Say of a participant what is wrong with the input; results of earlier calls stay."""
    reasons = tuple(map(str, plan.problems))
    call = Call(plan=bare(plan), state="failed", reasons=reasons, software=_software())
    taken = tell(joined(call, out_dir), out_dir, machine, meter).taken
    return _outcome((call,), out_dir, taken)


def bare(plan: Plan) -> Plan:
    """Return the plan of a participant of whom nothing can be done."""
    return replace(plan, runs=(), groups=())


def conclude(
    plan: Plan,
    out_dir: Path,
    cache: HashCache,
    *,
    left: Todo,
    failures: Iterable[Failure],
    machine: Machine,
    meter: Meter,
) -> Outcome:
    """See whether all that was planned is there and of this analysis, and report it.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    out_dir : Path
        The output folder.
    cache : HashCache
        Hashes of the run maps.
    left : Todo
        What of the plan is not done now.
    failures : iterable of Failure
        What failed.
    machine : Machine
        What may be used.
    meter : Meter
        What was taken.

    Returns
    -------
    Outcome
        Of this call; what of earlier ones failed is told, and does not count.
    """
    failures = tuple(failures)
    write_code = summed(one.code for one in failures)
    told = (
        *failures,
        *_stale(plan, left, out_dir),
    )
    missing = missing_outputs(plan, out_dir)
    reasons = failure_reasons(told, missing)
    call = Call(
        plan=_with_warnings(plan, out_dir, cache),
        state="failed" if reasons else "done",
        reasons=reasons,
        failures=told,
        software=_software(),
    )
    taken = tell(joined(call, out_dir), out_dir, machine, meter).taken
    outcome = _outcome((call,), out_dir, taken, missing)
    is_all = set(outcome.reasons) == set(reasons)
    return replace(outcome, write_code=write_code if is_all else None)


def untold(
    plan: Plan,
    out_dir: Path,
    failures: Sequence[Failure],
    error: BIDSFXError | None,
    meter: Meter,
    mishaps: Mishaps,
) -> Outcome:
    """Return how a participant ended of whom the report, or what is kept, was not written.

    Parameters
    ----------
    plan : Plan
        What was to be done.
    out_dir : Path
        The output folder; results that are there stay.
    failures : sequence of Failure
        What failed before.
    error : BIDSFXError or None
        Why it cannot be told there; None where `failures` say it.
    meter : Meter
        What was taken.
    mishaps : Mishaps
        Takes what nobody foresaw, which may happen here too.
    """
    participant, taken = plan.participant, meter.of(plan.participant)
    n_before = len(mishaps.of(participant))
    missing = mishaps.attempt(participant, missing_outputs, plan, out_dir) or ()
    failures = (*failures, *mishaps.of(participant)[n_before:])
    problems = () if error is None else error.problems
    reasons = (*failure_reasons(failures, missing), *map(str, problems))
    for reason in reasons:
        logger.error("sub-%s: %s", participant, reason, extra=fields(participant=participant))
    told = fields(participant=participant, state="failed", **taken.to_json())
    logger.info("sub-%s: failed", participant, extra=told)
    write = partial(write_state, out_dir, participant, "failed", "; ".join(reasons), taken=taken)
    with contextlib.suppress(BIDSFXError):  # as was told
        mishaps.attempt(participant, write)
    codes = [one.code for one in failures]
    return Outcome(
        participant=participant,
        state="failed",
        reasons=reasons,
        n_planned=n_outputs_due([plan]),
        missing=missing,
        warnings=warnings_of([plan]),
        worst=worst_quality([plan], out_dir),
        taken=taken,
        write_code=summed(codes if error is None else [*codes, error.exit_code]),
    )


def check_writable(plan: Plan, out_dir: Path) -> None:
    """Raise BIDSFXError where this user may not write: a run's first file may take hours."""
    refuse_unwritable(*sorted({(out_dir / path).parent for path in paths.expected_outputs(plan)}))


def summed(codes: Iterable[ExitCode | None]) -> ExitCode | None:
    """Return the exit code of all that could not be written; None stands for another failure.

    Examples
    --------
    >>> summed([ExitCode.CANNOT_CREATE, ExitCode.WRITE_FAILED]).name
    'WRITE_FAILED'
    >>> summed([ExitCode.WRITE_FAILED, None]), summed([])
    (None, None)
    """
    found = set(codes)
    known = [code for code in found if code is not None]
    return max(known) if known and len(known) == len(found) else None


def tell(calls: Sequence[Call], out_dir: Path, machine: Machine, meter: Meter) -> Outcome:
    """Keep the calls for a participant, and tell of them in the report, the state and the log.

    Parameters
    ----------
    calls : sequence of Call
        All that hold, oldest first, as they are kept.
    out_dir : Path
        The output folder.
    machine : Machine
        What may be used.
    meter : Meter
        What was taken.

    Returns
    -------
    Outcome
        Failed if any of them is.
    """
    participant = calls[-1].plan.participant
    write_calls(out_dir, calls)
    path = _report(calls, out_dir, machine)
    taken = meter.of(participant)
    outcome = _outcome(calls, out_dir, taken)
    write_state(out_dir, participant, outcome.state, "; ".join(outcome.reasons), taken=taken)
    for reason in outcome.reasons:
        logger.error("sub-%s: %s", participant, reason, extra=fields(participant=participant))
    told = fields(participant=participant, state=outcome.state, **taken.to_json())
    logger.info("sub-%s: %s", participant, outcome.state, extra=told)
    show_result(path)
    return outcome


def _outcome(
    calls: Sequence[Call], out_dir: Path, taken: Taken, missing: tuple[str, ...] = ()
) -> Outcome:
    """Return how calls for a participant ended; runs that break a limit of quality fail them."""
    plans = [call.plan for call in calls]
    reasons = dict.fromkeys(
        reason
        for call in analyses(calls)
        for reason in (*call.reasons, *quality_failures(call.plan, out_dir))
    )
    is_failed = bool(reasons) or any(call.state == "failed" for call in calls)
    return Outcome(
        participant=calls[-1].plan.participant,
        state="failed" if is_failed else "done",
        reasons=tuple(reasons),
        n_planned=n_outputs_due(plans),
        missing=missing,
        warnings=warnings_of(plans),
        worst=worst_quality(plans, out_dir),
        taken=taken,
    )


def _report(calls: Sequence[Call], out_dir: Path, machine: Machine) -> Path:
    """Write the report of what the output folder holds for a participant."""
    from bids_fx.methods import render_methods

    found = [replace(one, plan=restored(one.plan, out_dir)) for one in analyses(calls)]
    texts = [render_methods([one.plan], one.software) for one in found]
    n_threads = packing_threads([one.plan for one in found], machine)
    return write_report(found, out_dir, texts, n_threads=n_threads)


def _software() -> dict[str, str]:
    from bids_fx.methods import software_versions

    return dict(software_versions())


def _with_warnings(plan: Plan, out_dir: Path, cache: HashCache) -> Plan:
    """Add combined maps that no longer fit the run maps, and limits and templates not used."""
    notices = [
        Notice(
            text=f"{group.entities}: the combined maps in the output folder were made from "
            "other run maps than are there now; a call over all runs combines them again."
        )
        for group in plan.groups
        if group.shows_runs_alone and is_outdated(plan, group, out_dir, cache)
    ]
    notices += quality_notices(plan, out_dir)
    notices += template_notices(plan)
    for notice in notices:
        logger.log(logging.WARNING if notice.warning else logging.INFO, notice.text)
    return replace(plan, notices=(*plan.notices, *notices))


def _stale(plan: Plan, left: Todo, out_dir: Path) -> Iterator[Failure]:
    """Iterate over what is left of which all is there: it may be of an earlier call."""
    message = "its maps in the output folder may be of other settings or data"
    for run in plan.runs:
        if run.key in left.runs and _are_there(
            (*paths.run_images(run), *paths.run_tables(run)), out_dir
        ):
            gone = [uri for uri, file in run_inputs(run).items() if not file.exists()]
            why = f"{' and '.join(gone)} is not there any more" if gone else message
            yield Failure(record=run.key, message=why)
    for group in plan.groups:
        due = [one for one in group.estimable if (group.key, one.contrast.label) in left.contrasts]
        if len(due) < len(group.estimable):
            for item in due:
                if _are_there(paths.combined_images(group, item), out_dir):
                    name = f"{item.contrast.label} of {group.key}"
                    yield Failure(record=name, message=message)
        elif due and _are_there(paths.group_images(group), out_dir):
            yield Failure(record=group.key, message=message)


def _are_there(files: Iterable[PurePosixPath], out_dir: Path) -> bool:
    """Tell whether all of some files are there; one that is not is told by its own name."""
    return all(is_whole(file, out_dir, quick=True) for file in files)
