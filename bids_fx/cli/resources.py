"""What this process may use of the machine: processors and memory, containers considered."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from shutil import disk_usage, rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from bids_fx.errors import BIDSFXError

if TYPE_CHECKING:
    from bids_fx.memory import Machine
    from bids_fx.settings import ExecutionSettings

logger = logging.getLogger("bids_fx")

#: What numerical libraries read, when they are loaded, for the number of their threads.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)

#: Where a container's memory limit stands: cgroup version 2, then 1.
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def keep_libraries_single() -> None:
    """Let no numerical library start threads, here and in processes started from here.

    The program's own threads and processes use what it may use; a library's would come on top,
    with buffers for each. Whatever the user has set, results do not depend on it so.
    """
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))


def have_a_home() -> None:
    """Let libraries look for their options nowhere if this user has no home: some would fail."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.devnull


def work_dir_of(execution: ExecutionSettings) -> Path:
    """Return the folder of scratch: the user's, or the output folder's own."""
    from bids_fx.settings import WORK_AREA

    return execution.work_dir or execution.out_dir / WORK_AREA


def give_matplotlib_a_folder(work_dir: Path) -> None:
    """Let matplotlib keep its font cache in the work dir, or for this call if there is none yet.

    HOME may not be writable and is none of our business. Set to nothing, the variable names none.
    """
    from bids_fx.workflows.private import private_folder

    if os.environ.get("MPLCONFIGDIR"):
        return
    try:
        folder = str(private_folder(work_dir) / "matplotlib")
    except BIDSFXError:
        # Whoever makes the work dir says later, and better, what is wrong.
        folder = mkdtemp(prefix="bids_fx-")
        atexit.register(rmtree, folder, ignore_errors=True)
    os.environ["MPLCONFIGDIR"] = folder


def warn_of_little_room(n_bytes: Sequence[int], n_at_once: int, folder: Path) -> None:
    """Warn if series that are kept on disk will not find the room for it.

    Parameters
    ----------
    n_bytes : sequence of int
        Of each series.
    n_at_once : int
        How many may be there at a time.
    folder : Path
        The work dir. What a quota leaves of its room is not known.
    """
    needed = sum(sorted(n_bytes)[-n_at_once:])
    free = disk_usage(folder).free
    if needed > free:
        logger.warning(
            "The work dir %s has %.1f GB left, and series that are kept there for want of memory "
            "take up to %.1f GB at a time: name another one with -w, or allow more with --mem-mb.",
            folder,
            free / 1e9,
            needed / 1e9,
        )


def this_machine(execution: ExecutionSettings, *, n_planned: int) -> Machine:
    """Return what the program may use of this machine by its settings, when it plans some runs."""
    from bids_fx.memory import Machine

    limit_mb = execution.mem_mb
    return Machine(
        n_procs=execution.n_procs or available_processors(),
        n_threads=execution.omp_nthreads,
        total_gb=available_memory_gb() if limit_mb is None else limit_mb / 1e3,
        is_limit=limit_mb is not None,
        n_planned=n_planned,
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
