"""The tables over all participants."""

from __future__ import annotations

import json
from pathlib import Path

from bids_fx.derivatives.across import write_tables
from bids_fx.derivatives.dataset import write_state
from bids_fx.derivatives.standings import read_standing
from bids_fx.quality import MEASURES
from bids_fx.report_settings import QualityLimit
from bids_fx.standing import Overview, Standing
from bids_fx.usage import Taken
from tests.small_outputs import SOFTWARE, fail, finish, plan_of
from tests.small_plans import make_plan, make_run

FIRST = ["participant_id", "session_id", "task", "run", "space", "res", "analysis"]
NAMES = [measure.name for measure in MEASURES]


def overview(out_dir: Path, *labels: str, limits: tuple[QualityLimit, ...] = ()) -> Overview:
    """Return what an output folder holds of some participants."""
    return Overview(
        standings=tuple(read_standing(out_dir, label, limits) for label in labels), limits=limits
    )


def table(out_dir: Path) -> list[dict[str, str]]:
    """Return the rows of ``qc.tsv``."""
    head, *lines = (out_dir / "qc.tsv").read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def read(out_dir: Path, name: str) -> dict:
    return json.loads((out_dir / name).read_text())


# ---------------------------------------------------------------------------------- qc.tsv


def test_each_run_has_a_row_with_what_was_published(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    finish(tmp_path, "02", measures=({"fd_mean": 1 / 3, "n_scans": 40},))
    write_tables(overview(tmp_path, "01", "02"), tmp_path)
    rows = table(tmp_path)
    assert list(rows[0]) == [*FIRST, *NAMES]
    assert [(row["participant_id"], row["run"]) for row in rows] == [
        ("sub-01", "1"),
        ("sub-01", "2"),
        ("sub-02", "1"),
        ("sub-02", "2"),
    ]
    assert [row["fd_mean"] for row in rows] == ["0.25", "0.5", "0.333333", "0.333333"]
    assert [row["n_scans"] for row in rows] == ["40"] * 4
    assert {row["session_id"] for row in rows} == {row["space"] for row in rows} == {"n/a"}
    assert [row["vif_max"] for row in rows] == ["n/a"] * 4


def test_sessions_and_further_entities_have_columns(tmp_path: Path) -> None:
    name = "sub-01_ses-b_task-x_acq-fast_dir-AP_run-1_odd-7_space-A_res-2"
    finish(tmp_path, "01", plan=make_plan((make_run(name),), (), participant="01"))
    write_tables(overview(tmp_path, "01"), tmp_path)
    (row,) = table(tmp_path)
    assert list(row)[: len(FIRST) + 3] == [*FIRST[:4], "acq", "dir", "odd", *FIRST[4:]]
    assert list(row.values())[:9] == ["sub-01", "ses-b", "x", "1", "fast", "AP", "7", "A", "2"]


def test_rows_of_other_settings_are_told_by_their_analysis(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    finish(tmp_path, "02")
    finish(tmp_path, "03", plan=plan_of("03", noise_model="ols"))
    write_tables(overview(tmp_path, "01", "02", "03"), tmp_path)
    names = [row["analysis"] for row in table(tmp_path)]
    assert names[:4] == [names[0]] * 4
    assert names[4:] == [names[4]] * 2
    levels = read(tmp_path, "qc.json")["analysis"]["Levels"]
    assert levels[names[0]] == "that of the most participants"
    assert "noise_model ols, not" in levels[names[4]]


def test_without_any_run_the_table_has_its_head(tmp_path: Path) -> None:
    write_tables(Overview(standings=(Standing(participant="01", state="planned"),)), tmp_path)
    assert (tmp_path / "qc.tsv").read_text() == "\t".join([*FIRST, *NAMES]) + "\n"


def test_every_column_is_described_and_every_measure_has_units(tmp_path: Path) -> None:
    finish(tmp_path, "01", plan=plan_of("01", space="A"))
    write_tables(overview(tmp_path, "01"), tmp_path)
    told = read(tmp_path, "qc.json")
    assert set(told) == set(table(tmp_path)[0])
    assert all(told[name]["Description"] for name in told)
    assert all(told[name]["Units"] for name in NAMES)
    assert told["fd_mean"]["Units"] == "mm"


# ---------------------------------------------------------------------------- summary.json


def test_summary_tells_each_participant_and_the_totals(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    write_state(tmp_path, "01", "done", taken=Taken(seconds=12.34, peak_mb=456.7))
    fail(tmp_path, "02", "it is damaged")
    limit = QualityLimit(measure="fd_mean", sign=">", value=9.0)
    found = overview(tmp_path, "01", "02", limits=(limit,))
    waiting = Standing(participant="03", state="not started")
    write_tables(Overview(standings=(*found.standings, waiting), limits=(limit,)), tmp_path)
    told = read(tmp_path, "summary.json")
    name = found.analyses[0].name
    assert told["participants"]["sub-01"] == {
        "state": "done",
        "reasons": [],
        "runs": 2,
        "runs_left_out": 0,
        "contrasts": ["face", "faceGthouse"],
        "seconds": 12.3,
        "peak_mb": 457,
        "outputs": {"planned": found.standings[0].n_planned, "missing": []},
        "warnings": [],
        "worst": {"fd_mean": 0.5, "censored_perc": 5.0, "tsnr_median": 40.5},
        "analyses": [name],
        "report": "sub-01.html",
    }
    damaged = told["participants"]["sub-02"]
    assert damaged["reasons"] == ["it is damaged"]
    assert "sub-02/func/sub-02_task-x_run-2_desc-qc.json" in damaged["outputs"]["missing"]
    assert all((tmp_path / path).exists() is False for path in damaged["outputs"]["missing"])
    assert (damaged["seconds"], damaged["peak_mb"]) == (None, None)
    assert told["participants"]["sub-03"]["report"] is None
    states = told["totals"].pop("states")
    assert {state: number for state, number in states.items() if number} == {
        "done": 1,
        "failed": 1,
        "not started": 1,
    }
    assert told["totals"] == {
        "participants": 3,
        "runs": 3,
        "runs_left_out": 1,
        "outputs": {
            "planned": sum(one.n_planned for one in found.standings),
            "missing": len(damaged["outputs"]["missing"]),
        },
        "warnings": 0,
        "worst": {"fd_mean": 0.5, "censored_perc": 5.0, "tsnr_median": 40.5},
    }
    assert told["limits"] == ["fd_mean>9"]
    (analysis,) = told["analyses"].values()
    assert (analysis["participants"], analysis["software"]) == (2, SOFTWARE)
    assert analysis["settings"]["hrf_model"] == "spm"
    assert "contrasts" not in analysis["settings"]


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    written = []
    for _ in range(2):
        write_tables(overview(tmp_path, "01"), tmp_path)
        names = ("qc.tsv", "qc.json", "summary.json")
        written.append([(tmp_path / name).read_bytes() for name in names])
    assert written[0] == written[1]
