"""How long a participant takes, from the plan alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_fx.duration import CALL_S, FIGURE_S, ROW_S, group_seconds, run_seconds, seconds
from bids_fx.inputs import BoldRun
from bids_fx.records import RunPlan
from tests.small_plans import make_group, make_plan, make_run, make_run_maps


def large(noise_model: str = "ar1", n_scans: int = 300) -> RunPlan:
    """Return a run of 97 x 115 x 97 voxels, 213,000 of them of the brain."""
    run = make_run("sub-01_task-x_run-1_space-A")
    source = run.source
    assert isinstance(source, BoldRun)
    grid = replace(source.grid, shape=(97, 115, 97))
    source = replace(source, grid=grid, n_mask_voxels=213_000, n_scans=n_scans)
    return replace(run, source=source, noise_model=noise_model)


def test_participant_takes_the_sum_of_its_steps() -> None:
    plan = make_plan()
    steps = [run_seconds(run) for run in plan.runs]
    steps += [group_seconds(plan, group) for group in plan.groups]
    assert seconds(plan) == pytest.approx(CALL_S + sum(steps))


def test_noise_models_take_longer_in_the_order_of_their_parameters() -> None:
    taken = [run_seconds(large(name)) for name in ("ols", "ar1-yw", "ar1", "arma11")]
    assert taken == sorted(taken)
    assert taken[-1] > 2 * taken[0]


def test_twice_the_scans_take_up_to_twice_as_long() -> None:
    one, two = (run_seconds(large(n_scans=n)) for n in (300, 600))
    assert one < two < 2 * one


def test_each_contrast_of_a_group_takes_time() -> None:
    runs = [make_run(f"sub-01_task-x_run-{number}") for number in (1, 2)]
    group = make_group("sub-01_task-x", runs)
    plan = replace(make_plan(), runs=tuple(runs), groups=(group,))
    fewer = replace(group, contrasts=group.contrasts[:-1])
    assert len(group.estimable) == len(fewer.estimable) + 1
    assert group_seconds(plan, fewer) < group_seconds(plan, group)


def test_figure_has_a_row_for_each_run_and_one_for_the_combined_map() -> None:
    runs = [make_run(f"sub-01_task-x_run-{number}") for number in (1, 2)]
    group = replace(make_group("sub-01_task-x", runs), not_written="some runs are left out")
    plan = replace(make_plan(), runs=tuple(runs), groups=(group,))
    figures = len(group.estimable) * (FIGURE_S + 3 * ROW_S)
    assert group_seconds(plan, group) == pytest.approx(figures)


def test_maps_made_beforehand_are_not_fitted(tmp_path: Path) -> None:
    run = make_run_maps(tmp_path, "sub-01_task-x_run-1", effect=1.0, variance=1.0, dof=9.0)
    assert run_seconds(run) == 0
