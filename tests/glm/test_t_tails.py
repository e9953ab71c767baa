"""The tails of Student's t against arbitrary precision."""

from __future__ import annotations

import time

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from bids_fx.glm.tails import log_sf_t, t_statistics
from tests.exact_tails import log_upper_t, normal_quantile

#: What the maps are to hold, relative: -log10 p, p; and z absolute up to |z| = 1.
LOGP, P, Z = 1e-10, 1e-9, 1e-10

DOFS = (1.0, 1.0000001, 1.3, 2.0, 3.7, 10.0, 23.31, 69.0, 150.0, 999.5, 2e4, 1e6)
VALUES = (1e-9, 1e-3, 0.4, 1.0, 2.5, 5.0, 9.0, 20.0, 34.0, 36.5, 38.2, 38.5, 60.0, 300.0, 1e4)


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("t", VALUES)
def test_upper_tail_equals_arbitrary_precision(t: float, dof: float) -> None:
    expected = log_upper_t(t, dof)
    found = t_statistics(t, 1.0, dof)
    with mp.workdps(60):
        assert abs(found.logp / (-expected / mp.log(10)) - 1) < LOGP
        p = mp.exp(expected)
        if p > 1e-300:
            assert abs(found.p / p - 1) < P
        z = normal_quantile(expected, float(found.z))
        assert abs(found.z - z) < Z * max(1, abs(z))


@pytest.mark.parametrize("dof", [1.0, 1.3, 5.5, 200.0, 2e4, 1e6])
@pytest.mark.parametrize("t", [1e-9, 1e-3, 0.4, 2.5, 9.0, 31.0, 36.5, 300.0, 1e4])
def test_lower_side_mirrors_the_upper(t: float, dof: float) -> None:
    upper, lower = t_statistics(t, 1.0, dof), t_statistics(-t, 1.0, dof)
    assert lower.z == -upper.z
    with mp.workdps(60):
        log_p = mp.log1p(-mp.exp(log_upper_t(t, dof)))
        if upper.p > 1e-300:  # else -log10 (1 - p) nears the smallest double
            assert abs(lower.logp / (-log_p / mp.log(10)) - 1) < LOGP
        assert abs(lower.p / mp.exp(log_p) - 1) < P


def test_t_of_zero_has_half_the_tail_and_no_z() -> None:
    found = t_statistics(0.0, 2.0, 7.0)
    assert (found.t, found.z) == (0.0, 0.0)
    np.testing.assert_allclose([found.p, found.logp], [0.5, np.log10(2)], rtol=1e-15)


def test_t_is_the_effect_over_its_standard_error() -> None:
    np.testing.assert_allclose(t_statistics(-3.0, 4.0, 20.0).t, -1.5, rtol=1e-15)


def test_z_and_logp_have_no_ceiling() -> None:
    found = t_statistics([60.0, 1e3, 1e4], 1.0, 1e6)
    assert (np.diff(found.z) > 0).all()
    assert (np.diff(found.logp) > 0).all()
    assert found.logp[0] > 780


def test_p_is_not_zero_down_to_the_smallest_double() -> None:
    found = t_statistics([37.5, 38.4], 1.0, np.inf)
    assert (found.p > 0).all()
    assert found.p[0] < 1e-300


def test_no_step_where_the_method_changes() -> None:
    t = np.linspace(29.5, 31.5, 20001)  # passes 1e-200 at dof from 2e4 on
    for dof in (2e4, 1e6, np.inf):
        third = np.diff(log_sf_t(t, dof), 3)  # of a smooth function: rounding of some 700
        np.testing.assert_allclose(third, 0.0, rtol=0, atol=5e-12)


def test_infinite_degrees_of_freedom_are_the_normal_distribution() -> None:
    t = np.array([-8.0, -1.0, 0.5, 3.0, 30.0, 60.0])
    np.testing.assert_allclose(log_sf_t(t, np.inf), stats.norm.logsf(t), rtol=1e-12)
    np.testing.assert_allclose(t_statistics(t, 1.0, np.inf).z, t, rtol=1e-12)


@pytest.mark.parametrize(
    ("effect", "variance", "dof"),
    [
        (np.nan, 1.0, 5.0),
        (1.0, np.nan, 5.0),
        (1.0, 1.0, np.nan),
        (np.inf, 1.0, 5.0),
        (1.0, np.inf, 5.0),
        (1.0, 0.0, 5.0),
        (0.0, 0.0, 5.0),
        (1.0, -1.0, 5.0),
        (1.0, 1.0, 0.0),
        (1.0, 1.0, -3.0),
    ],
)
def test_what_has_no_test_is_nan_throughout(effect: float, variance: float, dof: float) -> None:
    found = t_statistics(effect, variance, dof)
    assert all(np.isnan(value) for value in (found.t, found.z, found.p, found.logp))


def test_arguments_broadcast() -> None:
    found = t_statistics(np.ones((2, 3)), 4.0, np.array([5.0, np.nan, 9.0]))
    assert found.z.shape == (2, 3)
    assert np.isnan(found.p).tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize("t", [1e160, 1e200])
def test_absurd_t_gives_finite_statistics(t: float) -> None:
    found = t_statistics([t, -t], 1.0, 1e3)
    assert np.isfinite(found.z).all()
    assert found.p.tolist() == [0.0, 1.0]


def test_overflowing_t_is_certain() -> None:
    found = t_statistics(1e300, 1e-300, 10.0)
    assert (found.t, found.z, found.p, found.logp) == (np.inf, np.inf, 0.0, np.inf)


def test_brain_is_done_in_no_time(rng: np.random.Generator) -> None:
    effects = rng.normal(scale=20.0, size=235_000)
    dofs = rng.uniform(20, 1e6, size=235_000)
    t_statistics(effects[:10], 1.0, dofs[:10])
    start = time.process_time()
    t_statistics(effects, 1.0, dofs)
    assert time.process_time() - start < 0.5
