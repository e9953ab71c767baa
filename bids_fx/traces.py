"""What a run's confounds say of its motion, scan by scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bids_fx.glm.quality import framewise_displacement
from bids_fx.inputs import BoldRun, ConfoundTable, FloatArray
from bids_fx.outliers import DISPLACEMENT
from bids_fx.quality import FD_COUNTED_MM
from bids_fx.records import RunPlan

TRANSLATIONS = ("trans_x", "trans_y", "trans_z")
ROTATIONS = ("rot_x", "rot_y", "rot_z")
FD = "framewise_displacement"
#: Names of the motion parameters in tables of fMRIPrep before 1.4.
_OLD_NAMES = dict(
    zip((*TRANSLATIONS, *ROTATIONS), ("X", "Y", "Z", "RotX", "RotY", "RotZ"), strict=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionTraces:
    """A run's motion, scan by scan.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_scans,)
        Under fMRIPrep's present names, as far as they are there: `FD` (mm, NaN in scans that
        have none), `TRANSLATIONS` (mm), `ROTATIONS` (radians).
    is_computed : bool
        Whether the displacement was computed here, since the table has none.
    """

    columns: Mapping[str, FloatArray]
    is_computed: bool = False


def motion_traces(source: BoldRun) -> MotionTraces:
    """Return what the confounds of a run say of its motion; nothing without a table."""
    table = source.confounds
    if table is None:
        return MotionTraces(columns={})
    parameters = {
        name: table.values[there]
        for name, old in _OLD_NAMES.items()
        if (there := name if name in table.values else old) in table.values
    }
    given = _given_displacement(table)
    if given is not None:
        return MotionTraces(columns={FD: given, **parameters})
    if not set(_OLD_NAMES) <= parameters.keys():
        return MotionTraces(columns=parameters)
    computed = framewise_displacement(
        *(np.column_stack([parameters[n] for n in names]) for names in (TRANSLATIONS, ROTATIONS))
    )
    return MotionTraces(columns={FD: computed, **parameters}, is_computed=True)


def _given_displacement(table: ConfoundTable) -> FloatArray | None:
    """Return the table's displacements, if there is any, without what was filled in."""
    for name in DISPLACEMENT:
        if name in table.values:
            values = table.values[name].copy()
            if name in table.filled:
                values[0] = np.nan
            if np.isfinite(values).any():
                return values
    return None


def scan_measures(run: RunPlan, traces: MotionTraces) -> dict[str, float | int | None]:
    """Return the measures of a run's scans, motion and contrasts (`bids_fx.quality`).

    Parameters
    ----------
    run : RunPlan
        A run that is fitted.
    traces : MotionTraces
        Its motion.

    Returns
    -------
    dict of str to float, int or None
        None where nothing tells it.
    """
    assert isinstance(run.source, BoldRun)
    n_scans, n_censored = run.source.n_scans, len(run.confounds.censored)
    displacement = traces.columns.get(FD, np.empty(0))
    found = displacement[np.isfinite(displacement)]
    n_large = int((found > FD_COUNTED_MM).sum())
    inflations = [value for item in run.estimable for value in item.inflation]
    efficiencies = [value for item in run.estimable for value in item.efficiency]
    return {
        "n_scans": n_scans,
        "n_censored": n_censored,
        "censored_perc": 100 * n_censored / n_scans,
        "fd_mean": float(found.mean()) if found.size else None,
        "fd_max": float(found.max()) if found.size else None,
        "fd_num": n_large if found.size else None,
        "fd_perc": 100 * n_large / n_scans if found.size else None,
        "vif_max": max(inflations, default=None),
        "efficiency_min": min(efficiencies, default=None),
    }
