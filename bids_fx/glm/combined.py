"""The statistics of a combination over runs, named as the maps they become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bids_fx.glm import fixed_effects, joint
from bids_fx.glm.fixed_effects import add_effects, combine, leave_one_out
from bids_fx.glm.influence import largest_change
from bids_fx.glm.joint import combine_rows, leave_one_out_rows
from bids_fx.glm.statistics import MapSet, f_maps, t_maps
from bids_fx.glm.tails import f_statistics, t_statistics

FloatArray = npt.NDArray[np.float64]

#: Numbers that are held for the voxels that are worked on at once, 8 MB: it bounds the memory, for
#: any number of runs and rows of which those of one voxel fit, and is near the cache.
BLOCK = 2**20
#: Not a map of its own: where few degrees of freedom made the weighted combination a plain mean.
GAVE_WAY = "gaveway"


def combined_maps(
    effects: npt.NDArray[np.floating],
    variances: npt.NDArray[np.floating],
    dofs: npt.NDArray[np.floating],
    *,
    combination: str,
) -> MapSet:
    """Combine a t contrast over runs and compute its maps.

    Parameters
    ----------
    effects, variances : ndarray of shape (n_runs, n_voxels)
        Each run's estimate; NaN or a variance of zero where a run does not cover a voxel.
    dofs : ndarray of shape (n_runs, n_voxels) or (n_runs, 1)
        Degrees of freedom of the variances.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    dict of str to ndarray of shape (n_voxels,)
        By ``stat-`` label: those of a t contrast; ``nruns``; Cochran's ``q``, its p ``qp``,
        ``isq`` and ``tau2``; the largest change of z by leaving out one run ``zchange``, and the
        run that makes it, counted from 1, ``zchangerun`` (0 where fewer than two runs enter). All
        but ``nruns`` and ``zchangerun`` are NaN where they are not defined. `GAVE_WAY` is 1 where
        few degrees of freedom made the weighted combination a plain mean.

    Raises
    ------
    ValueError
        If the shapes do not agree, there is no run, or `combination` is unknown.
    """
    n_runs, n_voxels = np.shape(effects)
    dofs = np.broadcast_to(dofs, np.shape(effects))
    return _joined(
        (
            (part, _t_maps(effects[:, part], variances[:, part], dofs[:, part], combination))
            for part in _blocks(n_voxels, fixed_effects.numbers_per_voxel(n_runs))
        ),
        n_voxels,
    )


def summed_maps(
    effects: npt.NDArray[np.floating],
    variances: npt.NDArray[np.floating],
    dofs: npt.NDArray[np.floating],
    *,
    cells: Sequence[Sequence[int]],
    combination: str,
) -> MapSet:
    """Combine a t contrast within each of some cells, sum the cells and compute the maps.

    Parameters
    ----------
    effects, variances, dofs, combination
        As for `combined_maps`; effects times the weight of their cell, variances times its square.
    cells : sequence of sequence of int
        The rows of each cell; no row is in two.

    Returns
    -------
    dict of str to ndarray of shape (n_voxels,)
        Those of a t contrast; ``nruns``, over all cells, 0 where a cell has none; `GAVE_WAY`,
        where the weighted combination of any cell was a plain mean.

    Raises
    ------
    ValueError
        As `combined_maps`; if there is no cell.
    """
    n_runs, n_voxels = np.shape(effects)
    dofs = np.broadcast_to(dofs, np.shape(effects))

    def maps(part: slice) -> MapSet:
        result = add_effects(
            combine(
                *(values[list(rows), part] for values in (effects, variances, dofs)),
                combination=combination,
            )
            for rows in cells
        )
        return t_maps(result.effect, result.variance, result.dof) | {
            "nruns": result.n_runs.astype(np.float64),
            GAVE_WAY: result.plain.astype(np.float64),
        }

    blocks = _blocks(n_voxels, fixed_effects.numbers_per_voxel(n_runs))
    return _joined(((part, maps(part)) for part in blocks), n_voxels)


def combined_f_maps(
    effects: npt.NDArray[np.floating],
    covariances: npt.NDArray[np.floating],
    dofs: npt.NDArray[np.floating],
    *,
    combination: str,
) -> MapSet:
    """Combine an F contrast over runs and compute its maps.

    Parameters
    ----------
    effects : ndarray of shape (n_runs, q, n_voxels)
        Each run's rows; NaN where a run does not cover a voxel.
    covariances : ndarray of shape (n_runs, q (q + 1) / 2, n_voxels)
        Their covariances, the upper triangle row by row.
    dofs : ndarray of shape (n_runs, n_voxels) or (n_runs, 1)
        Denominator degrees of freedom.
    combination : str
        ``weighted`` or ``unweighted``.

    Returns
    -------
    dict of str to ndarray
        By ``stat-`` label: ``effect`` of shape (q, n_voxels), ``covariance`` of shape
        (q (q + 1) / 2, n_voxels), and of shape (n_voxels,) ``F``, ``z``, ``p``, ``logp``, the
        denominator ``dof``, ``nruns``, ``zchange`` and ``zchangerun`` as for a t contrast.

    Raises
    ------
    ValueError
        If the shapes do not agree, there is no run or row, or `combination` is unknown.
    """
    n_runs, q, n_voxels = np.shape(effects)
    dofs = np.broadcast_to(dofs, (n_runs, n_voxels))
    return _joined(
        (
            (
                part,
                _f_maps(effects[:, :, part], covariances[:, :, part], dofs[:, part], combination),
            )
            for part in _blocks(n_voxels, joint.numbers_per_voxel(n_runs, q))
        ),
        n_voxels,
    )


def _blocks(n_voxels: int, numbers_per_voxel: int) -> Iterator[slice]:
    """Iterate over blocks of voxels; one, empty, where there is no voxel."""
    size = max(1, BLOCK // numbers_per_voxel)
    for start in range(0, max(n_voxels, 1), size):
        yield slice(start, start + size)


def _joined(blocks: Iterator[tuple[slice, MapSet]], n_voxels: int) -> MapSet:
    """Join the maps of blocks of voxels."""
    joined: MapSet = {}
    for part, maps in blocks:
        for stat, values in maps.items():
            if stat not in joined:
                joined[stat] = np.empty((*values.shape[:-1], n_voxels))
            joined[stat][..., part] = values
    return joined


def _t_maps(
    effects: npt.NDArray[np.floating],
    variances: npt.NDArray[np.floating],
    dofs: npt.NDArray[np.floating],
    combination: str,
) -> MapSet:
    result = combine(effects, variances, dofs, combination=combination)
    others = leave_one_out(effects, variances, dofs, combination=combination)
    maps = t_maps(result.effect, result.variance, result.dof)
    z_without = t_statistics(others.effect, others.variance, others.dof).z
    change, run = largest_change(maps["z"], z_without)
    return maps | {
        "nruns": result.n_runs.astype(np.float64),
        GAVE_WAY: result.plain.astype(np.float64),
        "q": result.q,
        "qp": result.q_p,
        "isq": result.isq,
        "tau2": result.tau2,
        "zchange": change,
        "zchangerun": run,
    }


def _f_maps(
    effects: npt.NDArray[np.floating],
    covariances: npt.NDArray[np.floating],
    dofs: npt.NDArray[np.floating],
    combination: str,
) -> MapSet:
    result = combine_rows(effects, covariances, dofs, combination=combination)
    others = leave_one_out_rows(effects, covariances, dofs, combination=combination)
    q = len(result.effect)
    maps = f_maps(result.effect, result.covariance, result.f, result.dof)
    change, run = largest_change(maps["z"], f_statistics(others.f, q, others.dof).z)
    return maps | {
        "nruns": result.n_runs.astype(np.float64),
        GAVE_WAY: result.plain.astype(np.float64),
        "zchange": change,
        "zchangerun": run,
    }
