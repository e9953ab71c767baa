"""The tail of the F distribution against arbitrary precision and closed forms."""

from __future__ import annotations

import math
import time

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from bids_fx.glm.tails import f_statistics, log_sf_f, log_sf_t, t_statistics
from tests.exact_tails import log_upper_f, normal_quantile

#: What the maps are to hold, relative: -log10 p, p; and z absolute up to z = 1.
LOGP, P, Z = 1e-10, 1e-9, 1e-10
#: What the docstring says of p.
DIGITS = 1e-11
#: Two ways to the same double, each within some hundred roundings.
ROUNDING = 1e-12

NUMERATORS = (1.0, 2.0, 3.0, 5.5, 17.0, 60.0)
DENOMINATORS = (1.0, 1.3, 2.0, 4.0, 8.7, 30.0, 250.0, 1e4, 1e6)
VALUES = (1e-9, 1e-3, 0.3, 1.0, 1.7, 6.0, 30.0, 4e3, 1e8)


@pytest.mark.parametrize("dof", DENOMINATORS)
@pytest.mark.parametrize("q", NUMERATORS)
@pytest.mark.parametrize("f", VALUES)
def test_upper_tail_equals_arbitrary_precision(f: float, q: float, dof: float) -> None:
    expected = log_upper_f(f, q, dof)
    found = f_statistics(f, q, dof)
    with mp.workdps(60):
        assert abs(found.logp / (-expected / mp.log(10)) - 1) < LOGP
        p = mp.exp(expected)
        if p > 1e-300:
            assert abs(found.p / p - 1) < P
        z = normal_quantile(expected - mp.log(2), float(found.z))
        assert abs(found.z - z) < Z * max(1, abs(z))


@pytest.mark.parametrize("dof", [1.3, 23.31, 999.5, 2e5])
@pytest.mark.parametrize("q", [100.5, 200.0])
@pytest.mark.parametrize("f", [0.05, 0.7, 1.05, 2.0, 9.0, 70.0])
def test_many_rows_of_a_contrast_are_as_exact(f: float, q: float, dof: float) -> None:
    expected = log_upper_f(f, q, dof)
    with mp.workdps(60):
        assert abs(log_sf_f(f, q, dof) / expected - 1) < LOGP


@pytest.mark.parametrize("dof", [0.7, 1.0, 5.5, 40.0, 1e4, 1e6, np.inf])
def test_two_rows_have_a_closed_form(dof: float) -> None:
    f = np.logspace(-9, 8, 200)
    expected = -f if np.isinf(dof) else -dof / 2 * np.log1p(2 * f / dof)
    np.testing.assert_allclose(log_sf_f(f, 2, dof), expected, rtol=LOGP)


