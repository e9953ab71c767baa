"""The quality of the runs in the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.derivatives import paths
from bids_fx.derivatives.timeseries import read_traces
from bids_fx.quality import BY_NAME, MEASURES
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit, ReportSettings
from bids_fx.reports.captions import RunFacts, picture_text
from bids_fx.reports.measures import Worst, measures_table, worst_quality
from tests.small_plans import make_plan, make_run, publish_scans

LIMITS = (
    QualityLimit(measure="fd_mean", sign=">", value=0.5),
    QualityLimit(measure="tsnr_median", sign="<", value=20.0),
)


def measured(out_dir: Path, *measures: dict[str, object], limits=()) -> Plan:
    plan = make_plan(report=ReportSettings(quality_limits=limits))
    for run, own in zip(plan.runs, measures, strict=True):
        path = out_dir / paths.quality(run.entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(own))
    return plan


def facts(tmp_path: Path, **measures: object) -> RunFacts:
    run = make_run("sub-01_task-x_run-1", censored=(4,))
    publish_scans(run, tmp_path)
    traces = read_traces(run, tmp_path)
    return RunFacts(run=run, name="run-1", measures=measures, traces=traces)


def test_measures_are_in_their_order_below_what_they_tell_of() -> None:
    table = measures_table({"tsnr_median": 61.25, "n_scans": 40, "fd_mean": None}, ())
    assert table.rows == (
        ("scans", "40", "n_scans"),
        ("framewise displacement, mean (mm)", "n/a", "fd_mean"),
        ("temporal SNR, median", "61.25", "tsnr_median"),
    )
    assert table.headings == {0: "Scans and model", 1: "Motion", 2: "Signal and fit"}


def test_all_measures_have_a_line_of_their_own() -> None:
    table = measures_table(dict.fromkeys(BY_NAME, 1.0), ())
    assert [row[-1] for row in table.rows] == [measure.name for measure in MEASURES]
    assert len({row[0] for row in table.rows}) == len(MEASURES)
    assert len(table.headings) == len({measure.part for measure in MEASURES})


def test_limits_are_marked_beside_their_measures() -> None:
    table = measures_table({"fd_mean": 0.62, "tsnr_median": 61.0, "dof": 3}, LIMITS)
    assert [row[-1] for row in table.rows] == ["", "> 0.5: broken", "< 20: kept"]
    assert table.tones == {"> 0.5: broken": "bad", "< 20: kept": "good"}


def test_a_limit_of_what_is_not_measured_is_neither_kept_nor_broken() -> None:
    table = measures_table({"fd_mean": None}, LIMITS)
    assert table.rows[0][-1] == "> 0.5: not measured"
    assert table.tones == {}


def test_missing_measures_are_told() -> None:
    table = measures_table({}, LIMITS)
    assert (table.caption, table.rows) == ("Quality measures: missing", ())


def test_the_worst_of_all_runs_is_largest_or_lowest_as_the_measure_has_it(tmp_path) -> None:
    plan = measured(
        tmp_path,
        {"fd_mean": 0.25, "tsnr_median": 40.0, "censored_perc": 2.5},
        {"fd_mean": 0.75, "tsnr_median": 50.0, "censored_perc": 0.0},
        limits=LIMITS,
    )
    assert worst_quality([plan], tmp_path) == (
        Worst("largest mean FD", "0.75 mm", "task-x run-2", is_bad=True),
        Worst("most scans censored", "2.5 %", "task-x run-1", is_bad=False),
        Worst("lowest median tSNR", "40", "task-x run-1", is_bad=False),
    )


def test_worst_run_of_several_analyses_or_spaces_names_them(tmp_path) -> None:
    plan = measured(tmp_path, {"fd_mean": 0.25}, {"fd_mean": 0.75})
    assert worst_quality([make_plan(()), plan], tmp_path)[0].run == "task-x run-2 (Analysis 2)"
    spaces = make_plan([make_run(f"sub-01_task-x_run-1_space-{space}") for space in "AB"], ())
    for run, value in zip(spaces.runs, (0.5, 0.25), strict=True):
        (tmp_path / paths.quality(run.entities)).write_text(json.dumps({"fd_mean": value}))
    assert worst_quality([spaces], tmp_path)[0].run == "task-x run-1 space-A"


def test_runs_without_measures_are_not_the_worst(tmp_path) -> None:
    plan = measured(tmp_path, {"fd_mean": None}, {"fd_mean": 0.1})
    assert [worst[1:3] for worst in worst_quality([plan], tmp_path)] == [
        ("0.1 mm", "task-x run-2")
    ]
    assert worst_quality([make_plan()], tmp_path / "none") == ()


def test_runs_that_were_fitted_again_are_not_the_worst(tmp_path) -> None:
    plan = measured(tmp_path, {"fd_mean": 0.9}, {"fd_mean": 0.1})
    plan = replace(plan, replaced=frozenset({plan.runs[0].key}))
    assert [worst.run for worst in worst_quality([plan], tmp_path)] == ["task-x run-2"]


def test_texts_in_place_of_figures_tell_the_numbers(tmp_path) -> None:
    told = facts(
        tmp_path,
        fd_mean=0.125,
        fd_max=0.75,
        fd_perc=2.5,
        tsnr_median=61.25,
        ar1_median=0.25,
        residual_autocorrelation_lag1=0.125,
        whitened_outside_share=0.061,
        vif_max=4.5,
    )
    for kind, words in {
        "design": "6 regressors over 40 scans. Largest variance inflation of a contrast: 4.5",
        "motion": "mean 0.125 mm, largest 0.75 mm, above 0.5 mm in 2.5 % of the scans. "
        "1 of 40 scans is censored.",
        "model": "temporal SNR 61.25, autocorrelation 0.25",
        "whiteness": "before whitening 0.125 at lag 1",
        "carpet": "1 of 40 scans is censored.",
    }.items():
        assert words in picture_text(kind, told).alt
    assert "6.1 % of voxels and lags" in picture_text("whiteness", told).alt


def test_the_residuals_text_names_the_worst_scan(tmp_path) -> None:
    told = facts(tmp_path)
    spread = told.traces.columns["residual_sd"]
    scan = max(range(40), key=lambda scan: spread[scan] if spread[scan] > 0 else 0.0)
    assert f"in scan {scan}. " in picture_text("carpet", told).alt


@pytest.mark.parametrize("kind", paths.run_figures(make_run("sub-01_task-x_run-1")))
def test_every_figure_has_texts_even_without_any_number(kind) -> None:
    run = make_run("sub-01_task-x_run-1")
    bare = RunFacts(run=run.outline(), name="run-1", measures={}, traces=None)
    text = picture_text(kind, bare)
    assert text.title
    assert text.caption.endswith(".")
    assert "run-1" in text.alt


def test_where_the_displacement_is_from_is_told(tmp_path) -> None:
    assert "(as in the confounds table)" in picture_text("motion", facts(tmp_path)).caption
