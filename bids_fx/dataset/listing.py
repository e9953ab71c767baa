"""The files of a dataset, by whose they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bids_fx.dataset.files import Dataset, DatasetFile, dataset_file
from bids_fx.dataset.folders import is_folder, label_key, labels_in
from bids_fx.dataset.streams import bad_file
from bids_fx.entities import canonical_label, parse_name
from bids_fx.errors import Notice, output_error

#: In paths from the dataset's root, which begin with a slash: what holds no BOLD data or tables.
IGNORED = (
    r"^/\.",
    r"^/(code|stimuli|sourcedata|models|derivatives)(/|$)",
    r"/(figures|log|logs|fmap|dwi|perf|meg|eeg|ieeg|beh)(/|$)",
)
#: So many other participants are asked whether a task has events at all.
_ASKED = 20
#: Where a kept index has the links that it does not follow.
_LOOPS = "not_followed.json"
_EVENTS = ("func/*_events.tsv*", "ses-*/func/*_events.tsv*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a dataset, whoever's they are.

    Parameters
    ----------
    name : str
        In BIDS URIs: ``raw``, or what the user calls the derivatives.
    root : Path
        Absolute path of its folder.
    shared : tuple of DatasetFile
        The files of no participant.
    own : mapping of str to sequence of Path
        The paths of each participant's files by the label, without ``sub-``.
    loops : tuple of str
        Links to a folder that they are in, which were not followed.
    """

    name: str
    root: Path
    shared: tuple[DatasetFile, ...]
    own: Mapping[str, Sequence[Path]]
    loops: tuple[str, ...] = ()

    def of(self, participant: str) -> Dataset:
        """Return what the dataset holds for a participant, and for all."""
        files = [*self.shared, *_records(self.name, self.root, self.own.get(participant, ()))]
        return Dataset(
            name=self.name, root=self.root, files=tuple(sorted(files, key=lambda f: f.relative))
        )


class Survey:
    """All datasets of a call, as far as some participants need them.

    Parameters
    ----------
    raw : Listing
        The raw dataset.
    derivatives : tuple of Listing
        What was made of it, in the user's order.
    """

    def __init__(self, raw: Listing, derivatives: tuple[Listing, ...]) -> None:
        self.raw = raw
        self.derivatives = derivatives

    def has_events_elsewhere(self, task: str, participant: str) -> bool:
        """Tell whether some other participant has events of a task; a few are asked."""
        others = [tasks for label, tasks in self._tasks_with_events if label != participant]
        return any(canonical_label(task) in tasks for tasks in others[:_ASKED])

    def loop_notices(self) -> tuple[Notice, ...]:
        """Tell which links were not followed."""
        return tuple(
            Notice(text=f"{listing.root}{loop}: a link to a folder it is in is not followed.")
            for listing in (self.raw, *self.derivatives)
            for loop in listing.loops
        )

    @cached_property
    def _tasks_with_events(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """The first participants' labels, each with the canonical labels of tasks with events."""
        root = self.raw.root
        return tuple(
            (label, frozenset(_tasks_with_events(root / f"sub-{label}")))
            for label in sorted(labels_in(root), key=label_key)[: _ASKED + 1]
        )


def _tasks_with_events(folder: Path) -> Iterator[str]:
    """Iterate over the tasks of the events tables in a participant's folder."""
    for path in (path for pattern in _EVENTS for path in folder.glob(pattern)):
        parsed = parse_name(path.name)
        if parsed.suffix == "events":
            yield canonical_label(parsed.entities.get("task", ""))


def find_loops(root: Path, ignored: Sequence[re.Pattern[str]]) -> Iterator[str]:
    """Iterate over the folders that lead back to one they are in, as only links can.

    Who followed them would list every file at dozens of paths, or never come to an end.

    Parameters
    ----------
    root : Path
        The dataset.
    ignored : sequence of Pattern
        What is not entered, by its path from the root, which begins with a slash.

    Yields
    ------
    str
        Their paths from the root, which begin with a slash.
    """

    def below(place: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
        status = Path(f"{root}{place}").stat()
        here = (status.st_dev, status.st_ino)
        if here in above:
            yield place
            return
        for entry in sorted(os.scandir(f"{root}{place}"), key=lambda entry: entry.name):
            path = f"{place}/{entry.name}"
            # Last the question that may cost a call of the system.
            if not any(pattern.search(path) for pattern in ignored) and is_folder(entry):
                yield from below(path, above | {here})

    return below("", frozenset())


def keep_loops(folder: Path, loops: Sequence[str]) -> None:
    """Write into the folder of a kept index which links it does not follow."""
    path = folder / _LOOPS
    try:
        path.write_text(json.dumps(loops), encoding="ascii")
    except OSError as error:
        raise output_error(path, error) from error


def kept_loops(folder: Path) -> tuple[str, ...]:
    """Return what `keep_loops` wrote; nothing from the index of an older version.

    Raises
    ------
    BIDSFXError
        If it is damaged.
    """
    path = folder / _LOOPS
    if not path.exists():
        return ()
    try:
        return tuple(map(str, json.loads(path.read_text(encoding="ascii"))))
    except (TypeError, ValueError):
        remedy = f"delete {folder}, so that it is made again"
        raise bad_file(path, "a damaged part of a kept index", remedy) from None


def list_paths(
    name: str, root: Path, paths: Iterable[str], loops: tuple[str, ...] = ()
) -> Listing:
    """Sort the files of a dataset by whose they are.

    Parameters
    ----------
    name : str
        The dataset's name.
    root : Path
        Absolute path of its folder.
    paths : iterable of str
        Absolute paths of its files.
    loops : tuple of str
        As `find_loops` yields them.
    """
    by_owner: dict[str, list[Path]] = {}
    for path in paths:
        owners = filter(None, map(_owner, Path(path).relative_to(root).parts))
        by_owner.setdefault(next(owners, ""), []).append(Path(path))
    shared = tuple(_records(name, root, by_owner.pop("", [])))
    return Listing(name=name, root=root, shared=shared, own=by_owner, loops=loops)


def _owner(name: str) -> str:
    """Return the label of the participant whom a file or folder is named after; "" for none.

    Examples
    --------
    >>> _owner("sub-01_task-x_bold.json"), _owner("sub-01"), _owner("task-x_bold.json")
    ('01', '01', '')
    """
    return re.split(r"[_.]", name)[0].removeprefix("sub-") if name.startswith("sub-") else ""


def _records(name: str, root: Path, paths: Iterable[Path]) -> Iterator[DatasetFile]:
    """Iterate over the records of files."""
    return (dataset_file(name, root, path) for path in paths)
