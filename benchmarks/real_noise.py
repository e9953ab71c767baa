"""Table 6: real noise, in which events that never took place are looked for."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt
from nilearn.masking import compute_epi_mask

from bids_fx.glm.design import Condition, make_design
from methods import NILEARN, compare
from rates import Cell, Outcome, Rate, Summary, Table

FloatArray = npt.NDArray[np.float64]

NUMBER = 6
#: Gap between events and their duration, in seconds.
STYLES: dict[str, tuple[tuple[float, float], float]] = {
    "fast events": ((2.0, 6.0), 0.5),
    "blocks": ((12.0, 20.0), 16.0),
    "slow events": ((15.0, 25.0), 2.0),
}
MODELS = ("ols", NILEARN, "ar1-yw", "ar1", "arma11")
#: Between which the default is chosen; the first wins a tie.
CANDIDATES = ("ar1", "arma11")
#: Runs that one design looks at, drawn anew for each.
_N_RUNS = 3
_HIGH_PASS_S = 128.0
_MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it is analysed.

    Parameters
    ----------
    Y : ndarray of shape (n_scans, n_voxels)
        Series of brain voxels, each without its mean.
    repetition_time : float
        In seconds.
    conditions : tuple of Condition
        What the participant did.
    motion : ndarray of shape (n_scans, 6)
        Realignment parameters.
    """

    Y: FloatArray
    repetition_time: float
    conditions: tuple[Condition, ...]
    motion: FloatArray


@cache
def read_runs(folder: Path, name: str, n_voxels: int) -> tuple[Run, ...]:
    """Return the runs of a data set; kept for all designs that this process draws."""
    rng = np.random.default_rng(0)
    if name == "oneback_full":
        run = folder / name
        motion = np.loadtxt(run / "motion_nipy_trans_mm_rot_rad.txt")
        bold = nb.load(run / "func_task-oneback_run-1_bold.nii.gz")
        mask = np.asarray(compute_epi_mask(bold).dataobj) > 0
        return (_run(bold, mask, 2.0, run / "events.tsv", motion, n_voxels, rng),)
    runs = []
    for events in sorted((folder / name / "sub-01" / "func").glob("*_events.tsv")):
        base = events.name.removesuffix("_events.tsv")
        derived = folder / name / "derivatives" / "preproc" / "sub-01" / "func" / base
        bold = nb.load(f"{derived}_desc-preproc_bold.nii.gz")
        mask = np.asarray(nb.load(f"{derived}_desc-brain_mask.nii.gz").dataobj) > 0
        rows = _table(Path(f"{derived}_desc-confounds_timeseries.tsv"))
        motion = np.array([[float(row[column]) for column in _MOTION] for row in rows])
        runs.append(_run(bold, mask, 2.5, events, motion, n_voxels, rng))
    return tuple(runs)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _run(
    bold: nb.Nifti1Image,
    mask: npt.NDArray[np.bool_],
    repetition_time: float,
    events: Path,
    motion: FloatArray,
    n_voxels: int,
    rng: np.random.Generator,
) -> Run:
    series = np.asarray(bold.dataobj)[mask].T.astype(np.float64)
    series = series[:, series.std(axis=0) > 0]
    chosen = rng.permutation(series.shape[1])[:n_voxels]
    Y = series[:, np.sort(chosen)]
    rows = _table(events)
    conditions = tuple(
        _condition([row for row in rows if row["trial_type"] == name], name)
        for name in sorted({row["trial_type"] for row in rows})
    )
    return Run(
        Y=Y - Y.mean(axis=0),
        repetition_time=repetition_time,
        conditions=conditions,
        motion=motion,
    )


def _condition(rows: Sequence[Mapping[str, str]], name: str) -> Condition:
    return Condition(
        name=name,
        onsets=np.array([float(row["onset"]) for row in rows]),
        durations=np.array([float(row["duration"]) for row in rows]),
        amplitudes=np.ones(len(rows)),
    )


