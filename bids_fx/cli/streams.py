"""Standard output, which has the results and nothing else, and streams that nobody reads."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from bids_fx.errors import output_error, visible_lines

logger = logging.getLogger("bids_fx")


def open_closed_streams() -> None:
    """Open the standard streams that the caller has closed, to nowhere.

    Else the next files that are opened would get their numbers, and what is printed with them.
    Processes that are started have them too: with standard error closed they would end at once.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


def show_result(path: Path) -> None:
    """Print the path of a result; that it cannot be printed ends no work, and is logged."""
    try:
        _write(f"{path}\n")
    except OSError as error:
        logger.warning("Standard output cannot be written (%s): %s", error.strerror, path)


def show_text(text: str) -> None:
    """Print what was asked for, in which no name of the data steers the terminal.

    Raises
    ------
    BIDSFXError
        With code 74 where it cannot be written; not if its reader wants no more of it.
    """
    try:
        _write(visible_lines(text))
    except OSError as error:
        raise output_error(Path("standard output"), error) from error


def _write(text: str) -> None:
    """Write to standard output at once; to nowhere from then on if that fails."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left in its buffer would be tried again at the end of the program.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise
