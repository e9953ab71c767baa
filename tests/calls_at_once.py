"""Calls of the program in processes of their own, which import it once for all of them.

A program too, for `Caller`: it reads lines of JSON, each with a folder and the calls to make.
"""

from __future__ import annotations

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
from pkgutil import walk_packages
from typing import Self, TypedDict

from tests.lock_user import have_no_flock, live_fast

#: Seconds after which a call counts as hanging.
PATIENCE = 240


class CallOfProcess(TypedDict, total=False):
    """One call: its words, and what is odd about its process."""

    argv: list[str]
    #: Has no flock, as some file systems have none.
    no_flock: bool
    #: Stops itself before it begins.
    waits: bool
    #: Stops itself as soon as it has said that it works on a participant.
    stops: bool


class Started:
    """Calls that run at once.

    Attributes
    ----------
    pids : list of int
        Their processes.
    """

    def __init__(self, folder: Path, pids: list[int], parent: int) -> None:
        self._folder = folder
        self.pids = pids
        self._parent = parent

    def run(self) -> bool:
        """Tell whether any of them still runs."""
        return not (self._folder / "codes.json").exists()

    def log(self, number: int) -> str:
        """Return what a call has logged by now."""
        return (self._folder / f"{number}.log").read_text()

    def codes(self) -> list[int]:
        """Wait for their ends; return their exit codes, of signals as a shell does."""
        wait_until("all have ended", lambda: not self.run())
        codes: list[int] = json.loads((self._folder / "codes.json").read_text())
        return codes

    def is_stopped(self, number: int) -> bool:
        """Tell whether a call has stopped itself."""
        return _stat(self.pids[number])[0] == "T"

    def end(self) -> None:
        """Kill those that still run."""
        for pid in self.pids:
            with suppress(OSError):
                if _stat(pid)[1] == str(self._parent):  # else the number is another's by now
                    os.kill(pid, signal.SIGKILL)
        self.codes()


def _stat(pid: int) -> list[str]:
    """Return the state of a process, and its parent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]


class Caller:
    """A process that has imported the program, and forks calls; a context, which ends it."""

    def __enter__(self) -> Self:
        """Start it."""
        command = [sys.executable, "-m", "tests.calls_at_once"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.communicate(timeout=PATIENCE)

    @contextmanager
    def at_once(self, folder: Path, *calls: CallOfProcess) -> Iterator[Started]:
        """Make calls at once; none of them outlives the use.

        Parameters
        ----------
        folder : Path
            For their logs; a new one.
        *calls : CallOfProcess
            The calls.
        """
        folder.mkdir()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps([str(folder), calls])}\n")
        self._process.stdin.flush()
        pids = json.loads(self._process.stdout.readline())
        started = Started(folder, pids, self._process.pid)
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


def _call(call: CallOfProcess, log: Path) -> int:
    """Make one call in this process."""
    from bids_fx.cli import session
    from bids_fx.cli.run import main

    if call.get("no_flock"):
        have_no_flock()
    if call.get("waits"):
        os.kill(os.getpid(), signal.SIGSTOP)
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
    """Make calls, tell their processes, wait for their ends and write down their codes."""
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
    whole = json.dumps([code if code >= 0 else 128 - code for code in codes])
    (folder / "codes").write_text(whole)
    (folder / "codes").rename(folder / "codes.json")


def main() -> None:
    """Import the program, then make calls as long as any are asked for."""
    import bids_fx
    from bids_fx.derivatives import locks
    from bids_fx.workflows.server import PRELOADED

    for module in (*(one.name for one in walk_packages(bids_fx.__path__, "bids_fx.")), *PRELOADED):
        if not module.endswith("__main__"):
            import_module(module)
    live_fast()
    locks.TOLD_AGAIN_S = 0.1
    for line in sys.stdin:
        folder, calls = json.loads(line)
        _make_calls(Path(folder), calls)


if __name__ == "__main__":
    main()
