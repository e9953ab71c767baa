"""The peaks of a z map that is seen part by part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Peak(NamedTuple):
    """A voxel that may be the peak of its sign.

    Attributes
    ----------
    z : float
        Not 0; as it is published, in float32.
    place : int
        The voxel's place in the map.
    """

    z: float
    place: int

    @property
    def sign(self) -> str:
        """``positive`` or ``negative``."""
        return "positive" if self.z > 0 else "negative"


def find_peaks(z: npt.NDArray[np.floating], places: npt.NDArray[np.integer]) -> dict[Peak, int]:
    """Find the peaks of both signs in a part of a map.

    Parameters
    ----------
    z : ndarray of shape (n_voxels,)
        As computed; NaN is no peak.
    places : ndarray of int, shape (n_voxels,)
        Places of the voxels in the map, in any order.

    Returns
    -------
    dict of Peak to int
        At most one of each sign, and its index in `z`; of equal values the first in the map.

    Examples
    --------
    >>> find_peaks(np.array([1.0, -3.0, 2.0, 2.0]), np.array([7, 8, 6, 5]))
    {Peak(z=2.0, place=5): 3, Peak(z=-3.0, place=8): 1}
    """
    published = np.nan_to_num(z.astype(np.float32))
    peaks = {}
    for extreme in (published.max(initial=0), published.min(initial=0)):
        if extreme != 0:
            equal = np.flatnonzero(published == extreme)
            voxel = int(equal[places[equal].argmin()])
            peaks[Peak(float(extreme), int(places[voxel]))] = voxel
    return peaks


def highest(peaks: Iterable[Peak]) -> list[Peak]:
    """Return the peaks of a map, from those of its parts.

    Parameters
    ----------
    peaks : iterable of Peak
        Of all parts.

    Returns
    -------
    list of Peak
        At most one of each sign, the higher |z| first, the positive one of two that are equal;
        of equal values of one sign the first in the map.

    Examples
    --------
    >>> highest([Peak(2.0, 5), Peak(-3.0, 8), Peak(2.0, 1)])
    [Peak(z=-3.0, place=8), Peak(z=2.0, place=1)]
    """
    signs: dict[str, Peak] = {}
    for peak in sorted(peaks, key=lambda peak: (-abs(peak.z), -np.sign(peak.z), peak.place)):
        signs.setdefault(peak.sign, peak)
    return list(signs.values())
