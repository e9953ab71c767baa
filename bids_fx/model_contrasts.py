"""The contrasts of a model file, read against the regressors that runs have."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from bids_fx.contrasts import TaskContrasts, conditions_of, task_contrasts
from bids_fx.entities import to_label
from bids_fx.errors import ExitCode, Notice, Problem
from bids_fx.expressions import Terms
from bids_fx.f_tests import Test
from bids_fx.glm.design import Column
from bids_fx.glm.names import delay_ending
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.model import Contrast, write_rows
from bids_fx.settings import AnalysisSettings
from bids_fx.stats_models.analysis import Analysis
from bids_fx.stats_models.names import TRIAL_TYPE, plain_name
from bids_fx.stats_models.records import NodeContrast
from bids_fx.suggest import did_you_mean, listed
from bids_fx.transforms.scope import is_pattern

#: How pybids spells what stands behind a condition's name in that of a FIR delay.
_SHORT_DELAY = re.compile(r"^_(\d+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What a contrast may name in the runs of one task.

    Parameters
    ----------
    conditions : tuple of str
        Conditions, sorted.
    confounds : frozenset of str
        Columns of the confounds table that X names.
    endings : mapping of str to int
        Index of the basis function by what stands behind a condition's name in the names of its
        further columns, as the runs have them.
    """

    conditions: tuple[str, ...]
    confounds: frozenset[str] = field(default_factory=frozenset)
    endings: Mapping[str, int] = field(default_factory=dict)

    def term(self, name: str) -> tuple[str, int | None] | None:
        """Return the condition and basis index that a name means; None where it is not known."""
        plain = plain_name(name)
        if plain in self.conditions or plain in self.confounds:
            return plain, None
        for condition in self.conditions:
            ending = plain.removeprefix(condition)
            ending = _SHORT_DELAY.sub(delay_ending(r"\1"), ending) if ending != plain else ""
            if ending in self.endings:
                return condition, self.endings[ending]
        return None


def asked_contrasts(
    sources: Sequence[BoldRun | RunMaps],
    settings: AnalysisSettings,
    known_conditions: Mapping[str, Sequence[str]],
    analysis: Analysis | None,
    *,
    shared: bool = False,
) -> TaskContrasts:
    """Return the contrasts of each task: those of the settings, after those of a model file.

    Parameters
    ----------
    sources : sequence of BoldRun or RunMaps
        All runs of a participant.
    settings : AnalysisSettings
        Its `contrasts` add to a model's; without a model they are all, or made of the conditions.
    known_conditions : mapping of str to sequence of str
        By task, further conditions that a contrast may name.
    analysis : Analysis or None
        What a model file asks for.
    shared : bool
        Whether contrasts that nobody asked for are made of all known conditions.
    """
    if analysis is None:
        return task_contrasts(sources, settings, known_conditions, shared=shared)
    first = model_contrasts(sources, analysis, known_conditions)
    if not settings.contrasts:
        return first
    more = task_contrasts(sources, settings, known_conditions)
    return TaskContrasts(
        by_task={
            task: contrasts + more.by_task.get(task, ())
            for task, contrasts in first.by_task.items()
        },
        problems=first.problems + more.problems,
        notices=first.notices + more.notices,
    )


def model_contrasts(
    sources: Sequence[BoldRun | RunMaps],
    analysis: Analysis,
    known_conditions: Mapping[str, Sequence[str]],
) -> TaskContrasts:
    """Return the contrasts of a model for each task.

    Parameters
    ----------
    sources : sequence of BoldRun or RunMaps
        All runs of a participant, with their regressors.
    analysis : Analysis
        The model.
    known_conditions : mapping of str to sequence of str
        By task, the conditions of all participants.

    Returns
    -------
    TaskContrasts
        A contrast is a problem only if no task has its conditions.
    """
    made = {plain_name(n) for item in analysis.model.root.instructions for n in item.outputs}
    names = _names_by_task(sources, known_conditions, made)
    by_task: dict[str, list[Contrast]] = {task: [] for task in names}
    problems: list[Problem] = []
    notices: list[Notice] = []
    asked = dict.fromkeys((*analysis.contrasts, *_dummies(analysis, names.values())))
    for one in asked:
        absent = {task: _absent(one, own) for task, own in names.items()}
        for task, lacking in absent.items():
            if not lacking:
                by_task[task].append(_contrast(one, names[task], analysis))
        if names and all(absent.values()):
            problems.append(_unknown(one, absent, names, analysis.where))
            continue
        notices += [
            Notice(
                text=f"Contrast '{one.name}' is left out for task {task}: it has no "
                f"{listed(lacking)}.",
                warning=False,
            )
            for task, lacking in absent.items()
            if lacking
        ]
    return TaskContrasts(
        by_task={task: tuple(contrasts) for task, contrasts in by_task.items()},
        problems=tuple(problems),
        notices=tuple(notices),
    )


