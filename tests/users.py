"""Programs run by other users, as which only root can start them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

#: Two users whom no system has, and the group of both.
ONE, OTHER, GROUP = 54301, 54302, 54300
#: From linux/capability.h.
_CAP_DAC_READ_SEARCH = 2


def needs_root(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that acts as other users."""
    skips = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")
    return pytest.mark.rights(skips(test))


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder to which the whole group may write; pytest's own are for one user alone."""
    folder = Path(tempfile.mkdtemp(prefix="bids_fx-shared-"))
    try:
        os.chown(folder, 0, GROUP)
        folder.chmod(0o2775)  # what is made in it is the group's
        yield folder
    finally:
        rmtree(folder)


def run_as(user: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user; what that user makes the group may change, as in shared folders."""
    environment = {**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("MPLCONFIGDIR", None)
    identity = [f"--reuid={user}", f"--regid={GROUP}", "--clear-groups"]
    if _may_hand_on_reading():
        # Python itself may be in root's HOME. Writing is as it is for any other user.
        identity += [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    return subprocess.run(
        ["setpriv", *identity, sys.executable, *words],
        umask=0o002,
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _may_hand_on_reading() -> bool:
    """Tell whether root has the right here to let others read all files; containers take it."""
    status = Path("/proc/self/status").read_text()
    (held,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    return bool(int(held, 16) & 1 << _CAP_DAC_READ_SEARCH)
