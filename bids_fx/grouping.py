"""Which runs are combined into which results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from bids_fx.entities import Entities, canonical_label
from bids_fx.errors import Notice, Problem
from bids_fx.model import Contrast
from bids_fx.records import GroupContrast, GroupPlan, Level, RunPlan
from bids_fx.settings import AnalysisSettings, digest

#: Entities that stand before ``run`` in a BIDS file name.
BEFORE_RUN = ("sub", "ses", "task", "acq", "ce", "rec", "dir")


def number_runs(
    entities: Sequence[Entities], left_out: Sequence[Entities] = ()
) -> tuple[Entities, ...]:
    """Give a ``run`` label to a run without one whose siblings are numbered.

    Without it, the run's own maps and the combined maps of its group would have one name.

    Parameters
    ----------
    entities : sequence of Entities
        Of all runs of a participant.
    left_out : sequence of Entities
        Of runs that filters left out: a name must not depend on them.

    Returns
    -------
    tuple of Entities
        In the same order; a label that was given is the lowest free number.

    Examples
    --------
    >>> from bids_fx.entities import parse_name
    >>> names = ["sub-1_task-x_run-1_bold.nii", "sub-1_task-x_bold.nii"]
    >>> [str(e) for e in number_runs([parse_name(name).entities for name in names])]
    ['sub-1_task-x_run-1', 'sub-1_task-x_run-2']
    """
    numbered = []
    for item in entities:
        siblings = {
            canonical_label(other["run"])
            for other in (*entities, *left_out)
            if "run" in other and other.without("run").agrees(item.without("run"))
        }
        if "run" in item or not siblings:
            numbered.append(item)
            continue
        free = next(str(n) for n in range(1, len(siblings) + 2) if str(n) not in siblings)
        numbered.append(item.having("run", free, after=BEFORE_RUN))
    return tuple(numbered)


def collapse_lone_runs(
    runs: Sequence[RunPlan], settings: AnalysisSettings, left_out: Sequence[Entities] = ()
) -> tuple[RunPlan, ...]:
    """Mark the runs whose own results are the combined results too.

    A lone run without a ``run-`` entity has the name that its combination would have: it is
    written once and stands for both levels. A run whose siblings were left out is not alone.
    """
    counts: dict[tuple[object, ...], int] = {}
    for entities in (*(run.entities for run in runs), *left_out):
        for level, key in _group_keys(entities, settings):
            counts[level, key.canonical] = counts.get((level, key.canonical), 0) + 1
    marked = []
    for run in runs:
        levels: list[Level] = ["run"]
        levels += [
            level
            for level, key in _group_keys(run.entities, settings)
            if key.agrees(run.entities) and counts[level, key.canonical] == 1
        ]
        marked.append(replace(run, levels=tuple(levels)))
    return tuple(marked)


def group_runs(
    runs: Sequence[RunPlan],
    left_out: Iterable[Entities],
    settings: AnalysisSettings,
) -> tuple[tuple[GroupPlan, ...], tuple[Problem, ...], tuple[Notice, ...]]:
    """Gather the runs that agree in all entities but those combined over.

    Parameters
    ----------
    runs : sequence of RunPlan
        All runs of a participant, as `collapse_lone_runs` returns them.
    left_out : iterable of Entities
        Runs that the dataset has and the filters left out.
    settings : AnalysisSettings
        Says over which entities is combined, and how.

    Returns
    -------
    groups : tuple of GroupPlan
        Sessions before the subject; a group that is not written says why.
    problems : tuple of Problem
        Runs of one standard space on different grids.
    notices : tuple of Notice
        Assumptions and groups that are not written.

    Notes
    -----
    Groups over sessions hold the runs themselves, not the sessions' combined maps: inverse
    variance weighting gives the same effect either way, but dof and heterogeneity do not.
    """
    members: dict[tuple[object, ...], list[RunPlan]] = {}
    names: dict[tuple[object, ...], tuple[Literal["session", "subject"], Entities]] = {}
    for run in runs:
        for level, key in _group_keys(run.entities, settings):
            members.setdefault((level, key.canonical), []).append(run)
            names.setdefault((level, key.canonical), (level, key))
    absent = {
        (level, key.canonical) for item in left_out for level, key in _group_keys(item, settings)
    }
    groups: list[GroupPlan] = []
    problems = _mixed_sessions(runs, settings)
    notices: list[Notice] = []
    for place in sorted(members, key=lambda place: (names[place][0], names[place][1].sort_key)):
        level, entities = names[place]
        group = _make_group(level, entities, members[place], settings)
        if group.not_written is None:
            group, problem, notice = _check_group(
                group, members[place], settings, is_subset=place in absent
            )
            problems += [problem] if problem else []
            notices += [notice] if notice else []
        groups.append(group)
    return tuple(groups), tuple(problems), tuple(notices)


def _mixed_sessions(runs: Sequence[RunPlan], settings: AnalysisSettings) -> list[Problem]:
    """Refuse runs with and without a session that would be combined with each other."""
    inside = {
        _group_keys(run.entities, settings)[-1][1].canonical
        for run in runs
        if "ses" in run.entities and "ses" in settings.combine_over
    }
    return [
        Problem(
            where=str(run.entities),
            found="the run has no session, but others that it is combined with have one",
            remedy="choose the one or the others by --session-label or the filter file",
        )
        for run in runs
        if "ses" not in run.entities
        and _group_keys(run.entities, settings)[-1][1].canonical in inside
    ]


def _group_keys(
    entities: Entities, settings: AnalysisSettings
) -> list[tuple[Literal["session", "subject"], Entities]]:
    """Return the entities of the session's and of the subject's group that a run belongs to."""
    over = settings.combine_over
    within = entities.without(*(key for key in over if key != "ses"))
    if "ses" not in entities:
        return [("subject", within)]
    keys: list[tuple[Literal["session", "subject"], Entities]] = [("session", within)]
    if "ses" in over:
        keys.append(("subject", within.without("ses")))
    return keys


def _make_group(
    level: Literal["session", "subject"],
    entities: Entities,
    runs: Sequence[RunPlan],
    settings: AnalysisSettings,
) -> GroupPlan:
    """Return the plan of one group, marked where a lone run stands for it."""
    contrasts = _group_contrasts(runs)
    lone = len(runs) == 1 and level in runs[0].levels
    return GroupPlan(
        key=f"{level}_{entities.without('sub')}",
        level=level,
        levels=(level,),
        entities=entities,
        run_keys=tuple(run.key for run in runs),
        contrasts=contrasts,
        not_written="the only run stands for this level too" if lone else None,
        settings_hash=digest(
            {
                "combination": settings.combination,
                "contrasts": {
                    item.contrast.label: [item.contrast.formula, *item.run_keys]
                    for item in contrasts
                },
                "runs": {run.key: run.settings_hash for run in runs},
            }
        ),
    )


def _group_contrasts(runs: Sequence[RunPlan]) -> tuple[GroupContrast, ...]:
    """Return every contrast of the runs with the runs that can and cannot estimate it."""
    contrasts: dict[str, Contrast] = {}
    for run in runs:
        for item in run.contrasts:
            contrasts.setdefault(item.contrast.label, item.contrast)
    gathered = []
    for label, contrast in contrasts.items():
        reasons = {
            run.key: next(
                (item.reason for item in run.contrasts if item.contrast.label == label),
                "this run has no map of it",
            )
            for run in runs
        }
        gathered.append(
            GroupContrast(
                contrast=contrast,
                run_keys=tuple(key for key, reason in reasons.items() if reason is None),
                dropped={key: reason for key, reason in reasons.items() if reason is not None},
            )
        )
    return tuple(gathered)


def _check_group(
    group: GroupPlan,
    runs: Sequence[RunPlan],
    settings: AnalysisSettings,
    *,
    is_subset: bool,
) -> tuple[GroupPlan, Problem | None, Notice | None]:
    """Refuse a combination that would be a lie: of a part of the runs, or of unequal grids."""
    name = str(group.entities)
    if is_subset and not settings.combine_subset:
        reason = "the filters leave out some of its runs; --combine-subset combines the others"
        notice = Notice(text=f"{name}: no combined map, since {reason}.", warning=False)
        return replace(group, not_written=reason), None, notice
    first = runs[0].source.grid
    other = next((run for run in runs if not run.source.grid.matches(first)), None)
    has_space = "space" in group.entities
    if other is not None and has_space:
        problem = Problem(
            where=str(other.entities),
            found=f"its voxel grid differs from that of {runs[0].entities} in the same space",
            remedy="resample the runs to one grid, or take one of them out with --run-id",
        )
        return group, problem, None
    if other is not None:
        reason = "the runs have no space entity and lie on different voxel grids"
        notice = Notice(text=f"{name}: no combined map, since {reason}.")
        return replace(group, not_written=reason), None, notice
    if not has_space and len(runs) > 1:
        text = (
            f"{name}: the runs have no space entity; they are combined since their voxel grids "
            "are equal, which does not show that they are aligned."
        )
        return group, None, Notice(text=text)
    return group, None, None
