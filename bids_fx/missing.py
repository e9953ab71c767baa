"""What was asked for and cannot be had: told where it is dropped, refused where that is asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from bids_fx.drafts import Draft
from bids_fx.entities import IMAGE_ENTITIES, Entities
from bids_fx.errors import Notice, Problem
from bids_fx.inputs import Absence, RunMaps
from bids_fx.places import Way
from bids_fx.records import GroupPlan, RunPlan
from bids_fx.settings import AnalysisSettings, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is missing, in words for either policy.

    Parameters
    ----------
    where : str
        The run.
    found : str
        What is missing, as a clause.
    told : str
        The sentence that tells it where the rest is analysed.
    remedy : str
        What to do about it, where everything must be there.
    """

    where: str
    found: str
    told: str
    remedy: str


def judge(
    gaps: Iterable[Gap], settings: AnalysisSettings
) -> tuple[tuple[Problem, ...], tuple[Notice, ...]]:
    """Return the gaps as problems or as warnings, as `settings.missing` has it."""
    if settings.missing == "error":
        problems = tuple(
            Problem(where=g.where, found=g.found, remedy=f"{g.remedy}, or use --missing drop")
            for g in gaps
        )
        return problems, ()
    return (), tuple(Notice(text=gap.told) for gap in gaps)


def absent_runs(absences: Iterable[Absence]) -> list[Gap]:
    """Return the gaps that runs without series, events or a space leave."""
    return [
        Gap(
            where=str(absence.entities),
            found=absence.reason,
            told=str(absence),
            remedy="add what is missing, leave it out by the filters",
        )
        for absence in absences
    ]


def requests_met(drafts: Iterable[Draft]) -> frozenset[str]:
    """Return the requested confounds of which at least one run has a column."""
    return frozenset(
        request
        for draft in drafts
        for run in draft.runs
        for request, columns in run.confounds.by_request.items()
        if columns
    )


def lacking_confounds(
    draft: Draft, met: Collection[str]
) -> tuple[tuple[Problem, ...], tuple[Gap, ...]]:
    """Tell slips in what was asked for from columns that some runs do not have.

    Parameters
    ----------
    draft : Draft
        A participant's runs.
    met : collection of str
        What `requests_met` gives for all participants of the call.

    Returns
    -------
    problems : tuple of Problem
        Requests that no run of the call has any column of: a slip, or the wrong tables.
    gaps : tuple of Gap
        Requests that some of the participant's runs meet in part or not at all.
    """
    problems = tuple(
        fault for run in draft.runs for request, fault in run.unmet.items() if request not in met
    )
    gaps = []
    for run in draft.runs:
        for request, there in run.confounds.missing.items():
            if request not in met:
                continue
            differs = any(there != o.confounds.missing.get(request) for o in draft.runs)
            unlike = ", and differs from those of other runs" if differs else ""
            name = str(run.source.entities)
            gaps.append(
                Gap(
                    where=name,
                    found=f"confounds {request}: {there} in its table",
                    told=f"{name}: confounds {request}: {there} in its table; its model does "
                    f"without the others{unlike}.",
                    remedy="choose confounds that every run has, leave the run out",
                )
            )
    return problems, tuple(gaps)


def lacking_regressors(draft: Draft) -> list[Gap]:
    """Return the gaps that regressors leave which a model's instructions cannot make of a run."""
    return [
        Gap(
            where=str(run.source.entities),
            found=f"it cannot have '{name}' of the model's X: {reason}",
            told=f"{run.source.entities}: its model does without '{name}' of X: {reason}.",
            remedy="leave it out of X, leave the run out",
        )
        for run in draft.runs
        if run.applied is not None
        for name, reason in run.applied.missed.items()
    ]


def lacking_maps(runs: Sequence[RunPlan], groups: Iterable[GroupPlan]) -> tuple[Gap, ...]:
    """Return the maps made beforehand that some runs of a group have and others have not."""
    given = {run.key: run for run in runs if isinstance(run.source, RunMaps)}
    holes = {
        (key, item.contrast.name): reason
        for group in groups
        for item in group.contrasts
        for key, reason in item.dropped.items()
        if key in given
    }
    return tuple(
        Gap(
            where=str(given[key].entities),
            found=f"contrast '{name}' cannot be combined: {reason}",
            told=f"{given[key].entities}: contrast '{name}' is left out: {reason}.",
            remedy="give its maps, leave the run out",
        )
        for (key, name), reason in holes.items()
    )


def with_absences(
    groups: Iterable[GroupPlan], absences: Sequence[Absence], ways: Iterable[Way]
) -> tuple[GroupPlan, ...]:
    """Name in each group the runs that it would have too.

    Parameters
    ----------
    groups : iterable of GroupPlan
        The groups of a participant.
    absences : sequence of Absence
        What is absent of the same participant.
    ways : iterable of Way
        Say over which entities is combined.

    Returns
    -------
    tuple of GroupPlan
        The hash of one that lacks runs is another, since its sidecars name them.
    """
    by_step = {way.step.name: way for way in ways}
    marked = []
    for group in groups:
        way = by_step.get(group.step)
        absent = {
            str(absence.entities): absence.reason
            for absence in absences
            if way is not None and _belongs(absence.entities, group, way)
        }
        values = digest({"group": group.settings_hash, "absent": absent})
        changed = replace(group, absent=absent, settings_hash=values)
        marked.append(changed if absent else group)
    return tuple(marked)


def _belongs(absent: Entities, group: GroupPlan, way: Way) -> bool:
    """Tell whether an absent run would be in a group, as far as its entities are known."""
    if "task" not in absent:  # all runs of a label
        over = [key for key in way.over if key != "ses" or group.level == "subject"]
        return group.entities.has(absent.without(*over))
    name = group.entities.without("echo", "part")
    if not any(key in absent for key in IMAGE_ENTITIES):
        name = name.without(*IMAGE_ENTITIES)
    place = way.place(absent)
    return place is not None and place.agrees(name)
