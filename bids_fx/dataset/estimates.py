"""The estimates of a contrast that several runs' maps hold, read side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.images import check_same_grid
from bids_fx.dataset.nifti import read_header
from bids_fx.dataset.slabs import SlabReader
from bids_fx.dataset.streams import bad_file
from bids_fx.inputs import FloatArray, Grid

#: Numbers, over runs, volumes and voxels, that are read at once.
SLAB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateFiles:
    """One run's maps of a contrast.

    Parameters
    ----------
    effect, spread : Path
        Effects, and their variance or covariance.
    dof : Path or float
        Degrees of freedom; a number where all voxels have the same.
    """

    effect: Path
    spread: Path
    dof: Path | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """A contrast's estimates of all runs in some voxels.

    Parameters
    ----------
    effects, spreads, dofs : ndarray
        Effects, their variances or covariances, and degrees of freedom: of shape
        (n_runs, n_voxels) for a t contrast; the first two (n_runs, q, n_voxels) and
        (n_runs, q (q + 1) / 2, n_voxels) for an F contrast.
    places : ndarray of int, shape (n_voxels,)
        The voxels' places in the grid's C order.
    """

    effects: FloatArray
    spreads: FloatArray
    dofs: FloatArray
    places: npt.NDArray[np.intp]

    def weighed(self, weights: Sequence[float]) -> Estimates:
        """Return the estimates times a weight each, the spreads times its square."""
        if all(weight == 1 for weight in weights):
            return self
        factors = np.asarray(weights, dtype=np.float64).reshape(-1, *[1] * (self.effects.ndim - 1))
        return Estimates(
            effects=self.effects * factors,
            spreads=self.spreads * factors**2,
            dofs=self.dofs,
            places=self.places,
        )

    def at(self, voxel: int) -> Estimates:
        """Return a copy of the estimates in one of the voxels."""
        return Estimates(
            effects=self.effects[..., [voxel]],
            spreads=self.spreads[..., [voxel]],
            dofs=self.dofs[..., [voxel]],
            places=self.places[[voxel]],
        )


class EstimateReader:
    """Goes through the maps of all runs side by side, once.

    Parameters
    ----------
    runs : sequence of EstimateFiles
        The runs' maps.
    n_rows : int or None
        Number of rows of an F contrast; None for a t contrast.
    grid : Grid
        The grid that all maps must have.
    origin : Path
        The image that `grid` is of.

    Raises
    ------
    BIDSFXError
        If a map is absent or no image, on another grid, or not of the contrast's number of
        volumes.
    """

    def __init__(
        self, runs: Sequence[EstimateFiles], *, n_rows: int | None, grid: Grid, origin: Path
    ) -> None:
        self._grid, self._origin, self._is_t = grid, origin, n_rows is None
        rows = n_rows or 1
        self._effects = [self._open(run.effect, rows) for run in runs]
        self._spreads = [self._open(run.spread, rows * (rows + 1) // 2) for run in runs]
        self._dofs = [
            self._open(run.dof, 1) if isinstance(run.dof, Path) else run.dof for run in runs
        ]
        maps = [one for one in self._dofs if isinstance(one, SlabReader)]
        self._files = [*self._effects, *self._spreads, *maps]

    def _open(self, path: Path, n_volumes: int) -> SlabReader:
        header = read_header(path)
        check_same_grid(path, header.grid, self._origin, self._grid)
        if header.shape[3:] != ((n_volumes,) if n_volumes > 1 else ()):
            found = f"an image of shape {header.shape}"
            raise bad_file(path, found, f"give the contrast's map, of {n_volumes} volume(s)")
        return SlabReader(header)

    def slabs(self) -> Iterator[Estimates]:
        """Iterate over the parts of the grid.

        Yields
        ------
        Estimates
            In the voxels where any run has a finite effect, perhaps none; of all slabs in the
            order of the files.

        Raises
        ------
        BIDSFXError
            If a map is truncated or corrupt, or was changed meanwhile.
        """
        size = max(1, SLAB // sum(file.header.n_scans for file in self._files))
        for start in range(0, self._grid.n_voxels, size):
            yield self._slab(start, min(size, self._grid.n_voxels - start))

    def _slab(self, start: int, n_voxels: int) -> Estimates:
        """Read the next voxels of all maps."""
        slabs = [one.read(n_voxels) for one in self._effects]
        voxels = np.flatnonzero(np.logical_or.reduce([slab.finite() for slab in slabs]))
        effects = np.stack([slab.values(voxels) for slab in slabs])
        spreads = np.stack([one.read(n_voxels).values(voxels) for one in self._spreads])
        dofs = [
            one.read(n_voxels).values(voxels)[0]
            if isinstance(one, SlabReader)
            else np.full(voxels.size, one)
            for one in self._dofs
        ]
        shape = self._grid.shape
        return Estimates(
            effects=effects[:, 0] if self._is_t else effects,
            spreads=spreads[:, 0] if self._is_t else spreads,
            dofs=np.stack(dofs),
            places=np.ravel_multi_index(np.unravel_index(start + voxels, shape, "F"), shape),
        )

    def finish(self) -> dict[Path, str]:
        """Read all maps to their ends and return the SHA-256 of each.

        Raises
        ------
        BIDSFXError
            As `slabs`.
        """
        return {file.header.path: file.finish() for file in self._files}
