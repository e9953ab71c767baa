"""Clusters of a z map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.clusters import Cluster
from bids_fx.reports.maps import is_covered, world_coordinates

FloatArray = npt.NDArray[np.floating]


def cluster_table(
    z: FloatArray,
    affine: npt.NDArray[np.float64],
    mask: npt.NDArray[np.bool_],
    threshold: float,
    *,
    effect: FloatArray | None,
) -> list[Cluster]:
    """Find the clusters of both signs.

    Parameters
    ----------
    z, effect : ndarray of shape (nx, ny, nz)
        The contrast's maps; `effect` None where there is not one effect a voxel.
    affine : ndarray of shape (4, 4)
        Voxel indices to world coordinates in mm.
    mask : ndarray of bool, shape (nx, ny, nz)
        Voxels that count.
    threshold : float
        Voxels belong to a cluster where |z| is greater; >= 0, may be infinite.

    Returns
    -------
    list of Cluster
        By decreasing |peak z|, then by the peak's place in C order; empty without any.

    Notes
    -----
    Clusters and their peaks are those of nilearn's ``get_clusters_table(two_sided=True)``
    without its sub-peaks; that one filters the whole volume once a cluster, which takes ten
    seconds for an unsmoothed map of a few hundred. Of equal peaks in a cluster the first in C
    order counts.
    """
    above = mask & is_covered(z) & (np.abs(z) > threshold)
    places = np.argwhere(above)
    if not len(places):
        return []
    start = places.min(axis=0)
    box = tuple(slice(*ends) for ends in zip(start, places.max(axis=0) + 1, strict=True))
    voxel_mm3 = float(abs(np.linalg.det(affine[:3, :3])))
    clusters: list[tuple[float, int, Cluster]] = []
    for sign in (1.0, -1.0):
        for peak, size in _label(above[box] & (sign * z[box] > 0), np.abs(z[box])):
            place = tuple((start + peak).tolist())
            x, y, up = world_coordinates(np.array(place), affine).tolist()
            cluster = Cluster(
                xyz=(x, y, up),
                peak_z=float(z[place]),
                effect=float("nan") if effect is None else float(effect[place]),
                size_mm3=size * voxel_mm3,
                n_voxels=size,
            )
            order = int(np.ravel_multi_index(place, z.shape))
            clusters.append((-abs(cluster.peak_z), order, cluster))
    return [cluster for _, _, cluster in sorted(clusters, key=lambda item: item[:2])]


def _label(
    above: npt.NDArray[np.bool_], heights: FloatArray
) -> Iterator[tuple[npt.NDArray[np.intp], int]]:
    """Iterate over the clusters of some voxels: place of the greatest height and size."""
    from scipy import ndimage

    labels, _ = ndimage.label(above)
    places = np.argwhere(labels)
    owners = labels[labels > 0]
    # Within a cluster the greatest comes first, and of equal ones the first place.
    order = np.lexsort((-heights[labels > 0], owners))
    _, firsts, sizes = np.unique(owners[order], return_index=True, return_counts=True)
    yield from zip(places[order[firsts]], sizes.tolist(), strict=True)
