"""The nipype plugins that users may choose, and what they may say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """What starts jobs on a cluster.

    Parameters
    ----------
    title : str
        Its name in messages.
    submit, cancel : str
        Its programs that submit and cancel jobs.
    arguments : str
        The plugin's argument with options of `submit`.
    name : str
        The option of `submit` that names a job.
    before : tuple of str
        What has to stand before the script.
    number : str
        Regular expression of the job's number in what `submit` answers.
    template : str
        How a job's script begins.
    status : tuple of str
        The command that tells of a job, whose number goes behind it.
    over : str
        Regular expression of what it says of a job that has ended.
    max_name : int or None
        Characters that a job's name may have.
    output, error : str
        Regular expressions of the options of `submit` that say where a job's log goes.
    """

    title: str
    submit: str
    cancel: str
    arguments: str
    number: str
    template: str
    status: tuple[str, ...]
    over: str
    name: str = "-N"
    before: tuple[str, ...] = ()
    max_name: int | None = None
    output: str = "-o"
    error: str = "-e"


#: Seconds between two looks at all jobs; each asks the scheduler, which many users share.
POLL_S = 2.0

#: By the name of nipype's plugin.
SCHEDULERS = {
    "SLURM": Scheduler(
        title="Slurm",
        submit="sbatch",
        cancel="scancel",
        arguments="sbatch_args",
        number=r"(?m)^(?:Submitted batch job )?(\d+)",  # with --parsable the number alone
        template="#!/bin/bash",
        name="-J",
        status=("squeue", "--noheader", "--format=%A", "--jobs"),
        over="Invalid job id",
        output="-o.*|--output(=.*)?",
        error="-e.*|--error(=.*)?",
    ),
    "PBS": Scheduler(
        title="PBS",
        submit="qsub",
        cancel="qdel",
        arguments="qsub_args",
        number=r"(?m)^(\d\S*)",
        template="#PBS -V",
        max_name=15,  # as nipype has it
        status=("qstat", "-f"),
        over=r"Unknown Job Id|Job has finished|job_state = [CFX]\b",
    ),
    "SGE": Scheduler(
        title="SGE",
        submit="qsub",
        cancel="qdel",
        arguments="qsub_args",
        number=r"Your job (\d+)",
        template="#$ -V\n#$ -S /bin/sh",
        status=("qstat", "-j"),
        over="do not exist",
    ),
    "LSF": Scheduler(
        title="LSF",
        submit="bsub",
        cancel="bkill",
        arguments="bsub_args",
        number=r"Job <(\d+)>",
        template="#!/bin/sh",
        name="-J",
        before=("sh",),
        status=("bjobs",),
        over=r"(?m)^\d+\s+\S+\s+(DONE|EXIT)\b|is not found",
        output="-oo?",
        error="-eo?",
    ),
}

_NUMBER = (int, float)
_POOL: dict[str, type | tuple[type, ...]] = {
    "n_procs": int,
    "memory_gb": _NUMBER,
    "raise_insufficient": bool,
}
_CLUSTER: dict[str, type | tuple[type, ...]] = {
    "template": str,
    "max_jobs": int,
    "max_tries": int,
    "retry_timeout": _NUMBER,
    # Options of nipype's configuration, which has no other way in.
    "poll_sleep_duration": _NUMBER,
    "job_finished_timeout": _NUMBER,
}

#: By plugin, the arguments that it has, and of what type they are.
ARGUMENTS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "Linear": {},
    "MultiProc": _POOL,
    "LegacyMultiProc": _POOL,
    "SLURM": _CLUSTER | {"sbatch_args": str, "jobid_re": str},
    "PBS": _CLUSTER | {"qsub_args": str, "max_jobname_len": int},
    "SGE": _CLUSTER | {"qsub_args": str},
    "LSF": _CLUSTER | {"bsub_args": str},
}

#: Arguments of nipype's plugins of many processes that say how these are made, which is settled:
#: each node has one of its own.
SETTLED = ("maxtasksperchild", "mp_context", "non_daemon", "scheduler", "n_gpu_procs")


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginChoice:
    """A nipype plugin of the user's.

    Parameters
    ----------
    name : str
        One of `ARGUMENTS`.
    arguments : dict
        Its arguments, checked.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scheduler(self) -> Scheduler | None:
        """The scheduler that starts the nodes; None if they run on this machine."""
        return SCHEDULERS.get(self.name)
