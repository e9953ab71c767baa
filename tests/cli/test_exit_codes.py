"""Exit codes as other programs see them: one real call for each, and what is said of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bids_fx.cli.boutiques import descriptor
from bids_fx.errors import ExitCode
from tests.small_outputs import fail, finish
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Return a dataset of one short run; never written to."""
    spec = DatasetSpec(shape=(4, 4, 4), n_volumes=40, runs=("1",))
    return make_dataset(tmp_path_factory.mktemp("data") / "bids", spec)


@pytest.fixture
def call(truth: Truth, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what calls the program with the dataset, or with other positionals."""

    def run(*words: str, bids: Path = truth.bids_dir, out: Path = tmp_path / "out"):
        level = () if "group" in words else ("participant",)
        command = [sys.executable, "-m", "bids_fx", str(bids), str(out), *level, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def copied(truth: Truth, folder: Path) -> Path:
    """Return a copy of the dataset that may be spoilt."""
    spec = DatasetSpec(shape=(4, 4, 4), n_volumes=40, runs=("1",))
    return make_dataset(folder / "bids", spec).bids_dir


def test_0_if_every_planned_output_exists_and_nothing_but_results_is_on_standard_output(
    call, tmp_path
):
    done = call("--skip-bids-validation", "--contrast", "face", "--nprocs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out' / 'sub-01.html'}\n"


def test_1_if_somebody_failed(call, tmp_path):
    finish(tmp_path / "out", "01")
    fail(tmp_path / "out", "02", "it is damaged")
    done = call("group")
    assert done.returncode == 1
    assert "sub-02" in done.stderr
    assert "it is damaged" in done.stderr


def test_1_if_a_run_breaks_a_limit(call):
    options = ("--skip-bids-validation", "--contrast", "face", "--nprocs", "1")
    assert call(*options, "--qc-fail", "n_scans<1000").returncode == 1


def test_2_if_the_command_line_is_wrong(call):
    assert call("--no-such-option").returncode == 2


def test_16_if_the_dataset_is_not_valid(call, truth, tmp_path):
    bids = copied(truth, tmp_path)
    (bids / "sub-01" / "func" / "sub-01_task-main_dir-_bold.json").write_text("{}")
    (bids / "dataset_description.json").write_text('{"Name": 1}')
    done = call("--dry-run", bids=bids)
    assert done.returncode == 16, done.stderr


def test_17_if_there_is_no_such_level(truth, tmp_path):
    command = [sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(tmp_path), "dataset"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 17


def test_18_if_a_label_selects_nothing(call):
    assert call("--dry-run", "--participant-label", "99").returncode == 18


def test_65_if_data_are_bad(call, truth, tmp_path):
    bids = copied(truth, tmp_path)
    (table,) = bids.glob("sub-01/func/*_events.tsv")
    table.write_text("onset\tduration\ttrial_type\nx\t1\tface\n")
    done = call("--dry-run", "--skip-bids-validation", bids=bids)
    assert done.returncode == 65, done.stderr


def test_66_if_an_input_is_missing(call, tmp_path):
    assert call("--dry-run", bids=tmp_path / "absent").returncode == 66


def test_73_if_the_output_cannot_be_created(call, tmp_path):
    (tmp_path / "file").touch()
    done = call("--skip-bids-validation", out=tmp_path / "file" / "out")
    assert done.returncode == 73, done.stderr


def test_74_if_writing_fails(truth, tmp_path):
    # As on a full disk: no file may grow beyond some blocks.
    command = [sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(tmp_path / "out")]
    options = ["participant", "--skip-bids-validation", "--nprocs", "1", "--contrast", "face"]
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command, *options]
    done = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert done.returncode == 74, done.stderr


def told() -> dict[int, str]:
    """Return the meanings of README's table, by code."""
    table = README.partition("## Exit codes")[2].partition("\n\n## ")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \| (.+) \|$", table, re.MULTILINE)
    return {int(code): text for codes, text in rows for code in codes.split(",")}


def test_the_readme_and_the_descriptor_have_every_code():
    spec = descriptor("1.0", "A program.")
    errors = spec["error-codes"]
    assert isinstance(errors, list)
    assert set(told()) == {int(code) for code in ExitCode}
    assert {item["code"] for item in errors} == set(told()) - {0}


def test_problems_have_their_codes_in_json_too(call):
    done = call("--no-such-option", "--log-json", "--nprocs", "0")
    *problems, end = map(json.loads, done.stderr.splitlines())
    assert {line["where"] for line in problems} == {"--no-such-option", "--nprocs"}
    assert {line["code"] for line in problems} == {2}
    assert (end["exit_code"], done.returncode, done.stdout) == (2, 2, "")


def test_a_config_file_can_ask_for_json_of_a_wrong_command_line(call, tmp_path):
    (tmp_path / "presets.toml").write_text("log-json = true\nno-such-option = 1\n")
    done = call("--config-file", str(tmp_path / "presets.toml"))
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["error", "info"]
    assert done.returncode == 2
