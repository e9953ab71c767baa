"""The process from which those of all nodes are forked.

It imports once what the nodes need, which takes as long as planning a participant; started
early, it does so meanwhile.
"""

from __future__ import annotations

import atexit
import multiprocessing as mp
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

#: What nodes import; after these neither their start, a fit nor a figure imports anything.
PRELOADED = [
    "bids_fx.interfaces.glm",
    "bids_fx.interfaces.reportlets",
    "bids_fx.reports.figures.labels",
    "bids_fx.workflows.processes",
    "isal.igzip",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "matplotlib.style.core",
    "scipy.ndimage",
    *(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),
]

#: Bytes that the name of a socket may have: Linux's 108 with the final zero, macOS' 104.
_SOCKET_BYTES = 103
#: What multiprocessing adds to the folder of temporary files.
_SOCKET_NAME = "/pymp-XXXXXXXX/listener-XXXXXXXX"
#: POSIX has it everywhere.
_SHORT_FOLDER = str(Path("/", "tmp"))


def start_server() -> ForkServerContext:
    """Start the process, unless it runs, and return the context of those that it forks.

    It ends before this one does, and before what this one removes at its end.
    """
    atexit.unregister(_end_server)
    atexit.register(_end_server)
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # What a terminal sends to all is for the main process to handle; the server, which inherits
    # this and hands it on, ends with it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGINT})
    try:
        with _room_for_a_socket(), _own_imports():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _end_server() -> None:
    """Kill the process and wait for its end.

    By itself it would end as soon as it has imported all: too late where bad input ends the
    program at once, since matplotlib would miss the folder of its font cache, or make it again.
    """
    started: Any = forkserver.ensure_running  # a method of what alone knows the process
    pid: int | None = getattr(started.__self__, "_forkserver_pid", None)
    if pid is not None:
        # A process that has ended by itself, and was waited for, is not there any more.
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _own_imports() -> Iterator[None]:
    """Keep a process from importing what lies in the folder of the call, as ``python -c`` does."""
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        # Scripts that others start from here may have their modules beside them.
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _room_for_a_socket() -> Iterator[None]:
    """Put temporary files into /tmp meanwhile if the folder's name is too long for a socket.

    Clusters set TMPDIR to folders of users and jobs. The first socket decides for all of them.
    """
    given = tempfile.tempdir
    name = os.fsencode(tempfile.gettempdir() + _SOCKET_NAME)
    if len(name) > _SOCKET_BYTES and os.access(_SHORT_FOLDER, os.W_OK | os.X_OK):
        tempfile.tempdir = _SHORT_FOLDER
    try:
        yield
    finally:
        tempfile.tempdir = given
