"""Which confounds enter the model of a run: requests resolved to columns and censored scans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np

from bids_fx import outliers
from bids_fx.errors import ExitCode, Problem
from bids_fx.inputs import ConfoundTable
from bids_fx.records import ConfoundChoice

_COSINE = re.compile(r"cosine_?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfoundStrategy:
    """A named set of confounds.

    Parameters
    ----------
    name : str
        What users write.
    patterns : tuple of tuple of str
        For each thing that is wanted, the shell patterns of its columns; the first pattern that
        matches any column counts, so that older spellings come later.
    required : bool
        Whether a thing without any column is a fault.
    at_most : int or None
        How many columns of each thing are taken, in the order of their numbers; None means all.
    metadata : tuple of (str, object)
        What the sidecar must say of a column; columns that it does not describe are taken.
    masks : tuple of str
        For each thing that is wanted, the mask that the sidecar must name; () means any or none.
    censors : str or None
        Why the scans are censored that the columns mark with 1; None where the columns are
        regressors.
    fd_threshold_mm : float or None
        Scans with a larger framewise displacement are censored too.
    high_pass_s : float or None
        Cut-off of the drift that was taken out before the columns were computed, in seconds.
    description : str
        What it is, for the methods text: a phrase without a full stop.
    references : tuple of str
        Keys in the bibliography.
    """

    name: str
    patterns: tuple[tuple[str, ...], ...]
    required: bool = True
    at_most: int | None = None
    metadata: tuple[tuple[str, object], ...] = ()
    masks: tuple[str, ...] = ()
    censors: str | None = None
    fd_threshold_mm: float | None = None
    high_pass_s: float | None = None
    description: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one request came to: columns, what is missing, faults, and what must be told.

    `fault` is that of a request without any column, which is none if another run has some.
    """

    columns: tuple[str, ...] = ()
    missing: str | None = None
    fault: Problem | None = None
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What the requests came to in one run.

    Parameters
    ----------
    choice : ConfoundChoice
        Columns in the table's order, each once. Columns that mark single scans (motion outliers,
        non-steady states) are not among them: their scans are censored.
    unmet : dict of str to Problem
        The requests without any column, each with the fault that it is where no run has one.
    problems : tuple of Problem
        All else that keeps the requests from being met.
    notices : tuple of str
        What the reader of the report must know.
    """

    choice: ConfoundChoice
    unmet: dict[str, Problem] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()


def resolve_confounds(
    table: ConfoundTable | None,
    requests: tuple[str, ...],
    strategies: Mapping[str, ConfoundStrategy],
    *,
    n_scans: int,
    fd_threshold_mm: float | None,
    dummy_scans: int,
    own_drift: bool,
    high_pass_s: float,
) -> Resolution:
    """Resolve what was asked for to columns of a run's confounds table and censored scans.

    Parameters
    ----------
    table : ConfoundTable or None
        None where the run has no confounds file.
    requests : tuple of str
        Names of `strategies`, or shell patterns of column names.
    strategies : dict of str to ConfoundStrategy
        By name.
    n_scans : int
        Number of volumes of the run.
    fd_threshold_mm : float or None
        Scans with a framewise displacement above this are censored, with or without a strategy
        that censors; it then replaces that strategy's own threshold and columns.
    dummy_scans : int
        Number of scans at the start that are censored; >= 0.
    own_drift : bool
        Whether the model has its own drift terms; the table's cosines are then passed over.
    high_pass_s : float
        Cut-off of the model's own drift in seconds.

    Notes
    -----
    Components that are numbered (aCompCor) may be fewer than asked for, and a pattern may have no
    column in a run: which there are depends on its data. Any other strategy is met as a whole or
    not at all, since its name stands for its columns.
    """
    reasons = {scan: [("dummy scan", "dummy scan")] for scan in range(min(dummy_scans, n_scans))}
    if table is None:
        faults = _without_table(requests, fd_threshold_mm)
        return Resolution(
            choice=ConfoundChoice(censored=outliers.censored(reasons)), problems=faults
        )
    asked = {
        request: _resolve(
            table,
            request,
            strategies,
            # A threshold from the command line replaces whatever else tells motion outliers.
            motion_outliers=fd_threshold_mm is None,
            drift_s=high_pass_s if own_drift else None,
        )
        for request in dict.fromkeys(requests)
    }
    wanted = {name for part in asked.values() for name in part.columns}
    chosen = tuple(name for name in table.values if name in wanted)
    markers = _markers(table, chosen, strategies.values())
    columns = tuple(name for name in chosen if name not in markers)
    threshold = _threshold(fd_threshold_mm, [strategies[r] for r in asked if r in strategies])
    moved, displacement_faults = _displaced(table, threshold)
    for found in (*(outliers.marked(table, name, why) for name, why in markers.items()), moved):
        for scan, reason in found.items():
            reasons.setdefault(scan, []).append(reason)
    choice = ConfoundChoice(
        columns=columns,
        censored=outliers.censored(reasons),
        filled={name: table.filled[name] for name in columns if name in table.filled},
        by_request={request: part.columns for request, part in asked.items()},
        missing={request: part.missing for request, part in asked.items() if part.missing},
        fd_threshold_mm=threshold,
    )
    faults = tuple(problem for part in asked.values() for problem in part.problems)
    return Resolution(
        choice=choice,
        unmet={request: part.fault for request, part in asked.items() if part.fault},
        problems=(*faults, *_gaps(table, chosen), *displacement_faults),
        notices=tuple(text for part in asked.values() for text in part.notices),
    )


def _without_table(
    requests: tuple[str, ...], fd_threshold_mm: float | None
) -> tuple[Problem, ...]:
    """Return the fault of a run without confounds file, if anything was asked for."""
    asked = [f"--confounds {' '.join(requests)}"] if requests else []
    asked += ["--fd-threshold"] if fd_threshold_mm is not None else []
    if not asked:
        return ()
    return (
        Problem(
            where=" ".join(asked),
            found="the run has no confounds file",
            remedy="put a desc-confounds_timeseries.tsv beside the BOLD series, or say "
            "--confounds none",
            code=ExitCode.MISSING_INPUT,
        ),
    )


def _resolve(
    table: ConfoundTable,
    request: str,
    strategies: Mapping[str, ConfoundStrategy],
    *,
    motion_outliers: bool,
    drift_s: float | None,
) -> _Part:
    """Resolve one request; `drift_s` is the cut-off of the model's own drift, if it has one."""
    strategy = strategies.get(request)
    if strategy is None:
        part = _resolve_pattern(table, request, strategies)
        if not part.columns and _may_be_empty(request, strategies, has_drift=drift_s is not None):
            return _Part()
    elif strategy.fd_threshold_mm is not None and not motion_outliers:
        return _Part()
    else:
        part = _resolve_strategy(table, strategy, drift_s)
    return part if drift_s is None else _drop_cosines(table, part)


