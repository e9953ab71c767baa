"""What the report and the dry run say of steps: inputs by their names, reasons, nodes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bids_fx.calls import Call
from bids_fx.cli import dry_run
from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.clusters import read_clusters
from bids_fx.grouping import collapse_lone_runs, group_runs
from bids_fx.methods import render_methods
from bids_fx.records import Plan
from bids_fx.reports.contrast_figures import draw_group_contrast
from bids_fx.reports.html import write_report
from bids_fx.reports.page import ContrastPart
from bids_fx.reports.results import group_part
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import Cell, Step, StepContrast
from tests.small_plans import make_plan, make_run, publish_all, publish_maps

SETTINGS = AnalysisSettings()
CELLS = tuple(Cell(weight=w, labels={"ses": s}) for w, s in ((1.0, "a"), (-1.0, "b")))
SUBJECT = Step(name="subject", level="subject", source="session", over=("ses",))
STEPS = (
    Step(name="session", level="session"),
    SUBJECT,
    replace(
        SUBJECT,
        name="change",
        combination="unweighted",
        contrasts=(StepContrast(name="changed", label="changed", source="face", cells=CELLS),),
    ),
)


def plan_of(*sessions: str, reasons: dict[str, str] | None = None) -> Plan:
    """Return the plan of sessions of two runs; `reasons` are why session b has no face."""
    runs = [
        make_run(f"sub-01_ses-{s}_task-x_run-{r}_space-A", reasons=reasons if s == "b" else None)
        for s in sessions
        for r in "12"
    ]
    collapsed = collapse_lone_runs(runs, SETTINGS, (), STEPS)
    groups, _, _ = group_runs(collapsed, (), SETTINGS, STEPS)
    return make_plan(collapsed, groups, steps=STEPS)


def part_of(plan: Plan, place: int, out_dir: Path, label: str) -> tuple[str, ContrastPart]:
    group = plan.groups[place]
    part = group_part(plan, group, "g", out_dir)
    labels = [item.contrast.label for item in group.contrasts]
    return part.text, part.contrasts[labels.index(label)]


def test_a_group_tells_its_node_and_its_sessions(tmp_path: Path) -> None:
    plan = plan_of("a", "b")
    publish_all(plan, tmp_path)
    text, part = part_of(plan, 2, tmp_path, "face")
    assert text == (
        "Node subject. 2 sessions, weighted by the inverse of their variances: ses-a, ses-b."
    )
    assert part.peaks is not None
    assert [row[0] for row in part.peaks.rows] == ["combined (2 sessions)", "ses-a", "ses-b"]
    assert any(note.startswith("The combined map ") for note in part.notes)
    assert part.influence is not None
    assert part.influence.head[0] == "Session"
    assert part.influence.caption.startswith("What each session does to the peaks")
    assert part.picture is not None
    assert part.picture.caption.startswith("Rows: the combined map, then each session. At")
    assert "the mean image of its first run" in part.picture.caption


def test_contrasts_of_nodes_are_counted_with_those_of_runs(tmp_path: Path) -> None:
    plan = plan_of("a", "b")
    publish_all(plan, tmp_path)
    methods = render_methods([plan], {})
    page = write_report([Call(plan=plan, state="done")], tmp_path, [methods]).read_text()
    # face and face - house of the runs, and what the node 'change' makes
    assert "<strong>3</strong> <span>contrasts</span>" in page


def test_a_contrast_between_sessions_shows_what_it_is_made_from(tmp_path: Path) -> None:
    plan = plan_of("a", "b")
    publish_all(plan, tmp_path)
    text, part = part_of(plan, 3, tmp_path, "changed")
    assert text.startswith("Node change. 2 sessions, each with the same weight")
    assert part.formula == "face[ses-a] - face[ses-b]"
    assert part.picture is not None
    assert "each session's face" in part.picture.caption
    assert part.peaks is not None
    assert [row[1] for row in part.peaks.rows] == ["8.00"] * 3
    assert part.influence is None
    assert not any("peak" in note for note in part.notes)


def test_a_session_without_a_result_is_named_with_its_reason(tmp_path: Path) -> None:
    plan = plan_of("a", "b", reasons={"face": "no event"})
    publish_all(plan, tmp_path)
    _, part = part_of(plan, 2, tmp_path, "face")
    assert "ses-b is left out: no run of it can estimate it: no event." in part.notes
    _, part = part_of(plan, 3, tmp_path, "changed")
    assert part.notes[0] == "There is no map of it: no result of session b."
    assert part.picture is None


def test_the_sidecar_tells_each_run_that_does_not_enter_and_why() -> None:
    plan = plan_of("a", "b", reasons={"face": "no event"})
    group = plan.groups[2]
    item = next(item for item in group.contrasts if item.contrast.label == "face")
    facts = sidecars.group_image(plan, group, item, {})
    names = [str(run.entities) for run in plan.runs]
    why = "no run of it can estimate it: no event"
    assert facts["Runs"] == names[:2]
    assert facts["RunsLeftOut"] == dict.fromkeys(names[2:], why)
    assert facts["Inputs"] == ["sub-01_ses-a_task-x_space-A"]
    assert facts["InputsLeftOut"] == {"sub-01_ses-b_task-x_space-A": why}
    inner = replace(plan.runs[1], contrasts=())
    runs = (plan.runs[0], inner, *plan.runs[2:])
    groups, _, _ = group_runs(runs, (), SETTINGS, STEPS)
    other = replace(plan, runs=runs, groups=groups)
    facts = sidecars.group_image(other, groups[2], groups[2].contrasts[0], {})
    assert facts["RunsLeftOut"][names[1]] == "this run has no map of it"


def test_the_figure_and_clusters_are_of_the_sessions_maps(tmp_path: Path) -> None:
    plan = plan_of("a", "b")
    publish_maps(plan, tmp_path)
    drawn = draw_group_contrast(plan, plan.groups[3], "changed", tmp_path)
    assert drawn["z"].stat().st_size > 1000
    assert {name for name, _ in read_clusters(drawn["clusters"])} == {"combined"}
    alone = replace(plan.groups[3], not_written="a reason")
    plan = replace(plan, groups=(*plan.groups[:3], alone))
    drawn = draw_group_contrast(plan, alone, "changed", tmp_path)
    assert {name for name, _ in read_clusters(drawn["clusters"])} == {
        "session_ses-a_task-x_space-A",
        "session_ses-b_task-x_space-A",
    }


def test_a_figure_needs_the_sessions_maps_of_the_source(tmp_path: Path) -> None:
    plan = plan_of("a", "b")
    group = plan.groups[3]
    shown = set(paths.shown_maps(plan, group, group.contrasts[0]))
    for session in plan.groups[:2]:
        assert paths.statmap(session.entities, "face", "z") in shown
    assert paths.statmap(group.entities, "changed", "z") in shown
    assert {path for path in shown if "boldref" in path.name} == {
        paths.mean_image(run.entities) for run in plan.runs
    }


def test_the_dry_run_tells_nodes_inputs_and_reasons() -> None:
    plan = plan_of("a", "b", reasons={"face": "no event"})
    lines = dry_run.as_text([plan], SETTINGS).splitlines()
    assert "  session sub-01_ses-a_task-x_space-A: 2 run(s) (node 'session', weighted)" in lines
    assert "  subject sub-01_task-x_space-A: 2 session(s) (node 'change', unweighted)" in lines
    (told,) = (line for line in lines if line.startswith("    changed"))
    assert told.startswith("    changed: 0 of 2 sessions; NOT ESTIMABLE: no result of session b")


def test_runs_of_no_node_are_told_without_one() -> None:
    runs = collapse_lone_runs([make_run("sub-01_task-x_run-1_space-A")], SETTINGS, (), ())
    groups, _, _ = group_runs(runs, (), SETTINGS, ())
    lines = dry_run.as_text([make_plan(runs, groups, steps=STEPS)], SETTINGS).splitlines()
    place = lines.index("  subject sub-01_task-x_space-A: 1 run(s)")
    assert lines[place + 1] == "    not written: the analysis does not combine them"


def test_the_dry_run_as_json_tells_inputs_and_the_runs_beneath() -> None:
    plan = plan_of("a", "b")
    groups = json.loads(dry_run.as_json([plan], SETTINGS))["participants"][0]["groups"]
    subject, change = groups[2:]
    keys = [run.key for run in plan.runs]
    assert (subject["node"], subject["runs"]) == ("subject", keys)
    assert subject["inputs"] == [group.key for group in plan.groups[:2]]
    (item,) = change["contrasts"]
    assert item["formula"] == "face[ses-a] - face[ses-b]"
    assert item["runs"] == keys
    assert item["inputs"] == subject["inputs"]
    assert "inputs" not in groups[0]
