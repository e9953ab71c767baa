"""The whole workflow of a call: built from the plans, run by nipype, its failures gathered."""

from __future__ import annotations

import gc
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype import config as nipype_config
from nipype.pipeline import engine as pe

from bids_fx.errors import ExitCode, output_error, told_error
from bids_fx.memory import Allowance
from bids_fx.records import Plan, Todo
from bids_fx.usage import Gauge, Meter, NodeUsage, Usage
from bids_fx.workflows.allocation import keep_freed_memory
from bids_fx.workflows.failures import OneAfterTheOther
from bids_fx.workflows.participant import init_participant_wf, node_name
from bids_fx.workflows.pickles import guard_pickles
from bids_fx.workflows.plugins import POLL_S, PluginChoice
from bids_fx.workflows.processes import OneProcessPerNode, quieten_nipype
from bids_fx.workflows.tasks import describe_node, is_idle

#: Name of the workflow, and of its folder in the work dir.
WORKFLOW = "nipype"

Progress = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailure:
    """A node that failed.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    task : str
        What was being done, for example ``fitting task-x_run-1``.
    message : str
        The last line of the error.
    file : Path or None
        The crash file; None where it could not be written.
    details : str
        What would stand in it then.
    code : ExitCode or None
        That of what could not be written.
    """

    participant: str
    task: str
    message: str
    file: Path | None
    details: str = ""
    code: ExitCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What the workflow may use.

    Parameters
    ----------
    n_procs : int
        Processes; with one, all runs in the main process.
    mem_gb : float
        Memory of all nodes together, in GB.
    own_gb : float
        Memory of the main process, and of the one that forks, beside them.
    plugin : PluginChoice or None
        A nipype plugin of the user's.
    stop_on_first_crash : bool
        End at the first failure.
    """

    n_procs: int
    mem_gb: float
    own_gb: float = 0.0
    plugin: PluginChoice | None = None
    stop_on_first_crash: bool = False

    @property
    def chosen(self) -> PluginChoice:
        """The user's plugin, or the program's own choice."""
        own = "Linear" if self.n_procs == 1 else "MultiProc"
        return self.plugin or PluginChoice(name=own)


def init_bids_fx_wf(
    work: Sequence[tuple[Plan, Todo]], *, out_dir: Path, work_dir: Path, allowance: Allowance
) -> pe.Workflow:
    """Build the workflow of several participants.

    Parameters
    ----------
    work : sequence of (Plan, Todo)
        Each participant's plan, and what of it is not done yet.
    out_dir, work_dir : Path
        Output folder and scratch.
    allowance : Allowance
        Threads of each node.

    Returns
    -------
    Workflow
        One sub-workflow ``sub_XX`` per participant.
    """
    workflow = pe.Workflow(WORKFLOW, base_dir=str(work_dir))
    for plan, todo in work:
        part = init_participant_wf(
            plan, todo, out_dir=out_dir, allowance=allowance, name=workflow_name(plan.participant)
        )
        workflow.add_nodes([part])
    return workflow


def workflow_name(participant: str) -> str:
    """Return the name of a participant's workflow, and of its folder in the work dir."""
    return f"sub_{node_name(participant)}"


def run_workflow(
    workflow: pe.Workflow,
    resources: Resources,
    *,
    crash_dir: Path,
    progress: Progress,
    meter: Meter,
) -> tuple[NodeFailure, ...]:
    """Run a workflow to its end, whatever fails in it.

    Parameters
    ----------
    workflow : Workflow
        As `init_bids_fx_wf` built it.
    resources : Resources
        What may be used.
    crash_dir : Path
        Folder of the crash files; made if need be.
    progress : callable
        Called with participant, task and ``start``, ``end`` or ``exception``.
    meter : Meter
        Keeps what each node took.

    Returns
    -------
    tuple of NodeFailure
        In the order of the crash files' names, then those of which none could be written; empty
        where all went well.

    Raises
    ------
    BIDSFXError
        Where the work dir cannot be written for what belongs to no node.
    """
    guard_pickles()
    _configure(workflow, crash_dir, resources)
    plugin, arguments = _plugin(resources, progress, meter)
    # nipype collects garbage whenever it looks for nodes to start. What is there now stays: to
    # go through all libraries' objects each time would take longer than starting a node.
    gc.freeze()
    before = set(crash_dir.glob("crash-*"))
    try:
        workflow.run(plugin=plugin, plugin_args=arguments)
    except Exception as error:
        # nipype raises the first node's error again; the crash files say all of them.
        if not plugin.untold and before.issuperset(crash_dir.glob("crash-*")):
            if isinstance(error, OSError):  # nipype reads nothing here that it has not written
                place = Path(os.fsdecode(error.filename or workflow.base_dir))
                raise output_error(place, error) from error
            raise
    finally:
        gc.unfreeze()
        plugin.stop()
    untold = (_failure_in(text, None) for text in plugin.untold)
    return (*read_failures(crash_dir), *untold)


