"""The reference of a Wald F: the paper's formulas, exact cases, and the edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bids_fx.glm.kenward_roger import f_reference

#: The same formulas in another order.
SAME = 1e-9


def by_the_paper(a1: float, a2: float, q: int) -> tuple[float, float]:
    """Return lambda and m as Kenward and Roger (1997) write them."""
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    below = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2 - g) / below
    mean = 1 / (1 - a2 / q)
    variance = (2 / q) * (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b))
    rho = variance / (2 * mean**2)
    m = 4 + (q + 2) / (q * rho - 1)
    return m / (mean * (m - 2)), m


@pytest.mark.parametrize("q", [2, 3, 7])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("size", [0.01, 0.1, 0.4])
def test_reference_is_the_papers(q: int, ratio: float, size: float) -> None:
    a2 = size * q
    scale, dof = f_reference(ratio * q * a2, a2, q)
    expected = by_the_paper(ratio * q * a2, a2, q)
    np.testing.assert_allclose([scale, dof], expected, rtol=SAME)


def test_one_row_has_scale_one_and_satterthwaites_degrees_of_freedom_exactly() -> None:
    a2 = np.concatenate([[1e-300, 1e-9], np.linspace(0.01, 3.0, 100)])
    scale, dof = f_reference(a2, a2, 1)
    np.testing.assert_array_equal(scale, np.ones(102))
    np.testing.assert_array_equal(dof, 2 / a2)


@pytest.mark.parametrize("a2", [0.03, 0.1, 0.2])
def test_one_row_is_the_papers_reference_too(a2: float) -> None:
    np.testing.assert_allclose(f_reference(a2, a2, 1), by_the_paper(a2, a2, 1), rtol=SAME)


@pytest.mark.parametrize("q", [1, 2, 5, 12])
@pytest.mark.parametrize("dof", [1.0, 2.0, 3.5, 4.0, 4.5, 5.0, 23.0, 1e4, 1e9])
def test_one_variance_gives_the_exact_f(q: int, dof: float) -> None:
    scale, found = f_reference(2 * q**2 / dof, 2 * q / dof, q)
    np.testing.assert_allclose([scale, found], [1.0, dof], rtol=SAME)


def test_degrees_of_freedom_grow_without_loss_of_digits_as_the_covariance_becomes_known() -> None:
    # to first order m = (q + 2) / ((A1 + 2 A2) / 2q); the paper's form has no digit left here
    a2 = np.array([1e-9, 1e-12, 1e-18, 1e-100])
    scale, dof = f_reference(1.2 * a2, a2, 2)
    np.testing.assert_allclose(dof * 3.2 * a2 / 16, 1.0, rtol=1e-7)
    np.testing.assert_allclose(scale, 1.0, rtol=0, atol=1e-8)


@pytest.mark.parametrize("q", [1, 2, 4])
def test_known_covariance_has_infinite_degrees_of_freedom(q: int) -> None:
    scale, dof = f_reference([0.0], [0.0], q)
    assert [scale.tolist(), dof.tolist()] == [[1.0], [np.inf]]


@pytest.mark.parametrize(("a1", "a2"), [(3.0, 1.5), (2.5, 2.0), (3.0, 4.0), (0.0, 1.9)])
def test_statistic_without_second_moment_has_the_degrees_of_freedom_of_one_variance(
    a1: float, a2: float
) -> None:
    scale, dof = f_reference(a1, a2, 2)
    assert [float(scale), float(dof)] == [1.0, 4 / a2]


@pytest.mark.parametrize("q", [2, 3, 6, 20])
def test_every_reference_is_a_distribution(q: int) -> None:
    a2 = np.linspace(0.0, 1.5 * q, 400)
    ratio = np.linspace(0.0, q, 50)[:, np.newaxis]
    scale, dof = f_reference(ratio * a2, a2, q)
    assert np.isfinite(scale).all()
    assert (scale > 0).all()
    assert (dof > 0).all()


@pytest.mark.parametrize("q", [1, 3])
@pytest.mark.parametrize(("a1", "a2"), [(np.nan, 0.1), (0.1, np.nan), (0.1, -0.1)])
def test_unknown_covariance_has_no_reference(q: int, a1: float, a2: float) -> None:
    assert np.isnan(f_reference(a1, a2, q)).all()


def test_contrast_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row, found 0"):
        f_reference(0.1, 0.1, 0)


def test_rows_with_variances_of_their_own_are_calibrated(rng: np.random.Generator) -> None:
    # two independent rows, variances of 10 and 30 degrees of freedom: A1 = A2 = 2/10 + 2/30
    dofs = np.array([[10.0], [30.0]])
    x = rng.standard_normal((2, 400_000))
    f = (x**2 / (rng.chisquare(dofs, x.shape) / dofs)).sum(axis=0) / 2
    a = float((2 / dofs).sum())
    scale, dof = f_reference(a, a, 2)
    rate = 1000 * (stats.f.sf(scale * f, 2, dof) < 0.01).mean()
    assert 10.2 < rate < 11.4  # 12.1 without the scale
