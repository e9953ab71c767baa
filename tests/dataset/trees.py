"""Small datasets on disk, made file by file as a test needs them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nb
import numpy as np

from bids_fx.dataset.index import find_all
from bids_fx.entities import parse_name
from bids_fx.inputs import Found
from bids_fx.settings import AnalysisSettings, DataSelection

EVENTS = "onset\tduration\ttrial_type\n1\t2\tface\n5\t2\thouse\n"
SHAPE = (4, 3, 2)
IMAGE = ("space", "cohort", "res", "den", "desc")


def write_image(
    path: Path,
    values: np.ndarray,
    *,
    tr: float = 2.0,
    units: str = "sec",
    zoom: float = 2.0,
) -> Path:
    """Write a NIfTI image with isotropic voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nb.Nifti1Image(values, np.diag([zoom, zoom, zoom, 1.0]))
    if values.ndim == 4:
        image.header.set_zooms((zoom, zoom, zoom, tr))
    image.header.set_xyzt_units("mm", units)
    image.to_filename(path)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_json(path: Path, **content: object) -> Path:
    """Write a JSON file and its folders."""
    return write_text(path, json.dumps(content))


def confounds_text(n_rows: int) -> str:
    """Return a table of motion parameters and framewise displacement."""
    names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    rows = ["\t".join([*names, "framewise_displacement"])]
    for row in range(n_rows):
        displacement = "n/a" if row == 0 else "0.1"
        rows.append("\t".join([str(0.01 * row)] * 6 + [displacement]))
    return "\n".join(rows) + "\n"


@dataclass
class Tree:
    """A raw dataset and its derivatives below one folder."""

    root: Path
    n_scans: int = 6
    sidecar: dict[str, object] = field(default_factory=lambda: {"RepetitionTime": 2.0})

    def __post_init__(self) -> None:
        write_json(self.raw / "dataset_description.json", Name="raw", BIDSVersion="1.9.0")
        write_json(
            self.preproc / "dataset_description.json",
            Name="preprocessed",
            BIDSVersion="1.9.0",
            DatasetType="derivative",
            GeneratedBy=[{"Name": "fMRIPrep"}],
        )

    @property
    def raw(self) -> Path:
        return self.root / "bids"

    @property
    def preproc(self) -> Path:
        return self.root / "fmriprep"

    def func(self, base: Path, stem: str, ending: str) -> Path:
        """Return the path of a file of a run."""
        entities = parse_name(stem + "_x").entities
        folder = base / f"sub-{entities['sub']}"
        if "ses" in entities:
            folder /= f"ses-{entities['ses']}"
        return folder / "func" / f"{stem}_{ending}"

    def run(
        self,
        stem: str,
        *,
        events: bool = True,
        mask: bool = True,
        confounds: bool = True,
        sidecar: dict[str, object] | None = None,
        tr: float = 2.0,
        units: str = "sec",
    ) -> Path:
        """Write a run with all that belongs to it; return the BOLD series' path."""
        run = str(parse_name(stem + "_x").entities.without(*IMAGE))
        rng = np.random.default_rng(1)
        bold = self.func(self.preproc, stem, "desc-preproc_bold.nii.gz")
        values = rng.normal(100, 1, (*SHAPE, self.n_scans)).astype(np.float32)
        write_image(bold, values, tr=tr, units=units)
        content = self.sidecar if sidecar is None else sidecar
        write_json(self.func(self.preproc, stem, "desc-preproc_bold.json"), **content)
        if mask:
            path = self.func(self.preproc, stem, "desc-brain_mask.nii.gz")
            write_image(path, np.ones(SHAPE, dtype=np.uint8))
        if confounds:
            stem = self.single(run)
            path = self.func(self.preproc, stem, "desc-confounds_timeseries.tsv")
            write_text(path, confounds_text(self.n_scans))
        if events:
            write_text(self.func(self.raw, self.single(run), "events.tsv"), EVENTS)
        return bold

    @staticmethod
    def single(stem: str) -> str:
        """Return a stem without its echo."""
        return str(parse_name(stem + "_x").entities.without("echo"))

    def data(self, **choices: object) -> DataSelection:
        """Return the selection of this tree's data."""
        choices.setdefault("derivatives", (("fmriprep", self.preproc),))
        return DataSelection(bids_dir=self.raw, **choices)

    def find(
        self, participant: str = "01", analysis: AnalysisSettings | None = None, **choices: object
    ) -> Found:
        """Return what is found for a participant."""
        settings = analysis or AnalysisSettings()
        (found,) = find_all(self.data(**choices), [participant], analysis=settings)
        return found


def names(found: Found) -> list[str]:
    """Return the entities of the runs that were found."""
    return [str(run.entities) for run in found.runs]


def told(found: Found) -> str:
    """Return all that is told about what was found: problems, absences and notices."""
    notices = [*found.notices, *(n for run in found.runs for n in getattr(run, "notices", ()))]
    absences = map(str, found.absent)
    return "\n".join([*map(str, found.problems), *absences, *(notice.text for notice in notices)])
