"""What of an earlier call's results is still there, and what a newer call has replaced."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bids_fx.calls import Call, Failure
from bids_fx.derivatives import paths
from bids_fx.derivatives.whole import is_whole
from bids_fx.entities import IMAGE_ENTITIES
from bids_fx.inputs import Absence, RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan


def still_holds(call: Call, newer: Plan, out_dir: Path) -> Call | None:
    """Return what of a call a newer one has not replaced.

    Parameters
    ----------
    call : Call
        An earlier call.
    newer : Plan
        What the newer call was to do.
    out_dir : Path
        The output folder, whose sidecars say of which settings each map is.

    Returns
    -------
    Call or None
        With the runs and combined contrasts that the newer call did not plan, or of which the
        maps are this call's nevertheless. Runs that were fitted again since, with other settings,
        stay where a combination needs them, and are said to be replaced. None where nothing is
        left.
    """
    plan = call.plan
    groups = _with_inputs(plan, [*_held_groups(plan, newer, out_dir)])
    planned = {run.key: run.settings_hash for run in newer.runs}
    own = {
        run.key
        for run in plan.runs
        if planned.get(run.key) != run.settings_hash
        and (run.key not in planned or is_fitted_as(run, out_dir))
    }
    needed = {run.key for group in groups for run in plan.group_runs(group)}
    left = replace(
        plan,
        absent=_still_absent(plan, newer),
        notices=tuple(one for one in plan.notices if not _tells_of(one.text, newer)),
        runs=tuple(run for run in plan.runs if run.key in own | needed),
        groups=groups,
        replaced=frozenset(key for key in needed if not is_fitted_as(plan.run(key), out_dir)),
    )
    if not own | needed:
        return None
    is_any_there = any((out_dir / path).is_file() for path in _own_outputs(left))
    failures = tuple(one for one in call.failures if not _tells_of(one.record, newer))
    reasons = failure_reasons(failures, missing_outputs(left, out_dir))
    held = replace(call, plan=left, reasons=reasons, failures=failures)
    return refreshed(held, out_dir) if is_any_there or call.state == "failed" else None


def failure_reasons(failures: Sequence[Failure], missing: Sequence[str]) -> tuple[str, ...]:
    """Return why a call has failed, one line each: what failed, and what is not there."""
    reasons = [f"{one.record}: {one.message}" for one in failures]
    if missing:
        reasons.append(
            f"{len(missing)} planned outputs are missing or damaged, {missing[0]} the first"
        )
    return tuple(reasons)


def refreshed(call: Call, out_dir: Path) -> Call:
    """Return a call as done, if all that it was to make is there by now."""
    plan = call.plan
    is_complete = (
        not plan.problems
        and all(is_whole(path, out_dir, quick=True) for path in _own_outputs(plan))
        and all(is_fitted_as(run, out_dir) for run in plan.runs if run.key not in plan.replaced)
        and all(
            _settings_of(paths.statmap(group.entities, item.contrast.label, "z"), out_dir)
            == group.settings_hash
            for group in plan.written_groups
            for item in group.estimable
        )
    )
    return replace(call, state="done", reasons=(), failures=()) if is_complete else call


def missing_outputs(plan: Plan, out_dir: Path, *, quick: bool = True) -> tuple[str, ...]:
    """Return the planned outputs that are not on disk or not whole, see `outputs_due`.

    Parameters
    ----------
    plan : Plan
        The participant's plan.
    out_dir : Path
        The output folder.
    quick : bool
        Look at the ends of images alone (see `bids_fx.derivatives.whole.is_whole`).
    """
    # What all participants share is as whoever uses the folder wants it.
    shared = {*paths.shared_outputs(plan)}
    return tuple(
        str(path)
        for path in outputs_due(plan)
        if not (
            (out_dir / path).is_file() if path in shared else is_whole(path, out_dir, quick=quick)
        )
    )


def outputs_due(plan: Plan) -> Iterator[PurePosixPath]:
    """Iterate over the planned outputs that should be on disk.

    What is written last of all is left out, the report and what is kept of the call, and what
    runs had that were fitted again since.
    """
    last = {paths.report(plan.participant), paths.calls(plan.participant)}
    without = last | _of_replaced(plan)
    yield from (path for path in paths.expected_outputs(plan) if path not in without)


def n_outputs_due(plans: Iterable[Plan]) -> int:
    """Return the number of outputs that some plans of a participant have, see `outputs_due`."""
    return len({path for plan in plans for path in outputs_due(plan)})


def warnings_of(plans: Iterable[Plan]) -> tuple[str, ...]:
    """Return what some plans of a participant warn of, each once."""
    return tuple(dict.fromkeys(one.text for plan in plans for one in plan.notices if one.warning))


def is_fitted_as(run: RunPlan, out_dir: Path) -> bool:
    """Tell whether the maps of a run's model are there, of the settings that a plan has."""
    if isinstance(run.source, RunMaps):
        return True
    return _settings_of(paths.mask(run.entities), out_dir) == run.settings_hash


