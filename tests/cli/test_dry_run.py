"""The printed plan: for people, and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.cli.dry_run import as_json, as_text
from bids_fx.derivatives import paths
from bids_fx.errors import Notice, Problem
from bids_fx.inputs import Absence
from tests.small_plans import (
    FACE,
    FACE_HOUSE,
    entities,
    make_contrast,
    make_group,
    make_plan,
    make_run,
)


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
    item = replace(run.contrasts[0], reason="no event at all", rows=(), efficiency=())
    changed = replace(plan, runs=(replace(run, contrasts=(item,)), *plan.runs[1:]))
    text = as_text([changed], plan.settings)
    assert "NOT ESTIMABLE: no event at all" in text


def test_text_tells_a_run_without_events_from_one_whose_design_was_made_beforehand():
    plan = make_plan()
    source = replace(plan.runs[0].source, conditions=())
    texts = [
        as_text([replace(plan, runs=(replace(plan.runs[0], source=one),))], plan.settings)
        for one in (source, replace(source, design_file=Path("run-1_design.tsv")))
    ]
    assert "conditions (events): none" in texts[0]
    assert "conditions (events): those of a design made beforehand" in texts[1]


def table_of(text: str) -> list[str]:
    """Return the lines of the table of runs by contrasts."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("  Runs by contrasts"))
    rest = lines[first + 1 :]
    return rest[: next(i for i, line in enumerate(rest) if not line.startswith("    "))]


def with_gaps(contrasts=(FACE, FACE_HOUSE)):
    """Return a plan of two runs without a third; one cannot estimate the first contrast."""
    first = make_run("sub-01_task-x_run-1", contrasts=contrasts)
    reasons = {contrasts[0].label: "no face"}
    second = make_run("sub-01_task-x_run-2", contrasts=contrasts, reasons=reasons)
    choice = replace(second.confounds, missing={"acompcor": "3 of 5 columns"})
    third = Absence(entities=entities("sub-01_task-x_run-3"), reason="it has no events")
    runs = (first, replace(second, confounds=choice))
    group = make_group("sub-01_task-x", runs, absent={str(third.entities): third.reason})
    return make_plan(runs, (group,), absent=(third,))


def test_text_has_a_table_of_runs_by_contrasts_where_any_is_missing():
    plan = with_gaps()
    assert table_of(as_text([plan], plan.settings)) == [
        "                  face  faceGthouse",
        "    task-x_run-1  +     +",
        "    task-x_run-2  a     +",
        "    task-x_run-3  b     b",
        "    a: no face",
        "    b: the run is left out, since it has no events",
    ]
    assert "Runs by contrasts" not in as_text([make_plan()], plan.settings)


def test_wide_table_of_runs_by_contrasts_numbers_them():
    contrasts = [make_contrast(f"condition{i}" * 3, face=1.0) for i in range(4)]
    plan = with_gaps(tuple(contrasts))
    assert table_of(as_text([plan], plan.settings))[:6] == [
        "                  1  2  3  4",
        "    task-x_run-1  +  +  +  +",
        "    task-x_run-2  a  +  +  +",
        "    task-x_run-3  b  b  b  b",
        f"    1: {contrasts[0].label}",
        f"    2: {contrasts[1].label}",
    ]


def test_text_tells_missing_confounds_and_absent_runs():
    plan = with_gaps()
    text = as_text([plan], plan.settings)
    assert "    MISSING confounds acompcor: 3 of 5 columns\n" in text
    assert "    absent sub-01_task-x_run-3: it has no events\n" in text


def test_json_tells_missing_confounds_and_absent_runs():
    plan = with_gaps()
    (found,) = json.loads(as_json([plan], plan.settings))["participants"]
    absent = {"sub-01_task-x_run-3": "it has no events"}
    assert (found["absent"], found["groups"][0]["absent"]) == (absent, absent)
    assert [run["confounds_missing"] for run in found["runs"]] == [
        {},
        {"acompcor": "3 of 5 columns"},
    ]


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


def with_contrast(**fields):
    """Return a plan whose first run has one contrast, an F test of two rows if not said."""
    plan = make_plan()
    run = plan.runs[0]
    given = {
        "contrast": replace(run.contrasts[0].contrast, test="F"),
        "rows": ((("face", 1.0),), (("house", -0.5),)),
        "efficiency": (2.25, 4.5),
        "inflation": (1.25, 12.34),
    }
    item = replace(run.contrasts[0], **(given | fields))
    return replace(plan, runs=(replace(run, contrasts=(item,)), *plan.runs[1:]))


def test_text_shows_efficiency_and_inflation_of_every_row():
    plan = with_contrast(inflation=(1.25, float("nan")))
    text = as_text([plan], plan.settings)
    assert "estimable, efficiency 2.25 / 4.5, VIF 1.25 / n/a\n" in text
    assert "WARNING" not in text


@pytest.mark.parametrize(("test", "of_row"), [("F", " of row 2"), ("t", "")])
def test_text_warns_of_contrasts_that_collinearity_inflates(test, of_row):
    plan = with_contrast()
    if test == "t":
        contrast = replace(plan.runs[0].contrasts[0].contrast, test="t")
        plan = with_contrast(contrast=contrast, efficiency=(4.5,), inflation=(12.34,))
    words = "correlations between regressors make its variance 12.3 times as large"
    assert f"WARNING VIF 12.3{of_row}: {words}\n" in as_text([plan], plan.settings)


def test_json_tells_what_each_contrast_tests_and_how_well():
    plan = with_contrast()
    document = json.loads(as_json([plan], plan.settings))
    (item,) = document["participants"][0]["runs"][0]["contrasts"]
    assert (item["test"], item["rows"]) == ("F", [{"face": 1.0}, {"house": -0.5}])
    assert (item["efficiency"], item["variance_inflation"]) == ([2.25, 4.5], [1.25, 12.34])
    (warning,) = item["warnings"]
    assert warning.startswith("VIF 12.3 of row 2:")


def test_json_has_null_for_an_inflation_that_is_no_number():
    plan = with_contrast(inflation=(float("nan"), float("inf")))
    (item,) = json.loads(as_json([plan], plan.settings), parse_constant=pytest.fail)[
        "participants"
    ][0]["runs"][0]["contrasts"]
    assert item["variance_inflation"] == [None, None]
