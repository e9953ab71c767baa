"""Reading of tab-separated tables and JSON sidecars, tolerant of spelling, strict on content."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from bids_fx.dataset.streams import CHUNK, bad_file, open_stream
from bids_fx.errors import BIDSFXError
from bids_fx.inputs import FloatArray
from bids_fx.json_files import whole

T = TypeVar("T")

#: Spellings of a missing number; BIDS has only ``n/a``, R and pandas write the others.
MISSING_NUMBERS = frozenset({"", "n/a", "N/A", "na", "NA", "nan", "NaN", "NAN"})
#: A table or sidecar that is larger, uncompressed, is refused unread: 10^6 events take 30 MB.
MOST_TEXT_BYTES = 1 << 28
#: Larger numbers count as infinite: no measure is as large, and their squares would overflow.
LARGEST_NUMBER = 1e100
#: So many characters of a text from a file are shown in a message.
_SHOWN = 60
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


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
            NaN where the cell is missing (see `MISSING_NUMBERS`), infinite where a number is
            beyond `LARGEST_NUMBER`.

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
                f"column '{name}' holds {shown(cells[row])!r} in line {self.lines[row]}",
                "write numbers with a decimal point, and n/a where there is none",
            )
        column = np.array(numbers, dtype=np.float64)
        large = np.abs(column) > LARGEST_NUMBER
        column[large] = np.copysign(np.inf, column[large])
        return column


def _number(cell: str) -> float | None:
    """Read a cell as a number; NaN where it is missing, None where it is something else."""
    if cell in MISSING_NUMBERS:
        return np.nan
    try:
        # Python would read 1_000, and the digits of other scripts.
        return float(cell) if cell.isascii() and "_" not in cell else None
    except ValueError:
        return None


def shown(text: str) -> str:
    """Return a text from a file as a message shows it, cut short where it is long."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, which may be compressed.

    Raises
    ------
    BIDSFXError
        If the file is absent, truncated, larger than `MOST_TEXT_BYTES`, or not UTF-8.
    """
    pieces = []
    size = 0
    with open_stream(path) as (stream, _):
        while piece := stream.read(CHUNK):
            size += len(piece)
            if size > MOST_TEXT_BYTES:
                found = f"more than {MOST_TEXT_BYTES >> 20} MiB of text"
                raise bad_file(path, found, "see that it is the file that belongs there")
            pieces.append(piece)
    content = b"".join(pieces)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = " but UTF-16" if content.startswith(_WIDE_MARKS) else f" (byte {error.start})"
        raise bad_file(path, f"not UTF-8 text{kind}", "save it again as UTF-8") from None
    if "\0" in text:
        found = f"not UTF-8 text (byte {content.index(0)} is 0: damaged, or UTF-16)"
        raise bad_file(path, found, "restore it, or save it again as UTF-8")
    return text


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
    lines = [_split_line(path, line, place) for place, line in enumerate(text.split("\n"), 1)]
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
        If the file cannot be read or does not hold one JSON object, or an object in it has a key
        twice.

    Notes
    -----
    NaN and Infinity, which JSON does not have, are read since programs in Python write them; who
    uses a value refuses them. A whole number too large for float64 is infinite.
    """
    text = read_text(path)
    if not text.strip():
        raise bad_file(path, "an empty file", "restore the file")

    def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        if twice:
            found = f"an object with the key {shown(twice[0])!r} more than once"
            raise bad_file(path, found, "keep the one that is right")
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=distinct, parse_int=whole)
    except json.JSONDecodeError as error:
        raise bad_file(path, f"not valid JSON ({error})", "correct the file") from None
    except RecursionError:
        raise bad_file(path, "JSON that is nested too deeply", "correct the file") from None
    if _HALF_CHARACTER.search(text) and not _is_writable(content):
        found = "a text with half of a character (a lone surrogate)"
        raise bad_file(path, found, "write the whole character")
    if not isinstance(content, dict):
        raise bad_file(path, "JSON, but not an object", 'write it as {"key": value, ...}')
    return content


def _is_writable(content: object) -> bool:
    """Tell whether all texts can be written again, as half of a character cannot."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _split_line(path: Path, line: str, number: int) -> list[str]:
    """Split a line at its tabs; quotes are honoured, but never across lines."""
    if '"' not in line:
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter="\t"))
    except csv.Error as error:
        raise bad_file(path, f"line {number} is no row of cells ({error})") from None


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
            path, f"columns of one name: {shown(', '.join(twice))}", "rename or remove the copies"
        )
