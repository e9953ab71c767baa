"""Weighted fixed effects and heterogeneity beside PyMARE's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from bids_fx.glm.fixed_effects import combine

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it leaves a file open on import
    from pymare import Dataset
    from pymare.estimators import DerSimonianLaird, WeightedLeastSquares
    from pymare.results import MetaRegressionResults

pytestmark = pytest.mark.oracle

#: The same formulas in float64.
SAME = 1e-8
#: PyMARE takes variances as known; so does ours at such degrees of freedom, to 1e-11.
KNOWN = 1e12


@pytest.fixture(params=[2, 3, 8])
def runs(
    request: pytest.FixtureRequest, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return effects, with and without heterogeneity, and variances far from 1."""
    k = request.param
    spread = np.linspace(0.0, 3.0, 200)
    variances = rng.uniform(0.05, 0.5, size=(k, 200))
    noise = np.sqrt(variances) * rng.normal(size=(k, 200))
    return 2.0 + spread * rng.normal(size=(k, 200)) + noise, variances


def results(
    estimator: object, effects: np.ndarray, variances: np.ndarray
) -> MetaRegressionResults:
    """Fit an intercept over runs for all voxels in parallel."""
    dataset = Dataset(effects, variances, np.ones((len(effects), 1)), add_intercept=False)
    return estimator.fit_dataset(dataset).summary()


def test_weighted_mean_and_variance_equal_pymares(runs: tuple[np.ndarray, np.ndarray]) -> None:
    found = results(WeightedLeastSquares(small_sample_correction="wald"), *runs)
    combined = combine(*runs, np.full((len(runs[0]), 1), KNOWN), combination="weighted")
    np.testing.assert_allclose(combined.effect, found.fe_params[0], rtol=SAME)
    np.testing.assert_allclose(np.sqrt(combined.variance), found.fe_se[0], rtol=SAME)


@pytest.mark.parametrize("combination", ["weighted", "unweighted"])
def test_heterogeneity_equals_pymares(
    combination: str, runs: tuple[np.ndarray, np.ndarray]
) -> None:
    found = results(DerSimonianLaird(), *runs)
    heterogeneity = found.get_heterogeneity_stats()
    combined = combine(*runs, np.full((len(runs[0]), 1), KNOWN), combination=combination)
    np.testing.assert_allclose(combined.q, np.ravel(heterogeneity["Q"]), rtol=SAME)
    np.testing.assert_allclose(combined.isq, np.ravel(heterogeneity["I^2"]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(combined.tau2, np.ravel(found.tau2), rtol=1e-7, atol=SAME)
    assert 0 < (combined.tau2 > 0).mean() < 1  # both sides of the truncation were compared
