"""The files of a dataset that concern one participant, and which of them belong together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ParamSpec, TypeVar

from bids_fx.dataset.tsv import read_json
from bids_fx.entities import BIDSName, Entities, parse_name, same_label
from bids_fx.errors import BIDSFXError, Problem

P = ParamSpec("P")
T = TypeVar("T")

NIFTI = (".nii.gz", ".nii")
TABLES = (".tsv", ".tsv.gz")
#: Folders below an analysis' output that hold no results.
_NO_RESULTS = {"figures", "logs", "log", "work", "reports"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFile:
    """One file of a dataset.

    Parameters
    ----------
    path : Path
        Where it is.
    relative : PurePosixPath
        Its path from the dataset's root.
    dataset : str
        The dataset's name in BIDS URIs.
    name : BIDSName
        Its parsed name.
    """

    path: Path
    relative: PurePosixPath
    dataset: str
    name: BIDSName

    @property
    def entities(self) -> Entities:
        """Entities of the file's name."""
        return self.name.entities

    @property
    def uri(self) -> str:
        """The file's BIDS URI, which says nothing of this machine."""
        return f"bids:{self.dataset}:{self.relative}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a dataset holds for one participant, and for all.

    Parameters
    ----------
    name : str
        In BIDS URIs: ``raw``, or what the user calls the derivatives.
    root : Path
        Absolute path of its folder.
    files : tuple of DatasetFile
        Sorted by path.
    """

    name: str
    root: Path
    files: tuple[DatasetFile, ...]

    def select(self, suffix: str, extensions: tuple[str, ...]) -> Iterator[DatasetFile]:
        """Iterate over the files with a suffix and one of some extensions."""
        return (
            file
            for file in self.files
            if file.name.suffix == suffix and file.name.extension in extensions
        )

    def inherited(
        self,
        suffix: str,
        extensions: tuple[str, ...],
        entities: Entities,
        folder: PurePosixPath,
        *,
        whatever: tuple[str, ...] = (),
    ) -> list[DatasetFile]:
        """Return the files that apply to a data file by the inheritance principle.

        Parameters
        ----------
        suffix : str
            Suffix of the files.
        extensions : tuple of str
            Their extensions.
        entities : Entities
            Those of the data file; each entity of an applicable file has the same label there.
        folder : PurePosixPath
            The data file's folder, from the root; applicable files lie in it or above.
        whatever : tuple of str
            Entities that need not agree where the data file does not have them.

        Returns
        -------
        list of DatasetFile
            From the root downwards, in one folder the more specific ones later.
        """
        free = [key for key in whatever if key not in entities]
        found = [
            file
            for file in self.select(suffix, extensions)
            if (file.relative.parent == folder or file.relative.parent in folder.parents)
            and _covers(entities, file.entities.without(*free))
        ]
        return sorted(found, key=_nearness)


def dataset_file(dataset: str, root: Path, path: Path) -> DatasetFile:
    """Return the record of a file below a dataset's root."""
    relative = PurePosixPath(path.relative_to(root).as_posix())
    return DatasetFile(path=path, relative=relative, dataset=dataset, name=parse_name(path.name))


def list_tree(name: str, root: Path, participant: str) -> Dataset:
    """List a participant's files below a folder of results, however they are arranged in it.

    Parameters
    ----------
    name : str
        The folder's name in BIDS URIs.
    root : Path
        The folder; ``sub-`` folders of other participants are not entered.
    participant : str
        Label without ``sub-``.
    """
    root = absolute(root)
    paths = walk_results(root, lambda label: label == participant)
    found = (dataset_file(name, root, path) for path in paths)
    files = [file for file in found if file.entities.get("sub") == participant]
    return Dataset(name=name, root=root, files=tuple(sorted(files, key=lambda f: f.relative)))


def walk_results(root: Path, enters: Callable[[str], bool] = lambda _: True) -> Iterator[Path]:
    """Iterate over the files below a folder of results, but for figures, logs and scratch.

    Parameters
    ----------
    root : Path
        The folder.
    enters : callable
        Says by the label whether to enter a participant's folder.
    """
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            one
            for one in subfolders
            if not (one.startswith(".") or one in _NO_RESULTS)
            and (not one.startswith("sub-") or enters(one.removeprefix("sub-")))
        )
        yield from (Path(folder, name) for name in names)


def absolute(root: Path) -> Path:
    """Return a path from the file system's root, without ``..``, links left as they are."""
    return Path(os.path.normpath(root.absolute()))  # absolute() alone keeps ".."


def nearest(files: Sequence[DatasetFile]) -> DatasetFile | None:
    """Return the one file that wins by the inheritance principle.

    Parameters
    ----------
    files : sequence of DatasetFile
        As `Dataset.inherited` returns them.

    Raises
    ------
    BIDSFXError
        If two files of the nearest folder are equally specific.
    """
    if not files:
        return None
    *others, last = files
    rivals = [file for file in others if _nearness(file)[:2] == _nearness(last)[:2]]
    if rivals:
        names = ", ".join(file.path.name for file in (*rivals, last))
        raise BIDSFXError.single(
            str(last.path.parent),
            f"several files apply to one run alike: {names}",
            "keep one of them, or give them the entities that tell them apart",
        )
    return last


def merge_sidecars(files: Sequence[DatasetFile]) -> dict[str, object]:
    """Return the metadata of JSON files, the nearer ones overruling the others.

    Raises
    ------
    BIDSFXError
        If a file is not valid JSON.
    """
    metadata: dict[str, object] = {}
    for file in files:
        metadata.update(read_json(file.path))
    return {key: value for key, value in metadata.items() if value is not None}


class Faults:
    """Collects the faults of one participant, so that all can be told at once."""

    def __init__(self, participant: str) -> None:
        self._participant = participant
        self._problems: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was collected, each once."""
        return tuple(dict.fromkeys(self._problems))

    def add(self, *problems: Problem) -> None:
        """Collect problems as this participant's."""
        self._problems += [replace(one, participant=self._participant) for one in problems]

    def attempt(self, step: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | None:
        """Return what a step returns, or None where it fails for a fault of the input."""
        try:
            return step(*args, **options)
        except BIDSFXError as error:
            self.add(*error.problems)
            return None


def _covers(entities: Entities, part: Entities) -> bool:
    """Tell whether every entity of a part is among some entities."""
    return all(key in entities and same_label(label, entities[key]) for key, label in part.items())


def _nearness(file: DatasetFile) -> tuple[int, int, str]:
    """Return a key that sorts by folder depth, then by number of entities."""
    return len(file.relative.parts), len(file.entities), file.path.name
