"""Ending at Ctrl-C, SIGTERM and SIGHUP, also where a library catches every exception."""

from __future__ import annotations

import _thread
import logging
import os
import select
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
FOR_THE_END_S = 7.5
#: Seconds for its last words, should nobody read them.
_FOR_WORDS_S = 0.5
#: Seconds within which another signal is the same one again: Ctrl-C goes to all processes of a
#: terminal, and what runs a container passes it on.
SAME_S = 1.0


class Interruption:
    """Handles the signals that end the program, and remembers them.

    The first raises SystemExit, so that all that is at work is left in order. A second one, or an
    end that takes too long, ends the program at once: nothing that is published needs that order.
    A thread sees to that, since the main one may wait for ever until what it writes is read.

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
        self._wakeup = self._wakeup_before = -1

    def install(self) -> None:
        """Handle the signals from now on, but for those that the caller wants ignored."""
        numbers, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        # Each signal's number is in it at once; a handler has to wait for the main thread.
        self._wakeup_before = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        _thread.start_new_thread(self._watch, (numbers,))
        for number in _CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Leave the signals to whom they were left before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._wakeup)  # the end of the thread

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Raise SystemExit with the exit code of the first signal."""
        del frame
        if self._code is None:
            self._take_note(_CODES[signal.Signals(number)])
            self._tell()
            self.check()

    def _watch(self, numbers: int) -> None:
        """End the program at a second signal, or when its time after the first is over."""
        since = 0.0
        last = signal.SIGTERM
        poll = select.poll()
        poll.register(numbers, select.POLLIN)
        while poll.poll(max(0, since + FOR_THE_END_S - time.monotonic()) * 1e3 if since else None):
            came = os.read(numbers, 1)
            if not came:
                os.close(numbers)
                return
            if came[0] in _CODES:
                last, now = signal.Signals(came[0]), time.monotonic()
                since = since or self._since or now
                if now - since > SAME_S:
                    break
        self._end_at_once(last)

    def _end_at_once(self, number: signal.Signals) -> None:
        """End the program, whatever it is doing; its processes and locks end with it."""
        # The main thread may not have come to handle it.
        code = self._take_note(_CODES[number]) if self._code is None else self._code
        is_told = threading.Event()

        def tell() -> None:
            with suppress(RuntimeError):
                self._tell()
                log_end(code)
            is_told.set()

        with suppress(RuntimeError):  # no more threads can be made
            # A `Thread` waits for a lock that the main one may hold.
            _thread.start_new_thread(tell, ())
            is_told.wait(_FOR_WORDS_S)
        os._exit(code)

    def _take_note(self, code: int) -> int:
        """Take note of the end and return its code: a signal's, if no thread has asked for it."""
        code = int(code if self._error is None else self._error.exit_code)
        self._code, self._since, self._is_untold = code, time.monotonic(), True
        return code

    def _tell(self) -> None:
        """Say why the program ends, or how to go on, unless that has been said."""
        # A line may be being written just now, and Python refuses another one in the midst of it.
        with suppress(RuntimeError):
            if self._is_untold and self._error is not None:
                log_problems("bids_fx", self._error.problems)
            elif self._is_untold:
                logger.warning(
                    "Ended by a signal; the same command goes on with what is not done yet."
                )
            self._is_untold = False

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
            self._take_note(self._error.exit_code)
            self._tell()
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
