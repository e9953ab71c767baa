"""Tails of Student's t and of F in log space, and the z of the same tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, erfinv, gammaln, ndtri_exp, stdtr

FloatArray = npt.NDArray[np.float64]

#: Below this probability the series of the far tail counts: scipy's functions lose digits from
#: 1e-280 on, and the series is good wherever F times its numerator degrees of freedom is > 900.
_FAR = 1e-200
#: Terms of that series below this share of the sum are left out.
_LAST_TERM = 1e-17
#: Enough terms for 1e6 numerator degrees of freedom, where 820 do; up to 200 some 20 do.
_MAX_TERMS = 10_000
#: From here on three terms of Stirling's series are exact to 3e-14 (the next is z**-7 / 1680).
_LARGE_SHAPE = 30.0
#: Up to this shape the beta distribution's tail may be taken from the rounded larger of x and
#: 1 - x, at a relative error of 1e4 / 2**53; scipy's ``betaincc`` takes ten times as long.
_FEW = 1e4
#: Stands for infinite degrees of freedom.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FStatistics:
    """An F statistic and its tail, each an ndarray of the shape of the F values.

    Parameters
    ----------
    f : ndarray
        Values of F.
    z : ndarray
        Standard normal deviate of which p is the two-sided p, so >= 0: z > 3.29 is p < .001 as
        it is for a t.
    p : ndarray
        Upper tail; 0 only below the smallest double.
    logp : ndarray
        -log10 p, without any ceiling.
    """

    f: FloatArray
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


def f_statistics(
    f: npt.ArrayLike, numerator_dof: npt.ArrayLike, denominator_dof: npt.ArrayLike
) -> FStatistics:
    r"""Return z, p and -log10 p of F values.

    Parameters
    ----------
    f : array_like
        Values of F, >= 0; an infinite one has p = 0.
    numerator_dof, denominator_dof : array_like
        Degrees of freedom, as for `log_sf_f`, of shapes that broadcast with `f`.

    Returns
    -------
    FStatistics
        NaN in all four where an argument is NaN, `f` is negative, degrees of freedom are not
        > 0 or those of the numerator are infinite.

    Notes
    -----
    :math:`z = \Phi^{-1}(1 - p / 2)`, from log p; above p = 1/2 it is
    :math:`\sqrt 2\, \mathrm{erf}^{-1}(1 - p)` (DLMF 7.17.1) of the lower tail, which keeps its
    digits where z goes to 0. With one numerator degree of freedom and F = t², z is \|z\| of t.
    In the domain of `log_sf_f` the error of z is below 1e-11 max(1, z).

    Examples
    --------
    >>> float(np.round(f_statistics(2.25, 1, np.inf).z, 12))
    1.5
    """
    value, q, nu = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (f, numerator_dof, denominator_dof))
    )
    value = np.where((value >= 0) & (q > 0) & np.isfinite(q) & (nu > 0), value, np.nan)
    lower, log_p = _f_tails(value, q, nu)
    z = np.where(
        log_p > -math.log(2),
        math.sqrt(2) * erfinv(lower),
        -ndtri_exp(log_p - math.log(2)),
    )
    return FStatistics(f=value, z=z, p=np.exp(log_p), logp=-log_p / math.log(10))


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
    scipy's ``stdtr`` where the tail is above 1e-200; below, half the far tail of F = t² with one
    numerator degree of freedom (see `log_sf_f`). For 1 <= dof <= 1e6 and \|t\| up to 1e4 the
    relative error is below 1e-12, of the logarithm and of the tail itself, on both sides. A
    finite t beyond 1e150 counts as 1e150.

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
    far = (tail < _FAR) & np.isfinite(size)
    with np.errstate(divide="ignore"):  # log 0 of an infinite t
        log_tail = np.log(tail)
    many = np.minimum(nu[far], _MANY)
    odds = many / np.square(np.minimum(size[far], 1e150))  # keeps the square finite
    log_tail[far] = _log_small_beta(many / 2, np.full_like(many, 0.5), odds) - math.log(2)
    log_sf = np.where(value < 0, np.log1p(-np.exp(log_tail)), log_tail)
    return log_sf.reshape(t_all.shape)


def log_sf_f(
    f: npt.ArrayLike, numerator_dof: npt.ArrayLike, denominator_dof: npt.ArrayLike
) -> FloatArray:
    r"""Return the natural logarithm of the upper tail of the F distribution.

    Parameters
    ----------
    f : array_like
        Values of F.
    numerator_dof : array_like
        Numerator degrees of freedom q, real, finite, > 0.
    denominator_dof : array_like
        Denominator degrees of freedom, real, > 0; infinite ones mean chi-square over q.

    Returns
    -------
    ndarray
        log P(F > f), 0 for a negative `f`; NaN where an argument is NaN, degrees of freedom are
        not > 0 or those of the numerator are infinite.

    Notes
    -----
    With :math:`a = \nu / 2, b = q / 2, x = \nu / (\nu + q f), y = 1 - x` the tail is
    :math:`I_x(a, b) = 1 - I_y(b, a)` (DLMF 8.17.2 and 8.17.4), of which scipy's ``betainc`` and
    ``betaincc`` give both sides from the smaller of x and y: with more than 1000 degrees of
    freedom the larger has lost what the tail depends on. Below 1e-200, on either side,

    .. math:: I_x(a, b) = \frac{x^a y^{b - 1}}{a B(a, b)} F(1 - b, 1; a + 1; -x / y)

    (DLMF 8.17.8 and 15.8.1). For 1 <= q <= 200, 1 <= dof <= 1e6 or infinite and F up to 1e8 the
    relative error is below 1e-11, of the logarithm and of the tail itself. An F between 0 and
    1e-270 counts as 1e-270, a finite one beyond 1e270 as 1e270.

    Examples
    --------
    >>> float(np.round(log_sf_f(3.0, 2, 4), 12)) == round(2 * math.log(0.4), 12)
    True
    """
    value, q, nu = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (f, numerator_dof, denominator_dof))
    )
    value = np.where((q > 0) & np.isfinite(q) & (nu > 0), np.maximum(value, 0.0), np.nan)
    return _f_tails(value, q, nu)[1]


def _f_tails(f: FloatArray, q: FloatArray, nu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return P(F < f) and log P(F > f) of arrays of one shape; NaN where f is NaN."""
    bad = np.isnan(f).ravel()
    a = np.where(bad, 1.0, np.minimum(nu, _MANY).ravel()) / 2
    b = np.where(bad, 1.0, q.ravel()) / 2
    with np.errstate(divide="ignore"):  # F = 0
        size = np.where((f == 0) | np.isinf(f), f, np.clip(f, 1e-270, 1e270))
        odds = size.ravel() * (b / a)
        inverse = 1 / odds
    near = odds < 1
    first, second = np.where(near, b, a), np.where(near, a, b)
    small = np.minimum(odds, inverse)
    part = small / (1 + small)
    side = np.asarray(betainc(first, second, part))
    other = 1 - side
    large = side > 0.75  # else the difference from 1 has all digits but two binary ones
    few = large & (np.maximum(a, b) <= _FEW)
    other[few] = betainc(second[few], first[few], 1 / (1 + small[few]))
    many = large & ~few
    other[many] = betaincc(first[many], second[many], part[many])
    lower = np.exp(_log_beta_tail(np.where(near, side, other), b, a, odds))
    log_upper = _log_beta_tail(np.where(near, other, side), a, b, inverse)
    with np.errstate(divide="ignore"):  # log 0 where the upper tail is the small one
        log_upper = np.where(lower < 0.5, np.log1p(-lower), log_upper)
    return lower.reshape(f.shape), log_upper.reshape(f.shape)


