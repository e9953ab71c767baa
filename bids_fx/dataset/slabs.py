"""Images read in parts of their grid, so that many can be gone through side by side."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.dataset.nifti import ImageHeader, RawArray, scale
from bids_fx.dataset.streams import (
    CHUNK,
    HashedFile,
    InflatedFile,
    ReopenedFile,
    drain,
    is_gzip,
    reading,
    truncated,
)
from bids_fx.inputs import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """A part of an image's grid.

    Parameters
    ----------
    header : ImageHeader
        Of the image.
    volumes : tuple of ndarray of shape (n_voxels,)
        Of each volume, as stored.
    """

    header: ImageHeader
    volumes: tuple[RawArray, ...]

    def finite(self) -> npt.NDArray[np.bool_]:
        """Tell which voxels have a finite value in any volume, shape (n_voxels,)."""
        return np.asarray(np.isfinite(self.volumes).any(axis=0))

    def values(self, voxels: npt.NDArray[np.intp]) -> FloatArray:
        """Return some voxels' values in the image's units, shape (n_volumes, len(voxels))."""
        return np.stack([scale(volume[voxels], self.header) for volume in self.volumes])


class SlabReader:
    """An image, read in parts of its grid, of all its volumes at once.

    Parameters
    ----------
    header : ImageHeader
        Of the image.

    Raises
    ------
    BIDSFXError
        If the file is absent or cannot be read.

    Notes
    -----
    Volumes follow one another in the file, so that each has a stream of its own, which inflates
    those before it too: the file is inflated (n_volumes + 1) / 2 times, but none is ever held.
    """

    def __init__(self, header: ImageHeader) -> None:
        self.header = header
        self._hashed = HashedFile(ReopenedFile(header.path))
        # What is read of the last volume covers the whole file.
        files: list[io.RawIOBase] = [ReopenedFile(header.path) for _ in range(header.n_scans - 1)]
        files.append(self._hashed)
        with reading(header.path):
            if is_gzip(header.path):
                files = [InflatedFile(file) for file in files]
        self._streams = [io.BufferedReader(file) for file in files]
        self._is_begun = False

    def read(self, n_voxels: int) -> Slab:
        """Return the next voxels in the file's order.

        Parameters
        ----------
        n_voxels : int
            How many; no more than are left.

        Returns
        -------
        Slab
            Their stored values in all volumes.

        Raises
        ------
        BIDSFXError
            If the file is truncated or corrupt, cannot be read, or was changed meanwhile.
        """
        n_bytes = n_voxels * self.header.dtype.itemsize
        with reading(self.header.path):
            if not self._is_begun:
                self._begin()
            pieces = [stream.read(n_bytes) for stream in self._streams]
        for volume, piece in enumerate(pieces):
            if len(piece) < n_bytes:
                raise truncated(self.header.path, f"{volume} of {self.header.n_scans} volumes")
        volumes = tuple(np.frombuffer(piece, dtype=self.header.dtype) for piece in pieces)
        return Slab(header=self.header, volumes=volumes)

    def finish(self) -> str:
        """Read to the file's end and return the SHA-256 of its bytes as stored.

        Raises
        ------
        BIDSFXError
            As `read`.
        """
        with reading(self.header.path):
            drain(self._streams[-1], self.header.path, 0)
        return self._hashed.sha256

    def _begin(self) -> None:
        """Bring each stream to its volume."""
        volume_bytes = math.prod(self.header.shape[:3]) * self.header.dtype.itemsize
        for volume, stream in enumerate(self._streams):
            left = self.header.data_offset + volume * volume_bytes
            while left and (skipped := len(stream.read(min(left, CHUNK)))):
                left -= skipped
        self._is_begun = True
