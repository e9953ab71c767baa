"""The rows of an F contrast in each run, as they are combined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.glm.contrasts import MIN_EIGENVALUE
from bids_fx.glm.fixed_effects import MIN_WEIGHTED_DOF
from bids_fx.glm.matrices import are_positive_definite, to_square
from bids_fx.glm.names import COMBINATIONS, unknown_name

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRows:
    """The rows of a contrast in each run, and where they count; voxels last.

    Parameters
    ----------
    x : ndarray of shape (q, n_runs, n_voxels)
        Effects, in `units`; where a run does not enter -0, the one number that leaves every sum
        as it is.
    c : ndarray of shape (q (q + 1) / 2, n_runs, n_voxels)
        Triangles of covariances, in `units`; where a run does not enter those of 1.
    nu : ndarray of shape (n_runs, n_voxels)
        Degrees of freedom; 1 where a run does not enter.
    enters : ndarray of bool, shape (n_runs, n_voxels)
        Where a run enters.
    units : ndarray of shape (q, n_voxels)
        Powers of two near the rows' standard errors: squares neither over- nor underflow, and
        taking the units out and in again loses no bit.
    weighted : bool
        Whether runs are to be weighted.
    """

    x: FloatArray
    c: FloatArray
    nu: FloatArray
    enters: BoolArray
    units: FloatArray
    weighted: bool

    @property
    def counts(self) -> FloatArray:
        """1 where a run enters, else 0."""
        return self.enters.astype(np.float64)

    @property
    def low(self) -> BoolArray:
        """Where a run enters that has too few degrees of freedom for weights."""
        return self.enters & (self.nu <= MIN_WEIGHTED_DOF)

    def at(self, voxels: IntArray) -> RunRows:
        """Return some of the voxels."""
        # take, unlike an index, leaves the voxels side by side in memory.
        return RunRows(
            x=self.x.take(voxels, axis=-1),
            c=self.c.take(voxels, axis=-1),
            nu=self.nu.take(voxels, axis=-1),
            enters=self.enters.take(voxels, axis=-1),
            units=self.units.take(voxels, axis=-1),
            weighted=self.weighted,
        )


def take_rows(
    effects: npt.ArrayLike, covariances: npt.ArrayLike, dofs: npt.ArrayLike, combination: str
) -> RunRows:
    """Check the arguments of `bids_fx.glm.joint.combine_rows` and see which runs enter where."""
    if combination not in COMBINATIONS:
        raise unknown_name("combination", combination, COMBINATIONS)
    x, c, nu = (np.asarray(values, dtype=np.float64) for values in (effects, covariances, dofs))
    if x.ndim != 3 or 0 in x.shape[:2]:
        raise ValueError(
            "effects must have the shape (n_runs, q, n_voxels) with at least one run and row, "
            f"found {x.shape}"
        )
    n_runs, q, n_voxels = x.shape
    expected = (n_runs, q * (q + 1) // 2, n_voxels)
    if c.shape != expected:
        raise ValueError(f"covariances must have the shape {expected}, found {c.shape}")
    if nu.shape not in ((n_runs, n_voxels), (n_runs, 1)):
        raise ValueError(
            f"degrees of freedom must have the shape {(n_runs, n_voxels)}, found {nu.shape}"
        )
    x, c = (np.ascontiguousarray(part.transpose(1, 0, 2)) for part in (x, c))
    known = np.asarray(np.isfinite(x).all(axis=0))
    enters = known & np.isfinite(nu) & (nu > 0) & _positive_definite(c, q)
    row, column = np.triu_indices(q)
    variances = np.where(enters, c[row == column], 0.0)
    units = np.ldexp(1.0, np.frexp(np.sqrt(variances.max(axis=1)))[1])
    scale = (units[row] * units[column])[:, np.newaxis]
    unit = (row == column)[:, np.newaxis, np.newaxis].astype(np.float64)
    return RunRows(
        x=np.where(enters, x / units[:, np.newaxis], -0.0),
        c=np.where(enters, c / scale, unit),
        nu=np.where(enters, nu, 1.0),
        enters=enters,
        units=units,
        weighted=combination == "weighted",
    )


def _positive_definite(c: FloatArray, q: int) -> BoolArray:
    """Tell which matrices are finite and positive definite beyond the rounding of float32.

    Their correlations are, by Sylvester's criterion, with the diagonal less by q roundings.
    """
    row, column = np.triu_indices(q)
    variances = c[row == column]
    sound = np.asarray(np.isfinite(c).all(axis=0) & (variances > 0).all(axis=0))
    errors = np.sqrt(np.where(sound, variances, 1.0))
    correlations = np.where(sound, c, 0.0) / errors[row] / errors[column]
    correlations[row == column] = 1 - q * MIN_EIGENVALUE
    return sound & are_positive_definite(to_square(correlations, q))
