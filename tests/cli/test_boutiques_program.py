"""The descriptor as Boutiques itself reads it: it is valid, and gives the right command lines."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bids_fx.cli.boutiques import descriptor
from bids_fx.cli.parser import parse

#: Boutiques' program, beside the interpreter that runs the tests.
BOSH = Path(sys.executable).with_name("bosh")
PLACES = {"InputDataset": "/data", "OutputLocation": "/out", "AnalysisLevel": "participant"}
PREFIX = "Generated Command:\n"


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """Return the file of the descriptor, as the program prints it."""
    command = [sys.executable, "-m", "bids_fx", "--bids-exec-spec"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    path = tmp_path / "bids_fx.json"
    path.write_text(done.stdout)
    assert json.loads(done.stdout)["name"] == "bids_fx"
    return path


def bosh(*words: str | Path) -> str:
    """Run Boutiques and return what it prints."""
    done = subprocess.run(
        [BOSH, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def line_of(described: Path, given: dict[str, object]) -> list[str]:
    """Return the words of the command line that an invocation makes."""
    path = described.with_name("invocation.json")
    path.write_text(json.dumps(PLACES | given))
    shown = bosh("exec", "simulate", described, "-i", path)
    assert shown.startswith(PREFIX)
    return shlex.split(shown.removeprefix(PREFIX))


def test_boutiques_finds_the_descriptor_valid(described):
    assert bosh("validate", described) == "OK\n"


def test_an_invocation_makes_the_command_line(described):
    given = {
        "SubjectLabel": ["01", "02"],
        "Contrast": "face - house",
        "NoiseModel": "ols",
        "Nprocs": 2,
        "DryRun": "json",
        "Force": True,
        "LogJson": True,
    }
    words = line_of(described, given)
    program, *options = words
    assert program == "bids_fx"
    call = parse(options)
    assert call.data.participants == ("01", "02")
    assert (call.analysis.contrasts, call.analysis.noise_model) == (("face - house",), "ols")
    execution = call.execution
    assert (execution.n_procs, execution.dry_run) == (2, "json")
    assert (execution.force, execution.log_json) == (True, True)


def test_an_invocation_without_options_is_that_of_the_program_without_options(described):
    assert line_of(described, {}) == ["bids_fx", "/data", "/out", "participant"]


def test_boutiques_refuses_what_the_program_would_refuse(described):
    path = described.with_name("invocation.json")
    path.write_text(json.dumps(PLACES | {"AnalysisLevel": "dataset"}))
    command = [BOSH, "invocation", described, "-i", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "dataset" in done.stdout + done.stderr


def test_the_results_are_the_output_folder(described):
    path = described.with_name("invocation.json")
    path.write_text(json.dumps(PLACES))
    assert "{'Results': '/out'}" in bosh("evaluate", described, path, "output-files/")


def test_every_input_can_be_given_alone(described):
    examples = {"String": "x", "Number": 1, "File": "/x", "Flag": True}
    inputs = descriptor("1.0", "A program.")["inputs"]
    assert isinstance(inputs, list)
    given = {}
    for item in inputs:
        value = item.get("value-choices", [examples[item["type"]]])[0]
        given[item["id"]] = [value] if item.get("list") else value
    words = line_of(described, given | PLACES)
    flags = [item["command-line-flag"] for item in inputs if "command-line-flag" in item]
    assert [word.partition("=")[0] for word in words if word.startswith("--")] == flags
