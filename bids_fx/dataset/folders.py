"""The folders of participants, and whether datasets are there at all."""

from __future__ import annotations

import os
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from bids_fx.dataset.files import NIFTI, TABLES, Dataset
from bids_fx.dataset.tsv import read_json
from bids_fx.entities import Entities, parse_name, same_label
from bids_fx.errors import BIDSFXError, ExitCode, Problem
from bids_fx.settings import DataSelection

DESCRIPTION = "dataset_description.json"
#: What to do about a folder of a DataLad dataset that was cloned without it.
_FETCH = "fetch what is in it (datalad get)"


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder or leads to one; only of a link is the system asked."""
    if entry.is_symlink():
        return Path(entry).is_dir()  # False also for links in a circle
    return entry.is_dir(follow_symlinks=False)


def labels_in(root: Path) -> set[str]:
    """Return the labels of the ``sub-`` folders in a dataset, as they are spelled."""
    with os.scandir(root) as entries:
        return {
            entry.name.removeprefix("sub-")
            for entry in entries
            if "sub" in parse_name(entry.name + "_x").entities and is_folder(entry)
        }


def label_key(label: str) -> tuple[tuple[str, int, str], ...]:
    """Return a key that sorts participant 2 before participant 10."""
    return Entities((("sub", label),)).sort_key


def matching_labels(label: str, there: Collection[str]) -> list[str]:
    """Return the labels that are meant by one: itself, else those that differ in zeros or case."""
    return [label] if label in there else [one for one in there if same_label(label, one)]


def folder_problems(data: DataSelection) -> tuple[Problem, ...]:
    """Return what is wrong with the folders that are named, before anything in them is read."""
    names = [name for name, _ in data.derivatives]
    problems = list(_raw_problems(data.bids_dir))
    problems += [
        Problem(
            where=f"-d {name}",
            found="a name that stands for two datasets (raw is the raw one)",
            remedy="give each a name of its own: -d NAME=PATH",
            code=ExitCode.USAGE,
        )
        for name in sorted(set(names))
        if names.count(name) > 1 or name == "raw"
    ]
    if data.run_maps_dir is None:
        remedy = "preprocess the dataset first (fMRIPrep), or name the derivatives with -d"
        problems += [
            _missing(str(root), "no such folder", remedy)
            for _, root in data.derivatives
            if not root.is_dir()
        ]
        problems += [one for _, root in data.derivatives for one in _unreadable_description(root)]
        if not data.derivatives and not data.raw_bold:
            problems.append(_missing("-d", "no derivatives were given", "name their folder"))
    for option, path in (("--design-dir", data.design_dir), ("--run-maps", data.run_maps_dir)):
        if path is not None and not path.is_dir():
            problems.append(_missing(f"{option} {path}", "no such folder", "correct the path"))
    return tuple(problems)


def _unreadable_description(root: Path) -> tuple[Problem, ...]:
    """Return why the description of derivatives cannot be read; they may have none."""
    path = root / DESCRIPTION
    try:
        if os.path.lexists(path):
            read_json(path)
    except BIDSFXError as error:
        return error.problems
    return ()


def empty_derivatives(data: DataSelection) -> tuple[Problem, ...]:
    """Return which folders of derivatives hold no participant; all folders must be there."""
    problems = []
    for _, root in data.derivatives if data.run_maps_dir is None else ():
        if not labels_in(root):
            inner = sorted({path.parent.name for path in root.glob("*/sub-*") if path.is_dir()})
            remedy = f"did you mean its folder {' or '.join(inner)}" if inner else "name another"
            if any(root.iterdir()):
                problems.append(_missing(str(root), "no folder sub-* in it", remedy))
            else:
                problems.append(_missing(str(root), "an empty folder", f"{_FETCH}, or {remedy}"))
    return tuple(problems)


def folders_as_files(dataset: Dataset, participant: str) -> tuple[Problem, ...]:
    """Return which folders have the name of a file, beside a participant's files.

    Whoever lists files passes over them, as if what they stand for had never been there. What is
    listed is no folder, and needs no question.
    """
    own = {file.path.parent for file in dataset.files if file.entities.get("sub") == participant}
    listed = {str(file.path) for file in dataset.files}
    return tuple(
        Problem(
            where=entry.path,
            found="a folder in place of a file",
            remedy="put the file there, or give the folder another name",
        )
        for folder in sorted(own)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if entry.name.endswith((*NIFTI, *TABLES, ".json"))
        and entry.path not in listed
        and is_folder(entry)
    )


def unknown_label(label: str, there: Collection[str], asked_by: str) -> Problem:
    """Return the fault of a participant who is not there."""
    close = get_close_matches(label, there, n=3, cutoff=0.5)
    listed = sorted(there, key=label_key)
    shown = ", ".join(listed[:10]) + (", ..." if len(listed) > 10 else "")
    remedy = f"did you mean {' or '.join(close)}" if close else f"there are {shown or 'none'}"
    return Problem(
        where=f"{asked_by} {label}",
        found="no such participant",
        remedy=remedy,
        code=ExitCode.NOTHING_SELECTED,
    )


def _raw_problems(root: Path) -> tuple[Problem, ...]:
    """Return what is wrong with the raw dataset's folder."""
    if not root.is_dir():
        return (_missing(str(root), "no such folder", "give the folder of the BIDS dataset"),)
    path = root / DESCRIPTION
    found = f"it has no {DESCRIPTION}, so it is no BIDS dataset"
    if path.is_file() or path.is_symlink():
        try:
            read_json(path)
        except BIDSFXError as error:
            if error.exit_code == ExitCode.MISSING_INPUT:
                return error.problems
            found = f"its {DESCRIPTION} is {error.problems[0].found}"
        else:
            return ()
    remedy = f"give the folder of the BIDS dataset, with a valid {DESCRIPTION}"
    return (Problem(where=str(root), found=found, remedy=remedy, code=ExitCode.INVALID_BIDS),)


def _missing(where: str, found: str, remedy: str) -> Problem:
    return Problem(where=where, found=found, remedy=remedy, code=ExitCode.MISSING_INPUT)
