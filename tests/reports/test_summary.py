"""The first sentences of a report: what was done, and where to look first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.reports.page import ContrastPart, GroupPart, Link
from bids_fx.reports.summary import best_result, summary_sentences
from bids_fx.settings import AnalysisSettings
from bids_fx.steps import ModelOutline
from tests.small_plans import make_group, make_plan, make_run, make_run_maps


def test_plan_is_told_in_three_sentences() -> None:
    assert summary_sentences(make_plan()) == (
        "The analysis covers 2 runs of the task x.",
        (
            "Each run has a model of its own: HRF spm, cosine drift beyond 128 s, confounds "
            "motion6 and nss, AR(1) noise by REML, no smoothing."
        ),
        "Each contrast is combined over all runs, each weighted by the inverse of its variance.",
    )


def test_plan_without_a_run_is_told_by_nothing() -> None:
    assert summary_sentences(make_plan(())) == ()


def test_tasks_and_sessions_are_named() -> None:
    runs = [make_run(f"sub-01_ses-{s}_task-{t}_run-1") for s in "ab" for t in "xy"]
    assert summary_sentences(make_plan(runs, ()))[0] == (
        "The analysis covers 4 runs of the tasks x, y in 2 sessions."
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"noise_model": "ols"}, "white noise, "),
        ({"drift_model": "none"}, ", no drift, "),
        ({"drift_model": "polynomial:2"}, ", polynomial:2 drift, "),
        ({"high_pass_s": 90.5}, "cosine drift beyond 90.5 s"),
        ({"confounds": ()}, "confounds none, "),
        ({"smoothing_fwhm_mm": 6.0}, ", 6 mm smoothing."),
        ({"hrf_model": "glover"}, "HRF glover"),
    ],
)
def test_settings_of_the_models_are_told(changes: dict[str, object], told: str) -> None:
    plan = replace(make_plan(), settings=AnalysisSettings(**changes))
    assert told in summary_sentences(plan)[1]


def test_model_file_stands_for_the_design() -> None:
    model = ModelOutline(name="mine", file="mine.json", nodes=())
    _, models, combination = summary_sentences(replace(make_plan(), model=model))
    assert models.startswith(
        "Each run has a model of its own: the design of the model file 'mine'"
    )
    assert combination == "Contrasts are combined as the nodes of the model say."


def test_designs_made_beforehand_are_told() -> None:
    runs = [make_run("sub-01_task-x", design_file=Path("/data/design.tsv"))]
    told = "Each run has a model of its own, with its design matrix made beforehand: AR(1)"
    assert summary_sentences(make_plan(runs))[1].startswith(told)


def test_maps_made_beforehand_are_told(tmp_path: Path) -> None:
    runs = [
        make_run_maps(tmp_path, f"sub-01_task-x_run-{i}", effect=1.0, variance=1.0, dof=9.0)
        for i in (1, 2)
    ]
    told = "Effect and variance maps of the runs were made beforehand."
    assert summary_sentences(make_plan(runs))[1] == told


def test_combination_is_told_by_its_levels_and_weights() -> None:
    runs = [make_run(f"sub-01_ses-{s}_task-x_run-{r}") for s in "ab" for r in "12"]
    sessions = [
        make_group(f"sub-01_ses-{s}_task-x", part, level="session", key=f"session_{s}")
        for s, part in (("a", runs[:2]), ("b", runs[2:]))
    ]
    unweighted = AnalysisSettings(combination="unweighted")
    both = make_plan(runs, (*sessions, make_group("sub-01_task-x", runs)), settings=unweighted)
    assert summary_sentences(both)[2] == (
        "Each contrast is combined over the runs of each session, and over all runs, each with "
        "the same weight."
    )
    told = summary_sentences(make_plan(runs, sessions))[2]
    assert told.startswith("Each contrast is combined over the runs of each session, each weight")


def test_run_alone_is_combined_with_nothing() -> None:
    runs = (make_run("sub-01_task-x"),)
    assert summary_sentences(make_plan(runs))[2] == (
        "Nothing is combined: a run alone is the result."
    )
    group = make_group("sub-01_task-x", runs, not_written="the filters leave out some of its runs")
    assert summary_sentences(make_plan(runs, (group,)))[2] == "Nothing is combined."


def part(anchor: str, peak_z: float | None) -> ContrastPart:
    return ContrastPart(anchor=anchor, name=f"<{anchor}>", formula="", notes=(), peak_z=peak_z)


def test_largest_combined_z_of_either_sign_is_where_to_look_first() -> None:
    groups = [
        GroupPart(
            anchor="g",
            title="",
            level="session",
            text="",
            contrasts=(part("a", 3.0), part("b", None)),
        ),
        GroupPart(
            anchor="h",
            title="",
            level="subject",
            text="",
            contrasts=(part("c", 7.456), part("d", -9.0)),
        ),
    ]
    text = "The combined z with the largest absolute value is \N{MINUS SIGN}9.00, of <d>."
    assert best_result(groups) == Link(text=text, goal="d")
    without = [replace(groups[1], contrasts=(part("c", 7.456), part("d", -5.0)))]
    assert best_result(without) == Link(text="The highest combined z is 7.46, of <c>.", goal="c")
    assert best_result(groups[:0]) is None
