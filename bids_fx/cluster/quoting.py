"""Texts in the form that scripts for the shell, and directives for schedulers, take them in."""

from __future__ import annotations

import re
from shlex import quote

#: ``$NAME`` or ``${NAME}``.
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def with_variables(text: str) -> str:
    r"""Return a text for the shell that fills variables in, and nothing else.

    A variable that is not set ends the script with its name.

    Examples
    --------
    >>> with_variables("/scratch/$USER/my jobs"), with_variables("/tmp/$(id)")
    ('/scratch/"${USER:?USER is not set}"\'/my jobs\'', "'/tmp/$(id)'")
    """
    words = []
    end = 0
    for found in _VARIABLE.finditer(text):
        name = found[1] or found[2]
        words += [quote(text[end : found.start()])] if found.start() > end else []
        words.append(f'"${{{name}:?{name} is not set}}"')
        end = found.end()
    return "".join([*words, quote(text[end:])] if text[end:] or not words else words)


def slurm_file(folder: str, name: str) -> str:
    """Return a file as a directive of Slurm takes it.

    Parameters
    ----------
    folder : str
        In which per cent signs are meant as they are; without backslashes: Slurm would
        fill in nothing.
    name : str
        In which they stand for what Slurm fills in.

    Examples
    --------
    >>> slurm_file("/my 5%", "%A_%a.log")
    '"/my 5%%/%A_%a.log"'
    """
    path = f"{folder.replace('%', '%%')}/{name}"
    return '"' + path.replace('"', '\\"') + '"'


def words(arguments: list[str]) -> str:
    """Return arguments as words for the shell, one line for those that fit on it.

    Examples
    --------
    >>> print(words(["bids_fx", "--derivatives", "my data"]))
    bids_fx --derivatives 'my data'
    """
    return " ".join(map(quote, arguments))
