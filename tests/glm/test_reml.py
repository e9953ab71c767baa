"""Restricted maximum likelihood beside dense matrices, closed forms and calibration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.correlation import CORRELATION_MODELS
from bids_fx.glm.noise import ContrastFit, RunFit, fit_run
from bids_fx.glm.tables import DesignTable, tabulate
from tests.dense_reml import BOUNDS, DenseModel, DenseTest, noise, null_design

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FAMILIES = ("ar1", "arma11")
#: Two dense computations in float64. At the edge of `arma11` that is nearly white noise, the
#: information of its autoregression is some 1e-7 of the rest, and that many digits are lost.
DENSE = {"ar1": 1e-8, "arma11": 2e-6}
#: What the nodes' polynomials leave, by noise model: with one parameter they are exact to about
#: 1e-7; with two, of which ten or so nodes each are affordable, to some 1e-3, a thirtieth of the
#: standard error of a degree of freedom's own estimate.
INTERPOLATED = {"ar1": 2e-6, "arma11": 1e-2}
#: Of the estimate of rho and of t beside a dense search.
RHO, T = 1e-4, 1e-3

#: Scans lost: the first, the last, one alone, two and five in a row.
LOST = (0, 7, 8, 20, 21, 22, 23, 24, 40, 59)
GAPS = np.delete(np.arange(60), LOST)
WHOLE = np.arange(60)
#: Rows over the columns of `small_design`; all weights differ, as do the rows' variances.
ROWS = np.array([[1.0, -1, 0, 0, 0, 0], [0, 0.5, 2, 0, 0, 0], [0.3, 0, 0, 1, 0, 0]])


def small_design(rng: np.random.Generator, scans: IntArray) -> FloatArray:
    """Return six columns of full rank, at the scans that are there."""
    boxes = np.kron(rng.integers(0, 2, size=(15, 2)), np.ones((4, 1)))
    walks = rng.normal(size=(60, 2)).cumsum(axis=0)
    trend = np.linspace(-1, 1, 60)
    return np.column_stack([boxes, walks, trend, np.ones(60)])[scans]


def fit(Y: FloatArray, X: FloatArray, contrasts: Any, family: str, **options: Any) -> RunFit:
    """Fit with the constant, the last column, as the baseline."""
    options = {"baseline": design_space(X[:, -1:]), "noise_model": family, **options}
    return fit_run(Y, design_space(X), contrasts, **options)


def table_of(family: str, X: FloatArray, scans: IntArray) -> DesignTable:
    """Tabulate a design with contrasts of the first row, the first two and all three."""
    space = design_space(X)
    rows = [space.coordinates(ROWS[:q]) for q in (1, 2, 3)]
    with ThreadPoolExecutor(1) as pool:
        return tabulate(CORRELATION_MODELS[family], scans, space.basis, rows, pool)


def two_rows(n_columns: int) -> FloatArray:
    """Return the difference of the first two columns, and the second."""
    rows = np.eye(2, n_columns)
    rows[0, 1] = -1.0
    return rows


def theta_of(result: RunFit, v: int) -> tuple[float, ...]:
    """Return the noise parameters of a voxel."""
    return tuple(float(values[v]) for values in result.noise.values())


def t_of(contrast: ContrastFit, v: int) -> float:
    """Return t of a voxel."""
    return float(contrast.effects[0, v] / np.sqrt(contrast.covariance[0, v]))


def f_of(contrast: ContrastFit) -> FloatArray:
    """Return F of every voxel, from the written triangle alone."""
    q = len(contrast.effects)
    full = np.zeros((contrast.effects.shape[1], q, q))
    i, j = np.triu_indices(q)
    full[:, i, j] = full[:, j, i] = contrast.covariance.T
    effects = contrast.effects.T[:, :, np.newaxis]
    return (effects * np.linalg.solve(full, effects)).sum(axis=(1, 2)) / q


def assert_test(contrast: ContrastFit, v: int, dense: DenseTest, tolerance: float) -> None:
    """Compare effects in standard errors, covariances as correlations, dof and F relatively."""
    sd = np.sqrt(np.diag(dense.covariance))
    upper = np.triu_indices(len(sd))
    errors = (contrast.effects[:, v] - dense.effects) / sd
    np.testing.assert_allclose(errors, 0.0, rtol=0, atol=tolerance)
    found = contrast.covariance[:, v] / np.outer(sd, sd)[upper]
    expected = (dense.covariance / np.outer(sd, sd))[upper]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(contrast.dof[v], dense.dof, rtol=tolerance)
    np.testing.assert_allclose(f_of(contrast)[v], dense.f, rtol=4 * tolerance, atol=tolerance)


def test_oracles_likelihood_is_the_density_of_error_contrasts(rng: np.random.Generator) -> None:
    dense = DenseModel(small_design(rng, GAPS), GAPS, "arma11")
    y = rng.normal(size=(GAPS.size, 1))
    R = dense.correlation((0.6, 0.3)).real
    z, V = dense.K.T @ y[:, 0], dense.K.T @ R @ dense.K
    sigmasq = z @ np.linalg.inv(V) @ z / z.size
    found = dense.log_likelihood(y, (0.6, 0.3))[0]
    near = sigmasq * np.array([0.99, 1.0, 1.01])
    density = [stats.multivariate_normal(cov=s * V).logpdf(z) for s in near]
    assert found == pytest.approx(density[1], rel=1e-12)
    assert density[1] > max(density[0], density[2])


@pytest.mark.parametrize("scans", [WHOLE, GAPS], ids=["whole", "gaps"])
@pytest.mark.parametrize("family", FAMILIES)
def test_tables_at_the_nodes_are_those_of_dense_matrices(
    family: str, scans: IntArray, rng: np.random.Generator
) -> None:
    X = small_design(rng, scans)
    table, dense = table_of(family, X, scans), DenseModel(X, scans, family)
    y = rng.normal(size=scans.size)
    nodes = CORRELATION_MODELS[family].box.nodes
    every = np.eye(len(nodes))
    for i, q in enumerate((1, 2, 3)):
        covariances, dofs = table.contrasts[i].at(every)
        for k, theta in enumerate(nodes):
            expected = dense.test(y, theta, ROWS[:q])
            sd = np.sqrt(np.diag(expected.covariance))
            scale = np.outer(sd, sd)[np.triu_indices(q)]
            triangle = expected.covariance[np.triu_indices(q)] / scale
            found = covariances[:, k] * expected.sigmasq / scale
            np.testing.assert_allclose(found, triangle, rtol=0, atol=DENSE[family])
            np.testing.assert_allclose(dofs[k], expected.dof, rtol=DENSE[family])


@pytest.mark.parametrize("scans", [WHOLE, GAPS], ids=["whole", "gaps"])
@pytest.mark.parametrize("family", FAMILIES)
def test_determinants_at_the_nodes_are_those_of_error_contrasts(
    family: str, scans: IntArray, rng: np.random.Generator
) -> None:
    # |R| |Q'R^-1 Q| = |K'RK| with Q and K orthonormal and orthogonal
    X = small_design(rng, scans)
    table, dense = table_of(family, X, scans), DenseModel(X, scans, family)
    expected = [
        np.linalg.slogdet(dense.K.T @ dense.correlation(theta).real @ dense.K)[1]
        for theta in CORRELATION_MODELS[family].box.nodes
    ]
    np.testing.assert_allclose(table.log_determinants, expected, rtol=0, atol=1e-8)


#: Two of each autocorrelation, and two of which the likelihood is highest on a bound.
N_VOXELS = 10


@cache
def searched(n_scans: int) -> tuple[FloatArray, FloatArray, RunFit, FloatArray]:
    """Return a design of 24 columns, data, their fit, and rho of a dense search."""
    rng = np.random.default_rng(n_scans)
    X = null_design(rng, n_scans)
    Y = np.hstack([noise(rng, n_scans, 2, rho) for rho in (-0.3, 0.0, 0.5, 0.9)])
    smooth = rng.normal(size=(n_scans, 2)).cumsum(axis=0).cumsum(axis=0)
    smooth[::2, 0] *= -1
    Y = np.hstack([Y, smooth])
    rows = two_rows(24)
    result = fit(Y, X, [rows[:1], rows], "ar1")
    return X, Y, result, DenseModel(X, np.arange(n_scans), "ar1").best(Y)


@pytest.mark.parametrize("n_scans", [60, 100, 300])
def test_autocorrelation_is_that_of_a_dense_search(n_scans: int) -> None:
    _, _, result, rho = searched(n_scans)
    np.testing.assert_allclose(result.noise["ar1"], rho, rtol=0, atol=RHO)
    assert rho[-2:].tolist() == [-0.9, 0.98]  # the bounds are reached
    assert (np.abs(rho[:-2] - 0.04) < 0.93).sum() >= 6  # and not by all


@pytest.mark.parametrize("n_scans", [60, 100, 300])
def test_t_is_that_of_a_dense_search(n_scans: int) -> None:
    X, Y, result, rho = searched(n_scans)
    dense = DenseModel(X, np.arange(n_scans), "ar1")
    for v in range(N_VOXELS):
        expected = dense.test(Y[:, v], (rho[v],), two_rows(24)[:1])
        t = expected.effects[0] / np.sqrt(expected.covariance[0, 0])
        assert t_of(result.contrasts[0], v) == pytest.approx(t, abs=T)


@pytest.mark.parametrize("n_scans", [60, 100, 300])
def test_voxel_is_tested_as_dense_matrices_test_it_at_its_parameter(n_scans: int) -> None:
    X, Y, result, _ = searched(n_scans)
    dense = DenseModel(X, np.arange(n_scans), "ar1")
    rows = two_rows(24)
    for v in range(N_VOXELS):
        for q, contrast in zip((1, 2), result.contrasts, strict=True):
            expected = dense.test(Y[:, v], theta_of(result, v), rows[:q])
            assert_test(contrast, v, expected, INTERPOLATED["ar1"])
        assert result.sigmasq[v] == pytest.approx(expected.sigmasq, rel=1e-6)


#: A likelihood this much lower than the highest: parameters are off by at most a fifteenth of
#: their standard errors. They themselves may be anywhere on a flat ridge: near white noise, and
#: near no noise beside the autoregression, the likelihood hardly depends on one of them.
LIKELIHOOD = 2e-3
#: (rho, white) of simulated noise: with ridges, interior, on every bound.
MIXED = ((0.5, 0.3), (0.8, 0.3), (0.9, 0.6), (0.3, 0.0), (0.95, 0.1), (0.0, 0.0))


@cache
def searched_mixed(n_scans: int) -> tuple[DenseModel, FloatArray, RunFit, FloatArray]:
    """Return a dense model, data, their fit, and parameters of a dense search (2, n_voxels)."""
    rng = np.random.default_rng(n_scans)
    scans = np.delete(np.arange(n_scans + 3), [4, 30, 31])
    X = null_design(rng, n_scans + 3, n_walks=6)[scans]
    Y = np.hstack([noise(rng, n_scans + 3, 4, *theta) for theta in MIXED])[scans]
    dense = DenseModel(X, scans, "arma11")
    rows = two_rows(12)
    return dense, Y, fit(Y, X, [rows[:1], rows], "arma11", scans=scans), dense_optimum(dense, Y)


def dense_optimum(dense: DenseModel, Y: FloatArray) -> FloatArray:
    """Return both parameters at the best of a grid, climbed by a quasi-Newton method."""
    (low, high), _ = BOUNDS["arma11"]
    z = np.linspace(np.arctanh(low), np.arctanh(high), 20)
    share = (1 - np.cos(np.linspace(0, np.pi, 20))) / 2
    grid = [(a, w) for a in z for w in share]
    heights = np.array([dense.log_likelihood(Y, (np.tanh(a), w)) for a, w in grid])
    best = []
    for y, place in zip(Y.T, heights.argmax(axis=0), strict=True):
        found = optimize.minimize(
            lambda x, y=y: -dense.log_likelihood(y, (np.tanh(x[0]), x[1])),
            grid[place],
            method="L-BFGS-B",
            bounds=[(z[0], z[-1]), (0, 1)],
            options={"ftol": 1e-13, "gtol": 1e-7},
        )
        best.append([np.clip(np.tanh(found.x[0]), low, high), found.x[1]])
    return np.array(best).T


@pytest.mark.parametrize("n_scans", [60, 120])
def test_likelihood_of_mixed_noise_is_that_of_a_dense_search(n_scans: int) -> None:
    dense, Y, result, best = searched_mixed(n_scans)
    for v in range(Y.shape[1]):
        highest = dense.log_likelihood(Y[:, v], tuple(best[:, v]))
        assert dense.log_likelihood(Y[:, v], theta_of(result, v)) >= highest - LIKELIHOOD


@pytest.mark.parametrize("n_scans", [60, 120])
def test_t_of_mixed_noise_is_that_of_a_dense_search(n_scans: int) -> None:
    dense, Y, result, best = searched_mixed(n_scans)
    inside = (best[0] > 0.12) & (best[0] < 0.97) & (best[1] > 0.02) & (best[1] < 0.98)
    assert inside.sum() >= 8
    off = []
    for v in np.flatnonzero(inside):
        expected = dense.test(Y[:, v], tuple(best[:, v]), two_rows(12)[:1])
        t = expected.effects[0] / np.sqrt(expected.covariance[0, 0])
        off.append(abs(t_of(result.contrasts[0], v) - t))
    # on a ridge t may change though the likelihood does not
    assert np.quantile(off, 0.8) < 1e-2
    assert max(off) < 3e-2


@pytest.mark.parametrize("n_scans", [60, 120])
def test_voxel_of_mixed_noise_is_tested_as_dense_matrices_test_it(n_scans: int) -> None:
    dense, Y, result, _ = searched_mixed(n_scans)
    rows = two_rows(12)
    # where all is white noise, rho is not defined and the information has no inverse
    for v in np.flatnonzero(result.noise["white"] < 0.999):
        for q, contrast in zip((1, 2), result.contrasts, strict=True):
            expected = dense.test(Y[:, v], theta_of(result, v), rows[:q])
            assert_test(contrast, v, expected, INTERPOLATED["arma11"])
        assert result.sigmasq[v] == pytest.approx(expected.sigmasq, rel=1e-3)


def test_mixed_noise_that_is_all_white_is_fitted_by_least_squares(
    rng: np.random.Generator,
) -> None:
    X = small_design(rng, WHOLE)
    Y = noise(rng, 60, 200, -0.4)  # nothing is as near to it as white noise
    mixed, plain = (fit(Y, X, [ROWS[:1]], family) for family in ("arma11", "ols"))
    white = mixed.noise["white"] == 1.0
    assert white.sum() > 150
    error = np.sqrt(plain.contrasts[0].covariance[0])
    off = (mixed.contrasts[0].effects[0] - plain.contrasts[0].effects[0]) / error
    np.testing.assert_allclose(off[white], 0.0, rtol=0, atol=1e-3)
    np.testing.assert_allclose(mixed.sigmasq[white], plain.sigmasq[white], rtol=1e-3)


def three_scans(k: float, step: int) -> tuple[RunFit, FloatArray, float]:
    """Fit a mean to three scans `step` apart; return fit, series, and rho to the step."""
    # Of (first - last) and (first - 2 second + last), which are independent, the variances are
    # sigma² (1 - r²) and sigma² (1 - r) (3 - r) / 3: both are met exactly where their ratio is k.
    r = 3 * (k - 1) / (k + 3)
    apart, bent = 2.0 * np.sqrt(k), 2.0
    y = 5 + apart / np.sqrt(2) * np.array([1, 0, -1]) + bent / np.sqrt(6) * np.array([1, -2, 1])
    ones = np.ones((3, 1))
    scans = step * np.arange(3)
    return fit(y[:, np.newaxis], ones, [np.ones((1, 1))], "ar1", scans=scans), y, r


@pytest.mark.parametrize(("k", "step"), [(1.0, 1), (0.4, 1), (2.5, 1), (2.0, 3), (0.8, 3)])
def test_mean_of_three_scans_has_a_closed_form(k: float, step: int) -> None:
    result, y, r = three_scans(k, step)
    rho = np.cbrt(r) if step == 3 else r
    assert result.noise["ar1"][0] == pytest.approx(rho, abs=1e-6)
    sigmasq = 4.0 * k / (1 - r**2)
    assert result.sigmasq[0] == pytest.approx(sigmasq, rel=1e-6)
    (contrast,) = result.contrasts
    mean = (y[0] + (1 - r) * y[1] + y[2]) / (3 - r)
    assert contrast.effects[0, 0] == pytest.approx(mean, rel=1e-6)
    # its variance, times 1 + 2 * half of what the uncertainty of rho adds
    variance = sigmasq * (1 + r) / (3 - r) * (1 + (1 - r**2))
    assert contrast.covariance[0, 0] == pytest.approx(variance, rel=1e-5)
    # delta method from the two variances, each estimated with one degree of freedom
    h = r * (3 - r) / (2 * (1 - r))
    assert contrast.dof[0] == pytest.approx(1 / ((2 + h) ** 2 + (1 + h) ** 2), rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_lost_scans_are_columns_of_their_own_in_a_dense_model(
    family: str, rng: np.random.Generator
) -> None:
    full = small_design(rng, WHOLE)
    X = np.hstack([full, np.eye(60)[:, LOST]])
    Y = noise(rng, 60, 2, 0.5) + 3.0 * full[:, :1]
    theta = (0.55, 0.2)[: len(BOUNDS[family])]
    rows = np.hstack([ROWS, np.zeros((3, len(LOST)))])
    whole, gaps = DenseModel(X, WHOLE, family), DenseModel(full[GAPS], GAPS, family)
    for y in Y.T:
        once, other = whole.test(y, theta, rows), gaps.test(y[GAPS], theta, ROWS)
        np.testing.assert_allclose(once.effects, other.effects, rtol=1e-8)
        np.testing.assert_allclose(once.covariance, other.covariance, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose([once.sigmasq, once.dof], [other.sigmasq, other.dof], rtol=1e-8)
    np.testing.assert_allclose(
        whole.log_likelihood(Y, theta), gaps.log_likelihood(Y[GAPS], theta), rtol=1e-8
    )


@pytest.mark.parametrize("noise_model", ["ols", *FAMILIES])
def test_lost_scans_are_columns_of_their_own(noise_model: str, rng: np.random.Generator) -> None:
    full = small_design(rng, WHOLE)
    X = np.hstack([np.eye(60)[:, LOST], full])
    Y = noise(rng, 60, 40, 0.5) + 3.0 * full[:, :1]
    rows = np.hstack([np.zeros((3, len(LOST))), ROWS])
    whole = fit(Y, X, [rows[:1], rows], noise_model)
    gaps = fit(Y[GAPS], full[GAPS], [ROWS[:1], ROWS], noise_model, scans=GAPS)
    tolerance = {"ols": 1e-10, "ar1": 1e-5, "arma11": 2e-2}[noise_model]
    for name in gaps.noise:
        off = np.abs(whole.noise[name] - gaps.noise[name])
        # an arma11 voxel may move along its ridge
        assert (off < 10 * tolerance).mean() > (0.9 if noise_model == "arma11" else 0.999)
    np.testing.assert_allclose(whole.sigmasq, gaps.sigmasq, rtol=tolerance)
    for once, other in zip(whole.contrasts, gaps.contrasts, strict=True):
        i = np.cumsum(np.r_[0, np.arange(len(other.effects), 1, -1)])
        sd = np.sqrt(other.covariance[i])
        np.testing.assert_allclose((once.effects - other.effects) / sd, 0, atol=tolerance)
        np.testing.assert_allclose(once.covariance[i], other.covariance[i], rtol=tolerance)
        np.testing.assert_allclose(once.dof, other.dof, rtol=tolerance)
        np.testing.assert_allclose(f_of(once), f_of(other), rtol=3 * tolerance, atol=tolerance)


@pytest.mark.parametrize("noise_model", ["ols", "ar1-yw", *FAMILIES])
def test_f_does_not_depend_on_how_its_rows_are_written(
    noise_model: str, rng: np.random.Generator
) -> None:
    X = small_design(rng, GAPS)
    Y = noise(rng, 60, 30, 0.4)[GAPS]
    mixed = rng.normal(size=(3, 3)) @ ROWS
    once, other = fit(Y, X, [ROWS, mixed], noise_model, scans=GAPS).contrasts
    # elements of the covariance are interpolated one by one
    tolerance = {"ols": 1e-9, "ar1-yw": 1e-6, "ar1": 1e-6, "arma11": 1e-2}[noise_model]
    np.testing.assert_allclose(f_of(once), f_of(other), rtol=tolerance)
    np.testing.assert_allclose(once.dof, other.dof, rtol=1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropping_a_row_leaves_the_others_effects(family: str, rng: np.random.Generator) -> None:
    X, Y = small_design(rng, WHOLE), noise(rng, 60, 30, 0.4)
    one, three = fit(Y, X, [ROWS[1:2], ROWS], family).contrasts
    np.testing.assert_allclose(one.effects[0], three.effects[1], rtol=1e-10)


@cache
def null_tests(family: str, rho: float, white: float) -> tuple[FloatArray, FloatArray]:
    """Return t and degrees of freedom of null data: 100 scans, 24 columns, 3 designs."""
    rng = np.random.default_rng(3)
    t, dofs = [], []
    for _ in range(3):
        X = null_design(rng, 100)
        Y = noise(rng, 100, 4000, rho, white)
        (contrast,) = fit(Y, X, [two_rows(24)[:1]], family).contrasts
        t.append(contrast.effects[0] / np.sqrt(contrast.covariance[0]))
        dofs.append(contrast.dof)
    return np.concatenate(t), np.concatenate(dofs)


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_false_positives_of_null_data_are_as_many_as_stated(rho: float) -> None:
    t, dof = null_tests("ar1", rho, 0.0)
    p = 2 * stats.t.sf(np.abs(t), dof)
    # with n - rank degrees of freedom: 0.060 and 0.0018 at rho = 0.5
    assert 0.045 <= (p < 0.05).mean() <= 0.055
    assert 0.0005 <= (p < 0.001).mean() <= 0.0015


def test_false_positives_of_mixed_null_data_are_not_more_than_stated() -> None:
    t, dof = null_tests("arma11", 0.8, 0.4)
    p = 2 * stats.t.sf(np.abs(t), dof)
    assert 0.03 <= (p < 0.05).mean() <= 0.055
    assert 0.0002 <= (p < 0.001).mean() <= 0.0012
