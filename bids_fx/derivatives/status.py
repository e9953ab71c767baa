"""What is finished already: outputs that are there, of the same inputs and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from functools import cache
from pathlib import Path, PurePosixPath

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import drawn_threshold
from bids_fx.derivatives.hashes import HashCache
from bids_fx.derivatives.holdings import published_design_hash
from bids_fx.derivatives.joined import contrast_inputs, group_inputs
from bids_fx.derivatives.sidecars import output_uri
from bids_fx.derivatives.superseded import (
    superseded_by_group,
    superseded_by_run,
    unfounded_by_group,
)
from bids_fx.derivatives.whole import is_own, is_whole, n_rows_of
from bids_fx.derivatives.write import remove_outputs
from bids_fx.inputs import RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan, Todo

#: A contrast of a group: the group's key and the contrast's label.
_Place = tuple[str, str]


class _Look:
    """One look at what an output folder holds; each input is looked at once.

    Parameters
    ----------
    out_dir : Path
        The output folder.
    hashes : HashCache
        Hashes of the inputs.
    """

    def __init__(self, out_dir: Path, hashes: HashCache) -> None:
        self.out_dir = out_dir
        self._hashes = hashes
        self.digest = cache(self._digest_of)

    def are_whole(
        self, files: Iterable[PurePosixPath], n_rows: Mapping[PurePosixPath, int] | None = None
    ) -> bool:
        """Tell whether all files are there to their end; of some tables the rows are known."""
        rows = n_rows or {}
        is_whole = self._hashes.is_whole
        return all(is_whole(file, self.out_dir, n_rows=rows.get(file)) for file in files)

    def vouched(
        self, images: Iterable[PurePosixPath], settings_hash: str, inputs: Mapping[str, Path]
    ) -> bool:
        """Tell whether every image has a sidecar that names these settings and inputs."""
        if not all(file.exists() for file in inputs.values()):
            return False
        for image in images:
            sidecar = paths.sidecar(image)
            if not is_own(sidecar, self.out_dir) or not self.are_whole((image,)):
                return False
            values = object_or_nothing(self.out_dir / sidecar)
            recorded = _input_hashes(values)
            if values.get("SettingsHash") != settings_hash:
                return False
            if not recorded or not recorded.keys() <= inputs.keys():
                return False
            if any(self.digest(inputs[uri]) != value for uri, value in recorded.items()):
                return False
        return True

    def _digest_of(self, file: Path) -> str | None:
        """Return the hash of an input; None where it has gone, or cannot be read any more."""
        try:
            return self._hashes.digest(file)
        except OSError:
            return None


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
    look = _Look(out_dir, hashes)
    are_tables_there = look.are_whole(paths.run_tables(run), n_rows_of(run)) and (
        published_design_hash(run, out_dir) == run.design_hash
    )
    return are_tables_there and look.vouched(
        paths.run_images(run), run.settings_hash, run_inputs(run)
    )


def _uncombined(plan: Plan, runs: Set[str], out_dir: Path, hashes: HashCache) -> set[_Place]:
    """Return group and label of the contrasts to combine, if some runs are fitted before.

    They are all of a group of which what tells of all is not there.
    """
    found: set[_Place] = set()
    look = _Look(out_dir, hashes)
    for group in plan.written_groups:
        inputs = contrast_inputs(plan, group, out_dir)
        due = {
            (group.key, item.contrast.label)
            for item in group.estimable
            if not (runs | found).isdisjoint(_sources(item))
            or not _is_combined(group, item, inputs[item.contrast.label], look)
        }
        of_all = {uri: file for own in inputs.values() for uri, file in own.items()}
        is_told = bool(due) or _is_joined(group, of_all, look)
        found |= due if is_told else _places(group)
    return found


def _is_combined(
    group: GroupPlan, item: GroupContrast, inputs: Mapping[str, Path], look: _Look
) -> bool:
    """Tell whether a combined contrast is there, of its inputs' maps as they are now."""
    table = paths.influence_tables(group).get(item.contrast.label)
    tables = () if table is None else (table, paths.sidecar(table))
    images = paths.combined_images(group, item)
    return look.are_whole(tables) and look.vouched(images, group.settings_hash, inputs)


def _is_joined(group: GroupPlan, inputs: Mapping[str, Path], look: _Look) -> bool:
    """Tell whether what tells of all contrasts of a group is there."""
    table, mask = paths.group_contrasts_table(group), paths.mask(group.entities, group.mask_desc)
    return look.are_whole((table,)) and look.vouched((mask,), group.settings_hash, inputs)


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
    look = _Look(out_dir, hashes)
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
        if any(look.digest(inputs[uri]) not in {None, recorded[uri]} for uri in shared):
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

    @cache
    def is_shown(file: PurePosixPath) -> bool:
        return is_whole(file, out_dir)

    return Todo(
        run_figures=frozenset(
            run.key for run in plan.runs if run.design is not None and run.key not in plan.replaced
        ),
        fit_figures=frozenset(
            run.key
            for run in plan.runs
            if run.key not in plan.replaced and all(map(is_shown, paths.shown_of_fit(run)))
        ),
        group_figures=frozenset(
            (group.key, item.contrast.label)
            for group in plan.groups
            for item in group.estimable
            if plan.replaced.isdisjoint(run.key for run in plan.contrast_runs(item))
            and all(map(is_shown, paths.shown_maps(plan, group, item)))
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
    look = _Look(out_dir, hashes)
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
            if force or run.key in runs or not look.are_whole(figures_of(run).values())
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
            for label in paths.group_figures(group)
            if force
            # Which runs it shows depends on the filters, and its name does not.
            or group.shows_runs_alone
            or (group.key, label) in contrasts
            or not (runs | contrasts).isdisjoint(sources[group.key, label])
            or not look.are_whole(_drawn_of(group, label))
            or drawn_threshold(group, label, out_dir) != plan.report.threshold
        ),
    )


def _drawn_of(group: GroupPlan, label: str) -> Iterator[PurePosixPath]:
    """Iterate over what is written with a contrast's figures, and those."""
    table = paths.group_clusters(group)[label]
    yield from (*paths.group_figures(group)[label].values(), table, paths.sidecar(table))
