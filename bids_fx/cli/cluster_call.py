"""The command line of a cluster's job, as settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from bids_fx.cli.cluster_options import CLUSTER_OPTIONS, Split
from bids_fx.cli.parser import parse
from bids_fx.cluster.options import own_options
from bids_fx.cluster.templates import VARIABLE
from bids_fx.container import image_around, tag_around
from bids_fx.errors import BIDSFXError, ExitCode, Problem, usage_problem

if TYPE_CHECKING:
    from bids_fx.settings import Invocation

#: Options that mean nothing for a job, by field of the settings, and why.
FOREIGN = {
    "dry_run": ("--dry-run", "the job computes", "ask `bids_fx … --dry-run` instead"),
    "reports_only": ("--reports-only", "the job computes", "call bids_fx itself: it is quick"),
    "boilerplate_only": ("--boilerplate-only", "the job computes", "call bids_fx itself"),
    "plugin_file": (
        "--use-plugin",
        "a task uses the processors of its node",
        "leave it out, or call bids_fx itself with it",
    ),
    "work_dir": ("--work-dir", "each task has one of its own", "say --scratch DIR"),
    "write_model": (
        "--write-model",
        "a task knows one participant, and the model is of all",
        "call bids_fx itself for one of them, or leave it out",
    ),
}

T = TypeVar("T")


def value_of(values: Mapping[str, object], name: str, kind: type[T]) -> T | None:
    """Return the value of an option that was given, whose conversion warrants its type."""
    found = values.get(name)
    assert found is None or isinstance(found, kind)
    return found


def values_of(values: Mapping[str, object], name: str) -> list[str]:
    """Return the values of an option that may be repeated, as texts."""
    return [str(one) for one in cast("Iterable[object]", values.get(name, ()))]


def parsed(scheduler: str, given: Split) -> Invocation:
    """Read the command line of the program itself.

    Parameters
    ----------
    scheduler : str
        ``slurm``, ``pbs``, ``sge`` or ``lsf``.
    given : Split
        The whole command line.

    Raises
    ------
    BIDSFXError
        With all that is wrong with either.
    """
    names = [option.name for option in CLUSTER_OPTIONS]
    try:
        invocation = parse(given.rest, level="participant", others=names)
    except BIDSFXError as error:
        raise BIDSFXError((*given.problems, *error.problems)) from None
    options = values_of(given.values, "--option")
    problems = [*given.problems, *_foreign(invocation), *own_options(scheduler, options)]
    if "--cpus" in given.values and invocation.execution.n_procs is not None:
        problems.append(usage_problem("--cpus and --nprocs", "they say the same", "leave one out"))
    if "--submit" in given.values and scheduler != "slurm":
        found = "only jobs of Slurm are submitted from here"
        problems.append(
            usage_problem("--submit", found, "leave it out, and use the command that is shown")
        )
    if problems:
        raise BIDSFXError(problems)
    return invocation


def _foreign(invocation: Invocation) -> list[Problem]:
    """Return the options of the program that mean nothing for a job."""
    problems = [
        usage_problem(name, f"it means nothing for a job: {reason}", remedy)
        for field, (name, reason, remedy) in FOREIGN.items()
        if getattr(invocation.execution, field) not in (None, False)
    ]
    out_dir = str(invocation.execution.out_dir)
    if "\\" in out_dir or not out_dir.isprintable():
        found = "its name holds characters that schedulers cannot read in a script"
        problems.append(usage_problem("OUTPUT_DIR", found, "choose another name"))
    if invocation.level != "participant":
        found = "the job does the level 'participant', and 'group' after it"
        problems.append(usage_problem("LEVEL", found, "leave it out"))
    if invocation.data.model == "auto":
        reason, remedy = FOREIGN["write_model"][1:]
        problems.append(
            usage_problem("--model auto", f"it means nothing for a job: {reason}", remedy)
        )
    return problems


def find_container(values: Mapping[str, object]) -> str | None:
    """Return the image that the tasks run; None for the program as it is installed here.

    Raises
    ------
    BIDSFXError
        If there is none, or none was given where one is needed.
    """
    around = image_around()
    container = value_of(values, "--container", str)
    if container is not None:
        # From inside a container the image itself may be out of sight.
        if around is None and not Path(container).exists():
            found, remedy = "it is not there", "give the image's file"
            raise BIDSFXError.single(container, found, remedy, ExitCode.MISSING_INPUT)
        return container
    if around is None and tag_around() is not None:
        raise BIDSFXError.single(
            "--container",
            "it is missing: the tasks cannot run the program of the container that runs this",
            "give the image that the nodes of the cluster are to run",
            ExitCode.USAGE,
        )
    return around


def check_named(values: Mapping[str, object], image: str | None, sites: Path | None) -> None:
    """See that what was named for the job is there, and of use.

    Parameters
    ----------
    values : mapping of str to object
        Values of the options.
    image : str or None
        That of the tasks.
    sites : Path or None
        Folder with a site's templates.

    Raises
    ------
    BIDSFXError
        If there is an option ``--bind`` without an image, or a path is not there.
    """
    binds = values_of(values, "--bind")
    problems = [
        Problem(
            where=f"--bind {path}",
            found="there is no such file or folder",
            remedy="name one that this machine sees too, or leave it out",
            code=ExitCode.MISSING_INPUT,
        )
        for path in binds
        if not Path(path).exists()
    ]
    if binds and image is None:
        found = "it means nothing without a container"
        problems.append(usage_problem("--bind", found, "say --container, or leave it out"))
    if sites is not None and not sites.is_dir():
        found, remedy = "there is no such folder", "name one that is there, or unset the variable"
        where, code = f"{VARIABLE}={sites}", ExitCode.MISSING_INPUT
        problems.append(Problem(where=where, found=found, remedy=remedy, code=code))
    if problems:
        raise BIDSFXError(problems)
