"""Validating the raw dataset with the BIDS validator, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bids_fx.errors import ExitCode, Notice, Problem

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


def validate_raw(bids_dir: Path) -> tuple[tuple[Problem, ...], tuple[Notice, ...]]:
    """Run the BIDS validator on the raw dataset.

    Parameters
    ----------
    bids_dir : Path
        The raw dataset.

    Returns
    -------
    problems : tuple of Problem
        The validator's errors, with exit code 16; those about raw images do not count.
    notices : tuple of Notice
        Why the dataset was not validated, where it was not.
    """
    beside = Path(sys.executable).parent / VALIDATOR
    program = str(beside) if beside.exists() else shutil.which(VALIDATOR)
    if program is None:
        text = (
            f"The raw dataset was not validated: {VALIDATOR} is not installed "
            "(pip install 'bids_fx[validator]')."
        )
        return (), (Notice(text=text, warning=False),)
    command = [program, str(bids_dir), "--ignoreWarnings", "--format", "json"]
    try:
        # Without a shell: the validator that is installed, and the user's own folder as one word.
        done = subprocess.run(  # noqa: S603 - for the reason above
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
        issues = json.loads(done.stdout)["issues"] if done.returncode in {_VALID, _INVALID} else {}
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        return (), (_not_validated(str(error)),)
    if done.returncode not in {_VALID, _INVALID}:
        return (), (_not_validated(f"it ended with exit code {done.returncode}"),)
    messages = issues.get("codeMessages", {})
    return tuple(
        Problem(
            where=f"{bids_dir}{issue.get('location', '')}",
            found=_describe(issue, messages),
            remedy="mend the dataset, or skip this check with --skip-bids-validation",
            code=ExitCode.INVALID_BIDS,
        )
        for issue in issues.get("issues", [])
        if issue.get("severity") == "error" and issue["code"] not in HARMLESS
    ), ()


def _describe(issue: Mapping[str, object], messages: Mapping[str, str]) -> str:
    """Return what the validator says of an issue: its code, its message and the place."""
    code = str(issue["code"])
    details = [messages.get(code, "")]
    details += [str(issue[key]) for key in ("subCode", "issueMessage") if issue.get(key)]
    details += [f"line {issue['line']}"] if issue.get("line") else []
    return f"{code}: {' '.join(' '.join(details).split())}"


def _not_validated(reason: str) -> Notice:
    return Notice(text=f"The raw dataset was not validated: {VALIDATOR} failed ({reason}).")
