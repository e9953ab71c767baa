"""The workflow of one participant: fit the runs, combine and draw each contrast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_fx.interfaces.glm import CombineRuns, FitRun, JoinMasks
from bids_fx.interfaces.reportlets import DrawContrast, DrawRun
from bids_fx.memory import RUN_FIGURE_GB, Allowance, contrast_figure_gb
from bids_fx.records import GroupPlan, Plan, RunPlan, Todo

#: Of a node that only passes lists on: no process is started for it.
_LIGHT = {"run_without_submitting": True, "mem_gb": 0.0}


class _Maps(NamedTuple):
    """Where nodes get maps from: a node and its output, perhaps one for each run."""

    node: pe.Node
    output: str
    of_each_run: bool = False


def init_participant_wf(
    plan: Plan, todo: Todo, *, out_dir: Path, allowance: Allowance, name: str
) -> pe.Workflow:
    """Build the workflow of one participant.

    Parameters
    ----------
    plan : Plan
        What was decided.
    todo : Todo
        What of it is not done yet; groups of which nothing is to be done have no node.
    out_dir : Path
        The output folder, where each node publishes what it made.
    allowance : Allowance
        Threads of each node.
    name : str
        Name of the workflow.

    Returns
    -------
    Workflow
        One sub-workflow per innermost group of runs (see `init_group_wf`), and one per group over
        sessions (see `init_sessions_wf`), which gets the runs' maps from those of its sessions.
    """
    workflow = pe.Workflow(name)
    outline = plan.outline()
    inner = [group for group in plan.groups if not _parts(plan, group)]
    outer = [group for group in plan.groups if _parts(plan, group) and _is_joined(group, todo)]
    built: dict[str, pe.Workflow] = {}
    for group in inner:
        is_part = any(group in _parts(plan, over) for over in outer)
        if is_part or _is_joined(group, todo) or not todo.runs.isdisjoint(group.run_keys):
            built[group.key] = init_group_wf(
                plan,
                group,
                todo,
                is_part=is_part,
                out_dir=out_dir,
                allowance=allowance,
                name=node_name(group.key),
            )
            workflow.add_nodes([built[group.key]])
    for group in outer:
        sessions = init_sessions_wf(
            outline,
            group,
            todo,
            n_sessions=len(_parts(plan, group)),
            out_dir=out_dir,
            allowance=allowance,
            name=node_name(group.key),
        )
        for place, part in enumerate(_parts(plan, group), start=1):
            source = built[part.key]
            workflow.connect(source, "outputnode.maps", sessions, f"merge_sessions.in{place}")
    for run in plan.runs:
        if run.key in todo.run_figures:
            interface = DrawRun(run=run, out_dir=str(out_dir))
            mem_gb = allowance.base_gb + RUN_FIGURE_GB
            name = f"figures_{node_name(run.key)}"
            workflow.add_nodes([pe.Node(interface, name=name, mem_gb=mem_gb)])
    return workflow


def node_name(key: str) -> str:
    """Return a plan's key as nipype allows it in the names of nodes, which are folders too."""
    return key.replace("+", "_plus_")


def init_sessions_wf(
    plan: Plan,
    group: GroupPlan,
    todo: Todo,
    *,
    n_sessions: int,
    out_dir: Path,
    allowance: Allowance,
    name: str,
) -> pe.Workflow:
    """Build the workflow of a group over sessions, which follows the runs of its sessions.

    Parameters
    ----------
    plan : Plan
        The participant's plan, without its tables and matrices.
    group : GroupPlan
        A group over sessions.
    todo : Todo
        What is not done yet.
    n_sessions : int
        Number of sessions.
    out_dir : Path
        The output folder.
    allowance : Allowance
        Threads of each node.
    name : str
        Name of the workflow.

    Returns
    -------
    Workflow
        ``merge_sessions`` -> the nodes of each contrast (see `_add_contrasts`).

    Inputs
    ------
    merge_sessions.in1, merge_sessions.in2, …
        The published maps of each session's runs.
    """
    workflow = pe.Workflow(name)
    merge = pe.Node(Merge(n_sessions), "merge_sessions", **_LIGHT)
    _add_contrasts(workflow, _Maps(merge, "out"), plan, group, todo, out_dir, allowance)
    return workflow


