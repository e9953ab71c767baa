"""Simulated fMRI runs: events, confounds and BOLD series, in memory.

Every voxel's series is

    base · (1 + [Σ effect · response + drift + motion + noise] / 100)

so that effects are percent of the voxel's mean for a sustained response of height 1. All within
the brackets is centred over the scans that are no outlier: the mean of those scans is `base`.
Responses are closed forms of the SPM kernel, written without any code of the package.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Pairs = tuple[tuple[str, str], ...]

#: Entities in the order of BIDS file names.
ENTITY_ORDER = (
    *("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "echo", "part", "chunk"),
    *("space", "cohort", "res", "den"),
)
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
#: Radius in mm of the sphere on which Power et al. (2012) measure rotations.
HEAD_RADIUS_MM = 50.0
#: Percent that a scan before the steady state, or one with sudden motion, stands out.
SPIKE_PERCENT = 25.0
N_COMPCOR = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """What to make. The defaults give one participant with two runs of one task.

    A *selector* picks runs by some of their entities: ``"run-2"`` all second runs,
    ``"sub-01_ses-pre_run-2"`` one of them, ``""`` all.

    Parameters
    ----------
    participants, sessions, tasks, runs : tuple of str
        Labels. No sessions: no ``ses-`` level. No runs: one run without a ``run-`` entity.
    rest_tasks : tuple of str
        Further tasks, without events.
    variants : tuple of tuples of (str, str)
        Further entities; each run is made once with each, for example
        ``((("dir", "LR"),), (("dir", "RL"),))``. Events and confounds never have ``echo``.
    spaces : tuple of str
        ``SPACE``, ``SPACE:res-2`` (larger voxels), or ``func`` for no ``space`` entity.
    shape : tuple of 3 int
        Number of voxels along each axis.
    voxel_mm : float
        Edge length.
    oblique : bool
        Rotate the grid against the world's axes.
    n_volumes : int
        Scans of a run; `run_volumes` has the exceptions by selector.
    run_volumes : tuple of (str, int)
        Selector and number of scans; the first that fits counts.
    repetition_time : float
        Seconds.
    start_time : float or None
        StartTime of the sidecars in seconds. None leaves it out; the responses are then sampled
        at half a TR if `slice_timing_corrected`, else at each volume's onset.
    slice_timing_corrected : bool
        What the sidecar says.
    effects : dict of str to float
        Conditions and their effects in percent signal.
    event_duration : float
        Seconds; 0 gives impulses of area 1 s.
    modulated : bool
        Give the events a ``modulation`` column, with values from 0.5 to 1.5.
    run_gains : tuple of (str, float)
        Selector and factor of all effects of those runs.
    missing : tuple of (str, str)
        Selector and a condition that has no event in those runs.
    uncovered : tuple of str
        Selectors of the runs that lack a corner of the brain: outside their mask, and
        `uncovered_value` in their BOLD.
    uncovered_value : float
        For example 0 or NaN.
    noise_percent, rho : float
        Standard deviation of the noise in percent signal, and its lag-1 autocorrelation.
    drift_percent : float
        Amplitude of a half cosine over the run.
    motion_percent_per_mm : float
        Weight of each translation in the data.
    non_steady_scans : int
        Scans at the start that are brighter, with their ``non_steady_state_outlier*`` columns.
    motion_outliers : tuple of int
        Scans with sudden motion, with their ``motion_outlier*`` columns.
    masks, t1w : bool
        Write the brain masks; write a ``desc-preproc_T1w`` in each space.
    events_at_root : bool
        One events table for all runs of a task, at the dataset's root.
    raw_images : str
        ``absent``, ``empty`` (no bytes) or ``dangling`` (a link to nowhere).
    dtype : str
        Of the BOLD files: ``float32`` or ``int16``.
    derivatives : str
        Folder of the derivatives in ``derivatives/``.
    seed : int
        The same seed gives the same run, whatever other runs there are.
    """

    participants: tuple[str, ...] = ("01",)
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ("main",)
    rest_tasks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ("1", "2")
    variants: tuple[Pairs, ...] = ((),)
    spaces: tuple[str, ...] = ("MNI152NLin2009cAsym",)
    shape: tuple[int, int, int] = (10, 11, 9)
    voxel_mm: float = 3.0
    oblique: bool = False
    n_volumes: int = 80
    run_volumes: tuple[tuple[str, int], ...] = ()
    repetition_time: float = 2.0
    start_time: float | None = 0.975
    slice_timing_corrected: bool = True
    effects: dict[str, float] = field(
        default_factory=lambda: {"face": 2.0, "house": 1.0, "object": -1.0}
    )
    event_duration: float = 6.0
    modulated: bool = False
    run_gains: tuple[tuple[str, float], ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    uncovered: tuple[str, ...] = ()
    uncovered_value: float = np.nan
    noise_percent: float = 0.5
    rho: float = 0.3
    drift_percent: float = 1.0
    motion_percent_per_mm: float = 2.0
    non_steady_scans: int = 0
    motion_outliers: tuple[int, ...] = ()
    masks: bool = True
    t1w: bool = False
    events_at_root: bool = False
    raw_images: Literal["absent", "empty", "dangling"] = "absent"
    dtype: Literal["float32", "int16"] = "float32"
    derivatives: str = "fmriprep"
    seed: int = 20251121

    @property
    def slice_time(self) -> float:
        """Seconds from a volume's onset to the moment at which the responses are sampled."""
        if self.start_time is not None:
            return self.start_time
        return 0.5 * self.repetition_time if self.slice_timing_corrected else 0.0


