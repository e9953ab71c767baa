"""The process from which those of all nodes are forked.

It imports once what the nodes need, which takes as long as planning a participant; started
early, it does so meanwhile.
"""

from __future__ import annotations

import multiprocessing as mp
import signal
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

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


def start_server() -> ForkServerContext:
    """Start the process, unless it runs, and return the context of those that it forks."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # Ctrl-C is for the main process to handle; the server, which inherits this, ends with it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context
