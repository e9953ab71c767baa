"""The quality of all runs beside each other, and the limits that they break."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.derivatives import paths
from bids_fx.quality import BY_NAME
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit, ReportSettings
from bids_fx.reports.page import QualityPart
from bids_fx.reports.run_quality import COLUMNS, quality_part
from tests.small_plans import make_plan, make_run_maps

STILL = {"fd_mean": 0.125, "tsnr_median": 61.25, "vif_max": 1.5}
MOVED = {"fd_mean": 0.625, "tsnr_median": 18.0, "vif_max": None, "n_censored": 7}


def made(
    out_dir: Path, *runs: Mapping[str, object], limits: Sequence[QualityLimit] = ()
) -> QualityPart:
    """Publish the measures of the first runs of a plan, and gather them."""
    plan = replace(make_plan(), report=ReportSettings(quality_limits=tuple(limits)))
    publish(plan, out_dir, runs)
    part = quality_part(plan, out_dir)
    assert part is not None
    return part


def publish(plan: Plan, out_dir: Path, runs: Sequence[Mapping[str, object]]) -> None:
    for run, measures in zip(plan.runs, runs, strict=False):
        path = out_dir / paths.quality(run.entities)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measures))


def test_runs_are_rows_and_measures_that_any_has_are_columns(tmp_path: Path) -> None:
    table = made(tmp_path, STILL, MOVED).table
    assert table.head == ("Run", "Mean FD (mm)", "Median tSNR", "Largest VIF")
    assert table.rows == (
        ("task-x run-1", "0.125", "61.25", "1.5"),
        ("task-x run-2", "0.625", "18", "n/a"),
    )
    assert table.caption.endswith("No limit was set for them (--qc-fail).")
    assert set(table.tones) == {"missing"}


def test_value_just_beyond_its_limit_has_the_digits_that_say_so(tmp_path: Path) -> None:
    limit = QualityLimit(measure="fd_mean", sign=">", value=0.5)
    table = made(tmp_path, {"fd_mean": 0.50001}, {"fd_mean": 0.61234567}, limits=[limit]).table
    assert [row[1] for row in table.rows] == ["0.50001, above 0.5", "0.6123, above 0.5"]


def test_broken_limit_is_told_in_its_cell_and_counted(tmp_path: Path) -> None:
    limits = [
        QualityLimit(measure="fd_mean", sign=">", value=0.5),
        QualityLimit(measure="tsnr_median", sign="<", value=20.0),
    ]
    table = made(tmp_path, STILL, MOVED, limits=limits).table
    assert table.rows[0][1:3] == ("0.125", "61.25")
    assert table.rows[1][1:3] == ("0.625, above 0.5", "18, below 20")
    assert table.tones["0.625, above 0.5"] == table.tones["18, below 20"] == "bad"
    assert len(table.tones) == 3
    assert table.caption.endswith(
        "Limits: a run fails with fd_mean above 0.5, tsnr_median below 20; 1 run breaks one."
    )


def test_measure_with_a_limit_is_shown_though_it_is_not_a_main_one(tmp_path: Path) -> None:
    limits = [QualityLimit(measure="n_censored", sign=">", value=9.0)]
    table = made(tmp_path, STILL, MOVED, limits=limits).table
    assert table.head[-1] == "Censored scans"
    assert [row[-1] for row in table.rows] == ["n/a", "7"]
    assert table.caption.endswith("0 runs break one.")


def test_limit_of_a_measure_that_no_run_has_is_told_as_not_applied(tmp_path: Path) -> None:
    white = QualityLimit(measure="white_median", sign=">", value=0.1)
    fd = QualityLimit(measure="fd_mean", sign=">", value=0.5)
    idle = "Not applied, as no run has a value of it: white_median above 0.1."
    caption = made(tmp_path, STILL, MOVED, limits=[white]).table.caption
    assert caption == f"Main quality measures of each run. {idle}"
    caption = made(tmp_path, STILL, MOVED, limits=[white, fd]).table.caption
    assert caption.endswith(f"with fd_mean above 0.5; 1 run breaks one. {idle}")


def test_run_without_published_measures_is_missing(tmp_path: Path) -> None:
    table = made(tmp_path, STILL).table
    assert table.rows[1] == ("task-x run-2", "missing", "missing", "missing")
    assert table.tones["missing"] == "bad"


def test_legend_says_what_each_column_is_and_what_is_bad(tmp_path: Path) -> None:
    part = made(tmp_path, STILL, MOVED)
    assert [name for name, _ in part.legend] == list(part.table.head[1:])
    meanings = dict(part.legend)
    description = BY_NAME["fd_mean"].description
    assert meanings["Mean FD (mm)"] == f"{description}. Large values are bad. In qc.tsv: fd_mean."
    assert "Small values are bad." in meanings["Median tSNR"]


def test_run_that_was_fitted_again_is_left_to_the_newer_analysis(tmp_path: Path) -> None:
    plan = make_plan()
    publish(plan, tmp_path, [STILL, MOVED])
    part = quality_part(replace(plan, replaced=frozenset({plan.runs[0].key})), tmp_path)
    assert part is not None
    assert [row[0] for row in part.table.rows] == ["task-x run-2"]


def test_maps_made_beforehand_have_no_quality(tmp_path: Path) -> None:
    run = make_run_maps(tmp_path, "sub-01_task-x", effect=1.0, variance=1.0, dof=9.0)
    assert quality_part(make_plan((run,)), tmp_path) is None
    assert quality_part(make_plan(()), tmp_path) is None


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_documented_measures(name: str) -> None:
    assert BY_NAME[name].description
