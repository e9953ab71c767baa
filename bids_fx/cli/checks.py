"""Options that contradict each other, and folders that must not lie in each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bids_fx.cli.table import OPTIONS
from bids_fx.errors import Problem, usage_problem
from bids_fx.settings import Invocation

_DESIGN = (
    *("--confounds", "--hrf-model", "--high-pass", "--drift-model", "--fd-threshold"),
    *("--dummy-scans", "--slice-time-ref"),
)
_FIT = ("--contrast", *_DESIGN, "--noise-model", "--smoothing-fwhm", "--signal-scaling")
_ELSEWHERE = "choose another folder; BIDS_DIR/derivatives/NAME is possible"
_ONLY = ("--dry-run", "--reports-only", "--boilerplate-only")

#: An option, those that it contradicts, and why.
CONTRADICTIONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "--raw-bold",
        ("--derivatives", "--desc-label"),
        "the raw images are modelled, not preprocessed ones",
    ),
    (
        "--design-dir",
        (*_DESIGN, "--model", "--write-model"),
        "the design matrices that are given are used as they are",
    ),
    (
        "--run-maps",
        (
            *_FIT,
            "--model",
            "--write-model",
            "--design-dir",
            "--derivatives",
            "--raw-bold",
            "--desc-label",
        ),
        "the maps that are given are combined, and no model is fitted",
    ),
    *((one, _ONLY[:place], "each of them does one thing only") for place, one in enumerate(_ONLY)),
    ("--force", _ONLY[1:], "nothing is computed"),
    ("--write-graph", _ONLY, "no workflow is run"),
    ("--write-model", _ONLY, "nothing is analysed"),
)


#: Options that a model file leaves nothing to say, and why.
_WITH_MODEL = {
    "--confounds": "the confounds are those of the model's X and of its Software.bids_fx",
    "--combine-over": "what is combined is what the GroupBy of the model's nodes says",
    "--write-model": "the model is written already",
}


def out_of_place(level: str, given: Mapping[str, str]) -> list[Problem]:
    """Return the options that mean nothing at a level of analysis.

    Parameters
    ----------
    level : str
        The level; at ``participant`` all options have a meaning.
    given : mapping of str to str
        Where each option stands that was given, by its main name.
    """
    if level != "group":
        return []
    foreign = {option.name for option in OPTIONS if not option.at_group}
    found = "it means nothing at the level 'group', which gathers what OUTPUT_DIR holds"
    return [
        usage_problem(where, found, "leave it out")
        for name, where in given.items()
        if name in foreign
    ]


def contradictions(given: Mapping[str, object]) -> list[Problem]:
    """Return the pairs of options that exclude each other.

    Parameters
    ----------
    given : mapping of str to object
        The options that the user gave, by their main names, and their values.
    """
    problems = [
        usage_problem(
            f"{one} and {other}", f"they contradict each other: {reason}", "leave one out"
        )
        for one, others, reason in CONTRADICTIONS
        for other in others
        if one in given and other in given
    ]
    if "--high-pass" in given and given.get("--drift-model", "cosine") != "cosine":
        found = f"the drift model '{given['--drift-model']}' has no cut-off"
        problems.append(usage_problem("--high-pass and --drift-model", found, "leave one out"))
    if "--drop-missing" in given and given.get("--missing", "drop") != "drop":
        found = "they contradict each other"
        problems.append(
            usage_problem("--drop-missing and --missing error", found, "leave one out")
        )
    if isinstance(given.get("--model"), Path):
        problems += [
            usage_problem(
                f"--model and {other}", f"they contradict each other: {reason}", "leave one out"
            )
            for other, reason in _WITH_MODEL.items()
            if other in given
        ]
    if "--run-dof" in given and "--run-maps" not in given:
        found = "degrees of freedom are only taken for maps made beforehand"
        problems.append(usage_problem("--run-dof", found, "give --run-maps too, or leave it out"))
    return problems


def overlaps(invocation: Invocation) -> list[Problem]:
    """Return the folders that would be written where input is, or be emptied with it.

    Notes
    -----
    Symbolic links are resolved first. Folders are the same also where the system says so: a
    container may show one under two names.
    """
    data, execution = invocation.data, invocation.execution
    out, bids = _resolved(execution.out_dir), _resolved(data.bids_dir)
    inputs = {f"--derivatives {name}": _resolved(path) for name, path in data.derivatives}
    given = {"--run-maps": data.run_maps_dir, "--design-dir": data.design_dir}
    tables = {name: _resolved(path) for name, path in given.items() if path is not None}
    problems = _clashes("OUTPUT_DIR", out, bids, inputs)
    problems += [
        usage_problem("OUTPUT_DIR", f"it lies in {name}", _ELSEWHERE)
        for name, path in tables.items()
        if is_within(out, path)
    ]
    if execution.work_dir is not None:
        work = _resolved(execution.work_dir)
        if is_within(out, work):
            problems += _holding("--work-dir", work, {"OUTPUT_DIR": out})
        else:
            problems += _clashes("--work-dir", work, bids, inputs)
            problems += _holding("--work-dir", work, tables)
    if data.database_dir is not None:
        problems += _clashes("--bids-database-dir", _resolved(data.database_dir), bids, inputs)
    return problems


def _clashes(where: str, path: Path, bids: Path, inputs: Mapping[str, Path]) -> list[Problem]:
    """Return the clashes of a folder that is written with those that are only read."""
    if is_within(bids, path):
        others = {name: other for name, other in inputs.items() if not is_within(other, bids)}
        return _holding(where, path, {"BIDS_DIR": bids, **others})
    problems = _holding(where, path, inputs)
    derivatives = _resolved(bids / "derivatives")
    is_beside = is_within(path, derivatives) and not is_within(derivatives, path)
    if is_within(path, bids) and not is_beside:
        found = "it lies in BIDS_DIR, but not in a folder of its derivatives/"
        problems.append(usage_problem(where, found, _ELSEWHERE))
    return problems + [
        usage_problem(where, f"it lies in {name}", _ELSEWHERE)
        for name, other in inputs.items()
        if is_within(path, other) and not is_within(other, path)
    ]


def _holding(where: str, path: Path, inputs: Mapping[str, Path]) -> list[Problem]:
    """Return the inputs that a folder is or holds."""
    return [
        usage_problem(
            where, f"it {'is' if is_within(path, other) else 'holds'} {name}", _ELSEWHERE
        )
        for name, other in inputs.items()
        if is_within(other, path)
    ]


def is_within(inner: Path, outer: Path) -> bool:
    """Tell whether a folder is another, or lies in it; both are resolved.

    Examples
    --------
    >>> is_within(Path("/a/b"), Path("/a")), is_within(Path("/ab"), Path("/a"))
    (True, False)
    """
    return any(_is_same(folder, outer) for folder in (inner, *inner.parents))


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one folder."""
    if one == other:
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False


def _resolved(path: Path) -> Path:
    """Return a path without symbolic links; one that leads nowhere as it is."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()
