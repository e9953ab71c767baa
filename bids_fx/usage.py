"""What processes take: memory, time and processors, as the system itself counts them.

Nothing is sampled: the system knows the highest memory that each process has had, and looking at
all processes again and again would cost more than it tells.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Where Linux tells of a process, and how its own highest memory is forgotten (proc(5)).
_STATUS, _FORGET, _HIGHEST = "/proc/{}/status", Path("/proc/self/clear_refs"), "5"


def peak_mb(process: int | None = None) -> float | None:
    """Return the most memory that a process has had, in MB (1000000 bytes).

    Parameters
    ----------
    process : int or None
        Its number; None means this one.

    Returns
    -------
    float or None
        Resident memory; pages that are shared with others count whole. None where the system
        does not tell it, as of another process on macOS.
    """
    try:
        status = Path(_STATUS.format("self" if process is None else process)).read_text()
    except OSError:
        status = ""
    if found := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
        return int(found[1]) * 1024 / 1e6
    if process is not None:
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2) of each
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def forget_peak() -> bool:
    """Have this process's peak counted from now on; tell whether the system can do it."""
    try:
        _FORGET.write_text(_HIGHEST)
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a process took for one node.

    Parameters
    ----------
    seconds, cpu_s : float
        On the clock, and of processors: of all its threads together.
    peak_mb : float or None
        The most memory; None where it cannot be told.
    parent_mb : float or None
        The most memory of the process that this one was forked from.
    """

    seconds: float
    cpu_s: float
    peak_mb: float | None
    parent_mb: float | None = None


class Gauge:
    """Measures what this process takes from now on."""

    def __init__(self) -> None:
        self._began, self._cpu_began = time.monotonic(), time.process_time()

    def read(self, *, parent: int | None = None) -> Usage:
        """Return what was taken so far; `parent` is the number of the process forked from."""
        return Usage(
            seconds=time.monotonic() - self._began,
            cpu_s=time.process_time() - self._cpu_began,
            peak_mb=peak_mb(),
            parent_mb=None if parent is None else peak_mb(parent),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUsage:
    """A node that has run, and what it took.

    Parameters
    ----------
    participant, task : str
        Label without ``sub-``; what was done, empty of a node that had nothing to do.
    is_main : bool
        Whether it ran in the main process.
    began, ended : float
        Moments of the main process's monotonic clock, in seconds.
    threads : int
        Threads that were planned.
    planned_mb : float
        Memory that was planned for the process that it ran in.
    usage : Usage or None
        None where nothing told it: the process was killed, or was a plugin's.
    """

    participant: str
    task: str
    is_main: bool
    began: float
    ended: float
    threads: int
    planned_mb: float
    usage: Usage | None


def largest_sum(nodes: Iterable[NodeUsage]) -> float | None:
    """Return the largest sum of the peaks of processes that ran at the same time, in MB.

    Parameters
    ----------
    nodes : iterable of NodeUsage
        Those in processes of their own.

    Returns
    -------
    float or None
        0 without any; None if the peak of any is unknown.

    Examples
    --------
    >>> def ran(began, ended, peak):
    ...     usage = Usage(seconds=ended - began, cpu_s=1.0, peak_mb=peak)
    ...     names = {"participant": "01", "task": "fitting", "is_main": False}
    ...     return NodeUsage(
    ...         **names, began=began, ended=ended, threads=1, planned_mb=300.0, usage=usage
    ...     )
    >>> largest_sum([ran(0, 2, 200.0), ran(1, 3, 150.0), ran(2, 4, 300.0)])
    450.0
    """
    changes: list[tuple[float, float]] = []
    for node in nodes:
        if node.usage is None or node.usage.peak_mb is None:
            return None
        changes += [(node.began, node.usage.peak_mb), (node.ended, -node.usage.peak_mb)]
    total = largest = 0.0
    # What ends at a moment ends before what begins then.
    for _, change in sorted(changes):
        total += change
        largest = max(largest, total)
    return largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a participant, or a call, took.

    Parameters
    ----------
    seconds : float
        On the clock.
    peak_mb : float or None
        Memory of all processes together; None where a part is unknown.
    """

    seconds: float
    peak_mb: float | None

    def to_json(self) -> dict[str, float | None]:
        """Return it in tenths of seconds and whole MB: the rest is chance.

        Examples
        --------
        >>> Taken(seconds=12.345, peak_mb=None).to_json()
        {'seconds': 12.3, 'peak_mb': None}
        """
        peak = None if self.peak_mb is None else round(self.peak_mb)
        return {"seconds": round(self.seconds, 1), "peak_mb": peak}


class Meter:
    """Keeps what the nodes of a call and its participants took.

    Parameters
    ----------
    forgets : bool
        Whether this process's peak is forgotten before each node that runs in it, so that each
        node's own is known. What looks at the program from outside, such as GNU time, then sees
        the peak of its last part alone.

    Attributes
    ----------
    nodes : list of NodeUsage
        In the order in which they ended.
    is_blind : bool
        Whether nodes ran where nothing is known of their memory.
    """

    def __init__(self, *, forgets: bool = False) -> None:
        self.nodes: list[NodeUsage] = []
        self.is_blind = False
        self._forgets = forgets
        self._began = time.monotonic()
        self._seconds: dict[str, list[tuple[float, float]]] = {}
        self._main_mb = 0.0

    @contextmanager
    def timed(self, participant: str) -> Iterator[None]:
        """Count the time that is spent on a participant in this process, beside nodes."""
        began = time.monotonic()
        spans = self._seconds.setdefault(participant, [])
        place = len(spans)
        spans.append((began, float("inf")))
        try:
            yield
        finally:
            spans[place] = began, time.monotonic()

    def gauge(self) -> Gauge:
        """Begin with a node in this process."""
        if self._forgets:
            self._main_mb = self.main_mb
            self._forgets = forget_peak()
        return Gauge()

    @property
    def main_mb(self) -> float:
        """The most memory that this process has had during the call."""
        return max(self._main_mb, peak_mb() or 0.0)

    def of(self, participant: str) -> Taken:
        """Return what a participant took so far.

        Notes
        -----
        Seconds: those in which it was looked at and reported, and those from the begin of its
        first node to the end of its last; others may have run meanwhile. Memory: of this process
        so far, of that which forks, and of its own nodes that ran at the same time.
        """
        now = time.monotonic()
        own = [node for node in self.nodes if node.participant == participant]
        spans = [(began, min(ended, now)) for began, ended in self._seconds.get(participant, ())]
        if own:
            spans.append((min(node.began for node in own), max(node.ended for node in own)))
        seconds = sum(ended - began for began, ended in spans)
        return Taken(seconds=seconds, peak_mb=self._peak_mb(own))

    def of_all(self) -> Taken:
        """Return what the call took so far."""
        return Taken(seconds=time.monotonic() - self._began, peak_mb=self._peak_mb(self.nodes))

    def _peak_mb(self, nodes: Iterable[NodeUsage]) -> float | None:
        """Return the memory of this process, the one that forks and some nodes' together."""
        own = [node for node in nodes if not node.is_main]
        largest = largest_sum(own)
        if largest is None or self.is_blind:
            return None
        parents = [node.usage.parent_mb or 0.0 for node in own if node.usage is not None]
        return self.main_mb + max(parents, default=0.0) + largest
