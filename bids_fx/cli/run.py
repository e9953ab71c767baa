"""The program: from the command line to the exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.parser import parse
from bids_fx.errors import BIDSFXError, ExitCode, Problem

if TYPE_CHECKING:
    from bids_fx.inputs import Found
    from bids_fx.records import Plan
    from bids_fx.settings import Invocation

logger = logging.getLogger("bids_fx")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv : sequence of str or None
        Arguments without the program's name; None means those of this process.

    Returns
    -------
    int
        The exit code, see `ExitCode`.
    """
    interruption = Interruption()
    interruption.install()
    try:
        return int(run(parse(sys.argv[1:] if argv is None else argv), interruption))
    except BIDSFXError as error:
        _show_problems(error.problems)
        return int(error.exit_code)


def run(invocation: Invocation, interruption: Interruption) -> ExitCode:
    """Plan everything, then do it, and tell truly how it went.

    Parameters
    ----------
    invocation : Invocation
        The command line as settings.
    interruption : Interruption
        Tells of signals that end the program.

    Returns
    -------
    ExitCode
        OK only if every planned output exists.

    Raises
    ------
    BIDSFXError
        With all problems that keep every participant from being run.
    """
    from bids_fx.cli import dry_run
    from bids_fx.cli.progress import start_logging
    from bids_fx.cli.session import Session

    execution = invocation.execution
    start_logging(execution.verbosity)
    for notice in invocation.notices:
        logger.info(notice.text)
    _validate(invocation)
    plans = _plan_all(invocation)
    if execution.dry_run is not None:
        show = dry_run.as_json if execution.dry_run == "json" else dry_run.as_text
        print(show(plans, invocation.analysis))
        return _foreseen(plans)
    runnable = _runnable(plans, invocation)
    session = Session(invocation, interruption)
    if execution.boilerplate_only:
        print(session.write_citation(runnable))
        return ExitCode.OK
    refused = [plan for plan in plans if plan.problems]
    succeeded = session.work_through(runnable, refused)
    return ExitCode.OK if succeeded else ExitCode.FAILED


def _validate(invocation: Invocation) -> None:
    """Validate the raw dataset if that is asked for and possible."""
    from bids_fx.dataset.validate import validate_raw

    data, execution = invocation.data, invocation.execution
    if execution.skip_bids_validation or execution.reports_only or not data.bids_dir.is_dir():
        return
    problems, notices = validate_raw(data.bids_dir)
    if problems:
        raise BIDSFXError(problems)
    for notice in notices:
        logger.info(notice.text)


def _plan_all(invocation: Invocation) -> list[Plan]:
    """Find the data of every participant and decide what is to be done with them."""
    from bids_fx.contrasts import are_readable
    from bids_fx.dataset.conditions import list_conditions
    from bids_fx.dataset.confounds import load_strategies
    from bids_fx.dataset.index import find_all, list_participants
    from bids_fx.plan import make_plan

    data, analysis = invocation.data, invocation.analysis
    found = list(find_all(data, list_participants(data), analysis=analysis))
    known = _known_conditions(found)
    if not are_readable(analysis.contrasts, known):
        # A condition that these participants lack may be one that others have, and no slip.
        known = _merged(known, list_conditions(data.bids_dir))
    strategies = load_strategies()
    plans = [make_plan(item, analysis, strategies, known_conditions=known) for item in found]
    return [_within_memory(plan, invocation.execution.mem_mb) for plan in plans]


def _within_memory(plan: Plan, mem_mb: float | None) -> Plan:
    """Add a problem for each node of a plan that needs more memory than may be used."""
    if mem_mb is None:
        return plan
    needs = [(run.entities, run.mem_gb) for run in plan.runs]
    needs += [(group.entities, group.mem_gb) for group in plan.written_groups]
    problems = [
        Problem(
            where="--mem-mb",
            found=f"{entities} needs about {1e3 * mem_gb:.0f} MB, but {mem_mb:.0f} MB may be used",
            remedy=f"allow {1e3 * mem_gb:.0f} MB, or leave it out",
            code=ExitCode.USAGE,
            participant=plan.participant,
        )
        for entities, mem_gb in needs
        if 1e3 * mem_gb > mem_mb
    ]
    return replace(plan, problems=(*plan.problems, *problems))


def _known_conditions(found: Iterable[Found]) -> dict[str, list[str]]:
    """Gather each task's conditions over all participants."""
    from bids_fx.contrasts import conditions_of
    from bids_fx.inputs import BoldRun

    known: dict[str, set[str]] = {}
    for item in found:
        for source in item.runs:
            if isinstance(source, BoldRun):
                names = conditions_of(source)
                known.setdefault(source.entities.get("task", ""), set()).update(names)
    return {task: sorted(names) for task, names in known.items()}


def _merged(
    first: Mapping[str, Sequence[str]], second: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Return the conditions of both, by task."""
    return {
        task: sorted({*first.get(task, ()), *second.get(task, ())}) for task in {*first, *second}
    }


def _foreseen(plans: Sequence[Plan]) -> ExitCode:
    """Return the exit code that the input's problems alone would cause."""
    problems = [problem for plan in plans for problem in plan.problems]
    if not problems:
        return ExitCode.OK
    some_run = any(not plan.problems for plan in plans)
    return ExitCode.FAILED if some_run else BIDSFXError(problems).exit_code


def _runnable(plans: Sequence[Plan], invocation: Invocation) -> list[Plan]:
    """Return the plans that can be run; raise if there is none, list all problems in any case."""
    runnable = [plan for plan in plans if not plan.problems and plan.runs]
    problems = [problem for plan in plans for problem in plan.problems]
    shared = {replace(problem, participant=None) for problem in problems}
    if not runnable and problems:
        everyones = len(shared) * len(plans) == len(problems) and len(plans) > 1
        raise BIDSFXError(sorted(shared, key=str) if everyones else problems)
    if problems and invocation.execution.stop_on_first_crash:
        raise BIDSFXError(problems)
    _show_problems(problems)
    for plan in runnable:
        for notice in plan.notices:
            logger.log(logging.WARNING if notice.warning else logging.INFO, notice.text)
    return runnable


def _show_problems(problems: Sequence[Problem]) -> None:
    """Print all problems as one list on standard error."""
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    print(f"bids_fx: {count}:", file=sys.stderr)
    for problem in problems:
        who = f"sub-{problem.participant}: " if problem.participant is not None else ""
        print(f"  - {who}{problem}", file=sys.stderr)