def _still_absent(plan: Plan, newer: Plan) -> tuple[Absence, ...]:
    """Return what is absent and has not been had since, or been looked for again."""
    had = (*(run.entities for run in newer.runs), *(one.entities for one in newer.absent))
    return tuple(
        one for one in plan.absent if not any(entities.has(one.entities) for entities in had)
    )


def _tells_of(text: str, newer: Plan) -> bool:
    """Tell whether a text names a run or a group that a newer call has planned."""
    results: tuple[RunPlan | GroupPlan, ...] = (*newer.runs, *newer.groups)
    names = {one.key for one in results} | {str(one.entities) for one in results}
    names |= {str(run.entities.without(*IMAGE_ENTITIES)) for run in newer.runs}
    return any(re.search(rf"(?<!\w){re.escape(name)}(?![\w-])", text) for name in names)


def published_design_hash(run: RunPlan, out_dir: Path) -> str | None:
    """Return the hash of the design whose table has a run's name, which may be another space's.

    Returns
    -------
    str or None
        As `RunPlan.design_hash`; None where no sidecar tells it.
    """
    return _told(paths.sidecar(paths.design(run.entities)), "DesignHash", out_dir)


def _held_groups(plan: Plan, newer: Plan, out_dir: Path) -> Iterator[GroupPlan]:
    """Iterate over the groups of a plan with the contrasts that a newer plan leaves them."""
    planned = {group.key: group for group in newer.groups}
    for group in plan.groups:
        held = tuple(
            item
            for item in group.contrasts
            if item.input_keys
            and (
                group.key not in planned
                or _is_left(plan, group, item, planned[group.key], out_dir)
            )
        )
        if held:
            yield replace(group, contrasts=held)


def _is_left(
    plan: Plan, group: GroupPlan, item: GroupContrast, newer: GroupPlan, out_dir: Path
) -> bool:
    """Tell whether a combined contrast is as a plan has it, and not a newer one's."""
    label = item.contrast.label
    is_planned = any(one.contrast.label == label for one in newer.contrasts)
    is_combined = group.not_written is None
    is_same = newer.not_written is None and newer.settings_hash == group.settings_hash
    if is_planned and (is_same or not is_combined):
        return False
    results = [group] if is_combined else plan.inputs(item)
    return all(
        _settings_of(paths.statmap(result.entities, label, "z"), out_dir) == result.settings_hash
        for result in results
    )


def _with_inputs(plan: Plan, groups: list[GroupPlan]) -> tuple[GroupPlan, ...]:
    """Return groups and those that they combine, each behind these."""
    found = {group.key: group for group in groups}
    for group in reversed(plan.groups):
        if group.key in found:
            for key in group.input_keys:
                known = next((one for one in plan.groups if one.key == key), None)
                if known is not None:
                    found.setdefault(key, known)
    return tuple(found[group.key] for group in plan.groups if group.key in found)


def _own_outputs(plan: Plan) -> Iterator[PurePosixPath]:
    """Iterate over the outputs of a plan but for those of all plans and of replaced runs."""
    without = {*paths.shared_outputs(plan)} | _of_replaced(plan)
    yield from (path for path in paths.expected_outputs(plan) if path not in without)


def _of_replaced(plan: Plan) -> set[PurePosixPath]:
    """Return the outputs of the runs that were fitted again since, with other settings."""
    runs = [run for run in plan.runs if run.key in plan.replaced]
    images = [image for run in runs for image in paths.run_images(run)]
    others = [
        path for run in runs for path in (*paths.run_tables(run), *paths.run_figures(run).values())
    ]
    return {*images, *map(paths.sidecar, images), *others}


def _settings_of(image: PurePosixPath, out_dir: Path) -> str | None:
    """Return the hash of the settings that a published image is of; None where it has none."""
    return _told(paths.sidecar(image), "SettingsHash", out_dir)


def _told(sidecar: PurePosixPath, key: str, out_dir: Path) -> str | None:
    """Return a text of a JSON file; None where it has none."""
    value = object_or_nothing(out_dir / sidecar).get(key)
    return value if isinstance(value, str) else None
