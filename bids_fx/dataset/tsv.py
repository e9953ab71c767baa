"""Reading of tab-separated tables and JSON sidecars, tolerant of spelling, strict on content."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from bids_fx.dataset.streams import bad_file, open_stream
from bids_fx.errors import BIDSFXError
from bids_fx.inputs import FloatArray

T = TypeVar("T")

#: Spellings of a missing number; BIDS has only ``n/a``, R and pandas write the others.
MISSING_NUMBERS = frozenset({"", "n/a", "N/A", "na", "NA", "nan", "NaN", "NAN"})


class LazyColumns(Mapping[str, T]):
    """Columns by name, each made when it is first asked for.

    Confounds tables have hundreds, and few are used.

    Parameters
    ----------
    names : iterable of str
        Of the columns, in the file's order.
    make : callable
        Makes a column from its name.
    """

    def __init__(self, names: Iterable[str], make: Callable[[str], T]) -> None:
        self._names = dict.fromkeys(names)
        self._make = make
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """Return a column."""
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a column; that of other mappings would make it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self._names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as text, column by column.

    Parameters
    ----------
    path : Path
        The file it was read from.
    columns : mapping of str to tuple of str
        Cells of each column without surrounding blanks, in the file's order.
    lines : tuple of int
        Line number in the file of each row, from 1, for messages.
    """

    path: Path
    columns: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]

    @property
    def n_rows(self) -> int:
        """Number of rows below the header."""
        return len(self.lines)

    def numbers(self, name: str) -> FloatArray:
        """Return a column as numbers.

        Parameters
        ----------
        name : str
            One of `columns`.

        Returns
        -------
        ndarray of shape (n_rows,)
            NaN where the cell is missing (see `MISSING_NUMBERS`).

        Raises
        ------
        BIDSFXError
            If a cell holds neither a number nor a missing value.
        """
        cells = self.columns[name]
        numbers = [_number(cell) for cell in cells]
        if None in numbers:
            row = numbers.index(None)
            raise bad_file(
                self.path,
                f"column '{name}' holds {cells[row]!r} in line {self.lines[row]}",
                "write numbers with a decimal point, and n/a where there is none",
            )
        return np.array(numbers, dtype=np.float64)


def _number(cell: str) -> float | None:
    """Read a cell as a number; NaN where it is missing, None where it is something else."""
    if cell in MISSING_NUMBERS:
        return np.nan
    try:
        return None if "_" in cell else float(cell)  # Python would read 1_000
    except ValueError:
        return None


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, which may be compressed.

    Raises
    ------
    BIDSFXError
        If the file is absent, truncated, or not UTF-8.
    """
    with open_stream(path) as (stream, _):
        content = stream.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"not UTF-8 text (byte {error.start})"
        raise bad_file(path, found, "save it again as UTF-8") from None


def read_table(path: Path) -> Table:
    """Read a table of tab-separated values, ``.tsv`` or ``.tsv.gz``.

    Parameters
    ----------
    path : Path
        Table with a header line. A byte-order mark, any kind of line ends, quotes around a cell
        and blank lines are accepted.

    Returns
    -------
    Table
        All cells as text.

    Raises
    ------
    BIDSFXError
        If the file cannot be read, has no header, has a column without a name or two of one
        name, or a row with another number of cells than the header.

    Notes
    -----
    ``pandas.read_csv`` fills the end of a short row without a word and renames the second of two
    columns of one name: a table that was cut off would pass for a whole one.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = [_split_line(line) for line in text.split("\n")]
    while lines and _is_blank(lines[-1]):
        lines.pop()
    if not lines:
        raise bad_file(path, "an empty file", "restore the file")
    header = [cell.strip() for cell in lines[0]]
    _check_header(path, header)
    rows = [
        (number, cells)
        for number, cells in enumerate(lines[1:], start=2)
        if len(header) == 1 or not _is_blank(cells)
    ]
    for number, cells in rows:
        if len(cells) != len(header):
            raise bad_file(
                path,
                f"line {number} has {len(cells)} cells and the header has {len(header)}",
                "separate the cells by single tabs and write n/a into empty ones",
            )
    places = {name: place for place, name in enumerate(header)}

    def cells_of(name: str) -> tuple[str, ...]:
        place = places[name]
        return tuple([cells[place].strip() for _, cells in rows])

    return Table(
        path=path,
        columns=LazyColumns(header, cells_of),
        lines=tuple(number for number, _ in rows),
    )


def read_json(path: Path) -> dict[str, object]:
    """Return the object in a JSON file.

    Raises
    ------
    BIDSFXError
        If the file cannot be read or does not hold one JSON object.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise bad_file(path, f"not valid JSON ({error})", "correct the file") from None
    if not isinstance(content, dict):
        raise bad_file(path, "JSON, but not an object", 'write it as {"key": value, ...}')
    return content


def _split_line(line: str) -> list[str]:
    """Split a line at its tabs; quotes are honoured, but never across lines."""
    return next(csv.reader([line], delimiter="\t")) if '"' in line else line.split("\t")


def _is_blank(cells: Sequence[str]) -> bool:
    """Tell whether a line holds nothing."""
    return len(cells) == 1 and not cells[0].strip()


def _check_header(path: Path, header: list[str]) -> None:
    """Refuse a header with nameless columns or two columns of one name."""
    if "" in header:
        raise BIDSFXError.single(
            str(path),
            f"column {header.index('') + 1} of {len(header)} has no name",
            "name it in the header line or leave the column out",
        )
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise bad_file(
            path, f"columns of one name: {', '.join(twice)}", "rename or remove the copies"
        )