def _log_beta_tail(tail: FloatArray, a: FloatArray, b: FloatArray, odds: FloatArray) -> FloatArray:
    """Return log I_x(a, b) from its value, and from its series where that is too small."""
    far = (tail < _FAR) & (odds > 0)
    with np.errstate(divide="ignore"):  # log 0, of F = 0 or infinity
        log_tail = np.log(tail)
    log_tail[far] = _log_small_beta(a[far], b[far], odds[far])
    return log_tail


def _log_small_beta(a: FloatArray, b: FloatArray, odds: FloatArray) -> FloatArray:
    r"""Return log I_x(a, b) far below the mean of the beta distribution, from x / (1 - x).

    Notes
    -----
    The series of `log_sf_f`. Its factor is :math:`a \int_0^1 (1 - s)^{a - 1} (1 + w s)^{b - 1} ds`
    with w = x / (1 - x) (DLMF 15.6.1): from term b on the signs alternate, and the first term
    left out bounds all that is left out, converge the series or not. Before, the terms are
    positive and fall by w (b - 1 - k) / (a + 1 + k), which is below 1/2 for q <= 200.
    """
    total, term = np.ones_like(a), np.ones_like(a)
    for k in range(_MAX_TERMS):
        term = term * ((b - 1 - k) / (a + 1 + k) * odds)
        total = total + term
        if (np.abs(term) <= _LAST_TERM * total).all():
            break
    log_x, log_y = -np.log1p(1 / odds), -np.log1p(odds)
    log_beta = gammaln(np.minimum(a, b)) - _log_gamma_ratio(np.maximum(a, b), np.minimum(a, b))
    return np.asarray(a * log_x + (b - 1) * log_y - np.log(a) - log_beta + np.log(total))


def _log_gamma_ratio(a: FloatArray, shift: FloatArray) -> FloatArray:
    """Return log Gamma(a + shift) - log Gamma(a), without the cancellation at large a."""
    large, small = np.maximum(a, _LARGE_SHAPE), np.minimum(a, _LARGE_SHAPE)
    ratio = (
        (large + shift - 0.5) * np.log1p(shift / large)
        + shift * (np.log(large) - 1)
        + _stirling(large + shift)
        - _stirling(large)
    )
    direct = np.asarray(gammaln(small + shift) - gammaln(small))
    return np.where(a < _LARGE_SHAPE, direct, ratio)


def _stirling(z: FloatArray) -> FloatArray:
    """Return what log Gamma(z) is above Stirling's formula (DLMF 5.11.1), z >= 30."""
    series = np.polynomial.polynomial.polyval(z**-2, [1 / 12, -1 / 360, 1 / 1260])
    return np.asarray(series / z)
