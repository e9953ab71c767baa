"""Processes that use locks of an output folder, as calls of the program do.

A program: ``python -m tests.lock_user OUT count|hold NAME…``, with times as it is told.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bids_fx.derivatives import claims, locks

#: Seconds after which a process counts as hanging.
PATIENCE = 120
#: Seconds without a beat after which a claim is stale here: more than a machine that is busy
#: keeps a process from beating.
STALE_S = 3.0


def start(out_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that uses locks; its standard input and output are pipes."""
    command = [sys.executable, "-m", "tests.lock_user", str(out_dir), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def held(out_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that has some locks until its standard input ends."""
    process = start(out_dir, "hold", *arguments)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n", process.communicate()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Let a process end, and return its exit code and what it wrote."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out + err


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def live_fast() -> None:
    """Have this process beat, and wait for others, in shorter times."""
    claims.STALE_S, locks.BEAT_S, locks.TOLD_AFTER_S = STALE_S, 0.1, 0.1


def have_no_flock() -> None:
    """Have this process meet a file system that has no locks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = refuse


def _of_machine(name: str) -> Callable[[Path], claims.LockFile]:
    """Return what makes lock files that only processes of one machine see locked."""

    def lock_file(path: Path) -> claims.LockFile:
        return claims.LockFile(path.with_name(f"{path.stem}.{name}.lock"))

    return lock_file


def _hold(options: argparse.Namespace) -> None:
    with locks.locked(options.out_dir, *options.names):
        _say("taken")
        sys.stdin.read()
    _say("released")


def _lives(pid: str) -> bool:
    """Tell whether a process runs; one that was killed may be there for a while."""
    end = time.monotonic() + 1
    with suppress(OSError):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ":
            if time.monotonic() > end:
                return True
    return False


def _count(options: argparse.Namespace) -> None:
    """Add to a number as often as asked, and see that nobody else is at it."""
    number, inside = options.out_dir / "number", options.out_dir / "inside"
    for left in range(options.rounds, 0, -1):
        with locks.locked(options.out_dir, *options.names):
            with suppress(FileNotFoundError):  # unless it was killed in here
                other = inside.read_text()
                assert not _lives(other), f"with {other}"
            inside.write_text(str(os.getpid()))
            before = int(number.read_text())
            time.sleep(0.001)
            number.write_text(str(before + 1))
            inside.unlink()
            if options.dies and left == options.rounds // 2:
                inside.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Use locks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("what", choices=["count", "hold"])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--dies", action="store_true")
    parser.add_argument("--no-flock", action="store_true")
    parser.add_argument("--machine", help="of which each has locks of its own")
    options = parser.parse_args()
    live_fast()
    if options.no_flock:
        have_no_flock()
    if options.machine:
        claims._boot = lambda: options.machine
        locks.LockFile = _of_machine(options.machine)
    logging.basicConfig(level=logging.INFO)
    {"count": _count, "hold": _hold}[options.what](options)


if __name__ == "__main__":
    main()
