"""Links in an output folder that somebody else has made, through which nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.owners import is_ours, owner_name
from bids_fx.settings import WORK_AREA

#: Folders of the output folder that are looked through, beside those of participants.
_SHARED = (
    *(WORK_AREA, f"{WORK_AREA}/locks", f"{WORK_AREA}/states", f"{WORK_AREA}/hashes"),
    *("logs", str(paths.MODELS)),
)


def refuse_planted(out_dir: Path, participants: Sequence[str] = ()) -> None:
    """Refuse links of other users in the places to which a call will write.

    Who shares an output folder may write to it, but not by our hand to what is ours elsewhere.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    participants : sequence of str
        Labels without ``sub-`` of those who will be written.

    Raises
    ------
    BIDSFXError
        With code 73, by name. Links of this user and of root are fine.
    """
    own = [f"sub-{label}" for label in participants]
    links = [
        entry
        for entry in _links(out_dir)
        if not entry.name.startswith("sub-") or entry.name.partition(".")[0] in own
    ]
    links += [entry for name in _SHARED for entry in _links(out_dir / name)]
    links += [
        entry
        for name in own
        for folder, _, _ in os.walk(out_dir / name)
        for entry in _links(Path(folder))
    ]
    problems = [
        Problem(
            where=entry.path,
            found=f"a link that belongs to {owner_name(status)}",
            remedy="remove it: nothing is written through links of other users",
            code=ExitCode.CANNOT_CREATE,
        )
        for entry in links
        if (status := entry.stat(follow_symlinks=False)).st_uid != 0
        and not is_ours(status, out_dir)
    ]
    if problems:
        raise BIDSFXError(problems)


def _links(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Iterate over the links in a folder, as far as there is one that can be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_symlink())
