"""Whose a file is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def is_ours(status: os.stat_result, folder: Path) -> bool:
    """Tell whether a file was written by this user.

    Parameters
    ----------
    status : stat_result
        The file's.
    folder : Path
        One on the same file system, to which this user may write.

    Notes
    -----
    Shares may have another owner for what this user writes, as NFS has for root.
    """
    return status.st_uid == os.geteuid() or status.st_uid == _owner_here(folder)


def _owner_here(folder: Path) -> int | None:
    """Return whom a file belongs to that this user writes to a folder; None if there is no way."""
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            return os.fstat(stream.fileno()).st_uid
    except OSError:
        return None


def owner_name(status: os.stat_result) -> str:
    """Return the name of a file's owner, as far as this machine knows it."""
    import pwd

    try:
        return pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        return f"the user with the number {status.st_uid}"
