"""The program: from the command line to the exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.parser import parse
from bids_fx.cli.resources import (
    available_processors,
    give_matplotlib_a_folder,
    keep_libraries_single,
    this_machine,
    work_dir_of,
)
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem

if TYPE_CHECKING:
    from bids_fx.drafts import Draft
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
    keep_libraries_single()
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
    from bids_fx.cli.progress import start_logging

    execution = invocation.execution
    start_logging(execution.verbosity)
    _log_notices(invocation.notices)
    if execution.dry_run is not None:
        with _validated(invocation):
            text, code = _shown(_plan_all(invocation), invocation)
        print(text)
        return code
    with _validated(invocation):
        plans = list(_plan_all(invocation))
    runnable = _runnable(plans, invocation)
    from bids_fx.cli.session import Session

    session = Session(invocation, interruption)
    if execution.boilerplate_only:
        print(session.write_citation(runnable))
        return ExitCode.OK
    refused = [plan for plan in plans if plan.problems]
    succeeded = session.work_through(runnable, refused)
    return ExitCode.OK if succeeded else ExitCode.FAILED


@contextmanager
def _validated(invocation: Invocation) -> Iterator[None]:
    """Validate the raw dataset meanwhile, if that is asked for and possible.

    Raises
    ------
    BIDSFXError
        With the validator's problems and those that were raised meanwhile, all in one list.
    """
    from bids_fx.dataset.validate import Validation

    data, execution = invocation.data, invocation.execution
    if execution.skip_bids_validation or execution.reports_only or not data.bids_dir.is_dir():
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


def _plan_all(invocation: Invocation) -> Iterator[Plan]:
    """Find the data of every participant and decide what is to be done with them, one by one.

    All data are found before the first plan is made, since contrasts are read against the
    conditions of all participants. Of each, what the plan needs is kept and no more.
    """
    data, analysis = invocation.data, invocation.analysis
    if data.bids_dir.is_dir() and _surely_computes(invocation):
        from bids_fx.workflows.server import start_server

        # What nodes import takes as long as planning does; it is imported meanwhile.
        give_matplotlib_a_folder(work_dir_of(invocation.execution))
        start_server()
    from bids_fx.contrasts import are_readable
    from bids_fx.dataset.conditions import list_conditions
    from bids_fx.dataset.confounds import load_strategies
    from bids_fx.dataset.index import find_all, list_participants
    from bids_fx.drafts import draft_plan
    from bids_fx.memory import allow
    from bids_fx.plan import finish_plan

    strategies = load_strategies()
    found = find_all(data, list_participants(data), analysis=analysis)
    drafts = [draft_plan(item, analysis, strategies) for item in found]
    known = _known_conditions(drafts)
    if not are_readable(analysis.contrasts, known):
        # A condition that these participants lack may be one that others have, and no slip.
        known = _merged(known, list_conditions(data.bids_dir))
    n_runs = sum(len(draft.runs) for draft in drafts)
    machine = this_machine(invocation.execution, n_planned=n_runs)
    for draft in drafts:
        plan = finish_plan(draft, analysis, known_conditions=known)
        # The plans of the others are not made yet: they are taken to be like this one.
        n_joins = len(drafts) * sum(len(group.estimable) for group in plan.written_groups)
        _, (plan,) = allow([plan], machine, n_fits=n_runs, n_joins=n_joins)
        yield plan


def _surely_computes(invocation: Invocation) -> bool:
    """Tell whether nodes will run in processes of their own, as far as that is known so early.

    What may be done already or, under a memory limit, in this process alone, has to be planned
    first.
    """
    from bids_fx.settings import REPORT

    execution = invocation.execution
    only_looks = execution.dry_run or execution.reports_only or execution.boilerplate_only
    if only_looks or execution.plugin_file is not None or execution.mem_mb is not None:
        return False
    labels = invocation.data.participants or ("*",)
    is_new = not all(any(execution.out_dir.glob(REPORT.format(label))) for label in labels)
    return is_new and (execution.n_procs or available_processors()) > 1


def _known_conditions(drafts: Iterable[Draft]) -> dict[str, list[str]]:
    """Gather each task's conditions over all participants."""
    from bids_fx.contrasts import conditions_of
    from bids_fx.inputs import BoldRun

    known: dict[str, set[str]] = {}
    for draft in drafts:
        for source in draft.sources:
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


def _shown(plans: Iterable[Plan], invocation: Invocation) -> tuple[str, ExitCode]:
    """Return the plans as text, and the exit code that their problems alone would cause."""
    from bids_fx.cli import dry_run

    faults: list[tuple[Problem, ...]] = []

    def noted(plan: Plan) -> Plan:
        faults.append(plan.problems)
        return plan

    show = dry_run.as_json if invocation.execution.dry_run == "json" else dry_run.as_text
    text = show(map(noted, plans), invocation.analysis)
    if not any(faults):
        return text, ExitCode.OK
    some_run = not all(faults)
    code = BIDSFXError(chain.from_iterable(faults)).exit_code
    return text, ExitCode.FAILED if some_run else code


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
        _log_notices(plan.notices)
    return runnable


def _log_notices(notices: Iterable[Notice]) -> None:
    """Log what was decided or left out, each as the warning or the information that it is."""
    for notice in notices:
        logger.log(logging.WARNING if notice.warning else logging.INFO, notice.text)


def _show_problems(problems: Sequence[Problem]) -> None:
    """Print all problems as one list on standard error."""
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    print(f"bids_fx: {count}:", file=sys.stderr)
    for problem in problems:
        who = f"sub-{problem.participant}: " if problem.participant is not None else ""
        print(f"  - {who}{problem}", file=sys.stderr)
