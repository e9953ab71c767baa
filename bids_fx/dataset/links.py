"""Symbolic links among the files of datasets that lead out of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from bids_fx.dataset.files import NIFTI, Dataset, DatasetFile
from bids_fx.errors import Problem
from bids_fx.settings import DataSelection


def links_out(
    datasets: Iterable[Dataset], data: DataSelection, participant: str
) -> tuple[Problem, ...]:
    """Return the fault of a participant's files that lie elsewhere than they seem to.

    Parameters
    ----------
    datasets : iterable of Dataset
        What each holds for the participant, and for all.
    data : DataSelection
        With `links`: where they may be followed anywhere, no file is asked for, which takes one
        call of the system each. Else a link may lead to any of the folders that are named.
    participant : str
        Label without ``sub-``.
    """
    if data.links == "follow":
        return ()
    out = [(file, real) for dataset in datasets for file, real in _leading_out(dataset, data)]
    if not out:
        return ()
    (first, real), others = out[0], len(out) - 1
    more = f", and so do {others} other files of this participant" if others else ""
    problem = Problem(
        where=str(first.path),
        found=f"a symbolic link leads out of the datasets, to {real}{more}",
        remedy="put the file itself there, name the folder that it is in by -d, or trust such "
        "links by --links follow",
        participant=participant,
    )
    return (problem,)


def _leading_out(dataset: Dataset, data: DataSelection) -> Iterator[tuple[DatasetFile, Path]]:
    """Iterate over the files that may be read and are elsewhere, and where they are."""
    named = (data.design_dir, data.run_maps_dir)
    folders = (data.bids_dir, *(path for _, path in data.derivatives), *filter(None, named))
    roots = [real_path(folder) for folder in folders]
    real_folder = cache(real_path)
    reads_images = dataset.name != "raw" or data.raw_bold
    for file in dataset.files:
        if file.name.extension in NIFTI and not reads_images:
            continue
        # Links to files are asked for one by one, those to folders once a folder.
        real = real_folder(file.path.parent) / file.path.name
        if real.is_symlink():
            real = real_path(real)
        if not any(real.is_relative_to(root) for root in roots):
            yield file, real


def real_path(path: Path) -> Path:
    """Return a path without symbolic links, also where they lead nowhere or in a circle."""
    return Path(os.path.realpath(path))