def _resolve_strategy(
    table: ConfoundTable, strategy: ConfoundStrategy, drift_s: float | None
) -> _Part:
    """Resolve a strategy to the columns that the table has for it."""
    masks = strategy.masks or (None,) * len(strategy.patterns)
    found = {
        alternatives[0]: _first_match(table, alternatives, strategy, mask)
        for alternatives, mask in zip(strategy.patterns, masks, strict=True)
    }
    absent = [name for name, columns in found.items() if not columns]
    notices = []
    fault = None
    if absent and strategy.required:
        fault = _fault(
            table,
            f"no column {', '.join(absent)}, which --confounds {strategy.name} needs",
            "choose other confounds, or give a table that has them",
        )
    missing = [
        f"{len(columns)} of {strategy.at_most} columns {name}"
        for name, columns in found.items()
        if strategy.at_most is not None and len(columns) < strategy.at_most
    ]
    if strategy.high_pass_s not in {None, drift_s} and any(found.values()):
        has = "no drift terms of its own" if drift_s is None else f"a cut-off of {drift_s:g} s"
        notices.append(
            f"{table.path.name}: {strategy.name} was computed after a high-pass of "
            f"{strategy.high_pass_s:g} s, but the model has {has}."
        )
    return _Part(
        columns=tuple(name for columns in found.values() for name in columns),
        missing=", ".join(missing) or None,
        fault=fault if missing and not any(found.values()) else None,
        problems=() if missing or fault is None else (fault,),
        notices=tuple(notices),
    )


def _first_match(
    table: ConfoundTable,
    alternatives: tuple[str, ...],
    strategy: ConfoundStrategy,
    mask: str | None,
) -> list[str]:
    """Return the columns of the first pattern that matches any, sorted and cut to size."""
    for pattern in alternatives:
        names = [
            name
            for name in table.values
            if fnmatchcase(name, pattern)
            and _described_as(table, name, strategy.metadata)
            and (mask is None or table.metadata.get(name, {}).get("Mask") == mask)
        ]
        if names:
            return sorted(names, key=_number)[: strategy.at_most]
    return []


def _described_as(table: ConfoundTable, name: str, metadata: Iterable[tuple[str, object]]) -> bool:
    """Tell whether the sidecar's entry of a column, if any, says what it should."""
    entry = table.metadata.get(name, {})
    return all(entry.get(key, value) == value for key, value in metadata)


