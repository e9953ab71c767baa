"""The folder in a work dir that is one user's alone."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from bids_fx.errors import BIDSFXError, ExitCode, output_error
from bids_fx.owners import is_ours, owner_name

#: What nobody but its owner may do with the folder.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def private_folder(work_dir: Path) -> Path:
    """Return the user's own folder in a work dir, to which nobody else may write; make it first.

    A pickle is a program that runs when it is read, and a setting of matplotlib's can name a
    module to import: neither is taken from a folder that several users share.

    Parameters
    ----------
    work_dir : Path
        Is there; other users may write to it, and have folders of their own in it.

    Raises
    ------
    BIDSFXError
        With code 73 where somebody else has put something in the folder's place, or it cannot be
        made.
    """
    path = work_dir / f"user-{os.geteuid()}"
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=stat.S_IRWXU)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            kind = "a link" if stat.S_ISLNK(status.st_mode) else "no folder"
            raise _refused(path, f"it is {kind}, where your own folder was to be")
        if not is_ours(status, work_dir):
            raise _refused(path, f"it belongs to {owner_name(status)}, not to you")
        if status.st_mode & _OTHERS and _closed(path).st_mode & _OTHERS_WRITE:
            raise _refused(path, "others may write to it, and that cannot be changed")
    except OSError as error:
        raise output_error(path, error) from error
    return path


def _closed(path: Path) -> os.stat_result:
    """Take all rights in a folder from others; return what it is then."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        # Some file systems have the same rights for all files, whatever one asks for.
        with suppress(PermissionError):
            os.fchmod(folder, stat.S_IRWXU)
        return os.fstat(folder)
    finally:
        os.close(folder)


def _refused(path: Path, found: str) -> BIDSFXError:
    """Return the error of a folder that is not only this user's."""
    remedy = "remove it, or name a folder of your own by --work-dir, best on a local disk"
    return BIDSFXError.single(str(path), found, remedy, ExitCode.CANNOT_CREATE)
