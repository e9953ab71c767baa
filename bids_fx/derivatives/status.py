"""What is finished already: outputs that are there, of the same inputs and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from functools import cache
from pathlib import Path, PurePosixPath

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import drawn_threshold
from bids_fx.derivatives.holdings import published_design_hash
from bids_fx.derivatives.images import is_whole
from bids_fx.derivatives.joined import contrast_inputs, group_inputs
from bids_fx.derivatives.sidecars import output_uri
from bids_fx.derivatives.superseded import (
    superseded_by_group,
    superseded_by_run,
    unfounded_by_group,
)
from bids_fx.derivatives.write import remove_outputs, sha256, stamp_of, write_json
from bids_fx.inputs import RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan, Todo
from bids_fx.settings import WORK_AREA

#: A contrast of a group: the group's key and the contrast's label.
_Place = tuple[str, str]


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
    return _input_hashes(object_or_nothing(out_dir / paths.sidecar(image)))


def _input_hashes(values: Mapping[str, object]) -> dict[str, str]:
    """Return the hashes that a sidecar's content records; empty where it has none."""
    recorded = values.get("InputHashes")
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
    # Each input is looked at once, however many images were made from it.
    digest = cache(hashes.digest)
    return are_tables_there and _vouched(
        out_dir, paths.run_images(run), run.settings_hash, run_inputs(run), digest
    )


def _uncombined(plan: Plan, runs: Set[str], out_dir: Path, hashes: HashCache) -> set[_Place]:
    """Return group and label of the contrasts to combine, if some runs are fitted before.

    They are all of a group of which what tells of all is not there.
    """
    found: set[_Place] = set()
    digest = cache(hashes.digest)
    for group in plan.written_groups:
        inputs = contrast_inputs(plan, group, out_dir)
        due = {
            (group.key, item.contrast.label)
            for item in group.estimable
            if not (runs | found).isdisjoint(_sources(item))
            or not _is_combined(group, item, out_dir, inputs[item.contrast.label], digest)
        }
        of_all = {uri: file for own in inputs.values() for uri, file in own.items()}
        is_told = bool(due) or _is_joined(group, out_dir, of_all, digest)
        found |= due if is_told else _places(group)
    return found


def _is_combined(
    group: GroupPlan,
    item: GroupContrast,
    out_dir: Path,
    inputs: Mapping[str, Path],
    digest: Callable[[Path], str],
) -> bool:
    """Tell whether a combined contrast is there, of its inputs' maps as they are now."""
    table = paths.influence_tables(group).get(item.contrast.label)
    tables = () if table is None else (table, paths.sidecar(table))
    images = paths.combined_images(group, item)
    return _all_exist(out_dir, tables) and _vouched(
        out_dir, images, group.settings_hash, inputs, digest
    )


def _is_joined(
    group: GroupPlan, out_dir: Path, inputs: Mapping[str, Path], digest: Callable[[Path], str]
) -> bool:
    """Tell whether what tells of all contrasts of a group is there."""
    table, mask = paths.group_contrasts_table(group), paths.mask(group.entities, group.mask_desc)
    return _all_exist(out_dir, (table,)) and _vouched(
        out_dir, (mask,), group.settings_hash, inputs, digest
    )


def _places(group: GroupPlan) -> set[_Place]:
    """Return group and label of all contrasts that a group can estimate."""
    return {(group.key, item.contrast.label) for item in group.estimable}


def _sources(item: GroupContrast) -> set[str | _Place]:
    """Return what a contrast is made from: runs, and contrasts of groups."""
    return {*item.input_keys, *((key, item.source_label) for key in item.input_keys)}


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
        for item in group.estimable:
            if (group.key, item.contrast.label) in todo.contrasts:
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
    if force:
        contrasts = set[_Place]().union(*map(_places, plan.written_groups))
    else:
        contrasts = _uncombined(plan, runs, out_dir, hashes)
    sources = {
        (group.key, item.contrast.label): _sources(item)
        for group in plan.groups
        for item in group.estimable
    }

    def undrawn(figures_of: Callable[[RunPlan], Mapping[str, PurePosixPath]]) -> frozenset[str]:
        return frozenset(
            run.key
            for run in plan.runs
            if force or run.key in runs or not _all_exist(out_dir, figures_of(run).values())
        )

    return Todo(
        runs=frozenset(runs),
        groups=frozenset(key for key, _ in contrasts),
        contrasts=frozenset(contrasts),
        run_figures=undrawn(paths.design_figures),
        fit_figures=undrawn(paths.fit_figures),
        group_figures=frozenset(
            (group.key, label)
            for group in plan.groups
            for label, figures in paths.group_figures(group).items()
            if force
            # Which runs it shows depends on the filters, and its name does not.
            or group.shows_runs_alone
            or (group.key, label) in contrasts
            or not (runs | contrasts).isdisjoint(sources[group.key, label])
            or not _all_exist(out_dir, (*figures.values(), paths.group_clusters(group)[label]))
            or drawn_threshold(group, label, out_dir) != plan.report.threshold
        ),
    )


def _vouched(
    out_dir: Path,
    images: Iterable[PurePosixPath],
    settings_hash: str,
    inputs: Mapping[str, Path],
    digest: Callable[[Path], str],
) -> bool:
    """Tell whether every image has a sidecar that names these settings and inputs."""
    if not all(file.exists() for file in inputs.values()):
        return False
    for image in images:
        values = object_or_nothing(out_dir / paths.sidecar(image))
        recorded = _input_hashes(values)
        if not is_whole(out_dir / image) or values.get("SettingsHash") != settings_hash:
            return False
        if not recorded or not recorded.keys() <= inputs.keys():
            return False
        if any(digest(inputs[uri]) != value for uri, value in recorded.items()):
            return False
    return True


def _all_exist(out_dir: Path, files: Iterable[PurePosixPath]) -> bool:
    """Tell whether all files are there."""
    return all((out_dir / file).is_file() for file in files)
