"""What is finished already: outputs that are there, of the same inputs and settings."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import drawn_threshold
from bids_fx.derivatives.holdings import published_design_hash
from bids_fx.derivatives.results import published_maps
from bids_fx.derivatives.sidecars import output_uri
from bids_fx.derivatives.superseded import (
    superseded_by_group,
    superseded_by_run,
    unfounded_by_group,
)
from bids_fx.derivatives.write import remove_outputs, sha256, stamp_of, write_json
from bids_fx.inputs import RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.records import GroupPlan, Plan, RunPlan, Todo
from bids_fx.settings import WORK_AREA

#: Of a NIfTI-1 file before its first voxel.
_HEADER_BYTES = 352


class HashCache:
    """SHA-256 of files, kept with size and time of change so that a rerun need not read them.

    Parameters
    ----------
    path : Path
        Where the hashes are kept between calls; may be absent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, list[object]] = {
            file: entry
            for file, entry in object_or_nothing(path).items()
            if isinstance(entry, list) and len(entry) == 3
        }

    @classmethod
    def of_participant(cls, out_dir: Path, participant: str) -> HashCache:
        """Return the hashes that are kept for one participant."""
        return cls(out_dir / WORK_AREA / "hashes" / f"sub-{participant}.json")

    def digest(self, file: Path) -> str:
        """Return a file's SHA-256; it is read only if its size or time have changed."""
        entry = self._entries.get(str(file))
        stamp = stamp_of(file)
        if entry is not None and entry[:2] == stamp:
            return str(entry[2])
        value = sha256(file)
        self._entries[str(file)] = [*stamp, value]
        return value

    def learn(self, file: Path, value: str, stamp: list[object]) -> None:
        """Take over a hash that was computed while the file was read.

        Parameters
        ----------
        file : Path
            The file.
        value : str
            Its SHA-256.
        stamp : list
            What `stamp_of` gave before the file was read; a file that was changed while it was
            read is then hashed anew.
        """
        self._entries[str(file)] = [*stamp, value]

    def save(self) -> None:
        """Write the hashes down for the next call."""
        write_json(self._path, self._entries)


def run_inputs(run: RunPlan) -> dict[str, Path]:
    """Return the images that a run's fit reads, by BIDS URI."""
    source = run.source
    if isinstance(source, RunMaps):
        return {}
    return {source.uris[file]: file for file in (source.bold, source.mask) if file is not None}


def recorded_hashes(image: PurePosixPath, out_dir: Path) -> dict[str, str]:
    """Return the hashes of its inputs that a published image records, by BIDS URI."""
    recorded = object_or_nothing(out_dir / paths.sidecar(image)).get("InputHashes")
    return recorded if isinstance(recorded, dict) else {}


def is_run_finished(run: RunPlan, out_dir: Path, hashes: HashCache) -> bool:
    """Tell whether all outputs of a run are there, of the same inputs and settings.

    Parameters
    ----------
    run : RunPlan
        A run of the plan; maps made beforehand are always finished.
    out_dir : Path
        The output folder.
    hashes : HashCache
        Hashes of the inputs.
    """
    if isinstance(run.source, RunMaps):
        return True
    # The table of the design may have been another space's since.
    are_tables_there = _all_exist(out_dir, paths.run_tables(run)) and (
        published_design_hash(run, out_dir) == run.design_hash
    )
    return are_tables_there and _vouched(
        out_dir, paths.run_images(run), run.settings_hash, run_inputs(run), hashes
    )


def is_group_finished(plan: Plan, group: GroupPlan, out_dir: Path, hashes: HashCache) -> bool:
    """Tell whether all combined maps of a group are there, of its inputs' maps as they are now."""
    if group.not_written is not None or not group.estimable:
        return True
    inputs = group_inputs(plan, group, out_dir)
    if not all(file.exists() for file in inputs.values()):
        return False
    return _all_exist(out_dir, paths.group_tables(group)) and _vouched(
        out_dir, paths.group_images(group), group.settings_hash, inputs, hashes
    )


