"""What an output folder holds of each participant, read from its own files alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bids_fx.analyses import analyses, identity
from bids_fx.calls import Call
from bids_fx.derivatives import paths
from bids_fx.derivatives.calls import read_calls
from bids_fx.derivatives.holdings import n_outputs_due, outputs_due, warnings_of
from bids_fx.derivatives.quality import numbers_of
from bids_fx.derivatives.states import Told, told_of
from bids_fx.entities import IMAGE_ENTITIES, Entities
from bids_fx.errors import BIDSFXError
from bids_fx.inputs import RunMaps
from bids_fx.json_files import read_object
from bids_fx.quality import broken_limits
from bids_fx.records import Plan, RunPlan
from bids_fx.report_settings import QualityLimit
from bids_fx.settings import WORK_AREA
from bids_fx.standing import Analysis, RunQuality, Standing, State, label_key

#: Digits of an analysis' hash that are shown.
_DIGITS = 8
_UNDER_WAY: dict[str, State] = {"running": "running", "planned": "planned"}
_UNKNOWN = (
    "nothing here says what was done: calls.json is missing, as in a folder of an older version "
    "or of another program; a call at level 'participant' writes it"
)


_ENDED = (
    "this machine sees no process at work on it: unless one runs elsewhere, it was ended, and the "
    "same call at level 'participant' goes on"
)


def participants_in(out_dir: Path) -> tuple[str, ...]:
    """Return the participants of whom an output folder has anything, sorted.

    Parameters
    ----------
    out_dir : Path
        The output folder.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    found = {path.name for path in out_dir.iterdir() if path.is_dir()}
    found |= {path.stem for path in out_dir.glob("sub-*.html")}
    found |= {path.stem for path in (out_dir / WORK_AREA / "states").glob("sub-*.json")}
    return _labels(found)


def participants_of(bids_dir: Path) -> tuple[str, ...]:
    """Return the participants of a dataset by the names of its folders; none without a dataset."""
    try:
        return _labels(path.name for path in bids_dir.iterdir() if path.is_dir())
    except OSError:
        return ()


def _labels(names: Iterable[str]) -> tuple[str, ...]:
    """Return the labels of names that are those of participants, sorted."""
    labels = {name.removeprefix("sub-") for name in names if name.startswith("sub-")}
    return tuple(sorted(filter(str.isalnum, labels), key=label_key))


def read_standing(
    out_dir: Path, participant: str, limits: Sequence[QualityLimit] = ()
) -> Standing:
    """Read how far a participant is, and what came of it.

    Parameters
    ----------
    out_dir : Path
        The output folder; other processes may be writing to it.
    participant : str
        Label without ``sub-``.
    limits : sequence of QualityLimit
        What every run must keep.

    Returns
    -------
    Standing
        Of a participant that is still running what earlier calls left. What is damaged is named
        among the reasons.
    """
    told = told_of(out_dir, participant)
    found = _found(out_dir, participant, told, limits)
    # A call may begin or end meanwhile: what it took away or had not written yet is no failure.
    while (now := told_of(out_dir, participant)) != told and not now.is_live:
        told = now
        found = _found(out_dir, participant, told, limits)
    under_way = _UNDER_WAY.get(now.state)
    # A call that was ended before it began has changed nothing.
    is_as_before = under_way == "planned" and not now.is_live and found.state != "unknown"
    if under_way is None or is_as_before:
        return found
    return replace(found, state=under_way, reasons=() if now.is_live else (_ENDED,))


def _found(
    out_dir: Path, participant: str, told: Told, limits: Sequence[QualityLimit]
) -> Standing:
    """Return what came of a participant, as if no call were under way."""
    reason = told.reason if told.state == "failed" else ""
    standing = Standing(
        participant=participant,
        state="unknown",
        has_report=(out_dir / paths.report(participant)).is_file(),
        seconds=told.seconds,
        peak_mb=told.peak_mb,
    )
    try:
        made = analyses(read_calls(out_dir, participant))
    except BIDSFXError as error:
        faults = [f"calls.json: {problem.found}" for problem in error.problems]
        return _judged(standing, _without_folder(faults, out_dir))
    if not made:
        return _judged(standing, [reason]) if reason else replace(standing, reasons=(_UNKNOWN,))
    standing = _with_results(standing, made, out_dir)
    runs, damages = _qualities(made, out_dir)
    own = {identity(call)[:_DIGITS]: call.plan.report.quality_limits for call in made}
    broken = [
        f"{run.entities.without('sub')}: {text}"
        for run in runs
        for text in broken_limits(run.measures, (*own[run.analysis], *limits))
    ]
    # It is of all that failed and that breaks a limit: news only where neither is told here.
    faults = [
        *_without_folder(damages, out_dir),
        *_faults(made, standing.missing, "" if broken else reason),
        *broken,
    ]
    return _judged(replace(standing, runs=runs), faults)


def _judged(standing: Standing, faults: Sequence[str]) -> Standing:
    """Return a participant as failed by its faults, or as done."""
    state: State = "failed" if faults else "done"
    return replace(standing, state=state, reasons=_lines(faults))


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    """Return each text once, on one line and without a full stop."""
    return tuple(dict.fromkeys(" ".join(text.split()).removesuffix(".") for text in texts))


