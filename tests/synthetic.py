"""Synthetic BIDS datasets with known effects: a raw tree and fMRIPrep-style derivatives.

`make_dataset` writes the files and returns what is true of them; `tests.simulation` says how the
series are made. Also a program: ``python -m tests.synthetic OUT --participants 3 --sessions 2``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.simulation import (
    BoolArray,
    DatasetSpec,
    FloatArray,
    acquisitions,
    describe_confounds,
    make_anatomy,
    make_confounds,
    make_events,
    make_responses,
    make_series,
    name_of,
    picks,
)

__all__ = ["DatasetSpec", "RunTruth", "Truth", "make_dataset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTruth:
    """One BOLD file, what belongs to it, and what is true of it.

    Parameters
    ----------
    name : str
        Entities of the BOLD file as they stand in its name, without ``desc``.
    entities : dict of str to str
        The same, by key.
    bold, sidecar, confounds : Path
        The derivatives.
    mask, events, t1w : Path or None
        None where there is none.
    n_volumes : int
        Number of scans.
    frame_times : ndarray of shape (n_scans,)
        Moments at which the responses were sampled, in seconds.
    responses : dict of str to ndarray of shape (n_scans,)
        Response to each condition that has events, not centred.
    effects : dict of str to float
        Effects of those conditions in percent signal, the run's gain included.
    brain, covered : ndarray of bool of shape (x, y, z)
        The voxels with signal; those of them that the run covers (its mask).
    affine : ndarray of shape (4, 4)
        Of the BOLD file.
    kept : ndarray of bool of shape (n_scans,)
        False for outliers.
    """

    name: str
    entities: dict[str, str]
    bold: Path
    sidecar: Path
    confounds: Path
    mask: Path | None
    events: Path | None
    t1w: Path | None
    n_volumes: int
    frame_times: FloatArray
    responses: dict[str, FloatArray]
    effects: dict[str, float]
    brain: BoolArray
    covered: BoolArray
    affine: FloatArray
    kept: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What `make_dataset` wrote, and what is true of it.

    Parameters
    ----------
    bids_dir, derivatives_dir : Path
        The raw dataset, and its derivatives.
    spec : DatasetSpec
        What was asked for; ``spec.effects`` has the effects, ``spec.rho`` the autocorrelation.
    planted : dict of str to ndarray of bool of shape (x, y, z)
        The voxels that respond to each condition; they are disjoint.
    null : ndarray of bool of shape (x, y, z)
        The brain's voxels that respond to nothing.
    runs : tuple of RunTruth
        Each BOLD file, in the order of participants, sessions, tasks, variants, runs, spaces.
    """

    bids_dir: Path
    derivatives_dir: Path
    spec: DatasetSpec
    planted: dict[str, BoolArray]
    null: BoolArray
    runs: tuple[RunTruth, ...]

    def select(self, selector: str) -> tuple[RunTruth, ...]:
        """Return the runs that a selector picks."""
        return tuple(run for run in self.runs if picks(selector, run.entities))

    def effect_map(self, weights: Mapping[str, float]) -> FloatArray:
        """Return the true effect of a contrast in percent signal, shape (x, y, z), gain 1."""
        return np.asarray(
            sum(w * self.spec.effects[name] * self.planted[name] for name, w in weights.items()),
            dtype=np.float64,
        )


def make_dataset(root: Path, spec: DatasetSpec | None = None) -> Truth:
    """Write a dataset and its derivatives.

    Parameters
    ----------
    root : Path
        The raw dataset's folder; made if need be.
    spec : DatasetSpec or None
        None means the defaults.

    Returns
    -------
    Truth
        The files and the effects in them.
    """
    spec = spec or DatasetSpec()
    derivatives_dir = root / "derivatives" / spec.derivatives
    brain, planted, null = make_anatomy(spec)
    _write_dataset_files(root, derivatives_dir, spec)
    runs = tuple(
        run
        for entities in acquisitions(spec)
        for run in _make_run(root, derivatives_dir, spec, entities, brain, planted)
    )
    return Truth(
        bids_dir=root,
        derivatives_dir=derivatives_dir,
        spec=spec,
        planted=planted,
        null=null,
        runs=runs,
    )


