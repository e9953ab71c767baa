"""Calls of the program in processes of their own, which import it once for all of them.

A program: ``python -m tests.calls_at_once FOLDER`` with a list of `CallOfProcess` as JSON.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TypedDict

#: Seconds after which a call counts as hanging.
PATIENCE = 240
#: As in `tests.lock_user`.
STALE_S = 3.0


class CallOfProcess(TypedDict, total=False):
    """One call: its words, and what is odd about its process."""

    argv: list[str]
    #: Has no flock, as some file systems have none.
    no_flock: bool
    #: Stops itself as soon as it has said that it works on a participant.
    stops: bool


class Started:
    """Calls that run at once.

    Attributes
    ----------
    pids : list of int
        Their processes.
    """

    def __init__(self, folder: Path, calls: Sequence[CallOfProcess]) -> None:
        self._folder = folder
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.calls_at_once", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(calls))
        self._process.stdin.close()
        self._process.stdin = None
        self.pids: list[int] = json.loads(self._process.stdout.readline())

    def run(self) -> bool:
        """Tell whether any of them still runs."""
        return self._process.poll() is None

    def log(self, number: int) -> str:
        """Return what a call has logged by now."""
        return (self._folder / f"{number}.log").read_text()

    def codes(self) -> list[int]:
        """Wait for their ends; return their exit codes, of signals as a shell does."""
        assert self._process.stdout is not None
        codes: list[int] = json.loads(self._process.stdout.readline())
        self._process.wait(PATIENCE)
        return codes

    def is_stopped(self, number: int) -> bool:
        """Tell whether a call has stopped itself."""
        return _stat(self.pids[number])[0] == "T"

    def end(self) -> None:
        """Kill those that still run."""
        for pid in self.pids:
            with suppress(OSError):
                if _stat(pid)[1] == str(self._process.pid):  # else the number is another's by now
                    os.kill(pid, signal.SIGKILL)
        self._process.communicate(timeout=PATIENCE)


def _stat(pid: int) -> list[str]:
    """Return the state of a process, and its parent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]


@contextmanager
def at_once(folder: Path, calls: Sequence[CallOfProcess]) -> Iterator[Started]:
    """Make calls at once; none of them outlives the use.

    Parameters
    ----------
    folder : Path
        For their logs; a new one.
    calls : sequence of CallOfProcess
        The calls.
    """
    started = Started(folder, calls)
    try:
        yield started
    finally:
        started.end()


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {what}"
        time.sleep(0.02)


def _refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _call(call: CallOfProcess, log: Path) -> int:
    """Make one call in this process."""
    import fcntl

    from bids_fx.cli import session
    from bids_fx.cli.run import main

    if call.get("no_flock"):
        fcntl.flock = _refuse
    if call.get("stops"):
        write_state = session.write_state

        def and_stop(*arguments: object) -> None:
            write_state(*arguments)
            os.kill(os.getpid(), signal.SIGSTOP)

        session.write_state = and_stop
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
    os.dup2(2, 1)
    logging.raiseExceptions = False
    try:
        return main(call["argv"])
    except SystemExit as end:
        return int(end.code or 0)


def _make_calls(folder: Path, calls: Sequence[CallOfProcess]) -> None:
    for module in ("cli.run", "cli.session", "cli.group_level", "workflows.processes"):
        import_module(f"bids_fx.{module}")
    from bids_fx.derivatives import claims, locks

    claims.STALE_S, locks.BEAT_S = STALE_S, 0.1
    locks.TOLD_AFTER_S, locks.TOLD_AGAIN_S = 0.1, 0.1
    pids = []
    for number, call in enumerate(calls):
        (folder / f"{number}.log").touch()
        pid = os.fork()
        if not pid:
            code = 99
            try:
                code = _call(call, folder / f"{number}.log")
            finally:
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
    sys.stdout.write(f"{json.dumps(pids)}\n")
    sys.stdout.flush()
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    sys.stdout.write(json.dumps([code if code >= 0 else 128 - code for code in codes]) + "\n")


if __name__ == "__main__":
    _make_calls(Path(sys.argv[1]), json.load(sys.stdin))
