"""Everything that is decided before any work: pure, from what was found to what will be made."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bids_fx import __version__
from bids_fx.censoring import check_scans, explain_missing, warn_of_censoring
from bids_fx.confounds import ConfoundStrategy
from bids_fx.contrasts import run_contrasts
from bids_fx.drafts import MOTION_COLUMNS, Draft, draft_plan
from bids_fx.entities import IMAGE_ENTITIES, Entities
from bids_fx.errors import ExitCode, Notice, Problem
from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Design, make_design
from bids_fx.grouping import collapse_lone_runs, group_runs, number_runs
from bids_fx.inputs import BoldRun, ConfoundTable, Found, RunMaps
from bids_fx.missing import (
    absent_runs,
    judge,
    lacking_confounds,
    lacking_maps,
    lacking_regressors,
    requests_met,
    with_absences,
)
from bids_fx.model import Contrast
from bids_fx.model_contrasts import asked_contrasts
from bids_fx.places import ways_of
from bids_fx.records import ConfoundChoice, Plan, RunContrast, RunPlan
from bids_fx.settings import AnalysisSettings, digest
from bids_fx.stats_models.analysis import Analysis
from bids_fx.steps import Step

#: A run whose efficiency for a contrast is below this share of the runs' median is warned of.
LITTLE_EFFICIENCY = 0.1


def make_plan(
    found: Found,
    settings: AnalysisSettings,
    strategies: Mapping[str, ConfoundStrategy],
    *,
    known_conditions: Mapping[str, Sequence[str]],
    steps: tuple[Step, ...] | None = None,
) -> Plan:
    """Decide everything for one participant: `draft_plan`, then `finish_plan`."""
    draft = draft_plan(found, settings, strategies)
    return finish_plan(draft, settings, known_conditions=known_conditions, steps=steps)


def finish_plan(
    draft: Draft,
    settings: AnalysisSettings,
    *,
    known_conditions: Mapping[str, Sequence[str]],
    analysis: Analysis | None = None,
    steps: tuple[Step, ...] | None = None,
    shared: bool = False,
    known_confounds: Collection[str] | None = None,
) -> Plan:
    """Decide everything else for one participant.

    Parameters
    ----------
    draft : Draft
        As `draft_plan` returns it.
    settings : AnalysisSettings
        The choices that it was made with.
    known_conditions : mapping of str to sequence of str
        By task, the conditions of the whole dataset as far as they are known; a contrast may
        name one of these that the participant has not.
    analysis : Analysis or None
        What a model file asks for; None means what the settings say.
    steps : tuple of Step or None
        By which runs are combined; None means those of `analysis`, or without it
        `bids_fx.places.default_steps`.
    shared : bool
        Whether contrasts that nobody asked for are made of all known conditions, rather than of
        this participant's.
    known_confounds : collection of str or None
        The requested confounds that any run of the call has, as `requests_met` tells them; None
        where this participant is the only one.

    Returns
    -------
    Plan
        With all problems in one list; nothing is to be computed if there is any.
    """
    sources = draft.sources
    entities = number_runs([source.entities for source in sources], draft.left_out)
    problems = list(draft.problems)
    notices = [*draft.notices, *_renamed(sources, entities)]
    tasks = asked_contrasts(sources, settings, known_conditions, analysis, shared=shared)
    problems += tasks.problems
    notices += tasks.notices
    met = requests_met([draft]) if known_confounds is None else known_confounds
    slips, fewer = lacking_confounds(draft, met)
    gaps = (*absent_runs(draft.absent), *fewer, *lacking_regressors(draft))
    faults, told = judge(gaps, settings)
    problems += (*slips, *faults)
    notices += told
    runs: list[RunPlan] = []
    for drafted, names in zip(draft.runs, entities, strict=True):
        source = drafted.source
        if isinstance(source, RunMaps):
            runs.append(_plan_given_maps(source, names))
            continue
        contrasts = tasks.by_task.get(source.entities.get("task", ""), ())
        run, run_problems, run_notices = _plan_run(
            source, names, drafted.confounds, contrasts, settings
        )
        runs.append(run)
        problems += (*drafted.problems, *run_problems)
        notices += (*source.notices, *drafted.notices, *run_notices)
    steps = _steps_of(analysis, runs) if steps is None else steps
    collapsed = collapse_lone_runs(runs, settings, draft.left_out, steps)
    groups, group_problems, group_notices = group_runs(collapsed, draft.left_out, settings, steps)
    holes, holes_told = judge(lacking_maps(collapsed, groups), settings)
    ways = ways_of(settings, steps)
    plan = Plan(
        participant=draft.participant,
        settings=settings,
        runs=collapsed,
        groups=with_absences(groups, draft.absent, ways),
        absent=draft.absent,
        problems=(*problems, *group_problems, *holes),
        notices=(*notices, *group_notices, *holes_told),
        steps=steps,
    )
    plan = replace(
        plan, notices=(*plan.notices, *_missing_contrasts(plan), *_telling_little(plan))
    )
    return replace(plan, problems=_about(plan, (*plan.problems, *_collisions(plan))))


def _steps_of(analysis: Analysis | None, runs: Sequence[RunPlan]) -> tuple[Step, ...] | None:
    """Return the steps of a model; None without one."""
    if analysis is None:
        return None
    if any("ses" in run.entities for run in runs):
        return analysis.steps
    # Results of a session that nothing combines further are the participant's.
    sources = {step.source for step in analysis.steps}
    return tuple(
        step if step.name in sources else replace(step, level="subject") for step in analysis.steps
    )


def _renamed(sources: Sequence[BoldRun | RunMaps], entities: Sequence[Entities]) -> list[Notice]:
    """Tell which runs got a number."""
    return [
        Notice(text=f"{source.entities}: its own maps are named {names}.", warning=False)
        for source, names in zip(sources, entities, strict=True)
        if source.entities != names
    ]


def _plan_given_maps(source: RunMaps, entities: Entities) -> RunPlan:
    """Plan a run whose statistics were made beforehand."""
    contrasts = tuple(
        RunContrast(
            contrast=Contrast(
                name=source.names[label],
                label=label,
                rows=(),
                formula="",
                test="F" if label in source.rows else "t",
            ),
            rows=((),) * source.rows.get(label, 0),
        )
        for label in source.maps
    )
    return RunPlan(
        key=str(entities.without("sub")),
        entities=entities,
        source=source,
        contrasts=contrasts,
        settings_hash=digest({"dof": source.dof, "contrasts": source.names, "rows": source.rows}),
    )


def _plan_run(
    source: BoldRun,
    entities: Entities,
    choice: ConfoundChoice,
    contrasts: Sequence[Contrast],
    settings: AnalysisSettings,
) -> tuple[RunPlan, list[Problem], list[Notice]]:
    """Plan the model of one run: its design and contrasts."""
    name = str(source.entities)
    try:
        design = source.design or _make_design(source, choice, settings)
    except ValueError as error:
        remedy = "rename the condition, or choose other confounds"
        fault = Problem(where=name, found=f"no design matrix can be built: {error}", remedy=remedy)
        return _without_design(source, entities), [fault], []
    fitted = design.fitted
    space = design_space(fitted.matrix)
    problems = list(check_scans(source, space, choice, settings.noise_model))
    notices = list(warn_of_censoring(source, choice))
    if source.design is not None and not (source.names_conditions or settings.contrasts):
        problems.append(_unnamed_design(name, source))
    planned, wrong = run_contrasts(source, fitted, space, contrasts)
    planned = explain_missing(planned, source, design, contrasts)
    problems += wrong
    if settings.missing == "error":
        problems += [_refused(name, item) for item in planned if item.reason is not None]
    run = RunPlan(
        key=str(entities.without("sub")),
        entities=entities,
        source=source,
        design=design,
        rank=space.rank + len(choice.censored),
        confounds=choice,
        contrasts=planned,
        noise_model=settings.noise_model,
        settings_hash=_run_hash(source, design, choice, planned, settings),
        notes=() if entities == source.entities else (f"BOLD file of {source.entities}",),
    )
    return run, problems, notices


def _without_design(source: BoldRun, entities: Entities) -> RunPlan:
    """Return the place of a run in a plan that has problems anyway."""
    return RunPlan(key=str(entities.without("sub")), entities=entities, source=source)


def _make_design(source: BoldRun, choice: ConfoundChoice, settings: AnalysisSettings) -> Design:
    """Build the design matrix of a run from its events and the chosen confounds."""
    values = None
    if choice.columns and source.confounds is not None:
        values = np.column_stack([source.confounds.values[name] for name in choice.columns])
    return make_design(
        source.frame_times,
        repetition_time=source.repetition_time,
        conditions=source.conditions if source.responses is None else source.responses,
        hrf_model=settings.hrf_model,
        drift_model=settings.drift_model,
        high_pass_s=settings.high_pass_s,
        confounds=values,
        confound_names=choice.columns,
        censored=tuple(item.scan for item in choice.censored),
    )


def _run_hash(
    source: BoldRun,
    design: Design,
    choice: ConfoundChoice,
    contrasts: Sequence[RunContrast],
    settings: AnalysisSettings,
) -> str:
    """Hash all that changes a run's numbers but the images themselves.

    Events, confounds, HRF, drift and timing are in the design matrix.
    """
    return digest(
        {
            "version": __version__,
            **design.identity,
            "censored": np.flatnonzero(~design.kept).tolist(),
            "contrasts": [
                [
                    item.contrast.label,
                    item.contrast.name,
                    item.contrast.test,
                    *item.rows,
                    item.reason,
                ]
                for item in contrasts
            ],
            "noise_model": settings.noise_model,
            "smoothing_fwhm_mm": settings.smoothing_fwhm_mm,
            "signal_scaling": settings.signal_scaling,
            "mask": source.mask is not None,
            "motion": _motion_hash(source.confounds),
            "repetition_time": source.repetition_time,
            **({"confounds_missing": choice.missing} if choice.missing else {}),
        }
    )


def _motion_hash(table: ConfoundTable | None) -> str | None:
    """Hash the motion columns, which the quality measures and figures show."""
    if table is None:
        return None
    shown = [table.values[name] for name in MOTION_COLUMNS if name in table.values]
    return hashlib.sha256(b"".join(c.astype("<f8").tobytes() for c in shown)).hexdigest()


def _missing_contrasts(plan: Plan) -> list[Notice]:
    """Tell which contrasts some or all runs cannot estimate."""
    return [
        Notice(text=f"{run.entities}: contrast '{item.contrast.name}' is left out: {item.reason}.")
        for run in plan.runs
        for item in run.contrasts
        if item.reason is not None
    ] + [
        Notice(
            text=f"{group.entities}: contrast '{item.contrast.name}' is left out: {item.reason}."
        )
        for group in plan.written_groups
        for item in group.contrasts
        if item.reason
    ]


def _telling_little(plan: Plan) -> list[Notice]:
    """Warn of runs whose design tells far less of a contrast than the other runs' do."""
    notices = []
    for group in plan.written_groups:
        for contrast in group.contrasts:
            items = {
                key: item
                for key in contrast.input_keys
                if isinstance(run := plan.result(key), RunPlan)
                for item in run.contrasts
                if item.contrast.label == contrast.source_label and item.efficiency
            }
            if len(items) < 2:
                continue
            usual = float(np.median([min(item.efficiency) for item in items.values()]))
            notices += [
                Notice(
                    text=f"{plan.run(key).entities}: its design tells little of contrast "
                    f"'{item.contrast.name}': {min(item.efficiency) / usual:.2g} of the runs' "
                    "median efficiency; leave it out if it blurs the others."
                )
                for key, item in items.items()
                if min(item.efficiency) < LITTLE_EFFICIENCY * usual
            ]
    return list(dict.fromkeys(notices))


