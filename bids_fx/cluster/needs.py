"""What participants need of a cluster, and the one request that suffices for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bids_fx.duration import seconds
from bids_fx.errors import ExitCode, Problem
from bids_fx.memory import Machine, allow, least_gb, together_gb
from bids_fx.records import Plan

#: Of the memory that is requested, what is not the program's: the shell, the container's
#: processes, and what the kernel counts to a job beside the pages of its processes.
MARGIN_MB = 200
#: With less the program does not start.
LEAST_MB = 100
#: A node of a cluster may be slower than the machine that the seconds were measured on, and all
#: tasks read one file system. What is requested and not used costs waiting, what is missing costs
#: the whole task.
SAFETY = 3.0
#: Less time is not worth requesting, and starting a container from a shared disk takes some.
FLOOR_MIN = 10
#: Requests are rounded up to these.
STEP_MB, STEP_MIN = 100, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the task of a participant needs by the plan.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    mem_mb : float
        Memory of the program in MB, with as many nodes at once as there are processors.
    seconds : float
        Of one processor of the machine that was measured.
    problems : tuple of Problem
        What does not fit in the memory that may be used.
    """

    participant: str
    mem_mb: float
    seconds: float
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What each task of a job asks the scheduler for.

    Parameters
    ----------
    cpus : int
        Processors.
    mem_mb : int
        Memory in MB.
    minutes : int
        Time limit.
    """

    cpus: int
    mem_mb: int
    minutes: int

    @property
    def time(self) -> str:
        """The time limit as H:MM:SS.

        Examples
        --------
        >>> Request(cpus=1, mem_mb=1000, minutes=75).time
        '1:15:00'
        """
        return f"{self.minutes // 60}:{self.minutes % 60:02d}:00"


def needs(plan: Plan, *, n_procs: int, n_threads: int | None, limit_mb: float | None) -> Needs:
    """Estimate what the task of a participant needs.

    Parameters
    ----------
    plan : Plan
        Without problems.
    n_procs : int
        Processors of a task.
    n_threads : int or None
        Threads of one process; None shares the processors out.
    limit_mb : float or None
        Memory that the program may use at most, in MB; None lets it have what it can use.
    """
    machine = Machine(
        n_procs=n_procs,
        n_threads=n_threads,
        total_gb=math.inf if limit_mb is None else limit_mb / 1e3,
        is_limit=False,  # what does not fit is told here, once
        n_planned=len(plan.runs),
    )
    n_joins = sum(len(group.estimable) for group in plan.written_groups)
    allowance, (budgeted,) = allow([plan], machine, n_fits=len(plan.runs), n_joins=n_joins)
    least_mb = 1e3 * least_gb(budgeted, allowance)
    problems: tuple[Problem, ...] = ()
    if limit_mb is not None and least_mb > limit_mb:
        problems = (_refusal(plan.participant, least_mb, limit_mb),)
    return Needs(
        participant=plan.participant,
        mem_mb=1e3 * together_gb(budgeted, allowance, machine),
        seconds=seconds(plan),
        problems=problems,
    )


def _refusal(participant: str, least_mb: float, limit_mb: float) -> Problem:
    """Say that the memory of a task is too small."""
    least, limit = (math.ceil(memory_mb + MARGIN_MB) for memory_mb in (least_mb, limit_mb))
    return Problem(
        where="--mem-mb",
        found=f"a task needs {least} MB, of which {MARGIN_MB} MB are for what is not the "
        f"program, and would have {limit} MB",
        remedy=f"allow {least} MB, or leave the option out",
        code=ExitCode.USAGE,
        participant=participant,
    )


def request(
    found: Sequence[Needs], *, cpus: int, mem_mb: float | None, minutes: int | None
) -> Request:
    """Return what suffices for every one of some tasks.

    Parameters
    ----------
    found : sequence of Needs
        Of all tasks; at least one.
    cpus : int
        Processors of a task.
    mem_mb, minutes : float, int or None
        What was asked for; None means what the tasks need.

    Notes
    -----
    The time is the estimate for one processor, since with more the slowest step still runs on
    one; times `SAFETY`, `FLOOR_MIN` at least. The memory is the program's and `MARGIN_MB`.
    """
    if mem_mb is None:
        mem_mb = max(one.mem_mb for one in found) + MARGIN_MB
        mem_mb = STEP_MB * math.ceil(mem_mb / STEP_MB)
    if minutes is None:
        longest = SAFETY * max(one.seconds for one in found) / 60
        minutes = STEP_MIN * math.ceil(max(longest, FLOOR_MIN) / STEP_MIN)
    return Request(cpus=cpus, mem_mb=math.ceil(mem_mb), minutes=minutes)
