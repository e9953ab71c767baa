"""The table of a contrast's clusters and what goes with its figures, written and read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_fx.derivatives import paths, sidecars
from bids_fx.derivatives.write import write_json, write_text
from bids_fx.errors import visible
from bids_fx.json_files import read_object
from bids_fx.records import GroupContrast, GroupPlan, Plan
from bids_fx.regular import read_text
from bids_fx.report_settings import CORRECTIONS, Threshold

#: Name of the combined map in cluster tables and beside them.
COMBINED = "combined"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNumbers:
    """The numbers by which a z map is known.

    Parameters
    ----------
    cutoff : float
        The |z| above which its voxels are shown; infinite where none can be.
    peak_z : float or None
        Its largest value; None where it has no result at all.
    xyz : tuple of 3 float
        Centre of that voxel, world coordinates in mm.
    lowest : float
        Its least value.
    lowest_xyz : tuple of 3 float
        Centre of that voxel.
    n_above : int
        Voxels that are shown.
    at_combined : float
        Its value at the main peak of the combined map; NaN where there is none.
    """

    cutoff: float
    peak_z: float | None = None
    xyz: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    lowest: float = math.nan
    lowest_xyz: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    n_above: int = 0
    at_combined: float = math.nan

    @property
    def falls(self) -> bool:
        """Whether its main peak is its least value."""
        return self.peak_z is not None and falls_more(self.peak_z, self.lowest)

    @property
    def main_z(self) -> float | None:
        """Z of its main peak, by which it is known; None where it has no result at all."""
        return self.lowest if self.falls else self.peak_z

    @property
    def main_xyz(self) -> tuple[float, float, float]:
        """Place of its main peak."""
        return self.lowest_xyz if self.falls else self.xyz


def falls_more(highest: float, lowest: float) -> bool:
    """Tell which of its two peaks a map is known by: the lowest, if its absolute value is larger.

    Thresholds are two-sided, so that a contrast may be told by what is below 0.
    """
    return -lowest > highest


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
        lines.append("\t".join([*cells, visible(" ".join((cluster.region or "n/a").split()))]))
    write_text(path, "\n".join(lines) + "\n")
    return path


def write_cluster_sidecar(
    plan: Plan,
    group: GroupPlan,
    item: GroupContrast,
    numbers: Mapping[str, MapNumbers],
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
    numbers : mapping of str to MapNumbers
        Of each map that is drawn, named as in the table.
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
                "Z": {name: _number(one.cutoff) for name, one in numbers.items()},
            },
            "Peaks": {name: _peak(one) for name, one in numbers.items()},
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
        told = _read_sidecar(group, label, out_dir)["Threshold"]
        correction, rate = told["Correction"], told["ErrorRate"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if correction not in CORRECTIONS or not isinstance(rate, float | int):
        return None
    return Threshold(correction=correction, error_rate=float(rate))


def as_drawn(plan: Plan, group: GroupPlan, label: str, out_dir: Path) -> Plan:
    """Return the plan with the threshold of what is there: another call may have drawn it."""
    threshold = drawn_threshold(group, label, out_dir) or plan.report.threshold
    return replace(plan, report=replace(plan.report, threshold=threshold))


def drawn_maps(group: GroupPlan, label: str, out_dir: Path) -> dict[str, MapNumbers]:
    """Return the numbers of the maps that a contrast's figures show, named as in its table.

    Where the sidecar of the table is missing or damaged there are none.
    """
    try:
        told = _read_sidecar(group, label, out_dir)
        cutoffs = told["Threshold"]["Z"]
        return {name: _numbers(cutoffs[name], one) for name, one in told["Peaks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_sidecar(group: GroupPlan, label: str, out_dir: Path) -> Any:
    """Read the sidecar of a cluster table; raises OSError or ValueError where it cannot be."""
    path = out_dir / paths.sidecar(paths.group_clusters(group)[label])
    return read_object(path)


def _peak(one: MapNumbers) -> dict[str, object]:
    """Return what a sidecar says of a map; of one without any result, that it has no peak."""
    if one.peak_z is None:
        return {"Z": None}
    return {
        "Z": one.peak_z,
        "Place": list(one.xyz),
        "LowestZ": one.lowest,
        "LowestPlace": list(one.lowest_xyz),
        "VoxelsAbove": one.n_above,
        "ZAtCombinedPeak": _number(one.at_combined),
    }


def _numbers(cutoff: float | None, told: dict[str, Any]) -> MapNumbers:
    """Return what `_peak` wrote down."""
    limit = math.inf if cutoff is None else float(cutoff)
    if told["Z"] is None:
        return MapNumbers(cutoff=limit)
    x, y, z = map(float, told["Place"])
    low_x, low_y, low_z = map(float, told["LowestPlace"])
    there = told["ZAtCombinedPeak"]
    return MapNumbers(
        cutoff=limit,
        peak_z=float(told["Z"]),
        xyz=(x, y, z),
        lowest=float(told["LowestZ"]),
        lowest_xyz=(low_x, low_y, low_z),
        n_above=int(told["VoxelsAbove"]),
        at_combined=math.nan if there is None else float(there),
    )


def _number(value: float) -> float | None:
    """Return what JSON can hold of a number."""
    return value if math.isfinite(value) else None


def read_clusters(path: Path) -> list[tuple[str, Cluster]]:
    """Read a table that `write_clusters` wrote.

    Raises
    ------
    OSError
        Where it is missing.
    ValueError
        Where it is damaged, or has other columns.
    """
    head, *lines = read_text(path).splitlines() or [""]
    if tuple(head.split("\t")) != CLUSTER_COLUMNS:
        raise ValueError(f"{path.name} does not have the columns of a cluster table")
    found = []
    for line in lines:
        name, *cells, region = line.split("\t")
        x, y, z, peak_z, effect, size_mm3, n_voxels = (
            float("nan" if cell == "n/a" else cell) for cell in cells
        )
        if not math.isfinite(n_voxels):
            raise ValueError(f"{path.name} has {n_voxels} for a number of voxels")
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
