"""What is left of the noise's correlation, in noise of which the correlation is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.names import NOISE_MODELS
from bids_fx.glm.noise import SAMPLED_VOXELS, RunFit, fit_run
from tests.dense_reml import noise, null_design

FloatArray = npt.NDArray[np.float64]

N_SCANS, N_VOXELS = 200, 1000
#: The median's standard error, 1.25 / sqrt(200 * 1000) = 0.003, three times, and what is left of
#: the estimate's bias.
ABOUT = 0.015
LAGS = [f"whitened_autocorrelation_lag{lag}" for lag in (1, 2, 3)]


def fit(Y: FloatArray, X: FloatArray, noise_model: str, **options: Any) -> RunFit:
    """Fit with the constant, the last column, as the baseline."""
    space, constant = design_space(X), design_space(X[:, -1:])
    return fit_run(Y, space, [], baseline=constant, noise_model=noise_model, **options)


def test_white_noise_is_white_whatever_the_design_takes(rng: np.random.Generator) -> None:
    # the design's smooth columns leave white noise with an autocorrelation of -0.1
    X, Y = null_design(rng, N_SCANS), noise(rng, N_SCANS, N_VOXELS, 0.0)
    measures = fit(Y, X, "ols").whiteness
    residuals = Y - X @ np.linalg.pinv(X) @ Y
    raw = (residuals[1:] * residuals[:-1]).sum(axis=0) / (residuals**2).sum(axis=0)
    assert np.median(raw) < -0.05
    assert measures["residual_autocorrelation_lag1"] == measures[LAGS[0]]
    for lag in LAGS:
        assert measures[lag] == pytest.approx(0.0, abs=ABOUT)
    # 3000 autocorrelations: standard error 0.004
    assert measures["whitened_outside_share"] == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("gaps", [False, True])
def test_autoregression_stays_in_least_squares_and_goes_with_its_model(
    gaps: bool, rng: np.random.Generator
) -> None:
    scans = np.delete(np.arange(N_SCANS), [3, 50, 51, 52, 90]) if gaps else np.arange(N_SCANS)
    X = null_design(rng, N_SCANS, n_walks=2)[scans]
    Y = noise(rng, N_SCANS, N_VOXELS, 0.5)[scans]
    before, after = (fit(Y, X, name, scans=scans).whiteness for name in ("ols", "ar1"))
    # smooth columns take more of this noise than of white noise
    for lag, expected in zip(LAGS, (0.5, 0.25, 0.125), strict=True):
        assert before[lag] == pytest.approx(expected, abs=0.08)
        assert after[lag] == pytest.approx(0.0, abs=ABOUT)
    assert after["residual_autocorrelation_lag1"] == before["residual_autocorrelation_lag1"]
    assert before["whitened_outside_share"] > 0.5
    # the estimate takes the first lag's own chance away
    assert 0.01 < after["whitened_outside_share"] < 0.06


def test_mixed_noise_needs_its_model(rng: np.random.Generator) -> None:
    X = null_design(rng, N_SCANS, n_walks=2)
    Y = noise(rng, N_SCANS, N_VOXELS, 0.9, white=0.5)
    alone, mixed = (fit(Y, X, name).whiteness for name in ("ar1", "arma11"))
    assert alone[LAGS[0]] < -0.04
    assert min(alone[LAGS[1]], alone[LAGS[2]]) > 0.08
    for lag in LAGS:
        assert mixed[lag] == pytest.approx(0.0, abs=0.02)
    assert mixed["whitened_outside_share"] < alone["whitened_outside_share"] / 3


@pytest.mark.parametrize("noise_model", ["ar1-yw", "ar1", "arma11"])
def test_measures_are_those_of_dense_whitening(noise_model: str, rng: np.random.Generator) -> None:
    scans = np.delete(np.arange(70), [9, 30, 31])
    X = null_design(rng, 70, n_walks=3)[scans]
    Y = noise(rng, 70, 5, 0.6)[scans]
    result = fit(Y, X, noise_model, scans=scans)
    excess = np.empty((3, 5))
    for v in range(5):
        rho, white = result.noise["ar1"][v], result.noise.get("white", np.zeros(5))[v]
        R = white * np.eye(67) + (1 - white) * rho ** np.abs(np.subtract.outer(scans, scans))
        whiten = np.linalg.inv(np.linalg.cholesky(R))
        fitting = whiten
        if noise_model == "ar1-yw":  # estimates with the first scan of each piece as it is
            fitting = np.eye(67) - rho * np.diag((np.diff(scans) == 1).astype(float), -1)
        half = X @ np.linalg.pinv(fitting @ X) @ fitting
        e = whiten @ (Y[:, v] - half @ Y[:, v])
        phi = np.linalg.inv(X.T @ fitting.T @ fitting @ X)
        if noise_model == "ar1-yw":
            phi *= 1 - rho**2
        H = whiten @ X @ phi @ X.T @ whiten.T
        for k in (1, 2, 3):
            left = -np.diag(H, k).sum() / (67 - X.shape[1])
            excess[k - 1, v] = e[k:] @ e[:-k] / (e @ e) - left
    found = [result.whiteness[lag] for lag in LAGS]
    # design and effects are interpolated between nodes
    np.testing.assert_allclose(found, np.median(excess, axis=1), rtol=0, atol=2e-3)
    limit = 1.96 / np.sqrt(67 - X.shape[1])
    assert result.whiteness["whitened_outside_share"] == (np.abs(excess) > limit).mean()


@pytest.mark.parametrize("noise_model", NOISE_MODELS)
def test_voxels_that_cannot_be_fitted_are_left_out(
    noise_model: str, rng: np.random.Generator
) -> None:
    X, Y = null_design(rng, 90, n_walks=2), noise(rng, 90, 40, 0.4)
    alone = fit(Y, X, noise_model).whiteness
    more = np.hstack([np.full((90, 5), np.nan), Y, np.full((90, 5), 3.0)])
    assert fit(more, X, noise_model).whiteness == pytest.approx(alone, abs=1e-12)


def test_run_of_which_no_voxel_can_be_fitted_has_no_measures(rng: np.random.Generator) -> None:
    assert fit(np.full((90, 3), np.nan), null_design(rng, 90), "ar1").whiteness == {}


def test_offset_that_was_taken_out_is_put_back(rng: np.random.Generator) -> None:
    X, Y = null_design(rng, 90, n_walks=2)[:, :-1], noise(rng, 90, 40, 0.4)
    mean = np.full(40, 5.0)
    whole, apart = (
        fit_run(
            *(Y + 5.0, design_space(X), []),
            baseline=design_space(X[:, :0]),
            noise_model="ols",
        ),
        fit_run(
            *(Y, design_space(X), []),
            baseline=design_space(X[:, :0]),
            noise_model="ols",
            offset=mean,
        ),
    )
    assert apart.whiteness == pytest.approx(whole.whiteness, abs=1e-12)


def test_sample_of_many_voxels_is_spread_over_them(rng: np.random.Generator) -> None:
    X = null_design(rng, 60, n_walks=0)
    n_voxels = 3 * SAMPLED_VOXELS
    Y = noise(rng, 60, n_voxels, 0.0)
    Y[:, : n_voxels // 4] = noise(rng, 60, n_voxels // 4, 0.9)
    share = fit(Y, X, "ols").whiteness["whitened_outside_share"]
    # a quarter nearly always outside, the others one time in twenty
    assert share == pytest.approx(0.25 * 0.8 + 0.75 * 0.05, abs=0.06)
