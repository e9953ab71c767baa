"""Fixed effects of F contrasts: several rows combined jointly over runs, voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.kenward_roger import f_reference
from bids_fx.glm.matrices import (
    cross,
    inverse,
    pair_products,
    product,
    quadratic_form,
    straight,
    to_square,
    to_triangle,
    trace_product,
)
from bids_fx.glm.run_rows import RunRows, take_rows
from bids_fx.glm.sums import sum_of_all, sums_of_others

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedRows:
    """The rows of a contrast over runs.

    Parameters
    ----------
    effect : ndarray of shape (q, n_voxels)
        The combined rows; NaN, like all that follows, where no run covers the voxel.
    covariance : ndarray of shape (q (q + 1) / 2, n_voxels)
        Their covariance, the upper triangle row by row, divided by the scale of the reference.
    f : ndarray of shape (n_voxels,)
        effect' covariance⁻¹ effect / q, to be referred to F with q and `dof` degrees of freedom.
    dof : ndarray of shape (n_voxels,)
        Denominator degrees of freedom.
    n_runs : ndarray of int, shape (n_voxels,)
        Number of runs that entered.
    plain : ndarray of bool, shape (n_voxels,)
        Where a weighted combination gave way to the unweighted one.
    """

    effect: FloatArray
    covariance: FloatArray
    f: FloatArray
    dof: FloatArray
    n_runs: IntArray
    plain: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedRows:
    """What is combined without one run; each an ndarray of shape (n_runs, n_voxels).

    Parameters
    ----------
    f, dof : ndarray
        Row i holds the statistic without run i and its denominator degrees of freedom; NaN where
        no other run covers the voxel.
    """

    f: FloatArray
    dof: FloatArray


def combine_rows(
    effects: npt.ArrayLike, covariances: npt.ArrayLike, dofs: npt.ArrayLike, *, combination: str
) -> CombinedRows:
    r"""Combine the rows of an F contrast as fixed effects.

    Parameters
    ----------
    effects : array_like of shape (n_runs, q, n_voxels)
        Effects of each run, row by row.
    covariances : array_like of shape (n_runs, q (q + 1) / 2, n_voxels)
        Their covariances, the upper triangle row by row, each divided by the scale of its
        reference if there is one.
    dofs : array_like of shape (n_runs, n_voxels) or (n_runs, 1)
        Denominator degrees of freedom of each run.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    CombinedRows
        A run enters at a voxel where all its numbers are finite, its degrees of freedom > 0 and
        its covariance positive definite beyond the rounding of float32; elsewhere it counts as
        not covering the voxel. Where one run enters, effects, covariance and degrees of freedom
        are that run's, to the last bit.

    Raises
    ------
    ValueError
        If the shapes do not agree, there is no run, or `combination` is unknown.

    Notes
    -----
    With effects :math:`x_i`, covariances :math:`C_i` and degrees of freedom :math:`\nu_i` of the
    :math:`k` runs that enter, each run is taken as :math:`x_i \sim N(b, s_i C_i)` with a scalar
    :math:`s_i` estimated with the variance :math:`2 / \nu_i`, and the Wald statistic is adjusted
    and referred to F as Kenward and Roger (1997, Biometrics 53:983) do.

    ``weighted``: :math:`\Phi = (\sum C_i^{-1})^{-1}`, :math:`b = \Phi \sum C_i^{-1} x_i`,

    .. math:: \Phi_A = \Phi + 2 \Phi \Lambda \Phi, \quad \Lambda = \sum \frac2{\nu'_i}
              (C_i^{-1} - C_i^{-1} \Phi C_i^{-1}), \quad M_i = C_i^{-1} \Phi,

    .. math:: A_1 = \sum \frac2{\nu_i - 4} \operatorname{tr}(M_i)^2, \quad
              A_2 = \sum \frac2{\nu_i - 4} \operatorname{tr}(M_i^2)

    with :math:`\nu'_i = \nu_i - 4 (k - 2) / (k - 1)` (Cochran and Carroll 1953) and
    :math:`\nu_i - 4` as in `bids_fx.glm.fixed_effects.combine`, of which one row is the case:
    :math:`F = t^2` with the same degrees of freedom. Where a run that enters has
    `MIN_WEIGHTED_DOF` degrees of freedom or fewer, and another run enters, the voxel is combined
    ``unweighted``.

    ``unweighted``: :math:`b = \sum x_i / k, \Phi_A = \Phi = \sum C_i / k^2, M_i = \Phi^{-1} C_i /
    k^2`, and :math:`A_1, A_2` as above with :math:`\nu_i`.

    :math:`F = b' \Phi_A^{-1} b / q` times the scale of `bids_fx.glm.kenward_roger.f_reference` is
    F distributed with its degrees of freedom; `covariance` is :math:`\Phi_A` over that scale. No
    non-singular transformation of the rows changes F or its degrees of freedom. Averages of
    whitened effects do not have this property and are not what is done here.

    Examples
    --------
    >>> rows = [[[1.0], [0.0]], [[3.0], [2.0]]]
    >>> unit = [[[1.0], [0.0], [1.0]]] * 2
    >>> both = combine_rows(rows, unit, [[40.0], [40.0]], combination="unweighted")
    >>> both.effect[:, 0], both.f.round(10), both.dof.round(10)
    (array([2., 1.]), array([5.]), array([80.]))
    """
    rows = take_rows(effects, covariances, dofs, combination)
    found = _estimate(rows, others=False)
    scale = to_triangle(rows.units[:, np.newaxis] * rows.units)
    return CombinedRows(
        effect=found.effect[:, 0] * rows.units,
        covariance=found.covariance[:, 0] * scale,
        f=found.f[0],
        dof=found.dof[0],
        n_runs=rows.enters.sum(axis=0, dtype=np.int64),
        plain=found.plain[0],
    )


def leave_one_out_rows(
    effects: npt.ArrayLike, covariances: npt.ArrayLike, dofs: npt.ArrayLike, *, combination: str
) -> ReducedRows:
    """Combine the rows of all runs but one, for each run.

    Parameters
    ----------
    effects, covariances, dofs, combination
        As for `combine_rows`.

    Returns
    -------
    ReducedRows
        What `combine_rows` gives without each run; where a run does not enter at a voxel, leaving
        it out changes nothing.

    Raises
    ------
    ValueError
        As `combine_rows`.
    """
    rows = take_rows(effects, covariances, dofs, combination)
    whole, less = _estimate(rows, others=False), _estimate(rows, others=True)
    return ReducedRows(
        f=np.where(rows.enters, less.f, whole.f), dof=np.where(rows.enters, less.dof, whole.dof)
    )


def numbers_per_voxel(n_runs: int, q: int) -> int:
    """Return how many numbers are held for a voxel while its runs are combined."""
    elements = q * (q + 1) // 2
    pairs = elements * (elements + 1) // 2
    moments = 5 * pairs if _by_pairs(n_runs, q) else 8 * q * q
    return n_runs * (moments + 9 * elements + 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimates:
    """Sums of runs combined; the rows' triangles first, `n_sums` and `n_voxels` last."""

    effect: FloatArray
    covariance: FloatArray
    f: FloatArray
    dof: FloatArray
    plain: BoolArray


def _estimate(rows: RunRows, *, others: bool) -> _Estimates:
    """Combine all runs in one sum, or all but one in as many sums as there are runs."""
    q = len(rows.x)
    counts = rows.counts
    sums = _summed([[counts, rows.low, counts * rows.nu], rows.x, counts * rows.c], others=others)
    (n, low, dof), effect, covariance = sums[:3], sums[3 : 3 + q], sums[3 + q :]
    several = np.maximum(n, 1)
    effect, covariance, dof = effect / several, covariance / several**2, dof.copy()
    plain = (n > 1) & ((low > 0) | (not rows.weighted))
    weighted = (n > 1) & ~plain
    for where, combine in ((weighted, _weighted), (plain, _unweighted)):
        at = np.flatnonzero(where.any(axis=0))
        if at.size:
            here = where[:, at]
            found = combine(rows.at(at), here, others=others)
            for into, values in zip((effect, covariance, dof), found, strict=True):
                into[..., at] = np.where(here, values, into[..., at])
    for values in (effect, covariance, dof):
        values[..., n == 0] = np.nan
    return _Estimates(
        effect=effect,
        covariance=covariance,
        f=quadratic_form(to_square(covariance, q), effect) / q,
        dof=dof,
        plain=plain & rows.weighted,
    )


def _summed(terms: Sequence[npt.ArrayLike], *, others: bool) -> FloatArray:
    """Sum terms over runs, or the others; (n, n_runs, n_voxels) each, joined along the first."""
    joined = np.concatenate(terms)
    return sums_of_others(joined) if others else sum_of_all(joined)


def _weighted(
    rows: RunRows, where: BoolArray, *, others: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effect, covariance and degrees of freedom of the weighted combination."""
    q, m = len(rows.x), len(rows.c)
    more = np.maximum(rows.enters.sum(axis=0) - others, 2)  # where a run is left out that enters
    cochran_carroll = np.where(rows.low, 1.0, rows.nu - 4 * (more - 2) / (more - 1))
    less = np.where(rows.low, 1.0, rows.nu - 4)
    inverses = inverse(to_square(rows.c, q))
    precision = rows.counts * to_triangle(inverses)
    moved = product(inverses, rows.x[:, np.newaxis])[:, 0]
    sums = _summed([precision, moved, 2 / cochran_carroll * precision], others=others)
    total, moved, doubt = np.split(sums, [m, m + q])
    total[..., ~where] = to_triangle(np.eye(q)[..., np.newaxis])
    known = inverse(to_square(total, q))
    effect = product(known, moved[:, np.newaxis])[:, 0]
    phi = to_triangle(known)
    (taken, _), shares = _second_moments(
        precision, phi, (2 / cochran_carroll, 2 / less), q=q, others=others
    )
    doubt = to_square(doubt - taken, q)
    adjusted = known + 2 * product(product(known, doubt), known)
    scale, dof = _reference(*shares, phi, q, where)
    return effect, to_triangle(adjusted) / scale, dof


def _unweighted(
    rows: RunRows, where: BoolArray, *, others: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effect, covariance and degrees of freedom of the mean over runs."""
    q = len(rows.x)
    k = np.maximum(rows.enters.sum(axis=0) - others, 1)
    parts = rows.counts * rows.c
    effect, total = np.split(_summed([rows.x, parts], others=others), [q])
    total[..., ~where] = to_triangle(np.eye(q)[..., np.newaxis])
    phi = to_triangle(inverse(to_square(total, q)))
    (shares,) = _second_moments(parts, phi, (2 / rows.nu,), q=q, others=others)
    scale, dof = _reference(*shares, phi, q, where)
    return effect / k, total / k**2 / scale, dof


def _by_pairs(n_runs: int, q: int) -> bool:
    """Tell whether `_second_moments` of all but one run are quicker by pairs of elements."""
    return 2 * n_runs > 3 * q


def _second_moments(
    parts: FloatArray,
    phi: FloatArray,
    weights: Sequence[FloatArray],
    *,
    q: int,
    others: bool,
) -> list[tuple[FloatArray, FloatArray]]:
    r"""Return sums over runs of what is of second order in a run's matrix.

    Parameters
    ----------
    parts : ndarray of shape (m, n_runs, n_voxels)
        Triangles of each run's matrix :math:`P_i`; 0 where the run does not enter.
    phi : ndarray of shape (m, n_sums, n_voxels)
        Triangles of the :math:`\Phi` of each sum.
    weights : sequence of ndarray of shape (n_runs, n_voxels)
        Sets of weights :math:`w_i`.
    q : int
        Rows.
    others : bool
        Whether there is a sum for each run, without it, or one sum of all.

    Returns
    -------
    list of (ndarray, ndarray)
        For each set of weights :math:`\sum w_i P_i \Phi P_i`, triangles of shape
        (m, n_sums, n_voxels), and :math:`\sum w_i \operatorname{tr}(P_i \Phi)^2`, shape
        (n_sums, n_voxels).

    Notes
    -----
    All sums without one run cost O(n_runs²) run by run; with sums of products of two elements of
    :math:`P_i`, of which there are :math:`O(q^4)`, they cost O(n_runs).
    """
    n_runs, n_sums = parts.shape[1], phi.shape[1]
    if others and _by_pairs(n_runs, q):
        pairs = pair_products(parts)
        sums = [sums_of_others(w * pairs) for w in weights]
        return [(cross(s, phi, q), trace_product(straight(s, phi, q), phi, q)) for s in sums]
    moments = [(np.zeros_like(phi), np.zeros(phi.shape[1:])) for _ in weights]
    square = to_square(phi, q)
    for i in range(n_runs):
        part = parts[:, i, np.newaxis]
        full = to_square(part, q)
        crossed = to_triangle(product(product(full, square), full))
        trace = trace_product(part, phi, q) ** 2
        enters = (np.arange(n_sums) != i)[:, np.newaxis] if others else 1.0
        for into, w in zip(moments, weights, strict=True):
            for total, moment in zip(into, (crossed, trace), strict=True):
                np.add(total, enters * w[i] * moment, out=total)
    return moments


def _reference(
    crossed: FloatArray, first: FloatArray, phi: FloatArray, q: int, where: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return the reference of an F from the second moments of the runs' shares."""
    second = trace_product(crossed, phi, q)
    return f_reference(np.where(where, first, q), np.where(where, second, 1.0), q)