def _with_results(standing: Standing, made: Sequence[Call], out_dir: Path) -> Standing:
    """Return a participant with what calls planned and left."""
    plans = [call.plan for call in made]
    there = _files(out_dir, standing.participant)
    runs = {run.entities: run for plan in reversed(plans) for run in plan.runs}
    missing = {path for plan in plans for path in _missing(plan, there)}
    # A run in several spaces is one run, and used where all of it is there.
    is_used: dict[Entities, bool] = {}
    for entities, run in runs.items():
        name = entities.without(*IMAGE_ENTITIES)
        is_used[name] = is_used.get(name, True) and _is_used(run, missing)
    n_used = sum(is_used.values())
    absences = (absence.entities for plan in plans for absence in plan.absent_runs)
    absent = {one.without(*IMAGE_ENTITIES) for one in absences}.difference(is_used)
    return replace(
        standing,
        n_used=n_used,
        n_left_out=len(is_used) - n_used + len(absent),
        contrasts=tuple(dict.fromkeys(label for plan in plans for label in _labels_of(plan))),
        warnings=warnings_of(plans),
        n_planned=n_outputs_due(plans),
        missing=tuple(sorted(missing)),
        analyses=tuple(
            _analysis(call) for call in made if _has_results(call.plan, there, missing)
        ),
    )


def _analysis(call: Call) -> Analysis:
    """Return what tells an analysis from others."""
    plan = Plan(participant="", settings=call.plan.settings, model=call.plan.model)
    kept = Call(plan=plan, state="done", software=call.software)
    return Analysis(name=identity(call)[:_DIGITS], call=kept)


def _faults(made: Sequence[Call], missing: Sequence[str], reason: str) -> Iterator[str]:
    """Iterate over what failed and what is missing; a reason that no call tells comes first."""
    reasons = [text for call in made if call.state == "failed" for text in call.reasons]
    if reason and not reasons:
        yield reason
    yield from reasons
    if not reasons and any(call.state == "failed" for call in made):
        yield "a call failed and did not say why"
    if missing and not reasons:
        number = (
            f"{len(missing)} planned outputs are" if len(missing) > 1 else "a planned output is"
        )
        yield f"{number} missing: {missing[0]}" + (" and others" if len(missing) > 1 else "")


def _labels_of(plan: Plan) -> Iterator[str]:
    """Iterate over the labels of a plan's contrasts."""
    yield from (item.contrast.label for run in plan.runs for item in run.contrasts)
    yield from (item.contrast.label for group in plan.groups for item in group.contrasts)


def _files(out_dir: Path, participant: str) -> frozenset[str]:
    """Return the files of a participant, relative to the output folder.

    Notes
    -----
    One listing of each folder costs less than one question for each output.
    """
    found = []
    for folder, _, names in os.walk(out_dir / f"sub-{participant}"):
        inside = Path(folder).relative_to(out_dir).as_posix()
        found += [f"{inside}/{name}" for name in names]
    return frozenset(found)


def _is_used(run: RunPlan, missing: set[str]) -> bool:
    """Tell whether a run has results: no image of it is missing, if any is planned."""
    is_whole = not missing or missing.isdisjoint(map(str, paths.run_images(run)))
    return bool(run.estimable) and is_whole


def _has_results(plan: Plan, there: frozenset[str], missing: set[str]) -> bool:
    """Tell whether a plan's own results are there, at least the measures of one run."""
    return any(
        _is_used(run, missing) or str(paths.quality(run.entities)) in there
        for run in plan.runs
        if run.key not in plan.replaced
    )


def _missing(plan: Plan, there: frozenset[str]) -> Iterator[str]:
    """Iterate over the planned outputs of a participant's own that are not there."""
    shared = {*map(str, paths.shared_outputs(plan))}
    for path in map(str, outputs_due(plan)):
        if path not in there and path not in shared:
            yield path


def _qualities(
    made: Sequence[Call], out_dir: Path
) -> tuple[tuple[RunQuality, ...], tuple[str, ...]]:
    """Return the published quality of the runs of some analyses, and which files are damaged."""
    found = []
    damages = []
    for call in made:
        name = identity(call)[:_DIGITS]
        for run in call.plan.runs:
            if isinstance(run.source, RunMaps) or run.key in call.plan.replaced:
                continue
            path = out_dir / paths.quality(run.entities)
            try:
                measures = _measures(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                damages.append(f"{path.name} cannot be read ({error})")
                continue
            found.append(RunQuality(entities=run.entities, analysis=name, measures=measures))
    return tuple(sorted(found, key=lambda run: run.entities.sort_key)), tuple(damages)


def _measures(path: Path) -> dict[str, float | None]:
    """Read the measures of a run.

    Raises
    ------
    OSError, ValueError
        Where the file is missing or damaged.
    """
    return numbers_of(read_object(path))


def _without_folder(texts: Iterable[str], out_dir: Path) -> list[str]:
    """Return texts without the machine's path to the output folder."""
    return [text.replace(f"{out_dir}/", "") for text in texts]
