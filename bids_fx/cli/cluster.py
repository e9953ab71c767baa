"""The program that has a cluster do the participants, one task each."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_fx import __version__
from bids_fx.cli.interruption import Interruption
from bids_fx.cli.program import run_program
from bids_fx.cli.streams import show_result
from bids_fx.errors import BIDSFXError, ExitCode

if TYPE_CHECKING:
    from bids_fx.cli.options import Option

#: What is known of a job that is there already: these run as a file of their own, too.
WATCHING = ("submit", "status", "resubmit")
PROGRAM = "bids_fx-cluster"

USAGE = """\
bids_fx-cluster {slurm,pbs,sge,lsf} BIDS_DIR OUTPUT_DIR [options] [options of bids_fx]
       bids_fx-cluster {submit,status,resubmit} OUTPUT_DIR/jobs/job-1 [options]
       bids_fx-cluster templates DIR"""
DESCRIPTION = """\
Have a cluster do the participants, one task of an array job each, then the level 'group'.

All participants are planned first, so that what is wrong with the input is told before anything
is submitted. Then the scripts of the job are written into OUTPUT_DIR/jobs/job-1, or the next
number; time and memory of a task are what the plan says."""
EPILOG = """\
All options of bids_fx that compute something may be given (see bids_fx --help); --mem-mb is the
memory of a task, the scheduler's and the container's share included. 'submit', 'status' and
'resubmit' have options of their own: bids_fx-cluster status --help. 'templates' writes the
templates of the scripts into a folder that BIDS_FX_TEMPLATES may name.

exit codes: 0 the job is written; 1 it is, but for participants whose input has problems; others
as of bids_fx."""


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
    return run_program(PROGRAM, _work, argv)


def _work(words: list[str], _: Interruption) -> int:
    """Do what the command says; return the exit code."""
    from bids_fx.cluster.templates import SCHEDULERS

    command, *rest = words or [""]
    if command in WATCHING:
        from bids_fx.cluster import jobs

        return jobs.main(words)
    if command.startswith("-") or {"-h", "--help"} & set(rest):
        _parser().parse_args(["--version" if command == "--version" else "--help"])
    if command in SCHEDULERS:
        from bids_fx.cli.cluster_job import prepare
        from bids_fx.cli.cluster_options import split
        from bids_fx.cli.parser import told_as_asked

        with told_as_asked(rest):
            return prepare(command, split(rest))
    if command == "templates":
        return _write_templates(rest)
    raise BIDSFXError.single(
        command or "the command line",
        "there is no such command" if command else "the command is missing",
        f"use one of {', '.join((*SCHEDULERS, *WATCHING, 'templates'))}",
        ExitCode.USAGE,
    )


def _write_templates(arguments: Sequence[str]) -> int:
    """Write the templates into a folder and tell which."""
    from bids_fx.cluster.templates import VARIABLE, write_templates

    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise BIDSFXError.single(
            "templates", "it takes one folder", f"write {PROGRAM} templates DIR", ExitCode.USAGE
        )
    for path in write_templates(Path(arguments[0])):
        show_result(path)
    print(f"Change them, and name the folder: export {VARIABLE}=DIR", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    """Return a parser of the options, for its help."""
    from bids_fx.cli.cluster_options import CLUSTER_OPTIONS
    from bids_fx.cli.parser import MAX_WIDTH

    width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, max_help_position=30, width=width
        ),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bids_fx {__version__}")
    group = parser.add_argument_group(CLUSTER_OPTIONS[0].group)
    for option in CLUSTER_OPTIONS:
        group.add_argument(*option.names, **_argument(option))
    return parser


def _argument(option: Option) -> dict[str, Any]:
    """Return an option as argparse wants it for its help."""
    settings = {"help": option.description.replace("%", "%%")}
    if option.kind == "flag":
        return {**settings, "action": "store_true"}
    return {**settings, "metavar": option.metavar}
