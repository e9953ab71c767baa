"""Tails of Student's t in log space, and the z of the same tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtri_exp, stdtr

FloatArray = npt.NDArray[np.float64]

#: Below this scipy's ``stdtr`` nears the smallest normal double and loses digits; t > 35 there.
_SMALLEST_P = 1e-280
#: Terms of the series of the far tail. The first one left out is below 23!!/35**24 < 1e-25.
_N_TERMS = 12
#: From here on five terms of the expansion of log Gamma(a + 1/2) - log Gamma(a) are exact to
#: 1e-15; below, the difference of two logarithms is.
_LARGE_SHAPE = 30.0
#: Stands for infinite degrees of freedom in the far tail.
_MANY = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class TStatistics:
    """A t statistic and its tail, each an ndarray of the shape of the effects.

    Parameters
    ----------
    t : ndarray
        Effect over its standard error.
    z : ndarray
        Standard normal deviate of the same tail.
    p : ndarray
        One-sided p, the upper tail; 0 only below the smallest double.
    logp : ndarray
        -log10 p, without any ceiling.
    """

    t: FloatArray
    z: FloatArray
    p: FloatArray
    logp: FloatArray


def t_statistics(
    effect: npt.ArrayLike, variance: npt.ArrayLike, dof: npt.ArrayLike
) -> TStatistics:
    """Return t, z, p and -log10 p of effects.

    Parameters
    ----------
    effect, variance, dof : array_like
        Effects, their variances and degrees of freedom, of shapes that broadcast.

    Returns
    -------
    TStatistics
        NaN in all four where an argument is NaN, the effect is infinite, the variance is not
        finite and > 0 (whatever the effect: without noise there is no test) or the degrees of
        freedom are not > 0.

    Examples
    --------
    >>> t_statistics(3.0, 4.0, np.inf).z
    array(1.5)
    """
    x, v, nu = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (effect, variance, dof))
    )
    good = np.isfinite(x) & np.isfinite(v) & (v > 0) & (nu > 0)
    with np.errstate(over="ignore"):  # an infinite t has p = 0
        t = np.where(good, x, np.nan) / np.sqrt(np.where(good, v, 1.0))
    size = np.abs(t)
    log_tail = log_sf_t(size, nu)
    log_p = np.where(t < 0, np.log1p(-np.exp(log_tail)), log_tail)
    z = np.where(t == 0, 0.0, np.copysign(ndtri_exp(log_tail), t))
    return TStatistics(t=t, z=z, p=np.exp(log_p), logp=-log_p / math.log(10))


def log_sf_t(t: npt.ArrayLike, dof: npt.ArrayLike) -> FloatArray:
    r"""Return the natural logarithm of the upper tail of Student's t.

    Parameters
    ----------
    t : array_like
        Values of t.
    dof : array_like
        Degrees of freedom, real, > 0; infinite ones mean the normal distribution.

    Returns
    -------
    ndarray
        log P(T > t); NaN where `t` is NaN or `dof` is not > 0.

    Notes
    -----
    scipy's ``stdtr`` where the tail is above 1e-280; below, with
    :math:`a = \nu / 2, x = \nu / (\nu + t^2)`,

    .. math:: P = \tfrac12 I_x(a, \tfrac12) = \frac{x^a (1 - x)^{-1/2}}{2 a B(a, \frac12)}
                  F(\tfrac12, 1; a + 1; -\nu / t^2)

    (DLMF 8.17.8 and 15.8.1). Term n + 1 of this alternating series is at most
    :math:`(2 n + 1) / t^2` times term n and bounds what is left out, so that a few terms do at
    such t, whatever the degrees of freedom. For 1 <= dof <= 1e6 and t up to 1e4 the relative
    error is below 1e-12, of the logarithm and of the tail itself. A finite t beyond 1e150 counts
    as 1e150.

    Examples
    --------
    >>> float(np.round(log_sf_t(1.0, 1.0), 12)) == round(math.log(0.25), 12)
    True
    """
    t_all, nu_all = np.broadcast_arrays(
        np.asarray(t, dtype=np.float64), np.asarray(dof, dtype=np.float64)
    )
    value, nu = t_all.ravel(), np.where(nu_all > 0, nu_all, np.nan).ravel()
    size = np.abs(value)
    tail = np.asarray(stdtr(nu, -size), dtype=np.float64)
    cauchy = nu == 1  # closed form; stdtr has only 9 digits here for tiny t
    tail[cauchy] = np.arctan2(1.0, size[cauchy]) / math.pi
    far = (tail < _SMALLEST_P) & np.isfinite(size)
    with np.errstate(divide="ignore"):  # log 0 of an infinite t
        log_tail = np.log(tail)
    log_tail[far] = _log_far_tail(size[far], nu[far])
    log_sf = np.where(value < 0, np.log1p(-np.exp(log_tail)), log_tail)
    return log_sf.reshape(t_all.shape)


def _log_far_tail(t: FloatArray, nu: FloatArray) -> FloatArray:
    """Return log P(T > t) for finite t > 35."""
    nu = np.minimum(nu, _MANY)
    square = np.square(np.minimum(t, 1e150))  # keeps the square finite
    a, odds = nu / 2, nu / square
    log_x, log_1mx = -np.log1p(square / nu), -np.log1p(odds)
    log_beta = 0.5 * math.log(math.pi) - _log_gamma_ratio(a)
    series = np.ones_like(a)
    for n in reversed(range(_N_TERMS)):
        series = 1 - (n + 0.5) / (a + 1 + n) * odds * series
    return np.asarray(a * log_x - 0.5 * log_1mx - np.log(2 * a) - log_beta + np.log(series))


def _log_gamma_ratio(a: FloatArray) -> FloatArray:
    """Return log Gamma(a + 1/2) - log Gamma(a), without the cancellation at large a."""
    inverse = 1 / np.maximum(a, _LARGE_SHAPE)
    series = np.polynomial.polynomial.polyval(
        inverse**2, [-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432]
    )
    small = np.minimum(a, _LARGE_SHAPE)
    direct = np.asarray(gammaln(small + 0.5) - gammaln(small))
    return np.where(a < _LARGE_SHAPE, direct, 0.5 * np.log(a) + inverse * series)
