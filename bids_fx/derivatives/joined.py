"""What combinations read: published maps of runs and of other combinations."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from bids_fx.derivatives import paths
from bids_fx.derivatives.results import map_key, published_maps
from bids_fx.derivatives.sidecars import output_uri
from bids_fx.inputs import RunMaps
from bids_fx.records import GroupPlan, Plan, RunPlan


def group_inputs(plan: Plan, group: GroupPlan, out_dir: Path) -> dict[str, Path]:
    """Return the maps that a combination reads, by BIDS URI."""
    inputs: dict[str, Path] = {}
    for own in contrast_inputs(plan, group, out_dir).values():
        inputs |= own
    return inputs


def contrast_inputs(plan: Plan, group: GroupPlan, out_dir: Path) -> dict[str, dict[str, Path]]:
    """Return the maps that each contrast of a combination reads: by its label, by BIDS URI."""
    inputs: dict[str, dict[str, Path]] = {item.contrast.label: {} for item in group.estimable}
    for result in plan.inputs(group):
        maps = published_maps(result, out_dir)
        for item in group.estimable:
            if result.key in item.input_keys:
                names = (
                    map_key(result.key, item.source_label, stat)
                    for stat in paths.estimate_stats(item.contrast)
                )
                # Of maps made beforehand the degrees of freedom may be one number.
                files = [maps[name] for name in names if name in maps]
                own = {map_uri(result, file, out_dir): file for file in files}
                inputs[item.contrast.label] |= own
    return inputs


def map_uri(result: RunPlan | GroupPlan, file: Path, out_dir: Path) -> str:
    """Return the BIDS URI of a result's map: in this dataset, or in that of maps made before."""
    if isinstance(result, RunPlan) and isinstance(result.source, RunMaps):
        return result.source.uris[file]
    return output_uri(PurePosixPath(file.relative_to(out_dir).as_posix()))
