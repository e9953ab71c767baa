"""What the fit asks of a run's series, wherever it is kept."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

#: Voxels whose series a thread reads at once.
BLOCK_VOXELS = 4096


class SeriesMatrix(Protocol):
    """A matrix of scans by voxels of which some voxels are read at a time.

    An array is one; so is a matrix on disk that gives arrays. It may be read in several threads
    at once.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the numbers of scans and voxels."""

    def __getitem__(
        self, key: tuple[slice, slice | npt.NDArray[np.intp]], /
    ) -> npt.NDArray[np.floating[Any]]:
        """Return all scans, ``[:, voxels]``, of a slice or of increasing numbers of voxels."""
