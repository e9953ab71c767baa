"""Correlations of the noise: their matrices, inverses, determinants and derivatives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bids_fx.glm.correlation import (
    CORRELATION_MODELS,
    Correlation,
    autoregressive,
    autoregressive_and_white,
    chain_in_pieces,
    whitened_in_pieces,
)
from bids_fx.glm.names import NOISE_MODELS
from bids_fx.glm.readings import make_reading
from bids_fx.glm.whiteness import Whitener

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Inverses and determinants of 40 x 40 matrices, condition up to 1e4.
CLOSE = 1e-9
WHOLE = np.arange(40)
#: Without the first two scans, one, two and six in a row.
GAPS = np.delete(np.arange(46), [0, 1, 5, 10, 11, 20, 21, 22, 23, 24, 25])
SCANS = pytest.mark.parametrize("scans", [WHOLE, GAPS], ids=["whole", "gaps"])
RHOS = pytest.mark.parametrize("rho", [-0.8, -0.1, 0.0, 0.3, 0.97])
SHARES = pytest.mark.parametrize("white", [0.0, 0.25, 1.0])


def dense(correlation: Correlation) -> FloatArray:
    """Return the precision as a full matrix."""
    precision = correlation.precision
    return precision if isinstance(precision, np.ndarray) else precision.toarray()


def matrix(scans: IntArray, rho: float, white: float = 0.0) -> FloatArray:
    """Return R element by element."""
    n = len(scans)
    R = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            same = 1.0 if i == j else 0.0
            R[i, j] = white * same + (1 - white) * rho ** abs(int(scans[i] - scans[j]))
    return R


@SCANS
@RHOS
def test_precision_of_an_autoregression_is_its_inverse(scans: IntArray, rho: float) -> None:
    found = autoregressive(scans, (rho,))
    np.testing.assert_allclose(dense(found) @ matrix(scans, rho), np.eye(scans.size), atol=CLOSE)
    expected = np.linalg.slogdet(matrix(scans, rho))[1]
    assert found.log_determinant == pytest.approx(expected, abs=CLOSE)


@SCANS
@RHOS
@SHARES
def test_precision_of_mixed_noise_is_its_inverse(
    scans: IntArray, rho: float, white: float
) -> None:
    found, R = autoregressive_and_white(scans, (rho, white)), matrix(scans, rho, white)
    np.testing.assert_allclose(dense(found) @ R, np.eye(scans.size), atol=CLOSE)
    assert found.log_determinant == pytest.approx(np.linalg.slogdet(R)[1], abs=CLOSE)


@SCANS
@RHOS
def test_derivative_of_an_autoregression_is_the_quotient_of_differences(
    scans: IntArray, rho: float
) -> None:
    h = 1e-6
    quotient = (matrix(scans, rho + h) - matrix(scans, rho - h)) / (2 * h)
    (derivative,) = autoregressive(scans, (rho,)).derivatives
    np.testing.assert_allclose(derivative, quotient, rtol=0, atol=1e-7)


@SCANS
@RHOS
def test_derivatives_of_mixed_noise_are_quotients_of_differences(
    scans: IntArray, rho: float
) -> None:
    h = 1e-6
    by_rho, by_white = autoregressive_and_white(scans, (rho, 0.3)).derivatives
    quotient = (matrix(scans, rho + h, 0.3) - matrix(scans, rho - h, 0.3)) / (2 * h)
    np.testing.assert_allclose(by_rho, quotient, rtol=0, atol=1e-7)
    quotient = (matrix(scans, rho, 0.3 + h) - matrix(scans, rho, 0.3 - h)) / (2 * h)
    np.testing.assert_allclose(by_white, quotient, rtol=0, atol=1e-7)


@SCANS
@RHOS
def test_mixed_noise_without_white_noise_is_the_autoregression(
    scans: IntArray, rho: float
) -> None:
    mixed, alone = autoregressive_and_white(scans, (rho, 0.0)), autoregressive(scans, (rho,))
    np.testing.assert_allclose(dense(mixed), dense(alone), rtol=0, atol=CLOSE)
    np.testing.assert_allclose(mixed.derivatives[0], alone.derivatives[0], rtol=CLOSE)


@RHOS
def test_missing_scans_are_integrated_out(rho: float) -> None:
    # the covariance of some scans is that part of the covariance of all
    whole = np.linalg.inv(dense(autoregressive(np.arange(46), (rho,))))
    part = np.linalg.inv(dense(autoregressive(GAPS, (rho,))))
    np.testing.assert_allclose(part, whole[np.ix_(GAPS, GAPS)], rtol=0, atol=CLOSE)


@RHOS
def test_piecewise_whitening_leaves_the_first_scan_of_each_piece(rho: float) -> None:
    n = GAPS.size
    whiten = np.eye(n)
    for t in range(1, n):
        if GAPS[t] - GAPS[t - 1] == 1:
            whiten[t, t - 1] = -rho
    found = whitened_in_pieces(GAPS, (rho,))
    # the marginal variance is that of the innovations over 1 - rho²
    expected = whiten.T @ whiten / (1 - rho**2)
    np.testing.assert_allclose(dense(found), expected, rtol=CLOSE, atol=CLOSE)
    assert found.log_determinant == pytest.approx(-np.linalg.slogdet(expected)[1], abs=CLOSE)
    np.testing.assert_array_equal(chain_in_pieces(GAPS, (rho,)).toarray(), dense(found))


@SCANS
@pytest.mark.parametrize("name", CORRELATION_MODELS)
def test_chain_is_the_precision_alone(name: str, scans: IntArray) -> None:
    model = CORRELATION_MODELS[name]
    for parameters in model.box.nodes[::7]:
        if model.chain is not None:
            expected = dense(model.at(scans, parameters))
            found = model.chain(scans, parameters).toarray()
            np.testing.assert_array_equal(found, expected)


def test_every_noise_model_but_white_noise_has_its_correlation() -> None:
    assert set(CORRELATION_MODELS) == set(NOISE_MODELS) - {"ols"}
    for model in CORRELATION_MODELS.values():
        assert len(model.parameters) == len(model.box.axes)


@SCANS
@pytest.mark.parametrize("name", CORRELATION_MODELS)
def test_reading_of_series_is_that_of_the_precision(
    name: str, scans: IntArray, rng: np.random.Generator
) -> None:
    model = CORRELATION_MODELS[name]
    basis = np.linalg.qr(rng.normal(size=(scans.size, 4)))[0]
    series = rng.normal(size=(scans.size, 9))
    residuals = series - basis @ (basis.T @ series)
    factors, rows = ([rng.normal(size=(size, 4)) for _ in model.box.nodes] for size in (4, 2))
    reading = make_reading(model, scans, basis, factors, rows)
    read = reading.read(series)
    np.testing.assert_allclose(read.ordinary.coordinates, basis.T @ series, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(read.ordinary.rss, (residuals**2).sum(axis=0), rtol=CLOSE)
    adjacent = np.flatnonzero(np.diff(scans) == 1)
    lagged = (residuals[adjacent] * residuals[adjacent + 1]).sum(axis=0)
    np.testing.assert_allclose(read.lagged, lagged, rtol=0, atol=CLOSE * scans.size)
    for node, theta in enumerate(model.box.nodes):
        precision = dense(model.at(scans, theta))
        moved = basis.T @ precision @ residuals
        total, taken = (residuals * (precision @ residuals)).sum(axis=0), factors[node] @ moved
        off = (read.left[node] - (total - (taken**2).sum(axis=0))) / total
        np.testing.assert_allclose(off, 0.0, rtol=0, atol=1e-8)
        expected = rows[node] @ moved
        scale = np.abs(expected).max()
        found = read.added(np.repeat(np.eye(len(factors))[:, [node]], 9, axis=1))
        np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=1e-7)


@SCANS
def test_whitener_takes_each_columns_correlation_away(scans: IntArray) -> None:
    rhos, shares = np.array([0.0, 0.9, -0.6, 0.8]), np.array([0.0, 0.0, 0.3, 1.0])
    for v, (rho, white) in enumerate(zip(rhos, shares, strict=True)):
        whiten = Whitener.of(scans, rho, white).whiten(np.eye(scans.size))
        np.testing.assert_allclose(
            whiten @ matrix(scans, rho, white) @ whiten.T, np.eye(scans.size), atol=CLOSE
        )
        one = np.zeros((scans.size, 4))
        one[:, v] = np.sin(scans)
        both = Whitener.of(scans, rhos, shares).whiten(one)
        np.testing.assert_allclose(both[:, v], whiten @ np.sin(scans), rtol=0, atol=CLOSE)