def contradicted(plan: Plan, out_dir: Path) -> list[Path]:
    """Return files of an earlier call that contradict a plan.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    out_dir : Path
        The output folder.

    Returns
    -------
    list of Path
        Without sidecars. They are under the name of a contrast and of another test, of one that
        cannot be estimated now or of runs that enter it no more; or of another noise model.
    """
    files = {path for run in plan.runs for path in superseded_by_run(run)}
    for group in plan.groups:
        files.update(unfounded_by_group(group))
    for group in plan.written_groups:
        for item in group.contrasts:
            files.update(superseded_by_group(group, item))
    # What one result has no more may be the name of another's.
    files.difference_update(paths.expected_outputs(plan))
    return [out_dir / path for path in sorted(files) if (out_dir / path).exists()]


def remove_contradicted(plan: Plan, todo: Todo, out_dir: Path) -> None:
    """Remove what contradicts a plan, but for what is removed where maps take its place.

    Figures of the design of a run that is to be fitted are removed too: they are drawn whether
    the fit succeeds or not, and if neither is done the next call must not take them for new.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    todo : Todo
        What of it is to be done; a run that cannot be fitted keeps its old maps together.
    out_dir : Path
        The output folder.
    """
    later = {path for key in todo.runs for path in superseded_by_run(plan.run(key))}
    for group in plan.written_groups:
        if group.key in todo.groups:
            for item in group.estimable:
                later.update(superseded_by_group(group, item))
    kept = {out_dir / path for path in later}
    files = (path for path in contradicted(plan, out_dir) if path not in kept)
    remove_outputs((PurePosixPath(path.relative_to(out_dir)) for path in files), out_dir)
    for key in todo.runs:
        remove_outputs(paths.design_figures(plan.run(key)).values(), out_dir)


def is_outdated(plan: Plan, group: GroupPlan, out_dir: Path, hashes: HashCache) -> bool:
    """Tell whether combined maps of an earlier call are of other run maps than those there are.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    group : GroupPlan
        A group that this plan does not combine.
    out_dir : Path
        The output folder.
    hashes : HashCache
        Hashes of the run maps.
    """
    inputs = group_inputs(plan, group, out_dir)
    for item in group.contrasts:
        effect = paths.statmap(group.entities, item.contrast.label, "effect")
        recorded = recorded_hashes(effect, out_dir)
        without = (
            paths.statmap(plan.result(key).entities, item.source_label, "effect")
            for key in item.dropped
        )
        if not recorded.keys().isdisjoint(map(output_uri, without)):
            return True
        shared = recorded.keys() & inputs.keys()
        if any(inputs[u].exists() and hashes.digest(inputs[u]) != recorded[u] for u in shared):
            return True
    return False


def is_whole(image: Path) -> bool:
    """Tell whether an image of ours is there to its end.

    Parameters
    ----------
    image : Path
        A ``.nii.gz`` file, written in one piece.

    Notes
    -----
    A gzip file ends with the length of its content: the 352 bytes of the NIfTI-1 header and
    what that header says of axes and bits a voxel. What a file that was cut off ends with is
    anything.
    """
    try:
        with gzip.open(image) as stream:
            header = stream.read(_HEADER_BYTES)
        with image.open("rb") as stream:
            stream.seek(-4, os.SEEK_END)
            length = int.from_bytes(stream.read(), "little")
        n_axes, *axes = struct.unpack_from("<8h", header, 40)
        (n_bits,) = struct.unpack_from("<h", header, 72)
    except (OSError, EOFError, zlib.error, struct.error):
        return False
    n_bytes: int = math.prod(axes[:n_axes]) * n_bits // 8
    return length == (_HEADER_BYTES + n_bytes) % 2**32