def are_known(
    analysis: Analysis,
    known_conditions: Mapping[str, Sequence[str]],
    confounds: Collection[str],
) -> bool:
    """Tell whether the whole dataset can have no further conditions that contrasts are about.

    Parameters
    ----------
    analysis : Analysis
        The model.
    known_conditions : mapping of str to sequence of str
        Those of the participants of the call, by task.
    confounds : collection of str
        Columns of confounds tables that X names.

    Returns
    -------
    bool
        Each contrast fits the known conditions of a task, and no dummy contrast may be of a
        condition that none of these participants has. One that weighs confounds may not fit;
        looking further costs time, and no more.
    """
    names = [_Names(conditions=tuple(sorted(own))) for own in known_conditions.values()]
    if analysis.dummies is not None:
        known = {*confounds, *(name for own in names for name in own.conditions)}
        named = analysis.model.root.dummy_names
        if any(is_pattern(name) or plain_name(name) not in known for name in named):
            return False
    return all(any(not _absent(one, own) for own in names) for one in analysis.contrasts)


def _names_by_task(
    sources: Sequence[BoldRun | RunMaps],
    known_conditions: Mapping[str, Sequence[str]],
    made: Set[str],
) -> dict[str, _Names]:
    """Return what contrasts may name, by task; `made` are the results of instructions.

    What instructions make of a condition is known even where no run of the call has it.
    """
    conditions: dict[str, set[str]] = {}
    confounds: dict[str, set[str]] = {}
    endings: dict[str, dict[str, int]] = {}
    for source in sources:
        if isinstance(source, BoldRun):
            task = source.entities.get("task", "")
            conditions.setdefault(task, set(known_conditions.get(task, ())))
            conditions[task] |= conditions_of(source) | (made & source.absent.keys())
            columns = set(source.confounds.values) if source.confounds is not None else set()
            own = [column for item in source.responses or () for column in item.columns]
            columns |= {column.name for column in own if column.role == "confound"}
            confounds.setdefault(task, set()).update(columns)
            endings.setdefault(task, {}).update(_endings(own))
    return {
        task: _Names(
            conditions=tuple(sorted(own)),
            confounds=frozenset(confounds[task] - own),
            endings=endings[task],
        )
        for task, own in conditions.items()
    }


def _endings(columns: Iterable[Column]) -> dict[str, int]:
    """Return what the names of columns have behind those of their conditions, and the index."""
    return {
        column.name.removeprefix(column.condition): column.basis
        for column in columns
        if column.condition is not None
        and column.basis is not None
        and column.name != column.condition
    }


def _dummies(analysis: Analysis, names: Iterable[_Names]) -> list[NodeContrast]:
    """Return the dummy contrasts of the run's node: of conditions, if they are not named."""
    dummies = analysis.dummies
    if dummies is None:
        return []
    root = analysis.model.root
    known = sorted({condition for own in names for condition in own.conditions})
    found: list[str] = []
    for entry in root.dummy_names:
        plain = plain_name(entry)
        if is_pattern(entry):
            found += [n for n in known if _matches(n, entry)]
        elif dummies.conditions is not None or plain in known:
            found.append(plain)
    return [
        NodeContrast(name=name, conditions=(name,), weights=((1.0,),), test=dummies.test)
        for name in dict.fromkeys(found)
    ]


def _matches(condition: str, pattern: str) -> bool:
    return fnmatchcase(condition, pattern) or fnmatchcase(TRIAL_TYPE + condition, pattern)


def _absent(contrast: NodeContrast, names: _Names) -> list[str]:
    """Return what a contrast weighs and no run of the task has."""
    rows = contrast.weights
    return [
        plain_name(name)
        for name, *weights in zip(contrast.conditions, *rows, strict=True)
        if any(weights) and names.term(name) is None
    ]


def _contrast(asked: NodeContrast, names: _Names, analysis: Analysis) -> Contrast:
    """Return a contrast of a node as the plan has it."""
    rows = []
    for weights in asked.weights:
        terms: Terms = ()
        for name, weight in zip(asked.conditions, weights, strict=True):
            term = names.term(name)
            if weight != 0 and term is not None:
                terms += ((*term, weight),)
        rows.append(terms)
    test: Test = "F" if asked.test == "F" else "t"
    return Contrast(
        name=asked.name,
        label=analysis.labels.get(asked.name) or to_label(asked.name),
        rows=tuple(rows),
        formula=write_rows(rows, test, names.conditions),
        test=test,
    )


def _unknown(
    contrast: NodeContrast,
    absent: Mapping[str, Sequence[str]],
    names: Mapping[str, _Names],
    where: str,
) -> Problem:
    """Return the fault of a contrast that no run can have."""
    known = sorted({condition for own in names.values() for condition in own.conditions})
    lacking = next(iter(absent.values()))
    question = did_you_mean(lacking[0], known)
    return Problem(
        where=f"{where}: contrast '{contrast.name}'",
        found=f"no run has the condition{'s' * (len(lacking) > 1)} {listed(lacking)}"
        + (f" ({question})" if question else ""),
        remedy=f"the conditions are: {listed(known)}",
        code=ExitCode.BAD_DATA,
    )
