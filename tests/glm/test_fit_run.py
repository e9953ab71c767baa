"""The fit of a run: closed forms, invariants, and voxels that cannot be fitted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.noise import NOISE_MODELS, RHO_LIMIT, RunFit, fit_run

FloatArray = npt.NDArray[np.float64]

#: Both sides in float64, by different algebra.
ALGEBRA = 1e-9

N_SCANS, N_VOXELS = 120, 50
#: Rank 8: two conditions, three walks as confounds, two drifts and the constant, the last two
#: kinds of which are the baseline.
CONTRASTS = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0], [1, -1, 0, 0, 0, 0, 0, 0]])


@pytest.fixture
def design(rng: np.random.Generator) -> FloatArray:
    """Return a design of shape (120, 8) and full rank."""
    conditions = np.kron(rng.integers(0, 2, size=(N_SCANS // 4, 2)), np.ones((4, 1)))
    walks = rng.normal(size=(N_SCANS, 3)).cumsum(axis=0)
    phase = (np.arange(N_SCANS) + 0.5) * np.pi / N_SCANS
    return np.column_stack([conditions, walks, np.cos(phase), np.cos(2 * phase), np.ones(N_SCANS)])


@pytest.fixture
def data(rng: np.random.Generator, design: FloatArray) -> FloatArray:
    """Return autocorrelated data with effects, shape (120, 50)."""
    noise = rng.normal(size=(N_SCANS, N_VOXELS))
    for t in range(1, N_SCANS):
        noise[t] += np.linspace(-0.5, 0.8, N_VOXELS) * noise[t - 1]
    return 3.0 * noise + design @ rng.normal(size=(8, N_VOXELS))


def fit(Y: Any, X: FloatArray, contrasts: FloatArray = CONTRASTS, **options: Any) -> RunFit:
    """Fit with the last three columns as the baseline, by least squares unless said otherwise."""
    return fit_run(
        Y,
        design_space(X),
        contrasts,
        **{"baseline": design_space(X[:, -3:]), "noise_model": "ols", **options},
    )


def directly(y: FloatArray, X: FloatArray, c: FloatArray, rho: float) -> dict[str, float]:
    """Return effect, variance and innovation variance of one voxel with whitened series."""
    whiten = np.eye(len(y)) - rho * np.eye(len(y), k=-1)
    WX, Wy = whiten @ X, whiten @ y
    beta = np.linalg.pinv(WX) @ Wy
    dispersion = float(((Wy - WX @ beta) ** 2).sum()) / (len(y) - np.linalg.matrix_rank(X))
    variance = float(dispersion * c @ np.linalg.pinv(WX.T @ WX) @ c)
    return {"effect": float(c @ beta), "variance": variance, "dispersion": dispersion}


def rho_of(e: FloatArray) -> float:
    """Return the Yule-Walker coefficient of one series of residuals."""
    n = len(e)
    lagged = sum(e[t] * e[t - 1] for t in range(1, n)) / (n - 1)
    return float(lagged / (sum(e[t] ** 2 for t in range(n)) / n))


def arrays(result: RunFit) -> dict[str, FloatArray]:
    """Return the arrays of a fit by name."""
    named = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}


def test_mean_of_a_sample_has_its_textbook_variance(rng: np.random.Generator) -> None:
    Y = rng.normal(5.0, 2.0, size=(40, 3))
    ones = np.ones((40, 1))
    result = fit(Y, ones, np.array([[1.0]]), baseline=design_space(ones))
    np.testing.assert_allclose(result.effects[0], Y.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(result.variances[0], Y.var(axis=0, ddof=1) / 40, rtol=1e-12)
    np.testing.assert_allclose(result.sigmasq, Y.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(result.residual_sd, Y.std(axis=0, ddof=1), rtol=1e-12)
    assert result.dof == 39


def test_difference_of_two_groups_is_the_two_sample_t_test(rng: np.random.Generator) -> None:
    Y = rng.normal(size=(30, 4))
    X = np.column_stack([np.arange(30) < 12, np.arange(30) >= 12]).astype(float)
    result = fit(Y, X, np.array([[1.0, -1.0]]), baseline=design_space(X[:, :0]))
    expected = stats.ttest_ind(Y[:12], Y[12:])
    np.testing.assert_allclose(
        result.effects[0] / np.sqrt(result.variances[0]), expected.statistic, rtol=1e-11
    )
    assert result.dof == expected.df[0]


def test_least_squares_equals_the_direct_computation(data: FloatArray, design: FloatArray) -> None:
    result = fit(data, design)
    for v in (0, 17, 49):
        for i, c in enumerate(CONTRASTS):
            one = directly(data[:, v], design, c, 0.0)
            np.testing.assert_allclose(result.effects[i, v], one["effect"], rtol=ALGEBRA)
            np.testing.assert_allclose(result.variances[i, v], one["variance"], rtol=ALGEBRA)
            np.testing.assert_allclose(result.sigmasq[v], one["dispersion"], rtol=ALGEBRA)
    assert result.rho is None


def test_yule_walker_equals_whitening_each_series(data: FloatArray, design: FloatArray) -> None:
    result = fit(data, design, noise_model="ar1-yw")
    assert result.rho is not None
    for v in range(N_VOXELS):
        rho = rho_of(data[:, v] - design @ np.linalg.pinv(design) @ data[:, v])
        np.testing.assert_allclose(result.rho[v], rho, rtol=0, atol=ALGEBRA)
        for i, c in enumerate(CONTRASTS):
            one = directly(data[:, v], design, c, rho)
            np.testing.assert_allclose(result.effects[i, v], one["effect"], rtol=ALGEBRA)
            np.testing.assert_allclose(result.variances[i, v], one["variance"], rtol=ALGEBRA)
            marginal = one["dispersion"] / (1 - rho**2)
            np.testing.assert_allclose(result.sigmasq[v], marginal, rtol=ALGEBRA)


def test_residual_sd_is_that_of_least_squares_in_both_models(
    data: FloatArray, design: FloatArray
) -> None:
    residuals = data - design @ np.linalg.pinv(design) @ data
    expected = np.sqrt((residuals**2).sum(axis=0) / (N_SCANS - 8))
    for noise_model in NOISE_MODELS:
        result = fit(data, design, noise_model=noise_model)
        np.testing.assert_allclose(result.residual_sd, expected, rtol=ALGEBRA)


def test_autocorrelation_of_long_noise_is_found(rng: np.random.Generator) -> None:
    Y = rng.normal(size=(4000, 60))
    for t in range(1, 4000):
        Y[t] += 0.6 * Y[t - 1]
    ones = np.ones((4000, 1))
    result = fit(Y, ones, np.array([[1.0]]), baseline=design_space(ones), noise_model="ar1-yw")
    assert result.rho is not None
    # standard error of the mean over voxels: sqrt((1 - 0.36) / 4000 / 60) = 0.0016
    assert result.rho.mean() == pytest.approx(0.6, abs=0.007)
    assert result.sigmasq.mean() == pytest.approx(1 / (1 - 0.36), rel=0.03)


def test_white_noise_is_significant_as_often_as_stated(
    rng: np.random.Generator, design: FloatArray
) -> None:
    result = fit(rng.normal(size=(N_SCANS, 40_000)), design)
    p = stats.t.sf(result.effects[0] / np.sqrt(result.variances[0]), result.dof)
    # binomial standard errors 0.0011 and 0.0005
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.0045)
    assert (p < 0.01).mean() == pytest.approx(0.01, abs=0.002)


def test_autocorrelation_is_kept_below_one() -> None:
    slow = np.sin(np.pi * (np.arange(50) + 0.5) / 50)
    assert rho_of(slow) > 1  # the sums are divided by 49 and 50
    X = np.ones((50, 1))
    X[1::2] = -1.0
    result = fit(
        slow[:, np.newaxis],
        X,
        np.array([[1.0]]),
        baseline=design_space(X[:, :0]),
        noise_model="ar1-yw",
    )
    assert result.rho is not None
    assert result.rho[0] == RHO_LIMIT
    assert 0 < result.variances[0, 0] < np.inf
    assert 0 < result.sigmasq[0] < np.inf


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
@pytest.mark.parametrize("k", [-3.0, 1e-6, 1e6])
def test_scaling_the_data_scales_the_effects_and_leaves_t(
    noise_model: str, k: float, data: FloatArray, design: FloatArray
) -> None:
    once, scaled = (fit(Y, design, noise_model=noise_model) for Y in (data, k * data))
    np.testing.assert_allclose(scaled.effects, k * once.effects, rtol=ALGEBRA)
    np.testing.assert_allclose(scaled.variances, k**2 * once.variances, rtol=ALGEBRA)
    np.testing.assert_allclose(scaled.sigmasq, k**2 * once.sigmasq, rtol=ALGEBRA)
    np.testing.assert_allclose(scaled.rsquared, once.rsquared, rtol=ALGEBRA)
    if once.rho is not None:
        np.testing.assert_allclose(scaled.rho, once.rho, rtol=0, atol=ALGEBRA)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_what_is_in_the_span_of_the_nuisance_changes_nothing(
    noise_model: str, data: FloatArray, design: FloatArray, rng: np.random.Generator
) -> None:
    more = data + design[:, 2:] @ rng.normal(scale=100, size=(6, N_VOXELS))
    once, other = (fit(Y, design, noise_model=noise_model) for Y in (data, more))
    np.testing.assert_allclose(other.effects, once.effects, rtol=0, atol=1e-9)
    np.testing.assert_allclose(other.variances, once.variances, rtol=ALGEBRA)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_redundant_columns_change_nothing(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    once = fit(data, design, noise_model=noise_model)
    more = np.column_stack([design[:, :4], np.zeros(N_SCANS), design[:, 3] * 1e6, design[:, 4:]])
    wider = np.insert(CONTRASTS, [4, 4], 0.0, axis=1)
    redundant = fit(data, more, wider, noise_model=noise_model)
    assert redundant.dof == once.dof == N_SCANS - 8
    for name, values in arrays(once).items():
        np.testing.assert_allclose(arrays(redundant)[name], values, rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_censoring_a_scan_by_a_column_makes_its_value_irrelevant(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    spike = np.zeros((N_SCANS, 1))
    spike[30] = 1.0
    X = np.hstack([spike, design])
    contrasts = np.insert(CONTRASTS, 0, 0.0, axis=1)
    changed = data.copy()
    changed[30] += 1000.0
    once, other = (fit(Y, X, contrasts, noise_model=noise_model) for Y in (data, changed))
    np.testing.assert_allclose(other.effects, once.effects, rtol=0, atol=1e-9)
    np.testing.assert_allclose(other.variances, once.variances, rtol=1e-8)


def test_rsquared_is_the_share_beyond_the_baseline(data: FloatArray, design: FloatArray) -> None:
    def rss(X: FloatArray) -> FloatArray:
        residuals: FloatArray = data - X @ np.linalg.pinv(X) @ data
        return (residuals**2).sum(axis=0)

    expected = 1 - rss(design) / rss(design[:, -3:])
    for noise_model in NOISE_MODELS:
        result = fit(data, design, noise_model=noise_model)
        np.testing.assert_allclose(result.rsquared, expected, rtol=ALGEBRA)


def test_rsquared_without_a_baseline_is_about_zero(data: FloatArray, design: FloatArray) -> None:
    fitted = design @ np.linalg.pinv(design) @ data
    result = fit(data, design, baseline=design_space(design[:, :0]))
    np.testing.assert_allclose(
        result.rsquared, (fitted**2).sum(axis=0) / (data**2).sum(axis=0), rtol=ALGEBRA
    )


def test_rsquared_of_the_baseline_alone_is_zero(data: FloatArray, design: FloatArray) -> None:
    X = design[:, -3:]
    result = fit(data, X, np.array([[0.0, 0.0, 1.0]]))
    assert not result.rsquared.any()


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_offset_stands_for_the_mean_that_was_taken_out(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    X = design[:, :5]  # without the constant, where the mean matters
    contrasts = CONTRASTS[:, :5]
    none = design_space(X[:, :0])
    mean = np.linspace(0, 900, N_VOXELS)
    whole = fit(data + mean, X, contrasts, noise_model=noise_model, baseline=none)
    apart = fit(data, X, contrasts, noise_model=noise_model, baseline=none, offset=mean)
    for name, values in arrays(whole).items():
        np.testing.assert_array_equal(arrays(apart)[name], values, err_msg=name)
    without = fit(data, X, contrasts, noise_model=noise_model, baseline=none)
    assert not np.allclose(without.variances[:, 1:], whole.variances[:, 1:], rtol=0.1)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_number_of_threads_changes_no_bit(
    noise_model: str, rng: np.random.Generator, design: FloatArray
) -> None:
    Y = rng.normal(size=(N_SCANS, 3001)).astype(np.float32)
    results = [
        arrays(fit(Y, design, noise_model=noise_model, block_size=128, n_threads=n))
        for n in (1, 2, 5)
    ]
    for name, values in results[0].items():
        for other in results[1:]:
            np.testing.assert_array_equal(other[name], values, err_msg=name)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
@pytest.mark.parametrize("block_size", [1, 7, 64, 10_000])
def test_block_size_changes_at_most_a_float32_ulp(
    noise_model: str, block_size: int, data: FloatArray, design: FloatArray
) -> None:
    Y = data.astype(np.float32)
    once = arrays(fit(Y, design, noise_model=noise_model))
    other = arrays(fit(Y, design, noise_model=noise_model, block_size=block_size))
    for name, values in once.items():
        np.testing.assert_array_max_ulp(
            other[name].astype(np.float32), values.astype(np.float32), maxulp=1
        )


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_memory_layout_of_the_data_changes_no_bit(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    once = arrays(fit(data, design, noise_model=noise_model))
    other = arrays(fit(np.asfortranarray(data), design, noise_model=noise_model))
    for name, values in once.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxel_that_is_not_finite_in_one_scan_is_lost_alone(
    noise_model: str, value: float, data: FloatArray, design: FloatArray
) -> None:
    once = arrays(fit(data, design, noise_model=noise_model))
    data[60, 7] = value
    other = arrays(fit(data, design, noise_model=noise_model))
    rest = np.arange(N_VOXELS) != 7
    for name, values in once.items():
        assert np.isnan(other[name][..., 7]).all(), name
        np.testing.assert_array_equal(other[name][..., rest], values[..., rest], err_msg=name)


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
@pytest.mark.parametrize("value", [0.0, 812.7, -1e-30])
def test_voxel_that_does_not_vary_is_lost_alone(
    noise_model: str, value: float, data: FloatArray, design: FloatArray
) -> None:
    X = design[:, :5]  # without a constant that would fit it
    contrasts = CONTRASTS[:, :5]
    data[:, 7] = value
    result = fit(data, X, contrasts, noise_model=noise_model, baseline=design_space(X[:, :0]))
    for name, values in arrays(result).items():
        lost = np.isnan(values).any(axis=0) if values.ndim == 2 else np.isnan(values)
        assert np.flatnonzero(lost).tolist() == [7], name


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_voxel_without_noise_is_lost(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    data[:, 7] = design @ np.arange(1.0, 9.0)
    result = fit(data, design, noise_model=noise_model)
    for name, values in arrays(result).items():
        assert np.isnan(values[..., 7]).all(), name
        assert np.isfinite(values[..., :7]).all(), name


def test_fit_without_contrasts_or_voxels_is_empty(data: FloatArray, design: FloatArray) -> None:
    assert fit(data, design, np.zeros((0, 8))).effects.shape == (0, N_VOXELS)
    assert fit(data[:, :0], design).variances.shape == (2, 0)


def test_data_are_not_changed(data: FloatArray, design: FloatArray) -> None:
    data[3, 3] = np.nan
    before = data.copy()
    fit(data, design, noise_model="ar1-yw", offset=np.ones(N_VOXELS))
    np.testing.assert_array_equal(data, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_model": "arma11"}, "unknown noise model 'arma11'"),
        ({"n_threads": 0}, "expected 1 or more threads"),
        ({"block_size": 0}, "expected 1 or more threads"),
        ({"offset": np.zeros(3)}, r"one offset per voxel \(50,\), found \(3,\)"),
        ({"contrasts": np.ones((1, 7))}, r"contrasts of 8 weights, found shape \(1, 7\)"),
        ({"baseline": design_space(np.eye(N_SCANS)[:, :1])}, "not all in the design"),
    ],
)
def test_impossible_fit_is_refused(
    options: dict[str, Any], message: str, data: FloatArray, design: FloatArray
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(data, design, **options)


def test_data_of_another_length_are_refused(data: FloatArray, design: FloatArray) -> None:
    with pytest.raises(ValueError, match=r"expected data of 120 scans, found shape \(119, 50\)"):
        fit(data[1:], design)


def test_contrast_that_cannot_be_estimated_is_refused(
    data: FloatArray, design: FloatArray
) -> None:
    design[:, 1] = 0.0
    with pytest.raises(ValueError, match=r"cannot estimate: \[1\]"):
        fit(data, design)


def test_design_that_leaves_no_degree_of_freedom_is_refused(rng: np.random.Generator) -> None:
    X = rng.normal(size=(8, 8))
    with pytest.raises(ValueError, match="8 scans leave no degree of freedom: rank 8"):
        fit(rng.normal(size=(8, 5)), X)
