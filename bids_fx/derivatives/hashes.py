"""What is known of files as long as their size and time of change stay, kept between calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from bids_fx.derivatives.whole import is_whole
from bids_fx.derivatives.write import sha256, stamp_of, write_json
from bids_fx.json_files import object_or_nothing
from bids_fx.settings import WORK_AREA

#: What a file of hashes has of outputs that were read to their end, in place of a hash.
_WHOLE = "whole"


class HashCache:
    """SHA-256 of files, and which outputs are whole: a rerun need not read them.

    Parameters
    ----------
    path : Path
        Where it is kept between calls; may be absent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = object_or_nothing(path)
        whole = kept.pop(_WHOLE, None)
        self._entries = _entries(kept, 3)
        self._whole = _entries(whole if isinstance(whole, dict) else {}, 2)

    @classmethod
    def of_participant(cls, out_dir: Path, participant: str) -> HashCache:
        """Return the hashes that are kept for one participant."""
        return cls(out_dir / WORK_AREA / "hashes" / f"sub-{participant}.json")

    def digest(self, file: Path) -> str:
        """Return a file's SHA-256; it is read only if its size or time have changed."""
        entry = self._entries.get(str(file))
        stamp = stamp_of(file)
        if entry is not None and entry[:2] == stamp:
            return str(entry[2])
        value = sha256(file)
        self._entries[str(file)] = [*stamp, value]
        return value

    def learn(self, file: Path, value: str, stamp: list[object]) -> None:
        """Take over a hash that was computed while the file was read.

        Parameters
        ----------
        file : Path
            The file.
        value : str
            Its SHA-256.
        stamp : list
            What `stamp_of` gave before the file was read; a file that was changed while it was
            read is then hashed anew.
        """
        self._entries[str(file)] = [*stamp, value]

    def is_whole(self, path: PurePosixPath, out_dir: Path, *, n_rows: int | None = None) -> bool:
        """Tell whether an output is whole; an image is read only if it has changed since.

        Parameters
        ----------
        path, out_dir, n_rows
            As `bids_fx.derivatives.whole.is_whole` has them.
        """
        file = out_dir / path
        if not path.name.endswith(".nii.gz"):
            return is_whole(path, out_dir, n_rows=n_rows)
        stamp = stamp_of(file)
        is_known = bool(stamp) and self._whole.get(str(file)) == stamp
        if not is_whole(path, out_dir, quick=is_known):
            self._whole.pop(str(file), None)
            return False
        self._whole[str(file)] = stamp
        return True

    def save(self) -> None:
        """Write all down for the next call."""
        write_json(self._path, {**self._entries, _WHOLE: self._whole})


def _entries(kept: Mapping[str, object], length: int) -> dict[str, list[object]]:
    """Return what is kept of each file, without what is damaged."""
    return {
        file: entry
        for file, entry in kept.items()
        if isinstance(entry, list) and len(entry) == length
    }
