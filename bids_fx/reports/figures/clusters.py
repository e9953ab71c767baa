"""Clusters of a z map: found, written to a table and read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bids_fx.derivatives.write import write_text
from bids_fx.reports.maps import is_covered, world_coordinates
from bids_fx.settings import Z_THRESHOLD

FloatArray = npt.NDArray[np.floating]

#: Columns of ``_clusters.tsv``.
CLUSTER_COLUMNS = ("map", "x", "y", "z", "peak_z", "effect", "size_mm3", "n_voxels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Voxels above threshold that touch by their faces.

    Parameters
    ----------
    xyz : tuple of 3 float
        Centre of the voxel with the largest |z|, world coordinates in mm.
    peak_z : float
        z of that voxel; negative in a negative cluster.
    effect : float
        The contrast's effect in that voxel, in the effect map's units; NaN for an F contrast,
        which has several.
    size_mm3 : float
        Volume.
    n_voxels : int
        Number of voxels.
    """

    xyz: tuple[float, float, float]
    peak_z: float
    effect: float
    size_mm3: float
    n_voxels: int


def cluster_table(
    z: FloatArray,
    affine: npt.NDArray[np.float64],
    mask: npt.NDArray[np.bool_],
    threshold: float = Z_THRESHOLD,
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
        Voxels belong to a cluster where |z| is greater; > 0.

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


def write_clusters(path: Path, clusters: Sequence[tuple[str, Cluster]]) -> Path:
    """Write a cluster table.

    Parameters
    ----------
    path : Path
        Ends in ``_clusters.tsv``.
    clusters : sequence of (str, Cluster)
        Name of the map (``combined``, or the run's key where no combined map is written) and
        cluster, in the table's order.

    Returns
    -------
    Path
        `path`.

    Notes
    -----
    Columns: `map`; `x`, `y`, `z` of the peak in mm; `peak_z`; `effect` at the peak; `size_mm3`;
    `n_voxels`.
    """
    lines = ["\t".join(CLUSTER_COLUMNS)]
    for name, cluster in clusters:
        numbers = (*cluster.xyz, cluster.peak_z, cluster.effect, cluster.size_mm3)
        cells = [name, *(_cell(value) for value in numbers), str(cluster.n_voxels)]
        lines.append("\t".join(cells))
    write_text(path, "\n".join(lines) + "\n")
    return path


def read_clusters(path: Path) -> list[tuple[str, Cluster]]:
    """Read a table that `write_clusters` wrote; raises OSError or ValueError."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        name, *cells = line.split("\t")
        x, y, z, peak_z, effect, size_mm3, n_voxels = (
            float("nan" if cell == "n/a" else cell) for cell in cells
        )
        cluster = Cluster(
            xyz=(x, y, z),
            peak_z=peak_z,
            effect=effect,
            size_mm3=size_mm3,
            n_voxels=int(n_voxels),
        )
        found.append((name, cluster))
    return found


def _cell(value: float) -> str:
    """Return a number with six digits; n/a for NaN."""
    return "n/a" if np.isnan(value) else f"{value:.6g}"