@pytest.mark.parametrize("q", [2, 4, 60, 200])
@pytest.mark.parametrize("f", [1e-3, 0.5, 1.2, 4.0, 8.0, 500.0, 1e8])
def test_infinite_degrees_of_freedom_are_a_sum_of_poisson_terms(f: float, q: int) -> None:
    half = mp.mpf(f) * q / 2
    with mp.workdps(500):
        terms = [mp.exp(-half) * half**k / mp.factorial(k) for k in range(q // 2)]
        expected = mp.log(mp.fsum(terms))
        assert abs(log_sf_f(f, q, np.inf) / expected - 1) < LOGP


def test_infinite_degrees_of_freedom_and_one_row_are_the_normal_distribution() -> None:
    t = np.array([1e-4, 0.5, 2.0, 8.0, 30.0, 60.0, 1e4])
    found = f_statistics(t**2, 1, np.inf)
    np.testing.assert_allclose(found.z, t, rtol=ROUNDING)
    np.testing.assert_allclose(found.p, 2 * stats.norm.sf(t), rtol=ROUNDING)


@pytest.mark.parametrize("dof", [1.0, 3.7, 69.0, 1e4, 1e6, np.inf])
def test_one_row_is_the_two_sided_t(dof: float) -> None:
    t = np.array([1e-4, 0.1, 0.7, 1.0, 2.5, 9.0, 29.0, 31.0, 37.0, 300.0, 1e4])
    two_sided = math.log(2) + log_sf_t(t, dof)
    # near p = 1 the sum of two logarithms has lost digits
    np.testing.assert_allclose(log_sf_f(t**2, 1, dof), two_sided, rtol=ROUNDING, atol=1e-15)
    z = np.abs(t_statistics(-t, 1.0, dof).z)
    np.testing.assert_allclose(f_statistics(t**2, 1, dof).z, z, rtol=ROUNDING, atol=1e-15)


@pytest.mark.parametrize(("q", "dof"), [(3.0, 17.0), (5.5, 1.3), (60.0, 250.0), (1.0, 200.0)])
def test_lower_tail_is_the_upper_tail_of_the_inverse(q: float, dof: float) -> None:
    f = np.logspace(-3, 1, 41)
    upper, inverse = log_sf_f(f, q, dof), log_sf_f(1 / f, dof, q)
    np.testing.assert_allclose(np.exp(upper) + np.exp(inverse), 1.0, rtol=ROUNDING)


def test_z_is_that_of_the_two_sided_p() -> None:
    f = -np.log([1e-3, 0.05, 0.5, 0.9])  # p itself, with two rows and infinite dof
    found = f_statistics(f, 2, np.inf)
    np.testing.assert_allclose(found.p, [1e-3, 0.05, 0.5, 0.9], rtol=ROUNDING)
    expected = [3.2905267314919255, 1.959963984540054, 0.6744897501960817, 0.12566134685507402]
    np.testing.assert_allclose(found.z, expected, rtol=ROUNDING)


@pytest.mark.parametrize("dof", [4.0, 300.0, 1e6, np.inf])
def test_nothing_happens_where_p_is_one_half(dof: float) -> None:
    median = math.log(2) if np.isinf(dof) else math.expm1(math.log(2) * 2 / dof) * dof / 2
    f = median * (1 + np.arange(-8, 9) * 2.0**-52)  # rounding puts some on either side
    found = f_statistics(f, 2, dof)
    np.testing.assert_allclose(found.p, 0.5, rtol=ROUNDING)
    np.testing.assert_allclose(found.z, stats.norm.isf(0.25), rtol=ROUNDING)


def test_small_z_keeps_its_digits() -> None:
    f = np.array([1e-30, 1e-12, 1e-9])  # 1 - p = f with two rows; density of z at 0: (2 pi)^-1/2
    found = f_statistics(f, 2, np.inf)
    np.testing.assert_allclose(found.z, f * math.sqrt(math.pi / 2), rtol=1e-8)
    np.testing.assert_allclose(found.logp, f / math.log(10), rtol=ROUNDING)


@pytest.mark.parametrize("q", [1.0, 3.0, 17.0, 200.0])
def test_z_is_never_negative_and_rises_with_f(q: float) -> None:
    z = f_statistics(np.linspace(0, 3, 3001), q, 40.0).z
    assert z[0] == 0
    assert (np.diff(z) >= 0).all()


def test_z_and_logp_have_no_ceiling() -> None:
    found = f_statistics([1e3, 1e5, 1e8], 3, [1e4, 1e6, np.inf])
    assert (np.diff(found.z) > 0).all()
    assert (np.diff(found.logp) > 0).all()
    assert found.logp[2] > 6e7


def test_p_is_not_zero_down_to_the_smallest_double() -> None:
    found = f_statistics([700.0, 740.0], 2, np.inf)
    assert (found.p > 0).all()
    assert found.p[1] < 1e-320


@pytest.mark.parametrize(
    ("dof", "start", "stop"), [(62.0, 1e8, 1e11), (100.0, 1e6, 3e7), (124.0, 2e5, 5e6)]
)
def test_p_keeps_its_digits_far_out(dof: float, start: float, stop: float) -> None:
    f = np.geomspace(start, stop, 30)
    expected = (1 + 2 * f / dof) ** (-dof / 2)  # two rows
    assert 1e-308 < expected[-1] < 1e-280
    np.testing.assert_allclose(f_statistics(f, 2, dof).p, expected, rtol=DIGITS)


# where scipy's function has ten digits left; and with the fewest degrees of freedom for Stirling
@pytest.mark.parametrize(("f", "q", "dof"), [(1300.0, 60.0, 250.0), (1e9, 60.0, 62.0)])
def test_p_of_many_rows_keeps_its_digits_far_out(f: float, q: float, dof: float) -> None:
    expected = log_upper_f(f, q, dof)
    with mp.workdps(60):
        p = mp.exp(expected)
        assert 1e-300 < p < 1e-200
        assert abs(f_statistics(f, q, dof).p / p - 1) < DIGITS


@pytest.mark.parametrize(
    ("q", "dof", "start", "stop"),
    [
        (1.0, np.inf, 900.0, 930.0),  # 1e-200 in the upper tail ...
        (5.5, 1e6, 170.0, 180.0),
        (60.0, 2e4, 18.0, 22.0),
        (200.0, 250.0, 110.0, 180.0),
        (200.0, 1e4, 0.0033, 0.0041),  # ... and in the lower
        (60.0, 40.0, 0.65, 1.02),  # dof / q, and p = 1/2
        (60.0, 250.0, 3.9, 4.5),  # dof / q with a tail of one side
    ],
)
def test_no_step_where_the_method_changes(q: float, dof: float, start: float, stop: float) -> None:
    found = f_statistics(np.linspace(start, stop, 20001), q, dof)
    for smooth in (np.log(found.logp), found.z):
        third = np.diff(smooth, 3)  # rounding alone: eight times that of some 500
        np.testing.assert_allclose(third, 0.0, rtol=0, atol=1e-11)


def test_f_of_zero_is_no_evidence() -> None:
    found = f_statistics(0.0, 3, 17.0)
    assert (found.f, found.z, found.p, found.logp) == (0.0, 0.0, 1.0, 0.0)
    assert not np.signbit(found.logp)


@pytest.mark.parametrize("dof", [4.0, np.inf])
def test_infinite_f_is_certain(dof: float) -> None:
    found = f_statistics(np.inf, 3, dof)
    assert (found.f, found.z, found.p, found.logp) == (np.inf, np.inf, 0.0, np.inf)


@pytest.mark.parametrize("f", [1e-320, 1e-280, 1e280, 1e308])
@pytest.mark.parametrize("dof", [1.0, 1e6, np.inf])
def test_absurd_f_gives_finite_statistics(f: float, dof: float) -> None:
    found = f_statistics(f, 3, dof)
    assert np.isfinite([found.z, found.p, found.logp]).all()
    assert abs(found.p - (f < 1)) < 1e-50


@pytest.mark.parametrize(
    ("f", "q", "dof"),
    [
        (np.nan, 3.0, 5.0),
        (-1.0, 3.0, 5.0),
        (-np.inf, 3.0, 5.0),
        (1.0, np.nan, 5.0),
        (1.0, 0.0, 5.0),
        (1.0, -2.0, 5.0),
        (1.0, np.inf, 5.0),
        (1.0, 3.0, np.nan),
        (1.0, 3.0, 0.0),
        (1.0, 3.0, -4.0),
    ],
)
def test_what_has_no_test_is_nan_throughout(f: float, q: float, dof: float) -> None:
    found = f_statistics(f, q, dof)
    assert all(np.isnan(value) for value in (found.f, found.z, found.p, found.logp))
    if not f < 0:
        assert np.isnan(log_sf_f(f, q, dof))


def test_negative_f_is_surely_exceeded() -> None:
    assert log_sf_f([-1.0, -np.inf], 3, 5.0).tolist() == [0.0, 0.0]


def test_arguments_broadcast() -> None:
    q, dof = np.array([[1.0], [3.0]]), np.array([5.0, np.nan, 9.0])
    found = f_statistics(2.5, q, dof)
    assert found.f.shape == found.z.shape == found.p.shape == found.logp.shape == (2, 3)
    assert np.isnan(found.p).tolist() == [[False, True, False]] * 2
    assert log_sf_f(2.5, q, dof)[1, 2] == log_sf_f(2.5, 3.0, 9.0)


def test_arguments_are_left_alone() -> None:
    f, q, dof = np.array([1.0, -1.0]), np.array([2.0, 3.0]), np.array([np.inf, 5.0])
    f_statistics(f, q, dof)
    assert (f.tolist(), q.tolist(), dof.tolist()) == ([1.0, -1.0], [2.0, 3.0], [np.inf, 5.0])


def test_brain_is_done_in_a_second(rng: np.random.Generator) -> None:
    dofs = rng.uniform(8, 1e3, size=235_000)
    values = rng.f(3, 50, size=235_000) * rng.choice([1.0, 10.0, 1e3], size=235_000)
    f_statistics(values[:10], 3, dofs[:10])
    start = time.process_time()
    f_statistics(values, 3, dofs)
    assert time.process_time() - start < 1.0
