"""The printed plan: for people, and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

from bids_fx.cli.dry_run import as_json, as_text
from bids_fx.derivatives import paths
from bids_fx.errors import Notice, Problem
from tests.small_plans import make_plan


def test_text_tells_runs_conditions_confounds_contrasts_outputs_and_memory():
    plan = make_plan()
    text = as_text([plan], plan.settings)
    for run in plan.runs:
        assert f"Run {run.entities}" in text
        assert all(f"contrast {item.contrast.label}" in text for item in run.contrasts)
    for words in ("scans, TR", "conditions (events)", "confounds:", "censored scans:", "memory"):
        assert words in text
    assert all(f"    {path}" in text for path in paths.expected_outputs(plan))


def test_text_tells_why_a_run_cannot_estimate_a_contrast():
    plan = make_plan()
    run = plan.runs[0]
    item = replace(run.contrasts[0], reason="no event at all", weights=(), efficiency=None)
    changed = replace(plan, runs=(replace(run, contrasts=(item,)), *plan.runs[1:]))
    text = as_text([changed], plan.settings)
    assert "NOT ESTIMABLE: no event at all" in text


def test_text_tells_problems_and_notices():
    problem = Problem(where="a.tsv", found="empty", remedy="fill it")
    plan = replace(make_plan(), problems=(problem,), notices=(Notice(text="look here"),))
    text = as_text([plan], plan.settings)
    assert "ERROR a.tsv: empty; fill it." in text
    assert "WARNING look here" in text


def test_json_holds_the_whole_plan():
    plan = make_plan()
    document = json.loads(as_json([plan], plan.settings))
    (participant,) = document["participants"]
    assert participant["outputs"] == [str(path) for path in paths.expected_outputs(plan)]
    assert [run["run"] for run in participant["runs"]] == [str(r.entities) for r in plan.runs]
    assert document["settings"]["noise_model"] == plan.settings.noise_model
    first = participant["runs"][0]
    assert {"scans", "conditions", "confounds", "rank", "dof", "mem_gb"} <= first.keys()
    assert first["dof"] == first["scans"] - first["rank"]
