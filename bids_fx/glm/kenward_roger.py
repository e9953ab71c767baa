"""The F distribution that a Wald statistic with an estimated covariance is referred to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def f_reference(a1: npt.ArrayLike, a2: npt.ArrayLike, q: int) -> tuple[FloatArray, FloatArray]:
    r"""Return the scale of a Wald F and its denominator degrees of freedom.

    Parameters
    ----------
    a1, a2 : array_like
        Kenward and Roger's :math:`A_1` and :math:`A_2`, of shapes that broadcast; >= 0, and
        :math:`A_1 \le q A_2` as Cauchy and Schwarz have it.
    q : int
        Rows of the contrast, the numerator degrees of freedom; >= 1.

    Returns
    -------
    scale, dof : ndarray
        `scale` times :math:`F = b' \Phi_A^{-1} b / q` is referred to F with `q` and `dof`
        degrees of freedom. NaN where an argument is NaN or :math:`A_2 < 0`.

    Raises
    ------
    ValueError
        If `q` < 1.

    Notes
    -----
    With a covariance :math:`\Phi` of the rows that depends on parameters :math:`\sigma_i`
    estimated with the covariance :math:`W`, and :math:`\Theta = \Phi^{-1}`,

    .. math:: A_1 = \sum_{ij} W_{ij} \operatorname{tr}(\Theta \dot\Phi_i)
                    \operatorname{tr}(\Theta \dot\Phi_j), \quad
              A_2 = \sum_{ij} W_{ij} \operatorname{tr}(\Theta \dot\Phi_i \Theta \dot\Phi_j)

    Kenward and Roger (1997, Biometrics 53:983) match two moments of the statistic:

    .. math:: B = \frac{A_1 + 6 A_2}{2q}, \quad
              g = \frac{(q + 1) A_1 - (q + 4) A_2}{(q + 2) A_2}, \quad
              (c_1, c_2, c_3) = \frac{(g,\; q - g,\; q + 2 - g)}{3q + 2(1 - g)},

    .. math:: E^* = \frac{1}{1 - A_2 / q}, \quad
              V^* = \frac{2}{q} \frac{1 + c_1 B}{(1 - c_2 B)^2 (1 - c_3 B)}, \quad
              \rho = \frac{V^*}{2 E^{*2}},

    .. math:: m = 4 + \frac{q + 2}{q \rho - 1}, \quad \lambda = \frac{m}{E^* (m - 2)}.

    :math:`q \rho - 1` is a difference of products near 1 where :math:`A_2` is small. It is
    multiplied out here: the ones cancel, and as :math:`c_1 + 2 c_2 + c_3 = 1` the terms of first
    order are :math:`(A_1 + 2 A_2) / 2q`.

    Edges: :math:`q = 1` gives scale 1 and 2 / `a2` exactly, for any `a2`. `a2` = 0, a known
    covariance, gives scale 1 and infinite degrees of freedom. From :math:`c_3 B = 1` on (there
    :math:`m` has come down to 4, before :math:`A_2 = q` and :math:`c_2 B = 1`) there is no second
    moment to match: scale 1 and :math:`2 q / A_2`, which is what the formulas continue to where
    one variance is all that is estimated (:math:`A_1 = q A_2`, an exact F).

    Examples
    --------
    >>> scale, dof = f_reference(2 * 3**2 / 40, 2 * 3 / 40, 3)  # one variance of dof 40
    >>> round(float(scale), 12), round(float(dof), 10)
    (1.0, 40.0)
    """
    if q < 1:
        raise ValueError(f"a contrast has at least one row, found {q}")
    first, second = np.broadcast_arrays(
        np.asarray(a1, dtype=np.float64), np.asarray(a2, dtype=np.float64)
    )
    known = np.isfinite(first) & (second >= 0)
    with np.errstate(divide="ignore"):  # a known covariance has infinite degrees of freedom
        one_variance = 2 * q / np.where(known, second, np.nan)
    scale, dof = np.where(known, 1.0, np.nan), one_variance
    if q == 1:
        return scale, dof
    usable = known & (second > 0)
    matched, match_scale, match_dof = _match_moments(
        np.where(usable, first, q), np.where(usable, second, 1.0), q
    )
    usable &= matched
    return np.where(usable, match_scale, scale), np.where(usable, match_dof, dof)


def _match_moments(
    a1: FloatArray, a2: FloatArray, q: int
) -> tuple[npt.NDArray[np.bool_], FloatArray, FloatArray]:
    """Tell where F has two moments, and return its scale and degrees of freedom there."""
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * (a1 / a2) - (q + 4)) / (q + 2)
    c1, c2, c3 = (part / (3 * q + 2 * (1 - g)) for part in (g, q - g, q + 2 - g))
    matched = c3 * b < 1
    a, b1, b2, b3 = a2 / q, *(c * np.where(matched, b, 0.0) for c in (c1, c2, c3))
    below = (1 - b2) ** 2 * (1 - b3)
    # q rho - 1 = excess / below, by order
    excess = (
        (a1 + 2 * a2) / (2 * q)
        + (a**2 - 2 * a * b1 - b2**2 - 2 * b2 * b3)
        + (a**2 * b1 + b2**2 * b3)
    )
    inverse_dof = excess / (4 * excess + (q + 2) * below)
    return matched, (1 - a) / (1 - 2 * inverse_dof), 1 / inverse_dof
