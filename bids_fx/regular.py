"""Reading of files, whatever stands in their place by now."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

#: More than any text of ours has, and more than any image: a file of holes can be larger than
#: the memory.
MOST_BYTES, MOST_OF_IMAGE = 1 << 28, 1 << 32

#: What is no file with an end, by its type (`stat.S_IFMT`).
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class IrregularError(OSError):
    """What stands in place of a file is none with an end."""


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading, if it is one with an end: a pipe would be waited for.

    Raises
    ------
    IrregularError
        If it is a folder, a pipe, a socket or a device.
    OSError
        If it cannot be opened.
    """
    _refuse_irregular(path, path.stat())  # a device is not so much as opened
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _refuse_irregular(path, os.fstat(descriptor))  # it may be another by now
        return io.FileIO(descriptor)
    except OSError:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file.

    Raises
    ------
    OSError
        As `open_regular` does, and for one of more than `most` bytes.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(f"more than {most >> 20} MiB, far too much for {path.name}")
        return file.readall()


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises
    ------
    OSError
        As `read_bytes` does.
    ValueError
        If it is no UTF-8.
    """
    return read_bytes(path).decode()


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    """Raise IrregularError for what is no file with an end."""
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        what = _KINDS.get(kind, "something else")
        raise IrregularError(f"{what} in place of a file")
