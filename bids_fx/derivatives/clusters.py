"""The table of a contrast's clusters and what it says of itself, written and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.write import write_json, write_text
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.report_settings import CORRECTIONS, Threshold

#: What the columns of ``_clusters.tsv`` mean, for its sidecar.
_COLUMNS: dict[str, str] = {
    "map": "The map: `combined`, or the run whose own clusters these are",
    "x": "Place of the peak's voxel, world coordinate",
    "y": "Place of the peak's voxel, world coordinate",
    "z": "Place of the peak's voxel, world coordinate",
    "peak_z": "z value of the peak, the largest absolute one of the cluster",
    "effect": "The contrast's effect at the peak; n/a for an F contrast, which has several",
    "size_mm3": "Volume",
    "n_voxels": "Number of voxels",
    "region": "Region of `Atlas` whose voxel is the nearest to the peak; n/a outside of all",
}
#: Columns of ``_clusters.tsv``.
CLUSTER_COLUMNS = tuple(_COLUMNS)


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
    region : str or None
        Region of an atlas that the peak lies in; None outside of all, and without an atlas.
    """

    xyz: tuple[float, float, float]
    peak_z: float
    effect: float
    size_mm3: float
    n_voxels: int
    region: str | None = None


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
    """
    lines = ["\t".join(CLUSTER_COLUMNS)]
    for name, cluster in clusters:
        numbers = (*cluster.xyz, cluster.peak_z, cluster.effect, cluster.size_mm3)
        cells = [name, *(_cell(value) for value in numbers), str(cluster.n_voxels)]
        lines.append("\t".join([*cells, " ".join((cluster.region or "n/a").split())]))
    write_text(path, "\n".join(lines) + "\n")
    return path


def write_cluster_sidecar(
    plan: Plan,
    group: GroupPlan,
    item: GroupContrast,
    cutoffs: Mapping[str, float],
    regions: Mapping[str, str],
    out_dir: Path,
) -> Path:
    """Say what a cluster table is of; written last, it vouches for the contrast's figures too.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        One of its groups.
    item : GroupContrast
        One of its contrasts.
    cutoffs : mapping of str to float
        By map, the |z| above which voxels belong to clusters; infinite where none can.
    regions : mapping of str to str
        ``Atlas``, the name of what has the regions, or ``RegionsLeftOut``, why there are none
        though it is there; empty without any.
    out_dir : Path
        The output folder.

    Returns
    -------
    Path
        The JSON file.
    """
    path = out_dir / paths.sidecar(paths.group_clusters(group)[item.contrast.label])
    column_units = {"x": "mm", "y": "mm", "z": "mm", "size_mm3": "mm^3", "n_voxels": "count"}
    column_units["effect"] = sidecars.effect_units(plan)
    write_json(
        path,
        {
            "Description": (
                f"Clusters of the z map of contrast '{item.contrast.name}': voxels above the "
                "threshold, of one sign, that touch by their faces"
            ),
            "ContrastName": item.contrast.name,
            "ContrastTest": item.contrast.test,
            "Threshold": {
                "Correction": plan.report.threshold.correction,
                "ErrorRate": plan.report.threshold.error_rate,
                "Tails": "two-sided" if item.contrast.test == "t" else "of F",
                "Z": {
                    name: None if math.isinf(value) else value for name, value in cutoffs.items()
                },
            },
            "Connectivity": 6,
            **regions,
            **{
                name: {"Description": text, "Units": column_units.get(name, "arbitrary")}
                for name, text in _COLUMNS.items()
            },
        },
    )
    return path


def drawn_threshold(group: GroupPlan, label: str, out_dir: Path) -> Threshold | None:
    """Return the threshold of a contrast's figures and clusters; None where nothing says it."""
    try:
        path = out_dir / paths.sidecar(paths.group_clusters(group)[label])
        told = json.loads(path.read_text(encoding="utf-8"))["Threshold"]
        correction, rate = told["Correction"], told["ErrorRate"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if correction not in CORRECTIONS or not isinstance(rate, float | int):
        return None
    return Threshold(correction=correction, error_rate=float(rate))


def read_clusters(path: Path) -> list[tuple[str, Cluster]]:
    """Read a table that `write_clusters` wrote.

    Raises
    ------
    OSError
        Where it is missing.
    ValueError
        Where it is damaged, or has other columns.
    """
    head, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    if tuple(head.split("\t")) != CLUSTER_COLUMNS:
        raise ValueError(f"{path.name} does not have the columns of a cluster table")
    found = []
    for line in lines:
        name, *cells, region = line.split("\t")
        x, y, z, peak_z, effect, size_mm3, n_voxels = (
            float("nan" if cell == "n/a" else cell) for cell in cells
        )
        cluster = Cluster(
            xyz=(x, y, z),
            peak_z=peak_z,
            effect=effect,
            size_mm3=size_mm3,
            n_voxels=int(n_voxels),
            region=None if region == "n/a" else region,
        )
        found.append((name, cluster))
    return found


def _cell(value: float) -> str:
    """Return a number with six digits; n/a for NaN."""
    return "n/a" if math.isnan(value) else f"{value:.6g}"
