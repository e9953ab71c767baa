"""Glass brains: a map seen through from the side, from behind and from above."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bids_fx.reports.figures.cuts import Window
from bids_fx.reports.maps import is_covered

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]
Cubes = npt.NDArray[np.intp]


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
    # In the order in which images are stored.
    indices = np.nonzero(is_covered(z).T)[::-1]
    values = z[indices]
    if not values.size:
        return [_nothing(window) for window in windows]
    edges = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    step = float(edges.min())
    parts = np.ceil(edges / step - 1e-6).astype(int)
    places = _places(affine[:3, :3] / step, indices)
    chosen = np.flatnonzero(np.abs(values) > cutoff)
    # The last of those that fall on one place stays.
    chosen = chosen[np.argsort(np.abs(values[chosen]), kind="stable")]
    low = places.min(axis=1) - np.abs(affine[:3, :3]).sum(axis=1) / (2 * step)
    solid = _cubes(places - low[:, None], _offsets(affine / step, parts))
    bright = _cubes(places[:, chosen] - low[:, None], _offsets(affine / step, 2 * parts))
    shown = np.repeat(values[chosen], 8 * int(parts.prod()))
    shape = np.maximum(solid.max(axis=1), bright.max(axis=1, initial=0)) + 1
    space = _Cubes(low * step + affine[:3, 3], step, shape)
    return [
        _seen(view, window, space, solid, (bright, shown))
        for view, window in zip(VIEWS, windows, strict=True)
    ]


class _Cubes(NamedTuple):
    """Cubes of the world: lowest corner and edge in mm, and how many there are along each axis."""

    low: npt.NDArray[np.float64]
    step: float
    shape: npt.NDArray[np.intp]


def _nothing(window: Window) -> Projection:
    """Return the view of a map without any result."""
    return Projection(np.zeros(window.shape, bool), np.full(window.shape, np.nan))


def _places(
    axes: npt.NDArray[np.float64], indices: tuple[npt.NDArray[np.intp], ...]
) -> npt.NDArray[np.float32]:
    """Return the places of voxels, shape (3, n_voxels), in edges of a cube.

    Single precision tells some hundred cubes apart to a ten-thousandth.
    """
    coordinates = [index.astype(np.float32) for index in indices]
    return np.stack(
        [
            sum(np.float32(axis) * place for axis, place in zip(row, coordinates, strict=True))
            for row in axes
        ]
    )


def _offsets(
    affine: npt.NDArray[np.float64], parts: npt.NDArray[np.int_]
) -> npt.NDArray[np.float64]:
    """Return where the middles of a voxel's parts are from its own, shape (3, n_parts)."""
    shares = [(np.arange(number) + 0.5) / number - 0.5 for number in parts]
    return np.asarray(affine[:3, :3] @ np.array(list(product(*shares))).T)


def _cubes(places: FloatArray, offsets: npt.NDArray[np.float64]) -> Cubes:
    """Return the cubes that points around some places fall into, shape (3, n_points)."""
    points = places[:, :, None] + offsets[:, None, :].astype(np.float32)
    return points.reshape(3, -1).astype(np.intp)


def _seen(
    view: View,
    window: Window,
    space: _Cubes,
    solid: Cubes,
    bright: tuple[Cubes, FloatArray],
) -> Projection:
    """Return one view of some cubes, and of the values of some."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    pair = [view.right, view.up]
    size = tuple(space.shape[pair].tolist())
    body = np.zeros(size, bool)
    body.ravel()[_flat(solid[pair], size)] = True
    cubes, values = bright
    picture = np.full(size, np.nan, values.dtype)
    picture.ravel()[_flat(cubes[pair], size)] = values
    right = (window.xs - space.low[view.right]) / space.step
    up = (window.ys - space.low[view.up]) / space.step
    grid = np.broadcast_arrays(right[None, :] - 0.5, up[:, None] - 0.5)
    smooth = gaussian_filter(_filled(body).astype(np.float32), 1.0, mode="constant")
    inside = map_coordinates(smooth, grid, order=1, mode="grid-constant", cval=0.0) > 0.5
    columns, rows = np.floor(right).astype(int), np.floor(up).astype(int)
    z = picture[np.ix_(np.clip(columns, 0, size[0] - 1), np.clip(rows, 0, size[1] - 1))].T
    there = np.outer((rows >= 0) & (rows < size[1]), (columns >= 0) & (columns < size[0]))
    return Projection(inside, np.where(there, z, np.nan))


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
