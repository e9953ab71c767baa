"""Fixed effects: one contrast combined over runs, voxel by voxel over the runs that cover it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bids_fx.glm.names import COMBINATIONS, unknown_name
from bids_fx.glm.sums import sum_first, sum_of_all, sums_of_others
from bids_fx.glm.tails import log_sf_f

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Where a run has no more degrees of freedom than this the weighted mean gives way to the plain
#: one: a run's degrees of freedom minus 4 enter, and weights that vague gain little.
MIN_WEIGHTED_DOF = 8.0
#: Terms that the unweighted combination sums; those of the weights follow.
_N_PLAIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedEffects:
    """A contrast over runs; each an ndarray of shape (n_voxels,).

    Parameters
    ----------
    effect, variance : ndarray
        The combined effect and its variance; NaN where no run covers the voxel.
    dof : ndarray
        Degrees of freedom of `variance`; NaN where no run covers the voxel.
    n_runs : ndarray of int
        Number of runs that entered.
    plain : ndarray of bool
        Where a weighted combination gave way to the unweighted one, as a run has too few degrees
        of freedom; False everywhere for ``unweighted``.
    q : ndarray
        Cochran's Q; like `q_p`, `isq` and `tau2` NaN where fewer than two runs entered.
    q_p : ndarray
        p of Q by Welch's F.
    isq : ndarray
        I² in percent, from 0 to 100.
    tau2 : ndarray
        Variance between runs (DerSimonian and Laird), in squared units of the effect.
    """

    effect: FloatArray
    variance: FloatArray
    dof: FloatArray
    n_runs: IntArray
    plain: BoolArray
    q: FloatArray
    q_p: FloatArray
    isq: FloatArray
    tau2: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedEffects:
    """A sum of combinations; each an ndarray of shape (n_voxels,).

    Parameters
    ----------
    effect, variance, dof : ndarray
        The sum, its variance and its degrees of freedom; NaN where any part has none.
    n_runs : ndarray of int
        Number of runs that entered any part; 0 where a part has none.
    plain : ndarray of bool
        Where a weighted combination of any part gave way to the unweighted one.
    """

    effect: FloatArray
    variance: FloatArray
    dof: FloatArray
    n_runs: IntArray
    plain: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedEffects:
    """What is combined without one run; each an ndarray of shape (n_runs, n_voxels).

    Parameters
    ----------
    effect, variance, dof : ndarray
        Row i holds the combination without run i; NaN where no other run covers the voxel.
    """

    effect: FloatArray
    variance: FloatArray
    dof: FloatArray


def combine(
    effects: npt.ArrayLike, variances: npt.ArrayLike, dofs: npt.ArrayLike, *, combination: str
) -> CombinedEffects:
    r"""Combine the effects of runs as fixed effects.

    Parameters
    ----------
    effects, variances : array_like of shape (n_runs, n_voxels)
        Effect of each run and its variance. float32 is taken as it is and computed with in
        float64.
    dofs : array_like of shape (n_runs, n_voxels) or (n_runs, 1)
        Degrees of freedom of the variances.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    CombinedEffects
        A run enters at a voxel where its effect is finite and its variance and degrees of freedom
        are finite and > 0; elsewhere it counts as not covering the voxel. Where one run enters,
        the result is that run's, to the last bit. The order of the runs matters to rounding only.

    Raises
    ------
    ValueError
        If the shapes do not agree, there is no run, or `combination` is unknown.

    Notes
    -----
    With effects :math:`x_i`, variances :math:`v_i`, degrees of freedom :math:`\nu_i` of the
    :math:`k` runs that enter, :math:`w_i = 1 / v_i` and :math:`W = \sum w_i`:

    ``weighted``: :math:`\sum w_i x_i / W`. Its variance is more than :math:`1 / W`, as the
    weights are estimates: with Meier's correction (1953, Biometrics 9:59)

    .. math:: \frac1W \Bigl[1 + \frac4{W^2} \sum \frac{w_i (W - w_i)}{\nu'_i}\Bigr], \quad
              \nu'_i = \nu_i - \frac{4 (k - 2)}{k - 1}

    where :math:`\nu'_i` is Cochran and Carroll's (1953, Biometrics 9:447) for more than two runs.
    The degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2:110), with
    :math:`\nu_i - 4`, to which :math:`\nu'_i` comes down with many runs, in place of
    :math:`\nu_i`: :math:`W^2 / \sum (w_i^2 / (\nu_i - 4))`. Without either replacement four runs
    of 15 degrees of freedom give 1.7 false positives per 1000 at two-sided p < .001, with both
    1.15. Meier's term is exactly Kenward and Roger's adjustment for :math:`x_i \sim N(\mu, s_i
    v_i)` with scalars :math:`s_i` estimated with the variance :math:`2 / \nu_i`;
    `bids_fx.glm.joint` has it for several rows. Where a run that enters has `MIN_WEIGHTED_DOF`
    degrees of freedom or fewer, and another run enters, the voxel is combined ``unweighted``.

    ``unweighted``: :math:`\sum x_i / k`, variance :math:`\sum v_i / k^2`, degrees of freedom
    :math:`(\sum v_i)^2 / \sum (v_i^2 / \nu_i)` (Welch 1947, Biometrika 34:28; Satterthwaite 1946).

    Heterogeneity, with the weights :math:`w_i` for either combination:
    :math:`Q = \sum w_i (x_i - \bar x_w)^2` (Cochran 1954, Biometrics 10:101),
    :math:`I^2 = \max(0, (Q - (k - 1)) / Q)` (Higgins and Thompson 2002),
    :math:`\tau^2 = \max(0, (Q - (k - 1)) / (\sum w_i - \sum w_i^2 / \sum w_i))`
    (DerSimonian and Laird 1986). Chi-square would be liberal for Q; its p is Welch's (1951,
    Biometrika 38:330): with :math:`S = \sum (1 - w_i / W)^2 / \nu_i`,

    .. math:: F = \frac{Q / (k - 1)}{1 + 2 S (k - 2) / (k^2 - 1)}

    has :math:`k - 1` and :math:`(k^2 - 1) / (3 S)` degrees of freedom.

    Examples
    --------
    >>> both = combine([[1.0], [2.0]], [[1.0], [4.0]], [[20.0], [20.0]], combination="unweighted")
    >>> both.effect, both.variance
    (array([1.5]), array([1.25]))
    """
    runs = _runs(effects, variances, dofs, combination)
    scales, n_runs = _scales(runs), runs.enters.sum(axis=0, dtype=np.int64)
    terms = _terms(runs, scales, n_runs, combination)
    effect, variance, dof, plain = _estimate(sum_of_all(terms)[:, 0], scales)
    q, q_p, isq, tau2 = _heterogeneity(runs, n_runs, scales.smallest)
    return CombinedEffects(
        effect=effect,
        variance=variance,
        dof=dof,
        n_runs=n_runs,
        plain=plain,
        q=q,
        q_p=q_p,
        isq=isq,
        tau2=tau2,
    )


def leave_one_out(
    effects: npt.ArrayLike, variances: npt.ArrayLike, dofs: npt.ArrayLike, *, combination: str
) -> ReducedEffects:
    """Combine the effects of all runs but one, for each run.

    Parameters
    ----------
    effects, variances, dofs, combination
        As for `combine`.

    Returns
    -------
    ReducedEffects
        What `combine` gives without each run, up to rounding. Where a run does not enter at a
        voxel, leaving it out changes nothing.

    Raises
    ------
    ValueError
        As `combine`.

    Notes
    -----
    The cost is O(n_runs), see `bids_fx.glm.sums.sums_of_others`.
    """
    runs = _runs(effects, variances, dofs, combination)
    scales, n_runs = _scales(runs), runs.enters.sum(axis=0, dtype=np.int64)
    whole = _estimate(sum_of_all(_terms(runs, scales, n_runs, combination))[:, 0], scales)
    others = sums_of_others(_terms(runs, scales, n_runs - 1, combination))
    reduced = _estimate(others, scales)
    effect, variance, dof = (
        np.where(runs.enters, less, all_runs)
        for less, all_runs in zip(reduced[:3], whole[:3], strict=True)
    )
    return ReducedEffects(effect=effect, variance=variance, dof=dof)


def add_effects(parts: Iterable[CombinedEffects]) -> SummedEffects:
    r"""Add independent combinations, as of sessions that a contrast compares.

    Parameters
    ----------
    parts : iterable of CombinedEffects
        One or more over the same voxels, of disjoint sets of runs.

    Returns
    -------
    SummedEffects
        Not defined where any part is not. The order of the parts matters to rounding only.

    Raises
    ------
    ValueError
        If there is no part.

    Notes
    -----
    With effects :math:`x_j`, variances :math:`v_j` and degrees of freedom :math:`\nu_j`:
    :math:`\sum x_j`, its variance :math:`\sum v_j`, and degrees of freedom
    :math:`(\sum v_j)^2 / \sum (v_j^2 / \nu_j)` (Satterthwaite 1946, Biometrics Bulletin 2:110).
    That weights within a part are estimates is in its variance and degrees of freedom already.
    For :math:`\sum c_j x_j`, effects go in times :math:`c_j` and variances times :math:`c_j^2`.

    Examples
    --------
    >>> one = combine([[3.0]], [[1.0]], [[20.0]], combination="weighted")
    >>> other = combine([[-1.0]], [[2.0]], [[40.0]], combination="weighted")
    >>> both = add_effects([one, other])
    >>> both.effect, both.variance, both.dof
    (array([2.]), array([3.]), array([60.]))
    """
    found = list(parts)
    if not found:
        raise ValueError("there is nothing to add")
    v = np.stack([part.variance for part in found])
    nu = np.stack([part.dof for part in found])
    counts = np.stack([part.n_runs for part in found])
    largest = v.max(axis=0)
    share = v / largest
    return SummedEffects(
        effect=sum_first(np.stack([part.effect for part in found])),
        variance=sum_first(v),
        dof=sum_first(share) ** 2 / sum_first(share**2 / nu),
        n_runs=np.where(np.isnan(largest), 0, counts.sum(axis=0)),
        plain=np.logical_or.reduce([part.plain for part in found]) & ~np.isnan(largest),
    )


def numbers_per_voxel(n_runs: int) -> int:
    """Return how many numbers are held for a voxel while its runs are combined."""
    return 25 * n_runs + 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Runs:
    """Effects, variances and degrees of freedom, shape (n_runs, n_voxels), and where they count.

    What does not enter is replaced: effects by -0, the one number that leaves every sum as it is;
    variances and degrees of freedom by 1.
    """

    x: FloatArray
    v: FloatArray
    nu: FloatArray
    enters: BoolArray


def _runs(
    effects: npt.ArrayLike, variances: npt.ArrayLike, dofs: npt.ArrayLike, combination: str
) -> _Runs:
    """Check the arguments of `combine` and see which runs enter where."""
    if combination not in COMBINATIONS:
        raise unknown_name("combination", combination, COMBINATIONS)
    x, v, nu = (np.asarray(values, dtype=np.float64) for values in (effects, variances, dofs))
    if x.ndim != 2 or x.shape[0] == 0 or v.shape != x.shape:
        raise ValueError(
            "effects and variances must have one shape (n_runs, n_voxels) with at least one run, "
            f"found {x.shape} and {v.shape}"
        )
    if nu.shape not in (x.shape, (x.shape[0], 1)):
        raise ValueError(f"degrees of freedom must have the shape {x.shape}, found {nu.shape}")
    enters = np.isfinite(x) & np.isfinite(v) & (v > 0) & np.isfinite(nu) & (nu > 0)
    return _Runs(
        x=np.where(enters, x, -0.0),
        v=np.where(enters, v, 1.0),
        nu=np.where(enters, nu, 1.0),
        enters=enters,
    )


class _Scales(NamedTuple):
    """Largest and smallest variance of a voxel, shape (n_voxels,); 1 where no run enters.

    Variances relative to the largest and weights relative to those of the most precise run can
    neither over- nor underflow, as 1 / v and its square can.
    """

    largest: FloatArray
    smallest: FloatArray


def _scales(runs: _Runs) -> _Scales:
    covered = runs.enters.any(axis=0)
    largest = np.where(runs.enters, runs.v, 0.0).max(axis=0)
    smallest = np.where(runs.enters, runs.v, np.inf).min(axis=0)
    return _Scales(np.where(covered, largest, 1.0), np.where(covered, smallest, 1.0))


def _terms(runs: _Runs, scales: _Scales, k: IntArray, combination: str) -> FloatArray:
    """Return what is summed over runs, shape (n_terms, n_runs, n_voxels), where `k` enter."""
    counts = runs.enters.astype(np.float64)
    share = counts * runs.v / scales.largest
    terms = [counts, runs.x, share, share**2 / runs.nu, counts * runs.nu]
    if combination == "weighted":
        low = runs.enters & (runs.nu <= MIN_WEIGHTED_DOF)
        several = np.maximum(k, 2)
        cochran_carroll = np.where(low, 1.0, runs.nu - 4 * (several - 2) / (several - 1))
        w = counts * scales.smallest / runs.v
        terms += [
            *(low.astype(np.float64), w, w * runs.x),
            *(w / cochran_carroll, w**2 / cochran_carroll, w**2 / np.where(low, 1.0, runs.nu - 4)),
        ]
    return np.stack(terms)


def _estimate(
    sums: FloatArray, scales: _Scales
) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return effect, variance, degrees of freedom and where weights gave way, from sums of terms.

    The sums, of the `_terms`, have the shape (n_terms, ..., n_voxels).
    """
    n, x, share, share_per_dof, nu = sums[:_N_PLAIN]
    covered, k = n > 0, np.maximum(n, 1)
    effect, variance = x / k, scales.largest * share / k**2
    dof = np.where(n == 1, nu, share**2 / np.where(covered, share_per_dof, 1.0))
    plain = np.zeros(n.shape, dtype=bool)
    if len(sums) > _N_PLAIN:
        low, w, wx, w_per_dof, w2_per_dof, w2_per_less = sums[_N_PLAIN:]
        weighted, plain = (low == 0) & (n > 1), (low > 0) & (n > 1)
        w, w2_per_less = (np.where(weighted, part, 1.0) for part in (w, w2_per_less))
        meier = 1 + 4 * (w * w_per_dof - w2_per_dof) / w**2
        effect = np.where(weighted, wx / w, effect)
        variance = np.where(weighted, scales.smallest / w * meier, variance)
        dof = np.where(weighted, w**2 / w2_per_less, dof)
    effect, variance, dof = (np.where(covered, part, np.nan) for part in (effect, variance, dof))
    return effect, variance, dof, plain


def _heterogeneity(
    runs: _Runs, n_runs: IntArray, smallest: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return Cochran's Q, its p by Welch's F, I² in percent and the variance between runs."""
    several, k = n_runs > 1, np.maximum(n_runs, 2)
    weights = np.where(runs.enters, smallest / runs.v, 0.0)
    total = np.where(several, sum_first(weights), 1.0)
    mean = sum_first(weights * runs.x) / total
    q = sum_first(weights * (runs.x - mean) ** 2) / smallest
    vague = sum_first(np.where(runs.enters, (1 - weights / total) ** 2 / runs.nu, 0.0))
    vague = np.where(several, vague, 1.0)
    welch = q / (k - 1) / (1 + 2 * (k - 2) / (k**2 - 1) * vague)
    q_p = np.exp(log_sf_f(welch, k - 1, (k**2 - 1) / (3 * vague)))
    excess = np.maximum(q - (k - 1), 0.0)
    isq = 100 * excess / np.where(q > 0, q, 1.0)
    spread = np.where(several, total - sum_first(weights**2) / total, 1.0)
    tau2 = smallest * excess / spread
    q, q_p, isq, tau2 = (np.where(several, part, np.nan) for part in (q, q_p, isq, tau2))
    return q, q_p, isq, tau2
