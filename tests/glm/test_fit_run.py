"""The fit of a run: closed forms, invariants, and voxels that cannot be fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.correlation import YULE_WALKER_LIMIT
from bids_fx.glm.noise import NOISE_MODELS, RunFit, fit_run
from tests.dense_reml import noise

FloatArray = npt.NDArray[np.float64]

#: Both sides in float64, by different algebra.
ALGEBRA = 1e-9
#: The same, where the noise's parameters are searched: the search stops within 1e-7 of a maximum,
#: and on the ridges of two parameters rounding decides where.
SEARCHED = {"ols": ALGEBRA, "ar1-yw": ALGEBRA, "ar1": 1e-6, "arma11": 1e-4}
#: Everything is a polynomial between nodes, which with one parameter leaves this,
#: in standard errors.
INTERPOLATED = 5e-6

N_SCANS, N_VOXELS = 80, 50
#: Rank 8: two conditions, three walks as confounds, two drifts and the constant, the last two
#: kinds of which are the baseline.
ROWS = np.array([[1.0, 0, 0, 0, 0, 0, 0, 0], [1, -1, 0, 0, 0, 0, 0, 0]])
#: Each row alone, and both in one F contrast.
CONTRASTS = (ROWS[:1], ROWS[1:], ROWS)
#: Scans that are there when some are lost: first and last, one alone, two and six in a row.
KEPT = np.delete(np.arange(N_SCANS), [0, 7, 20, 21, *range(40, 46), 79])
IN_EVERY_MODEL = pytest.mark.parametrize("noise_model", NOISE_MODELS)
WITH_AND_WITHOUT_GAPS = pytest.mark.parametrize(
    "scans", [np.arange(N_SCANS), KEPT], ids=["whole", "gaps"]
)


@pytest.fixture
def design(rng: np.random.Generator) -> FloatArray:
    """Return a design of shape (80, 8) and full rank."""
    conditions = np.kron(rng.integers(0, 2, size=(N_SCANS // 4, 2)), np.ones((4, 1)))
    walks = rng.normal(size=(N_SCANS, 3)).cumsum(axis=0)
    phase = (np.arange(N_SCANS) + 0.5) * np.pi / N_SCANS
    return np.column_stack([conditions, walks, np.cos(phase), np.cos(2 * phase), np.ones(N_SCANS)])


@pytest.fixture
def data(rng: np.random.Generator, design: FloatArray) -> FloatArray:
    """Return autocorrelated data with effects, shape (80, 50)."""
    series = rng.normal(size=(N_SCANS, N_VOXELS))
    for t in range(1, N_SCANS):
        series[t] += np.linspace(-0.5, 0.8, N_VOXELS) * series[t - 1]
    return 3.0 * series + design @ rng.normal(size=(8, N_VOXELS))


def fit(Y: Any, X: FloatArray, contrasts: Any = CONTRASTS, **options: Any) -> RunFit:
    """Fit with the last three columns as the baseline, by least squares unless said otherwise."""
    return fit_run(
        Y,
        design_space(X),
        contrasts,
        **{"baseline": design_space(X[:, -3:]), "noise_model": "ols", **options},
    )


def whitening(scans: npt.NDArray[np.int64], rho: float) -> FloatArray:
    """Return what takes each scan's share of the one before it away, where that is there."""
    follows = (np.diff(scans) == 1).astype(float)
    return np.eye(len(scans)) - rho * np.diag(follows, -1)


def directly(y: FloatArray, X: FloatArray, rows: FloatArray, whiten: FloatArray) -> dict[str, Any]:
    """Return effects, their covariance, and dispersion of one voxel with whitened series."""
    WX, Wy = whiten @ X, whiten @ y
    beta = np.linalg.pinv(WX) @ Wy
    dispersion = float(((Wy - WX @ beta) ** 2).sum()) / (len(y) - np.linalg.matrix_rank(X))
    covariance = dispersion * rows @ np.linalg.pinv(WX.T @ WX) @ rows.T
    f = (rows @ beta) @ np.linalg.solve(covariance, rows @ beta) / len(rows)
    return {
        "effects": rows @ beta,
        "covariance": covariance[np.triu_indices(len(rows))],
        "dispersion": dispersion,
        "f": f,
    }


