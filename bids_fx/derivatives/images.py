"""Images of a result as they are on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.write import write_image, write_json
from bids_fx.entities import Entities, is_standard_space
from bids_fx.inputs import Grid

#: These keep double precision: float32 ends at p = 1e-38, and rows that correlate cancel.
_DOUBLE = {"p", "qp", "covariance"}
#: Whole numbers, 0 where there is nothing to count.
_WHOLE = {"nruns", "zchangerun"}


def as_published(stat: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a statistic's values as its image holds them.

    Examples
    --------
    >>> as_published("nruns", np.array([2.0, np.nan]))
    array([2, 0], dtype=int16)
    """
    if stat in _WHOLE:
        values = np.nan_to_num(values)
    dtype = np.int16 if stat in _WHOLE else np.float64 if stat in _DOUBLE else np.float32
    return values.astype(dtype, copy=False)


class ImageWriter:
    """Writes images of one result with their sidecars.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    entities : Entities
        Of the result.
    mask : ndarray of bool, 3D
        The voxels that have values, in C order.
    grid : Grid
        The images' grid.
    """

    def __init__(
        self, out_dir: Path, entities: Entities, mask: npt.NDArray[np.bool_], grid: Grid
    ) -> None:
        self.out_dir, self.mask, self.grid = out_dir, mask, grid
        space = entities.get("space")
        self.standard_space = space is not None and is_standard_space(space)

    def write(
        self,
        path: PurePosixPath,
        values: npt.NDArray[Any],
        sidecar: Mapping[str, object],
        *,
        stat: str = "",
        dofs: tuple[float, ...] | None = None,
    ) -> Path:
        """Write one image; the sidecar comes last, so that it vouches for a whole image."""
        write_image(
            self.out_dir / path,
            as_published(stat, values),
            self.mask,
            self.grid,
            standard_space=self.standard_space,
            intent=sidecars.intent(stat, dofs),
            outside=0 if stat in _WHOLE else np.nan,
        )
        write_json(self.out_dir / paths.sidecar(path), sidecar)
        return self.out_dir / path

    def write_mask(self, path: PurePosixPath, sidecar: Mapping[str, object]) -> None:
        """Write the mask itself."""
        write_image(
            self.out_dir / path,
            self.mask[self.mask].astype(np.uint8),
            self.mask,
            self.grid,
            standard_space=self.standard_space,
            outside=0,
        )
        write_json(self.out_dir / paths.sidecar(path), sidecar)
