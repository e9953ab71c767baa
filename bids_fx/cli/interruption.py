"""Ending at Ctrl-C and SIGTERM, also where a library catches every exception."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import suppress
from types import FrameType

from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.logs import log_problems

logger = logging.getLogger("bids_fx")

_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interruption:
    """Handles the signals that end the program, and remembers them.

    nipype takes whatever is raised while a node runs in this process for that node's failure,
    the end of the program too; `check` raises it again between two nodes.
    """

    def __init__(self) -> None:
        self._code: ExitCode | None = None
        self._error: BIDSFXError | None = None
        self._thread = threading.get_ident()

    def install(self) -> None:
        """Handle the signals from now on, but for those that the caller wants ignored."""
        for number in _CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        """Raise SystemExit with the signal's exit code, or that of what another thread found."""
        if self._error is not None:
            error, self._error = self._error, None
            log_problems("bids_fx", error.problems)
            raise SystemExit(int(error.exit_code))
        self._code = _CODES[signal.Signals(number)]
        # A line may be being written just now, and Python refuses another one in the midst of it.
        with suppress(RuntimeError):
            logger.warning(
                "Ended by a signal; the same command goes on with what is not done yet."
            )
        raise SystemExit(int(self._code))

    def end(self, error: BIDSFXError) -> None:
        """End the program from another thread, whatever its main one is doing.

        Parameters
        ----------
        error : BIDSFXError
            Why it ends.
        """
        self._code, self._error = error.exit_code, error
        # A signal that the caller wants ignored ends nothing; `check` does, or the next write.
        signal.pthread_kill(self._thread, signal.SIGTERM)

    def check(self) -> None:
        """Raise SystemExit if the program is to end."""
        if self._code is not None:
            raise SystemExit(int(self._code))