def rho_of(e: FloatArray, scans: npt.NDArray[np.int64]) -> float:
    """Return the Yule-Walker coefficient of one series of residuals."""
    n = len(e)
    pairs = [t for t in range(1, n) if scans[t] - scans[t - 1] == 1]
    lagged = sum(e[t] * e[t - 1] for t in pairs) / len(pairs)
    return float(lagged / (sum(e[t] ** 2 for t in range(n)) / n))


def arrays(result: RunFit) -> dict[str, FloatArray]:
    """Return the arrays of a fit by name, the voxels last in each."""
    named = {name: getattr(result, name) for name in ("sigmasq", "rsquared", "residual_sd")}
    for i, contrast in enumerate(result.contrasts):
        for name in ("effects", "covariance", "dof"):
            named[f"{name} {i}"] = getattr(contrast, name)
    return named | result.noise


def f_of(result: RunFit) -> FloatArray:
    """Return F of the two rows, from effects and the covariance's triangle."""
    (a, b), (aa, ab, bb) = result.contrasts[2].effects, result.contrasts[2].covariance
    return (a * a * bb - 2 * a * b * ab + b * b * aa) / (aa * bb - ab * ab) / 2


def assert_lost_alone(found: RunFit, expected: RunFit, lost: list[int]) -> None:
    """Expect NaN in some voxels and not one bit changed in the others."""
    rest = np.delete(np.arange(N_VOXELS), lost)
    for name, values in arrays(expected).items():
        assert np.isfinite(values).all(), name
        assert np.isnan(arrays(found)[name][..., lost]).all(), name
        np.testing.assert_array_equal(arrays(found)[name][..., rest], values[..., rest], name)