def _collisions(plan: Plan) -> list[Problem]:
    """Find results that would have one name; labels are compared without case."""
    problems = []
    entries = [(run.entities, item.contrast, "") for run in plan.runs for item in run.contrasts]
    entries += [
        (group.entities, item.contrast, f" of node '{group.step}'" if plan.steps else "")
        for group in plan.written_groups
        for item in group.contrasts
    ]
    owners: dict[tuple[object, str], str] = {}
    for entities, contrast, node in entries:
        name = f"{entities}_contrast-{contrast.label}"
        place = (entities.canonical, contrast.label.casefold())
        owner = f"'{contrast.name}'{node}"
        if place in owners:
            found = f"{owners[place]} and {owner} would both be written as {name}"
            remedy = "give the contrasts different names: --contrast 'NAME = …'"
            if plan.steps:
                remedy = "give the contrasts different names, or leave one of the nodes out"
            problems.append(Problem(where=name, found=found, remedy=remedy))
        owners[place] = owner
    return [*problems, *_unlike_designs(plan)]


def _unlike_designs(plan: Plan) -> Iterator[Problem]:
    """Find designs that differ and would have one name, which is without the space."""
    owners: dict[str, RunPlan] = {}
    for run in plan.runs:
        name = str(run.entities.without(*IMAGE_ENTITIES))
        first = owners.setdefault(name, run)
        if first.design_hash != run.design_hash:
            yield Problem(
                where=f"{name}_design.tsv",
                found=f"the designs of {first.key} and {run.key} differ, in times or confounds",
                remedy="give each --space an output folder of its own",
            )


def _about(plan: Plan, problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, with the participant whom it costs."""
    named = [replace(problem, participant=plan.participant) for problem in problems]
    return tuple(dict.fromkeys(named))


def _unnamed_design(name: str, source: BoldRun) -> Problem:
    return Problem(
        where=str(source.design_file or name),
        found="no sidecar says which of its columns are conditions",
        remedy="give the contrasts with --contrast",
        code=ExitCode.USAGE,
    )


def _refused(name: str, item: RunContrast) -> Problem:
    return Problem(
        where=name,
        found=f"contrast '{item.contrast.name}' cannot be estimated: {item.reason}",
        remedy="leave the run or the contrast out, or use --missing drop",
    )
