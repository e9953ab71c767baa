"""Ending at Ctrl-C, SIGTERM and SIGHUP, also where a library catches every exception."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.logs import log_end, log_problems

logger = logging.getLogger("bids_fx")

_CODES = {
    signal.SIGHUP: ExitCode.HUNG_UP,
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}

#: Seconds that the program has for its end; `docker stop` kills after 10.
_FOR_THE_END_S = 8
#: Seconds within which another signal is the same one again: Ctrl-C goes to all processes of a
#: terminal, and what runs a container passes it on.
_SAME_S = 1.0


class Interruption:
    """Handles the signals that end the program, and remembers them.

    The first raises SystemExit, so that all that is at work is left in order. A second one, or an
    end that takes too long, ends the program at once: nothing that is published needs that order.

    nipype takes whatever is raised while a node runs in this process for that node's failure,
    the end of the program too; `check` raises it again between two nodes.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        self._error: BIDSFXError | None = None
        self._thread = threading.get_ident()
        self._since = 0.0
        self._is_untold = False
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Handle the signals from now on, but for those that the caller wants ignored."""
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._end_at_once)
        for number in _CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Leave the signals to whom they were left before."""
        signal.alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Raise SystemExit with the signal's exit code, or end at once if one came before."""
        is_first = self._code is None
        if not is_first and time.monotonic() - self._since > _SAME_S:
            self._end_at_once(number, frame)
        # A process that is stopped, or a file system that does not answer, keeps nobody waiting.
        signal.alarm(_FOR_THE_END_S)
        if not is_first:
            return
        if self._error is None:
            self._code, self._since = int(_CODES[signal.Signals(number)]), time.monotonic()
            self._is_untold = True
            self._tell()
        self.check()

    def _tell(self) -> None:
        """Say how to go on, unless that has been said."""
        # A line may be being written just now, and Python refuses another one in the midst of it.
        with suppress(RuntimeError):
            if self._is_untold:
                logger.warning(
                    "Ended by a signal; the same command goes on with what is not done yet."
                )
            self._is_untold = False

    def _end_at_once(self, _: int, frame: FrameType | None) -> None:
        """End the program, whatever it is doing; its processes and locks end with it."""
        del frame
        with suppress(RuntimeError):
            self._tell()
            log_end(self.ended(ExitCode.FAILED))
        os._exit(self.ended(ExitCode.FAILED))

    @property
    def has_come(self) -> bool:
        """Whether a signal has come that ends the program."""
        return self._code is not None

    def end(self, error: BIDSFXError) -> None:
        """End the program from another thread, whatever its main one is doing.

        Parameters
        ----------
        error : BIDSFXError
            Why it ends.
        """
        self._error = error
        # A signal that the caller wants ignored ends nothing; `check` does, or the next write.
        signal.pthread_kill(self._thread, signal.SIGTERM)

    def check(self) -> None:
        """Raise SystemExit if a signal has come, or another thread has asked for it."""
        if self._code is None and self._error is not None:
            self._code, self._since = int(self._error.exit_code), time.monotonic()
            with suppress(RuntimeError):  # as in `_tell`
                log_problems("bids_fx", self._error.problems)
        if self._code is not None:
            raise SystemExit(self._code)

    def ended(self, code: int) -> int:
        """Take note that the work has ended.

        Parameters
        ----------
        code : int
            The exit code of the work.

        Returns
        -------
        int
            The exit code of the program: that of the signal, if one has come. It holds from now
            on: a signal ends what is left, and changes nothing.
        """
        if self._code is None:
            self._code, self._since = int(code), time.monotonic()
        self._tell()
        return self._code