def assert_same_tests(found: RunFit, expected: RunFit, tolerance: float, k: float = 1.0) -> None:
    """Compare fits of which one's data are k times the other's."""
    for one, other in zip(found.contrasts, expected.contrasts, strict=True):
        size = np.sqrt(other.covariance[[0, -1][: len(other.effects)]])
        off = (one.effects / k - other.effects) / size
        np.testing.assert_allclose(off, 0.0, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(one.covariance[0] / k**2, other.covariance[0], rtol=tolerance)
        np.testing.assert_allclose(one.covariance[-1] / k**2, other.covariance[-1], rtol=tolerance)
        np.testing.assert_allclose(one.dof, other.dof, rtol=tolerance)
    np.testing.assert_allclose(f_of(found), f_of(expected), rtol=10 * tolerance)
    np.testing.assert_allclose(found.sigmasq / k**2, expected.sigmasq, rtol=tolerance)
    np.testing.assert_allclose(found.rsquared, expected.rsquared, rtol=1e-8)
    np.testing.assert_allclose(found.residual_sd / abs(k), expected.residual_sd, rtol=1e-8)


def test_mean_of_a_sample_has_its_textbook_variance(rng: np.random.Generator) -> None:
    Y = rng.normal(5.0, 2.0, size=(40, 3))
    ones = np.ones((40, 1))
    result = fit(Y, ones, [np.ones((1, 1))], baseline=design_space(ones))
    (mean,) = result.contrasts
    np.testing.assert_allclose(mean.effects[0], Y.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mean.covariance[0], Y.var(axis=0, ddof=1) / 40, rtol=1e-12)
    np.testing.assert_allclose(result.sigmasq, Y.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(result.residual_sd, Y.std(axis=0, ddof=1), rtol=1e-12)
    assert result.dof == 39
    assert mean.dof.tolist() == [39.0] * 3


def test_difference_of_two_groups_is_the_two_sample_t_test(rng: np.random.Generator) -> None:
    Y = rng.normal(size=(30, 4))
    X = np.column_stack([np.arange(30) < 12, np.arange(30) >= 12]).astype(float)
    result = fit(Y, X, [np.array([[1.0, -1.0]])], baseline=design_space(X[:, :0]))
    expected = stats.ttest_ind(Y[:12], Y[12:])
    (contrast,) = result.contrasts
    t = contrast.effects[0] / np.sqrt(contrast.covariance[0])
    np.testing.assert_allclose(t, expected.statistic, rtol=1e-11)
    assert result.dof == expected.df[0]


def test_differences_of_three_groups_are_the_analysis_of_variance(
    rng: np.random.Generator,
) -> None:
    Y = rng.normal(size=(30, 4))
    X = np.kron(np.eye(3), np.ones((10, 1)))
    rows = np.array([[1.0, -1, 0], [0, 1, -1]])
    result = fit(Y, X, [rows[:1], rows[1:], rows], baseline=design_space(X[:, :0]))
    np.testing.assert_allclose(
        f_of(result), stats.f_oneway(Y[:10], Y[10:20], Y[20:]).statistic, rtol=1e-11
    )


@WITH_AND_WITHOUT_GAPS
def test_least_squares_equals_the_direct_computation(
    scans: npt.NDArray[np.int64], data: FloatArray, design: FloatArray
) -> None:
    Y, X = data[scans], design[scans]
    result = fit(Y, X, scans=scans)
    for v in (0, 17, 49):
        for rows, contrast in zip(CONTRASTS, result.contrasts, strict=True):
            one = directly(Y[:, v], X, rows, np.eye(len(scans)))
            np.testing.assert_allclose(contrast.effects[:, v], one["effects"], rtol=ALGEBRA)
            np.testing.assert_allclose(contrast.covariance[:, v], one["covariance"], rtol=ALGEBRA)
            assert contrast.dof[v] == len(scans) - 8
        assert f_of(result)[v] == pytest.approx(one["f"], rel=ALGEBRA)
        assert result.sigmasq[v] == pytest.approx(one["dispersion"], rel=ALGEBRA)
    assert result.noise == {}


@WITH_AND_WITHOUT_GAPS
def test_yule_walker_equals_whitening_each_series(
    scans: npt.NDArray[np.int64], data: FloatArray, design: FloatArray
) -> None:
    Y, X = data[scans], design[scans]
    result = fit(Y, X, noise_model="ar1-yw", scans=scans)
    assert set(result.noise) == {"ar1"}
    for v in range(N_VOXELS):
        rho = rho_of(Y[:, v] - X @ np.linalg.pinv(X) @ Y[:, v], scans)
        np.testing.assert_allclose(result.noise["ar1"][v], rho, rtol=0, atol=ALGEBRA)
        for rows, contrast in zip(CONTRASTS, result.contrasts, strict=True):
            one = directly(Y[:, v], X, rows, whitening(scans, rho))
            errors = np.sqrt(one["covariance"][[0, -1][: len(rows)]])
            off = (contrast.effects[:, v] - one["effects"]) / errors
            np.testing.assert_allclose(off, 0.0, rtol=0, atol=INTERPOLATED)
            np.testing.assert_allclose(
                contrast.covariance[:, v], one["covariance"], rtol=INTERPOLATED
            )
            assert contrast.dof[v] == len(scans) - 8
        assert f_of(result)[v] == pytest.approx(one["f"], rel=10 * INTERPOLATED)
        marginal = one["dispersion"] / (1 - rho**2)
        assert result.sigmasq[v] == pytest.approx(marginal, rel=INTERPOLATED)


@IN_EVERY_MODEL
def test_residual_sd_is_that_of_least_squares(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    residuals = data - design @ np.linalg.pinv(design) @ data
    expected = np.sqrt((residuals**2).sum(axis=0) / (N_SCANS - 8))
    result = fit(data, design, noise_model=noise_model)
    np.testing.assert_allclose(result.residual_sd, expected, rtol=ALGEBRA)


@pytest.mark.parametrize("noise_model", ["ar1-yw", "ar1"])
def test_autocorrelation_of_long_noise_is_found(
    noise_model: str, rng: np.random.Generator
) -> None:
    Y, ones = 2.0 * noise(rng, 1000, 240, 0.6), np.ones((1000, 1))
    result = fit(Y, ones, [ones[:1]], baseline=design_space(ones), noise_model=noise_model)
    # standard error of the mean over voxels: sqrt((1 - 0.36) / 1000 / 240) = 0.0016
    assert result.noise["ar1"].mean() == pytest.approx(0.6, abs=0.007)
    assert result.sigmasq.mean() == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("kept", [1.0, 0.6])
def test_noise_of_two_parts_is_taken_apart(kept: float, rng: np.random.Generator) -> None:
    Y = noise(rng, 300, 400, 0.8, white=0.4)
    scans = np.flatnonzero(rng.random(300) < kept)
    ones = np.ones((scans.size, 1))
    options = {"noise_model": "arma11", "scans": scans, "baseline": design_space(ones)}
    result = fit(Y[scans], ones, [ones[:1]], **options)
    # a voxel's estimates have standard errors of about 0.07 and 0.1
    assert np.median(result.noise["ar1"]) == pytest.approx(0.8, abs=0.02)
    assert np.median(result.noise["white"]) == pytest.approx(0.4, abs=0.03)
    assert result.sigmasq.mean() == pytest.approx(1.0, rel=0.05)


def test_white_noise_is_significant_as_often_as_stated(
    rng: np.random.Generator, design: FloatArray
) -> None:
    result = fit(rng.normal(size=(N_SCANS, 40_000)), design)
    contrast = result.contrasts[0]
    p = stats.t.sf(contrast.effects[0] / np.sqrt(contrast.covariance[0]), contrast.dof)
    # binomial standard errors 0.0011 and 0.0005
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.0045)
    assert (p < 0.01).mean() == pytest.approx(0.01, abs=0.002)
    p = stats.f.sf(f_of(result), 2, result.dof)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.0045)
    assert (p < 0.01).mean() == pytest.approx(0.01, abs=0.002)


@pytest.mark.parametrize("family", ["ols", "ar1", "arma11"])
def test_f_of_null_data_is_significant_as_often_as_stated(
    family: str, rng: np.random.Generator, design: FloatArray
) -> None:
    rho = 0.0 if family == "ols" else 0.6
    result = fit(noise(rng, N_SCANS, 4000, rho), design, noise_model=family)
    p = stats.f.sf(f_of(result), 2, result.contrasts[2].dof)
    # binomial standard errors 0.0034 and 0.0016
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.01)
    assert (p < 0.01).mean() == pytest.approx(0.01, abs=0.005)


