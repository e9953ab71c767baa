"""How much a combination over runs rests on one of them: its z with and without each run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.fixed_effects import combine, leave_one_out
from bids_fx.glm.joint import combine_rows, leave_one_out_rows
from bids_fx.glm.tails import f_statistics, t_statistics

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfluence:
    """What one run does to the combination at one voxel.

    Parameters
    ----------
    effect, variance, dof : float
        The run's own estimate.
    share : float
        The run's share of the combined effect, from 0 (it does not enter) to 1.
    z_with : float
        z of all runs.
    z_without : float
        z of the other runs; NaN where there is none.
    change : float
        `z_with` - `z_without`.
    """

    effect: float
    variance: float
    dof: float
    share: float
    z_with: float
    z_without: float
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsInfluence:
    """What one run does to the combination of an F contrast at one voxel.

    Parameters
    ----------
    f, dof : float
        The run's own statistic and its denominator degrees of freedom; NaN where it does not
        enter.
    z_with : float
        z of all runs.
    z_without : float
        z of the other runs; NaN where there is none.
    change : float
        `z_with` - `z_without`.
    """

    f: float
    dof: float
    z_with: float
    z_without: float
    change: float


def largest_change(z: npt.ArrayLike, z_without: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the largest change of z that one run makes, and which run that is.

    Parameters
    ----------
    z : array_like of shape (n_voxels,)
        z of all runs.
    z_without : array_like of shape (n_runs, n_voxels)
        Row i holds z without run i: `z` where the run does not enter, NaN where no other does.

    Returns
    -------
    change : ndarray of shape (n_voxels,)
        z with all runs minus z without the run, the difference that is largest in magnitude; the
        first run's if two are equal. NaN where fewer than two runs enter.
    run : ndarray of shape (n_voxels,)
        The run that makes it, counted from 1; 0 where fewer than two runs enter.

    Examples
    --------
    >>> largest_change([3.0], [[2.5], [4.0]])
    (array([-1.]), array([2.]))
    """
    changes = np.asarray(z, dtype=np.float64) - np.asarray(z_without, dtype=np.float64)
    known = np.isfinite(changes).all(axis=0)
    run = np.abs(np.where(known, changes, 0.0)).argmax(axis=0)
    change = np.take_along_axis(changes, run[np.newaxis], axis=0)[0]
    return np.where(known, change, np.nan), np.where(known, run + 1.0, 0.0)


def peak_influence(
    effects: npt.ArrayLike,
    variances: npt.ArrayLike,
    dofs: npt.ArrayLike,
    *,
    voxel: int,
    combination: str,
) -> tuple[RunInfluence, ...]:
    """Return what each run does to the combined t at one voxel.

    Parameters
    ----------
    effects, variances : array_like of shape (n_runs, n_voxels)
        As for `bids_fx.glm.fixed_effects.combine`.
    dofs : array_like of shape (n_runs, n_voxels) or (n_runs, 1)
        Degrees of freedom of the variances.
    voxel : int
        The column.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    tuple of RunInfluence
        In the order of the runs; leaving out a run that does not enter changes nothing.

    Raises
    ------
    ValueError
        If the shapes do not agree, or `combination` is unknown.
    """
    x, v = (np.asarray(part, dtype=np.float64)[:, [voxel]] for part in (effects, variances))
    nu = _dofs_at(dofs, voxel)
    whole = combine(x, v, nu, combination=combination)
    others = leave_one_out(x, v, nu, combination=combination)
    z = t_statistics(whole.effect, whole.variance, whole.dof).z[0]
    z_without = t_statistics(others.effect, others.variance, others.dof).z[:, 0]
    enters = np.isfinite(x) & np.isfinite(v) & (v > 0) & np.isfinite(nu) & (nu > 0)
    weights = enters[:, 0] / np.where(enters, v, 1.0)[:, 0]
    if combination == "unweighted" or whole.plain[0]:
        weights = enters[:, 0].astype(np.float64)
    shares = weights / max(weights.sum(), np.finfo(np.float64).tiny)
    return tuple(
        RunInfluence(
            effect=float(x[i, 0]),
            variance=float(v[i, 0]),
            dof=float(nu[i, 0]),
            share=float(shares[i]),
            z_with=float(z),
            z_without=float(z_without[i]),
            change=float(z - z_without[i]),
        )
        for i in range(len(x))
    )


def peak_influence_rows(
    effects: npt.ArrayLike,
    covariances: npt.ArrayLike,
    dofs: npt.ArrayLike,
    *,
    voxel: int,
    combination: str,
) -> tuple[RowsInfluence, ...]:
    """Return what each run does to the combined F at one voxel.

    Parameters
    ----------
    effects : array_like of shape (n_runs, q, n_voxels)
        As for `bids_fx.glm.joint.combine_rows`.
    covariances : array_like of shape (n_runs, q (q + 1) / 2, n_voxels)
        Upper triangles, row by row.
    dofs : array_like of shape (n_runs, n_voxels) or (n_runs, 1)
        Denominator degrees of freedom.
    voxel : int
        The column.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    tuple of RowsInfluence
        In the order of the runs; leaving out a run that does not enter changes nothing.

    Raises
    ------
    ValueError
        If the shapes do not agree, or `combination` is unknown.
    """
    x, c = (np.asarray(part, dtype=np.float64)[:, :, [voxel]] for part in (effects, covariances))
    nu = _dofs_at(dofs, voxel)
    q = x.shape[1]
    whole = combine_rows(x, c, nu, combination=combination)
    others = leave_one_out_rows(x, c, nu, combination=combination)
    z = f_statistics(whole.f, q, whole.dof).z[0]
    z_without = f_statistics(others.f, q, others.dof).z[:, 0]
    own = [combine_rows(x[[i]], c[[i]], nu[[i]], combination="unweighted") for i in range(len(x))]
    return tuple(
        RowsInfluence(
            f=float(run.f[0]),
            dof=float(run.dof[0]),
            z_with=float(z),
            z_without=float(without),
            change=float(z - without),
        )
        for run, without in zip(own, z_without, strict=True)
    )


def _dofs_at(dofs: npt.ArrayLike, voxel: int) -> FloatArray:
    """Return degrees of freedom of one voxel, shape (n_runs, 1)."""
    values = np.asarray(dofs, dtype=np.float64)
    return values if values.shape[1:] == (1,) else values[:, [voxel]]