def _make_run(
    root: Path,
    derivatives_dir: Path,
    spec: DatasetSpec,
    entities: dict[str, str],
    brain: BoolArray,
    planted: Mapping[str, BoolArray],
) -> Iterator[RunTruth]:
    """Write a run's events and confounds, and its BOLD in each space."""
    name = name_of(entities, "echo", "part")
    n_volumes = next((n for s, n in spec.run_volumes if picks(s, entities)), spec.n_volumes)
    frame_times = np.arange(n_volumes, dtype=float) * spec.repetition_time + spec.slice_time
    kept = np.ones(n_volumes, dtype=bool)
    kept[[*range(spec.non_steady_scans), *spec.motion_outliers]] = False
    events = make_events(spec, entities, n_volumes)
    responses = make_responses(events, frame_times)
    confounds = make_confounds(spec, name, n_volumes)
    confounds_file = _folder(derivatives_dir, entities) / f"{name}_desc-confounds_timeseries.tsv"
    _write_table(confounds_file, confounds)
    _write_json(confounds_file.with_suffix(".json"), describe_confounds(confounds))
    _write_raw_image(root, spec, entities)
    events_file = _write_events(root, spec, entities, events)

    gain = next((g for s, g in spec.run_gains if picks(s, entities)), 1.0)
    effects = {condition: gain * spec.effects[condition] for condition in responses}
    explained = np.zeros((*spec.shape, n_volumes))
    for condition, response in responses.items():
        explained[planted[condition]] = effects[condition] * response
    covered = brain.copy()
    if any(picks(selector, entities) for selector in spec.uncovered):
        covered[: spec.shape[0] // 2, :, : spec.shape[2] // 3] = False
    for space in spec.spaces:
        full = entities | _space_entities(space)
        stem = _folder(derivatives_dir, full) / name_of(full)
        run = RunTruth(
            name=name_of(full),
            entities=full,
            bold=Path(f"{stem}_desc-preproc_bold.nii.gz"),
            sidecar=Path(f"{stem}_desc-preproc_bold.json"),
            confounds=confounds_file,
            mask=Path(f"{stem}_desc-brain_mask.nii.gz") if spec.masks else None,
            events=events_file,
            t1w=_t1w_path(derivatives_dir, full) if spec.t1w else None,
            n_volumes=n_volumes,
            frame_times=frame_times,
            responses=responses,
            effects=effects,
            brain=brain,
            covered=covered,
            affine=_affine(spec, space),
            kept=kept,
        )
        data = make_series(spec, run.name, explained, confounds, brain, kept)
        data[brain & ~covered] = spec.uncovered_value
        _write_images(spec, run, data)
        yield run


def _folder(root: Path, entities: Mapping[str, str], datatype: str = "func") -> Path:
    folder = root / f"sub-{entities['sub']}"
    if "ses" in entities:
        folder /= f"ses-{entities['ses']}"
    folder /= datatype
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _t1w_path(derivatives_dir: Path, entities: Mapping[str, str]) -> Path:
    pairs = {key: entities[key] for key in ("sub", "ses", "space", "res") if key in entities}
    if pairs.get("space") == "T1w":  # the T1w image's own space has no entity there
        del pairs["space"]
    return _folder(derivatives_dir, entities, "anat") / f"{name_of(pairs)}_desc-preproc_T1w.nii.gz"


def _space_entities(space: str) -> dict[str, str]:
    if space == "func":
        return {}
    name, _, res = space.partition(":res-")
    return {"space": name, "res": res} if res else {"space": name}


def _affine(spec: DatasetSpec, space: str) -> FloatArray:
    """Return the grid's affine; a ``res`` label above 1 stretches the voxels."""
    res = _space_entities(space).get("res", "1")
    size = spec.voxel_mm * (float(res) if res.isdigit() else 1.0)
    affine = np.diag([size, size, size, 1.0])
    if spec.oblique:
        a, b = np.deg2rad([11.0, 7.0])
        about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
        about_z = [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]
        affine[:3, :3] = np.array(about_x) @ np.array(about_z) @ affine[:3, :3]
    centre = (np.array(spec.shape) - 1) / 2
    affine[:3, 3] = -affine[:3, :3] @ centre + [0.0, -18.0, 12.0]
    return affine


def _write_images(spec: DatasetSpec, run: RunTruth, data: FloatArray) -> None:
    """Write a run's BOLD, its sidecar, its mask and the T1w."""
    code = 4 if run.entities.get("space", "").startswith("MNI") else 1
    _write_image(run.bold, data, run.affine, code, spec.dtype, spec.repetition_time)
    metadata: dict[str, object] = {
        "RepetitionTime": spec.repetition_time,
        "SkullStripped": False,
        "SliceTimingCorrected": spec.slice_timing_corrected,
        "TaskName": run.entities["task"],
    }
    if spec.start_time is not None:
        metadata["StartTime"] = spec.start_time
    _write_json(run.sidecar, metadata)
    if run.mask is not None:
        _write_image(run.mask, run.covered, run.affine, code, "uint8")
    if run.t1w is not None:
        shade = np.where(run.brain, 600.0, 20.0) + 10 * np.hypot(*np.indices(spec.shape)[:2])
        _write_image(run.t1w, shade, run.affine, code, "int16")
        _write_json(Path(str(run.t1w).replace(".nii.gz", ".json")), {"SkullStripped": False})


def _write_image(
    path: Path,
    data: npt.NDArray[np.generic],
    affine: FloatArray,
    code: int,
    dtype: str,
    repetition_time: float | None = None,
) -> None:
    if np.issubdtype(np.dtype(dtype), np.integer):
        data = np.nan_to_num(np.asarray(data, dtype=np.float64)).round()
    image = nb.Nifti1Image(data.astype(dtype), affine)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.header.set_xyzt_units("mm", "sec")
    if repetition_time is not None:
        image.header["pixdim"][4] = repetition_time
    image.to_filename(path)


def _write_events(
    root: Path, spec: DatasetSpec, entities: Mapping[str, str], events: pd.DataFrame
) -> Path | None:
    if events.empty:
        return None
    if spec.events_at_root:
        path = root / f"task-{entities['task']}_events.tsv"
    else:
        name = name_of(entities, "echo", "part")
        path = _folder(root, entities) / f"{name}_events.tsv"
    _write_table(path, events)
    return path


def _write_raw_image(root: Path, spec: DatasetSpec, entities: Mapping[str, str]) -> None:
    path = _folder(root, entities) / f"{name_of(entities)}_bold.nii.gz"
    if spec.raw_images == "empty":
        path.touch()
    elif spec.raw_images == "dangling":
        path.unlink(missing_ok=True)
        path.symlink_to(f"../../.git/annex/objects/{path.name}")


def _write_dataset_files(root: Path, derivatives_dir: Path, spec: DatasetSpec) -> None:
    derivatives_dir.mkdir(parents=True, exist_ok=True)
    description = {
        "Name": "Synthetic",
        "BIDSVersion": "1.9.0",
        "License": "CC0",
        "Authors": ["A. Random", "B. Normal"],
    }
    _write_json(root / "dataset_description.json", description | {"DatasetType": "raw"})
    generator = {"Name": "fMRIPrep", "Version": "0.0", "Description": "Made in its likeness"}
    derived: dict[str, object] = {"DatasetType": "derivative", "GeneratedBy": [generator]}
    _write_json(derivatives_dir / "dataset_description.json", description | derived)
    (derivatives_dir / ".bidsignore").write_text("*.html\nlogs\nfigures\n*_timeseries.*\n")
    (root / "README").write_text("Made by a program: every effect in it is known.\n" * 4)
    participants = [f"sub-{label}" for label in spec.participants]
    _write_table(root / "participants.tsv", pd.DataFrame({"participant_id": participants}))
    for task in spec.tasks + spec.rest_tasks:
        _write_json(
            root / f"task-{task}_bold.json",
            {"TaskName": task, "RepetitionTime": spec.repetition_time},
        )
    levels: dict[str, object] = {name: f"Pictures: {name}." for name in spec.effects}
    for task in spec.tasks:
        _write_json(root / f"task-{task}_events.json", {"trial_type": {"Levels": levels}})


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, sep="\t", index=False, na_rep="n/a", float_format="%.10g")


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")


