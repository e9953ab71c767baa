"""The workflow of one participant: fit the runs, combine and draw each contrast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nipype.pipeline import engine as pe

from bids_fx.interfaces.reportlets import DrawRun
from bids_fx.memory import RUN_FIGURE_GB, Allowance
from bids_fx.records import GroupPlan, Plan, RunPlan, Todo
from bids_fx.workflows.groups import Job, init_chain_wf, init_group_wf, init_sessions_wf, wanted


class _Layout(NamedTuple):
    """Which group's workflow fits which runs, and where the others get maps from.

    Attributes
    ----------
    home_of : dict of str to str
        By run, the group that fits it: the first one that has it.
    outer : tuple of GroupPlan
        The groups of which something is to be done that do not fit all that they combine.
    parts : dict of str to tuple of str
        By outer group, the groups that fit runs which it combines itself.
    """

    home_of: dict[str, str]
    outer: tuple[GroupPlan, ...]
    parts: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, plan: Plan, todo: Todo) -> _Layout:
        """Share out the runs of a plan."""
        home_of: dict[str, str] = {}
        for group in plan.groups:
            for run in plan.group_runs(group):
                home_of.setdefault(run.key, group.key)
        outer = tuple(
            group
            for group in plan.groups
            if wanted(group, todo)
            and any(home_of.get(key) != group.key for key in group.input_keys)
        )
        parts = {
            group.key: tuple(
                dict.fromkeys(home_of[key] for key in group.input_keys if key in home_of)
            )
            for group in outer
        }
        return cls(home_of, outer, parts)

    def runs_of(self, group: GroupPlan) -> tuple[str, ...]:
        """Return the runs that a group fits."""
        return tuple(run for run, home in self.home_of.items() if home == group.key)

    def is_part(self, group: GroupPlan) -> bool:
        """Tell whether runs that a group fits are combined by another."""
        return any(group.key in keys for keys in self.parts.values())


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
        One sub-workflow per group that is the first to have some runs, which fits them (see
        `init_group_wf`); one per group that combines runs which others fit (see
        `init_sessions_wf`), and per group that combines other groups (see `init_chain_wf`).
    """
    workflow = pe.Workflow(name)
    outline, layout = plan.outline(), _Layout.of(plan, todo)
    fits: dict[str, pe.Workflow] = {}
    for group in plan.groups:
        runs, is_part = layout.runs_of(group), layout.is_part(group)
        own = replace(group, contrasts=()) if group in layout.outer else group
        own_runs_wanted = not (todo.runs | todo.fit_figures).isdisjoint(runs)
        if runs and (is_part or wanted(own, todo) or own_runs_wanted):
            fits[group.key] = init_group_wf(
                Job(plan, own, todo, out_dir, allowance),
                run_keys=runs,
                is_part=is_part,
                name=node_name(group.key) + ("_runs" if group in layout.outer else ""),
            )
            workflow.add_nodes([fits[group.key]])
    _add_outer(workflow, outline, todo, layout, fits, out_dir=out_dir, allowance=allowance)
    for run in plan.runs:
        if run.key in todo.run_figures:
            interface = DrawRun(run=run, out_dir=str(out_dir))
            mem_gb = allowance.base_gb + RUN_FIGURE_GB
            name = f"figures_{node_name(run.key)}"
            node = pe.Node(interface, name, mem_gb=mem_gb, overwrite=True)
            workflow.add_nodes([node])
    return workflow


def _add_outer(
    workflow: pe.Workflow,
    plan: Plan,
    todo: Todo,
    layout: _Layout,
    fits: Mapping[str, pe.Workflow],
    *,
    out_dir: Path,
    allowance: Allowance,
) -> None:
    """Add the groups that combine what others fit or combine, each behind these."""
    joins = dict(fits)
    for group in layout.outer:
        name = node_name(group.key)
        job = Job(plan, group, todo, out_dir, allowance)
        parts = layout.parts[group.key]
        if any(isinstance(result, GroupPlan) for result in plan.inputs(group)):
            joins[group.key] = init_chain_wf(job, name=name)
            links = list(_chain_links(plan, group, todo, layout))
        else:
            joins[group.key] = init_sessions_wf(job, n_sessions=len(parts), name=name)
            links = [
                (part, "outputnode.maps", f"merge_sessions.in{place}")
                for place, part in enumerate(parts, start=1)
            ]
        workflow.add_nodes([joins[group.key]])
        for key, outlet, inlet in links:
            source = fits[key] if outlet.startswith("outputnode.") else joins[key]
            workflow.connect(source, outlet, joins[group.key], inlet)


def _chain_links(
    plan: Plan, group: GroupPlan, todo: Todo, layout: _Layout
) -> Iterator[tuple[str, str, str]]:
    """Iterate over what each contrast of a group waits for: group, its output, our input."""
    for item in wanted(group, todo):
        for place, result in enumerate(plan.inputs(item), start=1):
            inlet = f"gather_{item.contrast.label}.in{place}"
            if isinstance(result, RunPlan):
                yield layout.home_of[result.key], "outputnode.maps", inlet
            elif (result.key, item.source_label) in todo.contrasts:
                yield result.key, f"combine_{item.source_label}.estimates", inlet


def node_name(key: str) -> str:
    """Return a plan's key as nipype allows it in the names of nodes, which are folders too."""
    return key.replace("+", "_plus_")