def _number(name: str) -> tuple[int, str]:
    """Return a key that sorts numbered columns by their number."""
    digits = re.search(r"\d+$", name)
    return (int(digits[0]) if digits else -1, name)


def _resolve_pattern(
    table: ConfoundTable, pattern: str, strategies: Mapping[str, ConfoundStrategy]
) -> _Part:
    """Resolve a shell pattern to the columns that it matches."""
    columns = tuple(name for name in table.values if fnmatchcase(name, pattern))
    if columns:
        return _Part(columns=columns)
    close = get_close_matches(pattern, [*strategies, *table.values], n=3)
    hint = f"did you mean {' or '.join(close)}" if close else _there(table, strategies)
    found = f"no column matches {pattern!r}, and no strategy has that name"
    return _Part(missing="no column", fault=_fault(table, found, hint))


def _may_be_empty(
    pattern: str, strategies: Mapping[str, ConfoundStrategy], *, has_drift: bool
) -> bool:
    """Tell whether a pattern is of columns that a table may well do without.

    They mark scans, of which there may be none, or are cosines, which are passed over anyway
    where the model has its own drift.
    """
    names = ["cosine00", "cosine_00"] if has_drift else []
    for strategy in strategies.values():
        if not strategy.required:
            patterns = (one for alternatives in strategy.patterns for one in alternatives)
            names += [one.replace("[0-9]*", "00") for one in patterns]
    return any(fnmatchcase(name, pattern) for name in names)


def _there(table: ConfoundTable, strategies: Mapping[str, ConfoundStrategy]) -> str:
    """Say what could be asked for."""
    columns = ", ".join(list(table.values)[:20]) + (", ..." if len(table.values) > 20 else "")
    return f"strategies are {', '.join(strategies)}; columns are {columns}"


def _drop_cosines(table: ConfoundTable, part: _Part) -> _Part:
    """Leave out the table's cosines, for a model that has its own drift terms."""
    cosines = [name for name in part.columns if _COSINE.fullmatch(name)]
    if not cosines:
        return part
    text = (
        f"{table.path.name}: {', '.join(cosines)} left out, since the model has its own drift "
        "terms."
    )
    return replace(
        part,
        columns=tuple(name for name in part.columns if name not in cosines),
        notices=(*part.notices, text),
    )


def _threshold(given: float | None, asked: Iterable[ConfoundStrategy]) -> float | None:
    """Return the threshold of the framewise displacement in mm, if any is to be applied."""
    if given is not None:
        return given
    return min((s.fd_threshold_mm for s in asked if s.fd_threshold_mm is not None), default=None)


def _markers(
    table: ConfoundTable, names: Iterable[str], strategies: Iterable[ConfoundStrategy]
) -> dict[str, str]:
    """Return which columns mark scans to be censored, and why, whoever asked for them."""
    patterns = {
        pattern: strategy.censors
        for strategy in strategies
        if strategy.censors is not None
        for alternatives in strategy.patterns
        for pattern in alternatives
    }
    return {
        name: reason
        for name in names
        for pattern, reason in patterns.items()
        if fnmatchcase(name, pattern) and np.isin(table.values[name], (0, 1)).all()
    }


def _displaced(
    table: ConfoundTable, threshold: float | None
) -> tuple[dict[int, outliers.Reason], tuple[Problem, ...]]:
    """Return the scans with too large a framewise displacement, and why."""
    if threshold is None:
        return {}, ()
    name = outliers.displacement_column(table)
    if name is None:
        found = f"no column {outliers.DISPLACEMENT[0]} to censor scans by"
        return {}, (_fault(table, found, "give one, or do without scrub and --fd-threshold"),)
    return outliers.displaced(table, name, threshold), _gaps(table, (name,))


def _gaps(table: ConfoundTable, names: Iterable[str]) -> tuple[Problem, ...]:
    """Return a fault for each column that has missing values."""
    faults = []
    for name in names:
        scans = np.flatnonzero(np.isnan(table.values[name]))
        if len(scans):
            rows = ", ".join(str(scan + 1) for scan in scans[:5])
            rows += f", ... ({len(scans)} in all)" if len(scans) > 5 else ""
            found = f"column '{name}' has no number in row{'s' * (len(scans) > 1)} {rows}"
            faults.append(_fault(table, found, "fill them in, or do without the column"))
    return tuple(faults)


def _fault(table: ConfoundTable, found: str, remedy: str) -> Problem:
    """Return a problem of the confounds table."""
    return Problem(where=str(table.path), found=found, remedy=remedy)