def _labels(count: int, width: int = 1) -> tuple[str, ...]:
    return tuple(f"{i + 1:0{width}d}" for i in range(count))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a dataset from the command line."""
    defaults = DatasetSpec()
    parser = argparse.ArgumentParser(prog="tests.synthetic", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path)
    parser.add_argument("--participants", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=0)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--tasks", nargs="+", default=defaults.tasks)
    parser.add_argument("--spaces", nargs="+", default=defaults.spaces)
    parser.add_argument("--shape", nargs=3, type=int, default=defaults.shape)
    parser.add_argument("--voxel-mm", type=float, default=defaults.voxel_mm)
    parser.add_argument("--volumes", type=int, default=defaults.n_volumes)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    given = parser.parse_args(arguments)
    x, y, z = given.shape
    spec = DatasetSpec(
        participants=_labels(given.participants, 2),
        sessions=_labels(given.sessions),
        runs=_labels(given.runs),
        tasks=tuple(given.tasks),
        spaces=tuple(given.spaces),
        shape=(x, y, z),
        voxel_mm=given.voxel_mm,
        n_volumes=given.volumes,
        seed=given.seed,
    )
    truth = make_dataset(given.out, spec)
    sys.stdout.writelines(f"{run.bold}\n" for run in truth.runs)


if __name__ == "__main__":
    main()
