"""What the tables of a run mean: confounds and design matrices, missing values included.

What is decided about missing values in these tables is decided here; events have their own module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import cast, get_args

import numpy as np

from bids_fx.dataset.tsv import LazyColumns, Table, read_json, read_table
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.glm.design import Column, Design, Role
from bids_fx.glm.names import DERIVATIVE_ENDINGS, delay_ending
from bids_fx.inputs import ConfoundTable, FloatArray

__all__ = [
    "Table",
    "describes_columns",
    "read_beside",
    "read_confounds",
    "read_design",
    "read_json",
    "read_table",
    "sidecar_of",
]

#: Differences between scans, which the first scan cannot have: no change, 0.
_DERIVATIVES = re.compile(r".+_derivative1(_power2)?")
#: Measures of the change from scan to scan: the first one is taken to be as large as the others.
_CHANGES = re.compile(
    r"framewise_displacement|(std_)?dvars|rmsd"
    r"|FramewiseDisplacement|DVARS|(non-|vx-wise)?stdDVARS"
)

_ROLES: tuple[tuple[Role, re.Pattern[str]], ...] = (
    ("constant", re.compile(r"constant|intercept", re.IGNORECASE)),
    ("drift", re.compile(r"(drift|cosine)_?\d+", re.IGNORECASE)),
    (
        "censored",
        re.compile(
            r"(motion|non_steady_state)_outlier_?\d+|NonSteadyStateOutlier\d+|censored_scan_\d+"
        ),
    ),
    (
        "confound",
        re.compile(
            r"(trans|rot)_[xyz](_derivative1)?(_power2)?"
            r"|(csf|white_matter|csf_wm|global_signal)(_derivative1)?(_power2)?"
            r"|([actw]_comp_cor|edge_comp)_.*|[at]CompCor\d+|[at]compcor"
            r"|aroma_motion_.*|AROMAAggrComp\d+"
            r"|(std_)?dvars|rmsd|framewise_displacement"
            r"|CSF|WhiteMatter|GlobalSignal|FramewiseDisplacement|(non-|vx-wise)?stdDVARS"
            r"|[tr][xyz]|Rot[XYZ]|reg\d+"
        ),
    ),
)
_BASES = tuple((ending, basis) for basis, ending in enumerate(DERIVATIVE_ENDINGS, start=1))
_DELAY = re.compile("(.+)" + delay_ending(r"(\d+)"))


def read_confounds(path: Path, n_scans: int) -> ConfoundTable:
    """Read the confounds of one run.

    Parameters
    ----------
    path : Path
        Table with one row per volume; columns are described in the JSON file beside it, if any.
    n_scans : int
        Number of volumes of the BOLD series.

    Returns
    -------
    ConfoundTable
        Columns that are not numbers are all NaN.

    Raises
    ------
    BIDSFXError
        If the file cannot be read or has another number of rows than `n_scans`.

    Notes
    -----
    Missing values: in the first row, derivatives (``*_derivative1`` and their squares) are 0, and
    measures of change (framewise displacement, DVARS, RMSD) are the mean of the other rows.
    Everything else that is missing or infinite stays NaN, and such a column may not be used.
    """
    table = read_table(path)
    if table.n_rows != n_scans:
        raise BIDSFXError.single(
            str(path),
            f"{table.n_rows} rows, but the BOLD series has {n_scans} volumes",
            "give the confounds of this run, one row per volume",
        )
    values = LazyColumns(table.columns, partial(_confound_column, table))
    filled = {name: how for name in values for how in [_fill_first(name, values)] if how}
    sidecar = sidecar_of(path)
    described = read_beside(sidecar)
    metadata = {
        name: dict(entry)
        for name, entry in described.items()
        if name in values and isinstance(entry, dict)
    }
    return ConfoundTable(path=path, values=values, filled=filled, metadata=metadata)


def read_design(path: Path, sidecar: Path | None = None) -> Design:
    """Read a design matrix made beforehand.

    Parameters
    ----------
    path : Path
        Table with one row per volume and one column per regressor, all of them numbers.
    sidecar : Path or None
        JSON file whose ``Columns`` say what each column is (``Name``, ``Role``, ``Condition``,
        ``Basis``); None means the one beside the table, if any.

    Returns
    -------
    Design
        Values exactly as written.

    Raises
    ------
    BIDSFXError
        If a cell is not a finite number, or the sidecar contradicts the table.

    Notes
    -----
    Without ``Columns`` (nilearn, FitLins) the roles are read off the names: intercept, drift and
    cosines, the confounds that fMRIPrep and nilearn write, ``X_derivative`` and ``X_dispersion``
    of a column ``X``, ``X_delay_N``; everything else is a condition. A column that marks one scan
    and is named as an outlier is censored: the scan is left out of the fit. One that marks
    several is a confound, since a scan each is not what it takes out.
    """
    table = read_table(path)
    names = tuple(table.columns)
    matrix = np.column_stack([table.numbers(name) for name in names])
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise BIDSFXError.single(
            str(path),
            f"column '{names[column]}' holds no finite number in line {table.lines[row]}",
            "fill every cell of the design matrix",
        )
    sidecar = sidecar or sidecar_of(path)
    described = read_beside(sidecar).get("Columns")
    if described is None:
        return Design(matrix=matrix, columns=_guess_columns(names, matrix))
    columns = _described_columns(sidecar, names, described)
    _require_single_scans(sidecar, columns, matrix)
    return Design(matrix=matrix, columns=columns)


def describes_columns(path: Path) -> bool:
    """Tell whether a sidecar beside a design matrix says what its columns are."""
    return "Columns" in read_beside(sidecar_of(path))


def read_beside(sidecar: Path) -> dict[str, object]:
    """Return the object in a sidecar, an empty one where there is none.

    Raises
    ------
    BIDSFXError
        If it is there, be it as a link to nowhere, and cannot be read.
    """
    return read_json(sidecar) if os.path.lexists(sidecar) else {}


def sidecar_of(path: Path) -> Path:
    """Return the path of the JSON file beside a data file.

    Examples
    --------
    >>> sidecar_of(Path("a_events.tsv.gz")).name
    'a_events.json'
    """
    return path.with_name(path.name.partition(".")[0] + ".json")


def _confound_column(table: Table, name: str) -> FloatArray:
    """Return a column as numbers; text and infinite numbers are NaN."""
    try:
        column = table.numbers(name)
    except BIDSFXError:  # a text column is no fault as long as nobody asks for it
        return np.full(table.n_rows, np.nan)
    column[np.isinf(column)] = np.nan
    return column


def _fill_first(name: str, values: Mapping[str, FloatArray]) -> str | None:
    """Fill the first value of a column where it must be missing; return with what, if so."""
    is_derivative = _DERIVATIVES.fullmatch(name) is not None
    if not (is_derivative or _CHANGES.fullmatch(name)):
        return None
    column = values[name]
    if not np.isnan(column[0]) or (not is_derivative and np.isnan(column[1:]).all()):
        return None
    column[0] = 0.0 if is_derivative else np.nanmean(column[1:])
    return "0" if is_derivative else "mean"


def _guess_columns(names: tuple[str, ...], matrix: FloatArray) -> tuple[Column, ...]:
    """Guess from their names what the columns of a design matrix are."""
    delays: dict[str, list[int]] = {}
    for name in names:
        if match := _DELAY.fullmatch(name):
            delays.setdefault(match[1], []).append(int(match[2]))
    return tuple(_guess_column(name, names, delays, matrix[:, i]) for i, name in enumerate(names))


def _guess_column(
    name: str, names: Iterable[str], delays: dict[str, list[int]], values: FloatArray
) -> Column:
    """Guess from its name what one column of a design matrix is."""
    for role, pattern in _ROLES:
        if pattern.fullmatch(name):
            spread = role == "censored" and np.count_nonzero(values) != 1
            return Column(name=name, role="confound" if spread else role)
    for ending, basis in _BASES:
        base = name.removesuffix(ending)
        if base != name and base in names:
            return Column(name=name, role="derivative", condition=_plain(base), basis=basis)
    if match := _DELAY.fullmatch(name):
        basis = sorted(delays[match[1]]).index(int(match[2]))
        return Column(name=name, role="condition", condition=_plain(match[1]), basis=basis)
    return Column(name=name, role="condition", condition=_plain(name), basis=0)


def _plain(name: str) -> str:
    """Return a condition's name without the column that BIDS Stats Models put before it."""
    return name.removeprefix("trial_type.")


