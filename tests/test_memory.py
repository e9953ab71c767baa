"""What is made of the memory that may be used: pure, from plans to plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx import memory
from bids_fx.errors import ExitCode
from bids_fx.glm.design import Design
from bids_fx.grouping import collapse_lone_runs, group_runs
from bids_fx.inputs import BoldRun
from bids_fx.memory import (
    Allowance,
    Machine,
    combination_gb,
    contrast_figure_gb,
    fit_gb,
    packing_threads,
)
from bids_fx.records import Plan, RunPlan
from bids_fx.settings import AnalysisSettings
from tests.small_plans import make_design, make_run

SETTINGS = AnalysisSettings()
N_VOXELS = 1_000_000


def repeated(design: Design) -> Design:
    """Return a design of ten times as many scans."""
    return replace(design, matrix=np.tile(design.matrix, (10, 1)))


def large_run(name: str, n_voxels: int) -> RunPlan:
    """Return a run of 400 scans of a large brain."""
    run = make_run(f"{name}_space-A")
    assert isinstance(run.source, BoldRun)
    run = replace(run, design=repeated(make_design()))
    grid = replace(run.source.grid, shape=(n_voxels // 10_000, 100, 100))
    return replace(run, source=replace(run.source, grid=grid, n_mask_voxels=n_voxels))


def plan_of(n_runs: int, n_voxels: int = N_VOXELS) -> Plan:
    names = (f"sub-01_task-x_run-{number}" for number in range(1, n_runs + 1))
    runs = collapse_lone_runs([large_run(name, n_voxels) for name in names], SETTINGS)
    groups, _, _ = group_runs(runs, (), SETTINGS)
    return Plan(participant="01", settings=SETTINGS, runs=runs, groups=groups)


def machine(total_gb: float, n_procs: int = 2, **fields: object) -> Machine:
    given = {"n_procs": n_procs, "n_threads": None, "total_gb": total_gb, "is_limit": True}
    return Machine(**(given | {"n_planned": 0} | fields))


def allow(plans: list[Plan], machine: Machine) -> tuple[Allowance, list[Plan]]:
    """Share out among all nodes of the plans."""
    n_fits = sum(len(plan.runs) for plan in plans)
    return memory.allow(plans, machine, n_fits=n_fits, n_joins=len(plans))


PLENTY = machine(100.0)


def test_a_series_is_held_in_memory_where_that_suffices() -> None:
    allowance, (plan,) = allow([plan_of(2)], PLENTY)
    assert not any(run.on_disk for run in plan.runs)
    assert not plan.problems
    assert allowance.n_procs == 2


def test_with_less_memory_one_node_runs_at_a_time_before_a_series_goes_to_disk() -> None:
    alone, _ = allow([plan_of(2)], machine(100.0, n_procs=1))
    need_gb = fit_gb(plan_of(2).runs[0], 2, on_disk=False)
    allowance, (plan,) = allow([plan_of(2)], machine(alone.own_gb + need_gb + 1e-6))
    assert allowance.n_procs == 1
    assert not any(run.on_disk for run in plan.runs)


def test_a_series_that_does_not_fit_is_kept_on_disk() -> None:
    alone, _ = allow([plan_of(2)], machine(100.0, n_procs=1))
    need_gb = fit_gb(plan_of(2).runs[0], 1, on_disk=False)
    _, (plan,) = allow([plan_of(2)], machine(alone.own_gb + need_gb - 1e-6))
    assert all(run.on_disk for run in plan.runs)
    assert not plan.problems


def test_what_does_not_fit_at_all_is_refused_with_what_it_needs() -> None:
    _, (plan,) = allow([plan_of(2)], machine(0.25))
    assert {problem.code for problem in plan.problems} == {ExitCode.USAGE}
    text = str(plan.problems[0])
    assert "fitting sub-01_task-x_run-1_space-A needs about" in text
    needed = float(text.split("allow ")[1].split(" MB", maxsplit=1)[0])
    needs = [float(str(one).split("allow ")[1].split(" MB")[0]) for one in plan.problems]
    assert needed <= max(needs)
    _, (again,) = allow([plan_of(2)], machine((max(needs) + 1) / 1e3))
    assert not again.problems


def test_what_the_machine_lacks_by_our_estimate_is_tried() -> None:
    allowance, (plan,) = allow([plan_of(2)], machine(0.25, is_limit=False))
    assert not plan.problems
    assert all(run.on_disk for run in plan.runs)
    assert allowance.n_procs == 1


def test_every_node_of_a_plan_without_problems_fits() -> None:
    for total_gb in (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0):
        allowance, (plan,) = allow([plan_of(3)], machine(total_gb))
        if not plan.problems:
            needs = [run.mem_gb for run in plan.runs]
            needs += [group.mem_gb for group in plan.written_groups]
            assert max(needs) <= allowance.mem_gb
            assert allowance.mem_gb + allowance.own_gb == pytest.approx(total_gb)


@pytest.mark.parametrize(
    ("n_procs", "n_runs", "fit_threads", "join_threads"),
    [(2, 2, 1, 2), (8, 2, 4, 8), (2, 5, 1, 2)],
)
def test_processors_are_shared_out_among_the_nodes(
    n_procs: int, n_runs: int, fit_threads: int, join_threads: int
) -> None:
    allowance, _ = allow([plan_of(n_runs)], machine(100.0, n_procs=n_procs))
    assert (allowance.fit_threads, allowance.join_threads) == (fit_threads, join_threads)


def test_threads_asked_for_are_given() -> None:
    allowance, _ = allow([plan_of(2)], machine(100.0, n_procs=8, n_threads=3))
    assert (allowance.fit_threads, allowance.join_threads) == (3, 3)


def test_runs_of_all_participants_share_the_processors() -> None:
    allowance, _ = allow([plan_of(2), plan_of(2)], machine(100.0, n_procs=8))
    assert (allowance.n_procs, allowance.fit_threads, allowance.join_threads) == (8, 2, 4)


def test_maps_are_packed_by_as_many_threads_as_there_are_processors_and_memory_for() -> None:
    plans = [plan_of(1, 100_000), plan_of(2)]
    each_gb = memory.THREAD_GB + 40e-9 * N_VOXELS
    own_gb = memory.MAIN_ALONE_GB + memory.SERVER_GB + memory.PAGE_GB
    given = [
        packing_threads(plans, machine(own_gb + share * each_gb, n_procs=4))
        for share in (-5.0, 0.5, 1.5, 2.5, 10.0)
    ]
    assert given == [1, 1, 1, 2, 4]
    many = machine(own_gb + 2.5 * each_gb, n_procs=4, n_planned=1000)
    assert packing_threads(plans, many) == 1


def test_a_report_without_any_run_can_be_written() -> None:
    assert packing_threads([], machine(1.0, n_procs=4)) == 4


def test_a_fit_needs_its_series_unless_that_is_on_disk() -> None:
    run = large_run("sub-01_task-x_run-1", N_VOXELS)
    whole, stored = (fit_gb(run, 1, on_disk=on_disk) for on_disk in (False, True))
    series_gb = 4 * 400 * N_VOXELS / 1e9
    assert 0.5 * series_gb < whole - stored <= series_gb


def test_censored_scans_need_no_memory() -> None:
    run = large_run("sub-01_task-x_run-1", N_VOXELS)
    part = replace(run, design=repeated(make_design(censored=range(20))))
    assert int(part.design.kept.sum()) == 200
    # Of the voxels whose whiteness is measured, and of those whose residuals are sampled.
    scans_gb = 200 * (16 * memory.SAMPLED_VOXELS + 4 * memory.CARPET_VOXELS) / 1e9
    saved_gb = fit_gb(run, 1, on_disk=False) - fit_gb(part, 1, on_disk=False)
    assert saved_gb == pytest.approx(200 * 4 * N_VOXELS / 1e9 + scans_gb)


def test_a_combination_needs_no_more_for_more_runs() -> None:
    few, many = plan_of(2), plan_of(64)
    assert combination_gb(many, many.groups[0], 1) <= combination_gb(few, few.groups[0], 1) + 0.1


def test_a_fit_is_not_estimated_below_the_arrays_that_it_holds() -> None:
    run = large_run("sub-01_task-x_run-1", N_VOXELS)
    n_contrasts = len(run.estimable)
    # effect, variance and dof of each contrast; variance, R squared, residual sd and rho
    results_gb = 8 * N_VOXELS * (3 * n_contrasts + 4) / 1e9
    series_gb = 4 * 400 * N_VOXELS / 1e9
    assert fit_gb(run, 1, on_disk=False) > series_gb + results_gb
    # those and the maps of a contrast while they are written
    assert fit_gb(run, 1, on_disk=True) > results_gb + 7 * 8 * N_VOXELS / 1e9


@pytest.mark.parametrize("on_disk", [False, True])
def test_each_thread_of_a_fit_needs_memory(on_disk: bool) -> None:
    run = large_run("sub-01_task-x_run-1", 10_000)
    more_gb = fit_gb(run, 3, on_disk=on_disk) - fit_gb(run, 1, on_disk=on_disk)
    assert more_gb > 2 * 8 * memory.WORKED_NUMBERS / 1e9


def test_arma11_needs_its_correlations() -> None:
    run = large_run("sub-01_task-x_run-1", 10_000)
    mixed = replace(run, noise_model="arma11")
    more_gb = fit_gb(mixed, 1, on_disk=True) - fit_gb(run, 1, on_disk=True)
    assert more_gb == pytest.approx(10 * 8 * 400**2 / 1e9)


def test_a_combination_needs_its_results_its_slabs_and_its_streams() -> None:
    small, large = plan_of(2, n_voxels=10_000), plan_of(2)
    least_gb = combination_gb(small, small.groups[0], 1)
    assert least_gb > 8 * 2 * memory.SLAB / 1e9
    # 15 maps, of which 12 are published in single precision
    assert combination_gb(large, large.groups[0], 1) > least_gb + 70 * N_VOXELS / 1e9
    many = plan_of(64, n_voxels=10_000)
    assert combination_gb(many, many.groups[0], 1) > least_gb + 62 * 3 * 0.1e-3
    two = combination_gb(large, large.groups[0], 2) - combination_gb(large, large.groups[0], 1)
    assert two > 8 * N_VOXELS / 1e9


def test_a_figure_needs_its_maps() -> None:
    plan = plan_of(2)
    assert contrast_figure_gb(plan, plan.groups[0]) > 12 * N_VOXELS / 1e9


def test_a_mask_that_is_not_known_may_fill_the_grid() -> None:
    run = large_run("sub-01_task-x_run-1", N_VOXELS)
    assert isinstance(run.source, BoldRun)
    half = replace(run, source=replace(run.source, n_mask_voxels=N_VOXELS // 2, mask=Path("m")))
    full = replace(run, source=replace(run.source, n_mask_voxels=N_VOXELS, mask=Path("m")))
    unknown = replace(run, source=replace(run.source, n_mask_voxels=None, mask=None))
    needs = [fit_gb(one, 1, on_disk=False) for one in (half, full, unknown)]
    assert needs[0] < needs[1]
    assert needs[2] == pytest.approx(needs[1] + memory.MASKING_GB)


def test_masks_beside_each_other_count_together() -> None:
    plan = plan_of(2, n_voxels=500_000)
    grid = replace(plan.runs[0].source.grid, shape=(100, 100, 100))
    runs = tuple(replace(run, source=replace(run.source, grid=grid)) for run in plan.runs)
    whole = plan_of(2, n_voxels=1_000_000)
    apart = combination_gb(replace(plan, runs=runs), plan.groups[0], 1)
    assert apart == pytest.approx(combination_gb(whole, whole.groups[0], 1))


def test_rows_of_a_picture_are_drawn_in_bands() -> None:
    few, some, many = (plan_of(n) for n in (2, 12, 62))
    rows = [contrast_figure_gb(plan, plan.groups[0]) for plan in (few, some, many)]
    assert rows[2] - rows[1] < rows[1] - rows[0]
