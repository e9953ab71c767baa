"""The workflow of one participant: fit the runs of each group, join them, draw the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_fx.interfaces.glm import CombineRuns, FitRun
from bids_fx.interfaces.reportlets import DrawContrast, DrawRun
from bids_fx.memory import RUN_FIGURE_GB, Allowance, contrast_figure_gb
from bids_fx.records import GroupPlan, Plan, RunPlan, Todo


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
        One sub-workflow per innermost group of runs (see `init_group_wf`); a group over sessions
        is a node behind those of its sessions.
    """
    workflow = pe.Workflow(name)
    outline = plan.outline()
    inner = [group for group in plan.groups if not _parts(plan, group)]
    outer = [group for group in plan.groups if _parts(plan, group)]
    built: dict[str, pe.Workflow] = {}
    for group in inner:
        family = [group, *(over for over in outer if group in _parts(plan, over))]
        if any(_is_due(member, todo) for member in family):
            built[group.key] = init_group_wf(
                plan, group, todo, out_dir=out_dir, allowance=allowance, name=node_name(group.key)
            )
            workflow.add_nodes([built[group.key]])
    for group in outer:
        if _is_due(group, todo):
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
    """Build the workflow of a group over sessions, which follows those of its sessions.

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
        ``merge_sessions`` -> ``combine_sessions`` -> ``draw_…`` for each contrast.

    Inputs
    ------
    merge_sessions.in1, merge_sessions.in2, …
        The published maps of each session's runs.
    """
    workflow = pe.Workflow(name)
    merge = pe.Node(Merge(n_sessions), name="merge_sessions", run_without_submitting=True)
    combine = _combine_node(pe.Node, plan, group, todo, out_dir, allowance, "combine_sessions")
    workflow.connect(merge, "out", combine, "maps")
    for figure in _figure_nodes(plan, group, todo, out_dir, allowance):
        workflow.connect(combine, "maps", figure, "maps")
    return workflow


def init_group_wf(
    plan: Plan, group: GroupPlan, todo: Todo, *, out_dir: Path, allowance: Allowance, name: str
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
    out_dir : Path
        The output folder.
    allowance : Allowance
        Threads of each node.
    name : str
        Name of the workflow.

    Returns
    -------
    Workflow
        ``runs`` (iterates over the runs) -> ``fit_run`` -> ``combine_runs`` (a JoinNode) ->
        ``draw_…`` for each contrast.

    Outputs
    -------
    outputnode.maps
        The published maps of all runs.
    """
    workflow = pe.Workflow(name)
    outline = plan.outline()
    runs = list(plan.group_runs(group))
    source = pe.Node(IdentityInterface(["run"]), name="runs")
    source.iterables = ("run", runs)
    fit = pe.Node(
        FitRun(settings=plan.settings, todo=set(todo.runs), out_dir=str(out_dir)),
        name="fit_run",
        n_procs=allowance.fit_threads,
        mem_gb=_fit_mem_gb(runs, todo, allowance),
    )
    fit.inputs.n_threads = allowance.fit_threads
    # What is done already was decided from the outputs; a result cached by nipype knows less.
    fit.overwrite = True
    combine = _combine_node(
        pe.JoinNode,
        outline,
        group,
        todo,
        out_dir,
        allowance,
        "combine_runs",
        joinsource="runs",
        joinfield=["maps"],
    )
    outputnode = pe.Node(IdentityInterface(["maps"]), name="outputnode")
    workflow.connect(
        [
            (source, fit, [("run", "run")]),
            (fit, combine, [("maps", "maps")]),
            (combine, outputnode, [("maps", "maps")]),
        ]
    )
    for figure in _figure_nodes(outline, group, todo, out_dir, allowance):
        workflow.connect(combine, "maps", figure, "maps")
    return workflow


def _combine_node(
    node_type: type,
    plan: Plan,
    group: GroupPlan,
    todo: Todo,
    out_dir: Path,
    allowance: Allowance,
    name: str,
    **join: object,
) -> pe.Node:
    """Return the node that combines a group's runs."""
    interface = CombineRuns(
        plan=plan,
        group=group,
        todo=set(todo.groups),
        out_dir=str(out_dir),
        n_threads=allowance.join_threads,
    )
    is_due = group.key in todo.groups
    node = node_type(
        interface,
        name=name,
        n_procs=allowance.join_threads if is_due else 1,
        mem_gb=group.mem_gb if is_due else allowance.base_gb,
        **join,
    )
    node.overwrite = True
    return node


def _figure_nodes(
    plan: Plan, group: GroupPlan, todo: Todo, out_dir: Path, allowance: Allowance
) -> list[pe.Node]:
    """Return a node for each map figure of a group that is to be drawn."""
    mem_gb = allowance.base_gb + contrast_figure_gb(plan, group)
    nodes = []
    for item in group.estimable:
        label = item.contrast.label
        if (group.key, label) in todo.group_figures:
            interface = DrawContrast(plan=plan, group=group, label=label, out_dir=str(out_dir))
            nodes.append(pe.Node(interface, name=f"draw_{label}", mem_gb=mem_gb))
            nodes[-1].overwrite = True
    return nodes


def _parts(plan: Plan, group: GroupPlan) -> list[GroupPlan]:
    """Return the sessions' groups that a group over sessions is made of."""
    if group.level != "subject":
        return []
    return [
        other
        for other in plan.groups
        if other.level == "session" and set(other.run_keys) <= set(group.run_keys)
    ]


def _is_due(group: GroupPlan, todo: Todo) -> bool:
    """Tell whether a group, one of its runs or one of its figures is to be done."""
    return (
        group.key in todo.groups
        or not todo.runs.isdisjoint(group.run_keys)
        or any(key == group.key for key, _ in todo.group_figures)
    )


def _fit_mem_gb(runs: Sequence[RunPlan], todo: Todo, allowance: Allowance) -> float:
    """Return the memory of the largest fit; nipype gives all runs of an iteration the same."""
    return max((run.mem_gb for run in runs if run.key in todo.runs), default=allowance.base_gb)