def drawable(plan: Plan, out_dir: Path) -> Todo:
    """Return all figures of a plan that can be drawn from what is there.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    out_dir : Path
        The output folder.

    Returns
    -------
    Todo
        Without those of runs whose design is not known, and of what was fitted again since with
        other settings.
    """
    return Todo(
        run_figures=frozenset(
            run.key for run in plan.runs if run.design is not None and run.key not in plan.replaced
        ),
        fit_figures=frozenset(
            run.key
            for run in plan.runs
            if run.key not in plan.replaced and _all_exist(out_dir, paths.shown_of_fit(run))
        ),
        group_figures=frozenset(
            (group.key, item.contrast.label)
            for group in plan.groups
            for item in group.estimable
            if plan.replaced.isdisjoint(run.key for run in plan.contrast_runs(item))
            and _all_exist(out_dir, paths.shown_maps(plan, group, item))
        ),
    )


def unfinished(plan: Plan, out_dir: Path, hashes: HashCache, *, force: bool) -> Todo:
    """Return what of a plan is still to be done.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    out_dir : Path
        The output folder.
    hashes : HashCache
        Hashes of the inputs.
    force : bool
        Do everything again.

    Returns
    -------
    Todo
        What depends on something that is computed again is computed again too.
    """
    runs = {run.key for run in plan.runs if force or not is_run_finished(run, out_dir, hashes)}
    runs -= {run.key for run in plan.runs if isinstance(run.source, RunMaps)}
    groups: set[str] = set()
    for group in plan.written_groups:
        changed = not (runs | groups).isdisjoint(group.input_keys)
        if force or changed or not is_group_finished(plan, group, out_dir, hashes):
            groups.add(group.key)

    def undrawn(figures_of: Callable[[RunPlan], Mapping[str, PurePosixPath]]) -> frozenset[str]:
        return frozenset(
            run.key
            for run in plan.runs
            if force or run.key in runs or not _all_exist(out_dir, figures_of(run).values())
        )

    return Todo(
        runs=frozenset(runs),
        groups=frozenset(groups),
        run_figures=undrawn(paths.design_figures),
        fit_figures=undrawn(paths.fit_figures),
        group_figures=frozenset(
            (group.key, label)
            for group in plan.groups
            for label, figures in paths.group_figures(group).items()
            if force
            # Which runs it shows depends on the filters, and its name does not.
            or group.shows_runs_alone
            or group.key in groups
            or not (runs | groups).isdisjoint(group.input_keys)
            or not _all_exist(out_dir, (*figures.values(), paths.group_clusters(group)[label]))
            or drawn_threshold(group, label, out_dir) != plan.report.threshold
        ),
    )


def group_inputs(plan: Plan, group: GroupPlan, out_dir: Path) -> dict[str, Path]:
    """Return the maps that a combination reads, by BIDS URI."""
    inputs: dict[str, Path] = {}
    for result in plan.inputs(group):
        prefixes = tuple(
            f"{result.key}/{item.source_label}/"
            for item in group.estimable
            if result.key in item.input_keys
        )
        for name, file in published_maps(result, out_dir).items():
            if name.startswith(prefixes):
                inputs[map_uri(result, file, out_dir)] = file
    return inputs


def map_uri(result: RunPlan | GroupPlan, file: Path, out_dir: Path) -> str:
    """Return the BIDS URI of a result's map: in this dataset, or in that of maps made before."""
    if isinstance(result, RunPlan) and isinstance(result.source, RunMaps):
        return result.source.uris[file]
    return output_uri(PurePosixPath(file.relative_to(out_dir).as_posix()))


def _vouched(
    out_dir: Path,
    images: Iterable[PurePosixPath],
    settings_hash: str,
    inputs: Mapping[str, Path],
    hashes: HashCache,
) -> bool:
    """Tell whether every image has a sidecar that names these settings and inputs."""
    # Each input is looked at once, however many images were made from it.
    current = cache(hashes.digest)
    for image in images:
        values = object_or_nothing(out_dir / paths.sidecar(image))
        recorded = recorded_hashes(image, out_dir)
        if not is_whole(out_dir / image) or values.get("SettingsHash") != settings_hash:
            return False
        if not recorded or not recorded.keys() <= inputs.keys():
            return False
        if any(current(inputs[uri]) != value for uri, value in recorded.items()):
            return False
    return True


def _all_exist(out_dir: Path, files: Iterable[PurePosixPath]) -> bool:
    """Tell whether all files are there."""
    return all((out_dir / file).is_file() for file in files)
