"""Calls of the program in processes of their own, watched from outside, and what they leave."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bids_fx.settings import WORK_AREA

#: Seconds after which a call counts as hanging; far more than any takes on a busy machine.
PATIENCE = 120
#: From this the moments at which calls are ended or killed are drawn.
SEED = 20261122
#: Of this a process tells the stacks of all its threads, if its faulthandler is on.
_TELL = signal.SIGABRT


class Call:
    """A call of the program that is at work.

    Parameters
    ----------
    log : Path
        New file for its standard error. A pipe would be kept open by what it leaves behind.
    words : str
        The command line.
    program : tuple of str
        Arguments of the interpreter before it.
    stream : int or None
        What its standard error is instead of the log.
    """

    def __init__(
        self,
        log: Path,
        *words: str,
        program: tuple[str, ...] = ("-m", "bids_fx"),
        stream: int | None = None,
    ) -> None:
        self._mark = f"CALL_OF_A_TEST={uuid.uuid4()}"
        name, value = self._mark.split("=")
        self._log = log
        with log.open("wb") as told:
            self.process = subprocess.Popen(
                [sys.executable, *program, *words],
                stdout=subprocess.DEVNULL,
                stderr=told if stream is None else stream,
                stdin=subprocess.DEVNULL,
                env={**os.environ, name: value, "PYTHONFAULTHANDLER": "1"},
                start_new_session=True,  # no signal to it reaches the tests
            )

    @property
    def log(self) -> str:
        """What it has said on standard error."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def processes(self) -> list[int]:
        """Return the numbers of all its processes that have not ended."""
        mark, found = self._mark.encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if mark in (folder / "environ").read_bytes().split(b"\0") and state != "Z":
                    found.append(int(folder.name))
            except OSError:  # it has ended, or is of somebody else
                continue
        return found

    def workers(self) -> list[int]:
        """Return the numbers of the processes that nodes run in: children of its children."""
        return [pid for pid in self.processes() if parent_of(parent_of(pid)) == self.process.pid]

    def wait_for(self, event: Callable[[], object], what: str) -> None:
        """Wait until something is true, or the call has ended."""
        end = time.monotonic() + PATIENCE
        while not event() and self.process.poll() is None:
            if time.monotonic() > end:
                self._fail(f"{what} has not come")
            time.sleep(0.01)

    def end(self, what: str = "") -> int:
        """Wait for its end, and that of all its processes; return the exit code.

        A signal that ended it is told as shells do: 128 and its number.
        """
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None or self.processes():
            if time.monotonic() > end:
                self._fail(f"{what} hangs, or has left processes")
            time.sleep(0.02)
        code = self.process.returncode
        return 128 - code if code < 0 else code

    def _fail(self, what: str) -> None:
        """Have all processes tell where they are, kill them and fail the test."""
        left = self.processes()
        for number in (signal.SIGCONT, _TELL, signal.SIGKILL):
            for pid in self.processes():
                os.kill(pid, number)
            time.sleep(2)
        self.process.wait()
        pytest.fail(f"{what}; of {self.process.pid} there are {left}:\n{self.log}")


def die_at(moment: int | str, out: Path, words: Sequence[str]) -> None:
    """Make a call in this process and kill it just before it gives a file its final name.

    Parameters
    ----------
    moment : int or str
        Which of the output folder's files, but for those of its work area: its place, from 0, or
        a part of its name.
    out : Path
        The output folder.
    words : sequence of str
        The command line, with one process.
    """
    from bids_fx.cli.run import main

    replace, count = os.replace, itertools.count()

    def replace_or_die(source: Path, target: Path) -> None:
        inside = Path(target).relative_to(out).parts if Path(target).is_relative_to(out) else ()
        if inside and inside[0] != WORK_AREA:
            place, name = next(count), inside[-1]
            if place == moment or (isinstance(moment, str) and moment in name):
                os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = replace_or_die
    raise SystemExit(main(words))


def parent_of(pid: int) -> int:
    """Return the number of a process's parent; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def outputs(out: Path) -> dict[str, bytes]:
    """Return all files that must not depend on how often and when a call was ended.

    Those are all but the work area's and the logs of single calls.
    """
    return {str(path.relative_to(out)): path.read_bytes() for path in files(out)}


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    """Return of the same files which they are and when they were written."""
    found = {path: path.stat() for path in files(out)}
    return {str(p.relative_to(out)): (s.st_ino, s.st_mtime_ns) for p, s in found.items()}


def files(out: Path) -> list[Path]:
    """Return the files of an output folder that `outputs` are of."""
    return [
        path
        for path in out.rglob("*")
        if path.is_file()
        and path.relative_to(out).parts[0] != WORK_AREA
        and not (path.relative_to(out).parts[0] == "logs" and path.parent != out / "logs")
    ]


def differences(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Return the names of the files that are not the same in both."""
    return sorted(name for name in found | expected if found.get(name) != expected.get(name))
