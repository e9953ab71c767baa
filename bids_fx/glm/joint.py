"""Fixed effects of F contrasts: several rows combined jointly over runs, voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.contrasts import MIN_EIGENVALUE
from bids_fx.glm.fixed_effects import MIN_WEIGHTED_DOF
from bids_fx.glm.kenward_roger import f_reference
from bids_fx.glm.names import COMBINATIONS, unknown_name
from bids_fx.glm.triangles import to_square, to_triangle

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
    rows = _rows(effects, covariances, dofs, combination)
    effect, covariance, f, dof, plain = _estimate(rows, rows.enters)
    return CombinedRows(
        effect=effect.T,
        covariance=to_triangle(covariance).T,
        f=f,
        dof=dof,
        n_runs=rows.enters.sum(axis=0, dtype=np.int64),
        plain=plain,
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
    rows = _rows(effects, covariances, dofs, combination)
    f, dof = np.empty(rows.enters.shape), np.empty(rows.enters.shape)
    for i in range(len(rows.enters)):
        others = rows.enters & (np.arange(len(rows.enters)) != i)[:, np.newaxis]
        _, _, f[i], dof[i], _ = _estimate(rows, others)
    return ReducedRows(f=f, dof=dof)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Effects (n_runs, n_voxels, q), covariances and their inverses (n_runs, n_voxels, q, q).

    `enters` and `nu` have the shape (n_runs, n_voxels). What does not enter has an effect of 0,
    a unit covariance and one degree of freedom. Effects and covariances are in `units`, shape
    (n_voxels, q): powers of two near the rows' standard errors, so that squares neither over- nor
    underflow and taking the units out and in again loses no bit.
    """

    x: FloatArray
    c: FloatArray
    precision: FloatArray
    nu: FloatArray
    enters: BoolArray
    units: FloatArray
    weighted: bool


