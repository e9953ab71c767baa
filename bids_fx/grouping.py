"""Which runs are combined into which results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bids_fx.entities import Entities, canonical_label
from bids_fx.errors import Notice, Problem
from bids_fx.group_contrasts import Result, Slot, group_contrasts, stands_already
from bids_fx.inputs import BoldRun
from bids_fx.places import NO_STEP, Way, ways_of
from bids_fx.records import GroupContrast, GroupPlan, Level, RunPlan
from bids_fx.settings import AnalysisSettings, digest
from bids_fx.steps import Step

#: Why a group is not written whose only input has its name.
LONE = "the only run stands for this level too"
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
    runs: Sequence[RunPlan],
    settings: AnalysisSettings,
    left_out: Sequence[Entities] = (),
    steps: Sequence[Step] | None = None,
) -> tuple[RunPlan, ...]:
    """Mark the runs whose own results are the combined results too.

    A lone run without a ``run-`` entity has the name that its combination would have: it is
    written once and stands for both levels. A run whose siblings were left out is not alone.
    """
    ways = ways_of(settings, steps)
    counts = Counter(
        (way.step.name, place.canonical)
        for entities in (*(run.entities for run in runs), *left_out)
        for way in ways
        if (place := way.place(entities)) is not None
    )
    marked = []
    for run in runs:
        levels: list[Level] = ["run"]
        levels += [
            way.step.level
            for way in ways
            if (place := way.place(run.entities)) is not None
            and place.agrees(run.entities)
            and counts[way.step.name, place.canonical] == 1
            and way.takes_over(run.entities)
        ]
        marked.append(replace(run, levels=tuple(dict.fromkeys(levels))))
    return tuple(marked)


def group_runs(
    runs: Sequence[RunPlan],
    left_out: Iterable[Entities],
    settings: AnalysisSettings,
    steps: Sequence[Step] | None = None,
) -> tuple[tuple[GroupPlan, ...], tuple[Problem, ...], tuple[Notice, ...]]:
    """Gather the runs that agree in all entities but those combined over.

    Parameters
    ----------
    runs : sequence of RunPlan
        All runs of a participant, as `collapse_lone_runs` returns them.
    left_out : iterable of Entities
        Runs that the dataset has and the filters left out.
    settings : AnalysisSettings
        Says how is combined, where a step does not.
    steps : sequence of Step or None
        By which is combined; None means `default_steps`.

    Returns
    -------
    groups : tuple of GroupPlan
        Each behind those that it combines; a group that is not written says why. Runs that no
        step takes are in groups that are not written.
    problems : tuple of Problem
        Runs of one standard space on different grids; contrasts that mean nothing.
    notices : tuple of Notice
        Assumptions, and groups and contrasts that are not written.

    Raises
    ------
    ValueError
        If a step's source is no step.
    """
    ways = ways_of(settings, steps)
    absent = tuple(left_out)
    gathering = _Gathering(runs=runs, settings=settings, problems=_mixed_sessions(runs, ways))
    for way in ways:
        gathering.add(way, absent)
    gathering.add_others()
    problems = tuple(dict.fromkeys(gathering.problems))
    return tuple(gathering.groups), problems, tuple(gathering.notices)


def _mixed_sessions(runs: Sequence[RunPlan], ways: Sequence[Way]) -> list[Problem]:
    """Refuse runs with and without a session that would be combined with each other."""
    mixed: dict[str, None] = {}
    for way in ways:
        places = [(run.entities, way.place(run.entities)) for run in runs]
        inside = {place.canonical for entities, place in places if place and "ses" in entities}
        mixed |= {
            str(entities): None
            for entities, place in places
            if place and "ses" not in entities and place.canonical in inside
        }
    return [
        Problem(
            where=name,
            found="the run has no session, but others that it is combined with have one",
            remedy="choose the one or the others by --session-label or the filter file",
        )
        for name in mixed
    ]


@dataclass(slots=True, kw_only=True)
class _Gathering:
    """The groups of a participant, as they are found step by step.

    Parameters
    ----------
    runs, settings
        As for `group_runs`.
    problems, notices, groups : list
        What it returns.
    inputs : dict of (str, tuple) to tuple of RunPlan or GroupPlan
        By step and canonical entities, what holds a group's results.
    """

    runs: Sequence[RunPlan]
    settings: AnalysisSettings
    problems: list[Problem]
    notices: list[Notice] = field(default_factory=list)
    groups: list[GroupPlan] = field(default_factory=list)
    inputs: dict[tuple[str, object], Slot] = field(default_factory=dict)

    def add(self, way: Way, left_out: Sequence[Entities]) -> None:
        """Add the groups of a step."""
        members: dict[object, list[RunPlan]] = {}
        names: dict[object, Entities] = {}
        for run in self.runs:
            place = way.place(run.entities)
            if place is not None:
                members.setdefault(place.canonical, []).append(run)
                names.setdefault(place.canonical, place)
        absent = {place.canonical for item in left_out if (place := way.place(item)) is not None}
        made: set[str] = set()
        for key in sorted(members, key=lambda key: names[key].sort_key):
            groups = self._make(way, names[key], members[key], is_subset=key in absent)
            if groups:
                self.inputs[way.step.name, key] = tuple(map(self._holder, groups))
            self.groups += groups
            made |= {item.contrast.label for group in groups for item in group.contrasts}
        self.notices += [
            Notice(
                text=f"Contrast '{wish.name}' of node '{way.step.name}' is not made: no result "
                "that the node combines has what it is made from."
            )
            for wish in way.step.contrasts or ()
            if wish.label not in made
        ]

    def _make(
        self, way: Way, entities: Entities, runs: Sequence[RunPlan], *, is_subset: bool
    ) -> list[GroupPlan]:
        """Return the group of some runs, marked where a lone input stands for it.

        Contrasts that the lone input has not under their names are a group of their own. There is
        no group where the step makes nothing of these runs.
        """
        slots, nouns = self._slots(way, runs)
        contrasts, problems = group_contrasts(way.step, entities, slots)
        self.problems += problems
        if not slots or (way.step.contrasts is not None and not contrasts):
            return []
        group = _make_group(way, entities, slots, contrasts, self.settings)
        group = replace(group, input_noun=nouns.pop() if len(nouns) == 1 else "result")
        found = []
        if _is_lone(way, entities, slots):
            own = tuple(item for item in contrasts if stands_already(item))
            others = tuple(item for item in contrasts if item not in own)
            if own or not others:
                found.append(replace(group, contrasts=own, not_written=LONE))
            if not others:
                return found
            group = replace(group, contrasts=others, key=f"{group.key}_contrasts")
        group, problem, notice = _check_group(group, runs, self.settings, is_subset=is_subset)
        self.problems += [problem] if problem else []
        self.notices += [notice] if notice else []
        return [*found, self._with_mask(group, way)]

    def _slots(
        self, way: Way, runs: Sequence[RunPlan]
    ) -> tuple[list[Slot], set[Literal["run", "session", "result"]]]:
        """Return the inputs of a group, each once, and what they are called.

        Runs of which the source makes nothing are passed on by none.
        """
        slots: dict[tuple[str, ...], Slot] = {}
        nouns: set[Literal["run", "session", "result"]] = set()
        for run in runs:
            place = way.source.place(run.entities) if way.source is not None else None
            if way.source is None or place is None:
                slot: Slot = (run,)
                nouns.add("run")
            else:
                found = self.inputs.get((way.source.step.name, place.canonical))
                if found is None:
                    continue
                slot = found
                nouns.add("session" if way.source.step.level == "session" else "result")
            slots[tuple(result.key for result in slot)] = slot
        return list(slots.values()), nouns

    def _holder(self, group: GroupPlan) -> Result:
        """Return what holds a group's maps: itself, or the lone input that stands for it."""
        if group.not_written != LONE:
            return group
        (key,) = group.input_keys
        results: tuple[Result, ...] = (*self.runs, *self.groups)
        return next(one for one in results if one.key == key)

    def _with_mask(self, group: GroupPlan, way: Way) -> GroupPlan:
        """Give the mask of a group its own name where another result has these entities."""
        taken = {run.entities.canonical for run in self.runs if isinstance(run.source, BoldRun)}
        taken |= {one.entities.canonical for one in self.groups if one.not_written is None}
        is_taken = group.entities.canonical in taken and group.not_written is None
        return replace(group, mask_desc=way.label) if is_taken else group

    def add_others(self) -> None:
        """Add groups of the runs and contrasts that no step takes, so that they are shown."""
        members = {key for group in self.groups for key in group.input_keys}
        taken = {
            (key, item.source_label)
            for group in self.groups
            for item in group.contrasts
            for key in (*item.input_keys, *item.dropped)
        }
        left: dict[object, list[RunPlan]] = {}
        for run in self.runs:
            found = {(run.key, item.contrast.label) for item in run.contrasts}
            if run.key not in members or found - taken:
                left.setdefault(run.entities.without("run").canonical, []).append(run)
        for runs in left.values():
            entities = runs[0].entities.without("run")
            level: Literal["session", "subject"] = "session" if "ses" in entities else "subject"
            way = Way(step=Step(name="", level=level), source=None, over=("run",), label=NO_STEP)
            slots: list[Slot] = [(run,) for run in runs]
            contrasts, _ = group_contrasts(way.step, entities, slots)
            untaken = tuple(
                item
                for item in contrasts
                if not {(run.key, item.contrast.label) for run in runs} <= taken
            )
            group = _make_group(way, entities, slots, untaken, self.settings)
            self.groups.append(replace(group, not_written="the analysis does not combine them"))


def _is_lone(way: Way, entities: Entities, slots: Sequence[Slot]) -> bool:
    """Tell whether a group has one input, which has its name."""
    if len(slots) != 1 or len(slots[0]) != 1 or not entities.agrees(slots[0][0].entities):
        return False
    (result,) = slots[0]
    return isinstance(result, GroupPlan) or way.step.level in result.levels


def _make_group(
    way: Way,
    entities: Entities,
    slots: Sequence[Slot],
    contrasts: tuple[GroupContrast, ...],
    settings: AnalysisSettings,
) -> GroupPlan:
    """Return the plan of one group."""
    level, results = way.step.level, [result for slot in slots for result in slot]
    return GroupPlan(
        key=f"{way.label}_{entities.without('sub')}",
        level=level,
        levels=(level,),
        entities=entities,
        input_keys=tuple(result.key for result in results),
        contrasts=contrasts,
        step=way.step.name,
        combination=way.step.combination,
        settings_hash=digest(
            {
                "combination": way.step.combination or settings.combination,
                "contrasts": {
                    item.contrast.label: [item.contrast.formula, *item.input_keys]
                    for item in contrasts
                },
                "runs": {result.key: result.settings_hash for result in results},
            }
        ),
    )


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
