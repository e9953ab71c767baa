"""From the command line of a cluster's job to its folder, and what is said of it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from bids_fx.archive import HOME_VARIABLE
from bids_fx.cli.cluster_call import check_named, find_container, parsed, value_of, values_of
from bids_fx.cli.cluster_options import Split
from bids_fx.cli.streams import show_text
from bids_fx.cluster.quoting import words
from bids_fx.container import image_around
from bids_fx.errors import BIDSFXError, ExitCode, Problem

if TYPE_CHECKING:
    from bids_fx.cluster.folder import Container, Job
    from bids_fx.cluster.needs import Needs
    from bids_fx.records import Plan
    from bids_fx.settings import Invocation

logger = logging.getLogger("bids_fx")

#: Processors of a task: more wait longer for a place, and one run keeps few busy.
CPUS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was found out by planning all participants.

    Parameters
    ----------
    needs : tuple of Needs
        Of those who have a task.
    refused : tuple of Plan
        Of those whose input has problems.
    files : frozenset of Path
        All input files.
    """

    needs: tuple[Needs, ...]
    refused: tuple[Plan, ...]
    files: frozenset[Path]


def prepare(scheduler: str, given: Split) -> ExitCode:
    """Plan all participants, write the job's folder and say what to do with it.

    Parameters
    ----------
    scheduler : str
        ``slurm``, ``pbs``, ``sge`` or ``lsf``.
    given : Split
        The command line.

    Returns
    -------
    ExitCode
        FAILED if the input of some participants has problems, or the job could not be submitted.

    Raises
    ------
    BIDSFXError
        With all that is wrong with the command line, the model and the dataset.
    """
    from bids_fx.cluster.folder import Job, make_folder, write_job
    from bids_fx.cluster.needs import request
    from bids_fx.cluster.templates import VARIABLE
    from bids_fx.derivatives.planted import refuse_planted
    from bids_fx.logs import start_logging

    invocation = parsed(scheduler, given)
    start_logging(invocation.execution.verbosity, as_json=invocation.execution.log_json)
    image = find_container(given.values)
    sites = Path(named) if (named := os.environ.get(VARIABLE)) else None
    check_named(given.values, image, sites)
    cpus = value_of(given.values, "--cpus", int) or invocation.execution.n_procs or CPUS
    planned = _plan(invocation, cpus)
    asked = request(
        planned.needs,
        cpus=cpus,
        mem_mb=invocation.execution.mem_mb,
        minutes=value_of(given.values, "--time", int),
    )
    refuse_planted(invocation.execution.out_dir, [one.participant for one in planned.refused])
    folder = make_folder(invocation.execution.out_dir)
    try:
        job = Job(
            scheduler=scheduler,
            participants=tuple(one.participant for one in planned.needs),
            refused={one.participant: tuple(map(str, one.problems)) for one in planned.refused},
            request=asked,
            container=_container(image, invocation, planned.files, given.values),
            throttle=value_of(given.values, "--throttle", int),
            options=tuple(values_of(given.values, "--option")),
            scratch=value_of(given.values, "--scratch", str) or "",
            template=value_of(given.values, "--template", Path),
            templates=sites,
        )
        write_job(folder, job, _write_options(folder, invocation))
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    _tell_refused(planned.refused, invocation)
    show_text(_told(folder, job, planned.needs) + "\n")
    code = ExitCode.FAILED if planned.refused else ExitCode.OK
    if "--submit" in given.values:
        from bids_fx.cluster import jobs

        code = code if jobs.main(["submit", str(folder)]) == 0 else ExitCode.FAILED
    return code


def _plan(invocation: Invocation, cpus: int) -> Planned:
    """Plan all participants.

    Raises
    ------
    BIDSFXError
        If the model or the dataset is wrong, or nobody can be run.
    """
    from bids_fx.cli.planning import Planner
    from bids_fx.cli.run import choose_runnable, validated
    from bids_fx.cluster.needs import MARGIN_MB, needs

    # Nothing is computed here, and this machine is not the one that will compute.
    looking = replace(invocation.execution, dry_run="text", mem_mb=None, n_procs=cpus)
    limit_mb = invocation.execution.mem_mb
    found: dict[str, Needs] = {}
    plans: list[Plan] = []
    files: set[Path] = set()
    with validated(replace(invocation, execution=looking)):
        for plan in Planner(replace(invocation, execution=looking)).plans():
            kept = plan.outline()
            if not plan.problems and plan.runs:
                own = needs(
                    plan,
                    n_procs=cpus,
                    n_threads=invocation.execution.omp_nthreads,
                    limit_mb=limit_mb and limit_mb - MARGIN_MB,
                )
                kept = replace(kept, problems=own.problems)
                found[plan.participant] = own
                files.update(*(run.source.uris for run in plan.runs))
            plans.append(kept)
    chosen = choose_runnable(plans, invocation)
    for plan in plans:
        if not plan.problems and not plan.runs:
            logger.warning("sub-%s has nothing to analyse, and no task.", plan.participant)
    return Planned(
        needs=tuple(found[plan.participant] for plan in chosen),
        refused=tuple(plan for plan in plans if plan.problems),
        files=frozenset(files),
    )