def invented_conditions(rng: np.random.Generator, style: str, seconds: float) -> list[Condition]:
    """Return two conditions whose events never took place, as many of each, in random order."""
    gap, duration = STYLES[style]
    n_most = int(seconds / (gap[0] + duration)) + 1
    onsets = np.cumsum(rng.uniform(*gap, n_most) + duration) - duration - rng.uniform(0, gap[0])
    onsets = onsets[onsets < seconds - duration]
    is_first = rng.permutation(onsets.size) < onsets.size / 2
    return [
        Condition(
            name=name,
            onsets=onsets[chosen],
            durations=np.full(chosen.sum(), duration),
            amplitudes=np.ones(chosen.sum()),
        )
        for name, chosen in (("invented a", is_first), ("invented b", ~is_first))
    ]


def draw_real(
    rng: np.random.Generator,
    n_voxels: int,
    *,
    folder: Path,
    name: str,
    style: str,
    models: Sequence[str] = MODELS,
) -> Outcome:
    """Look for random events in runs of a data set; mean over the runs' voxels."""
    outcomes = []
    all_runs = read_runs(folder, name, n_voxels)
    runs = [all_runs[i] for i in rng.permutation(len(all_runs))[:_N_RUNS]]
    for run in runs:
        n_scans = len(run.Y)
        invented = invented_conditions(rng, style, n_scans * run.repetition_time)
        design = make_design(
            run.repetition_time * np.arange(n_scans, dtype=np.float64),
            repetition_time=run.repetition_time,
            conditions=[*invented, *run.conditions],
            hrf_model="spm",
            drift_model="cosine",
            high_pass_s=_HIGH_PASS_S,
            confounds=run.motion,
            confound_names=_MOTION,
            censored=[],
        )
        contrast = np.zeros((1, len(design.names)))
        contrast[0, :2] = 1, -1
        n_baseline = sum(column.role in {"drift", "constant"} for column in design.columns)
        outcomes.append(compare(run.Y, design.matrix, contrast, models, n_baseline=n_baseline))
    weights = [run.Y.shape[1] for run in runs]
    return {
        model: {
            measure: float(np.average([o[model][measure] for o in outcomes], weights=weights))
            for measure in outcomes[0][model]
        }
        for model in models
    }


def data_sets(folder: Path) -> list[str]:
    """Return which of the data sets a folder holds."""
    return [name for name in ("oneback_full", "haxby") if (folder / name).is_dir()]


def real_noise_table(folder: Path, n_voxels: int) -> Table:
    """Return table 6 of the data sets that the folder holds."""
    return Table(
        number=NUMBER,
        title="Real noise",
        note=(
            "Events that never took place, of two conditions in random order (fast: 0.5 s every "
            "2.5 to 6.5 s; blocks of 16 s every 28 to 36 s; slow: 2 s every 17 to 27 s); contrast "
            "a - b. In the model beside them: the true task, motion, cosines to 128 s, the "
            "constant. Unsmoothed. Indicative: one participant each, so that the error is that of "
            f"the timings alone; {n_voxels} random brain voxels a run, or all that there are. "
            "haxby is one slice of visual cortex, where what the model misses of the true "
            f"response counts as noise; {_N_RUNS} of its runs for each design."
        ),
        cells=tuple(
            Cell(
                group=name,
                column=style,
                draw=partial(draw_real, folder=folder, name=name, style=style),
            )
            for name in data_sets(folder)
            for style in STYLES
        ),
    )


def verdict(table: Table, summaries: Sequence[Summary]) -> str:
    """Return which noise model the rule makes the default.

    Parameters
    ----------
    table : Table
        Of real noise.
    summaries : sequence of dict
        Of each cell.
    """
    worst = {}
    for model in CANDIDATES:
        off = [
            (*_log_ratio(summary[model]["p001"]), f"{cell.group}, {cell.column}")
            for cell, summary in zip(table.cells, summaries, strict=True)
        ]
        worst[model] = max(off)
    first, second = (worst[model] for model in CANDIDATES)
    gain = first[0] - second[0]
    error = math.hypot(first[1], second[1])
    chosen = CANDIDATES[1] if gain > 2 * error else CANDIDATES[0]
    told = "; ".join(
        f"{model} {size:.2f} ± {error:.2f} ({where})"
        for model, (size, error, where) in worst.items()
    )
    return f"Largest |log(rate / nominal)|: {told}. By the rule the default is {chosen}."


def _log_ratio(rate: Rate) -> tuple[float, float]:
    """Return the size of the log of a rate per 1000 over its nominal 1, and its error."""
    if rate.mean == 0:
        return math.inf, 0.0
    return abs(math.log(rate.mean)), rate.error / rate.mean