@IN_EVERY_MODEL
def test_one_row_as_an_f_contrast_is_t_squared(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    result = fit(data, design, noise_model=noise_model)
    for i, row in enumerate(ROWS):
        contrast = result.contrasts[i]
        t = contrast.effects[0] / np.sqrt(contrast.covariance[0])
        p = 2 * stats.t.sf(np.abs(t), contrast.dof)
        np.testing.assert_allclose(p, stats.f.sf(t**2, 1, contrast.dof), rtol=1e-8)
        # the row within the F contrast has the same estimate, whatever stands beside it
        np.testing.assert_allclose(
            result.contrasts[2].effects[i], contrast.effects[0], rtol=0, atol=1e-12
        )
        assert row.any()


def test_autocorrelation_is_kept_below_one() -> None:
    slow = np.sin(np.pi * (np.arange(50) + 0.5) / 50)
    assert rho_of(slow, np.arange(50)) > 1  # the sums are divided by 49 and 50
    X = np.ones((50, 1))
    X[1::2] = -1.0
    options = {"baseline": design_space(X[:, :0]), "noise_model": "ar1-yw"}
    result = fit(slow[:, np.newaxis], X, [np.ones((1, 1))], **options)
    assert result.noise["ar1"][0] == pytest.approx(YULE_WALKER_LIMIT, rel=1e-12)
    assert 0 < result.contrasts[0].covariance[0, 0] < np.inf
    assert 0 < result.sigmasq[0] < np.inf


@IN_EVERY_MODEL
@pytest.mark.parametrize("k", [-3.0, 1e-6, 1e6])
def test_scaling_the_data_scales_the_effects_and_leaves_the_tests(
    noise_model: str, k: float, data: FloatArray, design: FloatArray
) -> None:
    once, scaled = (fit(Y, design, noise_model=noise_model) for Y in (data, k * data))
    assert_same_tests(scaled, once, SEARCHED[noise_model], k)
    for name, values in once.noise.items():
        off = np.abs(scaled.noise[name] - values)
        assert np.quantile(off, 0.9) < 10 * SEARCHED[noise_model]


@IN_EVERY_MODEL
def test_what_is_in_the_span_of_the_nuisance_changes_nothing(
    noise_model: str, data: FloatArray, design: FloatArray, rng: np.random.Generator
) -> None:
    more = data + design[:, 2:] @ rng.normal(scale=100, size=(6, N_VOXELS))
    once, other = (fit(Y, design, noise_model=noise_model) for Y in (data, more))
    tolerance = SEARCHED[noise_model]
    for one, changed in zip(once.contrasts, other.contrasts, strict=True):
        np.testing.assert_allclose(changed.effects, one.effects, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(changed.covariance, one.covariance, rtol=tolerance)
        np.testing.assert_allclose(changed.dof, one.dof, rtol=tolerance)


@IN_EVERY_MODEL
def test_effect_that_is_added_is_found_whole(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    once, other = (
        fit(Y, design, noise_model=noise_model)
        for Y in (data, data + 7.0 * design[:, :1] - 2.0 * design[:, 1:2])
    )
    added = other.contrasts[2].effects - once.contrasts[2].effects
    np.testing.assert_allclose(added, [[7.0] * N_VOXELS, [9.0] * N_VOXELS], rtol=1e-4)


@IN_EVERY_MODEL
def test_redundant_columns_change_nothing(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    once = fit(data, design, noise_model=noise_model)
    more = np.column_stack([design[:, :4], np.zeros(N_SCANS), design[:, 3] * 1e6, design[:, 4:]])
    wider = [np.insert(rows, [4, 4], 0.0, axis=1) for rows in CONTRASTS]
    redundant = fit(data, more, wider, noise_model=noise_model)
    assert redundant.dof == once.dof == N_SCANS - 8
    assert_same_tests(redundant, once, max(SEARCHED[noise_model], 1e-8))


@IN_EVERY_MODEL
def test_censoring_a_scan_by_a_column_makes_its_value_irrelevant(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    spike = np.zeros((N_SCANS, 1))
    spike[30] = 1.0
    X = np.hstack([spike, design])
    contrasts = [np.insert(rows, 0, 0.0, axis=1) for rows in CONTRASTS]
    changed = data.copy()
    changed[30] += 1000.0
    once, other = (fit(Y, X, contrasts, noise_model=noise_model) for Y in (data, changed))
    tolerance = max(SEARCHED[noise_model], 1e-8)
    for one, same in zip(once.contrasts, other.contrasts, strict=True):
        np.testing.assert_allclose(same.effects, one.effects, rtol=0, atol=10 * tolerance)
        np.testing.assert_allclose(same.covariance, one.covariance, rtol=tolerance)


@IN_EVERY_MODEL
def test_rsquared_is_the_share_beyond_the_baseline(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    def rss(X: FloatArray) -> FloatArray:
        residuals: FloatArray = data - X @ np.linalg.pinv(X) @ data
        return (residuals**2).sum(axis=0)

    expected = 1 - rss(design) / rss(design[:, -3:])
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
    result = fit(data, X, [np.array([[0.0, 0.0, 1.0]])])
    assert not result.rsquared.any()


@IN_EVERY_MODEL
def test_offset_stands_for_the_mean_that_was_taken_out(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    X = design[:, :5]  # without the constant, where the mean matters
    contrasts = [rows[:, :5] for rows in CONTRASTS]
    none = design_space(X[:, :0])
    mean = np.linspace(0, 900, N_VOXELS)
    whole = fit(data + mean, X, contrasts, noise_model=noise_model, baseline=none)
    apart = fit(data, X, contrasts, noise_model=noise_model, baseline=none, offset=mean)
    for name, values in arrays(whole).items():
        np.testing.assert_array_equal(arrays(apart)[name], values, err_msg=name)
    without = fit(data, X, contrasts, noise_model=noise_model, baseline=none)
    found, expected = (result.contrasts[0].covariance[0, 1:] for result in (without, whole))
    assert not np.allclose(found, expected, rtol=0.1)


@IN_EVERY_MODEL
def test_number_of_threads_changes_no_bit(
    noise_model: str, rng: np.random.Generator, design: FloatArray
) -> None:
    Y = rng.normal(size=(N_SCANS, 301)).astype(np.float32)
    results = [
        fit(Y, design, noise_model=noise_model, block_size=64, n_threads=n) for n in (1, 2, 5)
    ]
    for name, values in arrays(results[0]).items():
        for other in results[1:]:
            np.testing.assert_array_equal(arrays(other)[name], values, err_msg=name)
    assert results[0].whiteness == results[1].whiteness == results[2].whiteness


@IN_EVERY_MODEL
@pytest.mark.parametrize("block_size", [1, 13, 10_000])
def test_block_size_changes_at_most_the_rounding(
    noise_model: str, block_size: int, data: FloatArray, design: FloatArray
) -> None:
    Y = data[:, ::3].astype(np.float32)
    once = fit(Y, design, noise_model=noise_model)
    other = fit(Y, design, noise_model=noise_model, block_size=block_size)
    assert_same_tests(other, once, SEARCHED[noise_model])
    if noise_model in {"ols", "ar1-yw"}:
        for name, values in arrays(once).items():
            found = arrays(other)[name].astype(np.float32)
            np.testing.assert_array_max_ulp(found, values.astype(np.float32), maxulp=1)


@IN_EVERY_MODEL
def test_memory_layout_of_the_data_changes_no_bit(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    once = arrays(fit(data, design, noise_model=noise_model))
    other = arrays(fit(np.asfortranarray(data), design, noise_model=noise_model))
    for name, values in once.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


@IN_EVERY_MODEL
@WITH_AND_WITHOUT_GAPS
def test_voxels_that_are_not_finite_in_one_scan_are_lost_alone(
    noise_model: str, scans: npt.NDArray[np.int64], data: FloatArray, design: FloatArray
) -> None:
    Y, X = data[scans], design[scans]
    once = fit(Y, X, noise_model=noise_model, scans=scans)
    Y[0, 7], Y[60, 11], Y[-1, 12] = np.nan, np.inf, -np.inf
    assert_lost_alone(fit(Y, X, noise_model=noise_model, scans=scans), once, [7, 11, 12])


@IN_EVERY_MODEL
@WITH_AND_WITHOUT_GAPS
def test_voxels_that_do_not_vary_are_lost_alone(
    noise_model: str, scans: npt.NDArray[np.int64], data: FloatArray, design: FloatArray
) -> None:
    Y, X = data[scans], design[scans][:, :5]  # without a constant that would fit it
    contrasts = [rows[:, :5] for rows in CONTRASTS]
    options = {"noise_model": noise_model, "scans": scans, "baseline": design_space(X[:, :0])}
    once = fit(Y, X, contrasts, **options)
    Y[:, 7], Y[:, 11], Y[:, 12] = 0.0, 812.7, -1e-30
    assert_lost_alone(fit(Y, X, contrasts, **options), once, [7, 11, 12])


@IN_EVERY_MODEL
@WITH_AND_WITHOUT_GAPS
def test_voxel_without_noise_is_lost_alone(
    noise_model: str, scans: npt.NDArray[np.int64], data: FloatArray, design: FloatArray
) -> None:
    Y, X = data[scans], design[scans]
    once = fit(Y, X, noise_model=noise_model, scans=scans)
    Y[:, 7] = X @ np.arange(1.0, 9.0)
    assert_lost_alone(fit(Y, X, noise_model=noise_model, scans=scans), once, [7])


@IN_EVERY_MODEL
def test_run_of_lost_voxels_alone_is_all_nan(noise_model: str, design: FloatArray) -> None:
    result = fit(np.full((N_SCANS, 3), np.nan), design, noise_model=noise_model)
    for name, values in arrays(result).items():
        assert np.isnan(values).all(), name
    assert result.whiteness == {}


def test_noise_far_below_the_signal_is_noise(design: FloatArray, rng: np.random.Generator) -> None:
    # a billionth of the signal is more than float64's rounding
    Y = design @ np.full((8, 5), 1e3) + 1e-6 * rng.normal(size=(N_SCANS, 5))
    result = fit(Y, design)
    np.testing.assert_allclose(result.residual_sd, 1e-6, rtol=0.3)


@IN_EVERY_MODEL
def test_fit_without_contrasts_or_voxels_is_empty(
    noise_model: str, data: FloatArray, design: FloatArray
) -> None:
    result = fit(data, design, [], noise_model=noise_model)
    assert result.contrasts == ()
    assert np.isfinite(result.sigmasq).all()
    none = fit(data[:, :0], design, noise_model=noise_model)
    assert [c.covariance.shape for c in none.contrasts] == [(1, 0), (1, 0), (3, 0)]


@IN_EVERY_MODEL
def test_data_are_not_changed(noise_model: str, data: FloatArray, design: FloatArray) -> None:
    data[3, 3] = np.nan
    before = data.copy()
    fit(data, design, noise_model=noise_model, offset=np.ones(N_VOXELS))
    np.testing.assert_array_equal(data, before)


def test_scans_that_are_not_named_are_all_there(data: FloatArray, design: FloatArray) -> None:
    once = arrays(fit(data, design, noise_model="ar1"))
    other = arrays(fit(data, design, noise_model="ar1", scans=np.arange(N_SCANS)))
    # and only their distances matter
    late = arrays(fit(data, design, noise_model="ar1", scans=np.arange(N_SCANS) + 40))
    for name, values in once.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)
        np.testing.assert_array_equal(late[name], values, err_msg=name)


@pytest.mark.parametrize(("noise_model", "apart"), [("ar1-yw", 2), ("ar1", 20_000)])
def test_scans_that_tell_nothing_of_each_other_are_fitted_as_white_noise(
    noise_model: str, apart: int, data: FloatArray, design: FloatArray
) -> None:
    Y, X = data[:20], design[:20]
    scans = apart * np.arange(20)
    found, plain = (fit(Y, X, noise_model=name, scans=scans) for name in (noise_model, "ols"))
    for one, other in zip(found.contrasts, plain.contrasts, strict=True):
        np.testing.assert_allclose(one.effects, other.effects, rtol=1e-6)
        np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-6)
        np.testing.assert_allclose(one.dof, other.dof, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_model": "arma12"}, "unknown noise model 'arma12'"),
        ({"n_threads": 0}, "expected 1 or more threads"),
        ({"block_size": 0}, "expected 1 or more threads"),
        ({"offset": np.zeros(3)}, r"one offset per voxel \(50,\), found \(3,\)"),
        ({"contrasts": [np.ones((1, 7))]}, r"rows of 8 weights, found shape \(1, 7\)"),
        ({"contrasts": [np.ones((0, 8))]}, r"rows of 8 weights, found shape \(0, 8\)"),
        ({"contrasts": [np.ones(8)]}, r"rows of 8 weights, found shape \(8,\)"),
        (
            {"contrasts": [ROWS, np.vstack([ROWS, 2 * ROWS[:1]])]},
            "rows follow from each other: number 1",
        ),
        ({"contrasts": [np.zeros((1, 8))]}, "a contrast that the design cannot estimate"),
        ({"baseline": design_space(np.eye(N_SCANS)[:, :1])}, "not all in the design"),
        ({"scans": np.arange(79)}, "expected 80 increasing numbers of scans"),
        ({"scans": np.zeros(80, dtype=int)}, "expected 80 increasing numbers of scans"),
        ({"scans": np.arange(80)[::-1]}, "expected 80 increasing numbers of scans"),
    ],
)
def test_impossible_fit_is_refused(
    options: dict[str, Any], message: str, data: FloatArray, design: FloatArray
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(data, design, **options)


def test_data_of_another_length_are_refused(data: FloatArray, design: FloatArray) -> None:
    with pytest.raises(ValueError, match=r"expected data of 80 scans, found shape \(79, 50\)"):
        fit(data[1:], design)


def test_contrast_that_cannot_be_estimated_is_refused(
    data: FloatArray, design: FloatArray
) -> None:
    design[:, 1] = 0.0
    with pytest.raises(ValueError, match="cannot estimate: number 1"):
        fit(data, design)


def test_design_that_leaves_no_degree_of_freedom_is_refused(rng: np.random.Generator) -> None:
    X = rng.normal(size=(8, 8))
    with pytest.raises(ValueError, match="8 scans leave no degree of freedom: rank 8"):
        fit(rng.normal(size=(8, 5)), X)
