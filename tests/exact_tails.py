"""The tails of t and F and the normal quantile in arbitrary precision, by series that converge."""

from __future__ import annotations

import mpmath as mp


def log_upper_t(t: float, dof: float) -> mp.mpf:
    """Return log P(T > t), t > 0, by hypergeometric series whose terms are all positive.

    Where t² is not small beside the degrees of freedom the tail itself is a series that
    converges; elsewhere the central part is, and enough digits survive the difference from 1/2.
    """
    tail = t**2 > dof / 100
    with mp.workdps(60 if tail else 60 + int(t**2 / 4)):
        a, square = mp.mpf(dof) / 2, mp.mpf(t) ** 2
        x, y = dof / (dof + square), square / (dof + square)
        log_power = a * mp.log(x) + mp.log(y) / 2
        log_beta = mp.loggamma(a) + mp.log(mp.pi) / 2 - mp.loggamma(a + 0.5)
        if tail:
            series = positive_series(a + 0.5, a + 1, x)
            return log_power - log_beta - mp.log(2 * a) + mp.log(series)
        centre = 2 * mp.exp(log_power - log_beta) * positive_series(a + 0.5, mp.mpf(1.5), y)
        return mp.log((1 - centre) / 2)


def log_upper_f(f: float, numerator_dof: float, denominator_dof: float) -> mp.mpf:
    """Return log P(F > f), f > 0, likewise: below the mean from the lower tail.

    The upper tail is a series in nu / (nu + q f), which is too near 1 where q f is small beside
    nu; there too the lower tail is subtracted from 1, with enough digits for what is left.
    """
    ratio = numerator_dof * f / denominator_dof
    lower = f < 1 or ratio < 0.01
    with mp.workdps(60 + int(numerator_dof * f / 4) if lower else 60):
        a, b = mp.mpf(denominator_dof) / 2, mp.mpf(numerator_dof) / 2
        x, y = a / (a + b * f), b * f / (a + b * f)
        log_power = a * mp.log(x) + b * mp.log(y)
        log_beta = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
        if not lower:
            return log_power - log_beta - mp.log(a) + mp.log(positive_series(a + b, a + 1, x))
        log_lower = log_power - log_beta - mp.log(b) + mp.log(positive_series(a + b, b + 1, y))
        if log_lower < -50:
            return -mp.exp(log_lower) - mp.exp(2 * log_lower) / 2
        return mp.log1p(-mp.exp(log_lower))


def positive_series(b: mp.mpf, c: mp.mpf, x: mp.mpf) -> mp.mpf:
    """Return the hypergeometric function F(1, b; c; x) for positive arguments, x < 1."""
    term = total = mp.mpf(1)
    n = 0
    while term > total * mp.eps * (1 - x):
        term *= (b + n) / (c + n) * x
        total += term
        n += 1
    return total


def normal_quantile(log_tail: mp.mpf, start: float) -> mp.mpf:
    """Return z with log P(Z > z) = log_tail, by Newton from a start."""
    with mp.workdps(60):
        z = mp.mpf(start)
        for _ in range(60):
            tail = mp.erfc(z / mp.sqrt(2)) / 2
            step = (mp.log(tail) - log_tail) * tail / (mp.npdf(z))
            z += step
            if abs(step) < mp.mpf(10) ** -40 * max(1, abs(z)):
                return z
        raise AssertionError("Newton's iteration did not converge")
