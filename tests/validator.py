"""The BIDS validator, which every output must pass."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def bids_errors(folder: Path) -> list[tuple[str, str]]:
    """Return code and place of every error that the validator finds in a dataset."""
    program = Path(sys.executable).parent / "bids-validator-deno"
    command = [str(program), str(folder), "--ignoreWarnings", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert (done.returncode == 0) == (not issues)
    return [(issue["code"], issue.get("location", "")) for issue in issues]
