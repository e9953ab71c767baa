"""Arrays of some MB are put where others were."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

#: Allocates and frees 4 MB over and over and prints how often a page was missing meanwhile.
CODE = """
import resource
import numpy as np
from bids_fx.workflows.allocation import keep_freed_memory
keep_freed_memory()
np.ones(1 << 19)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(1 << 19), np.ones(1 << 10)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
#: Pages of 4 kB, or of 2 MB where the system gives them for arrays.
PAGES_OF_ALL = 50 * 2


def missing_pages() -> int:
    answer = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
    )
    return int(answer.stdout)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="only glibc can be told what to do with freed memory",
)
def test_freed_memory_is_used_again() -> None:
    # without the call it is 100 or more
    assert missing_pages() < PAGES_OF_ALL / 10
