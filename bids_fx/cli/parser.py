"""The command line: arguments in, settings out, every problem of theirs in one list."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from bids_fx import __doc__ as description
from bids_fx import __version__
from bids_fx.cli.argv import NAMES, check_positionals, rewrite, split_extras
from bids_fx.cli.checks import contradictions, out_of_place, overlaps
from bids_fx.cli.files import read_filters, read_presets
from bids_fx.cli.options import Option
from bids_fx.cli.streams import show_text
from bids_fx.cli.table import IMMEDIATE, OPTIONS, POSITIONALS
from bids_fx.cli.values import to_path
from bids_fx.errors import BIDSFXError, Notice, Problem, usage_problem
from bids_fx.logs import is_json, start_logging
from bids_fx.report_settings import ReportSettings
from bids_fx.settings import (
    AnalysisSettings,
    DataSelection,
    ExecutionSettings,
    Invocation,
)
from bids_fx.values import BadValueError

DESCRIPTION = str(description)
#: Lines longer than this are hard to read.
MAX_WIDTH = 100
EPILOG = """\
examples:
  bids_fx data out participant
  bids_fx data out participant -d data/derivatives/fmriprep --task-id faces --dry-run
  bids_fx data out participant --contrast 'load = 2-back - 0-back' --confounds motion24 nss
  bids_fx data out group --qc-fail 'fd_mean>0.5'

Options may be written with '_' for '-'. BIDS_DIR OUTPUT_DIR LEVEL come first, or behind '--'.
"""

T = TypeVar("T")


def parse(
    argv: Sequence[str], *, level: str | None = None, others: Sequence[str] = ()
) -> Invocation:
    """Read a command line.

    Parameters
    ----------
    argv : sequence of str
        Arguments without the program's name.
    level : str or None
        That of a command line that may leave it out.
    others : sequence of str
        Options that were taken out before, to be proposed where one is misspelt.

    Returns
    -------
    Invocation
        The settings; inputs need not exist yet, but for the files that hold options.

    Raises
    ------
    BIDSFXError
        With all that is wrong with the command line.
    SystemExit
        With 0, for ``--help``, ``--version`` and ``--bids-exec-spec``.
    """
    arguments = rewrite(argv)
    namespace, extras = _parser(with_positionals=False).parse_known_args(arguments.options)
    positionals, problems = split_extras(extras, others)
    positionals += arguments.positionals
    names: Sequence[str] = NAMES if level is None else NAMES[:-1]
    if level is not None and len(positionals) == len(names):
        positionals.append(level)
    problems += check_positionals(positionals, arguments, is_certain=not problems, names=names)
    given, places, preset_problems = _with_presets(vars(namespace))
    values, value_problems = _convert(given, places)
    problems += [*preset_problems, *value_problems, *contradictions(values)]
    if len(positionals) >= len(POSITIONALS):
        problems += out_of_place(positionals[2], {name: places[name] for name in values})
    filters, notices, filter_problems = _filters(values)
    problems += filter_problems
    folders, folder_problems = _folders(positionals)
    problems += folder_problems
    if len(folders) == 2 and len(positionals) >= len(POSITIONALS):
        invocation = _build(folders, positionals[2], values, filters, notices)
        problems += overlaps(invocation)
    if problems:
        raise BIDSFXError(dict.fromkeys(problems))
    return invocation


@contextmanager
def told_as_asked(argv: Sequence[str]) -> Iterator[None]:
    """Have what is wrong with a command line told in JSON if a config file of it asks for that."""
    try:
        yield
    except BIDSFXError:
        if not is_json() and _asks_for_json(argv):
            start_logging(0, as_json=True)
        raise


def _asks_for_json(argv: Sequence[str]) -> bool:
    """Tell whether the config file of a command line with faults asks for the log in JSON."""
    options = [word for word in rewrite(argv).options if word not in IMMEDIATE]
    try:
        given, _ = _parser(with_positionals=False).parse_known_args(options)
        return "--log-json" in _with_presets(vars(given))[0]
    except BIDSFXError:
        return False


def build_parser() -> argparse.ArgumentParser:
    """Return the argparse parser of the whole command line, for its help."""
    return _parser(with_positionals=True)


class _Parser(argparse.ArgumentParser):
    """A parser that raises what argparse finds wrong instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        where, _, found = message.removeprefix("argument ").rpartition(": ")
        raise BIDSFXError(
            [usage_problem(where or "the command line", found, "see bids_fx --help")]
        )


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, within reason."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
        super().__init__(prog, max_help_position=30, width=width)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Show what stands for the value once, and not behind each name."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        ending = {"+": f" {action.metavar} ...", "?": f"[={action.metavar}]"}
        value = ending.get(str(action.nargs), f" {action.metavar}")
        return ", ".join(action.option_strings) + value


class _Show(argparse.Action):
    """An option that prints a text and ends the program."""

    def __init__(self, *, text: Callable[[], str], **settings: Any) -> None:
        super().__init__(nargs=0, **settings)
        self._text = text

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        show_text(self._text())
        parser.exit()


