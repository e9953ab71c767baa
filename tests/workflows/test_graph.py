"""The workflow is the plan: a fit per run, a join per contrast, nothing that is done already."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from nipype.pipeline import engine as pe
from nipype.pipeline.engine.utils import generate_expanded_graph

from bids_fx.grouping import collapse_lone_runs, group_runs
from bids_fx.memory import Allowance
from bids_fx.records import Plan, RunPlan, Todo
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Step
from bids_fx.workflows.base import init_bids_fx_wf, last_message
from bids_fx.workflows.tasks import describe_node, is_idle
from tests.small_plans import make_run

SETTINGS = AnalysisSettings()
ALLOWANCE = Allowance(n_procs=4, fit_threads=2, join_threads=3, mem_gb=8.0, own_gb=0.4)


def plan_of(*names: str, steps: tuple[Step, ...] | None = None) -> Plan:
    runs: tuple[RunPlan, ...] = tuple(make_run(f"{name}_space-A") for name in names)
    runs = collapse_lone_runs(runs, SETTINGS, (), steps)
    groups, _, _ = group_runs(runs, (), SETTINGS, steps)
    return Plan(participant="01", settings=SETTINGS, runs=runs, groups=groups)


def contrasts_of(plan: Plan, *groups: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        (group.key, item.contrast.label)
        for group in plan.groups
        for item in group.estimable
        if group.key in groups
    )


def joined(plan: Plan, *groups: str, runs: frozenset[str] = frozenset()) -> Todo:
    """Return that groups are combined, after some runs are fitted."""
    contrasts = contrasts_of(plan, *groups)
    return Todo(runs=runs, groups=frozenset(groups), contrasts=contrasts)


def all_of(plan: Plan) -> Todo:
    return Todo(
        runs=frozenset(run.key for run in plan.runs),
        groups=frozenset(group.key for group in plan.written_groups),
        contrasts=contrasts_of(plan, *(group.key for group in plan.written_groups)),
        group_figures=frozenset(
            (group.key, item.contrast.label) for group in plan.groups for item in group.estimable
        ),
        run_figures=frozenset(run.key for run in plan.runs),
        fit_figures=frozenset(run.key for run in plan.runs),
    )


def expanded(plan: Plan, todo: Todo, tmp_path: Path):
    workflow: pe.Workflow = init_bids_fx_wf(
        [(plan, todo)], out_dir=tmp_path, work_dir=tmp_path, allowance=ALLOWANCE
    )
    return generate_expanded_graph(workflow._create_flat_graph())


def counts(graph) -> Counter[str]:
    return Counter(node.name.split("_task-")[0] for node in graph.nodes())


RUNS = ("sub-01_task-x_run-1", "sub-01_task-x_run-2", "sub-01_task-x_run-3")
SESSIONS = tuple(
    f"sub-01_ses-{s}_task-x_run-{r}" for s, n in (("a", 2), ("b", 1)) for r in range(n)
)


def named(graph, name: str) -> list[pe.Node]:
    return [node for node in graph.nodes() if node.name == name]


def before(graph, node: pe.Node) -> Counter[str]:
    """Return the names of the nodes that a node waits for."""
    return Counter(one.name for one in graph.predecessors(node))


def test_each_run_is_fitted_once_and_joined_once_by_each_contrast(tmp_path):
    plan = plan_of(*RUNS)
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 3
    labels = [item.contrast.label for item in plan.groups[0].estimable]
    assert len(labels) > 1
    for label in labels:
        (join,) = named(graph, f"combine_{label}")
        assert before(graph, join) == {"fit_run": 3}
        assert join.interface.inputs.label == label


def test_a_figure_waits_for_its_own_contrast_alone(tmp_path):
    plan = plan_of(*RUNS)
    graph = expanded(plan, all_of(plan), tmp_path)
    for item in plan.groups[0].estimable:
        (figure,) = named(graph, f"draw_{item.contrast.label}")
        assert before(graph, figure) == {f"combine_{item.contrast.label}": 1}


def test_the_mask_of_a_group_waits_for_all_its_contrasts(tmp_path):
    plan = plan_of(*RUNS)
    graph = expanded(plan, all_of(plan), tmp_path)
    (mask,) = named(graph, "join_masks")
    (merge,) = graph.predecessors(mask)
    labels = [item.contrast.label for item in plan.groups[0].estimable]
    assert before(graph, merge) == {f"combine_{label}": 1 for label in labels}


def test_a_contrast_that_is_combined_alone_makes_nothing_that_tells_of_all(tmp_path):
    plan = plan_of(*RUNS)
    todo = Todo(contrasts=frozenset({(plan.groups[0].key, "face")}))
    assert counts(expanded(plan, todo, tmp_path)) == {"fit_run": 3, "combine_face": 1}


@pytest.mark.parametrize("names", [RUNS, SESSIONS])
def test_runs_without_any_contrast_are_fitted_all_the_same(tmp_path, names):
    plan = plan_of(*names)
    groups = tuple(replace(group, contrasts=()) for group in plan.groups)
    plan = replace(plan, groups=groups)
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 3
    assert not any(
        node.name.startswith(("combine", "draw", "join", "merge")) for node in graph.nodes()
    )


def test_sessions_are_joined_each_and_together_from_their_runs(tmp_path):
    plan = plan_of(*SESSIONS)
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 3
    (merge,) = named(graph, "merge_sessions")
    assert before(graph, merge) == {"outputnode": 2}
    for item in plan.groups[0].estimable:
        joins = named(graph, f"combine_{item.contrast.label}")
        waits = sorted(list(before(graph, join).items()) for join in joins)
        assert waits == [[("fit_run", 1)], [("fit_run", 2)], [("merge_sessions", 1)]]
    ends = [node for merged in graph.predecessors(merge) for node in graph.predecessors(merged)]
    assert set(ends) == set(named(graph, "fit_run"))


CHAIN = (
    Step(name="session", level="session"),
    Step(name="subject", level="subject", source="session", over=("ses",)),
)
FOUR = tuple(f"sub-01_ses-{s}_task-x_run-{r}" for s in "ab" for r in "12")


def test_a_chained_contrast_waits_for_the_sessions_joins_of_that_contrast(tmp_path):
    plan = plan_of(*FOUR, steps=CHAIN)
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 4
    for item in plan.groups[0].estimable:
        label = item.contrast.label
        joins = named(graph, f"combine_{label}")
        assert [dict(before(graph, join)) for join in joins] == [
            {"fit_run": 2},
            {"fit_run": 2},
            {f"gather_{label}": 1},
        ]
        (gather,) = named(graph, f"gather_{label}")
        assert set(graph.predecessors(gather)) == set(joins[:2])
        figures = named(graph, f"draw_{label}")
        assert [dict(before(graph, one)) for one in figures] == [{f"combine_{label}": 1}] * 3


def test_sessions_that_are_done_have_no_node_though_they_are_combined(tmp_path):
    plan = plan_of(*FOUR, steps=CHAIN)
    first, second, subject = (group.key for group in plan.groups)
    graph = expanded(plan, joined(plan, second, subject), tmp_path)
    assert counts(graph)["fit_run"] == 2
    (gather,) = named(graph, "gather_face")
    assert len(list(graph.predecessors(gather))) == 1
    assert list(gather.inputs.in1) == [f"{first}/face/{s}" for s in ("effect", "variance", "dof")]
    graph = expanded(plan, joined(plan, subject), tmp_path)
    assert not named(graph, "fit_run")
    assert len(named(graph, "combine_face")) == 1
    assert before(graph, named(graph, "combine_face")[0]) == {"gather_face": 1}


def test_a_figure_of_chained_results_waits_for_what_it_shows(tmp_path):
    plan = plan_of(*FOUR, steps=CHAIN)
    subject = plan.groups[-1].key
    graph = expanded(plan, Todo(group_figures=frozenset({(subject, "face")})), tmp_path)
    assert counts(graph) == {"gather_face": 1, "draw_face": 1}


def test_a_lone_run_is_taken_into_a_chain_from_where_it_is_fitted(tmp_path):
    plan = plan_of("sub-01_ses-a_task-x", *FOUR[2:], steps=CHAIN)
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 3
    (gather,) = named(graph, "gather_face")
    assert before(graph, gather) == {"outputnode": 1, "combine_face": 1}


def test_each_run_is_fitted_once_where_groups_overlap(tmp_path):
    steps = (
        Step(name="directions", level="subject", over=("run", "acq")),
        Step(name="acquisitions", level="subject", over=("run", "dir")),
    )
    names = [f"sub-01_task-x_acq-{a}_dir-{d}" for a in "hl" for d in ("AP", "PA")]
    plan = plan_of(*names, steps=steps)
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 4
    joins = named(graph, "combine_face")
    assert sorted(list(before(graph, join).items()) for join in joins) == [
        *([("fit_run", 2)], [("fit_run", 2)]),
        *([("merge_sessions", 1)], [("merge_sessions", 1)]),
    ]
    for merge in named(graph, "merge_sessions"):
        assert before(graph, merge) == {"outputnode": 2}


def test_runs_that_nothing_combines_are_fitted_and_drawn(tmp_path):
    plan = plan_of(*FOUR[:2], steps=())
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 2
    (figure,) = named(graph, "draw_face")
    assert before(graph, figure) == {"fit_run": 2}
    assert not any(node.name.startswith("combine") for node in graph.nodes())


def test_a_lone_run_is_fitted_too(tmp_path):
    plan = plan_of("sub-01_task-x")
    graph = expanded(plan, all_of(plan), tmp_path)
    assert counts(graph)["fit_run"] == 1


def test_groups_that_are_done_have_no_node(tmp_path):
    plan = plan_of(*RUNS, "sub-01_task-y_run-1", "sub-01_task-y_run-2")
    key = next(run.key for run in plan.runs if "task-y_run-1" in run.key)
    (group,) = (group.key for group in plan.groups if key in group.input_keys)
    graph = expanded(plan, joined(plan, group, runs=frozenset({key})), tmp_path)
    # Both runs of the group, since the join needs the other one's maps.
    assert counts(graph)["fit_run"] == 2
    assert counts(graph)["combine_face"] == 1


@pytest.mark.parametrize("names", [RUNS, SESSIONS])
def test_figures_of_what_is_combined_already_wait_for_the_runs(tmp_path, names):
    plan = plan_of(*names)
    group = plan.groups[-1]
    graph = expanded(plan, Todo(group_figures=frozenset({(group.key, "face")})), tmp_path)
    (figure,) = named(graph, "draw_face")
    assert before(graph, figure) == ({"fit_run": 3} if names is RUNS else {"merge_sessions": 1})
    assert not any(node.name.startswith(("combine", "join")) for node in graph.nodes())


def test_maps_of_runs_go_to_no_node_where_nothing_over_sessions_is_due(tmp_path):
    plan = plan_of(*SESSIONS)
    runs = frozenset(run.key for run in plan.runs)
    sessions = [group.key for group in plan.groups if group.level == "session"]
    graph = expanded(plan, joined(plan, *sessions, runs=runs), tmp_path)
    assert counts(graph)["combine_face"] == len(sessions) == 2
    assert not named(graph, "outputnode")
    assert not named(graph, "merge_sessions")


def test_an_empty_plan_makes_an_empty_workflow(tmp_path):
    plan = plan_of(*RUNS)
    assert len(expanded(plan, Todo(), tmp_path).nodes()) == 0


def test_nodes_ask_for_the_memory_of_the_plan(tmp_path):
    plan = plan_of(*RUNS)
    runs = tuple(
        replace(run, mem_gb=mem_gb) for run, mem_gb in zip(plan.runs, (1.0, 3.0, 2.0), strict=True)
    )
    groups = tuple(replace(group, mem_gb=0.7) for group in plan.groups)
    plan = replace(plan, runs=runs, groups=groups)
    graph = expanded(plan, all_of(plan), tmp_path)
    # nipype gives all runs of an iteration the same: the largest's.
    assert {n.mem_gb for n in graph.nodes() if n.name == "fit_run"} == {3.0}
    joins = [node for node in graph.nodes() if node.name.startswith(("combine_", "join_masks"))]
    assert {node.mem_gb for node in joins} == {0.7}


def test_nodes_have_the_threads_that_are_allowed(tmp_path):
    plan = plan_of(*RUNS)
    graph = expanded(plan, all_of(plan), tmp_path)
    threads = {
        n.name: (n.n_procs, n.interface.inputs.n_threads)
        for n in graph.nodes()
        if n.name in {"fit_run", "combine_face"}
    }
    assert threads == {"fit_run": (2, 2), "combine_face": (3, 3)}


def test_nodes_that_only_pass_on_take_no_process_and_no_memory(tmp_path):
    plan = plan_of(*SESSIONS)
    graph = expanded(plan, all_of(plan), tmp_path)
    light = [node for node in graph.nodes() if node.run_without_submitting]
    assert {node.name for node in light} == {"outputnode", "merge_sessions", "merge_contrasts"}
    assert {node.mem_gb for node in light} == {0.0}


@pytest.mark.parametrize(
    ("name", "folder", "told"),
    [
        ("n.sub_01.subject_x.combine_face", "/w/combine_face", "combining face of subject_x"),
        ("n.sub_01.subject_x.join_masks", "/w/m", "joining the masks of subject_x"),
        ("n.sub_01.figures_task-x_run-1", "/w/f", "drawing the design of task-x_run-1"),
        ("n.sub_01.subject_x.merge_sessions", "/w/m", ""),
    ],
)
def test_a_node_is_told_in_words(name, folder, told):
    assert describe_node(name, folder) == ("01", told)


def test_an_empty_crash_file_has_a_message_too():
    assert last_message("\n") == "the crash file is empty"


def test_a_node_that_only_passes_on_what_is_done_is_idle():
    fit = SimpleNamespace(todo={"task-x_run-1"})
    assert is_idle(fit, "/w/_run_task-x_run-2/fit_run")
    assert not is_idle(fit, "/w/_run_task-x_run-1/fit_run")
    assert not is_idle(SimpleNamespace(), "/w/draw_face")
