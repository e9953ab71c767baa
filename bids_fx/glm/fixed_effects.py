"""Fixed effects: one contrast combined over runs, voxel by voxel over the runs that cover it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.names import COMBINATIONS, unknown_name

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


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
    q : ndarray
        Cochran's Q; like `isq` and `tau2` NaN where fewer than two runs entered.
    isq : ndarray
        I² in percent, from 0 to 100.
    tau2 : ndarray
        Variance between runs (DerSimonian and Laird), in squared units of the effect.
    """

    effect: FloatArray
    variance: FloatArray
    dof: FloatArray
    n_runs: npt.NDArray[np.int64]
    q: FloatArray
    isq: FloatArray
    tau2: FloatArray


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
    :math:`k` runs that enter, and :math:`w_i = 1 / v_i`:

    ``weighted``: :math:`\sum w_i x_i / \sum w_i`, variance :math:`1 / \sum w_i`, degrees of
    freedom :math:`\sum \nu_i`. The weights are estimates and taken as known, so that the test is
    liberal where the :math:`\nu_i` are small (Meier 1953).

    ``unweighted``: :math:`\sum x_i / k`, variance :math:`\sum v_i / k^2`, degrees of freedom
    :math:`(\sum v_i)^2 / \sum (v_i^2 / \nu_i)` (Welch 1947, Satterthwaite 1946).

    Heterogeneity, with inverse-variance weights for either combination:
    :math:`Q = \sum w_i (x_i - \bar x_w)^2` (Cochran 1954),
    :math:`I^2 = \max(0, (Q - (k - 1)) / Q)` (Higgins and Thompson 2002),
    :math:`\tau^2 = \max(0, (Q - (k - 1)) / (\sum w_i - \sum w_i^2 / \sum w_i))`
    (DerSimonian and Laird 1986).

    Examples
    --------
    >>> both = combine([[1.0], [2.0]], [[1.0], [4.0]], [[20.0], [20.0]], combination="weighted")
    >>> both.effect, both.variance
    (array([1.2]), array([0.8]))
    """
    if combination not in COMBINATIONS:
        raise unknown_name("combination", combination, COMBINATIONS)
    x, v, nu = _checked(effects, variances, dofs)
    enters = np.isfinite(x) & np.isfinite(v) & (v > 0) & np.isfinite(nu) & (nu > 0)
    n_runs = enters.sum(axis=0, dtype=np.int64)

    # Weights relative to the most precise run can neither over- nor underflow as 1 / v can.
    smallest = np.where(enters, v, np.inf).min(axis=0)
    smallest = np.where(n_runs > 0, smallest, 1.0)
    weights = np.where(enters, smallest / np.where(enters, v, 1.0), 0.0)
    total = np.where(n_runs > 0, weights.sum(axis=0), 1.0)
    x_in = np.where(enters, x, 0.0)
    weighted_mean = (weights * x_in).sum(axis=0) / total

    if combination == "weighted":
        effect, variance = weighted_mean, smallest / total
        dof = np.where(enters, nu, 0.0).sum(axis=0)
    else:
        effect, variance, dof = _unweighted(x_in, v, nu, enters, n_runs)

    first = enters.argmax(axis=0)[np.newaxis]
    effect, variance, dof = (
        np.select(
            [n_runs == 0, n_runs == 1],
            [np.nan, np.take_along_axis(values, first, axis=0)[0]],
            default=combined,
        )
        for values, combined in ((x, effect), (v, variance), (nu, dof))
    )
    q, isq, tau2 = _heterogeneity(x_in, weights, weighted_mean, n_runs, smallest)
    return CombinedEffects(
        effect=effect, variance=variance, dof=dof, n_runs=n_runs, q=q, isq=isq, tau2=tau2
    )


def _checked(
    effects: npt.ArrayLike, variances: npt.ArrayLike, dofs: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    x, v, nu = (np.asarray(values, dtype=np.float64) for values in (effects, variances, dofs))
    if x.ndim != 2 or x.shape[0] == 0 or v.shape != x.shape:
        raise ValueError(
            "effects and variances must have one shape (n_runs, n_voxels) with at least one run, "
            f"found {x.shape} and {v.shape}"
        )
    if nu.shape not in (x.shape, (x.shape[0], 1)):
        raise ValueError(f"degrees of freedom must have the shape {x.shape}, found {nu.shape}")
    return x, v, np.broadcast_to(nu, x.shape)


def _unweighted(
    x_in: FloatArray,
    v: FloatArray,
    nu: FloatArray,
    enters: BoolArray,
    n_runs: npt.NDArray[np.int64],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean effect, its variance and Welch-Satterthwaite's degrees of freedom."""
    k = np.maximum(n_runs, 1)
    # Variances relative to the largest, whose squares can neither over- nor underflow.
    largest = np.where(n_runs > 0, np.where(enters, v, 0.0).max(axis=0), 1.0)
    share = np.where(enters, v, 0.0) / largest
    summed = share.sum(axis=0)
    per_dof = (share**2 / np.where(enters, nu, 1.0)).sum(axis=0)
    dof = summed**2 / np.where(n_runs > 0, per_dof, 1.0)
    return x_in.sum(axis=0) / k, largest * summed / k**2, dof


def _heterogeneity(
    x_in: FloatArray,
    weights: FloatArray,
    weighted_mean: FloatArray,
    n_runs: npt.NDArray[np.int64],
    smallest: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Cochran's Q, I² in percent and the variance between runs."""
    several = n_runs > 1
    scaled_q = (weights * (x_in - weighted_mean) ** 2).sum(axis=0)
    q = scaled_q / smallest
    excess = np.maximum(q - (n_runs - 1), 0.0)
    isq = 100 * excess / np.where(q > 0, q, 1.0)
    total = np.where(several, weights.sum(axis=0), 1.0)
    spread = np.where(several, total - (weights**2).sum(axis=0) / total, 1.0)
    tau2 = smallest * excess / spread
    unknown = np.where(several, 0.0, np.nan)
    return q + unknown, isq + unknown, tau2 + unknown
