"""What tasks ask the scheduler for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_fx.cli.parser import parse
from bids_fx.cli.planning import Planner
from bids_fx.cluster.needs import MARGIN_MB, Needs, Request, needs, request
from bids_fx.memory import Machine, allow
from bids_fx.records import Plan


@pytest.fixture(scope="module")
def plan(oneback: Path) -> Plan:
    folders = [str(oneback), "out", "participant", "-d", str(oneback / "derivatives" / "preproc")]
    (found,) = Planner(parse([*folders, "--contrast", "face - house", "--dry-run"])).plans()
    return found


def need(participant: str = "01", mem_mb: float = 500.0, seconds: float = 60.0) -> Needs:
    return Needs(participant=participant, mem_mb=mem_mb, seconds=seconds)


def ask(*found: Needs, mem_mb: float | None = None, minutes: int | None = None) -> Request:
    return request(found, cpus=2, mem_mb=mem_mb, minutes=minutes)


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_all_processors_of_a_task_are_used_within_what_it_asks_for(plan: Plan, cpus: int) -> None:
    own = needs(plan, n_procs=cpus, n_threads=None, limit_mb=None)
    asked = request([own], cpus=cpus, mem_mb=None, minutes=None)
    machine = Machine(
        n_procs=cpus,
        n_threads=None,
        total_gb=(asked.mem_mb - MARGIN_MB) / 1e3,
        is_limit=True,
        n_planned=len(plan.runs),
    )
    allowance, (budgeted,) = allow([plan], machine, n_fits=2, n_joins=1)
    assert allowance.n_procs == cpus
    assert not budgeted.problems
    assert not any(run.on_disk for run in budgeted.runs)


def test_what_more_processors_need_is_more(plan: Plan) -> None:
    one, two, four = (
        needs(plan, n_procs=n, n_threads=None, limit_mb=None).mem_mb for n in (1, 2, 4)
    )
    assert one < two < four


def test_no_more_is_needed_than_may_be_used(plan: Plan) -> None:
    own = needs(plan, n_procs=4, n_threads=None, limit_mb=500.0)
    assert own.mem_mb <= 500.0
    assert needs(plan, n_procs=4, n_threads=None, limit_mb=None).mem_mb > 500.0
    assert own.problems == ()


def test_task_that_does_not_fit_is_refused_once_with_what_suffices(plan: Plan) -> None:
    (problem,) = needs(plan, n_procs=2, n_threads=None, limit_mb=100.0).problems
    enough = float(problem.remedy.split()[1])
    assert needs(plan, n_procs=2, n_threads=None, limit_mb=enough - MARGIN_MB).problems == ()


def test_largest_need_of_all_is_asked_for() -> None:
    asked = ask(need(mem_mb=900, seconds=60), need("02", mem_mb=700, seconds=3600))
    assert asked == Request(cpus=2, mem_mb=1100, minutes=180)


def test_requests_are_rounded_up() -> None:
    assert ask(need(mem_mb=901, seconds=301)).mem_mb == 1200
    assert ask(need(mem_mb=901, seconds=301)).minutes == 20


def test_little_time_is_not_asked_for() -> None:
    assert ask(need(seconds=1)).minutes == 10


def test_what_was_asked_for_beats_the_plan() -> None:
    asked = ask(need(mem_mb=9000, seconds=9000), mem_mb=2000.5, minutes=7)
    assert (asked.mem_mb, asked.minutes) == (2001, 7)


def test_time_is_told_as_schedulers_take_it() -> None:
    assert Request(cpus=1, mem_mb=1, minutes=1505).time == "25:05:00"