def _parser(*, with_positionals: bool) -> argparse.ArgumentParser:
    """Return a parser of all options.

    Notes
    -----
    Positional arguments are declared for the help alone: argparse gives them to options that
    take lists, and its messages about them do not say so.
    """
    parser = _Parser(
        prog="bids_fx",
        usage="bids_fx BIDS_DIR OUTPUT_DIR {participant,group} [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Help,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    if with_positionals:
        for name, text in POSITIONALS:
            parser.add_argument(name, help=text)
    groups = {
        name: parser.add_argument_group(name)
        for name in dict.fromkeys(option.group for option in OPTIONS)
    }
    for option in OPTIONS:
        groups[option.group].add_argument(*option.names, **_argument(option))
    texts: dict[tuple[str, ...], Callable[[], str]] = {
        ("-h", "--help"): lambda: build_parser().format_help(),
        ("--version",): lambda: f"bids_fx {__version__}\n",
        ("--bids-exec-spec",): _descriptor_text,
    }
    for names, make_text in texts.items():
        parser.add_argument(*names, action=_Show, text=make_text, help=IMMEDIATE[names[-1]])
    return parser


def _argument(option: Option) -> dict[str, Any]:
    """Return an option as argparse wants it."""
    settings: dict[str, Any] = {
        "dest": option.name,
        "help": option.description.replace("%", "%%"),
    }
    actions = {"flag": "store_true", "count": "count", "each": "append", "list": "extend"}
    settings["action"] = actions.get(option.kind, "store")
    if option.kind not in ("flag", "count"):
        settings["metavar"] = option.metavar
    if option.kind == "list":
        settings["nargs"] = "+"
    if option.kind == "maybe":
        settings |= {"nargs": "?", "const": option.choices[0]}
    return settings


def _descriptor_text() -> str:
    """Return the Boutiques descriptor as JSON."""
    from bids_fx.cli.boutiques import descriptor

    return json.dumps(descriptor(__version__, DESCRIPTION), indent=2) + "\n"


def _with_presets(
    given: dict[str, object],
) -> tuple[dict[str, object], dict[str, str], list[Problem]]:
    """Add the presets of a config file to the options of the command line, which win.

    Returns
    -------
    given : dict of str to object
        Raw values by the options' main names.
    places : dict of str to str
        Where each stands, for messages.
    problems : list of Problem
        What is wrong with the file.
    """
    if "--config-file" not in given:
        return given, {name: name for name in given}, []
    try:
        path = to_path(str(given["--config-file"]))
    except BadValueError as error:
        problem = usage_problem("--config-file", error.found, error.remedy)
        return given, {name: name for name in given}, [problem]
    presets, problems = read_presets(path)
    places = {name: f"{path.name}: {name.lstrip('-')}" for name in presets}
    return presets | given, places | {name: name for name in given}, problems


def _convert(
    given: Mapping[str, object], places: Mapping[str, str]
) -> tuple[dict[str, object], list[Problem]]:
    """Check the values of all options and turn them into settings, by the options' names."""
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for option in OPTIONS:
        if option.name not in given:
            continue
        raw, where = given[option.name], places[option.name]
        if option.kind in ("flag", "count"):
            values[option.name] = raw
        else:
            texts = [str(item) for item in (raw if isinstance(raw, list) else [raw])]
            converted, faults = _converted(option, texts)
            problems += [usage_problem(where, fault.found, fault.remedy) for fault in faults]
            if not faults:
                values[option.name] = converted
    return values, problems


def _converted(option: Option, texts: Sequence[str]) -> tuple[object, list[BadValueError]]:
    """Return the setting that the values of an option make, or all that is wrong with them."""
    converted: list[object] = []
    faults: list[BadValueError] = []
    for text in texts:
        try:
            converted.append(option.convert(text))
        except BadValueError as error:
            faults.append(error)
    if not option.takes_many or faults:
        return (converted or [None])[0], faults
    try:
        return option.finish(converted), []
    except BadValueError as error:
        return None, [error]


def _filters(
    values: Mapping[str, object],
) -> tuple[dict[str, object], list[Notice], list[Problem]]:
    """Read the filter file, if one is given."""
    path = values.get("--bids-filter-file")
    return read_filters(path) if isinstance(path, Path) else ({}, [], [])


def _folders(positionals: Sequence[str]) -> tuple[list[Path], list[Problem]]:
    """Return the folders of the positional arguments, as far as they can be folders."""
    folders: list[Path] = []
    problems: list[Problem] = []
    for (name, _), text in zip(POSITIONALS[:2], positionals[:2], strict=False):
        try:
            folders.append(to_path(text))
        except BadValueError as error:
            problems.append(usage_problem(name, error.found, error.remedy))
    return folders, problems


def _build(
    folders: Sequence[Path],
    level: str,
    values: Mapping[str, object],
    filters: dict[str, object],
    notices: Sequence[Notice],
) -> Invocation:
    """Return the settings of all options."""
    bids_dir, out_dir = folders
    records: dict[str, dict[str, object]] = {
        "data": {"bids_dir": bids_dir, "filters": filters},
        "analysis": {},
        "execution": {"out_dir": out_dir},
        "report": {},
    }
    for option in OPTIONS:
        if option.field is not None and option.name in values:
            record, name = option.field.split(".")
            records[record][name] = values[option.name]
    if not {"--derivatives", "--raw-bold", "--run-maps"} & set(values):
        fmriprep = bids_dir / "derivatives" / "fmriprep"
        records["data"]["derivatives"] = (("fmriprep", fmriprep),)
    return Invocation(
        level=level,
        data=_make(DataSelection, records["data"]),
        analysis=_make(AnalysisSettings, records["analysis"]),
        execution=_make(ExecutionSettings, records["execution"]),
        report=_make(ReportSettings, records["report"]),
        given=frozenset({**records["analysis"], **records["report"]}),
        notices=tuple(notices),
    )


def _make(record: Callable[..., T], values: Mapping[str, object]) -> T:
    """Return a record of values whose types the options' conversions warrant."""
    return record(**values)
