"""Time, processor time and memory of a program with all the processes that it starts."""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

#: Seconds between two looks at the processes.
INTERVAL_S = 0.02
#: The most that looking may take of one processor's time.
SHARE = 0.05
MB = 1e6
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one call of a program took.

    Parameters
    ----------
    seconds : float
        From its start to its end.
    cpu_seconds : float
        Of all its processes, in user and system mode.
    peak_mb : float
        Largest memory of all its processes at one time, pages that they share counted once.
    largest_mb : float
        Largest resident memory that any one of them ever had, as the system keeps it.
    threads, running : tuple of int
        At each look, the threads of all processes, and those of them that ran or could run.
    exit_code : int
        Negative: the signal that ended it.
    output : str
        What it printed, errors too.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    largest_mb: float
    threads: tuple[int, ...]
    running: tuple[int, ...]
    exit_code: int
    output: str

    def told(self, name: str) -> float:
        """Return a number of the JSON object that the program printed as its last line."""
        return float(json.loads(self.output.splitlines()[-1])[name])


class Program(Protocol):
    """Calls a program, watched or not."""

    def __call__(self, *, watched: bool) -> Measurement:
        """Call it."""


class ProgramError(Exception):
    """A program that was to be measured ended with an error."""


def measure(
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    may_fail: bool = False,
    watched: bool = True,
) -> Measurement:
    """Run a program and measure all its processes.

    Parameters
    ----------
    command : sequence of str or Path
        The program with its arguments.
    folder : Path
        Where it runs, and where ``output.log`` is written; made if need be.
    environment : mapping of str to str or None
        None means this process's own.
    may_fail : bool
        Whether an exit code other than 0 is an answer too.
    watched : bool
        Whether its processes are looked at, which takes some of a processor; else only the
        seconds and what the system counts of processes that were waited for are known.

    Raises
    ------
    ProgramError
        If it fails and may not, with the end of what it printed.

    Notes
    -----
    The program's processes are those of its session and their children. Memory is the sum of
    their proportional set sizes (a page that n of them share counts a n-th in each), read where
    the sum of the resident ones, which is cheap to get and never less, says that it may be a new
    peak; what one process alone had between two looks counts too. Processor time is the larger of
    two sums that both may miss some: what the system counted for all that were waited for, and
    the last that was seen of each process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "output.log"
    os.sync()  # what the last program wrote is not to be written while this one runs
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - starting programs is what this is for
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _Watch(process.pid, active=watched) as seen:
            # wait4 alone tells what one process used.
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    largest = max(seen.largest, _inherited_nothing(usage.ru_maxrss) * 1024)
    if process.returncode and not may_fail:
        shown = " ".join(map(str, command))
        raise ProgramError(f"{shown}: exit code {process.returncode}\n{text[-4000:]}")
    return Measurement(
        seconds=seconds,
        cpu_seconds=max(usage.ru_utime + usage.ru_stime, seen.cpu_seconds),
        peak_mb=max(seen.peak, largest) / MB,
        largest_mb=largest / MB,
        threads=tuple(seen.threads),
        running=tuple(seen.running),
        exit_code=process.returncode,
        output=text,
    )


def _inherited_nothing(resident_kb: int) -> int:
    """Return a program's peak, or 0 where it may be that of this process before ``exec``."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident_kb if resident_kb > own else 0


def alternate(
    programs: Mapping[str, Program],
    repeats: int,
    *,
    always_watched: bool = False,
) -> dict[str, list[Measurement]]:
    """Call each program in turn, so often: whatever else the machine does meets all alike.

    Parameters
    ----------
    programs : mapping of str to callable
        By name, what calls a program, watched or not.
    repeats : int
        How often.
    always_watched : bool
        Whether every call is watched. Else each program is called once more, before the others,
        and watched then: looking takes time from a program that keeps all processors busy, and
        none from one that does not.

    Returns
    -------
    dict of str to list of Measurement
        Of each call; memory, processor time and threads of the call that was watched.
    """
    if always_watched:
        rounds = [_watched(programs) for _ in range(repeats)]
        return {name: [one[name] for one in rounds] for name in programs}
    looks = _watched(programs)
    found: dict[str, list[Measurement]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            call = program(watched=False)
            found[name].append(
                replace(
                    looks[name],
                    seconds=call.seconds,
                    output=call.output,
                    exit_code=call.exit_code,
                )
            )
    return found


def _watched(programs: Mapping[str, Program]) -> dict[str, Measurement]:
    return {name: program(watched=True) for name, program in programs.items()}


def median(measurements: Sequence[Measurement], value: Callable[[Measurement], float]) -> float:
    """Return the median of a value over repetitions."""
    return statistics.median(map(value, measurements))


@dataclass(slots=True)
class _Process:
    """One process as its ``stat`` file shows it."""

    pid: int
    state: str
    parent: int
    session: int
    cpu_seconds: float
    n_threads: int
    start: str
    resident: int


@dataclass(slots=True)
class _Watch:
    """Looks at the processes of a session from a thread of its own."""

    root: int
    active: bool
    peak: int = 0
    largest: int = 0
    threads: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    _cpu: dict[tuple[int, str], float] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> _Watch:
        if self.active:
            self._thread = threading.Thread(target=self._look_on, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if kind is not None:  # interrupted: the program's session does not hear of Ctrl-C
            os.killpg(self.root, signal.SIGKILL)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all processes, each as it was last seen."""
        return sum(self._cpu.values())

    def _look_on(self) -> None:
        wait = 0.0
        while not self._ended.wait(wait):
            start = time.perf_counter()
            self._look()
            wait = max(INTERVAL_S, (time.perf_counter() - start) / SHARE)

    def _look(self) -> None:
        known = {pid for pid, _ in self._cpu}
        tree = [
            process
            for process in _processes()
            if process.session == self.root or process.parent in known
        ]
        for process in tree:
            self._cpu[process.pid, process.start] = process.cpu_seconds
        self.threads.append(sum(process.n_threads for process in tree))
        self.running.append(sum(map(_n_running, tree)))
        self.largest = max([self.largest, *(_kb(one, "status", "VmHWM:") for one in tree)])
        if sum(process.resident for process in tree) > self.peak:
            proportional = sum(_kb(process, "smaps_rollup", "Pss:") for process in tree)
            self.peak = max(self.peak, proportional)


def _processes() -> list[_Process]:
    """Return all processes of the machine."""
    return [
        _Process(
            pid=int(folder.name),
            state=fields[0],
            parent=int(fields[1]),
            session=int(fields[3]),
            cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
            n_threads=int(fields[17]),
            start=fields[19],
            resident=int(fields[21]) * _PAGE,
        )
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and (fields := _stat(folder / "stat"))
    ]


def _stat(path: Path) -> list[str]:
    """Return the fields behind the name, which may hold anything; none if the process is gone."""
    return _read(path).rpartition(")")[2].split()


def _n_running(process: _Process) -> int:
    """Return how many threads of a process run or wait for a processor."""
    if process.n_threads == 1:
        return int(process.state == "R")
    try:
        threads = list(Path(f"/proc/{process.pid}/task").iterdir())
    except OSError:
        return 0
    return sum(_stat(thread / "stat")[:1] == ["R"] for thread in threads)


def _kb(process: _Process, file: str, name: str) -> int:
    """Return what a file of a process says in kB, in bytes; 0 if the process is gone."""
    for line in _read(Path(f"/proc/{process.pid}/{file}")).splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> str:
    """Return what a file of ``/proc`` holds; nothing if its process has ended."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
