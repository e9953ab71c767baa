"""Ending at Ctrl-C and SIGTERM, also where a library catches every exception."""

from __future__ import annotations

import logging
import signal
from contextlib import suppress
from types import FrameType

from bids_fx.errors import ExitCode

logger = logging.getLogger("bids_fx")

_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interruption:
    """Handles the signals that end the program, and remembers them.

    nipype takes whatever is raised while a node runs in this process for that node's failure,
    the end of the program too; `check` raises it again between two nodes.
    """

    def __init__(self) -> None:
        self._code: ExitCode | None = None

    def install(self) -> None:
        """Handle the signals from now on, but for those that the caller wants ignored."""
        for number in _CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        """Raise SystemExit with the signal's exit code."""
        self._code = _CODES[signal.Signals(number)]
        # A line may be being written just now, and Python refuses another one in the midst of it.
        with suppress(RuntimeError):
            logger.warning(
                "Ended by a signal; the same command goes on with what is not done yet."
            )
        raise SystemExit(int(self._code))

    def check(self) -> None:
        """Raise SystemExit if a signal has come."""
        if self._code is not None:
            raise SystemExit(int(self._code))
