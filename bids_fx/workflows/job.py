"""One node in a job of its own, which a scheduler starts: ``python -m`` and this module."""

from __future__ import annotations

import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from nipype import config
from nipype.utils.filemanip import savepkl

from bids_fx.workflows.pickles import guard_pickles, load_own

#: How a file begins that a job reads its node from, and one that says why it could not.
NODE, CRASH = "node_", "crashdump_"
#: Seconds that a file may take to be seen on another machine.
_PATIENCE_S = 60


def main(words: list[str]) -> int:
    """Run a node; what it raises is left as its result.

    Parameters
    ----------
    words : list of str
        The file with the node.

    Returns
    -------
    int
        0; what is raised is raised again after it was written down.
    """
    guard_pickles()
    file = Path(words[0])
    node: Any = None
    try:
        node = _read(file)
        config.update_config(node.config)
        node.run()
    except Exception as error:
        result = file.with_name(file.name.replace(NODE, CRASH, 1))
        if node is not None and Path(node.output_dir()).is_dir():
            result = Path(node.output_dir(), f"result_{node.name}.pklz")
        told = traceback.format_exception(error)
        savepkl(str(result), {"result": None, "traceback": told, "hostname": socket.gethostname()})
        raise
    return 0


def _read(file: Path) -> Any:
    """Return a node from its file, once it is seen."""
    end = time.monotonic() + _PATIENCE_S
    while not file.exists() and time.monotonic() < end:
        time.sleep(1)
    return load_own(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
