"""Axial cuts through maps: which ones, and what the pixels of their pictures show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.reports.maps import Volume, inverse, is_covered, summarize, world_coordinates

FloatArray = npt.NDArray[np.floating]

N_CUTS = 6

_MARGIN_MM = 4.0
#: Grey of voxels with a result where there is no image to show them on.
_FLAT = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class StatRow:
    """One row of a mosaic.

    Parameters
    ----------
    name : str
        What the map is, for people.
    z : ndarray of shape (nx, ny, nz)
        NaN or 0 where there is no result.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm; any orientation, oblique too.
    background : function or None
        Reads the image to show it on, on whatever grid, when it is needed; None shows where `z`
        has a result.
    """

    name: str
    z: FloatArray
    affine: npt.NDArray[np.float64]
    background: Callable[[], Volume] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a plane of the world that a picture shows, and its pixels.

    Parameters
    ----------
    left, top : float
        World coordinates of the left edge along the plane's first axis, and of the upper edge
        along its second, in mm.
    pixel_mm : float
        Edge length of a pixel, which is a square.
    shape : tuple of 2 int
        Rows and columns.
    """

    left: float
    top: float
    pixel_mm: float
    shape: tuple[int, int]

    @classmethod
    def around(cls, low: FloatArray, high: FloatArray, pixel_mm: float) -> Window:
        """Return the window around coordinates of a plane, with a margin on all sides.

        Parameters
        ----------
        low, high : ndarray of shape (2,)
            The least and the greatest coordinates along both axes, in mm.
        pixel_mm : float
            Edge length of a pixel.
        """
        columns, rows = (max(1, round(float(mm) / pixel_mm)) for mm in with_margin(low, high))
        middle = (low + high) / 2
        return cls(
            left=float(middle[0]) - columns * pixel_mm / 2,
            top=float(middle[1]) + rows * pixel_mm / 2,
            pixel_mm=pixel_mm,
            shape=(rows, columns),
        )

    @property
    def xs(self) -> npt.NDArray[np.float64]:
        """World coordinates of the columns' centres in mm, ascending."""
        columns = np.arange(self.shape[1], dtype=np.float64)
        return self.left + (columns + 0.5) * self.pixel_mm

    @property
    def ys(self) -> npt.NDArray[np.float64]:
        """World coordinates of the rows' centres in mm, descending."""
        rows = np.arange(self.shape[0], dtype=np.float64)
        return self.top - (rows + 0.5) * self.pixel_mm