def init_group_wf(
    plan: Plan,
    group: GroupPlan,
    todo: Todo,
    *,
    is_part: bool,
    out_dir: Path,
    allowance: Allowance,
    name: str,
) -> pe.Workflow:
    """Build the workflow of one group of runs.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group whose members are runs.
    todo : Todo
        What is not done yet.
    is_part : bool
        Whether contrasts are joined over sessions that these runs belong to as well.
    out_dir : Path
        The output folder.
    allowance : Allowance
        Threads of each node.
    name : str
        Name of the workflow.

    Returns
    -------
    Workflow
        ``runs`` (iterates over the runs) -> ``fit_run`` -> the nodes of each contrast (see
        `_add_contrasts`), of which the first is a JoinNode.

    Outputs
    -------
    outputnode.maps
        The published maps of each run; only of a part.
    """
    workflow = pe.Workflow(name)
    outline = plan.outline()
    runs = list(plan.group_runs(group))
    source = pe.Node(IdentityInterface(["run"]), name="runs")
    source.iterables = ("run", runs)
    interface = FitRun(
        settings=plan.settings,
        todo=set(todo.runs),
        out_dir=str(out_dir),
        n_threads=allowance.fit_threads,
    )
    fit = pe.Node(
        interface,
        "fit_run",
        n_procs=allowance.fit_threads,
        mem_gb=_fit_mem_gb(runs, todo, allowance),
        # What is done was decided from the outputs; a result cached by nipype knows less.
        overwrite=True,
    )
    workflow.connect(source, "run", fit, "run")
    maps = _Maps(fit, "maps", of_each_run=True)
    _add_contrasts(workflow, maps, outline, group, todo, out_dir, allowance)
    if is_part:
        _follow(workflow, maps, IdentityInterface(["maps"]), "outputnode", **_LIGHT)
    return workflow


def _add_contrasts(
    workflow: pe.Workflow,
    maps: _Maps,
    plan: Plan,
    group: GroupPlan,
    todo: Todo,
    out_dir: Path,
    allowance: Allowance,
) -> None:
    """Add what is to be done with a group's contrasts once its runs are fitted.

    Parameters
    ----------
    workflow : Workflow
        The group's workflow.
    maps : _Maps
        Where the runs' maps come from.
    plan : Plan
        The participant's plan, without its tables and matrices.
    group : GroupPlan
        The group.
    todo : Todo
        What is not done yet.
    out_dir : Path
        The output folder.
    allowance : Allowance
        Threads of each node.

    Notes
    -----
    Of each contrast ``combine_…`` -> ``draw_…``, the first only where the group is to be combined;
    behind all that combine, ``merge_contrasts`` -> ``join_masks``.
    """
    common = {"plan": plan, "group": group, "out_dir": str(out_dir)}
    n_threads = allowance.join_threads
    figure_gb = allowance.base_gb + contrast_figure_gb(plan, group)
    combined: list[pe.Node] = []
    for item in group.estimable:
        label, shown = item.contrast.label, maps
        if group.key in todo.groups:
            interface = CombineRuns(**common, label=label, n_threads=n_threads)
            resources = {"n_procs": n_threads, "mem_gb": group.mem_gb}
            combined.append(_follow(workflow, maps, interface, f"combine_{label}", **resources))
            shown = _Maps(combined[-1], "maps")
        if (group.key, label) in todo.group_figures:
            interface = DrawContrast(**common, label=label)
            _follow(workflow, shown, interface, f"draw_{label}", mem_gb=figure_gb)
    if combined:
        merge = pe.Node(Merge(len(combined)), "merge_contrasts", **_LIGHT)
        for place, node in enumerate(combined, start=1):
            workflow.connect(node, "maps", merge, f"in{place}")
        # It holds less than any node that combines.
        resources = {"mem_gb": group.mem_gb}
        _follow(workflow, _Maps(merge, "out"), JoinMasks(**common), "join_masks", **resources)


def _follow(
    workflow: pe.Workflow, maps: _Maps, interface: Any, name: str, **resources: Any
) -> pe.Node:
    """Add a node that gets maps; behind nodes of each run, it joins those of all runs."""
    join = {"joinsource": "runs", "joinfield": ["maps"]} if maps.of_each_run else {}
    kind = pe.JoinNode if join else pe.Node
    node = kind(interface, name, overwrite=True, **join, **resources)
    workflow.connect(maps.node, maps.output, node, "maps")
    return node


def _parts(plan: Plan, group: GroupPlan) -> list[GroupPlan]:
    """Return the sessions' groups that a group over sessions is made of."""
    if group.level != "subject":
        return []
    return [
        other
        for other in plan.groups
        if other.level == "session" and set(other.run_keys) <= set(group.run_keys)
    ]


def _is_joined(group: GroupPlan, todo: Todo) -> bool:
    """Tell whether any contrast of a group is to be combined or drawn."""
    is_drawn = any(key == group.key for key, _ in todo.group_figures)
    return bool(group.estimable) and (group.key in todo.groups or is_drawn)


def _fit_mem_gb(runs: Sequence[RunPlan], todo: Todo, allowance: Allowance) -> float:
    """Return the memory of the largest fit; nipype gives all runs of an iteration the same."""
    return max((run.mem_gb for run in runs if run.key in todo.runs), default=allowance.base_gb)
