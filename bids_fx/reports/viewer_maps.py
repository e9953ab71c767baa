"""Maps as the viewer of the page takes them: few bytes, and values that are exact enough."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_fx.reports.maps import Volume, inverse

FloatArray = npt.NDArray[np.floating]

#: Between neighbouring values of a packed map, in its units; what is shown has as many digits.
STEPS = {"z": 0.01, "t": 0.01, "F": 0.01, "isq": 0.5}
#: For other maps: about this share of their median absolute value.
_STEP_SHARE = 1 / 32
_LARGEST = np.iinfo(np.int16).max
_WHITE, _GREY = 255.0, 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The part of a grid that holds a map, and where it has values.

    Parameters
    ----------
    start : tuple of 3 int
        Index of the box's first voxel in the grid.
    inside : ndarray of bool, shape (nx, ny, nz)
        The voxels with values.
    affine : ndarray of shape (4, 4)
        Voxel indices of the box to world coordinates in mm.
    """

    start: tuple[int, int, int]
    inside: npt.NDArray[np.bool_]
    affine: npt.NDArray[np.float64]

    @classmethod
    def around(cls, covered: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]) -> Box:
        """Return the smallest box around some voxels, at least one.

        Parameters
        ----------
        covered : ndarray of bool, shape (nx, ny, nz)
            The voxels.
        affine : ndarray of shape (4, 4)
            Voxel indices of the grid to world coordinates in mm.
        """
        bounds = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            found = np.flatnonzero(covered.any(axis=others))
            bounds.append((int(found[0]), int(found[-1]) + 1))
        x, y, z = bounds
        moved = affine.copy()
        moved[:3, 3] = affine[:3, :3] @ [x[0], y[0], z[0]] + affine[:3, 3]
        return cls(
            start=(x[0], y[0], z[0]),
            inside=covered[slice(*x), slice(*y), slice(*z)],
            affine=moved,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        nx, ny, nz = self.inside.shape
        return nx, ny, nz

    def cut(self, values: FloatArray) -> FloatArray:
        """Return the part of a map of the whole grid that is in the box."""
        return values[tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))]

    def grown(self, margin: int) -> Box:
        """Return the box with some voxels more on each side."""
        affine = self.affine.copy()
        affine[:3, 3] -= margin * affine[:3, :3].sum(axis=1)
        x, y, z = self.start
        start = (x - margin, y - margin, z - margin)
        return Box(start=start, inside=np.pad(self.inside, margin), affine=affine)

    def record(self) -> dict[str, object]:
        """Return what the viewer must know of it.

        Returns
        -------
        dict
            ``shape``; ``affine`` and ``inverse``, the first three rows; ``inside``, one bit a
            voxel, the first index fastest and the lowest bit first, as `encode` makes it.
        """
        bits = np.packbits(self.inside.ravel(order="F"), bitorder="little")
        return {
            "shape": list(self.shape),
            "affine": self.affine[:3].tolist(),
            "inverse": inverse(self.affine)[:3].tolist(),
            "inside": encode(bits.tobytes()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A map as it stands in the page.

    Parameters
    ----------
    box : Box
        Where it has values.
    step : float
        Units of the map per unit of what is stored; an error is at most half of it.
    largest : float
        The greatest absolute value.
    data : str
        As `pack_integers` makes it.
    """

    box: Box
    step: float
    largest: float
    data: str


def pack_map(volume: Volume, covered: npt.NDArray[np.bool_], stat: str) -> Packed:
    """Pack a map.

    Parameters
    ----------
    volume : Volume
        The map.
    covered : ndarray of bool, shape (nx, ny, nz)
        The voxels with values, at least one; all of them finite.
    stat : str
        Its ``stat-`` label, which decides on the step.
    """
    box = Box.around(covered, volume.affine)
    values = np.where(box.inside, box.cut(volume.data), 0).astype(np.float64)
    sizes = np.abs(values[box.inside])
    largest = float(sizes.max())
    wanted = STEPS.get(stat) or _round_step(float(np.median(sizes)) * _STEP_SHARE)
    step = max(wanted, largest / _LARGEST) or 1.0
    integers = np.rint(values / step).astype(np.int16)
    return Packed(box=box, step=step, largest=largest, data=pack_integers(integers, box.inside))


def _round_step(step: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten up to a step, for short decimals."""
    if step == 0:
        return 0.0
    power = math.floor(math.log10(step))
    # Read from text: powers of ten below 1 are not exact.
    return max(found for n in (1, 2, 5) if (found := float(f"{n}e{power}")) <= step * (1 + 1e-12))


def pack_background(background: Volume | None, box: Box) -> Packed:
    """Pack what is behind a map, from black (0) to white (255).

    Parameters
    ----------
    background : Volume or None
        On any grid, sampled linearly at all voxels of the box; None for a flat grey where there
        are results.
    box : Box
        What is shown. What is somewhat brighter than the most where there are results is white.
    """
    if background is None:
        shades = np.where(box.inside, _GREY, 0.0)
    else:
        sampled = _sample(background, box)
        white = float(np.percentile(sampled[box.inside], 99.5)) * 1.3
        shades = np.clip(sampled * (_WHITE / (white if white > 0 else np.inf)), 0, _WHITE)
    whole = Box(start=box.start, inside=np.ones(box.shape, bool), affine=box.affine)
    data = pack_integers(np.rint(shades).astype(np.int16), whole.inside)
    return Packed(box=whole, step=1.0, largest=_WHITE, data=data)


def _sample(background: Volume, box: Box) -> npt.NDArray[np.float64]:
    """Return a background at the voxels of a box; 0 outside of it and for what is not finite."""
    from scipy.ndimage import affine_transform

    to_background = inverse(background.affine) @ box.affine
    sampled: npt.NDArray[np.float64] = affine_transform(
        np.nan_to_num(background.data, posinf=0.0, neginf=0.0),
        to_background[:3, :3],
        to_background[:3, 3],
        output_shape=box.shape,
        output=np.float64,
        order=1,
        cval=0.0,
    )
    return sampled


def pack_integers(integers: npt.NDArray[np.int16], inside: npt.NDArray[np.bool_]) -> str:
    """Pack whole numbers so that a smooth map takes few bytes; ``viewer.js`` undoes it.

    Parameters
    ----------
    integers : ndarray of int16, shape (nx, ny, nz)
        0 outside of `inside`.
    inside : ndarray of bool, shape (nx, ny, nz)
        What is kept.

    Notes
    -----
    Each value is predicted from its seven neighbours towards the origin (the Lorenzo predictor,
    Ibarria et al. 2003): the remainder is the difference along all three axes, modulo 2^16.
    Remainders of small size get small codes (0, -1, 1, -2, … become 0, 1, 2, 3, …). The codes of
    the voxels inside stand in the order of the first index fastest, all high bytes before all
    low ones. A z map of 2 mm takes 75, 60 or 46 % of the bytes that a compressed image of the
    same values takes, if it is smooth to 3, 5 or 8 mm (FWHM).
    """
    remainders = integers
    for axis in range(3):
        # Overflow is meant: sums modulo 2^16 undo it.
        remainders = np.diff(remainders, axis=axis, prepend=np.int16(0))
    kept = remainders.ravel(order="F")[inside.ravel(order="F")]
    codes = ((kept << 1) ^ (kept >> 15)).astype(">u2")
    return encode(codes.view(np.uint8).reshape(-1, 2).T.tobytes())


def encode(content: bytes) -> str:
    """Return bytes compressed (zlib) in base64; the same bytes give the same text."""
    return base64.b64encode(zlib.compress(content, level=6)).decode("ascii")
