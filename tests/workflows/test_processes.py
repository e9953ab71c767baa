"""A node whose process is killed is a failed node, not a program that hangs."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    SimpleInterface,
    TraitedSpec,
    traits,
)
from nipype.pipeline import engine as pe
from nipype.pipeline.plugins import multiproc
from scipy.sparse import lil_matrix

from bids_fx.interfaces.glm import FitRun
from bids_fx.workflows import processes
from bids_fx.workflows.processes import NodeProcesses, OneProcessPerNode

#: Seconds; far more than a process needs to start on a busy machine.
PATIENCE = 60
#: MB that a test fills.
FILLED = 200


class StandIn:
    """As much of a node as processes need."""

    fullname = "wf.fit_run"

    def output_dir(self) -> str:
        return "/folder/of/fit_run"


NODE = StandIn()


def answer(node, updatehash, taskid):
    return {"result": node.fullname, "traceback": None, "taskid": taskid}


def die(node, updatehash, taskid):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(node, updatehash, taskid):
    os._exit(3)


def die_while_sending(node, updatehash, taskid):
    def send_half(self, content):
        self._send(struct.pack("!i", len(content)) + bytes(content[: len(content) // 2]))
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send_bytes = send_half
    return answer(node, updatehash, taskid)


def sleep(node, updatehash, taskid):
    time.sleep(PATIENCE)


def submit(function):
    return NodeProcesses().submit(function, NODE, False, 7)


def test_a_task_gives_its_result():
    assert submit(answer).result(PATIENCE) == {
        "result": "wf.fit_run",
        "traceback": None,
        "taskid": 7,
    }


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (die, "killed by SIGKILL"),
        (die_while_sending, "killed by SIGKILL"),
        (leave, "code 3"),
    ],
)
def test_a_task_that_ends_without_a_result_says_how_it_ended(function, words):
    result = submit(function).result(PATIENCE)
    assert result["taskid"] == 7
    assert words in result["traceback"][0]
    assert "wf.fit_run" in result["traceback"][0]


def test_stopping_kills_what_is_running():
    plugin = OneProcessPerNode(plugin_args={"n_procs": 1})
    begun = time.monotonic()
    future = plugin.pool.submit(sleep, NODE, False, 1)
    plugin.stop()
    assert "SIGKILL" in future.result(PATIENCE)["traceback"][0]
    assert time.monotonic() - begun < PATIENCE


def fill(node, updatehash, taskid):
    filled = bytearray(FILLED * 10**6)
    return {"result": len(filled), "traceback": None, "taskid": taskid}


def test_what_a_process_took_is_known_by_the_folder_of_its_node():
    processes = NodeProcesses()
    processes.submit(answer, NODE, False, 1).result(PATIENCE)
    before = processes.used.pop("/folder/of/fit_run")
    processes.submit(fill, NODE, False, 2).result(PATIENCE)
    after = processes.used["/folder/of/fit_run"]
    assert after.peak_mb - before.peak_mb == pytest.approx(FILLED, abs=20)
    # The highest memory of the process that forks may grow by some pages, and never falls.
    assert 0 < before.parent_mb <= after.parent_mb < before.parent_mb + 1
    assert 0 < after.seconds < PATIENCE


def test_a_process_that_was_killed_has_not_told_what_it_took():
    processes = NodeProcesses()
    processes.submit(die, NODE, False, 1).result(PATIENCE)
    assert processes.used == {}


def warn(node, updatehash, taskid):
    warnings.warn("mind this", stacklevel=1)
    return {"result": None, "traceback": None, "taskid": taskid}


def said_by(code: str) -> tuple[str, str]:
    """Return what a program says on standard output and standard error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_a_warning_in_a_nodes_process_is_json_where_the_log_is():
    shown, said = said_by(
        "from bids_fx.logs import start_logging\n"
        "from tests.workflows.test_processes import submit, warn\n"
        "start_logging(0, as_json=True)\nsubmit(warn).result()"
    )
    (line,) = map(json.loads, said.splitlines())
    assert "mind this" in line["message"]
    assert shown == ""