def _rows(
    effects: npt.ArrayLike, covariances: npt.ArrayLike, dofs: npt.ArrayLike, combination: str
) -> _Rows:
    """Check the arguments of `combine_rows` and see which runs enter where."""
    if combination not in COMBINATIONS:
        raise unknown_name("combination", combination, COMBINATIONS)
    x, triangle, nu = (
        np.asarray(values, dtype=np.float64) for values in (effects, covariances, dofs)
    )
    if x.ndim != 3 or 0 in x.shape[:2]:
        raise ValueError(
            "effects must have the shape (n_runs, q, n_voxels) with at least one run and row, "
            f"found {x.shape}"
        )
    n_runs, q, n_voxels = x.shape
    expected = (n_runs, q * (q + 1) // 2, n_voxels)
    if triangle.shape != expected:
        raise ValueError(f"covariances must have the shape {expected}, found {triangle.shape}")
    if nu.shape not in ((n_runs, n_voxels), (n_runs, 1)):
        raise ValueError(
            f"degrees of freedom must have the shape {(n_runs, n_voxels)}, found {nu.shape}"
        )
    c, x = to_square(np.moveaxis(triangle, 1, -1), q), np.moveaxis(x, 1, -1)
    known = np.asarray(np.isfinite(x).all(axis=-1))
    enters = known & np.isfinite(nu) & (nu > 0) & _positive_definite(c)
    variances = np.where(enters[..., np.newaxis], np.diagonal(c, axis1=-2, axis2=-1), 0.0)
    units = np.ldexp(1.0, np.frexp(np.sqrt(variances.max(axis=0)))[1])
    c = np.where(
        enters[..., np.newaxis, np.newaxis],
        c / units[:, :, np.newaxis] / units[:, np.newaxis],
        np.eye(q),
    )
    weighted = combination == "weighted"
    return _Rows(
        x=np.where(enters[..., np.newaxis], x / units, 0.0),
        c=c,
        precision=np.asarray(np.linalg.inv(c)) if weighted else c,
        nu=np.where(enters, nu, 1.0),
        enters=enters,
        units=units,
        weighted=weighted,
    )


def _positive_definite(c: FloatArray) -> BoolArray:
    """Tell which matrices are finite and positive definite beyond the rounding of float32."""
    q = c.shape[-1]
    variances = np.diagonal(c, axis1=-2, axis2=-1)
    sound = np.asarray(np.isfinite(c).all(axis=(-2, -1)) & (variances > 0).all(axis=-1))
    errors = np.sqrt(np.where(sound[..., np.newaxis], variances, 1.0))
    correlations = np.where(sound[..., np.newaxis, np.newaxis], c, np.eye(q))
    correlations = correlations / errors[..., np.newaxis] / errors[..., np.newaxis, :]
    smallest = np.linalg.eigvalsh(correlations)[..., 0]
    return np.asarray(sound & (smallest > q * MIN_EIGENVALUE))


def _estimate(
    rows: _Rows, enters: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return effect, covariance, F, degrees of freedom and where weights gave way.

    The runs that are combined are some of those that enter.
    """
    n_voxels, q = rows.units.shape
    k = enters.sum(axis=0)
    low = (enters & (rows.nu <= MIN_WEIGHTED_DOF)).any(axis=0)
    plain = rows.weighted & low & (k > 1)
    weighted = rows.weighted & ~low & (k > 1)
    effect, covariance = np.full((n_voxels, q), np.nan), np.full((n_voxels, q, q), np.nan)
    f, dof = np.full(n_voxels, np.nan), np.full(n_voxels, np.nan)
    for where, estimate in (
        (weighted, _weighted),
        ((k > 1) & ~weighted, _unweighted),
        (k == 1, _single),
    ):
        at = np.flatnonzero(where)
        effect[at], covariance[at], dof[at] = estimate(rows, enters, at)
        solved = np.linalg.solve(covariance[at], effect[at, :, np.newaxis])[..., 0]
        f[at] = (effect[at] * solved).sum(axis=-1) / q
    units = rows.units
    covariance *= units[:, :, np.newaxis] * units[:, np.newaxis]
    return effect * units, covariance, f, dof, plain


def _weighted(
    rows: _Rows, enters: BoolArray, at: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effect, covariance and degrees of freedom of the weighted combination at voxels."""
    counts, nu = enters[:, at], rows.nu[:, at]
    precision = np.where(counts[..., np.newaxis, np.newaxis], rows.precision[:, at], 0.0)
    known = np.linalg.inv(precision.sum(axis=0))
    effect = np.einsum("vij,kvjl,kvl->vi", known, precision, rows.x[:, at], optimize=True)
    shares = known @ precision  # the transposed M, of the same traces
    k = counts.sum(axis=0)
    cochran_carroll = np.where(counts, nu - 4 * (k - 2) / (k - 1), 1.0)
    doubt = np.einsum("kv,kvij->vij", 2 / cochran_carroll, shares - shares @ shares)
    adjusted = known + 2 * doubt @ known  # Phi Lambda Phi = doubt Phi
    scale, dof = _reference(shares, np.where(counts, nu - 4, 1.0))
    return effect, adjusted / scale[:, np.newaxis, np.newaxis], dof


def _unweighted(
    rows: _Rows, enters: BoolArray, at: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effect, covariance and degrees of freedom of the mean over runs at voxels."""
    counts = enters[:, at]
    k = counts.sum(axis=0)[:, np.newaxis]
    effect = np.where(counts[..., np.newaxis], rows.x[:, at], 0.0).sum(axis=0) / k
    parts = np.where(counts[..., np.newaxis, np.newaxis], rows.c[:, at], 0.0)
    parts = parts / k[..., np.newaxis] ** 2
    covariance = parts.sum(axis=0)
    scale, dof = _reference(np.linalg.solve(covariance, parts), rows.nu[:, at])
    return effect, covariance / scale[:, np.newaxis, np.newaxis], dof


def _single(
    rows: _Rows, enters: BoolArray, at: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return effect, covariance and degrees of freedom of the one run that enters at voxels."""
    run = enters[:, at].argmax(axis=0)
    return rows.x[run, at], rows.c[run, at], rows.nu[run, at]


def _reference(shares: FloatArray, nu: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the reference of an F from shares of the runs, shape (n_runs, n_voxels, q, q)."""
    first = np.einsum("kvii->kv", shares) ** 2
    second = np.einsum("kvij,kvji->kv", shares, shares)
    q = shares.shape[-1]
    return f_reference((2 / nu * first).sum(axis=0), (2 / nu * second).sum(axis=0), q)
