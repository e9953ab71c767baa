"""One run of a big synthetic dataset: its series, volume by volume, and its tables."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import gaussian_filter

from bids_fx.glm.design import Condition, Design, make_design
from bigdata import TASK, BigDataset, DataSpec

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

SEED = 20251121
CONDITIONS = {"face": 1.5, "house": 0.5}  # effects in percent
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
#: Of an event, and on average from one to the next.
_EVENT_S, _EVERY_S = 3.0, 14.0
#: Half axes of the brain in mm, near the MNI brain's, and where its centre is.
_BRAIN_MM, _CENTRE_MM = (70.0, 88.0, 66.0), (0.0, -18.0, 8.0)
#: Skull, dark, and scalp, bright, reach so many times as far: derivatives are not skull-stripped.
_SKULL, _SCALP = 1.08, 1.2
#: Mean of the brain, and standard deviation of its noise in percent, as of a 3 T scanner.
_MEAN, _NOISE_PERCENT = 2000.0, 1.2
#: Noise: correlation from scan to scan and smoothness of one part, and its share of the variance;
#: the rest is white in space and time.
_RHO, _SMOOTH_MM, _SHARE = 0.4, 1.6, 0.6


def make_run(dataset: BigDataset, number: int) -> None:
    """Write the files of one run, the same for the same specification and number."""
    spec, files = dataset.spec, dataset.run(number)
    rng = np.random.default_rng([SEED, *spec.shape, spec.n_scans, number])
    events = _events(rng, spec)
    confounds = _confounds(rng, spec.n_scans)
    design = _design(spec, events, confounds)
    affine = _affine(spec)
    distance = _distance(spec, affine)
    brain = distance < 1
    header = _header(spec, affine, spec.shape, "int16")
    with gzip.open(files.bold, "wb", compresslevel=1) as stream:
        stream.write(header.binaryblock + bytes(4))
        for volume in _volumes(rng, spec, distance, design):
            stream.write(volume.tobytes(order="F"))
    mask = nb.Nifti1Image(brain.astype(np.uint8), affine)
    mask.set_qform(affine, 4)
    mask.set_sform(affine, 4)
    mask.to_filename(files.mask)
    _write_table(files.events, events)
    _write_table(files.confounds, confounds)
    files.confounds.with_suffix(".json").write_text("{}")
    _write_table(files.design, pd.DataFrame(design.matrix, columns=list(design.names)))
    sidecar = {"RepetitionTime": spec.repetition_time, "TaskName": TASK, "SkullStripped": False}
    stem = files.events.name.removesuffix("_events.tsv")
    for path in (_sidecar(files.bold), dataset.raw / "sub-01" / "func" / f"{stem}_bold.json"):
        path.write_text(json.dumps(sidecar))
    # FitLins reads the length of runs from the raw images.
    header = _header(spec, affine, (4, 4, 4), "uint8")
    with gzip.open(files.events.with_name(f"{stem}_bold.nii.gz"), "wb") as stream:
        stream.write(header.binaryblock + bytes(4 + 64 * spec.n_scans))


def _events(rng: np.random.Generator, spec: DataSpec) -> pd.DataFrame:
    """Return events of all conditions in random order, up to 20 s before the end."""
    last = spec.n_scans * spec.repetition_time - 20
    n = max(2, int(last / _EVERY_S / len(CONDITIONS)))
    n_events = n * len(CONDITIONS)
    onsets = np.linspace(4, last, n_events) + rng.uniform(0, 4, n_events)
    names = rng.permutation(np.repeat(list(CONDITIONS), n))
    return pd.DataFrame({"onset": onsets.round(2), "duration": _EVENT_S, "trial_type": names})


def _confounds(rng: np.random.Generator, n_scans: int) -> pd.DataFrame:
    """Return motion and some of what else fMRIPrep tells of each scan."""
    motion = pd.DataFrame(
        np.cumsum(0.01 * rng.standard_normal((n_scans, len(MOTION))), axis=0), columns=MOTION
    )
    steps = motion.diff()
    others = [f"a_comp_cor_{i:02d}" for i in range(6)] + ["csf", "white_matter"]
    noise = pd.DataFrame(rng.standard_normal((n_scans, len(others))), columns=others)
    displacement = steps.abs().sum(axis=1, min_count=1).rename("framewise_displacement")
    return pd.concat([motion, steps.add_suffix("_derivative1"), displacement, noise], axis=1)


def _design(spec: DataSpec, events: pd.DataFrame, confounds: pd.DataFrame) -> Design:
    conditions = []
    for name in CONDITIONS:
        onsets = events.loc[events["trial_type"] == name, "onset"].to_numpy()
        steady = np.ones(onsets.size)
        conditions.append(
            Condition(name=name, onsets=onsets, durations=_EVENT_S * steady, amplitudes=steady)
        )
    return make_design(
        spec.repetition_time * (np.arange(spec.n_scans, dtype=np.float64) + 0.5),
        repetition_time=spec.repetition_time,
        conditions=conditions,
        hrf_model="spm",
        drift_model="cosine",
        high_pass_s=128.0,
        confounds=confounds[list(MOTION)].to_numpy(),
        confound_names=MOTION,
        censored=[],
    )


def _affine(spec: DataSpec) -> FloatArray:
    affine = np.diag([*spec.voxel_mm, 1.0])
    affine[:3, 3] = _CENTRE_MM - (np.array(spec.shape) - 1) / 2 * spec.voxel_mm
    return affine


def _distance(spec: DataSpec, affine: FloatArray) -> FloatImage:
    """Return how far each voxel is from the brain's centre; its bumpy surface is at 1."""
    axes = np.indices(spec.shape, dtype=np.float32, sparse=True)
    x, y, z = (axis * affine[i, i] + affine[i, 3] for i, axis in enumerate(axes))
    squares = [
        ((along - centre) / half) ** 2
        for along, centre, half in zip((x, y, z), _CENTRE_MM, _BRAIN_MM, strict=True)
    ]
    bumps = 1 + 0.03 * np.sin(x / 9) * np.sin(y / 11) * np.sin(z / 7)
    return np.asarray(np.sqrt(sum(squares)) / bumps, dtype=np.float32)


