"""Problems: told in full, collected, and summed up in one exit code."""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_fx.errors import BIDSFXError, ExitCode, Problem, output_error, told_error

CODES = (
    ExitCode.USAGE,
    ExitCode.INVALID_BIDS,
    ExitCode.UNKNOWN_LEVEL,
    ExitCode.NOTHING_SELECTED,
    ExitCode.BAD_DATA,
    ExitCode.MISSING_INPUT,
)


def problem(code: ExitCode = ExitCode.BAD_DATA, where: str = "a.tsv") -> Problem:
    return Problem(where=where, found="no rows", remedy="add some", code=code)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OK", 0),
        ("FAILED", 1),
        ("USAGE", 2),
        ("INVALID_BIDS", 16),
        ("UNKNOWN_LEVEL", 17),
        ("NOTHING_SELECTED", 18),
        ("BAD_DATA", 65),
        ("MISSING_INPUT", 66),
        ("CANNOT_CREATE", 73),
        ("WRITE_FAILED", 74),
        ("INTERRUPTED", 130),
        ("TERMINATED", 143),
    ],
)
def test_exit_codes_are_those_that_scripts_rely_on(name: str, value: int) -> None:
    assert ExitCode[name] == value


def test_there_is_no_other_exit_code() -> None:
    assert len(ExitCode) == 13


def test_a_problem_says_where_what_and_what_to_do() -> None:
    assert str(problem()) == "a.tsv: no rows; add some."


def test_an_error_tells_all_its_problems_in_order() -> None:
    error = BIDSFXError(problem(where=where) for where in ("b.tsv", "a.tsv"))
    assert str(error).splitlines() == ["b.tsv: no rows; add some.", "a.tsv: no rows; add some."]
    assert [p.where for p in error.problems] == ["b.tsv", "a.tsv"]


@pytest.mark.parametrize("code", CODES)
def test_one_problem_gives_its_own_code(code: ExitCode) -> None:
    assert BIDSFXError([problem(code)]).exit_code == code


def test_a_missing_input_comes_before_bad_data() -> None:
    both = [problem(ExitCode.BAD_DATA), problem(ExitCode.MISSING_INPUT)]
    assert BIDSFXError(both).exit_code == ExitCode.MISSING_INPUT
    assert BIDSFXError(both[::-1]).exit_code == ExitCode.MISSING_INPUT


def test_usage_comes_before_all_else() -> None:
    assert BIDSFXError(map(problem, reversed(CODES))).exit_code == ExitCode.USAGE


@given(st.lists(st.sampled_from(CODES), min_size=1))
def test_exit_code_is_one_of_the_problems_in_any_order(codes: list[ExitCode]) -> None:
    error = BIDSFXError(map(problem, codes))
    assert error.exit_code in codes
    assert error.exit_code == BIDSFXError(map(problem, sorted(codes))).exit_code


def test_an_error_without_problems_still_fails() -> None:
    assert BIDSFXError([]).exit_code == ExitCode.BAD_DATA


def test_a_single_problem_has_a_short_way() -> None:
    error = BIDSFXError.single("OUT", "cannot be made", "choose another", ExitCode.CANNOT_CREATE)
    assert error.exit_code == ExitCode.CANNOT_CREATE
    assert str(error) == "OUT: cannot be made; choose another."
    assert error.problems[0].participant is None


def last_line(error: Exception) -> str:
    return traceback.format_exception(error)[-1].rstrip("\n")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, ExitCode.WRITE_FAILED),
        (errno.EIO, ExitCode.WRITE_FAILED),
        (errno.EROFS, ExitCode.CANNOT_CREATE),
        (errno.EPERM, ExitCode.CANNOT_CREATE),
        (errno.EACCES, ExitCode.CANNOT_CREATE),
    ],
)
def test_a_traceback_tells_what_could_not_be_written_by_its_code(
    number: int, code: ExitCode
) -> None:
    system = OSError(number, os.strerror(number), "/w/it's")
    told = output_error(Path("/w/a"), system)
    assert told.exit_code == code
    assert told_error(last_line(told), Path("/w")) == (str(told), code)
    message, found = told_error(last_line(system), Path("/w"))
    assert found == code
    assert message.startswith("/w/it's: cannot be ")
    message, found = told_error(last_line(OSError(number, os.strerror(number))), Path("/w"))
    assert (message.partition(":")[0], found) == ("/w", code)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EISDIR, "move away the folder that has the name of this file"),
        (errno.ELOOP, "move away the link that leads in a circle"),
        (errno.ENAMETOOLONG, "name a folder with a shorter path"),
    ],
)
def test_what_stands_in_the_way_of_a_file_is_to_be_moved_away(number: int, remedy: str) -> None:
    (told,) = output_error(Path("/w/a"), OSError(number, os.strerror(number))).problems
    assert (told.remedy, told.code) == (remedy, ExitCode.CANNOT_CREATE)


@pytest.mark.parametrize(
    "where",
    ["No space left on device.nii", "a: cannot be written (File too large); b", "[Errno 28] a"],
)
def test_no_name_of_a_file_in_a_traceback_is_taken_for_an_error_of_the_system(where: str) -> None:
    bad = BIDSFXError([problem(where=where)])
    assert told_error(last_line(bad), Path("/w")) == (str(bad), None)
    absent = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where)
    assert told_error(last_line(absent), Path("/w")) == (last_line(absent), None)
