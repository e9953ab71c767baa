"""Links in an output folder that somebody else has made, through which nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.owners import is_ours, owner_name
from bids_fx.settings import WORK_AREA

#: Folders of the output folder that are looked through, beside those of participants.
_SHARED = (
    *(WORK_AREA, f"{WORK_AREA}/locks", f"{WORK_AREA}/states", f"{WORK_AREA}/hashes"),
    *("logs", str(paths.MODELS), "jobs"),
)


def refuse_planted(out_dir: Path, participants: Sequence[str] = ()) -> None:
    """Refuse links of other users in the places to which a call will write.

    Who shares an output folder may write to it, but not by our hand to what is ours elsewhere. Nor
    may files of ours be shown by it: files are written anew instead of through a link, but states,
    ``.bidsignore`` and figures may be read first, to be written again.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participants : sequence of str
        Labels without ``sub-`` of those who will be written.

    Raises
    ------
    BIDSFXError
        With code 73, by name. Links of this user and of root are fine; for root, as in a
        container, those of the output folder's owner too, for whom it works. So are those to the
        files that git-annex keeps, whoever saved them.
    """
    own = [f"sub-{label}" for label in participants]
    links = [
        entry
        for entry in _links(out_dir)
        if not entry.name.startswith("sub-") or entry.name.partition(".")[0] in own
    ]
    links += [entry for name in _SHARED for entry in _links(out_dir / name)]
    links += [entry for name in own for entry in _links(out_dir / name, to_the_bottom=True)]
    is_trusted = _trusted(out_dir)
    problems = []
    for entry in links:
        status = entry.stat(follow_symlinks=False)
        if status.st_uid not in is_trusted:
            is_trusted[status.st_uid] = is_ours(status, out_dir)
        if not is_trusted[status.st_uid] and not _is_annexed(entry.path):
            problems.append(
                Problem(
                    where=entry.path,
                    found=f"a link that belongs to {owner_name(status)}",
                    remedy="remove it: nothing is written or read through links of other users",
                    code=ExitCode.CANNOT_CREATE,
                )
            )
    if problems:
        raise BIDSFXError(problems)


def _trusted(out_dir: Path) -> dict[int, bool]:
    """Return the users whose links are fine, as far as no link need be asked for it."""
    trusted = {0: True}
    if os.geteuid() == 0:
        with suppress(OSError):  # it is not there yet
            trusted[out_dir.stat().st_uid] = True
    return trusted


def _is_annexed(link: str) -> bool:
    """Tell whether a link leads to a file of git-annex, be it here or not, whose name is a hash.

    Of a file that may not be shown nobody knows that name who may not read it.
    """
    target = Path(os.path.realpath(link))
    with suppress(OSError):  # it cannot be reached
        return ("annex", "objects") in pairwise(target.parts[:-1]) and not target.is_dir()
    return False


def _links(folder: Path, *, to_the_bottom: bool = False) -> Iterator[os.DirEntry[str]]:
    """Iterate over the links in a folder, as far as there is one that can be read."""
    left = [os.fspath(folder)]
    while left:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry
                elif to_the_bottom and entry.is_dir():
                    left.append(entry.path)
