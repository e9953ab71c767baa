"""The folder of a job: what is to be done, and the scripts that do it."""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from bids_fx import __version__
from bids_fx.cluster.binds import Bind
from bids_fx.cluster.jobs import Need, commands
from bids_fx.cluster.needs import LEAST_MB, MARGIN_MB, Request
from bids_fx.cluster.quoting import slurm_file, with_variables
from bids_fx.cluster.templates import fill, find_template
from bids_fx.derivatives.write import write_json, write_text
from bids_fx.errors import output_error
from bids_fx.settings import Invocation
from bids_fx.workflows.plugins import SCHEDULERS

#: In the output folder.
JOBS = "jobs"
#: What the level 'group' takes: it reads small tables and writes some pages. Measured of 2,000
#: participants with 4 runs each: 113 MB and 12.5 s of a processor. The memory has room for the
#: libraries and the container, the time for disks that are slow with many small files.
GROUP = Request(cpus=1, mem_mb=1500, minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """An image of Apptainer, and what it has of the machine.

    Parameters
    ----------
    image : str
        Its file.
    binds : tuple of Bind
        What it sees of the file system.
    environment : dict of str to str
        What it has of the environment.
    """

    image: str
    binds: tuple[Bind, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is written.

    Parameters
    ----------
    scheduler : str
        ``slurm``, ``pbs``, ``sge`` or ``lsf``.
    participants : tuple of str
        Labels without ``sub-``; task N is the N-th, counted from 1.
    request : Request
        What each task asks for.
    container : Container or None
        None runs the program as this process does.
    throttle : int or None
        Tasks that may run at the same time; None means any number.
    options : tuple of str
        Further arguments of the scheduler's command.
    scratch : str
        Folder for intermediate files, in which ``$NAME`` stands for a variable of the node;
        empty means what the scheduler says, or else TMPDIR.
    template : Path or None
        That of the array.
    templates : Path or None
        Folder with a site's templates.
    refused : dict of str to tuple of str
        What is wrong with the input of participants who have no task.
    """

    scheduler: str
    participants: tuple[str, ...]
    request: Request
    container: Container | None = None
    throttle: int | None = None
    options: tuple[str, ...] = ()
    scratch: str = ""
    template: Path | None = None
    templates: Path | None = None
    refused: Mapping[str, tuple[str, ...]]


def make_folder(out_dir: Path) -> Path:
    """Make the folder of the next job, for this process alone.

    Raises
    ------
    BIDSFXError
        If it cannot be made.
    """
    jobs = out_dir / JOBS
    try:
        jobs.mkdir(parents=True, exist_ok=True)
        taken = [path.name.removeprefix("job-") for path in jobs.glob("job-*")]
        number = 1 + max((int(name) for name in taken if name.isdecimal()), default=0)
        while True:
            folder = jobs / f"job-{number}"
            try:
                folder.mkdir()
            except FileExistsError:  # by another call, just now
                number += 1
                continue
            # Its scripts are run later as this user: no other may change them meanwhile.
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))
            for name in ("logs", "ended"):
                (folder / name).mkdir()
            return folder
    except OSError as error:
        raise output_error(jobs, error) from error


def write_job(folder: Path, job: Job, invocation: Invocation) -> None:
    """Write all files of a job's folder but the options of the call.

    Parameters
    ----------
    folder : Path
        Made by `make_folder`.
    job : Job
        What is written.
    invocation : Invocation
        The call that each task makes, for all participants.

    Raises
    ------
    BIDSFXError
        If a template cannot be used, or a file cannot be written.
    """
    name = job_name(invocation.execution.out_dir, job.scheduler)
    scripts = _scripts(folder, job, name)
    scripts["task.sh"] = fill(
        find_template("task.sh", None), _task_values(folder, job, invocation)
    )
    scripts["cluster_jobs.py"] = (Path(__file__).parent / "jobs.py").read_text(encoding="utf-8")
    write_text(folder / "participants.txt", "".join(f"{one}\n" for one in job.participants))
    for file, text in scripts.items():
        write_text(folder / file, text)
        (folder / file).chmod(0o755)
    # The last: a folder with it is whole.
    write_json(folder / "job.json", {"folder": str(folder), **_record(job, name)})


def job_name(out_dir: Path, scheduler: str) -> str:
    """Return a job's name: the program and the output folder, as far as a scheduler takes it.

    Examples
    --------
    >>> job_name(Path("/data/my study"), "slurm"), job_name(Path("/data/my study"), "pbs")
    ('bids_fx-my-study', 'bids_fx-my-stud')
    """
    label = "".join(one if one.isascii() and one.isalnum() else "-" for one in out_dir.name)
    return f"bids_fx-{label or 'out'}"[: SCHEDULERS[scheduler.upper()].max_name]


def _record(job: Job, name: str) -> dict[str, object]:
    """Return what the program that submits and watches jobs has to know."""
    return {
        "format": 1,
        "scheduler": job.scheduler,
        "name": name,
        "version": __version__,
        "container": job.container and job.container.image,
        "cpus": job.request.cpus,
        "throttle": job.throttle,
        "options": list(job.options),
        "tasks": [{"participant": label} for label in job.participants],
        "refused": {label: list(problems) for label, problems in job.refused.items()},
        "mem_mb": job.request.mem_mb,
        "minutes": job.request.minutes,
        "max_mem_mb": None,
        "max_minutes": None,
    }


def _scripts(folder: Path, job: Job, name: str) -> dict[str, str]:
    """Return the scheduler's scripts: of the array, and of what comes after it."""
    own = {kind: f"{job.scheduler}-{kind}.sh" for kind in ("array", "group")}
    array = job.template or find_template(own["array"], job.templates)
    group = find_template(own["group"], job.templates)
    return {
        "array.sh": fill(array, _values(folder, name, job.request, "%A_%a.log"), job.options),
        "group.sh": fill(group, _values(folder, name, GROUP, "%j_group.log"), job.options),
    }


def _values(folder: Path, name: str, request: Request, log: str) -> dict[str, str]:
    return {
        "JOB": quote(str(folder)),
        "LOGS": quote(str(folder / "logs")),
        "LOG": slurm_file(str(folder / "logs"), log),
        "NAME": name,
        "CPUS": str(request.cpus),
        "MEM_MB": str(request.mem_mb),
        "MEM_CPU_MB": str(-(-request.mem_mb // request.cpus)),
        "TIME": request.time,
        "MINUTES": str(request.minutes),
    }


def _task_values(folder: Path, job: Job, invocation: Invocation) -> dict[str, str]:
    return {
        "JOB": quote(str(folder)),
        "CPUS": str(job.request.cpus),
        "MEM_MB": str(job.request.mem_mb),
        "MARGIN_MB": str(MARGIN_MB),
        "LEAST_MB": str(LEAST_MB),
        "N_TASKS": str(len(job.participants)),
        "SCRATCH": with_variables(job.scratch),
        "PROGRAM": _program(job),
        "BIDS_DIR": quote(str(invocation.data.bids_dir)),
        "OUTPUT_DIR": quote(str(invocation.execution.out_dir)),
        "GROUP_OPTIONS": _group_options(invocation),
    }


def _group_options(invocation: Invocation) -> str:
    """Return the options of the level 'group'."""
    return " ".join(f"--qc-fail {quote(str(limit))}" for limit in invocation.report.quality_limits)


def _program(job: Job) -> str:
    """Return the lines that make the program's command, without its arguments, of ``$@``."""
    if job.container is None:
        # -P: a module in the folder from which the job was submitted is none of the program's.
        return f"set -- {quote(sys.executable)} -P -m bids_fx"
    lines = [
        "if command -v apptainer >/dev/null 2>&1; then",
        "    runtime=apptainer",
        "elif command -v singularity >/dev/null 2>&1; then",
        "    runtime=singularity",
        "else",
        '    fail "neither apptainer nor singularity is there: load its module first." 127',
        "fi",
    ]
    for name, value in sorted(job.container.environment.items()):
        both = (f"{engine}ENV_{name}" for engine in ("APPTAINER", "SINGULARITY"))
        lines.append(f"export {' '.join(f'{one}={quote(value)}' for one in both)}")
    lines.append('set -- "$runtime" run --cleanenv --containall --no-home \\')
    lines += [f"    --bind {quote(bind.argument)} \\" for bind in job.container.binds]
    lines.append(f'    --bind "$work:$work" {quote(job.container.image)}')
    return "\n".join(lines)


def submission(folder: Path, job: Job) -> list[str]:
    """Return the commands that submit a job; some schedulers come in two kinds."""
    if job.scheduler == "slurm":
        return [f"python3 {quote(str(folder / 'cluster_jobs.py'))} submit"]
    need = Need(job.request.mem_mb, job.request.minutes)
    spec = _record(job, job_name(folder.parent.parent, job.scheduler))
    return commands(folder, spec, {need: list(range(1, len(job.participants) + 1))})