def spm_hrf(seconds: FloatArray) -> FloatArray:
    """Return SPM's canonical response to an impulse of area 1 s, integral 1, ending at 32 s."""
    inside = (seconds >= 0) & (seconds <= 32)
    pdf = stats.gamma.pdf(seconds, 6) - stats.gamma.pdf(seconds, 16) / 6
    return np.where(inside, pdf, 0.0) / _hrf_area(32.0)


def spm_response(
    seconds: FloatArray, onsets: FloatArray, durations: FloatArray, amplitudes: FloatArray
) -> FloatArray:
    """Return the exact response to events, shape (n_times,).

    The integral of a gamma density is its distribution function, so the response to a box car is
    a difference of two; one of duration 0 is an impulse of area 1 s.
    """
    response = np.zeros_like(seconds)
    for onset, duration, amplitude in zip(onsets, durations, amplitudes, strict=True):
        lag = seconds - onset
        if duration == 0:
            response += amplitude * spm_hrf(lag)
        else:
            step = _hrf_area(lag) - _hrf_area(lag - duration)
            response += amplitude * step / _hrf_area(32.0)
    return response


def _hrf_area(seconds: FloatArray | float) -> FloatArray:
    ends = np.clip(seconds, 0, 32)
    return np.asarray(stats.gamma.cdf(ends, 6) - stats.gamma.cdf(ends, 16) / 6)


def name_of(entities: Mapping[str, str], *without: str) -> str:
    """Return entities as they stand in a file name, some keys left out."""
    kept = [key for key in ENTITY_ORDER if key in entities and key not in without]
    return "_".join(f"{key}-{entities[key]}" for key in kept)


def picks(selector: str, entities: Mapping[str, str]) -> bool:
    """Tell whether a run has all the entities of a selector."""
    wanted = set(filter(None, selector.split("_")))
    return wanted <= {f"{key}-{label}" for key, label in entities.items()}


