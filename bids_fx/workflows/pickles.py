"""Unpickling what this user has written, and nothing else.

nipype passes what nodes take and give on in pickles, which it finds in the work dir by their
names. The folder that they are in is the user's alone (see `private`), but whoever may write to
the one above it can put another in its place: of each file that was opened it counts whose it is.
"""

from __future__ import annotations

import gzip
import os
import pickle
import stat
import sys
from pathlib import Path
from typing import Any

from nipype.utils import filemanip

from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.owners import is_ours, owner_name

_nipypes_own = filemanip.loadpkl


def guard_pickles() -> None:
    """Let nipype read pickles by `load_own` alone, in this process.

    Its modules have the function by its name; those that are loaded later get this one.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("nipype.") and vars(module).get("loadpkl") is _nipypes_own:
            vars(module)["loadpkl"] = load_own


def load_own(infile: str | Path) -> Any:
    """Return what nipype has written to a pickle that is this user's.

    Parameters
    ----------
    infile : str or Path
        A compressed pickle (``.pklz``).

    Raises
    ------
    BIDSFXError
        With code 73 if the file is somebody else's, or no regular file.
    FileNotFoundError
        If it is not there.
    """
    path = Path(infile)
    # A pipe in its place would be waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
        status = os.fstat(file.fileno())
        if not (stat.S_ISREG(status.st_mode) and is_ours(status, path.parent)):
            raise BIDSFXError.single(
                str(path),
                f"it belongs to {owner_name(status)}, not to you, and was not read",
                "name a folder of your own by --work-dir, best on a local disk",
                ExitCode.CANNOT_CREATE,
            )
        with gzip.open(file) as stream:
            return pickle.load(stream)  # noqa: S301 - a file of this user's, as was just seen
