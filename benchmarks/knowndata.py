"""Small BIDS datasets whose effects are known, voxel by voxel, and not from our own code.

The response to an event is the sum over a grid of 1 ms of the events times SPM's kernel, where
our program has a closed form and pybids a grid that it chooses by the events. Onsets and
durations are whole numbers of milliseconds, so that nothing is rounded to that grid.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import signal, stats

FloatArray = npt.NDArray[np.float64]

SPACE = "MNI152NLin2009cAsym"
CONDITIONS = ("face", "house")
SHAPE = (16, 16, 16)
SEED = 20251121
#: Of the noise, in percent of the voxel's mean, and its autocorrelation from scan to scan.
NOISE_PERCENT, RHO = 0.5, 0.3
#: Of the drift, a slow cosine, in percent.
DRIFT_PERCENT = 0.5
#: Length of SPM's kernel in seconds.
KERNEL_S = 32.0
CUTOFF_S = 128.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How the runs of one task are timed.

    Parameters
    ----------
    task : str
        The label, by which models pick their runs.
    n_scans : int
        Of a run.
    grid_ms : int
        Onsets are multiples of it.
    duration_ms : int
        Of each event; 0 means impulses of area 1 s.
    every_s : tuple of 2 float
        Least and largest time from one onset to the next.
    repetition_time, start_time : float
        In seconds; StartTime is the moment of a volume at which it shows the brain.
    missing : tuple of (int, str)
        Number of a run and a condition that has no event there.
    """

    task: str
    n_scans: int = 120
    grid_ms: int = 2000
    duration_ms: int = 10_000
    every_s: tuple[float, float] = (14.0, 24.0)
    repetition_time: float = 2.0
    start_time: float = 0.0
    missing: tuple[tuple[int, str], ...] = ()

    def moments(self) -> FloatArray:
        """Return when the scans show the brain in seconds, shape (n_scans,)."""
        return self.start_time + self.repetition_time * np.arange(self.n_scans, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A dataset on disk and what is true of it.

    Parameters
    ----------
    raw, derivatives : Path
        The two datasets.
    mask : ndarray of bool of shape (x, y, z)
        The brain.
    effects : dict of str to ndarray of shape (n_voxels,)
        Of each condition in percent of the voxel's mean, the same in all runs.
    """

    raw: Path
    derivatives: Path
    mask: npt.NDArray[np.bool_]
    effects: dict[str, FloatArray]


def make_known(root: Path, timings: tuple[Timing, ...], n_runs: int = 2) -> Known:
    """Write a dataset with one participant and a task for each timing.

    Parameters
    ----------
    root : Path
        Made if need be.
    timings : tuple of Timing
        With different tasks.
    n_runs : int
        Of each task.
    """
    raw, derivatives = root / "raw", root / "fmriprep"
    for folder, kind in ((raw, "raw"), (derivatives, "derivative")):
        (folder / "sub-01" / "func").mkdir(parents=True, exist_ok=True)
        description: dict[str, object] = {
            "Name": "known effects",
            "BIDSVersion": "1.9.0",
            "DatasetType": kind,
        }
        made_by = [{"Name": "fMRIPrep", "Description": "Made in its likeness"}]
        description |= {"GeneratedBy": made_by} if kind == "derivative" else {}
        _write_json(folder / "dataset_description.json", description)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    rng = np.random.default_rng(SEED)
    effects = {name: rng.normal(size=np.count_nonzero(mask)) for name in CONDITIONS}
    known = Known(raw=raw, derivatives=derivatives, mask=mask, effects=effects)
    for timing in timings:
        for number in range(1, n_runs + 1):
            _write_run(known, timing, number)
    return known


def _write_run(known: Known, timing: Timing, number: int) -> None:
    name = f"sub-01_task-{timing.task}_run-{number}"
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    raw, derived = (root / "sub-01" / "func" for root in (known.raw, known.derivatives))
    events = make_events(rng, timing, number)
    _write_table(raw / f"{name}_events.tsv", events)
    found = responses(events, timing.moments())
    confounds = make_confounds(rng, timing, found)
    _write_table(derived / f"{name}_desc-confounds_timeseries.tsv", confounds)
    sidecar = {"RepetitionTime": timing.repetition_time, "TaskName": timing.task}
    _write_json(raw / f"{name}_bold.json", sidecar)
    # pybids reads how long the raw image is.
    _write_image(
        raw / f"{name}_bold.nii.gz",
        np.zeros((2, 2, 2, timing.n_scans), dtype=np.uint8),
        timing.repetition_time,
    )
    stem = derived / f"{name}_space-{SPACE}_desc-"
    series = make_series(rng, timing, known, found)
    _write_image(Path(f"{stem}preproc_bold.nii.gz"), series, timing.repetition_time)
    sidecar |= {"StartTime": timing.start_time, "SkullStripped": False}
    _write_json(Path(f"{stem}preproc_bold.json"), sidecar)
    _write_image(Path(f"{stem}brain_mask.nii.gz"), known.mask.astype(np.uint8))


def make_events(rng: np.random.Generator, timing: Timing, number: int) -> pd.DataFrame:
    """Return the events of a run, as many of both conditions, in random order."""
    end = timing.n_scans * timing.repetition_time - KERNEL_S / 2
    low, high = timing.every_s
    gaps = rng.uniform(low, high, size=int(end / low) + 1)
    onsets_ms = np.round(np.cumsum(gaps) * 1000 / timing.grid_ms).astype(int) * timing.grid_ms
    onsets_ms -= onsets_ms[0] - 3 * timing.grid_ms
    onsets_ms = onsets_ms[onsets_ms < end * 1000]
    names = np.resize(CONDITIONS, onsets_ms.size)
    events = pd.DataFrame(
        {
            "onset": onsets_ms / 1000,
            "duration": timing.duration_ms / 1000,
            "trial_type": rng.permutation(names),
        }
    )
    absent = [name for run, name in timing.missing if run == number]
    return events[~events["trial_type"].isin(absent)]


def responses(events: pd.DataFrame, moments: FloatArray) -> dict[str, FloatArray]:
    """Return the response to each condition at some moments, shape (n_moments,)."""
    return {
        str(condition): response_by_sum(
            _milliseconds(rows["onset"].to_numpy()),
            _milliseconds(rows["duration"].to_numpy()),
            _milliseconds(moments),
        )
        for condition, rows in events.groupby("trial_type")
    }


def response_by_sum(
    onsets_ms: npt.NDArray[np.int_],
    durations_ms: npt.NDArray[np.int_],
    moments_ms: npt.NDArray[np.int_],
) -> FloatArray:
    """Return the response to events by the trapezoidal rule on a grid of 1 ms.

    Parameters
    ----------
    onsets_ms, durations_ms : ndarray of int of shape (n_events,)
        In milliseconds; events of duration 0 are impulses of area 1 s.
    moments_ms : ndarray of int of shape (n_moments,)
        Where the response is wanted.

    Returns
    -------
    ndarray of shape (n_moments,)
        1 is the height of a sustained response.
    """
    grid = np.arange(KERNEL_S * 1000 + 1) / 1000
    kernel = stats.gamma.pdf(grid, 6) - stats.gamma.pdf(grid, 16) / 6
    kernel /= np.trapezoid(kernel, grid)
    course = np.zeros(int(max(moments_ms.max(), (onsets_ms + durations_ms).max())) + 1)
    for onset, duration in zip(onsets_ms, durations_ms, strict=True):
        if duration == 0:
            course[onset] += 1.0
        else:
            # the ends of a box count half: its area is exact
            course[onset : onset + duration] += 0.0005
            course[onset + 1 : onset + duration + 1] += 0.0005
    return np.asarray(signal.fftconvolve(course, kernel)[moments_ms])


def response_at(known: Known, timing: Timing, condition: str, moments: FloatArray) -> FloatArray:
    """Return the response to a condition of the first run at any moments in seconds."""
    name = f"sub-01_task-{timing.task}_run-1_events.tsv"
    events = pd.read_csv(known.raw / "sub-01" / "func" / name, sep="\t")
    return responses(events, moments)[condition]


def make_confounds(
    rng: np.random.Generator, timing: Timing, found: Mapping[str, FloatArray]
) -> pd.DataFrame:
    """Return a confounds table: the responses themselves, motion, cosines as fMRIPrep's."""
    motion = 0.02 * np.cumsum(rng.normal(size=(timing.n_scans, 3)), axis=0)
    columns = {f"{name}_response": found.get(name, np.nan) for name in CONDITIONS}
    columns |= {f"trans_{axis}": motion[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"cosine{i:02d}": column for i, column in enumerate(cosines(timing).T)}
    return pd.DataFrame(columns)


def cosines(timing: Timing) -> FloatArray:
    """Return the slow cosines of a run, shape (n_scans, n_cosines)."""
    count = int(2 * timing.n_scans * timing.repetition_time / CUTOFF_S)
    places = (np.arange(timing.n_scans)[:, np.newaxis] + 0.5) / timing.n_scans
    return np.asarray(np.cos(np.pi * places * np.arange(1, count + 1)) * np.sqrt(2 / len(places)))


def make_series(
    rng: np.random.Generator, timing: Timing, known: Known, found: Mapping[str, FloatArray]
) -> npt.NDArray[np.float32]:
    """Return the series, shape (x, y, z, n_scans): responses, a drift and AR(1) noise."""
    n_voxels = np.count_nonzero(known.mask)
    noise = rng.normal(size=(n_voxels, timing.n_scans))
    noise[:, 1:] *= np.sqrt(1 - RHO**2)
    percent = NOISE_PERCENT * signal.lfilter([1.0], [1.0, -RHO], noise, axis=1)
    slow = np.cos(np.pi * (np.arange(timing.n_scans) + 0.5) / timing.n_scans)
    percent += DRIFT_PERCENT * slow
    for name, response in found.items():
        percent += np.outer(known.effects[name], response)
    percent -= percent.mean(axis=1, keepdims=True)
    series = np.zeros((*SHAPE, timing.n_scans), dtype=np.float32)
    series[known.mask] = rng.uniform(800, 1200, (n_voxels, 1)) * (1 + percent / 100)
    return series


def _milliseconds(seconds: FloatArray) -> npt.NDArray[np.int_]:
    return np.round(1000 * seconds).astype(int)


def _write_image(
    path: Path, data: npt.NDArray[np.generic], repetition_time: float | None = None
) -> None:
    image = nb.Nifti1Image(data, np.diag([3.0, 3.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(image.affine, 4)
    image.set_qform(image.affine, 4)
    if repetition_time is not None:
        image.header["pixdim"][4] = repetition_time
    image.to_filename(path)


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, sep="\t", index=False, na_rep="n/a", float_format="%.12g")


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")
