"""Options of a scheduler that a job sets itself, and that nobody else may set."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bids_fx.errors import Problem, usage_problem

MEMORY, TIME, CPUS, THROTTLE = "say --mem-mb", "say --time", "say --cpus", "say --throttle"
KEPT = "leave it out: the job needs its own"
TEMPLATE = "set it in a template, see `bids_fx-cluster templates`"

#: By scheduler what to do instead, and the options; of lists of resources the resource too.
OWN = {
    "slurm": {
        MEMORY: ("--mem", "--mem-per-cpu", "--mem-per-gpu"),
        TIME: ("--time", "-t"),
        CPUS: ("--cpus-per-task", "-c", "--ntasks", "-n", "--nodes", "-N"),
        THROTTLE: ("--array", "-a"),
        KEPT: (
            *("--dependency", "-d", "--output", "-o", "--error", "-e", "--job-name", "-J"),
            *("--parsable", "--wait", "-W", "--wrap", "--test-only"),
        ),
    },
    "pbs": {
        MEMORY: ("-l mem", "-l pmem", "-l vmem", "-l pvmem"),
        TIME: ("-l walltime",),
        CPUS: ("-l nodes", "-l ppn", "-l ncpus", "-l select"),
        THROTTLE: ("-J", "-t"),
        KEPT: ("-W depend", "-o", "-e", "-j", "-N"),
        TEMPLATE: ("-v",),  # one on the command line takes its place
    },
    "sge": {
        MEMORY: ("-l mem_free",),
        TIME: ("-l h_rt",),
        f"{CPUS}, or {TEMPLATE}": ("-pe",),
        THROTTLE: ("-t", "-tc"),
        KEPT: ("-hold_jid", "-o", "-e", "-j", "-N", "-S", "-terse", "-sync"),
    },
    "lsf": {
        MEMORY: ("-M", "-R mem"),
        TIME: ("-W",),
        CPUS: ("-n", "-R hosts"),
        THROTTLE: ("-J",),
        KEPT: ("-w", "-o", "-oo", "-e", "-eo", "-K", "-I"),
    },
}
#: Those whose options of one letter may have their value at once, as in -t10.
_SHORT = ("slurm", "pbs")


def own_options(scheduler: str, options: Iterable[str]) -> list[Problem]:
    """Return what is wrong with further options of a scheduler's command.

    Examples
    --------
    >>> print(*own_options("slurm", ["--partition=long", "-t10"]))
    --option=-t10: the job sets -t itself; say --time.
    >>> print(*own_options("pbs", ["-l select=1:mem=4gb"]))
    --option=-l select=1:mem=4gb: the job sets -l mem itself; say --mem-mb.
    """
    problems = []
    for option in options:
        names = _names(scheduler, option)
        for remedy, own in OWN[scheduler].items():
            name = next((one for one in own if one in names), None)
            if name is not None:
                found = f"the job sets {name} itself"
                problems.append(usage_problem(f"--option={option}", found, remedy))
                break
    return problems


def _names(scheduler: str, option: str) -> set[str]:
    """Return what an option sets: itself, and each resource of a list.

    Examples
    --------
    >>> sorted(_names("lsf", "-R span[hosts=1] rusage[mem=2GB]"))
    ['-R', '-R hosts', '-R mem']
    """
    name = re.split(r"[\s=]", option.strip(), maxsplit=1)[0]
    if scheduler in _SHORT and not name.startswith("--"):
        name = name[:2]
    rest = option.strip()[len(name) :]
    return {name, *(f"{name} {one}" for one in re.findall(r"(\w+)\s*=", rest))}
