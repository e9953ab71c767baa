"""The files that hold options: presets in TOML, and fMRIPrep's filter file in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bids_fx.cli.options import Option
from bids_fx.cli.table import OPTIONS
from bids_fx.errors import ExitCode, Notice, Problem, usage_problem
from bids_fx.json_files import parse_json
from bids_fx.suggest import did_you_mean

#: What the filter file says of other inputs of preprocessing, in fMRIPrep and its relatives.
OTHER_FILTERS = ("t1w", "t2w", "flair", "sbref", "fmap", "roi", "xfm", "asl", "dwi", "pet")
#: Options that make no sense in a file of presets.
NOT_PRESET = ("--config-file",)

T = TypeVar("T")


def read_presets(path: Path) -> tuple[dict[str, object], list[Problem]]:
    """Read a file of presets.

    Parameters
    ----------
    path : Path
        TOML: a table of options by their long names, without their hyphens in front.

    Returns
    -------
    presets : dict of str to object
        By the options' main names: text, a list of texts, True, or a count, as the command line
        would give them.
    problems : list of Problem
        Keys and values that are not understood.
    """
    content, problems = _load(path, "TOML", _parse_toml)
    known = {
        name.lstrip("-"): option
        for option in OPTIONS
        for name in option.names
        if name.startswith("--") and name not in NOT_PRESET
    }
    presets: dict[str, object] = {}
    for key, value in content.items() if isinstance(content, dict) else ():
        option = known.get(key.replace("_", "-"))
        where = f"{path.name}: {key}"
        if option is None:
            question = did_you_mean(key.replace("_", "-"), known)
            found = "there is no such option" + (f" ({question})" if question else "")
            problems.append(usage_problem(where, found, "use the long names of options"))
        elif option.name in presets:
            problems.append(usage_problem(where, f"it repeats '{option.key}'", "keep one of them"))
        else:
            try:
                presets[option.name] = _as_given(option, value)
            except TypeError as error:
                problems.append(
                    usage_problem(where, f"{value!r} is not possible", f"give {error}")
                )
    # A flag that is false is a flag that was not given.
    return {name: value for name, value in presets.items() if value is not False}, problems


def _parse_toml(text: str) -> object:
    """Return what TOML holds; raise ValueError for a number too long to be written again."""
    import tomllib

    content = tomllib.loads(text)
    str(content)
    return content


def _as_given(option: Option, value: object) -> object:
    """Return a value as the command line would give it; raise TypeError with what is expected."""
    if option.kind == "flag":
        return _of_type(value, bool, "true or false")
    if option.kind == "count":
        return _of_type(value, int, "a whole number")
    if option.kind == "maybe" and isinstance(value, bool):
        return option.choices[0] if value else False
    if option.takes_many:
        values = value if isinstance(value, list) else [value]
        return [_text(item, "a list of texts or numbers") for item in values]
    return _text(value, "a text or a number")


def _of_type(value: object, kind: type[T], expected: str) -> T:
    """Return a value of a type; a truth value is no number."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(expected)
    return value


def _text(value: object, expected: str) -> str:
    """Return a text or number as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(expected)
    return str(value)


def read_filters(path: Path) -> tuple[dict[str, object], list[Notice], list[Problem]]:
    """Read a filter file.

    Parameters
    ----------
    path : Path
        JSON: entities and what they must be, by kinds of images; ``bold`` is used.

    Returns
    -------
    filters : dict of str to object
        The entry of ``bold``.
    notices : list of Notice
        What was passed over.
    problems : list of Problem
        Keys and values that are not understood.
    """
    where = f"--bids-filter-file {path.name}"
    content, problems = _load(path, "JSON", parse_json)
    if problems:
        return {}, [], problems
    if not isinstance(content, dict) or not isinstance(content.get("bold", {}), dict):
        found = "it holds no entities by kinds of images"
        return {}, [], [usage_problem(where, found, 'write {"bold": {"task": "rest"}}')]
    for key in content:
        if key not in ("bold", *OTHER_FILTERS):
            question = did_you_mean(key, ("bold", *OTHER_FILTERS))
            found = f"there is no kind of images '{key}'" + (f" ({question})" if question else "")
            problems.append(usage_problem(where, found, "only the filters of 'bold' are used"))
    bold = content.get("bold", {})
    if bold:
        from bids_fx.dataset.selection import check_filters

        problems += [replace(problem, where=where) for problem in check_filters(bold)]
    for key, value in bold.items() if not problems else ():
        if not all(_is_label(item) for item in (value if isinstance(value, list) else [value])):
            found = f"'{key}' is {json.dumps(value)}"
            problems.append(
                usage_problem(where, found, 'give a label, a list of labels, null or "*"')
            )
    passed = [key for key in content if key in OTHER_FILTERS]
    notices = []
    if passed:
        text = f"{path.name}: its filters of {', '.join(passed)} are not for this program."
        notices.append(Notice(text=text, warning=False))
    return bold, notices, problems


def _is_label(value: object) -> bool:
    """Tell whether a value of the filter file can be a label, or says that there is none."""
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _load(path: Path, form: str, loads: Callable[[str], object]) -> tuple[object, list[Problem]]:
    """Return what a file of options holds, or why it cannot be read."""
    try:
        return loads(path.read_text(encoding="utf-8-sig")), []
    except OSError as error:
        problem = Problem(
            where=str(path),
            found=f"it cannot be read ({error.strerror})",
            remedy="give a file that is there",
            code=ExitCode.MISSING_INPUT,
        )
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        problem = usage_problem(str(path), f"it is no {form} ({reason})", "mend the file")
    return None, [problem]
