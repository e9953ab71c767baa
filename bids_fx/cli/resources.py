"""What this process may use of the machine: processors and memory, containers considered."""

from __future__ import annotations

import os
from pathlib import Path

#: Where a container's memory limit stands: cgroup version 2, then 1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_processors() -> int:
    """Return the number of processors that this process may use."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def available_memory_gb() -> float:
    """Return the memory of the machine or, if it is less, of the container, in GB."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):
            continue
    return min(limits) / 1e9
