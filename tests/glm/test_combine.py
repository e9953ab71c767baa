"""Fixed effects: closed forms, invariants, calibration, runs that do not cover a voxel."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bids_fx.glm.fixed_effects import CombinedEffects, combine, leave_one_out
from bids_fx.glm.names import COMBINATIONS

FloatArray = npt.NDArray[np.float64]

#: Closed forms in float64.
EXACT = 1e-13

#: Two runs of one voxel: X2 = 2 X1, V2 = 4 V1.
TWO = ([[1.0], [2.0]], [[1.0], [4.0]], [[20.0], [20.0]])


def arrays(combined: CombinedEffects) -> dict[str, Any]:
    """Return all arrays of a combination by name."""
    return {field.name: getattr(combined, field.name) for field in fields(combined)}


@pytest.fixture
def runs(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effects, variances and degrees of freedom of four runs, shape (4, 60)."""
    return rng.normal(size=(4, 60)), rng.uniform(0.2, 3, (4, 60)), rng.uniform(15, 200, (4, 60))


def test_weighted_mean_of_two_runs_equals_the_closed_form() -> None:
    combined = combine(*TWO, combination="weighted")
    np.testing.assert_allclose(combined.effect, [1.2], rtol=EXACT)
    # shares 0.8 and 0.2; for two runs Cochran and Carroll's degrees of freedom are the runs' own
    meier = 1 + 4 * (0.8 * 0.2 / 20 + 0.2 * 0.8 / 20)
    np.testing.assert_allclose(combined.variance, [0.8 * meier], rtol=EXACT)
    np.testing.assert_allclose(combined.dof, [1 / (0.8**2 / 16 + 0.2**2 / 16)], rtol=EXACT)
    assert combined.n_runs.tolist() == [2]


def test_unweighted_mean_of_two_runs_equals_the_closed_form() -> None:
    combined = combine(*TWO, combination="unweighted")
    np.testing.assert_allclose(combined.effect, [1.5], rtol=EXACT)
    np.testing.assert_allclose(combined.variance, [1.25], rtol=EXACT)
    # (1 + 4)² / (1² / 20 + 4² / 20)
    np.testing.assert_allclose(combined.dof, [25 / (17 / 20)], rtol=EXACT)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_equal_runs_are_averaged(combination: str) -> None:
    combined = combine(
        np.full((5, 1), 3.0), np.full((5, 1), 2.0), np.full((5, 1), 12.0), combination=combination
    )
    np.testing.assert_allclose(combined.effect, [3.0], rtol=EXACT)
    # nu' = 12 - 4 * 3 / 4 = 9
    meier = 1 + 4 * 5 * 0.2 * 0.8 / 9 if combination == "weighted" else 1.0
    np.testing.assert_allclose(combined.variance, [2.0 / 5 * meier], rtol=EXACT)
    expected = 5 * (12 - 4) if combination == "weighted" else 60.0
    np.testing.assert_allclose(combined.dof, [expected], rtol=EXACT)


def by_the_formula(x: FloatArray, v: FloatArray, nu: FloatArray) -> tuple[float, float, float]:
    """Return weighted mean, Meier's variance and degrees of freedom, as the papers write them."""
    k, w = len(x), 1 / v
    total = w.sum()
    cochran_carroll = nu - 4 * (k - 2) / (k - 1)
    correction = 1 + 4 / total**2 * sum(w * (total - w) / cochran_carroll)
    return (
        float(sum(w * x) / total),
        float(correction / total),
        float(total**2 / sum(w**2 / (nu - 4))),
    )


