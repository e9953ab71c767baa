"""``python -m bids_fx``."""

from __future__ import annotations

import sys

from bids_fx.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
