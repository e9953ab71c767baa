"""What other programs get of a call: summaries, a log in JSON, and what each step took."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.derivatives.dataset import read_state
from bids_fx.workflows.failures import OneAfterTheOther
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

#: Seconds; far more than a short run needs on a busy machine.
PATIENCE = 120
#: MB that Python and the libraries take at least in each process.
SMALLEST_MB = 60
FIT, SPACE = "fitting task-main_", "_space-MNI152NLin2009cAsym"
MEASURES = {"fd_mean", "censored_perc", "tsnr_median"}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Return two participants of two short runs; the second's events are bad."""
    spec = DatasetSpec(shape=(6, 6, 5), n_volumes=60, participants=("01", "02"))
    made = make_dataset(tmp_path_factory.mktemp("data") / "bids", spec)
    for table in made.bids_dir.glob("sub-02/func/*_events.tsv"):
        table.write_text("onset\tduration\ttrial_type\nx\t1\tface\n")
    return made


def command(truth: Truth, out: Path, *words: str) -> list[str]:
    options = ["--skip-bids-validation", "--contrast", "face", *words]
    return [
        sys.executable,
        "-m",
        "bids_fx",
        str(truth.bids_dir),
        str(out),
        "participant",
        *options,
    ]


def call(truth: Truth, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(truth, out, *words), capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def newest(out: Path, name: str) -> Path:
    """Return a file of the last call's folder of logs."""
    return max(out.glob(f"logs/*/{name}"), key=lambda path: path.stat().st_mtime_ns)


def summary_of(out: Path) -> dict:
    found: dict = json.loads(newest(out, "summary.json").read_text())
    return found


def rows_of(out: Path) -> list[dict[str, str]]:
    head, *lines = newest(out, "resources.tsv").read_text().splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


@pytest.fixture(scope="module")
def done(truth, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return the output folder of a call with two processes, and what it said."""
    out = tmp_path_factory.mktemp("chain") / "out"
    return out, call(truth, out, "--nprocs", "2", "--log-json", "--resource-monitor")


# ---------------------------------------------------------------------------------- summary.json


def test_the_calls_summary_tells_each_participant(done):
    out, _ = done
    told = summary_of(out)
    good, bad = (told["participants"][name] for name in ("sub-01", "sub-02"))
    assert (told["level"], good["state"], bad["state"]) == ("participant", "done", "failed")
    assert good["reasons"] == good["outputs"]["missing"] == []
    assert "_events.tsv" in bad["reasons"][0]
    assert 0 < good["seconds"] <= told["seconds"] < PATIENCE
    # The main process, the one that forks and at least one step's.
    assert told["peak_mb"] >= good["peak_mb"] > 3 * SMALLEST_MB
    assert set(good["worst"]) == MEASURES
    assert good["worst"]["tsnr_median"] > 1


def test_what_was_written_is_what_was_planned(done, truth, tmp_path):
    out, _ = done
    outputs = summary_of(out)["participants"]["sub-01"]["outputs"]
    of_all = {"dataset_description.json", "logs/CITATION.md", "logs/CITATION.bib"}
    planned = call(truth, out, "--dry-run=json", "--participant-label", "01")
    (plan,) = json.loads(planned.stdout)["participants"]
    assert of_all < set(plan["outputs"])
    assert set(outputs["written"]) == {
        path for path in plan["outputs"] if path.startswith("sub-01")
    }


def test_a_call_with_nothing_to_do_writes_the_report_alone_and_needs_less_memory(truth, tmp_path):
    out = tmp_path / "out"
    options = ("--participant-label", "01", "--nprocs", "2")
    assert call(truth, out, *options).returncode == 0
    first = summary_of(out)["participants"]["sub-01"]
    assert call(truth, out, *options).returncode == 0
    again = summary_of(out)["participants"]["sub-01"]
    assert again["outputs"]["written"] == ["sub-01.html"]
    assert 0 < again["seconds"] < PATIENCE
    assert again["peak_mb"] < first["peak_mb"]  # the main process alone
    assert read_state(out, "01")["peak_mb"] == again["peak_mb"]


def test_the_group_takes_seconds_and_memory_from_the_last_call(done, truth):
    out, _ = done
    assert main([str(truth.bids_dir), str(out), "group"]) == 1
    told = json.loads((out / "summary.json").read_text())["participants"]
    own = summary_of(out)["participants"]
    for name in ("sub-01", "sub-02"):
        for key in ("state", "seconds", "peak_mb"):
            assert told[name][key] == own[name][key]
    assert told["sub-01"]["warnings"] == own["sub-01"]["warnings"]
    assert told["sub-01"]["worst"] == own["sub-01"]["worst"]
    assert told["sub-01"]["outputs"]["planned"] == own["sub-01"]["outputs"]["planned"]


def test_nothing_that_must_be_the_same_each_time_tells_time_or_memory(done):
    out, _ = done
    kept = [path for path in out.rglob("*") if path.suffix in (".json", ".html", ".tsv", ".toml")]
    may = {"summary.json", "resources.tsv", "resources.json"}
    for path in kept:
        parts = path.relative_to(out).parts
        if path.name not in may and parts[0] not in (".bids_fx_work", "logs"):
            assert "peak_mb" not in path.read_text(), path


# ------------------------------------------------------------------------------------ --log-json


def test_every_line_is_json_and_standard_output_has_the_reports_alone(done):
    out, found = done
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    assert found.stdout.splitlines() == [str(out / f"sub-{label}.html") for label in ("02", "01")]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    problem = next(line for line in lines if line.get("code") == 65)
    assert problem["participant"] == "02"
    steps = [line for line in lines if line.get("status") == "done"]
    assert {line["participant"] for line in steps} == {"01"}
    assert any(line["task"] == f"{FIT}run-1{SPACE}" for line in steps)
    assert all(line["seconds"] >= 0 for line in steps)
    assert lines[-1]["exit_code"] == found.returncode == 1
    assert lines[-1]["participants"] == {"01": "done", "02": "failed"}


def test_the_level_group_has_the_same_log(done, truth):
    out, _ = done
    words = [sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(out), "group", "--log-json"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    assert found.stdout == f"{out / 'index.html'}\n"
    assert lines[-1]["participants"] == {"01": "done", "02": "failed"}
    assert lines[-1]["exit_code"] == found.returncode == 1


def test_the_last_line_of_a_call_that_is_ended_has_its_code(truth, tmp_path):
    words = command(truth, tmp_path / "out", "--log-json", "--nprocs", "2")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as one:
        assert one.stderr is not None
        said = []
        for line in one.stderr:
            said.append(json.loads(line))
            if said[-1].get("status") == "started":
                one.send_signal(signal.SIGTERM)
                break
        said += [json.loads(line) for line in one.stderr]
    assert one.returncode == 143
    assert said[-1]["exit_code"] == 143


# ---------------------------------------------------------------------------- --resource-monitor


def check_rows(out: Path) -> list[dict[str, str]]:
    rows = rows_of(out)
    described = json.loads(newest(out, "resources.json").read_text())
    assert set(rows[0]) == set(described)
    tasks = [row["task"] for row in rows]
    assert len(set(tasks)) == len(tasks)
    assert {f"{FIT}run-1{SPACE}", f"{FIT}run-2{SPACE}"} < set(tasks)
    assert {row["participant_id"] for row in rows} == {"sub-01"}
    return rows


def test_each_step_has_a_row_with_what_it_took(done):
    out, _ = done
    for row in check_rows(out):
        assert SMALLEST_MB < float(row["peak_mb"]) < 2 * float(row["planned_mb"])
        assert float(row["cpu_seconds"]) >= 0
        assert 0 < float(row["seconds"]) < PATIENCE


def test_each_step_in_the_main_process_has_a_row_too(truth, tmp_path):
    out = tmp_path / "out"
    options = ("--participant-label", "01", "--nprocs", "1", "--resource-monitor")
    assert call(truth, out, *options).returncode == 0
    rows = check_rows(out)
    peaks = [float(row["peak_mb"]) for row in rows]
    assert min(peaks) > SMALLEST_MB
    most = summary_of(out)["participants"]["sub-01"]["peak_mb"]
    assert max(peaks) <= most < max(peaks) + 2 * SMALLEST_MB  # the report may take more


def test_what_a_cluster_runs_is_not_measured_and_that_is_said(truth, tmp_path, monkeypatch, capfd):
    # What the program learns of a scheduler's nodes: that they ended, and nothing else.
    def here(_, arguments):
        return OneAfterTheOther(arguments)

    monkeypatch.setattr("bids_fx.workflows.clusters.cluster_plugin", here)
    (tmp_path / "plugin.yml").write_text("plugin: SLURM\n")
    out = tmp_path / "out"
    plugin = ("--use-plugin", str(tmp_path / "plugin.yml"))
    words = command(truth, out, "--participant-label", "01", *plugin, "--resource-monitor")
    assert main(words[3:]) == 0
    assert "not known where --use-plugin runs them" in capfd.readouterr().err
    assert {row["peak_mb"] for row in check_rows(out)} == {"n/a"}
    assert summary_of(out)["participants"]["sub-01"]["peak_mb"] is None


# --------------------------------------------------------------------------------- repeated calls


def test_the_config_file_that_a_call_leaves_repeats_it(truth, tmp_path, monkeypatch):
    out, again = tmp_path / "out", tmp_path / "again"
    (tmp_path / "filters.json").write_text('{"bold": {"run": 1}}')
    filters = ("--bids-filter-file", str(tmp_path / "filters.json"))
    options = ("--participant-label", "01", "--nprocs", "1", "--noise-model", "ols", *filters)
    assert call(truth, out, *options).returncode == 0
    (tmp_path / "filters.json").unlink()
    config = str(newest(out, "config.toml"))
    monkeypatch.chdir(tmp_path)
    words = [str(truth.bids_dir), str(again), "participant", "--config-file", config]
    assert main(words) == 0
    maps = [sorted(path.name for path in one.rglob("*_statmap.*")) for one in (out, again)]
    assert maps[0] == maps[1]
    assert maps[0]
    assert not [name for name in maps[0] if "run-2" in name]
