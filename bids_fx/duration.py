"""How long each participant takes, estimated from the plan.

All numbers are seconds of one processor, measured and rounded up; see `SAFETY` for what is made of
them.
"""

from __future__ import annotations

from bids_fx.inputs import BoldRun
from bids_fx.records import GroupPlan, Plan, RunPlan

#: The program itself: imports, planning, the page, and processes that start.
CALL_S = 6.0
#: Of each run, whatever its size; and of each combination of a contrast.
RUN_S, COMBINATION_S = 1.0, 0.2
#: By number of the series (scans times voxels of the grid): reading it, and smoothing it.
READ_S, SMOOTHED_S = 8e-9, 8e-9
#: By voxel, scan and column of the design that is fitted.
FIT_S = {"ols": 1e-9, "ar1-yw": 2e-9, "ar1": 3e-9, "arma11": 1e-8}
#: By voxel of the grid of each volume of a map that is written.
WRITTEN_S = 1e-7
#: Of each figure of maps, and for each row of it.
FIGURE_S, ROW_S = 1.0, 0.3


def seconds(plan: Plan) -> float:
    """Estimate what a participant's call takes.

    Parameters
    ----------
    plan : Plan
        The participant's plan.

    Returns
    -------
    float
        Seconds of one processor of the machine that the numbers were measured on.
    """
    runs = sum(run_seconds(run) for run in plan.runs)
    return CALL_S + runs + sum(group_seconds(plan, group) for group in plan.groups)


def run_seconds(run: RunPlan) -> float:
    """Estimate what fitting a run, its maps and its figures take."""
    source = run.source
    if not isinstance(source, BoldRun) or run.design is None:
        return 0.0
    n_grid = source.grid.n_voxels
    n_voxels = source.n_mask_voxels or n_grid
    n_scans, n_columns = source.n_scans, len(run.design.columns)
    fit = FIT_S.get(run.noise_model or "", max(FIT_S.values()))
    volumes = sum(8 + len(item.rows) * (len(item.rows) + 3) // 2 for item in run.estimable)
    series = (READ_S + SMOOTHED_S) * n_scans * n_grid
    return RUN_S + series + fit * n_scans * n_columns * n_voxels + WRITTEN_S * n_grid * volumes


def group_seconds(plan: Plan, group: GroupPlan) -> float:
    """Estimate what combining the contrasts of a group and drawing them take."""
    n_voxels = max(run.source.grid.n_voxels for run in plan.group_runs(group))
    total = 0.0
    for item in group.estimable:
        n_inputs = len(item.input_keys)
        total += FIGURE_S + ROW_S * (n_inputs + 1)
        if group.not_written is None:
            total += COMBINATION_S + WRITTEN_S * n_voxels * (12 + n_inputs)
    return total
