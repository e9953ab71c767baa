"""Likelihoods and generalised least squares beside statsmodels', where both have the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from statsmodels.regression.linear_model import GLS
from statsmodels.tsa.statespace.sarimax import SARIMAX

from bids_fx.glm.contrasts import design_space
from bids_fx.glm.correlation import (
    Correlation,
    autoregressive,
    autoregressive_and_white,
    whitened_in_pieces,
)
from bids_fx.glm.noise import RunFit, fit_run
from tests.dense_reml import noise, null_design

pytestmark = pytest.mark.oracle

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Dense matrices on one side, Kalman's filter on the other.
SAME = 1e-9
#: Of the fit of a run in standard errors: everything is interpolated between nodes.
INTERPOLATED = 5e-6

WHOLE = np.arange(60)
GAPS = np.delete(np.arange(60), [5, 20, 21, 22, 40])
SCANS = pytest.mark.parametrize("scans", [WHOLE, GAPS], ids=["whole", "gaps"])


def log_likelihood(y: FloatArray, correlation: Correlation, sigmasq: float) -> float:
    """Return the Gaussian log-likelihood of our correlation."""
    squares = float(y @ (correlation.precision @ y)) / sigmasq
    log_determinant = y.size * np.log(2 * np.pi * sigmasq) + correlation.log_determinant
    return -0.5 * float(log_determinant + squares)


def with_missing(y: FloatArray, scans: IntArray) -> FloatArray:
    """Return all scans, those that are missing NaN."""
    series = np.full(scans[-1] + 1, np.nan)
    series[scans] = y
    return series


@SCANS
@pytest.mark.parametrize("rho", [-0.7, 0.2, 0.95])
def test_likelihood_of_an_autoregression_is_statsmodels(
    scans: IntArray, rho: float, rng: np.random.Generator
) -> None:
    y, sigmasq = rng.normal(size=scans.size), 2.3
    theirs = SARIMAX(with_missing(y, scans), order=(1, 0, 0))
    expected = theirs.loglike([rho, sigmasq * (1 - rho**2)])
    found = log_likelihood(y, autoregressive(scans, (rho,)), sigmasq)
    assert found == pytest.approx(expected, rel=SAME)


@SCANS
@pytest.mark.parametrize(("rho", "white"), [(0.3, 0.5), (0.9, 0.2), (0.97, 0.9)])
def test_likelihood_of_mixed_noise_is_statsmodels(
    scans: IntArray, rho: float, white: float, rng: np.random.Generator
) -> None:
    y, sigmasq = rng.normal(size=scans.size), 2.3
    theirs = SARIMAX(with_missing(y, scans), order=(1, 0, 0), measurement_error=True)
    innovations = sigmasq * (1 - white) * (1 - rho**2)
    expected = theirs.loglike([rho, sigmasq * white, innovations])
    found = log_likelihood(y, autoregressive_and_white(scans, (rho, white)), sigmasq)
    assert found == pytest.approx(expected, rel=SAME)


@pytest.fixture(params=[WHOLE, GAPS], ids=["whole", "gaps"])
def run(
    request: pytest.FixtureRequest, rng: np.random.Generator
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return scans, design and data of six voxels."""
    scans = request.param
    return scans, null_design(rng, 60, n_walks=4)[scans], noise(rng, 60, 6, 0.5)[scans]


ROWS = np.eye(3, 10)
ROWS[0, 1] = -1.0


def fit(run: tuple[IntArray, FloatArray, FloatArray], noise_model: str) -> RunFit:
    """Fit an F contrast of three rows."""
    scans, X, Y = run
    options = {"baseline": design_space(X[:, -1:]), "noise_model": noise_model, "scans": scans}
    return fit_run(Y, design_space(X), [ROWS], **options)


@pytest.mark.parametrize("noise_model", ["ols", "ar1-yw"])
def test_effects_covariance_and_dispersion_are_statsmodels(
    noise_model: str, run: tuple[IntArray, FloatArray, FloatArray]
) -> None:
    scans, X, Y = run
    result = fit(run, noise_model)
    for v, y in enumerate(Y.T):
        sigma = np.eye(scans.size)
        if noise_model == "ar1-yw":
            rho = float(result.noise["ar1"][v])
            sigma = np.linalg.inv(whitened_in_pieces(scans, (rho,)).precision.toarray())
        theirs = GLS(y, X, sigma=sigma).fit()
        covariance = ROWS @ theirs.cov_params() @ ROWS.T
        error = np.sqrt(np.diag(covariance))
        off = (result.contrasts[0].effects[:, v] - ROWS @ theirs.params) / error
        np.testing.assert_allclose(off, 0.0, rtol=0, atol=INTERPOLATED)
        scale = np.outer(error, error)[np.triu_indices(3)]
        found = result.contrasts[0].covariance[:, v] / scale
        expected = covariance[np.triu_indices(3)] / scale
        np.testing.assert_allclose(found, expected, rtol=0, atol=INTERPOLATED)
        assert result.sigmasq[v] == pytest.approx(theirs.scale, rel=INTERPOLATED)
        assert result.contrasts[0].dof[v] == theirs.df_resid


def test_effects_and_variance_of_restricted_likelihood_are_statsmodels_at_its_parameter(
    run: tuple[IntArray, FloatArray, FloatArray],
) -> None:
    scans, X, Y = run
    result = fit(run, "ar1")
    for v, y in enumerate(Y.T):
        rho = float(result.noise["ar1"][v])
        sigma = rho ** np.abs(np.subtract.outer(scans, scans))
        theirs = GLS(y, X, sigma=sigma).fit()
        error = np.sqrt(np.diag(ROWS @ theirs.cov_params() @ ROWS.T))
        off = (result.contrasts[0].effects[:, v] - ROWS @ theirs.params) / error
        np.testing.assert_allclose(off, 0.0, rtol=0, atol=INTERPOLATED)
        assert result.sigmasq[v] == pytest.approx(theirs.scale, rel=INTERPOLATED)
        # which takes rho as known, and is too small and too sure for that
        assert (result.contrasts[0].covariance[[0, 3, 5], v] > error**2).all()
        assert result.contrasts[0].dof[v] < theirs.df_resid
