"""How much the tests against faults do: little in `make test`, much in `make soak`."""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"


def many(usual: int, *, soak: int) -> int:
    """Return how often something is tried."""
    return soak if SOAK else usual
