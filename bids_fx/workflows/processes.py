"""Running each node in a process of its own, so that a killed one never hangs the program.

nipype's MultiProc plugin waits for ever when a worker of its pool is killed (by the
out-of-memory killer, say): the pool breaks, the error is raised in a callback and lost. Here each
node has its own process, whose death is seen at once and becomes that node's failure alone.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing as mp
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from nipype import logging as nipype_logging
from nipype.pipeline.plugins.multiproc import MultiProcPlugin

from bids_fx.logs import is_json, start_logging
from bids_fx.usage import Gauge, Usage
from bids_fx.workflows.allocation import keep_freed_memory
from bids_fx.workflows.failures import KeepsFailures
from bids_fx.workflows.pickles import guard_pickles
from bids_fx.workflows.server import start_server

#: Seconds after which it is looked for ended nodes, should none have told so.
_LONGEST_WAIT_S = 5


def quieten_nipype() -> None:
    """Keep nipype's loggers from telling every step of every node."""
    # Its own handler writes to standard output.
    logging.getLogger("nipype").handlers = []
    for name in ("workflow", "interface", "utils"):
        # What it finds critical, such as a file that it cannot write, is raised as well.
        nipype_logging.getLogger(f"nipype.{name}").setLevel(logging.CRITICAL + 1)


class NodeProcesses:
    """An executor with one process per task; stands in for a process pool.

    A task that ends without a result, since its process was killed, gives the same kind of
    result as one that raised: a dictionary with a traceback.

    Attributes
    ----------
    used : dict of str to Usage
        By the working directory of its node, what the process of each task took that gave a
        result.
    """

    def __init__(self) -> None:
        self.used: dict[str, Usage] = {}
        self._running: dict[BaseProcess, threading.Thread] = {}
        self._lock = threading.Lock()

    def submit(
        self, function: Callable[..., dict[str, Any]], node: Any, *arguments: Any
    ) -> Future[dict[str, Any]]:
        """Start a task and return the promise of its result; the last argument is its number."""
        future: Future[dict[str, Any]] = Future()
        taskid = arguments[-1]
        context = start_server()  # again if it was killed
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(
            target=_run_task,
            args=(sender, function, node, *arguments),
            kwargs={"log_json": is_json()},
            daemon=True,
        )
        waiting = threading.Thread(
            target=self._wait,
            args=(process, receiver, future, node.fullname, node.output_dir(), taskid),
            daemon=True,
        )
        with self._lock:
            process.start()
            self._running[process] = waiting
        sender.close()
        waiting.start()
        return future

    def _wait(
        self,
        process: BaseProcess,
        receiver: Connection,
        future: Future[dict[str, Any]],
        name: str,
        folder: str,
        taskid: int,
    ) -> None:
        """Hand over a task's result, or say how its process ended."""
        try:
            result, self.used[folder] = receiver.recv()
            process.join()
        # Unpickling a result may raise anything; whatever it is, the program may not hang, and the
        # reader is told.
        except Exception as error:  # noqa: BLE001 - unpickling may raise anything
            receiver.close()
            process.join()
            told = describe_exit(process.exitcode) if process.exitcode else f"no result: {error}"
            message = f"Node {name}: {told}\n"
            result = {"result": None, "traceback": [message], "taskid": taskid}
        with self._lock:
            del self._running[process]
        future.set_result(result)

    def shutdown(self, *, wait: bool = True) -> None:
        """End all tasks; with `wait` only after they have finished."""
        with self._lock:
            running = dict(self._running)
        for process, waiting in running.items():
            if not wait:
                process.kill()
            # Only the waiting thread may join the process: its exit code can be read once.
            waiting.join()


def _run_task(
    sender: Connection,
    function: Callable[..., dict[str, Any]],
    *arguments: Any,
    log_json: bool,
) -> None:
    """Run a task in its process and send back its result and what it took."""
    gauge = Gauge()
    threading.Thread(target=_end_with_the_program, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    guard_pickles()
    quieten_nipype()
    start_logging(0, as_json=log_json)
    keep_freed_memory()
    gc.freeze()  # what the libraries hold is no garbage: each look at it would copy its pages
    try:
        result = function(*arguments)
    # The reader is told whatever it is. nipype raises that a node's result file is missing while
    # it handles what kept the file from being written.
    except Exception as error:  # noqa: BLE001 - a node may raise anything
        told = traceback.format_exception(error.__context__ or error)
        result = {"result": None, "traceback": told, "taskid": arguments[-1]}
    sender.send((result, gauge.read(parent=os.getppid())))


def _end_with_the_program() -> None:
    """Wait for the end of the main process, and end this one at once.

    A main process that is killed cannot end its nodes. They must not go on: the same call, made
    again, may be at work on what they would publish.
    """
    main = mp.parent_process()  # though it was forked from another
    assert main is not None
    main.join()
    os._exit(1)


def describe_exit(code: int | None) -> str:
    """Say how a process ended that gave no result.

    Examples
    --------
    >>> describe_exit(-9)
    'its process was killed by SIGKILL, as happens when memory runs out; see --mem-mb'
    >>> describe_exit(3)
    'its process ended with exit code 3 and without a result'
    """
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        cause = ", as happens when memory runs out; see --mem-mb" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{cause}"
    return f"its process ended with exit code {code} and without a result"


class OneProcessPerNode(KeepsFailures, MultiProcPlugin):
    """nipype's scheduling by processors and memory, with `NodeProcesses` doing the work."""

    def __init__(self, plugin_args: dict[str, Any] | None = None) -> None:
        super().__init__(plugin_args=plugin_args)
        # The pool that the parent class made has started no process yet.
        self.pool = NodeProcesses()
        self._one_ended = threading.Event()

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        """Put first what other nodes wait for; figures of a run's design can wait for all."""
        del scheduler  # nipype's own orders are by memory or of the graph
        return sorted(jobids, key=lambda job: not self.depidx[[job]].nnz)

    def _async_callback(self, args: Future[dict[str, Any]]) -> None:
        """Keep a node's result; called in the thread that waited for its process."""
        super()._async_callback(args)
        self._one_ended.set()

    def _send_procs_to_workers(self, **arguments: Any) -> None:
        """Start what can be started, then wait for a node to end instead of asking over and over.

        What ends before the wait has set the event; what ends after it is cleared is seen by the
        caller, who looks at all results next.
        """
        n_started = -1
        # What ran in this process may have been all that others waited for.
        while n_started != (n_started := int(self.proc_done.sum())):
            super()._send_procs_to_workers(**arguments)
        if self.pending_tasks:
            self._one_ended.wait(_LONGEST_WAIT_S)
            self._one_ended.clear()

    def stop(self) -> None:
        """Kill the nodes that are running."""
        self.pool.shutdown(wait=False)
