"""The options of ``bids_fx-cluster``, which come on top of the program's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bids_fx.cli.options import Option
from bids_fx.cli.values import some_text, to_path
from bids_fx.errors import Problem, usage_problem
from bids_fx.values import BadValueError, count_at_once

JOB = "the job"


def minutes(text: str) -> int:
    """Return a time in minutes, given so or as H:MM:SS; seconds are rounded up.

    Examples
    --------
    >>> minutes("90"), minutes("1:30:00"), minutes("0:00:01")
    (90, 90, 1)
    """
    found = re.fullmatch(r"([0-9]{1,6}):([0-5][0-9]):([0-5][0-9])", text.strip())
    if found:
        hours, rest, seconds = map(int, found.groups())
        total = 60 * hours + rest + (seconds > 0)
    elif re.fullmatch(r"[0-9]{1,6}", text.strip()):
        total = int(text)
    else:
        total = 0
    if total == 0:
        raise BadValueError(f"'{text}' is no time", "give minutes, or hours as H:MM:SS")
    return total


def image(text: str) -> str:
    """Return the absolute path of a container's image; a name in a registry is refused."""
    if re.match(r"[a-z-]+://", text):
        raise BadValueError(
            f"'{text}' is no file, and each task would fetch it anew",
            f"make a file of it first: apptainer pull bids_fx.sif {text}",
        )
    return str(to_path(text))


CLUSTER_OPTIONS: tuple[Option, ...] = (
    Option(
        names=("--container",),
        group=JOB,
        metavar="IMAGE.sif",
        convert=image,
        help="image of Apptainer or Singularity that the tasks run",
        default="this program as it is installed here; inside an image, that image",
    ),
    Option(
        names=("--submit",),
        group=JOB,
        kind="flag",
        help="also submit the job (Slurm only)",
    ),
    Option(
        names=("--cpus",),
        group=JOB,
        metavar="N",
        convert=count_at_once,
        help="processors of each task, also as --nprocs",
        default="2",
    ),
    Option(
        names=("--time",),
        group=JOB,
        metavar="MIN|H:MM:SS",
        convert=minutes,
        help="time limit of each task",
        default="by the plan",
    ),
    Option(
        names=("--throttle",),
        group=JOB,
        metavar="N",
        convert=count_at_once,
        help="tasks that run at the same time at most",
        default="as many as the scheduler allows",
    ),
    Option(
        names=("--scratch",),
        group=JOB,
        metavar="DIR",
        convert=some_text,
        help="folder on each node for intermediate files; $NAME in it is filled in there",
        default="SLURM_TMPDIR or TMPDIR of the node, or /tmp",
    ),
    Option(
        names=("--option",),
        group=JOB,
        kind="each",
        metavar="=OPTION",
        convert=some_text,
        help="a further option of the scheduler, as in --option=--partition=long; may be repeated",
    ),
    Option(
        names=("--bind",),
        group=JOB,
        kind="each",
        metavar="PATH",
        convert=to_path,
        help="folder or file that the container sees besides those that the plan needs, to be "
        "read; may be repeated",
    ),
    Option(
        names=("--template",),
        group=JOB,
        metavar="FILE",
        convert=to_path,
        help="template of the array's script; see `bids_fx-cluster templates`",
    ),
)
_BY_NAME = {name: option for option in CLUSTER_OPTIONS for name in option.names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A command line taken apart.

    Parameters
    ----------
    values : dict of str to object
        Values of the options of this table by their names; of those that may be repeated a list.
    rest : list of str
        Everything else, for the program itself.
    problems : list of Problem
        What is wrong with the values.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    rest: Sequence[str] = ()
    problems: Sequence[Problem] = ()


def split(argv: Sequence[str]) -> Split:
    """Take the options of this table out of a command line.

    Examples
    --------
    >>> found = split(["in", "out", "--cpus", "4", "--option=-p long", "--task-id", "rest"])
    >>> found.values, found.rest
    ({'--cpus': 4, '--option': ['-p long']}, ['in', 'out', '--task-id', 'rest'])
    """
    values: dict[str, object] = {}
    repeated: dict[str, list[object]] = {}
    rest: list[str] = []
    problems: list[Problem] = []
    tokens = list(argv)
    while tokens:
        name, sign, text = word = tokens.pop(0).partition("=")
        option = _BY_NAME.get(name.replace("_", "-"))
        if option is None:
            rest.append("".join(word))
            if rest[-1] == "--":
                rest += tokens
                break
            continue
        name = option.name
        if option.kind == "flag":
            problems += (
                [usage_problem(name, "it takes no value", f"write {name} alone")] if sign else []
            )
            values[name] = True
        elif not sign and not tokens:
            problems.append(
                usage_problem(name, "its value is missing", f"write {name} {option.metavar}")
            )
        else:
            try:
                value = option.convert(text if sign else tokens.pop(0))
            except BadValueError as error:
                problems.append(usage_problem(name, error.found, error.remedy))
                continue
            if option.kind == "each":
                repeated.setdefault(name, []).append(value)
            else:
                values[name] = value
    return Split(values=values | repeated, rest=rest, problems=problems)
