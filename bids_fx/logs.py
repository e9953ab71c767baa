"""The log on standard error: plain lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import threading
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from bids_fx.errors import (
    ExitCode,
    Problem,
    problem_list,
    visible,
    visible_json,
    visible_lines,
)

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger("bids_fx")

#: Under this name a record has what its line in JSON has beside the message.
_FIELDS = "bids_fx_fields"


def fields(**values: object) -> dict[str, object]:
    """Return what a line in JSON has beside its message, as `extra` of a logger's methods.

    Examples
    --------
    >>> fields(participant="01", task="fitting task-x")
    {'bids_fx_fields': {'participant': '01', 'task': 'fitting task-x'}}
    """
    return {_FIELDS: values}


def start_logging(verbosity: int, *, as_json: bool) -> None:
    """Send the log, and what libraries log, to standard error.

    Parameters
    ----------
    verbosity : int
        0 tells what is done, 1 and above every detail.
    as_json : bool
        One JSON object a line, also of warnings, of errors that nothing caught and of whatever
        is written to `sys.stderr`.
    """
    handler = _ToStandardError()
    handler.setFormatter(JSONLines() if as_json else PlainLines())
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbosity else logging.INFO)
    # Libraries without this would set up a handler of their own, perhaps to standard output.
    root = logging.getLogger()
    others = [item for item in root.handlers if not isinstance(item, _ToStandardError)]
    root.handlers = [*others, handler]
    if as_json and sys.stderr is not None and not isinstance(sys.stderr, _Lines):
        sys.stderr = _Lines(sys.stderr)
        logging.captureWarnings(capture=True)
        sys.excepthook = _end_by_uncaught
        threading.excepthook = lambda told: _log_uncaught(
            told.exc_type, told.exc_value, told.exc_traceback
        )
        sys.unraisablehook = lambda told: _log_uncaught(
            told.exc_type, told.exc_value, told.exc_traceback
        )


def is_json() -> bool:
    """Tell whether the log is in JSON."""
    return isinstance(sys.stderr, _Lines)


def log_problems(program: str, problems: Sequence[Problem]) -> None:
    """Tell all problems on standard error: as one list or, in JSON, each on its line."""
    if not is_json():
        if problems:
            _write(problem_list(program, problems))
        return
    for problem in problems:
        told = {"where": problem.where, "found": problem.found, "remedy": problem.remedy}
        who = {} if problem.participant is None else {"participant": problem.participant}
        logger.error("%s", problem, extra=fields(**told, code=int(problem.code), **who))


def log_end(code: int) -> None:
    """Log in JSON, as the last line, the exit code and how each participant ended."""
    if is_json():
        sys.stderr.write("\n")  # ends a line that somebody has begun
        states = [one.states for one in logger.handlers if isinstance(one, _ToStandardError)]
        told = fields(exit_code=code, participants=states[0])
        logger.info("ended with exit code %d", code, extra=told)


class PlainLines(logging.Formatter):
    """A record as one line, and the lines of its traceback, none of which steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        time = self.formatTime(record, "%H:%M:%S")
        line = visible(f"{time} {record.levelname} {record.getMessage()}")
        if record.exc_info is None or record.exc_info[0] is None:
            return line
        return f"{line}\n{visible_lines(self.formatException(record.exc_info))}"


class JSONLines(logging.Formatter):
    """A record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.name != logger.name:
            line["logger"] = record.name
        line |= getattr(record, _FIELDS, {})
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return visible_json(json.dumps(line, ensure_ascii=False, default=str))


class _ToStandardError(logging.Handler):
    """Writes to what standard error is when a record comes.

    Attributes
    ----------
    states : dict of str to str
        By participant, how each ended of whom that has been logged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, object] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line, not by way of what makes JSON of lines."""
        if _is_shown(logging.getLogger(record.name)):
            return
        told = getattr(record, _FIELDS, {})
        if "state" in told:
            self.states[told["participant"]] = told["state"]
        self.states |= told.get("states", {})
        _write(self.format(record))


def _is_shown(one: logging.Logger | None) -> bool:
    """Tell whether a library shows itself what a logger of its own gets."""
    while one is not None:
        for handler in one.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                return True
        one = one.parent
    return False


class _Lines(io.TextIOBase):
    """Stands in for `sys.stderr` and logs each line that is written to it."""

    def __init__(self, below: TextIO) -> None:
        super().__init__()
        self.below = below
        self._rest = ""
        self._lock = threading.RLock()  # a signal may come, and be told, while it is held

    def write(self, text: str) -> int:
        """Log the lines that are whole by now."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            logging.getLogger("stderr").warning("%s", line)
        return len(text)

    def fileno(self) -> int:
        """Return the number of standard error itself, for processes that are started."""
        return self.below.fileno()


def _write(text: str) -> None:
    """Write lines to standard error itself; that nobody reads them any more ends nothing."""
    stream = sys.stderr.below if isinstance(sys.stderr, _Lines) else sys.stderr
    with contextlib.suppress(OSError):
        stream.write(f"{text}\n")
        stream.flush()


def _end_by_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Log an error that ends the program, and that end."""
    _log_uncaught(kind, error, trace)
    log_end(ExitCode.FAILED)


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Log an error that nothing caught, with all that is known of it."""
    told = error if error is not None else kind()
    logger.critical("%s: %s", kind.__name__, told, exc_info=(kind, told, trace))
