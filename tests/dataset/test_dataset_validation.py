"""The BIDS validator: what its result means, and that it never outlives the call."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.dataset import validate
from bids_fx.dataset.validate import VALIDATOR, Validation
from bids_fx.errors import ExitCode
from tests.dataset.trees import Tree, write_json

ERROR = {"code": "NOT_INCLUDED", "severity": "error", "location": "/sub-01/notes.txt"}
ISSUES = [
    ERROR,
    {"code": "EMPTY_FILE", "severity": "error", "location": "/sub-01/func/a_bold.nii.gz"},
    {"code": "README_FILE_SMALL", "severity": "warning"},
]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that puts a validator beside the interpreter."""
    monkeypatch.setattr(validate.sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    interpreter = Path(sys.base_prefix) / "bin" / "python3"

    def make(code: str) -> Path:
        path = tmp_path / "bin" / VALIDATOR
        path.parent.mkdir()
        path.write_text(f"#!{interpreter}\nimport json, sys, time\n{code}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


def answer(issues: list[dict], exit_code: int) -> str:
    """Return the code of a validator that finds some issues."""
    found = {"issues": {"issues": issues, "codeMessages": {"NOT_INCLUDED": "unknown name"}}}
    return f"print({json.dumps(json.dumps(found))})\nsys.exit({exit_code})"


def test_errors_are_problems_but_for_those_about_raw_images(install, tmp_path):
    install(answer(ISSUES, 16))
    with Validation(tmp_path) as validation:
        (problem,), notices = validation.result()
    assert problem.where == f"{tmp_path}/sub-01/notes.txt"
    assert problem.found == "NOT_INCLUDED: unknown name"
    assert problem.code == ExitCode.INVALID_BIDS
    assert notices == ()


def test_a_valid_dataset_has_neither_problems_nor_notices(install, tmp_path):
    install(answer([], 0))
    with Validation(tmp_path) as validation:
        assert validation.result() == ((), ())


@pytest.mark.parametrize(
    ("code", "reason"),
    [("sys.exit(1)", "it ended with exit code 1"), ("print('oh')", "Expecting value")],
)
def test_a_validator_that_fails_is_a_warning(install, tmp_path, code, reason):
    install(code)
    with Validation(tmp_path) as validation:
        problems, (notice,) = validation.result()
    assert problems == ()
    assert notice.warning
    assert reason in notice.text


def test_a_validator_that_cannot_be_started_is_a_warning(install, tmp_path):
    install("").chmod(0o644)
    with Validation(tmp_path) as validation:
        problems, (notice,) = validation.result()
    assert (problems, notice.warning) == ((), True)


def test_without_a_validator_that_is_told(install, tmp_path):
    with Validation(tmp_path) as validation:
        problems, (notice,) = validation.result()
    assert (problems, notice.warning) == ((), False)
    assert "bids_fx[validator]" in notice.text


def test_a_dataset_of_derivatives_is_not_validated_with_a_warning(install, tmp_path):
    install(answer(ISSUES, 16))
    write_json(tmp_path / "dataset_description.json", Name="x", DatasetType="derivative")
    with Validation(tmp_path) as validation:
        problems, (notice,) = validation.result()
    assert (problems, notice.warning) == ((), True)
    assert f"{tmp_path} is a dataset of derivatives" in notice.text


def test_a_validator_whose_result_nobody_waits_for_is_ended(install, tmp_path):
    install(f"open({str(tmp_path / 'began')!r}, 'w').close()\ntime.sleep(60)\nprint('{{}}')")
    with Validation(tmp_path) as validation:
        while not (tmp_path / "began").exists():
            time.sleep(0.01)
    assert validation._process.returncode == -9


def test_that_a_dataset_was_not_validated_is_logged_as_a_warning(install, tmp_path, capsys):
    install(answer(ISSUES, 16))
    tree = Tree(tmp_path / "data")
    tree.run("sub-01_task-x")
    write_json(tree.raw / "dataset_description.json", Name="x", DatasetType="derivative")
    call = [str(tree.raw), str(tmp_path / "out"), "participant", "-d", str(tree.preproc)]
    main([*call, "--dry-run"])
    assert "WARNING The raw dataset was not validated" in capsys.readouterr().err


def test_what_the_validator_finds_and_what_planning_finds_are_told_together(
    install, tmp_path, capsys
):
    install(answer([ERROR], 16))
    raw = tmp_path / "raw"
    raw.mkdir()
    assert main([str(raw), str(tmp_path / "out"), "participant"]) == ExitCode.INVALID_BIDS
    told = capsys.readouterr().err
    assert "NOT_INCLUDED" in told
    assert "no such folder" in told
    assert not (tmp_path / "out").exists()
