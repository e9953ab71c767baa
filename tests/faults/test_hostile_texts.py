"""No text of the data or of an option steers the terminal, forges a line or breaks a file."""

from __future__ import annotations

import csv
import json
import logging
import re
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.cli.streams import show_text
from bids_fx.derivatives.write import to_json, write_table, write_text
from bids_fx.errors import Problem
from bids_fx.logs import log_problems, start_logging
from tests.synthetic import DatasetSpec, make_dataset

#: Clears the screen, begins a line, goes back in it, rings, begins a command in one byte, turns
#: what follows around, is half a letter.
STEERING = "a\x1b[2Jb\nERROR c\rd\x07e\x9b2Jf\u202eg\u2066h\u2028i\udcffj"
VISIBLE = r"a\x1b[2Jb\nERROR c\rd\x07e\x9b2Jf\u202eg\u2066h\u2028i\udcffj"
#: All of these that may not come out.
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def logger():
    """Return the program's logger; what a test does to it is undone."""
    logger, root = logging.getLogger("bids_fx"), logging.getLogger()
    before = logger.handlers, logger.propagate, root.handlers
    yield logger
    logger.handlers, logger.propagate, root.handlers = before


def test_text_in_the_log_is_one_line_that_steers_nothing(logger, capsys) -> None:
    start_logging(0, as_json=False)
    logger.warning("sub-01: %s", STEERING)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"WARNING sub-01: {VISIBLE}")


def test_traceback_in_the_log_keeps_its_lines_and_steers_nothing(logger, capsys) -> None:
    start_logging(0, as_json=False)
    try:
        {}[STEERING]
    except KeyError:
        logger.exception("failed")
    told = capsys.readouterr().err
    assert "\nTraceback" in told
    assert FORBIDDEN.findall(told) == []


def test_log_in_json_says_the_same_and_steers_nothing(logger, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.excepthook", None)  # all three are put back afterwards
    monkeypatch.setattr("sys.unraisablehook", None)
    monkeypatch.setattr("threading.excepthook", None)
    with monkeypatch.context() as patch:
        import sys

        patch.setattr(sys, "stderr", sys.stderr)
        start_logging(0, as_json=True)
        logger.warning(STEERING)
        logging.captureWarnings(capture=False)
    (line,) = capsys.readouterr().err.rstrip("\n").split("\n")
    assert FORBIDDEN.findall(line) == []
    assert json.loads(line)["message"] == STEERING


def test_problem_is_one_line_of_the_list(capsys) -> None:
    log_problems("bids_fx", [Problem(where=STEERING, found=STEERING, remedy=STEERING)])
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 2
    assert told.count(VISIBLE) == 3


def test_what_is_printed_keeps_its_lines_and_steers_nothing(capsys) -> None:
    show_text(f"one\n{STEERING}\n")
    told = capsys.readouterr().out
    assert told.count("\n") == 3
    assert FORBIDDEN.findall(told) == []


def test_table_has_one_cell_per_text(tmp_path: Path) -> None:
    texts = [STEERING, "a\tb", '"', "\v"]
    write_table(tmp_path / "a.tsv", texts, [texts])
    text = (tmp_path / "a.tsv").read_text()
    rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [len(row) for row in rows] == [4, 4]
    assert FORBIDDEN.findall(text.replace("\t", "")) == []


def test_json_file_holds_the_text_itself(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", to_json({STEERING: STEERING}))
    text = (tmp_path / "a.json").read_text()
    assert FORBIDDEN.findall(text) == []
    assert json.loads(text) == {STEERING: STEERING}


@pytest.mark.e2e
@pytest.mark.parametrize("is_json", [False, True])
def test_condition_that_steers_is_told_without_steering(
    is_json: bool, tmp_path: Path, capsys
) -> None:
    """A tab or line break would end a cell of the events table; all else may stand there."""
    name = "f\x1b[2J\x07\x9b2J\u202eg"
    spec = DatasetSpec(runs=("1",), effects={name: 1.0, "b": 1.0})
    truth = make_dataset(tmp_path / "data", spec)
    words = [str(truth.bids_dir), str(tmp_path / "out"), "participant", "--skip-bids-validation"]
    assert main([*words, "--dry-run=json" if is_json else "--dry-run"]) == 0
    told = capsys.readouterr()
    assert FORBIDDEN.findall(told.out + told.err) == []
    if is_json:
        assert json.dumps(name) in json.dumps(json.loads(told.out))
    else:
        assert r"f\x1b[2J\x07\x9b2J\u202eg" in told.out

    assert main([*words, "--contrast", f"nothing{name}"]) == 65
    assert FORBIDDEN.findall(capsys.readouterr().err) == []
