"""What argparse would misread: arguments rewritten before it sees them, and taken apart after."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bids_fx.cli.table import IMMEDIATE, LEVELS, options_by_name
from bids_fx.errors import ExitCode, Problem, usage_problem
from bids_fx.suggest import did_you_mean

NAMES = ("BIDS_DIR", "OUTPUT_DIR", "LEVEL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """A command line that argparse can read.

    Parameters
    ----------
    options : tuple of str
        Everything before ``--``.
    positionals : tuple of str
        Everything after it, which are positional arguments whatever they look like.
    """

    options: tuple[str, ...]
    positionals: tuple[str, ...] = ()


def rewrite(argv: Sequence[str]) -> Arguments:
    """Spell options as the table does, and join values that argparse would take for options.

    Examples
    --------
    >>> rewrite(["--skip_bids_validation", "--contrast", "-house", "--dry-run", "in"]).options
    ('--skip-bids-validation', '--contrast=-house', '--dry-run=text', 'in')
    """
    tokens = list(argv)
    positionals: list[str] = []
    if "--" in tokens:
        place = tokens.index("--")
        tokens, positionals = tokens[:place], tokens[place + 1 :]
    rewritten: list[str] = []
    while tokens:
        word = _spelled(tokens.pop(0))
        if word == "--dry-run":
            # A bare --dry-run would swallow a positional argument behind it.
            word += f"={tokens.pop(0) if tokens[:1] in (['text'], ['json']) else 'text'}"
        elif word == "--contrast" and tokens and not _is_option(tokens[0]):
            # argparse reads -house as -h, and -2*face as an option that it does not know.
            word += f"={tokens.pop(0)}"
        rewritten.append(word)
    return Arguments(options=tuple(rewritten), positionals=tuple(positionals))


def _spelled(token: str) -> str:
    """Return a token with hyphens in the name of a long option."""
    name, sign, value = token.partition("=")
    hyphened = name.replace("_", "-")
    is_long = name.startswith("--") and _is_name(hyphened)
    return hyphened + sign + value if is_long else token


def _is_option(token: str) -> bool:
    """Tell whether a token is an option, with or without a value."""
    return _is_name(_spelled(token).partition("=")[0])


def _is_name(name: str) -> bool:
    """Tell whether a name is that of an option."""
    return name in options_by_name() or name in IMMEDIATE


def split_extras(
    extras: Sequence[str], others: Sequence[str] = ()
) -> tuple[list[str], list[Problem]]:
    """Take apart what argparse did not take for an option or its value.

    Parameters
    ----------
    extras : sequence of str
        Positional arguments and unknown options, in their order.
    others : sequence of str
        Further options that may have been meant, of a program that takes them out itself.

    Returns
    -------
    positionals : list of str
    problems : list of Problem
        One for each unknown option.
    """
    unknown = [extra for extra in extras if extra.startswith("-") and len(extra) > 1]
    names = [*(name for name in (*options_by_name(), *IMMEDIATE) if name[:2] == "--"), *others]
    problems = []
    for extra in unknown:
        name = "--" + extra.partition("=")[0].lstrip("-").replace("_", "-")
        question = did_you_mean(name, names)
        found = "there is no such option" + (f" ({question})" if question else "")
        problems.append(usage_problem(extra, found, "see bids_fx --help"))
    return [extra for extra in extras if extra not in unknown], problems


def check_positionals(
    positionals: Sequence[str],
    arguments: Arguments,
    *,
    is_certain: bool,
    names: Sequence[str] = NAMES,
) -> list[Problem]:
    """Return what is wrong with the positional arguments.

    Parameters
    ----------
    positionals : sequence of str
        BIDS_DIR, OUTPUT_DIR and LEVEL, as far as they are there.
    arguments : Arguments
        The command line that they are from.
    is_certain : bool
        False where an unknown option may have left its values among them.
    names : sequence of str
        Those that have to be there.
    """
    problems = []
    if len(positionals) < len(names):
        missing = ", ".join(names[len(positionals) :])
        order = f"put {' '.join(names)} first, or -- before them"
        taker, values = _greedy(arguments.options, len(names) - len(positionals))
        if taker is None:
            problems.append(usage_problem("the command line", f"{missing} missing", order))
        else:
            found = f"{missing} missing, and it took {', '.join(values)} as its values"
            problems.append(usage_problem(taker, found, order))
        return problems
    if len(positionals) > len(NAMES) and is_certain:
        more = shlex.join(positionals[len(NAMES) :])
        problems.append(
            usage_problem(more, "stands behind BIDS_DIR OUTPUT_DIR LEVEL", "leave it out")
        )
    if is_certain:
        problems += _check_level(positionals)
    return problems


def _check_level(positionals: Sequence[str]) -> list[Problem]:
    """Refuse a level of analysis that there is not, with the exit code for it."""
    level = positionals[2]
    if level in LEVELS:
        return []
    found = f"there is no level of analysis '{level}'"
    remedy = f"use {' or '.join(LEVELS)}"
    if positionals[0] in LEVELS:
        remedy = "write BIDS_DIR OUTPUT_DIR LEVEL in this order"
    return [
        Problem(where="LEVEL", found=found, remedy=remedy, code=ExitCode.UNKNOWN_LEVEL),
    ]


def _greedy(options: Sequence[str], n_missing: int) -> tuple[str | None, Sequence[str]]:
    """Return the last option that seems to have swallowed the positionals, and its values."""
    runs: list[tuple[str, list[str]]] = []
    for token in options:
        if _is_option(token):
            runs.append((token, []))
        elif runs:
            runs[-1][1].append(token)
    for token, values in reversed(runs):
        option = options_by_name().get(token)
        is_list = option is not None and option.kind == "list"
        if is_list and values and (len(values) > n_missing or values[-1] in LEVELS):
            return token, values
    return None, ()
