"""F contrasts over runs: the formulas written out, invariants, calibration and coverage."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.joint import CombinedRows, combine_rows, leave_one_out_rows
from bids_fx.glm.kenward_roger import f_reference
from bids_fx.glm.names import COMBINATIONS

FloatArray = npt.NDArray[np.float64]
Runs = tuple[FloatArray, FloatArray, FloatArray]

#: Closed forms in float64, through inverses of well-conditioned matrices.
CLOSE = 1e-10
N_RUNS, N_VOXELS = 4, 40


def triangles(matrices: FloatArray) -> FloatArray:
    """Return (..., q, q, n_voxels) symmetric matrices as upper triangles, row by row."""
    q = matrices.shape[-2]
    cells = [matrices[..., i, j, :] for i in range(q) for j in range(i, q)]
    return np.stack(cells, axis=-2)


def random_runs(rng: np.random.Generator, q: int) -> Runs:
    """Return effects, covariances and degrees of freedom of four runs of 40 voxels."""
    roots = rng.normal(size=(N_RUNS, q, 2 * q, N_VOXELS))
    covariances = np.einsum("kiav,kjav->kijv", roots, roots) / q
    effects = 2 * rng.normal(size=(N_RUNS, q, N_VOXELS))
    return effects, triangles(covariances), rng.uniform(10, 60, (N_RUNS, N_VOXELS))


@pytest.fixture
def runs(rng: np.random.Generator) -> Runs:
    """Return four runs of two rows."""
    return random_runs(rng, 2)


def square(triangle: FloatArray) -> FloatArray:
    """Return the symmetric 2 x 2 matrix of an upper triangle."""
    return np.array([[triangle[0], triangle[1]], [triangle[1], triangle[2]]])


def arrays(combined: CombinedRows) -> dict[str, Any]:
    """Return all arrays of a combination by name."""
    return {field.name: getattr(combined, field.name) for field in fields(combined)}


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_one_row_is_the_t_contrast(combination: str, rng: np.random.Generator) -> None:
    effects, variances, dofs = random_runs(rng, 1)
    effects[2, 0, :9] = np.nan
    effects[1:, 0, 5] = np.nan
    dofs[3, 30:] = 7.0
    rows = combine_rows(effects, variances, dofs, combination=combination)
    one = combine(effects[:, 0], variances[:, 0], dofs, combination=combination)
    np.testing.assert_allclose(rows.effect[0], one.effect, rtol=CLOSE)
    np.testing.assert_allclose(rows.covariance[0], one.variance, rtol=CLOSE)
    np.testing.assert_allclose(rows.f, one.effect**2 / one.variance, rtol=CLOSE)
    np.testing.assert_allclose(rows.dof, one.dof, rtol=CLOSE)
    np.testing.assert_array_equal(rows.n_runs, one.n_runs)
    np.testing.assert_array_equal(rows.plain, one.plain)


def test_weighted_rows_are_kenward_and_rogers(runs: Runs) -> None:
    found = combine_rows(*runs, combination="weighted")
    k = N_RUNS
    for v in range(N_VOXELS):
        x, nu = runs[0][:, :, v], runs[2][:, v]
        inverses = [np.linalg.inv(square(runs[1][i, :, v])) for i in range(k)]
        phi = np.linalg.inv(sum(inverses))
        b = phi @ sum(inverses[i] @ x[i] for i in range(k))
        nu_adjust = nu - 4 * (k - 2) / (k - 1)
        doubt = sum(
            2 / nu_adjust[i] * (inverses[i] - inverses[i] @ phi @ inverses[i]) for i in range(k)
        )
        adjusted = phi + 2 * phi @ doubt @ phi
        theta = np.linalg.inv(phi)
        slopes = [theta @ phi @ inverses[i] @ phi for i in range(k)]
        a1 = sum(2 / (nu[i] - 4) * np.trace(slopes[i]) ** 2 for i in range(k))
        a2 = sum(2 / (nu[i] - 4) * np.trace(slopes[i] @ slopes[i]) for i in range(k))
        scale, dof = f_reference(a1, a2, 2)
        f = scale * b @ np.linalg.inv(adjusted) @ b / 2
        np.testing.assert_allclose(found.effect[:, v], b, rtol=CLOSE)
        np.testing.assert_allclose([found.f[v], found.dof[v]], [f, dof], rtol=CLOSE)
        np.testing.assert_allclose(square(found.covariance[:, v]), adjusted / scale, rtol=CLOSE)


def test_mean_rows_are_welch_satterthwaites(runs: Runs) -> None:
    found = combine_rows(*runs, combination="unweighted")
    for v in range(N_VOXELS):
        parts = [square(runs[1][i, :, v]) / N_RUNS**2 for i in range(N_RUNS)]
        phi, b = sum(parts), runs[0][:, :, v].mean(axis=0)
        theta = np.linalg.inv(phi)
        a1 = sum(2 / runs[2][i, v] * np.trace(theta @ parts[i]) ** 2 for i in range(N_RUNS))
        a2 = sum(
            2 / runs[2][i, v] * np.trace(theta @ parts[i] @ theta @ parts[i])
            for i in range(N_RUNS)
        )
        scale, dof = f_reference(a1, a2, 2)
        np.testing.assert_allclose(found.effect[:, v], b, rtol=CLOSE)
        np.testing.assert_allclose(found.f[v], scale * b @ theta @ b / 2, rtol=CLOSE)
        np.testing.assert_allclose(found.dof[v], dof, rtol=CLOSE)
        np.testing.assert_allclose(square(found.covariance[:, v]), phi / scale, rtol=CLOSE)


@pytest.mark.parametrize("q", [2, 3, 5])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_f_is_the_quadratic_form_of_effect_and_covariance(
    q: int, combination: str, rng: np.random.Generator
) -> None:
    runs = random_runs(rng, q)
    found = combine_rows(*runs, combination=combination)
    row, column = np.triu_indices(q)
    for v in range(N_VOXELS):
        covariance = np.empty((q, q))
        covariance[row, column] = covariance[column, row] = found.covariance[:, v]
        f = found.effect[:, v] @ np.linalg.inv(covariance) @ found.effect[:, v] / q
        np.testing.assert_allclose(found.f[v], f, rtol=CLOSE)


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("size", [1.0, 1e-9, 1e9])
def test_no_transformation_of_the_rows_changes_the_test(
    combination: str, size: float, rng: np.random.Generator
) -> None:
    q = 3
    roots = rng.normal(size=(N_RUNS, q, 2 * q, N_VOXELS))
    covariances = np.einsum("kiav,kjav->kijv", roots, roots)
    effects, dofs = 4 * rng.normal(size=(N_RUNS, q, N_VOXELS)), rng.uniform(6, 40, (N_RUNS, 1))
    A = rng.normal(size=(q, q)) * np.array([[1.0], [size], [3.0]])
    turned = np.einsum("ij,kjv->kiv", A, effects)
    turned_covariances = np.einsum("ij,kjlv,ml->kimv", A, covariances, A)
    once = combine_rows(effects, triangles(covariances), dofs, combination=combination)
    other = combine_rows(turned, triangles(turned_covariances), dofs, combination=combination)
    np.testing.assert_allclose(other.f, once.f, rtol=1e-8)
    np.testing.assert_allclose(other.dof, once.dof, rtol=1e-8)
    expected = np.einsum("ij,jv->iv", A, once.effect)
    scale = np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(other.effect / scale, expected / scale, rtol=0, atol=1e-8)


def test_equal_runs_have_the_degrees_of_freedom_of_one_row() -> None:
    # all M_i are I / k: one unknown scale, whatever q
    effects = np.full((5, 3, 1), 3.0)
    unit = np.tile(triangles(np.eye(3)[:, :, np.newaxis]), (5, 1, 1))
    weighted = combine_rows(effects, unit, np.full((5, 1), 12.0), combination="weighted")
    np.testing.assert_allclose(weighted.dof, [5 * (12 - 4)], rtol=CLOSE)
    mean = combine_rows(effects, unit, np.full((5, 1), 12.0), combination="unweighted")
    np.testing.assert_allclose(mean.dof, [60.0], rtol=CLOSE)
    np.testing.assert_allclose(mean.f, [5 * 9.0], rtol=CLOSE)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_one_run_is_that_run_bit_for_bit(combination: str, runs: Runs) -> None:
    runs[0][0, 0, 0] = -0.0
    runs[2][0, 1] = 3.0  # too few for weights, but there is nothing to weight
    one = combine_rows(*(part[:1] for part in runs), combination=combination)
    assert not one.plain.any()
    assert one.effect.tobytes() == runs[0][0].tobytes()
    assert one.covariance.tobytes() == runs[1][0].tobytes()
    assert one.dof.tobytes() == runs[2][0].tobytes()
    for v in range(N_VOXELS):
        x, c = runs[0][0, :, v], square(runs[1][0, :, v])
        np.testing.assert_allclose(one.f[v], x @ np.linalg.inv(c) @ x / 2, rtol=CLOSE)


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize(
    ("part", "row", "value"),
    [
        *((0, 1, np.nan), (0, 0, np.inf)),
        *((1, 0, np.nan), (1, 1, np.inf), (1, 0, 0.0), (1, 2, -1.0), (1, 1, 1e3)),
        *((2, slice(None), np.nan), (2, slice(None), 0.0), (2, slice(None), np.inf)),
    ],
)
def test_run_that_does_not_cover_a_voxel_is_left_out_there_alone(
    combination: str, part: int, row: Any, value: float, runs: Runs
) -> None:
    whole = arrays(combine_rows(*runs, combination=combination))
    without = arrays(combine_rows(*(x[[0, 1, 3]] for x in runs), combination=combination))
    if part < 2:
        runs[part][2, row, 9] = value
    else:
        runs[2][2, 9] = value
    covered = arrays(combine_rows(*runs, combination=combination))
    assert covered["n_runs"][9] == 3
    rest = np.arange(N_VOXELS) != 9
    for name in covered:
        found, expected = covered[name][..., 9], without[name][..., 9]
        np.testing.assert_allclose(found, expected, rtol=CLOSE, err_msg=name)
        found, expected = covered[name][..., rest], whole[name][..., rest]
        np.testing.assert_allclose(found, expected, rtol=CLOSE, err_msg=name)


def test_rows_that_are_one_row_to_float32_do_not_enter(runs: Runs) -> None:
    runs[1][2, :, 9] = np.array([1.0, 0.1, 0.01], dtype=np.float32)
    runs[1][2, :, 10] = [1.0, 0.1, 0.01 * (1 + 2**-24)]
    runs[1][2, :, 11] = [1.0, 0.0999, 0.01]  # a correlation of 0.999
    found = combine_rows(*runs, combination="weighted")
    assert found.n_runs[[9, 10, 11]].tolist() == [3, 3, 4]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_voxel_that_no_run_covers_is_nan(combination: str, runs: Runs) -> None:
    runs[1][:, 0, 9] = 0.0
    values = arrays(combine_rows(*runs, combination=combination))
    assert values.pop("n_runs")[9] == 0
    assert not values.pop("plain").any()
    for name, array in values.items():
        missing = np.isnan(np.atleast_2d(array))
        assert missing[:, 9].all(), name
        assert missing.sum() == len(missing), name


def test_weights_give_way_where_a_run_has_eight_degrees_of_freedom(runs: Runs) -> None:
    runs[2][1, :20], runs[2][1, 20:] = 8.0, np.nextafter(8.0, 9.0)
    weighted = combine_rows(*runs, combination="weighted")
    plain = combine_rows(*runs, combination="unweighted")
    np.testing.assert_array_equal(weighted.plain, np.arange(N_VOXELS) < 20)
    assert not plain.plain.any()
    for name in ("effect", "covariance", "f", "dof"):
        found, other = getattr(weighted, name), getattr(plain, name)
        np.testing.assert_allclose(found[..., :20], other[..., :20], rtol=CLOSE, err_msg=name)
        assert not np.isclose(found[..., 20:], other[..., 20:], rtol=1e-6).any(), name


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_order_of_runs_does_not_matter(combination: str, runs: Runs) -> None:
    runs[0][1, 0, :20] = np.nan
    once = arrays(combine_rows(*runs, combination=combination))
    other = arrays(combine_rows(*(x[[2, 0, 3, 1]] for x in runs), combination=combination))
    for name, values in once.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-8, err_msg=name)


@pytest.mark.parametrize(
    ("q", "combination", "lowest", "highest"),
    [
        # 1.22 in 1e6 draws; 1.9 with nu for both replacements, 2.1 with half the adjustment of
        # the covariance, 3.4 without any
        (2, "weighted", 0.95, 1.5),
        # 0.91
        (2, "unweighted", 0.7, 1.2),
    ],
)
def test_false_positives_per_1000_at_p_001(
    q: int, combination: str, lowest: float, highest: float, rng: np.random.Generator
) -> None:
    n, dofs = 200_000, np.full((N_RUNS, 1), 15.0)
    factors = rng.chisquare(15.0, (N_RUNS, 1, n)) / 15
    unit = triangles(np.eye(q)[:, :, np.newaxis])
    null = combine_rows(
        rng.standard_normal((N_RUNS, q, n)), unit * factors, dofs, combination=combination
    )
    rate = 1000 * (stats.f.sf(null.f, q, null.dof) < 0.001).mean()
    assert lowest <= rate <= highest


@pytest.mark.parametrize("q", [2, 5])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_leaving_out_a_run_equals_combining_the_others(
    combination: str, q: int, rng: np.random.Generator
) -> None:
    runs = random_runs(rng, q)
    runs[0][1, 0, :20] = np.nan
    runs[1][[0, 3], -1, 10:30] = 0.0
    runs[0][:, :, 35] = np.nan
    runs[2][2, 30:] = 8.0
    reduced = leave_one_out_rows(*runs, combination=combination)
    for i in range(N_RUNS):
        rest = np.arange(N_RUNS) != i
        others = combine_rows(*(part[rest] for part in runs), combination=combination)
        np.testing.assert_allclose(reduced.f[i], others.f, rtol=CLOSE)
        np.testing.assert_allclose(reduced.dof[i], others.dof, rtol=CLOSE)


@pytest.mark.parametrize("n_runs", [2, 7, 8, 64])
def test_leaving_out_one_of_many_runs_is_as_exact(n_runs: int, rng: np.random.Generator) -> None:
    # five rows are summed run by run up to seven runs, and by pairs of elements from eight on
    roots = rng.normal(size=(n_runs, 5, 9, 6))
    covariances = triangles(np.einsum("kiav,kjav->kijv", roots, roots))
    covariances[1] *= 1e-10  # the others' sums would drown in a total
    effects, dofs = rng.normal(size=(n_runs, 5, 6)), rng.uniform(10, 60, (n_runs, 6))
    runs = (effects, covariances, dofs)
    reduced = leave_one_out_rows(*runs, combination="weighted")
    for i in (0, 1, n_runs - 1):
        others = combine_rows(*(np.delete(p, i, 0) for p in runs), combination="weighted")
        np.testing.assert_allclose(reduced.f[i], others.f, rtol=1e-8)
        np.testing.assert_allclose(reduced.dof[i], others.dof, rtol=1e-8)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (2, 3), (2, 1)), r"\(n_runs, q, n_voxels\).* found \(2, 3\)"),
        (((0, 2, 3), (0, 3, 3), (0, 3)), "at least one run"),
        (((2, 2, 3), (2, 4, 3), (2, 3)), r"shape \(2, 3, 3\), found \(2, 4, 3\)"),
        (((2, 2, 3), (2, 3, 3), (2,)), r"shape \(2, 3\), found \(2,\)"),
    ],
)
def test_shapes_that_do_not_agree_are_refused(shapes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        combine_rows(*(np.ones(shape) for shape in shapes), combination="weighted")


def test_unknown_combination_is_refused(runs: Runs) -> None:
    with pytest.raises(ValueError, match="unknown combination 'mean'"):
        combine_rows(*runs, combination="mean")
