"""Synthetic BIDS datasets of real sizes, with derivatives named as fMRIPrep names them.

What is true of these data does not matter here (`tests.synthetic` is for that); their sizes do,
those of the compressed files included. This module imports little: a program that is started
counts the memory of the one that starts it as its own (``ru_maxrss`` survives ``exec``).
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

SPACE = "MNI152NLin2009cAsym"
TASK = "loc"
#: What the grids cover in mm: that of fMRIPrep's MNI space at 2 mm, 97 x 115 x 97 voxels.
FIELD_MM = (194.0, 230.0, 194.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """What to make.

    Parameters
    ----------
    name : str
        Of the dataset's folder.
    shape : tuple of 3 int
        Voxels along each axis.
    voxel_mm : tuple of 3 float
        Edge lengths.
    n_scans : int
        Of a run.
    repetition_time : float
        In seconds.
    n_runs : int
        Runs of the only participant.
    n_distinct : int
        So many runs are made; the others are hard links to them, in turn.
    """

    name: str
    shape: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    n_scans: int
    repetition_time: float = 2.0
    n_runs: int = 1
    n_distinct: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The files of one run."""

    bold: Path
    mask: Path
    events: Path
    confounds: Path
    design: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BigDataset:
    """A dataset on disk.

    Parameters
    ----------
    root : Path
        Holds the three folders.
    spec : DataSpec
        What was made.
    """

    root: Path
    spec: DataSpec

    @property
    def raw(self) -> Path:
        """The raw dataset: events, and BOLD images of the right length, but of few voxels."""
        return self.root / "raw"

    @property
    def derivatives(self) -> Path:
        """Series, masks and confounds."""
        return self.root / "fmriprep"

    @property
    def designs(self) -> Path:
        """Design matrices made beforehand."""
        return self.root / "designs"

    @property
    def runs(self) -> tuple[RunFiles, ...]:
        """The files of each run."""
        return tuple(self.run(number) for number in range(1, self.spec.n_runs + 1))

    def run(self, number: int) -> RunFiles:
        """Return the files of a run, which need not be there."""
        name = f"sub-01_task-{TASK}_run-{number}"
        derived = self.derivatives / "sub-01" / "func"
        return RunFiles(
            bold=derived / f"{name}_space-{SPACE}_desc-preproc_bold.nii.gz",
            mask=derived / f"{name}_space-{SPACE}_desc-brain_mask.nii.gz",
            events=self.raw / "sub-01" / "func" / f"{name}_events.tsv",
            confounds=derived / f"{name}_desc-confounds_timeseries.tsv",
            design=self.designs / f"{name}_design.tsv",
        )

    def read_all(self) -> None:
        """Read the series once, so that the first program finds them in memory as the next do."""
        for run in self.runs[: self.spec.n_distinct]:
            with run.bold.open("rb") as file:
                while file.read(1 << 20):
                    pass


def isotropic(name: str, voxel_mm: float, n_scans: int, n_runs: int = 1) -> DataSpec:
    """Return what covers the whole field with cubic voxels; runs are links to one.

    Examples
    --------
    >>> isotropic("full", 2.0, 300).shape
    (97, 115, 97)
    """
    x, y, z = (round(length / voxel_mm) for length in FIELD_MM)
    sizes = (voxel_mm, voxel_mm, voxel_mm)
    return DataSpec(name=name, shape=(x, y, z), voxel_mm=sizes, n_scans=n_scans, n_runs=n_runs)


def make_big_dataset(folder: Path, spec: DataSpec) -> BigDataset:
    """Write a dataset, unless an earlier call has.

    Parameters
    ----------
    folder : Path
        Where the dataset's own folder is, or will be.
    spec : DataSpec
        What to make.
    """
    dataset = BigDataset(root=folder / spec.name, spec=spec)
    witness = dataset.root / "made.json"
    made = json.dumps(asdict(spec))
    if witness.exists() and witness.read_text() == made:
        return dataset
    shutil.rmtree(dataset.root, ignore_errors=True)
    _describe(dataset)
    distinct = range(1, spec.n_distinct + 1)
    # Processes of their own: what they import stays out of this one.
    n_procs = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(n_procs, mp_context=get_context("spawn")) as pool:
        list(pool.map(_make_run, [dataset] * len(distinct), distinct))
    for number in range(spec.n_distinct + 1, spec.n_runs + 1):
        _link_run(dataset, (number - 1) % spec.n_distinct + 1, number)
    witness.write_text(made)
    return dataset


def _make_run(dataset: BigDataset, number: int) -> None:
    from bigseries import make_run

    make_run(dataset, number)


def _link_run(dataset: BigDataset, source: int, number: int) -> None:
    """Give a run's files the names of another run too."""
    old, new = f"_run-{source}_", f"_run-{number}_"
    for path in sorted(dataset.root.rglob(f"*{old}*")):
        (path.parent / path.name.replace(old, new)).hardlink_to(path)


def _describe(dataset: BigDataset) -> None:
    """Write what makes the folders datasets."""
    generator = {"Name": "fMRIPrep", "Version": "0.0", "Description": "Made in its likeness"}
    derived = {"DatasetType": "derivative", "GeneratedBy": [generator]}
    kinds: dict[Path, dict[str, object]] = {
        dataset.raw: {"DatasetType": "raw", "License": "CC0", "Authors": ["A. Random"]},
        dataset.derivatives: dict(derived),
    }
    for root, particular in kinds.items():
        (root / "sub-01" / "func").mkdir(parents=True)
        description = {"Name": "Benchmark", "BIDSVersion": "1.9.0", **particular}
        (root / "dataset_description.json").write_text(json.dumps(description, indent=2))
    (dataset.raw / "README").write_text("Made by a program that measures another one.\n" * 4)
    dataset.designs.mkdir()