def _configure(workflow: pe.Workflow, crash_dir: Path, resources: Resources) -> None:
    """Set nipype's options; those of files in HOME or the current folder do not count."""
    nipype_config.set_default_config()
    crash_dir.mkdir(parents=True, exist_ok=True)
    workflow.config = {
        "execution": {
            "crashdump_dir": str(crash_dir),
            "crashfile_format": "txt",
            "create_report": "false",
            "check_version": "false",
            "get_linked_libs": "false",
            "poll_sleep_duration": _poll_s(resources),
            "remove_unnecessary_outputs": "false",
            "stop_on_first_crash": str(resources.stop_on_first_crash).lower(),
        },
        "logging": {"log_to_file": "false"},
    }
    quieten_nipype()


def _poll_s(resources: Resources) -> str:
    """Return how long nipype waits before it looks again: on one machine an event wakes it."""
    chosen = resources.chosen
    if chosen.scheduler is None:
        return "0"
    return str(chosen.arguments.get("poll_sleep_duration", POLL_S))


class _Report:
    """Tells how far nodes are, and keeps what each took; nipype calls it with each change.

    Parameters
    ----------
    resources, progress, meter
        As `run_workflow` has them.
    """

    def __init__(self, resources: Resources, progress: Progress, meter: Meter) -> None:
        self._progress, self._meter = progress, meter
        self._is_main = resources.chosen.name == "Linear"
        self._own_gb = resources.own_gb if self._is_main else 0.0
        #: What processes of their own have taken, by their nodes' folders.
        self.used: Mapping[str, Usage] = {}
        self._begun: dict[str, tuple[float, Gauge | None]] = {}

    def __call__(self, node: Any, status: str) -> None:
        """Take note of a node that starts (``start``), ends (``end``) or fails."""
        folder = node.output_dir()
        participant, task = describe_node(node.fullname, folder)
        if not task:
            return
        is_at_work = status == "exception" or not is_idle(node.interface.inputs, folder)
        if status == "start":
            gauge = self._meter.gauge() if self._is_main and is_at_work else None
            self._begun[folder] = time.monotonic(), gauge
        elif folder in self._begun:
            began, gauge = self._begun.pop(folder)
            usage = self.used.get(folder) if gauge is None else gauge.read()
            if is_at_work or usage is not None:
                self._meter.nodes.append(
                    NodeUsage(
                        participant=participant,
                        task=task if is_at_work else "",
                        is_main=self._is_main,
                        began=began,
                        ended=time.monotonic(),
                        threads=node.n_procs,
                        planned_mb=1e3 * (node.mem_gb + self._own_gb),
                        usage=usage,
                    )
                )
        if is_at_work:
            self._progress(participant, task, status)


def _plugin(resources: Resources, progress: Progress, meter: Meter) -> tuple[Any, dict[str, Any]]:
    """Return nipype's plugin and its arguments."""
    chosen, report = resources.chosen, _Report(resources, progress, meter)
    arguments: dict[str, Any] = {"status_callback": report}
    if chosen.name == "Linear":
        keep_freed_memory()
        return OneAfterTheOther(plugin_args=arguments), arguments
    if chosen.scheduler is not None:
        from bids_fx.workflows.clusters import cluster_plugin

        meter.is_blind = True
        arguments |= chosen.arguments
        return cluster_plugin(chosen.name, arguments), arguments
    arguments |= {
        "n_procs": resources.n_procs,
        "memory_gb": resources.mem_gb,
        # A node that asks for more than there is runs alone; the plan has told so before.
        "raise_insufficient": False,
        **chosen.arguments,
    }
    plugin = OneProcessPerNode(plugin_args=arguments)
    report.used = plugin.pool.used
    return plugin, arguments


def read_failures(crash_dir: Path) -> tuple[NodeFailure, ...]:
    """Read nipype's crash files.

    Parameters
    ----------
    crash_dir : Path
        Folder of this call's crash files.

    Returns
    -------
    tuple of NodeFailure
        One per file, in the order of their names.
    """
    return tuple(
        _failure_in(path.read_text(errors="replace"), path)
        for path in sorted(crash_dir.glob("crash-*.txt"))
    )


def _failure_in(text: str, file: Path | None) -> NodeFailure:
    """Return the failure that a crash file tells of, or the text of one that is in no file."""
    name = re.search(r"^Node: (.+)$", text, re.MULTILINE)
    folder = re.search(r"^Working directory: (.+)$", text, re.MULTILINE)
    participant, task = describe_node(name[1] if name else "", folder[1] if folder else "")
    message, code = told_error(last_message(text), Path(folder[1] if folder else "work dir"))
    return NodeFailure(
        participant=participant,
        task=task or (file.name if file else "a node"),
        message=message,
        file=file,
        details="" if file else text,
        code=code,
    )


def last_message(text: str) -> str:
    r"""Return the error that a crash file ends with, in one line.

    Examples
    --------
    >>> last_message("Traceback:\n  x = y\nKeyError: 'a'\n\nDuring the creation of this crashfile")
    "KeyError: 'a'"
    """
    # nipype says behind the error that a killed node left no result.
    told = re.split(r"\n\s*(?:When creating|During the creation of) this crashfile", text)[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[-1] if lines else "the crash file is empty"
