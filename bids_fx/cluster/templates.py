"""The templates of scripts, which a site can override, and how they are filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.suggest import did_you_mean

#: The folder with a site's templates.
VARIABLE = "BIDS_FX_TEMPLATES"
SCHEDULERS = ("slurm", "pbs", "sge", "lsf")
OPTIONS = "OPTIONS"

_OWN = Path(__file__).parent.parent / "data" / "cluster"
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")


def find_template(name: str, folder: Path | None) -> Path:
    """Return a template: the site's, if its folder has one of that name, or our own."""
    sites = folder / name if folder is not None else None
    return sites if sites is not None and sites.is_file() else _OWN / name


def fill(path: Path, values: Mapping[str, str], options: Sequence[str] = ()) -> str:
    """Fill a template in.

    Parameters
    ----------
    path : Path
        The template.
    values : mapping of str to str
        What stands for each placeholder, in the form that its place needs.
    options : sequence of str
        A line with ``@OPTIONS@`` is there once for each.

    Raises
    ------
    BIDSFXError
        If it cannot be read, or has placeholders that there are not.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        found, remedy = f"it cannot be read ({error})", "give a text file that is there"
        raise BIDSFXError.single(str(path), found, remedy, ExitCode.MISSING_INPUT) from error
    known = (*values, OPTIONS)
    unknown = {name for line in lines for name in _PLACEHOLDER.findall(line)} - set(known)
    if unknown:
        name = min(unknown)
        question = did_you_mean(name, known)
        found = f"there is no placeholder @{name}@" + (f" ({question})" if question else "")
        remedy = f"use those that there are: {', '.join(f'@{one}@' for one in known)}"
        raise BIDSFXError.single(str(path), found, remedy, ExitCode.USAGE)
    filled = []
    for line in lines:
        is_option = f"@{OPTIONS}@" in line
        filled += [
            _filled(line, {**values, OPTIONS: option})
            for option in (options if is_option else ("",))
        ]
    return "\n".join(line.rstrip() for line in filled) + "\n"


def _filled(line: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], line)


def write_templates(folder: Path) -> list[Path]:
    """Copy the templates into a folder that holds none of them; return what was written.

    Raises
    ------
    BIDSFXError
        If one is there already, or the folder cannot be written.
    """
    from bids_fx.derivatives.write import write_text

    names = ["README", *(f"{one}-{kind}.sh" for one in SCHEDULERS for kind in ("array", "group"))]
    there = [name for name in names if (folder / name).exists()]
    if there:
        found = f"it holds {', '.join(there)} already"
        raise BIDSFXError.single(
            str(folder), found, "name another folder, or move them away", ExitCode.CANNOT_CREATE
        )
    for name in names:
        write_text(folder / name, (_OWN / name).read_text(encoding="utf-8"))
    return [folder / name for name in names]