def _described_columns(
    sidecar: Path, names: tuple[str, ...], described: object
) -> tuple[Column, ...]:
    """Return the columns as a sidecar describes them."""
    entries = described if isinstance(described, list) else []
    columns = tuple(_described_column(entry) for entry in entries)
    if None in columns or [column.name for column in columns if column] != list(names):
        raise BIDSFXError.single(
            str(sidecar),
            "its 'Columns' are not those of the table beside it, each with Name and Role",
            f"describe the columns {', '.join(names)} in this order, or remove the key",
            ExitCode.BAD_DATA,
        )
    return cast(tuple[Column, ...], columns)


def _require_single_scans(sidecar: Path, columns: tuple[Column, ...], matrix: FloatArray) -> None:
    """Refuse columns that are said to censor a scan but do not leave out exactly one."""
    for column, values in zip(columns, matrix.T, strict=True):
        marked = np.count_nonzero(values)
        if column.role == "censored" and marked != 1:
            raise BIDSFXError.single(
                str(sidecar),
                f"column '{column.name}' has the Role censored, but is not 0 in {marked} scans",
                "give each censored scan a column of its own, or the column the Role confound",
            )


def _described_column(entry: object) -> Column | None:
    """Return a column from its description; None where that is not valid."""
    if not isinstance(entry, dict):
        return None
    name, role = entry.get("Name"), entry.get("Role")
    condition, basis = entry.get("Condition"), entry.get("Basis")
    if not isinstance(name, str) or role not in get_args(Role):
        return None
    if not isinstance(condition, str | None) or not isinstance(basis, int | None):
        return None
    return Column(name=name, role=cast(Role, role), condition=condition, basis=basis)
