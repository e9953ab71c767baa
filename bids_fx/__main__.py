"""The program as it is started: ``bids_fx`` or ``python -m bids_fx``."""

from __future__ import annotations

import sys

from bids_fx.cli.interruption import Interruption
from bids_fx.cli.program import run_program


def main() -> int:
    """Run the program.

    Returns
    -------
    int
        The exit code, see `bids_fx.errors.ExitCode`.
    """
    return run_program("bids_fx", _work)


def _work(words: list[str], interruption: Interruption) -> int:
    """Import the program, which takes a while, and do what the command line says."""
    from bids_fx.cli import run

    return run.call(words, interruption)


if __name__ == "__main__":
    sys.exit(main())
