"""How long each participant takes, estimated from the plan.

All numbers are seconds of one processor, measured and rounded up; see `SAFETY` for what is made of
them.
"""

from __future__ import annotations

from bids_fx.inputs import BoldRun
from bids_fx.records import GroupPlan, Plan, RunPlan

#: The program itself: imports, planning, the page, and processes that start.
CALL_S = 4.0
#: Of each run whatever its size, its figures above all; of each combination of a contrast.
RUN_S, COMBINATION_S = 1.2, 0.2
#: By scan and voxel of the grid: reading and smoothing the series.
READ_S = 8e-9
#: By scan, column of the design and voxel of the mask: the fit. Of 300 scans of 213,000 voxels in
#: 18 columns `ar1` took 1.4 s more than `ols`, `arma11` 27 s.
FIT_S = {"ols": 5e-10, "ar1-yw": 3e-9, "ar1": 3e-9, "arma11": 3e-8}
#: By voxel of the grid of each volume of a map that is written.
WRITTEN_S = 6e-8
#: Of each figure of a contrast, and of each row of it.
FIGURE_S, ROW_S = 0.6, 0.2


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
    series = READ_S * n_scans * n_grid
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
