"""Validating the raw dataset with the BIDS validator, where it is installed."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from bids_fx.dataset.folders import DESCRIPTION
from bids_fx.dataset.tsv import read_json
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem

VALIDATOR = "bids-validator-deno"

#: Errors about raw images, which are never read.
HARMLESS = {
    "SIDECAR_WITHOUT_DATAFILE",
    "SYMLINK_BROKEN",
    "EMPTY_FILE",
    "NIFTI_HEADER_UNREADABLE",
}

#: The validator's exit codes for a valid and for an invalid dataset; others are its own failures.
_VALID, _INVALID = 0, 16
_TIMEOUT_S = 600

#: Linux: the signal that a process gets when the one that started it ends (prctl(2)).
_PR_SET_PDEATHSIG = 1


class Validation:
    """The BIDS validator at work on the raw dataset, while other things are done.

    Parameters
    ----------
    bids_dir : Path
        The raw dataset.
    """

    def __init__(self, bids_dir: Path) -> None:
        self._bids_dir = bids_dir
        self._process: subprocess.Popen[str] | None = None
        # A pipe would be full, and stop the validator, before anybody reads it.
        self._output = TemporaryFile(  # noqa: SIM115 - closed when the validation is left
            "w+", encoding="utf-8"
        )
        self._failure = _not_validated(
            f"{VALIDATOR} is not installed (pip install 'bids_fx[validator]')", warning=False
        )
        if _is_derivative(bids_dir):
            self._failure = _not_validated(f"{bids_dir} is a dataset of derivatives (DatasetType)")
            return
        beside = Path(sys.executable).parent / VALIDATOR
        program = str(beside) if beside.exists() else shutil.which(VALIDATOR)
        if program is None:
            return
        command = [program, str(bids_dir), "--ignoreWarnings", "--format", "json"]
        try:
            # Without a shell: the validator that is installed, and the user's folder as one word.
            self._process = subprocess.Popen(  # noqa: S603 - no shell, the path is one word
                command,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                text=True,
                preexec_fn=_ending_with_this_process(),  # noqa: PLW1509 - one C call, without locks
            )
        except OSError as error:
            self._failure = _failed(str(error))

    def __enter__(self) -> Self:
        """Return the validation."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the validator, if it is still at work."""
        if self._process is not None:
            with self._process as process:
                process.kill()
        self._output.close()

    def result(self) -> tuple[tuple[Problem, ...], tuple[Notice, ...]]:
        """Wait for the validator's result.

        Returns
        -------
        problems : tuple of Problem
            The validator's errors, with exit code 16; those about raw images do not count.
        notices : tuple of Notice
            Why the dataset was not validated, where it was not.
        """
        if self._process is None:
            return (), (self._failure,)
        try:
            code = self._process.wait(timeout=_TIMEOUT_S)
            self._output.seek(0)
            issues = (
                json.loads(self._output.read())["issues"] if code in {_VALID, _INVALID} else None
            )
        except (ValueError, KeyError, subprocess.TimeoutExpired) as error:
            return (), (_failed(str(error)),)
        if issues is None:
            return (), (_failed(f"it ended with exit code {code}"),)
        messages = issues.get("codeMessages", {})
        return tuple(
            Problem(
                where=f"{self._bids_dir}{issue.get('location', '')}",
                found=_describe(issue, messages),
                remedy="mend the dataset, or skip this check with --skip-bids-validation",
                code=ExitCode.INVALID_BIDS,
            )
            for issue in issues.get("issues", [])
            if issue.get("severity") == "error" and issue["code"] not in HARMLESS
        ), ()


def _ending_with_this_process() -> Callable[[], object] | None:
    """Return what a process calls that is to end with this one, should this one be killed.

    Elsewhere than on Linux nothing can be called; a validator only reads, and ends by itself.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return None if prctl is None else lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_derivative(bids_dir: Path) -> bool:
    """Tell whether a dataset says that it is derived; the validator knows few of such names."""
    try:
        return read_json(bids_dir / DESCRIPTION).get("DatasetType") == "derivative"
    except BIDSFXError:  # told with the other faults of the folders
        return False


def _describe(issue: Mapping[str, object], messages: Mapping[str, str]) -> str:
    """Return what the validator says of an issue: its code, its message and the place."""
    code = str(issue["code"])
    details = [messages.get(code, "")]
    details += [str(issue[key]) for key in ("subCode", "issueMessage") if issue.get(key)]
    details += [f"line {issue['line']}"] if issue.get("line") else []
    return f"{code}: {' '.join(' '.join(details).split())}"


def _not_validated(reason: str, *, warning: bool = True) -> Notice:
    return Notice(text=f"The raw dataset was not validated: {reason}.", warning=warning)


def _failed(reason: str) -> Notice:
    return _not_validated(f"{VALIDATOR} failed ({reason})")
