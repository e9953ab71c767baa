"""The program: from the command line to the exit code."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.parser import parse, told_as_asked
from bids_fx.cli.planning import Planner
from bids_fx.cli.program import run_program
from bids_fx.cli.resources import have_a_home, keep_libraries_single
from bids_fx.cli.streams import show_result, show_text
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem, system_error
from bids_fx.logs import fields, is_json, log_problems, start_logging

if TYPE_CHECKING:
    from bids_fx.records import Plan
    from bids_fx.settings import Invocation

logger = logging.getLogger("bids_fx")

#: Memory in MB with which the validator is run; it grows with the dataset.
VALIDATOR_MB = 1000


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
    return run_program("bids_fx", call, argv)


def call(words: list[str], interruption: Interruption) -> ExitCode:
    """Do what the command line says, as `run` does."""
    keep_libraries_single()
    with told_as_asked(words):
        invocation = parse(words)
    try:
        return run(invocation, interruption)
    except OSError as error:
        told = system_error(error)
        if told is None:
            raise
        raise told from error


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
    execution = invocation.execution
    start_logging(execution.verbosity, as_json=execution.log_json)
    have_a_home()
    _log_notices(invocation.notices)
    if invocation.level == "group":
        from bids_fx.cli.group_level import gather

        return gather(invocation)
    if execution.reports_only:
        return _rebuilt(invocation, interruption)
    planner = Planner(invocation)
    if execution.dry_run is not None:
        with validated(invocation):
            text, code = _shown(planner, as_json=execution.dry_run == "json")
        show_text(f"{text}\n")
        return code
    with validated(invocation):
        plans = list(planner.plans())
    runnable = choose_runnable(plans, invocation)
    from bids_fx.cli.session import Session

    session = Session(invocation, interruption)
    if execution.boilerplate_only:
        show_result(session.write_citation(runnable))
        return ExitCode.OK
    refused = [plan for plan in plans if plan.problems]
    session.write_models(planner.models)
    return session.work_through(runnable, refused)


def _rebuilt(invocation: Invocation, interruption: Interruption) -> ExitCode:
    """Write the reports of what the output folder holds."""
    from bids_fx.cli.rebuild import chosen, passed_over, rebuild
    from bids_fx.cli.session import Session

    participants = chosen(invocation)
    _log_notices(passed_over(invocation))
    return rebuild(Session(invocation, interruption), participants)


@contextmanager
def validated(invocation: Invocation) -> Iterator[None]:
    """Validate the raw dataset meanwhile, if that is asked for and possible.

    Raises
    ------
    BIDSFXError
        With the validator's problems and those that were raised meanwhile, all in one list.
    """
    from bids_fx.dataset.validate import Validation

    data, execution = invocation.data, invocation.execution
    if execution.skip_bids_validation or not data.bids_dir.is_dir():
        yield
        return
    if execution.mem_mb is not None and execution.mem_mb < VALIDATOR_MB:
        logger.warning(
            "The raw dataset was not validated: the validator may need more than the "
            "%.0f MB that may be used.",
            execution.mem_mb,
        )
        yield
        return
    others: tuple[Problem, ...] = ()
    with Validation(data.bids_dir) as validation:
        try:
            yield
        except BIDSFXError as error:
            others = error.problems
        problems, notices = validation.result()
    if problems or others:
        raise BIDSFXError((*problems, *others))
    _log_notices(notices)


def _shown(planner: Planner, *, as_json: bool) -> tuple[str, ExitCode]:
    """Return the plans as text, and the exit code that their problems alone would cause."""
    from bids_fx.cli import dry_run

    faults: list[tuple[Problem, ...]] = []

    def noted(plan: Plan) -> Plan:
        faults.append(plan.problems)
        return plan

    show = dry_run.as_json if as_json else dry_run.as_text
    text = show(map(noted, planner.plans()), planner.settings, planner.model)
    if not any(faults):
        return text, ExitCode.OK
    some_run = not all(faults)
    code = BIDSFXError(chain.from_iterable(faults)).exit_code
    return text, ExitCode.FAILED if some_run else code


def choose_runnable(plans: Sequence[Plan], invocation: Invocation) -> list[Plan]:
    """Return the plans that can be run; raise if there is none, list all problems in any case."""
    runnable = [plan for plan in plans if not plan.problems and plan.runs]
    problems = [problem for plan in plans for problem in plan.problems]
    shared = {replace(problem, participant=None) for problem in problems}
    if not runnable and problems:
        everyones = len(shared) * len(plans) == len(problems) and len(plans) > 1
        raise BIDSFXError(sorted(shared, key=str) if everyones else problems)
    if problems and invocation.execution.stop_on_first_crash:
        raise BIDSFXError(problems)
    log_problems("bids_fx", problems)
    _log_notices(notice for plan in runnable for notice in plan.notices)
    return runnable


def _log_notices(notices: Iterable[Notice]) -> None:
    """Log what was decided or left out, each as the warning or the information that it is.

    What holds of several participants is told to people once, with their number.
    """
    same: dict[tuple[str, bool], list[Notice]] = {}
    for notice in dict.fromkeys(notices):
        same.setdefault((notice.text, notice.warning), []).append(notice)
    for (text, is_warning), those in same.items():
        level = logging.WARNING if is_warning else logging.INFO
        if len(those) > 1 and not is_json():
            logger.log(level, "%s (%d participants)", text, len(those))
            continue
        for notice in those:
            who = {} if notice.participant is None else {"participant": notice.participant}
            logger.log(level, "%s", text, extra=fields(**who))
