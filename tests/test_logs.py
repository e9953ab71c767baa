"""The log in JSON: whatever comes on standard error is one object a line."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime

import pytest

BEGIN = "import logging, sys\nfrom bids_fx.logs import *\nstart_logging(0, as_json=True)\n"
LOGGER = "logger = logging.getLogger('bids_fx')\n"


def lines_of(code: str, *, expected: int = 0) -> list[dict]:
    """Run a program with the log in JSON; return what it writes on standard error."""
    command = [sys.executable, "-W", "always", "-c", BEGIN + LOGGER + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (expected, ""), done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_has_time_with_zone_level_message_and_what_is_told_beside():
    (line,) = lines_of("logger.info('sub-%s: done', '01', extra=fields(participant='01'))")
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {"level": "info", "message": "sub-01: done", "participant": "01"}


def test_line_breaks_and_other_letters_stay_within_a_line():
    (line,) = lines_of("logger.warning('a\\nb \\u8138')")
    assert line["message"] == "a\nb 脸"


def test_each_problem_has_its_parts():
    (line,) = lines_of(
        "from bids_fx.errors import Problem\n"
        "log_problems('bids_fx', [Problem(where='a', found='b', remedy='c', participant='01')])"
    )
    del line["time"]
    parts = {"where": "a", "found": "b", "remedy": "c", "code": 65, "participant": "01"}
    assert line == {"level": "error", "message": "a: b; c.", **parts}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import warnings; warnings.warn('mind this')", "mind this"),
        ("logging.getLogger('library').warning('mind %s', 'this')", "mind this"),
        ("print('mind this', file=sys.stderr)", "mind this"),
        ("sys.stderr.write('mind '); sys.stderr.write('this\\n')", "mind this"),
        ("import nibabel as nb; nb.imageglobals.logger.warning('mind this')", "mind this"),
        ("class A:\n  def __del__(self): 1 / 0\na = A(); del a", "ZeroDivisionError"),
        (
            "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_what_others_write_is_a_line_too(code, words):
    (line,) = lines_of(code)
    assert words in line["message"]
    assert line["level"] in ("warning", "critical")


def test_a_warning_of_python_is_one_line_whatever_it_shows():
    (line,) = lines_of("import warnings; warnings.warn('mind\\nthis')")
    assert line["logger"] == "py.warnings"
    assert "mind\nthis" in line["message"]


def test_an_error_that_nothing_caught_is_one_line_with_its_traceback_and_then_the_end():
    error, end = lines_of("def fail():\n    raise KeyError('x')\nfail()", expected=1)
    assert (error["level"], error["message"]) == ("critical", "KeyError: 'x'")
    assert "in fail\n" in error["traceback"]
    assert (end["exit_code"], end["participants"]) == (1, {})


def test_the_end_tells_how_each_participant_ended():
    *_, end = lines_of(
        "logger.info('x', extra=fields(participant='01', state='failed'))\n"
        "logger.info('x', extra=fields(states={'02': 'done'}))\n"
        "log_end(1)"
    )
    assert (end["exit_code"], end["participants"]) == (1, {"01": "failed", "02": "done"})


def test_a_line_that_was_only_begun_is_told_too():
    begun, end = lines_of("sys.stderr.write('mind this')\nlog_end(0)")
    assert (begun["message"], end["exit_code"]) == ("mind this", 0)


def test_plain_lines_stay_plain_and_have_no_end():
    code = "from bids_fx.logs import *\nimport logging\nstart_logging(0, as_json=False)\n"
    code += "logging.getLogger('bids_fx').info('x', extra=fields(a=1))\nlog_end(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith(" INFO x\n")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_what_a_library_shows_itself_is_shown_once():
    code = "from bids_fx.logs import *\nstart_logging(0, as_json=False)\n"
    code += "import nibabel as nb; nb.imageglobals.logger.warning('mind this')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("mind this") == 1
