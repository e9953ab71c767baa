"""What is left of the noise's correlation once a model has taken its part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bids_fx.glm.correlation import IntArray
from bids_fx.glm.generalized import Generalized
from bids_fx.glm.readings import Whitener, make_reading

FloatArray = npt.NDArray[np.float64]

#: Lags that are looked at, in kept scans.
LAGS = (1, 2, 3)
#: Two-sided 5 % of the normal distribution.
_NORMAL_95 = 1.96


def whiteness(
    series: FloatArray,
    basis: FloatArray,
    scans: IntArray,
    generalized: Generalized | None,
    parameters: Sequence[FloatArray],
) -> dict[str, float]:
    r"""Measure the autocorrelation of residuals, before and after whitening.

    Parameters
    ----------
    series : ndarray of shape (n_scans, n_voxels)
        Data of some voxels, all finite and fitted.
    basis : ndarray of shape (n_scans, rank)
        Orthonormal basis of the design.
    scans : ndarray of int, shape (n_scans,)
        Numbers of the scans that are there.
    generalized : Generalized or None
        The fit's noise model; None for white noise.
    parameters : sequence of ndarray of shape (n_voxels,)
        The noise parameters of the voxels.

    Returns
    -------
    dict of str to float
        ``residual_autocorrelation_lag1``: of the residuals of ordinary least squares;
        ``whitened_autocorrelation_lag1`` to ``lag3``: of the whitened residuals of the fit, the
        model's own (for white noise the same residuals). Each is the median over the voxels of
        the autocorrelation beyond what the design's projection leaves in white noise, and so
        about 0 for noise that follows the model. ``whitened_outside_share``: share of voxels and
        lags beyond plus and minus :math:`1.96 / \sqrt{n - r}`, about 0.05 for such noise.

    Notes
    -----
    Projecting the design out leaves white noise correlated: with H the projection onto the
    whitened design, the expected sum of products at lag k is :math:`-\sum_t H_{t, t-k}` times the
    variance, and that of the squares n - r times. Whitening is by Kalman's filter, exact across
    gaps, with the fit's own parameters, also where the fit whitened in pieces; lags are counted in
    kept scans.
    """
    coordinates = basis.T @ series
    residuals = series - basis @ coordinates
    before = _excess(residuals, _left_by_design(basis, np.eye(basis.shape[1])))
    after = before
    if generalized is not None:
        after = _whitened_excess(residuals, scans, generalized, parameters)
    limit = _NORMAL_95 / np.sqrt(basis.shape[0] - basis.shape[1])
    measures = {"residual_autocorrelation_lag1": float(np.median(before[0]))}
    measures |= {
        f"whitened_autocorrelation_lag{lag}": float(np.median(values))
        for lag, values in zip(LAGS, after, strict=True)
    }
    return measures | {"whitened_outside_share": float((np.abs(after) > limit).mean())}


def _whitened_excess(
    residuals: FloatArray,
    scans: IntArray,
    generalized: Generalized,
    parameters: Sequence[FloatArray],
) -> FloatArray:
    """Return the excess autocorrelation of the whitened residuals, shape (n_lags, n_voxels)."""
    model, basis = generalized.model, generalized.basis
    rank = basis.shape[1]
    factors = [reader[:rank] for reader in generalized.table.readers]
    covariances = [factor.T @ factor for factor in factors]
    read = make_reading(model, scans, basis, covariances)
    weights = model.box.weights(model.box.coordinates(parameters))
    step = np.zeros((rank, residuals.shape[1]))
    for node, (_, coefficients) in enumerate(read(residuals)):
        step += weights[node] * coefficients
    whitened = Whitener.of(scans, *parameters).whiten(residuals - basis @ step)
    expected = np.array(
        [
            _left_by_design(Whitener.of(scans, *node).whiten(basis), covariance)
            for node, covariance in zip(model.box.nodes, covariances, strict=True)
        ]
    )
    return _excess(whitened, expected.T @ weights)


def _excess(residuals: FloatArray, expected: FloatArray) -> FloatArray:
    """Return the autocorrelations at each lag less what is expected of white noise."""
    squares = np.einsum("tv,tv->v", residuals, residuals)
    found = [np.einsum("tv,tv->v", residuals[k:], residuals[:-k]) / squares for k in LAGS]
    return np.stack(found) - expected.reshape(len(LAGS), -1)


def _left_by_design(design: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the autocorrelation at each lag that projecting a design out leaves."""
    half = design @ covariance
    dof = design.shape[0] - design.shape[1]
    return np.array([-np.einsum("tr,tr->", half[k:], design[:-k]) / dof for k in LAGS])