def test_weighted_combination_is_meiers_at_every_voxel(
    runs: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    runs[0][1, :20] = np.nan
    runs[1][3, 10:30] = 0.0
    combined = combine(*runs, combination="weighted")
    assert set(combined.n_runs) == {2, 3, 4}
    for i in range(60):
        enters = np.isfinite(runs[0][:, i]) & (runs[1][:, i] > 0)
        expected = by_the_formula(*(part[enters, i] for part in runs))
        found = [combined.effect[i], combined.variance[i], combined.dof[i]]
        np.testing.assert_allclose(found, expected, rtol=EXACT)


def test_weights_give_way_where_a_run_has_eight_degrees_of_freedom() -> None:
    effects, variances = np.array([[1.0] * 3, [2.0] * 3]), np.array([[1.0] * 3, [4.0] * 3])
    dofs = np.array([[8.0, np.nextafter(8.0, 9.0), 3.0], [50.0, 50.0, np.nan]])
    combined = combine(effects, variances, dofs, combination="weighted")
    assert combined.plain.tolist() == [True, False, False]
    plain = combine(effects, variances, dofs, combination="unweighted")
    assert not plain.plain.any()
    for name in ("effect", "variance", "dof"):
        assert getattr(combined, name)[[0, 2]].tolist() == getattr(plain, name)[[0, 2]].tolist()
    expected = by_the_formula(effects[:, 1], variances[:, 1], dofs[:, 1])
    found = [combined.effect[1], combined.variance[1], combined.dof[1]]
    np.testing.assert_allclose(found, expected, rtol=EXACT)


def false_positives(
    dofs: list[float], sds: list[float], combination: str, *, seed: int, n: int = 400_000
) -> CombinedEffects:
    """Combine null data of runs with these degrees of freedom and standard deviations."""
    rng = np.random.default_rng(seed)
    nu, sd = np.array(dofs)[:, np.newaxis], np.array(sds)[:, np.newaxis]
    effects = sd * rng.standard_normal((len(nu), n))
    variances = sd**2 * rng.chisquare(nu, (len(nu), n)) / nu
    return combine(effects, variances, nu, combination=combination)


@pytest.mark.parametrize(
    ("dofs", "sds", "combination", "lowest", "highest"),
    [
        # 1.15 in 3e6 draws; 1.35 without Cochran and Carroll's degrees of freedom, 1.43 with nu
        # for nu - 4, 1.66 without both, 3.7 with 1 / W and summed degrees of freedom
        ([15.0] * 4, [1.0] * 4, "weighted", 0.95, 1.3),
        # 0.95; 1.29 with nu for nu - 4, 1.46 without both, 2.0 without Meier's term
        ([15.0] * 4, [1.0, 1.0, 2.0, 3.0], "weighted", 0.8, 1.2),
        # 1.05; 3.1 with summed degrees of freedom
        ([20.0, 200.0], [5.0, 1.0], "unweighted", 0.9, 1.2),
    ],
)
def test_false_positives_per_1000_at_two_sided_p_001(
    dofs: list[float], sds: list[float], combination: str, lowest: float, highest: float
) -> None:
    null = false_positives(dofs, sds, combination, seed=1)
    p = 2 * stats.t.sf(np.abs(null.effect) / np.sqrt(null.variance), null.dof)
    assert lowest <= 1000 * (p < 0.001).mean() <= highest


def test_p_of_heterogeneity_is_calibrated() -> None:
    # chi-square has 4.6 per 1000 here
    null = false_positives([15.0] * 4, [1.0] * 4, "weighted", seed=2)
    assert 0.85 <= 1000 * (null.q_p < 0.001).mean() <= 1.15
    assert 0.048 <= (null.q_p < 0.05).mean() <= 0.052


def test_p_of_heterogeneity_is_welchs() -> None:
    x, v, nu = np.array([1.0, 5.0, 2.0]), np.array([1.0, 4.0, 2.0]), np.array([12.0, 20.0, 9.0])
    combined = combine(*(part[:, np.newaxis] for part in (x, v, nu)), combination="weighted")
    w = 1 / v
    q = sum(w * (x - sum(w * x) / sum(w)) ** 2)
    vague = sum((1 - w / sum(w)) ** 2 / nu)
    f = (q / 2) / (1 + 2 * (3 - 2) / (3**2 - 1) * vague)
    np.testing.assert_allclose(combined.q_p, stats.f.sf(f, 2, (3**2 - 1) / (3 * vague)), rtol=1e-9)


def test_p_of_heterogeneity_of_two_runs_is_that_of_their_difference() -> None:
    # Welch's t of two means, on Welch-Satterthwaite's degrees of freedom
    combined = combine([[1.0], [5.0]], [[1.0], [3.0]], [[12.0], [20.0]], combination="unweighted")
    dof = (1 + 3) ** 2 / (1 / 12 + 9 / 20)
    np.testing.assert_allclose(combined.q_p, 2 * stats.t.sf(4 / np.sqrt(1 + 3), dof), rtol=1e-9)


def test_heterogeneity_of_two_runs_equals_the_closed_form() -> None:
    # weights 1 and 1/4; their mean is (1 + 5/4) / (5/4) = 1.8
    combined = combine([[1.0], [5.0]], TWO[1], TWO[2], combination="weighted")
    q = (1 - 1.8) ** 2 / 1 + (5 - 1.8) ** 2 / 4
    np.testing.assert_allclose(combined.q, [q], rtol=EXACT)
    np.testing.assert_allclose(combined.isq, [100 * (q - 1) / q], rtol=EXACT)
    np.testing.assert_allclose(combined.tau2, [(q - 1) / (1.25 - (1 + 1 / 16) / 1.25)], rtol=EXACT)


def test_heterogeneity_below_chance_is_zero() -> None:
    combined = combine([[1.0], [1.1]], TWO[1], TWO[2], combination="weighted")
    assert 0 < combined.q[0] < 1
    assert combined.isq.tolist() == combined.tau2.tolist() == [0.0]


def test_heterogeneity_of_equal_effects_is_zero() -> None:
    combined = combine([[2.0], [2.0]], TWO[1], TWO[2], combination="weighted")
    assert [combined.q[0], combined.isq[0], combined.tau2[0]] == [0.0, 0.0, 0.0]


def test_heterogeneity_does_not_depend_on_the_combination(
    runs: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    weighted, unweighted = (combine(*runs, combination=name) for name in COMBINATIONS)
    for name in ("q", "q_p", "isq", "tau2"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(unweighted, name))


def test_welch_satterthwaite_lies_between_the_smallest_and_the_sum(
    runs: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    dof = combine(*runs, combination="unweighted").dof
    assert (dof >= runs[2].min(axis=0)).all()
    assert (dof <= runs[2].sum(axis=0)).all()


def test_welch_satterthwaite_is_ruled_by_the_noisy_run() -> None:
    combined = combine([[1], [1]], [[25], [1]], [[20], [200]], combination="unweighted")
    np.testing.assert_allclose(combined.dof, [26**2 / (25**2 / 20 + 1 / 200)], rtol=EXACT)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_one_run_is_that_run_bit_for_bit(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    effects, variances, dofs = (part[:1].copy() for part in runs)
    effects[0, 0] = -0.0
    combined = combine(effects, variances, dofs, combination=combination)
    assert combined.effect.tobytes() == effects[0].tobytes()
    assert combined.variance.tobytes() == variances[0].tobytes()
    assert combined.dof.tobytes() == dofs[0].tobytes()
    assert (combined.n_runs == 1).all()
    for name in ("q", "q_p", "isq", "tau2"):
        assert np.isnan(getattr(combined, name)).all()


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize(
    ("part", "value"),
    [
        (0, np.nan),
        (0, np.inf),
        (1, np.nan),
        (1, 0.0),
        (1, -1.0),
        (1, np.inf),
        (2, np.nan),
        (2, 0),
        (2, np.inf),
    ],
)
def test_run_that_does_not_cover_a_voxel_is_left_out_there_alone(
    combination: str, part: int, value: float, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    whole = arrays(combine(*runs, combination=combination))
    without = arrays(combine(*(x[[0, 1, 3]] for x in runs), combination=combination))
    runs[part][2, 9] = value
    covered = arrays(combine(*runs, combination=combination))
    assert covered["n_runs"][9] == 3
    rest = np.arange(60) != 9
    for name in covered:
        np.testing.assert_allclose(covered[name][9], without[name][9], rtol=EXACT, err_msg=name)
        np.testing.assert_array_equal(covered[name][rest], whole[name][rest], err_msg=name)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_only_covering_run_is_passed_on_bit_for_bit(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    runs[0][[0, 1, 3], 9] = np.nan
    combined = combine(*runs, combination=combination)
    assert [combined.effect[9], combined.variance[9], combined.dof[9]] == [x[2, 9] for x in runs]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_voxel_that_no_run_covers_is_nan(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    runs[1][:, 9] = 0.0
    values = arrays(combine(*runs, combination=combination))
    assert values.pop("n_runs")[9] == 0
    assert not values.pop("plain").any()
    for name, array in values.items():
        assert np.flatnonzero(np.isnan(array)).tolist() == [9], name


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_order_of_runs_does_not_matter(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    runs[0][1, :20] = np.nan
    once = arrays(combine(*runs, combination=combination))
    other = arrays(combine(*(x[[2, 0, 3, 1]] for x in runs), combination=combination))
    for name, values in once.items():
        np.testing.assert_allclose(other[name], values, rtol=0, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("k", [-2.0, 1e-12, 1e12])
def test_scaling_all_runs_scales_the_result(
    combination: str, k: float, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    once = combine(*runs, combination=combination)
    other = combine(k * runs[0], k**2 * runs[1], runs[2], combination=combination)
    np.testing.assert_allclose(other.effect, k * once.effect, rtol=1e-10)
    np.testing.assert_allclose(other.variance, k**2 * once.variance, rtol=1e-10)
    np.testing.assert_allclose(other.dof, once.dof, rtol=1e-10)
    np.testing.assert_allclose(other.q, once.q, rtol=1e-10)
    np.testing.assert_allclose(other.q_p, once.q_p, rtol=1e-8)
    np.testing.assert_allclose(other.isq, once.isq, rtol=0, atol=1e-8)
    np.testing.assert_allclose(other.tau2 / k**2, once.tau2, rtol=0, atol=1e-9)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_smallest_float32_variances_do_not_overflow(combination: str) -> None:
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    combined = combine([[1.0], [1.0]], [[tiny], [4 * tiny]], [[9], [9]], combination=combination)
    meier = 1 + 4 * 2 * 0.8 * 0.2 / 9
    expected = 0.8 * tiny * meier if combination == "weighted" else 1.25 * tiny
    np.testing.assert_allclose(combined.variance, [expected], rtol=EXACT)


def test_pooled_runs_equal_one_model_over_both(rng: np.random.Generator) -> None:
    # weighted effects of runs with one known noise variance are those of the stacked design
    X1, X2 = rng.normal(size=(2, 30, 1))
    y = rng.normal(size=(60, 1))
    beta1, beta2 = (
        float((X.T @ part)[0, 0] / (X**2).sum()) for X, part in ((X1, y[:30]), (X2, y[30:]))
    )
    combined = combine(
        [[beta1], [beta2]],
        [[1 / (X1**2).sum()], [1 / (X2**2).sum()]],
        [[1e15], [1e15]],
        combination="weighted",
    )
    both = np.vstack([X1, X2])
    np.testing.assert_allclose(combined.effect, (both.T @ y)[0] / (both**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(combined.variance, 1 / (both**2).sum(), rtol=1e-12)


def test_degrees_of_freedom_may_be_one_number_per_run(
    runs: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    dofs = np.array([[10.0], [20.0], [30.0], [40.0]])
    short = combine(runs[0], runs[1], dofs, combination="unweighted")
    full = combine(runs[0], runs[1], np.repeat(dofs, 60, axis=1), combination="unweighted")
    np.testing.assert_array_equal(short.dof, full.dof)


def test_float32_maps_are_combined_in_float64() -> None:
    effects = np.array([[1.0], [1.0 + 2**-20]], dtype=np.float32)
    ones = np.ones((2, 1), dtype=np.float32)
    combined = combine(effects, ones, 9 * ones, combination="unweighted")
    assert combined.effect[0] == 1 + 2**-21
    assert combined.effect.dtype == np.float64


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((np.zeros((2, 3)), np.ones((2, 4)), np.ones((2, 3))), r"found \(2, 3\) and \(2, 4\)"),
        ((np.zeros(3), np.ones(3), np.ones(3)), r"found \(3,\) and \(3,\)"),
        ((np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))), "at least one run"),
        ((np.zeros((2, 3)), np.ones((2, 3)), np.ones(2)), r"shape \(2, 3\), found \(2,\)"),
    ],
)
def test_shapes_that_do_not_agree_are_refused(parts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        combine(*parts, combination="weighted")


def test_unknown_combination_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown combination 'mean'"):
        combine(*TWO, combination="mean")


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_leaving_out_a_run_equals_combining_the_others(
    combination: str, runs: tuple[FloatArray, FloatArray, FloatArray]
) -> None:
    effects, variances, dofs = runs
    effects[1, :20] = np.nan  # three runs
    variances[[0, 3], 10:30] = 0.0  # one or two runs
    effects[:, 35] = np.nan
    dofs[2, 30:50] = 8.0  # weights give way until this run is left out
    variances[1, 45:] *= 1e-12  # the others' sums would drown in a total
    reduced = leave_one_out(*runs, combination=combination)
    for i in range(4):
        rest = np.arange(4) != i
        others = combine(*(part[rest] for part in runs), combination=combination)
        for name in ("effect", "variance", "dof"):
            found, expected = getattr(reduced, name)[i], getattr(others, name)
            np.testing.assert_allclose(found, expected, rtol=EXACT, err_msg=name)


def test_nothing_is_left_of_one_run() -> None:
    reduced = leave_one_out([[1.0]], [[2.0]], [[9.0]], combination="weighted")
    assert np.isnan([reduced.effect, reduced.variance, reduced.dof]).all()