def with_margin(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the size in mm of a window around coordinates."""
    return high - low + 2 * _MARGIN_MM


def choose_cuts(
    z: FloatArray,
    affine: npt.NDArray[np.float64],
    threshold: float,
    n_cuts: int = N_CUTS,
) -> tuple[float, ...]:
    """Choose axial cuts that go through the main peak and spread over what is above threshold.

    Parameters
    ----------
    z : ndarray of shape (nx, ny, nz)
        NaN or 0 where there is no result.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm.
    threshold : float
        Voxels with a greater |z| span the cuts; without any, the whole map does. May be infinite.
    n_cuts : int
        Number of cuts; >= 2.

    Returns
    -------
    tuple of float
        World z coordinates in mm, ascending; one of them is the main peak's own.
    """
    covered = is_covered(z)
    if not covered.any():
        return tuple(np.linspace(-20.0, 40.0, n_cuts).tolist())
    heights = np.argwhere(covered) @ affine[2, :3] + affine[2, 3]
    lowest, highest = np.percentile(heights, [5, 95])
    shown = heights[np.abs(z[covered]) > threshold]
    low, high = np.percentile(shown, [2, 98]) if shown.size else (lowest, highest)
    # Cuts closer than a voxel would show the same thing twice.
    slice_mm = float(np.abs(affine[2, :3]).sum())
    low, high = _widen(low, high, (n_cuts - 1) * max(slice_mm, 4.0), (lowest, highest))
    # Where most of the map has too few slices, its outermost ones are better than one twice.
    low, high = _widen(low, high, (n_cuts - 1) * slice_mm, (heights.min(), heights.max()))
    levels = np.linspace(low, high, n_cuts)
    numbers = summarize(z, affine, threshold)
    assert numbers is not None
    height = numbers.main.xyz[2]
    nearest_one = int(np.argmin(np.abs(levels - height)))
    shift = height - levels[nearest_one]
    if high - low < (n_cuts - 1) * 2 * slice_mm:
        # They are close: moved alone, one might come nearer to the next than a voxel.
        levels += shift
    else:
        levels[nearest_one] += shift
    return tuple(np.sort(levels).tolist())


def _widen(low: float, high: float, span: float, ends: tuple[float, float]) -> tuple[float, float]:
    """Return a range as wide as a span: widened on both sides, where one ends on the other."""
    missing = span - (high - low)
    if missing <= 0:
        return low, high
    least, most = min(ends[0], low), max(ends[1], high)
    high = min(max(low - missing / 2, least) + span, most)
    return max(high - span, least), high


def find_extent(
    covered: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the world coordinates that some voxels of a grid span.

    Parameters
    ----------
    covered : ndarray of bool, shape (nx, ny, nz)
        The voxels, at least one.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm.

    Returns
    -------
    low, high : ndarray of shape (3,)
        The least and the greatest coordinates of their centres, in mm.
    """
    places = np.argwhere(covered.any(axis=0))
    # Coordinates grow or fall along a line of voxels: its ends are enough.
    lines = covered[:, places[:, 0], places[:, 1]]
    ends = (lines.argmax(axis=0), len(lines) - 1 - lines[::-1].argmax(axis=0))
    points = np.concatenate([np.column_stack([end, places]) for end in ends])
    world = world_coordinates(points, affine)
    return world.min(axis=0), world.max(axis=0)


def sample(
    row: StatRow, levels: Sequence[float], window: Window
) -> tuple[npt.NDArray[np.float64], FloatArray]:
    """Sample a row at the pixels of all cuts.

    Parameters
    ----------
    row : StatRow
        Map and background.
    levels : sequence of float
        World z of the cuts in mm.
    window : Window
        What each picture shows.

    Returns
    -------
    grey : ndarray of shape (n_levels, n_rows, n_columns)
        The background from 0 to 1, between its voxels linearly; 0 outside of it.
    z : ndarray of shape (n_levels, n_rows, n_columns)
        That of the nearest voxel, NaN outside of the map and where it has no result.
    """
    z = nearest(row.z, row.affine, levels, window)
    covered = is_covered(z)
    z = np.where(covered, z, np.nan)
    if row.background is None:
        return np.where(covered, _FLAT, 0.0), z
    background = row.background()
    bright = _brightness(row, background)
    if bright <= 0:
        return np.zeros(z.shape), z
    grey = _between(background.data, _voxels(background.affine, levels, window))
    return np.clip(grey / bright, 0.0, 1.0), z


def _voxels(
    affine: npt.NDArray[np.float64], levels: Sequence[float], window: Window
) -> npt.NDArray[np.float64]:
    """Return the pixels' places in voxel indices, shape (3, n_levels, n_rows, n_columns)."""
    back = inverse(affine)
    x, y, up, origin = (back[:3, axis, None, None, None] for axis in range(4))
    places: npt.NDArray[np.float64] = (
        x * window.xs + y * window.ys[:, None] + (up * np.asarray(levels)[:, None, None] + origin)
    )
    return places


def nearest(
    values: FloatArray,
    affine: npt.NDArray[np.float64],
    levels: Sequence[float],
    window: Window,
) -> FloatArray:
    """Return the values of the voxels nearest to the pixels of all cuts; NaN outside of the grid.

    Parameters
    ----------
    values : ndarray of shape (nx, ny, nz)
        A map.
    affine : ndarray of shape (4, 4)
        Its voxel indices to world coordinates in mm.
    levels : sequence of float
        World z of the cuts in mm.
    window : Window
        What each picture shows.

    Returns
    -------
    ndarray of shape (n_levels, n_rows, n_columns)
        In the map's own precision.
    """
    indices = np.floor(_voxels(affine, levels, window) + 0.5).astype(np.intp)
    sizes = np.array(values.shape).reshape(3, *(1,) * (indices.ndim - 1))
    inside = ((indices >= 0) & (indices < sizes)).all(axis=0)
    found = values[tuple(np.clip(indices, 0, sizes - 1))]
    return np.where(inside, found, np.nan)


def _between(values: FloatArray, voxels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Interpolate linearly between voxels; 0 outside of the grid and for what is not finite."""
    from scipy.ndimage import map_coordinates

    flat = voxels.reshape(3, -1)
    start = [max(0, int(low)) for low in np.floor(flat.min(axis=1))]
    stop = [max(0, int(high)) + 2 for high in np.floor(flat.max(axis=1))]
    box = tuple(slice(*ends) for ends in zip(start, stop, strict=True))
    needed = np.nan_to_num(values[box], posinf=0.0, neginf=0.0)
    if not needed.size:
        return np.zeros(voxels.shape[1:])
    shift = np.array(start, dtype=np.float64).reshape(3, *(1,) * (voxels.ndim - 1))
    found: npt.NDArray[np.float64] = map_coordinates(
        needed, voxels - shift, output=np.float64, order=1, cval=0.0
    )
    return found


def _brightness(row: StatRow, background: Volume) -> float:
    """Return the value of the background that is white: somewhat above the most in the map."""
    covered = is_covered(row.z)
    values = background.data
    if not covered.any():
        inside = values.ravel(order="K")
    elif values.shape == covered.shape and np.array_equal(background.affine, row.affine):
        # The order does not matter; that in which images are stored is the quickest.
        inside = values.T[covered.T]
    else:
        world = world_coordinates(np.argwhere(covered), row.affine)
        inside = _between(values, world_coordinates(world, inverse(background.affine)).T)
    finite = np.nan_to_num(inside, posinf=0.0, neginf=0.0)
    return float(np.percentile(finite, 99.5)) * 1.3