def test_nothing_of_nipype_comes_on_standard_output():
    shown, said = said_by(
        "import logging\nfrom bids_fx.logs import start_logging\n"
        "from bids_fx.workflows.processes import quieten_nipype\n"
        "start_logging(0, as_json=False)\nquieten_nipype()\n"
        "logging.getLogger('nipype.filemanip').warning('mind this')"
    )
    assert (shown, said.count("mind this")) == ("", 1)


class Unpicklable:
    """A result that cannot be received."""

    def __reduce__(self):
        return (fail_to_load, ())


def fail_to_load():
    raise RuntimeError("no such class here")


def fail_to_write():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def miss_what_could_not_be_written(node, updatehash, taskid):
    try:
        fail_to_write()
    except OSError:
        raise FileNotFoundError("result_fit_run.pklz") from None


def test_a_task_that_raises_says_what_came_first(capfd):
    result = submit(miss_what_could_not_be_written).result(PATIENCE)
    assert (result["result"], result["taskid"]) == (None, 7)
    assert result["traceback"][-1] == "OSError: [Errno 28] No space left on device\n"
    assert capfd.readouterr().err == ""


def answer_strangely(node, updatehash, taskid):
    return {"result": Unpicklable(), "traceback": None, "taskid": taskid}


def test_a_result_that_cannot_be_received_fails_the_task_and_does_not_hang():
    result = submit(answer_strangely).result(PATIENCE)
    assert result["taskid"] == 7
    assert "no such class here" in result["traceback"][0]


def test_what_others_wait_for_comes_first() -> None:
    plugin = OneProcessPerNode(plugin_args={"n_procs": 1})
    # 0 and 2 are waited for by nobody, 1 by 3.
    plugin.depidx = lil_matrix(np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]))
    assert plugin._sort_jobs(np.array([0, 1, 2])) == [1, 0, 2]


def test_what_a_node_is_made_of_is_imported_before_it_is_sent() -> None:
    code = """
import pickle, sys
from importlib import import_module
from bids_fx.workflows.server import PRELOADED
for name in PRELOADED:
    import_module(name)
before = set(sys.modules)
pickle.loads(sys.stdin.buffer.read())
print(sorted(set(sys.modules) - before))
"""
    sent = pickle.dumps((processes._run_task, multiproc.run_node, pe.Node(FitRun(), "fit_run")))
    found = subprocess.run(
        [sys.executable, "-c", code], input=sent, capture_output=True, check=True
    )
    assert found.stdout.strip() == b"[]"


class PathInputSpec(BaseInterfaceInputSpec):
    """A file that need not be there."""

    path = traits.Str(mandatory=True)


class PathOutputSpec(TraitedSpec):
    """The same file."""

    path = traits.Str()


class WaitFor(SimpleInterface):
    """Wait for a file."""

    input_spec, output_spec = PathInputSpec, PathOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while not Path(self.inputs.path).exists():
            if time.monotonic() > end:
                raise RuntimeError("nobody has made the file")
            time.sleep(0.01)
        return runtime


class Make(WaitFor):
    """Make a file."""

    def _run_interface(self, runtime: Any) -> Any:
        Path(self.inputs.path).touch()
        return runtime


class PassOn(WaitFor):
    """Tell which file."""

    def _run_interface(self, runtime: Any) -> Any:
        self._results["path"] = self.inputs.path
        return runtime


def test_node_starts_as_soon_as_what_it_waits_for_has_run_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bids_fx.workflows.processes._LONGEST_WAIT_S", PATIENCE)
    path = str(tmp_path / "made")
    waiting = pe.Node(WaitFor(path=path), name="waiting")
    here = pe.Node(PassOn(path=path), name="here", run_without_submitting=True)
    workflow = pe.Workflow("workflow", base_dir=str(tmp_path))
    workflow.connect(here, "path", pe.Node(Make(), name="making"), "path")
    workflow.add_nodes([waiting])
    workflow.config = {"execution": {"poll_sleep_duration": "0", "crashdump_dir": str(tmp_path)}}
    plugin = OneProcessPerNode(plugin_args={"n_procs": 2})
    begun = time.monotonic()
    workflow.run(plugin=plugin)
    assert time.monotonic() - begun < PATIENCE  # the end of a node wakes who waits for it
    assert not list(tmp_path.glob("crash*"))
