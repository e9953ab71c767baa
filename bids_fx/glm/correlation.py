"""Models of the noise's correlation over time, exact where scans are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from bids_fx.glm.chebyshev import FISHER, Axis, Box, log_ratio

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Bounds of the autocorrelation that is estimated. Beyond the upper one a run of some hundred
#: scans cannot tell noise from drift; below the lower one there is no such noise.
RHO_BOUNDS = (-0.9, 0.98)
#: Bounds of the autoregressive part beside white noise. At 0 the two parts are one.
MIXED_RHO_BOUNDS = (0.1, 0.98)
#: How small an autoregressive part's spectrum gets at the highest frequency, and its inverse how
#: large at the lowest. A share of that size of either part counts already, so that functions of
#: the share are smooth in the logarithm of the ratio of the two, each with this added.
WHITE_OFFSET = (1 - MIXED_RHO_BOUNDS[1]) / (1 + MIXED_RHO_BOUNDS[1])
#: Yule and Walker's quotient of two differently divided sums can pass 1.
YULE_WALKER_LIMIT = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """The correlation of n scans at one value of the noise parameters.

    Parameters
    ----------
    precision : ndarray or sparse array of shape (n, n)
        Inverse of the correlation matrix R.
    log_determinant : float
        log |R|.
    derivatives : tuple of ndarray of shape (n, n)
        Of R by each parameter.
    """

    precision: FloatArray | sparse.dia_array
    log_determinant: float
    derivatives: tuple[FloatArray, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationModel:
    r"""A family of correlations over a box of parameters.

    Parameters
    ----------
    parameters : tuple of str
        What they are, named as their maps: ``ar1``, the autocorrelation at a lag of one scan of
        the autoregressive part; ``white``, the share of white noise in the variance.
    box : Box
        Bounds and nodes. `parameters` in the same order.
    at : callable
        From scans (whole numbers, increasing) and parameters to the `Correlation`.
    chain : callable or None
        From scans and parameters to the precision alone, where it is tridiagonal; between scans
        one apart its elements are :math:`-\rho / (1 - \rho^2)`, and
        :math:`(1 + \rho^2) / (1 - \rho^2)` on the diagonal of a scan between two such.
    likelihood : bool
        Whether parameters are estimated by restricted maximum likelihood.
    """

    parameters: tuple[str, ...]
    box: Box
    at: Callable[[IntArray, tuple[float, ...]], Correlation]
    chain: Callable[[IntArray, tuple[float, ...]], sparse.dia_array] | None
    likelihood: bool


def autoregressive(scans: IntArray, parameters: tuple[float, ...]) -> Correlation:
    r"""Return the correlation of a stationary autoregression of order 1.

    Parameters
    ----------
    scans : ndarray of int, shape (n,)
        Numbers of the scans that are there, increasing.
    parameters : tuple of float
        :math:`\rho`, between -1 and 1.

    Returns
    -------
    Correlation
        :math:`R_{st} = \rho^{|s - t|}`. Across a gap of :math:`\Delta` scans the process goes on
        with correlation :math:`\rho^\Delta` and innovation variance :math:`1 - \rho^{2\Delta}`,
        which is what integrating out the missing scans gives.

    Examples
    --------
    >>> np.linalg.inv(autoregressive(np.array([0, 1, 3]), (0.5,)).precision.toarray())[2].round(9)
    array([0.125, 0.25 , 1.   ])
    """
    (rho,) = parameters
    return Correlation(
        precision=autoregressive_chain(scans, parameters),
        log_determinant=float(np.log1p(-(rho ** (2 * np.diff(scans)))).sum()),
        derivatives=(_of_lags(_slopes(rho, scans), scans),),
    )


def autoregressive_chain(scans: IntArray, parameters: tuple[float, ...]) -> sparse.dia_array:
    """Return the precision of `autoregressive` alone."""
    step = parameters[0] ** np.diff(scans)
    return _tridiagonal(step, 1 - step**2, first=1.0)


def autoregressive_spectrum(scans: IntArray, rho: float) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues (n,) and eigenvectors, columns of (n, n), of `autoregressive`'s R."""
    values, vectors = np.linalg.eigh(_of_lags(_powers(rho, scans), scans))
    return values, vectors


def whitened_in_pieces(scans: IntArray, parameters: tuple[float, ...]) -> Correlation:
    r"""Return what whitening by :math:`y_t - \rho y_{t-1}` takes for the correlation.

    The first scan, and each one after a gap, is left as it is: a piece starts there. That is
    what nilearn does in a run without gaps; its marginal variance is that of the scans within.
    """
    chain = chain_in_pieces(scans, parameters)
    log_determinant = float(scans.size * np.log(1 - parameters[0] ** 2))
    return Correlation(precision=chain, log_determinant=log_determinant, derivatives=())


