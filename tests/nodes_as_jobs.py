"""Calls of the program whose steps are jobs of a scheduler, and what they leave."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.synthetic import Truth


def command(truth: Truth, out: Path, *options: str) -> list[str]:
    """Return the words of a call for one contrast with two processes."""
    return [
        *(sys.executable, "-m", "bids_fx", str(truth.bids_dir), str(out), "participant"),
        *("--nprocs", "2", "--contrast", "face", "--skip-bids-validation", *options),
    ]


def outputs(out: Path) -> dict[str, bytes]:
    """Return what was written of the participants."""
    return {
        str(file.relative_to(out)): file.read_bytes()
        for file in sorted(out.glob("sub-*/**/*"))
        if file.is_file() and file.name != "calls.json"
    }