def acquisitions(spec: DatasetSpec) -> Iterator[dict[str, str]]:
    """Iterate over the entities of all runs, without space."""
    for sub, ses, task, variant, run in itertools.product(
        spec.participants,
        spec.sessions or (None,),
        spec.tasks + spec.rest_tasks,
        spec.variants,
        spec.runs or (None,),
    ):
        pairs = {"sub": sub, "task": task, **dict(variant)}
        pairs |= {"ses": ses} if ses else {}
        pairs |= {"run": run} if run else {}
        yield {key: pairs[key] for key in ENTITY_ORDER if key in pairs}


def _rng(spec: DatasetSpec, name: str) -> np.random.Generator:
    return np.random.default_rng([spec.seed, zlib.crc32(name.encode())])


def make_anatomy(spec: DatasetSpec) -> tuple[BoolArray, dict[str, BoolArray], BoolArray]:
    """Return the brain, an ellipsoid cut along x into one slab per condition and a null slab."""
    axes = [np.linspace(-1, 1, n) for n in spec.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    brain = x**2 + y**2 + z**2 <= 1.05**2
    slab = np.floor((x + 1) / 2 * (1 - 1e-9) * (len(spec.effects) + 1)).astype(int)
    planted = {name: brain & (slab == i) for i, name in enumerate(spec.effects)}
    return brain, planted, brain & (slab == len(spec.effects))


def make_events(spec: DatasetSpec, entities: Mapping[str, str], n_volumes: int) -> pd.DataFrame:
    """Return events every 8 to 12 s, balanced over the conditions, in random order."""
    if entities["task"] in spec.rest_tasks:
        return pd.DataFrame({"onset": [], "duration": [], "trial_type": []})
    shared = spec.events_at_root
    rng = _rng(
        spec, "events" + (entities["task"] if shared else name_of(entities, "echo", "part"))
    )
    end = n_volumes * spec.repetition_time - 12
    onsets = np.cumsum(rng.uniform(8, 12, size=int(end / 8))).round(3) - 4
    onsets = onsets[onsets < end]
    order = np.concatenate(
        [rng.permutation(list(spec.effects)) for _ in range(0, len(onsets), len(spec.effects))]
    )[: len(onsets)]
    events = pd.DataFrame(
        {
            "onset": onsets,
            "duration": np.full(len(onsets), spec.event_duration),
            "trial_type": order.astype(str),
            "response_time": rng.uniform(0.3, 0.9, len(onsets)).round(3),
        }
    )
    events.loc[::7, "response_time"] = np.nan
    if spec.modulated:
        events["modulation"] = rng.uniform(0.5, 1.5, len(onsets)).round(3)
    absent = [] if shared else [c for s, c in spec.missing if picks(s, entities)]
    return events[~events["trial_type"].isin(absent)]


def make_responses(events: pd.DataFrame, frame_times: FloatArray) -> dict[str, FloatArray]:
    """Return the response to each condition of an events table, shape (n_scans,)."""
    responses = {}
    for condition, rows in events.groupby("trial_type"):
        amplitudes = rows["modulation"] if "modulation" in rows else np.ones(len(rows))
        responses[str(condition)] = spm_response(
            frame_times,
            rows["onset"].to_numpy(),
            rows["duration"].to_numpy(),
            np.asarray(amplitudes),
        )
    return responses


def make_confounds(spec: DatasetSpec, name: str, n_volumes: int) -> pd.DataFrame:
    """Return a table with fMRIPrep's columns, n/a where fMRIPrep has it."""
    rng = _rng(spec, "confounds" + name)
    steps = rng.normal(0, [0.02, 0.02, 0.03, 4e-4, 3e-4, 3e-4], size=(n_volumes, 6))
    motion = np.cumsum(steps, axis=0)
    motion -= motion[0]
    motion[list(spec.motion_outliers)] += [1.0, 0.5, 0.8, 0.01, 0.0, 0.0]
    columns: dict[str, FloatArray] = {}
    for signal, level in (("csf", 900.0), ("white_matter", 1000.0), ("global_signal", 950.0)):
        columns |= _expansions(signal, level + rng.normal(0, 3, n_volumes).cumsum() / 3)
    shift = np.abs(np.diff(motion, axis=0, prepend=np.nan)) * ([1.0] * 3 + [HEAD_RADIUS_MM] * 3)
    dvars = rng.gamma(50, 0.5, n_volumes)
    dvars[0] = np.nan
    columns |= {"std_dvars": dvars / 25, "dvars": dvars}
    columns |= {"framewise_displacement": shift.sum(axis=1)}
    for kind in "acw":
        components = np.linalg.qr(rng.normal(size=(n_volumes, N_COMPCOR)))[0]
        columns |= {f"{kind}_comp_cor_{i:02d}": components[:, i] for i in range(N_COMPCOR)}
    n_cosines = int(2 * n_volumes * spec.repetition_time / 128)
    for i in range(n_cosines):
        columns[f"cosine{i:02d}"] = np.sqrt(2 / n_volumes) * _cosine(n_volumes, i + 1)
    for prefix, scans in (
        ("non_steady_state_outlier", tuple(range(spec.non_steady_scans))),
        ("motion_outlier", spec.motion_outliers),
    ):
        for i, scan in enumerate(scans):
            columns[f"{prefix}{i:02d}"] = np.eye(n_volumes)[scan]
    for i, parameter in enumerate(MOTION):
        columns |= _expansions(parameter, motion[:, i])
    return pd.DataFrame(columns)


def _expansions(name: str, values: FloatArray) -> dict[str, FloatArray]:
    slope = np.diff(values, prepend=np.nan)
    return {
        name: values,
        f"{name}_derivative1": slope,
        f"{name}_power2": values**2,
        f"{name}_derivative1_power2": slope**2,
    }


def _cosine(n_volumes: int, order: int) -> FloatArray:
    return np.cos(np.pi * order * (2 * np.arange(n_volumes) + 1) / (2 * n_volumes))


def describe_confounds(confounds: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Return what fMRIPrep says of the components, one that it did not keep included."""
    masks = {"a": "combined", "c": "CSF", "w": "WM"}
    metadata: dict[str, dict[str, object]] = {
        name: {"Method": "Mean"} for name in ("csf", "white_matter", "global_signal")
    }
    for name in confounds.columns[confounds.columns.str.contains("_comp_cor_")]:
        kind, rank = name[0], int(name[-2:])
        metadata[name] = {
            "CumulativeVarianceExplained": round(0.08 * (rank + 1), 3),
            "Mask": masks[kind],
            "Method": "aCompCor",
            "Retained": True,
            "SingularValue": round(40.0 / (rank + 1), 3),
            "VarianceExplained": 0.08,
        }
    return metadata | {"dropped_0": {"Mask": "CSF", "Method": "aCompCor", "Retained": False}}


def make_series(
    spec: DatasetSpec,
    name: str,
    explained: FloatArray,
    confounds: pd.DataFrame,
    brain: BoolArray,
    kept: BoolArray,
) -> FloatArray:
    """Return the BOLD series, shape (x, y, z, n_scans)."""
    rng = _rng(spec, "bold" + name)
    n_volumes = len(kept)
    noise = rng.normal(size=(*spec.shape, n_volumes))
    noise[..., 1:] *= np.sqrt(1 - spec.rho**2)
    for scan in range(1, n_volumes):
        noise[..., scan] += spec.rho * noise[..., scan - 1]
    percent = spec.noise_percent * noise + explained
    percent += spec.drift_percent * _cosine(n_volumes, 1)
    translations = confounds[list(MOTION[:3])].to_numpy().sum(axis=1)
    percent += spec.motion_percent_per_mm * translations
    percent -= percent[..., kept].mean(axis=-1, keepdims=True)
    percent[..., ~kept] += SPIKE_PERCENT
    base = np.where(brain, rng.uniform(800, 1200, spec.shape), rng.uniform(10, 40, spec.shape))
    return np.asarray(base[..., np.newaxis] * (1 + percent / 100))
