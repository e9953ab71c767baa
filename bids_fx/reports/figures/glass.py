"""Glass brains: a map seen through from the side, from behind and from above."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.cuts import Window, find_extent
from bids_fx.reports.maps import is_covered

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]
Cubes = npt.NDArray[np.intp]


#: Voxels that are looked at once, by which the memory is bounded whatever the grid is.
_BLOCK = 200_000


class View(NamedTuple):
    """A direction of looking: the world's axes that run to the right and up in its picture."""

    name: str
    right: int
    up: int
    #: What is at the left and at the right of the picture.
    sides: tuple[str, str]


VIEWS = (
    View("sagittal", 1, 2, ("P", "A")),
    View("coronal", 0, 2, ("L", "R")),
    View("axial", 0, 1, ("L", "R")),
)


class Projection(NamedTuple):
    """A map in one view, each an ndarray of the shape of its window.

    Attributes
    ----------
    inside : ndarray of bool
        Where there is a voxel with a result on the line of sight.
    z : ndarray
        The value with the largest absolute one on it; NaN where none is above the threshold.
    """

    inside: BoolArray
    z: FloatArray


def project(
    z: FloatArray,
    affine: npt.NDArray[np.float64],
    cutoff: float,
    windows: tuple[Window, ...],
) -> list[Projection]:
    """Project a map along the world's axes.

    Parameters
    ----------
    z : ndarray of shape (nx, ny, nz)
        NaN or 0 where there is no result.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm; any orientation, oblique too.
    cutoff : float
        For |z|; may be infinite.
    windows : tuple of Window
        One for each of `VIEWS`.

    Returns
    -------
    list of Projection
        One for each view.

    Notes
    -----
    Voxels are split into points and these gathered in cubes of the world that are as wide as the
    smallest edge of a voxel: on a grid along the world's axes the cubes are its voxels, and on an
    oblique one no cube within a voxel stays without a point.
    """
    covered = is_covered(z)
    if not covered.any():
        return [_nothing(window) for window in windows]
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    step = float(edges.min())
    parts = np.ceil(edges / step - 1e-6).astype(int)
    low, high = find_extent(covered, affine)
    half = np.abs(affine[:3, :3]).sum(axis=1) / 2
    shape = np.ceil((high - low + 2 * half) / step - 1e-3).astype(int)
    scene = _Scene(affine, low - half, step, parts, shape, z.dtype)
    planes = max(1, _BLOCK // (z.shape[0] * z.shape[1]))
    for start in range(0, z.shape[2], planes):
        scene.add(z[..., start : start + planes], start, cutoff)
    return [scene.seen(*pair) for pair in zip(VIEWS, windows, strict=True)]


class _Scene:
    """Cubes of the world, seen from all views, into which voxels are put some planes at a time.

    Parameters
    ----------
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm.
    low : ndarray of shape (3,)
        Lowest corner of the cubes in mm.
    step : float
        Their edge in mm.
    parts : ndarray of shape (3,)
        Cubes that a voxel is as long as, along each of its own axes.
    shape : ndarray of shape (3,)
        Number of cubes along each axis of the world.
    dtype : dtype
        Of the map.
    """

    def __init__(
        self,
        affine: npt.NDArray[np.float64],
        low: npt.NDArray[np.float64],
        step: float,
        parts: npt.NDArray[np.int_],
        shape: npt.NDArray[np.int_],
        dtype: np.dtype[Any],
    ) -> None:
        self.axes = affine[:3, :3] / step
        self.origin = (affine[:3, 3] - low) / step
        self.low, self.step = low, step
        self.solid_offsets = _offsets(self.axes, parts)
        self.bright_offsets = _offsets(self.axes, 2 * parts)
        sizes = [(int(shape[view.right]), int(shape[view.up])) for view in VIEWS]
        self.bodies = [np.zeros(size, bool) for size in sizes]
        self.pictures = [np.full(size, np.nan, dtype) for size in sizes]

    def add(self, z: FloatArray, first: int, cutoff: float) -> None:
        """Put some planes of a map into the cubes; `first` is the number of the first of them."""
        # In the order in which images are stored.
        i, j, k = np.nonzero(is_covered(z).T)[::-1]
        values = z[i, j, k]
        places = _places(self.axes, self.origin, (i, j, k + first))
        solid = _cubes(places, self.solid_offsets)
        chosen = np.flatnonzero(np.abs(values) > cutoff)
        # The last of those that fall on one place stays.
        chosen = chosen[np.argsort(np.abs(values[chosen]), kind="stable")]
        bright = _cubes(places[:, chosen], self.bright_offsets)
        shown = np.repeat(values[chosen], self.bright_offsets.shape[1])
        for view, body, picture in zip(VIEWS, self.bodies, self.pictures, strict=True):
            pair = [view.right, view.up]
            body.ravel()[_flat(solid[pair], body.shape)] = True
            new = np.full_like(picture, np.nan)
            new.ravel()[_flat(bright[pair], new.shape)] = shown
            is_larger = np.abs(new) > np.abs(np.nan_to_num(picture))
            picture[is_larger] = new[is_larger]

    def seen(self, view: View, window: Window) -> Projection:
        """Return one view of the cubes."""
        from scipy.ndimage import gaussian_filter, map_coordinates

        index = VIEWS.index(view)
        body, picture = self.bodies[index], self.pictures[index]
        right = (window.xs - self.low[view.right]) / self.step
        up = (window.ys - self.low[view.up]) / self.step
        grid = np.broadcast_arrays(right[None, :] - 0.5, up[:, None] - 0.5)
        smooth = gaussian_filter(_filled(body).astype(np.float32), 1.0, mode="constant")
        inside = map_coordinates(smooth, grid, order=1, mode="grid-constant", cval=0.0) > 0.5
        columns, rows = np.floor(right).astype(int), np.floor(up).astype(int)
        n_columns, n_rows = picture.shape
        z = picture[np.ix_(np.clip(columns, 0, n_columns - 1), np.clip(rows, 0, n_rows - 1))].T
        there = np.outer((rows >= 0) & (rows < n_rows), (columns >= 0) & (columns < n_columns))
        return Projection(inside, np.where(there, z, np.nan))


def _nothing(window: Window) -> Projection:
    """Return the view of a map without any result."""
    return Projection(np.zeros(window.shape, bool), np.full(window.shape, np.nan))


def _places(
    axes: npt.NDArray[np.float64],
    origin: npt.NDArray[np.float64],
    indices: tuple[npt.NDArray[np.intp], ...],
) -> npt.NDArray[np.float32]:
    """Return the places of voxels, shape (3, n_voxels), in edges of a cube.

    Single precision tells some hundred cubes apart to a ten-thousandth.
    """
    places = np.repeat(origin[:, None].astype(np.float32), len(indices[0]), axis=1)
    for column, index in zip(axes.T.astype(np.float32), indices, strict=True):
        places += column[:, None] * index.astype(np.float32)
    return places


def _offsets(
    axes: npt.NDArray[np.float64], parts: npt.NDArray[np.int_]
) -> npt.NDArray[np.float32]:
    """Return where the middles of a voxel's parts are from its own, shape (3, n_parts)."""
    shares = [(np.arange(number) + 0.5) / number - 0.5 for number in parts]
    return np.asarray(axes @ np.array(list(product(*shares))).T, dtype=np.float32)


def _cubes(places: npt.NDArray[np.float32], offsets: npt.NDArray[np.float32]) -> Cubes:
    """Return the cubes that points around some places fall into, shape (3, n_points)."""
    points = places[:, :, None] + offsets[:, None, :]
    return points.reshape(3, -1).astype(np.intp)


def _flat(pair: Cubes, size: tuple[int, ...]) -> Cubes:
    """Return places in a picture as places in its memory."""
    return np.asarray(pair[0] * size[1] + pair[1])


def _filled(body: BoolArray) -> BoolArray:
    """Return a silhouette without the gaps that an oblique grid leaves, and without holes."""
    from scipy.ndimage import binary_closing, binary_fill_holes

    closed = binary_closing(np.pad(body, 1))[1:-1, 1:-1]
    return np.asarray(binary_fill_holes(closed | body), dtype=bool)


def edge_of(inside: BoolArray, width: int = 1) -> BoolArray:
    """Return the outermost pixels of an area."""
    from scipy.ndimage import binary_erosion

    eroded = binary_erosion(inside, iterations=width, border_value=0)
    return np.asarray(inside & ~eroded)