def _write_options(folder: Path, invocation: Invocation) -> Invocation:
    """Write the options of the call that each task makes, and the files they are in; return it.

    The model and the filters are copied: a job that waits does what it was made for.
    """
    from bids_fx.cli.presets import filters_json, format_presets
    from bids_fx.derivatives.write import write_text

    data = replace(invocation.data, participants=())
    if data.model_file is not None:
        copy = folder / "model" / data.model_file.name
        write_text(copy, data.model_file.read_text(encoding="utf-8-sig"))
        data = replace(data, model=copy)
    filters = folder / "bids_filter.json" if data.filters else None
    if filters is not None:
        write_text(filters, f"{filters_json(invocation)}\n")
    execution = replace(
        invocation.execution,
        n_procs=None,
        mem_mb=None,
        skip_bids_validation=True,  # all of it was validated just now
        clean_work_dir=False,  # it is new
    )
    call = replace(invocation, data=data, execution=execution)
    write_text(folder / "config.toml", format_presets(call, filters))
    return call


def _container(
    image: str | None, invocation: Invocation, files: Iterable[Path], values: Mapping[str, object]
) -> Container | None:
    """Return the image, if there is one, and what it has to see.

    Raises
    ------
    BIDSFXError
        If a path cannot be bound.
    """
    from bids_fx.cluster.binds import find_binds
    from bids_fx.cluster.folder import Container

    if image is None:
        return None
    data = invocation.data
    read = [data.bids_dir, *(path for _, path in data.derivatives)]
    read += [path for path in (data.design_dir, data.run_maps_dir) if path is not None]
    read += map(Path, values_of(values, "--bind"))
    written = [invocation.execution.out_dir]
    written += [data.database_dir] if data.database_dir is not None else []
    environment = {}
    templates = os.environ.get(HOME_VARIABLE)
    # Inside an image it is the image's own.
    if templates and image_around() is None:
        environment[HOME_VARIABLE] = templates
        read.append(Path(templates))
    binds = find_binds(read, written, files)
    problems = [
        Problem(
            where=path,
            found="a path with ':' or ',' cannot be bound into a container",
            remedy="give the folder another name, or a link with another name",
            code=ExitCode.USAGE,
        )
        for path in sorted({str(path) for bind in binds for path in (bind.inside, bind.outside)})
        if ":" in path or "," in path
    ]
    if problems:
        raise BIDSFXError(problems)
    return Container(image=image, binds=binds, environment=environment)


def _tell_refused(refused: Sequence[Plan], invocation: Invocation) -> None:
    """Say of participants whose input has problems what these are, as the program itself does."""
    from bids_fx.cli.outcomes import refuse
    from bids_fx.cli.resources import this_machine
    from bids_fx.derivatives.dataset import write_dataset_files
    from bids_fx.derivatives.locks import locked
    from bids_fx.usage import Meter

    out_dir = invocation.execution.out_dir
    write_dataset_files(out_dir, invocation.data)
    for plan in refused:
        with locked(out_dir, f"sub-{plan.participant}"):
            refuse(plan, out_dir, this_machine(invocation.execution, n_planned=0), Meter())


def _told(folder: Path, job: Job, found: Sequence[Needs]) -> str:
    """Return what is to be known of a job that was written."""
    from bids_fx.cluster.folder import submission

    asked = job.request
    by_memory, by_time = (max(found, key=attrgetter(name)) for name in ("mem_mb", "seconds"))
    script = words(["python3", str(folder / "cluster_jobs.py")])
    n_tasks = "1 task" if len(found) == 1 else f"{len(found)} tasks"
    cpus = "1 processor" if asked.cpus == 1 else f"{asked.cpus} processors"
    memory = f"{by_memory.mem_mb:.0f} MB, of sub-{by_memory.participant}"
    time = f"{by_time.seconds / 60:.1f} min, of sub-{by_time.participant}"
    lines = [
        f"{folder}: {n_tasks}, each with {cpus}",
        f"  memory: {asked.mem_mb} MB (the most that the plan needs: {memory})",
        f"  time:   {asked.time} (the most that the plan takes, of one processor: {time})",
        "Submit it:",
        *(f"  {line}" for line in submission(folder, job)),
        "See how it stands, and send again what failed or is missing:",
        f"  {script} status",
        f"  {script} resubmit",
    ]
    return "\n".join(lines)
