"""The program as it is started: ``bids_fx`` or ``python -m bids_fx``."""

from __future__ import annotations

import sys

from bids_fx.cli.interruption import Interruption


def main() -> int:
    """Run the program, which can be ended before all of it is imported.

    As the first process of a container it would not even notice a signal that it does not handle.

    Returns
    -------
    int
        The exit code, see `bids_fx.errors.ExitCode`.
    """
    Interruption().install()
    from bids_fx.cli import run

    return run.main()


if __name__ == "__main__":
    sys.exit(main())
