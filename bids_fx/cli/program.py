"""The frame of every console script: streams, signals, the log in JSON and the exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.streams import open_closed_streams
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.logs import log_end, log_problems, start_logging

logger = logging.getLogger("bids_fx")


def run_program(
    name: str,
    work: Callable[[list[str], Interruption], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a program.

    It can be ended before all of it is imported: as the first process of a container it would not
    even notice a signal that it does not handle.

    Parameters
    ----------
    name : str
        The program's, for its list of problems.
    work : callable
        Takes the arguments and what tells of signals, and returns the exit code. What is slow to
        import, it imports itself.
    argv : sequence of str or None
        Arguments without the program's name; None means those of this process.

    Returns
    -------
    int
        The exit code, see `bids_fx.errors.ExitCode`.
    """
    open_closed_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if _asks_for_json(words):
        start_logging(0, as_json=True)
    interruption = Interruption()
    interruption.install()
    try:
        return _worked(name, work, words, interruption)
    finally:
        if argv is None:
            _flush()
        else:
            interruption.uninstall()


def _worked(
    name: str,
    work: Callable[[list[str], Interruption], int],
    words: list[str],
    interruption: Interruption,
) -> int:
    """Do the work, log how it ended and return the exit code."""
    try:
        code = int(work(words, interruption))
    except BIDSFXError as error:
        log_problems(name, error.problems)
        code = int(error.exit_code)
    except SystemExit as ended:
        log_end(interruption.ended(int(ended.code or 0)))
        raise
    except Exception as error:
        if not interruption.has_come:
            raise
        # On a terminal that was closed even the end of its display fails.
        logger.warning("While ending: %s: %s", type(error).__name__, error)
        code = int(ExitCode.FAILED)
    # What caught the end that a signal raised may have gone on to another one.
    code = interruption.ended(code)
    log_end(code)
    return code


def _flush() -> None:
    """Write what a signal has kept from being written.

    Else the interpreter does, after all threads: nothing could end it if nobody reads it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody can read it any more
            stream.flush()


def _asks_for_json(words: Sequence[str]) -> bool:
    """Tell whether the words ask for the log in JSON, before they are parsed.

    Examples
    --------
    >>> _asks_for_json(["in", "out", "--log_json"]), _asks_for_json(["--", "--log-json"])
    (True, False)
    """
    options = takewhile(lambda word: word != "--", words)
    return "--log-json" in (word.replace("_", "-") for word in options)