def chain_in_pieces(scans: IntArray, parameters: tuple[float, ...]) -> sparse.dia_array:
    """Return the precision of `whitened_in_pieces` alone."""
    (rho,) = parameters
    variance = 1 - rho**2
    step = np.where(np.diff(scans) == 1, rho, 0.0)
    return _tridiagonal(step, np.full(step.size, variance), first=variance)


def autoregressive_and_white(scans: IntArray, parameters: tuple[float, ...]) -> Correlation:
    r"""Return the correlation of an autoregression of order 1 plus white noise.

    Parameters
    ----------
    scans : ndarray of int, shape (n,)
        Numbers of the scans that are there, increasing.
    parameters : tuple of float
        :math:`\rho`, and the share :math:`w` of white noise in the variance, from 0 to 1.

    Returns
    -------
    Correlation
        :math:`R = w I + (1 - w) \rho^{|s - t|}`: an ARMA(1, 1) process (Granger and Morris
        1976, J R Stat Soc A 139:246), the family that AFNI's 3dREMLfit fits.

    Examples
    --------
    >>> np.linalg.inv(autoregressive_and_white(np.array([0, 2]), (0.5, 0.2)).precision)[1].round(9)
    array([0.2, 1. ])
    """
    rho, white = parameters
    smooth = _of_lags(_powers(rho, scans), scans)
    identity = np.eye(scans.size)
    matrix = white * identity + (1 - white) * smooth
    factor = cho_factor(matrix, lower=True)
    return Correlation(
        precision=cho_solve(factor, identity),
        log_determinant=float(2 * np.log(np.diag(factor[0])).sum()),
        derivatives=(_of_lags((1 - white) * _slopes(rho, scans), scans), identity - smooth),
    )


#: Every model that needs more than ordinary least squares, by the name that users write. With
#: these numbers of nodes t is read off exact to about 1e-6 with one parameter. With two it is to
#: 5e-4 in the median voxel and 5e-3 in 99 of 100, which is little beside what the uncertainty of
#: the parameters costs.
CORRELATION_MODELS: dict[str, CorrelationModel] = {
    "ar1-yw": CorrelationModel(
        parameters=("ar1",),
        box=Box((Axis(-YULE_WALKER_LIMIT, YULE_WALKER_LIMIT, 72, FISHER),)),
        at=whitened_in_pieces,
        chain=chain_in_pieces,
        likelihood=False,
    ),
    "ar1": CorrelationModel(
        parameters=("ar1",),
        box=Box((Axis(*RHO_BOUNDS, 48, FISHER),)),
        at=autoregressive,
        chain=autoregressive_chain,
        likelihood=True,
    ),
    "arma11": CorrelationModel(
        parameters=("ar1", "white"),
        box=Box(
            (Axis(*MIXED_RHO_BOUNDS, 10, FISHER), Axis(0.0, 1.0, 16, log_ratio(WHITE_OFFSET)))
        ),
        at=autoregressive_and_white,
        chain=None,
        likelihood=True,
    ),
}


def _of_lags(table: FloatArray, scans: IntArray) -> FloatArray:
    """Return the matrix of what a table, by the lag, holds for every two scans."""
    lags = np.subtract.outer(scans, scans)
    return table.take(np.abs(lags, out=lags))


def _powers(rho: float, scans: IntArray) -> FloatArray:
    """Return powers of rho by the lag, as far as the scans reach."""
    return np.asarray(rho ** np.arange(scans[-1] - scans[0] + 1))


def _slopes(rho: float, scans: IntArray) -> FloatArray:
    """Return the derivatives by rho of `_powers`."""
    powers = _powers(rho, scans)
    return np.append(0.0, np.arange(1, powers.size) * powers[:-1])


def _tridiagonal(step: FloatArray, variances: FloatArray, *, first: float) -> sparse.dia_array:
    """Return the precision of a chain: y_0, then y_t - step_t y_{t-1}, of these variances."""
    n = step.size + 1
    diagonal = np.zeros(n)
    diagonal[0] = 1 / first
    diagonal[1:] += 1 / variances
    diagonal[:-1] += step**2 / variances
    beside = -step / variances
    return sparse.diags_array([beside, diagonal, beside], offsets=[-1, 0, 1], shape=(n, n))
