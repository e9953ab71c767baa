"""The workflows of groups: what fits their runs, combines and draws their contrasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline import engine as pe

from bids_fx.interfaces.glm import CombineRuns, FitRun, JoinMasks, published_estimates
from bids_fx.interfaces.reportlets import DrawContrast, DrawFit
from bids_fx.memory import Allowance, contrast_figure_gb, fit_figure_gb
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan, Todo

#: Of a node that only passes lists on: no process is started for it.
_LIGHT = {"run_without_submitting": True, "mem_gb": 0.0}


class Job(NamedTuple):
    """What is to be done with a group.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        The group.
    todo : Todo
        What is not done yet.
    out_dir : Path
        The output folder.
    allowance : Allowance
        Threads of each node.
    """

    plan: Plan
    group: GroupPlan
    todo: Todo
    out_dir: Path
    allowance: Allowance


class _Maps(NamedTuple):
    """Where nodes get maps from: a node and its output, perhaps one for each run."""

    node: pe.Node
    output: str
    of_each_run: bool = False


def init_sessions_wf(job: Job, *, n_sessions: int, name: str) -> pe.Workflow:
    """Build the workflow of a group over sessions, which follows the runs of its sessions.

    Parameters
    ----------
    job : Job
        Of a group over sessions; its plan is without tables and matrices.
    n_sessions : int
        Number of sessions.
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
    _add_contrasts(workflow, dict.fromkeys(_labels(job.group), _Maps(merge, "out")), job)
    return workflow


def init_chain_wf(job: Job, *, name: str) -> pe.Workflow:
    """Build the workflow of a group that combines other groups.

    Parameters
    ----------
    job : Job
        Of the group; its plan is without tables and matrices.
    name : str
        Name of the workflow.

    Returns
    -------
    Workflow
        ``gather_…`` -> the nodes of a contrast (see `_add_contrasts`), for each contrast.

    Inputs
    ------
    gather_….in1, gather_….in2, …
        The published maps of each input of the contrast, in order; those of groups that are
        combined already are there.
    """
    workflow = pe.Workflow(name)
    maps: dict[str, _Maps] = {}
    for item in wanted(job.group, job.todo):
        label = item.contrast.label
        node = pe.Node(Merge(len(item.input_keys)), f"gather_{label}", **_LIGHT)
        for place, result in enumerate(job.plan.inputs(item), start=1):
            place_of = result.key, item.source_label
            if isinstance(result, GroupPlan) and place_of not in job.todo.contrasts:
                published = published_estimates(result, item.source_label, job.out_dir)
                setattr(node.inputs, f"in{place}", published)
        maps[label] = _Maps(node, "out")
    _add_contrasts(workflow, maps, job)
    return workflow


def init_group_wf(job: Job, *, run_keys: Sequence[str], is_part: bool, name: str) -> pe.Workflow:
    """Build the workflow of one group of runs.

    Parameters
    ----------
    job : Job
        Of a group that combines nothing but these runs.
    run_keys : sequence of str
        The runs to fit.
    is_part : bool
        Whether other groups combine these runs as well.
    name : str
        Name of the workflow.

    Returns
    -------
    Workflow
        ``runs`` (iterates over the runs) -> ``fit_run`` -> ``show_fit``, and the nodes of each
        contrast (see `_add_contrasts`), of which the first is a JoinNode.

    Outputs
    -------
    outputnode.maps
        The published maps of each run; only of a part.
    """
    workflow = pe.Workflow(name)
    plan, todo, allowance = job.plan, job.todo, job.allowance
    runs = [plan.run(key) for key in run_keys]
    source = pe.Node(IdentityInterface(["run"]), name="runs")
    source.iterables = ("run", runs)
    interface = FitRun(
        settings=plan.settings,
        todo=set(todo.runs),
        out_dir=str(job.out_dir),
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
    if not todo.fit_figures.isdisjoint(run_keys):
        draw = pe.Node(
            DrawFit(todo=set(todo.fit_figures), out_dir=str(job.out_dir)),
            "show_fit",
            mem_gb=allowance.base_gb + max(map(fit_figure_gb, runs)),
            overwrite=True,
        )
        workflow.connect([(source, draw, [("run", "run")]), (fit, draw, [("maps", "maps")])])
    maps = _Maps(fit, "maps", of_each_run=True)
    outline = job._replace(plan=plan.outline())
    _add_contrasts(workflow, dict.fromkeys(_labels(job.group), maps), outline)
    if is_part:
        _follow(workflow, maps, IdentityInterface(["maps"]), "outputnode", **_LIGHT)
    return workflow


def _add_contrasts(workflow: pe.Workflow, maps: Mapping[str, _Maps], job: Job) -> None:
    """Add what is to be done with a group's contrasts once its inputs are there.

    Parameters
    ----------
    workflow : Workflow
        The group's workflow.
    maps : mapping of str to _Maps
        By contrast, where the inputs' maps come from.
    job : Job
        Of the group; its plan is without tables and matrices.

    Notes
    -----
    Of each contrast ``combine_…`` -> ``draw_…``, the first only where it is to be combined; behind
    all that combine, ``merge_contrasts`` -> ``join_masks``, if all contrasts will be there.
    """
    plan, group, todo, out_dir, allowance = job
    common = {"plan": plan, "group": group, "out_dir": str(out_dir)}
    n_threads = allowance.join_threads
    figure_gb = allowance.base_gb + contrast_figure_gb(plan, group)
    combined: list[pe.Node] = []
    for item in wanted(group, todo):
        label = item.contrast.label
        shown = maps[label]
        if (group.key, label) in todo.contrasts:
            interface = CombineRuns(**common, label=label, n_threads=n_threads)
            resources = {"n_procs": n_threads, "mem_gb": group.mem_gb}
            combined.append(_follow(workflow, shown, interface, f"combine_{label}", **resources))
            shown = _Maps(combined[-1], "maps")
        if (group.key, label) in todo.group_figures:
            interface = DrawContrast(**common, label=label)
            _follow(workflow, shown, interface, f"draw_{label}", mem_gb=figure_gb)
    if combined and group.key in todo.groups:
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


def _labels(group: GroupPlan) -> list[str]:
    """Return the labels of the contrasts that a group can estimate."""
    return [item.contrast.label for item in group.estimable]


def wanted(group: GroupPlan, todo: Todo) -> list[GroupContrast]:
    """Return the contrasts of a group that are to be combined or drawn."""
    return [
        item
        for item in group.estimable
        if (group.key, item.contrast.label) in todo.contrasts | todo.group_figures
    ]


def _fit_mem_gb(runs: Sequence[RunPlan], todo: Todo, allowance: Allowance) -> float:
    """Return the memory of the largest fit; nipype gives all runs of an iteration the same."""
    return max((run.mem_gb for run in runs if run.key in todo.runs), default=allowance.base_gb)
