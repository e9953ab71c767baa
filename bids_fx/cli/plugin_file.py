"""The file of ``--use-plugin``: a nipype plugin and its arguments, checked."""

from __future__ import annotations

import logging
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bids_fx.errors import BIDSFXError, ExitCode, Problem, usage_problem
from bids_fx.suggest import did_you_mean, listed
from bids_fx.workflows.plugins import ARGUMENTS, SCHEDULERS, SETTLED, PluginChoice

logger = logging.getLogger("bids_fx")

_INSTEAD = "or let bids_fx-cluster write one job per participant"
#: nipype's plugins that cannot be used: why, and what to do instead.
REFUSED = {
    **{
        f"{name}Graph": (
            "it submits all nodes at once and never learns how they end",
            f"write 'plugin: {name}', {_INSTEAD}",
        )
        for name in ("SLURM", "SGE", "PBS")
    },
    **{
        name: (
            "nothing guards its jobs against getting lost",
            f"use one of {listed(list(ARGUMENTS))}, {_INSTEAD}",
        )
        for name in ("Condor", "CondorDAGMan", "OAR", "IPython", "SomaFlow")
    },
    "Debug": ("it runs no nodes", "leave --use-plugin out"),
}
_TYPES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def read_plugin(path: Path) -> PluginChoice:
    """Read a plugin file.

    Parameters
    ----------
    path : Path
        YAML with ``plugin`` and, perhaps, ``plugin_args``.

    Returns
    -------
    PluginChoice
        Without arguments that have no meaning here; the log tells them.

    Raises
    ------
    BIDSFXError
        If the file cannot be read, or with all that is wrong in it.
    """
    values = _read_yaml(path)
    if not isinstance(values, dict) or not isinstance(values.get("plugin"), str):
        raise BIDSFXError(
            [usage_problem(str(path), "names no nipype plugin", "write 'plugin: NAME'")]
        )
    name, given = values["plugin"], values.get("plugin_args") or {}
    problems = [
        usage_problem(
            f"{path}: {key}", "is not known", "leave it out, or move it to 'plugin_args:'"
        )
        for key in values
        if key not in ("plugin", "plugin_args")
    ]
    problems += _name_problems(path, name)
    if not isinstance(given, dict):
        problems.append(
            usage_problem(f"{path}: plugin_args", "is no table", "write 'NAME: VALUE' lines")
        )
    elif name in ARGUMENTS:
        problems += _argument_problems(path, name, given)
    if problems:
        raise BIDSFXError(problems)
    moot = [key for key in given if key not in ARGUMENTS[name]]
    if moot:
        logger.warning(
            "%s: not needed, since each node has its own process: %s", path, listed(moot)
        )
    return PluginChoice(name=name, arguments={key: given[key] for key in given if key not in moot})


def _read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Raises
    ------
    BIDSFXError
        If there is no such file, or no YAML in it.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text("utf-8-sig"))
    except OSError as error:
        raise BIDSFXError.single(
            str(path), f"cannot be read ({error})", "give a YAML file", ExitCode.MISSING_INPUT
        ) from error
    except RecursionError:
        raise BIDSFXError(
            [usage_problem(str(path), "is nested too deeply", "write 'plugin: NAME'")]
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            mark = error.problem_mark
            reason = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
        raise BIDSFXError(
            [usage_problem(str(path), f"is not YAML ({reason})", "mend it")]
        ) from error


def _name_problems(path: Path, name: str) -> Iterator[Problem]:
    """Find out whether a plugin can be used here."""
    where = f"{path}: plugin"
    if name in REFUSED:
        why, remedy = REFUSED[name]
        yield usage_problem(where, f"'{name}' cannot be used: {why}", remedy)
    elif name not in ARGUMENTS:
        hint = did_you_mean(name, ARGUMENTS)
        known = listed(list(ARGUMENTS))
        yield usage_problem(
            where, f"nipype has no plugin '{name}'", hint or f"write one of {known}"
        )
    elif name in SCHEDULERS and shutil.which(SCHEDULERS[name].submit) is None:
        program = SCHEDULERS[name].submit
        yield usage_problem(
            where,
            f"'{name}' starts jobs by {program}, which is not here",
            f"run where {program} is, {_INSTEAD}: containers have no schedulers",
        )


def _argument_problems(path: Path, name: str, given: Mapping[Any, Any]) -> Iterator[Problem]:
    """Find arguments that a plugin does not have, or that are not what they should be."""
    known = ARGUMENTS[name]
    may_be_moot = name not in SCHEDULERS
    for key, value in given.items():
        where = f"{path}: plugin_args: {key}"
        if key not in known:
            if not (may_be_moot and key in SETTLED):
                hint = did_you_mean(str(key), known) or f"{name} has {listed(list(known))}"
                yield usage_problem(where, f"is no argument of {name}", hint)
        elif problem := _value_problem(value, known[key]):
            # An alias of aliases may stand for more than memory holds of it as text.
            is_long = isinstance(value, list | dict | set | tuple)
            found = "holds several values" if is_long else f"is '{value}'"
            yield usage_problem(where, found, f"write {problem}")
        elif key == "template":
            yield from _template_problems(where, value)
        elif isinstance(value, str) and key.endswith("_args"):
            yield from _quoting_problems(where, value)


def _value_problem(value: object, types: type | tuple[type, ...]) -> str:
    """Return what a value should be, or nothing where it is."""
    kinds = types if isinstance(types, tuple) else (types,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return _TYPES[kinds[-1]]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not value > 0:
        return "a number above 0"
    return ""


def _template_problems(where: str, value: str) -> Iterator[Problem]:
    """Find a template that was meant to be a file which is not there."""
    if not (Path(value).is_file() or "\n" in value.strip() or value.lstrip().startswith("#")):
        yield Problem(
            where=where,
            found=f"'{value}' is neither a file nor the text of a script",
            remedy="give the path of a script without the command, or its text",
            code=ExitCode.MISSING_INPUT,
        )


def _quoting_problems(where: str, value: str) -> Iterator[Problem]:
    """Find options that cannot be taken apart."""
    try:
        shlex.split(value)
    except ValueError as error:
        yield usage_problem(where, f"{value!r} cannot be read ({error})", "close what is quoted")
