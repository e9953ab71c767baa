"""The errors that users cause, and the records in which they are collected."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """The program's exit codes, a contract with the scripts that call it.

    The codes from 16 on follow the BIDS App execution specification and sysexits.h.
    """

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID_BIDS = 16
    UNKNOWN_LEVEL = 17
    NOTHING_SELECTED = 18
    BAD_DATA = 65
    MISSING_INPUT = 66
    CANNOT_CREATE = 73
    WRITE_FAILED = 74
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


#: What nothing but writing ends with: no space, no quota, a file too large.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What a disk or a server that is not in order answers.
_BROKEN = (errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ETIMEDOUT)
_NO_RIGHT = "give this user the right to write there, or name another folder"
#: What to do about a file that cannot be written, by the system's error.
_REMEDIES = {
    errno.ENOSPC: "make room there (see df -h, and df -i for the number of files), or name a "
    "folder with more; the same command then goes on",
    errno.EDQUOT: "make room, or have your quota raised; the same command then goes on",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f); the same command then goes on",
    errno.EROFS: "name a folder on a file system that is not read-only",
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EEXIST: "move away the file, or the link to nowhere, that has the name of this folder",
    errno.ENOTDIR: "name a folder that lies in no file",
    errno.EISDIR: "move away the folder that has the name of this file",
    errno.ENOTEMPTY: "move away the folder that has its name",
    errno.ELOOP: "move away the link that leads in a circle",
    errno.ENAMETOOLONG: "name a folder with a shorter path",
    **dict.fromkeys(
        _BROKEN, "see that the disk, or its server, is in order; the same command then goes on"
    ),
}

#: What steers a terminal, begins a line, turns the order of letters around, or is no letter:
#: control characters, Unicode's line ends and overrides of direction, halves of letters.
_BEYOND_ASCII = "\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_STEERING = re.compile(f"[\x00-\x1f{_BEYOND_ASCII}]")
_STEERING_IN_JSON = re.compile(f"[{_BEYOND_ASCII}]")


def visible(text: str) -> str:
    r"""Return a text in one line that does nothing to the terminal on which it is shown.

    Names and texts come from datasets and models that anybody may have made.

    Examples
    --------
    >>> print(visible("a\x1b[2Jb\nc \u202ed"))
    a\x1b[2Jb\nc \u202ed
    >>> visible("Gesichter, 脸")
    'Gesichter, 脸'
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_lines(text: str) -> str:
    """Return a text of several lines, each as `visible` has it."""
    return "\n".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    r"""Return JSON that says the same and can be shown; below a space it escapes all itself.

    Examples
    --------
    >>> print(visible_json('"a\x9b2J"'))
    "a\u009b2J"
    """
    return _STEERING_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


#: Characters of what is said of a problem; a longer text has a whole file in it.
_MOST_SHOWN = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with the input, told so that its reader can mend it.

    Each of its texts is cut where it is too long to read.

    Parameters
    ----------
    where : str
        The file, folder, option or contrast that is meant.
    found : str
        What was found there, in one sentence without a full stop.
    remedy : str
        What to do about it, in one sentence without a full stop.
    code : ExitCode
        The exit code that this problem alone would cause.
    participant : str or None
        The participant (label without ``sub-``) whom it costs; None means all.
    """

    where: str
    found: str
    remedy: str
    code: ExitCode = ExitCode.BAD_DATA
    participant: str | None = None

    def __post_init__(self) -> None:
        for name in ("where", "found", "remedy"):
            text = getattr(self, name)
            if len(text) > _MOST_SHOWN:
                object.__setattr__(self, name, f"{text[: _MOST_SHOWN - 1]}…")

    def __str__(self) -> str:
        """Return the problem as one line of a list.

        Examples
        --------
        >>> print(Problem(where="a_events.tsv", found="no column 'onset'", remedy="add it"))
        a_events.tsv: no column 'onset'; add it.
        """
        return f"{self.where}: {self.found}; {self.remedy}."


def usage_problem(where: str, found: str, remedy: str) -> Problem:
    """Return a problem with the command line, or with a file of options."""
    return Problem(where=where, found=found, remedy=remedy, code=ExitCode.USAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that was decided or left out, and that a reader of the report must know.

    Parameters
    ----------
    text : str
        One or two sentences that name the file or the entity they are about.
    warning : bool
        True where the result may not be what was meant, False for plain information.
    participant : str or None
        The participant whom it is about; None means all.
    """

    text: str
    warning: bool = True
    participant: str | None = None


def problem_list(program: str, problems: Sequence[Problem]) -> str:
    """Return problems as a program shows them: one list, with the participants they cost.

    Examples
    --------
    >>> problem = Problem(where="a.tsv", found="it is empty", remedy="fill it")
    >>> print(problem_list("bids_fx", [problem]))
    bids_fx: 1 problem:
      - a.tsv: it is empty; fill it.
    """
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{program}: {count}:"]
    for problem in problems:
        who = f"sub-{problem.participant}: " if problem.participant is not None else ""
        lines.append(visible(f"  - {who}{problem}"))
    return "\n".join(lines)


class BIDSFXError(Exception):
    """Base of the errors that users cause: bad input, options or permissions.

    Parameters
    ----------
    problems : iterable of Problem
        All that is wrong, so that it can be mended in one go.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of all problems together; a missing input comes before bad data."""
        codes = {problem.code for problem in self.problems}
        if ExitCode.MISSING_INPUT in codes:
            codes.discard(ExitCode.BAD_DATA)
        return min(codes, default=ExitCode.BAD_DATA)

    @classmethod
    def single(
        cls, where: str, found: str, remedy: str, code: ExitCode = ExitCode.BAD_DATA
    ) -> BIDSFXError:
        """Return an error of one problem."""
        return cls([Problem(where=where, found=found, remedy=remedy, code=code)])


class CannotCreateError(BIDSFXError):
    """What cannot be created, code 73; the last line of a traceback tells it by this name."""


class WriteFailedError(BIDSFXError):
    """What cannot be written for want of room or of a sound disk, code 74; told likewise."""


_OF_WRITING: dict[ExitCode, type[BIDSFXError]] = {
    ExitCode.CANNOT_CREATE: CannotCreateError,
    ExitCode.WRITE_FAILED: WriteFailedError,
}


def output_error(path: Path, error: OSError) -> BIDSFXError:
    """Return the error that tells what could not be written, why, and what to do about it.

    Parameters
    ----------
    path : Path
        The file or folder.
    error : OSError
        As the system raised it.

    Returns
    -------
    BIDSFXError
        With code 74 where there was no room, or the device failed; with 73 where a file or folder
        could not be created.
    """
    found = f"cannot be written ({error.strerror or error})"
    default = "see that the folder exists and is writable for this user"
    return _writing_error(str(path), found, error.errno, default)


def system_error(error: OSError, place: Path | None = None) -> BIDSFXError | None:
    """Return how an error of the system is told that nobody foresaw; None of one that is a bug.

    Parameters
    ----------
    error : OSError
        As the system raised it, wherever it did.
    place : Path or None
        Where that was, told if the error names no file.

    Examples
    --------
    >>> print(system_error(OSError(errno.EACCES, "Permission denied", "/w")))
    /w: cannot be used (Permission denied); give this user the right to write there, or name \
another folder.
    """
    where = os.fsdecode(error.filename or place or "OUTPUT_DIR, the work dir or TMPDIR")
    if error.errno in {*_FULL, errno.EROFS}:
        return output_error(Path(where), error)
    if error.errno in {*_BROKEN, errno.EACCES, errno.EPERM}:
        return _writing_error(where, f"cannot be used ({error.strerror})", error.errno)
    if error.errno == errno.ENOENT and not error.filename and "temporary" in str(error.strerror):
        remedy = "let it name a folder that this user can write to"
        return _writing_error("TMPDIR", str(error.strerror), error.errno, remedy)
    return None


def _writing_error(where: str, found: str, number: int | None, default: str = "") -> BIDSFXError:
    """Return the error of a number of the system's: its code, and what to do about it."""
    is_failing = number in {*_FULL, *_BROKEN}
    code = ExitCode.WRITE_FAILED if is_failing else ExitCode.CANNOT_CREATE
    return _OF_WRITING[code].single(where, found, _REMEDIES.get(number or 0, default), code)


def told_error(line: str, place: Path) -> tuple[str, ExitCode | None]:
    """Return the error with which a traceback of another process ends, and its exit code.

    Parameters
    ----------
    line : str
        The traceback's last line.
    place : Path
        Where it came from, told if the error names no file.

    Returns
    -------
    message : str
        As the error itself would have it.
    code : ExitCode or None
        That of what could not be written, as `system_error` has it; None for all other errors.

    Examples
    --------
    >>> told_error("OSError: [Errno 30] Read-only file system: '/w/a'", Path("/w"))
    ('/w/a: cannot be written (Read-only file system); name a folder on a file system that is not \
read-only.', <ExitCode.CANNOT_CREATE: 73>)
    >>> told_error("bids_fx.errors.WriteFailedError: a: cannot be written", Path("/w"))
    ('a: cannot be written', <ExitCode.WRITE_FAILED: 74>)
    >>> told_error("bids_fx.errors.BIDSFXError: a: truncated", Path("/w"))
    ('a: truncated', None)
    >>> told_error("KeyError: 'a'", Path("/w"))
    ("KeyError: 'a'", None)
    """
    own = re.match(r"bids_fx\.errors\.(\w+): ", line)
    if own is not None:
        codes = {kind.__name__: code for code, kind in _OF_WRITING.items()}
        return line[own.end() :], codes.get(own[1])
    found = re.match(r"\w+: \[Errno (\d+)\] (.+?)(?:: (['\"])(.+?)\3(?: -> .+)?)?$", line)
    if found is None:
        return line, None
    error = system_error(OSError(int(found[1]), found[2], found[4]), place)
    return (line, None) if error is None else (str(error), error.exit_code)


def reading_remedy(error: Exception) -> str:
    """Return what to do about a file that is there and cannot be read."""
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM}:
        return "give this user the right to read it"
    if number in _BROKEN:
        return "see that the disk, or its server, is in order; else restore the file"
    return "restore the file from its source"
