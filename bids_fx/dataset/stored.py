"""A matrix that is kept on disk, for runs that do not fit in memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_fx.errors import output_error

FloatMatrix = npt.NDArray[np.float32]


class StoredMatrix:
    """A float32 matrix in a file without a name, which vanishes with the process.

    Rows are written and read one at a time with ``matrix[i]``; columns are read with
    ``matrix[:, columns]``. Pages of a memory map would count as memory of the process, so that
    the file is read and written instead.

    Parameters
    ----------
    folder : Path
        Where the file is; it needs room for 4 bytes per element.
    shape : tuple of int
        Rows and columns.

    Raises
    ------
    BIDSFXError
        With code 73 where the file cannot be created, 74 where it cannot be written.
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._folder = folder
        self._row_bytes = shape[1] * np.dtype(np.float32).itemsize
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - it lives as long as the matrix
                dir=folder, buffering=0
            )
        except OSError as error:
            raise output_error(folder, error) from error
        # Closed with the matrix: a file that is only dropped would warn.
        weakref.finalize(self, self._file.close)

    def __setitem__(self, row: int, values: npt.NDArray[np.floating]) -> None:
        """Write a row."""
        left = np.ascontiguousarray(values, dtype=np.float32).data.cast("B")
        place = row * self._row_bytes
        try:
            while left:
                written = os.pwrite(self._file.fileno(), left, place)
                left, place = left[written:], place + written
        except OSError as error:
            raise output_error(self._folder, error) from error

    def __getitem__(self, key: int | tuple[slice, slice | npt.NDArray[np.intp]]) -> FloatMatrix:
        """Read a row, or all rows of some columns: a slice or increasing indices."""
        if isinstance(key, int):
            return self._read(key, 0, self.shape[1])
        rows, columns = key
        if rows != slice(None):
            raise IndexError("columns are read of all rows")
        if isinstance(columns, slice):
            start, stop, step = columns.indices(self.shape[1])
            if step != 1:
                raise IndexError("columns of a slice are next to each other")
            picked: slice | npt.NDArray[np.intp] = slice(None)
        else:
            start, stop = int(columns[0]), int(columns[-1]) + 1
            picked = columns - start
        return np.stack([self._read(row, start, stop)[picked] for row in range(self.shape[0])])

    def _read(self, row: int, start: int, stop: int) -> FloatMatrix:
        values = np.empty(max(0, stop - start), dtype=np.float32)
        left = values.data.cast("B")
        place = row * self._row_bytes + start * values.itemsize
        try:
            while left:
                read = os.preadv(self._file.fileno(), [left], place)
                if not read:
                    raise EOFError(f"the file ends before row {row} does")
                left, place = left[read:], place + read
        except OSError as error:
            raise output_error(self._folder, error) from error
        return values