def _volumes(
    rng: np.random.Generator, spec: DataSpec, distance: FloatImage, design: Design
) -> Iterator[npt.NDArray[np.int16]]:
    """Iterate over the scans as they are stored."""
    smoothness = [_SMOOTH_MM / size for size in spec.voxel_mm]

    def smooth_noise() -> FloatImage:
        white = rng.standard_normal(spec.shape, dtype=np.float32)
        noise: FloatImage = gaussian_filter(white, smoothness)
        noise /= noise.std()
        return noise

    tissue = 1 + 0.1 * smooth_noise()
    base = _MEAN * np.select(
        [distance < 1, distance < _SKULL, distance < _SCALP], [tissue, 0.1 * tissue, 0.7 * tissue]
    ).astype(np.float32)
    responding = np.exp(-8 * (distance - 0.6) ** 2) * (smooth_noise() > 1)
    of = {name: design.matrix[:, design.names.index(name)] for name in (*CONDITIONS, MOTION[0])}
    changes = np.sum([effect * of[name] for name, effect in CONDITIONS.items()], axis=0)
    drift = np.cos(np.pi * np.arange(spec.n_scans) / spec.n_scans)
    series = smooth_noise()
    for scan in range(spec.n_scans):
        series = _RHO * series + np.sqrt(1 - _RHO**2) * smooth_noise()
        white = rng.standard_normal(spec.shape, dtype=np.float32)
        noise = np.sqrt(_SHARE) * series + np.sqrt(1 - _SHARE) * white
        everywhere = drift[scan] + 2 * of[MOTION[0]][scan]
        percent = responding * changes[scan] + everywhere + _NOISE_PERCENT * noise
        yield (base * (1 + percent / 100)).round().astype(np.int16)


def _header(
    spec: DataSpec, affine: FloatArray, shape: tuple[int, int, int], dtype: str
) -> nb.Nifti1Header:
    """Return the header of a series in a single file."""
    header = nb.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape((*shape, spec.n_scans))
    header.set_zooms((*spec.voxel_mm, spec.repetition_time))
    header.set_xyzt_units("mm", "sec")
    header.set_qform(affine, 4)
    header.set_sform(affine, 4)
    header["vox_offset"] = 352
    return header


def _sidecar(image: Path) -> Path:
    return image.with_name(image.name.replace(".nii.gz", ".json"))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
