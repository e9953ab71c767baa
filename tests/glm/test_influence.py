"""What one run does to a combination."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.influence import largest_change, peak_influence, peak_influence_rows
from bids_fx.glm.joint import combine_rows
from bids_fx.glm.names import COMBINATIONS

FloatArray = npt.NDArray[np.float64]

#: z through scipy's tails of p.
Z = 1e-8


@pytest.fixture
def runs(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effects, variances and degrees of freedom of four runs, shape (4, 30)."""
    return 2 + rng.normal(size=(4, 30)), rng.uniform(0.2, 3, (4, 30)), rng.uniform(9, 99, (4, 30))


def z_of(parts: tuple[FloatArray, ...], rows: npt.ArrayLike, combination: str) -> FloatArray:
    """Return z of the combination of some of the runs, through scipy."""
    combined = combine(*(part[rows] for part in parts), combination=combination)
    t = combined.effect / np.sqrt(combined.variance)
    return stats.norm.isf(stats.t.sf(t, combined.dof))


def test_largest_change_is_signed_and_names_its_run() -> None:
    change, run = largest_change([3.0, 3.0], [[2.5, 1.0], [4.0, 3.5], [3.1, 2.9]])
    assert change.tolist() == [-1.0, 2.0]
    assert run.tolist() == [2.0, 1.0]


def test_run_that_changes_as_much_as_an_earlier_one_is_passed_over() -> None:
    change, run = largest_change([3.0], [[3.0], [4.0], [2.0]])
    assert [change.tolist(), run.tolist()] == [[-1.0], [2.0]]


def test_no_run_makes_a_change_where_fewer_than_two_enter() -> None:
    # run 1 alone; no run
    change, run = largest_change([3.0, np.nan], [[np.nan, np.nan], [3.0, np.nan]])
    assert np.isnan(change).all()
    assert run.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_peak_table_holds_z_with_and_without_each_run(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    table = peak_influence(*runs, voxel=7, combination=combination)
    z = z_of(runs, range(4), combination)[7]
    assert len(table) == 4
    for i, row in enumerate(table):
        without = z_of(runs, np.arange(4) != i, combination)[7]
        assert [row.effect, row.variance, row.dof] == [part[i, 7] for part in runs]
        expected = [z, without, z - without]
        np.testing.assert_allclose([row.z_with, row.z_without, row.change], expected, atol=Z)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_effects_of_the_peak_times_their_shares_make_the_combined_effect(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    runs[2][1, :9] = 8.0  # weights give way
    combined = combine(*runs, combination=combination).effect
    for voxel in (7, 20):
        table = peak_influence(*runs, voxel=voxel, combination=combination)
        np.testing.assert_allclose(sum(row.share for row in table), 1.0, rtol=1e-12)
        effect = sum(row.share * row.effect for row in table)
        np.testing.assert_allclose(effect, combined[voxel], rtol=1e-12)


def test_run_that_does_not_cover_the_peak_has_no_share_and_changes_nothing(
    runs: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    runs[1][2, 7] = 0.0
    row = peak_influence(*runs, voxel=7, combination="weighted")[2]
    assert [row.share, row.change] == [0.0, 0.0]


def test_peak_of_one_run_has_nothing_without_it() -> None:
    effects, dofs = np.array([[5.0, 2.0]]), np.array([[30.0]])
    (row,) = peak_influence(effects, np.ones((1, 2)), dofs, voxel=1, combination="weighted")
    assert [row.effect, row.dof, row.share] == [2.0, 30.0, 1.0]
    assert math.isnan(row.z_without)
    assert math.isnan(row.change)


def z_of_f(parts: tuple[FloatArray, ...], rows: npt.ArrayLike, combination: str) -> FloatArray:
    """Return z of the joint combination of some of the runs, through scipy."""
    combined = combine_rows(*(part[rows] for part in parts), combination=combination)
    return stats.norm.isf(stats.f.sf(combined.f, 2, combined.dof) / 2)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_peak_table_of_rows_holds_f_and_z_with_and_without_each_run(
    combination: str, rng: np.random.Generator
) -> None:
    effects = rng.normal(size=(3, 2, 5))
    covariances = np.array([1.0, 0.3, 2.0])[:, np.newaxis] * rng.uniform(0.1, 1, (3, 1, 5))
    runs = effects, covariances, np.full((3, 1), 20.0)
    table = peak_influence_rows(*runs, voxel=3, combination=combination)
    z = z_of_f(runs, range(3), combination)[3]
    for i, row in enumerate(table):
        a, b, c = covariances[i, :, 3]
        own = effects[i, :, 3] @ np.linalg.inv([[a, b], [b, c]]) @ effects[i, :, 3] / 2
        without = z_of_f(runs, np.arange(3) != i, combination)[3]
        np.testing.assert_allclose([row.f, row.dof], [own, 20.0], rtol=1e-10)
        expected = [z, without, z - without]
        np.testing.assert_allclose([row.z_with, row.z_without, row.change], expected, atol=Z)
