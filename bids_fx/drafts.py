"""What is decided of each participant alone, before the conditions of all are known.

It is little: the whole confounds tables of many participants are never held together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from bids_fx.censoring import censored_by
from bids_fx.confounds import ConfoundStrategy, resolve_confounds
from bids_fx.entities import Entities
from bids_fx.errors import Notice, Problem
from bids_fx.inputs import Absence, BoldRun, ConfoundTable, Found, RunMaps
from bids_fx.records import ConfoundChoice
from bids_fx.settings import AnalysisSettings
from bids_fx.stats_models.records import Node

if TYPE_CHECKING:
    from bids_fx.model_runs import Applied

#: Columns that the motion figure shows, kept whether they enter the design or not.
MOTION_COLUMNS = (
    *("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z", "framewise_displacement"),
    *("X", "Y", "Z", "RotX", "RotY", "RotZ", "FramewiseDisplacement"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRun:
    """A run with its confounds.

    Parameters
    ----------
    source : BoldRun or RunMaps
        The data; of the confounds table only what the plan needs.
    confounds : ConfoundChoice
        What enters the design.
    unmet : dict of str to Problem
        Requested confounds without any column here, each with the fault that it is where no run
        has one.
    problems : tuple of Problem
        Why confounds cannot be had as they were asked for.
    notices : tuple of Notice
        What was left out or assumed.
    applied : Applied or None
        What a model file makes of the run, without its regressors; None without one.
    """

    source: BoldRun | RunMaps
    confounds: ConfoundChoice = field(default_factory=ConfoundChoice)
    unmet: dict[str, Problem] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()
    applied: Applied | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A participant's runs with their confounds, and what else was found.

    Parameters
    ----------
    participant : str
        Label without ``sub-``.
    runs : tuple of DraftRun
        In the order of their entities.
    left_out, absent, problems, notices : tuple
        As `Found` has them.
    """

    participant: str
    runs: tuple[DraftRun, ...]
    left_out: tuple[Entities, ...]
    absent: tuple[Absence, ...]
    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...]

    @property
    def sources(self) -> tuple[BoldRun | RunMaps, ...]:
        """The data of the runs."""
        return tuple(run.source for run in self.runs)


def draft_plan(
    found: Found,
    settings: AnalysisSettings,
    strategies: Mapping[str, ConfoundStrategy],
    root: Node | None = None,
) -> Draft:
    """Choose the confounds of each run, and let go what is not chosen of their tables.

    Parameters
    ----------
    found : Found
        What the dataset holds for the participant.
    settings : AnalysisSettings
        The choices that change numbers.
    strategies : mapping of str to ConfoundStrategy
        The named confound strategies.
    root : Node or None
        The node at run level of a model file, if there is one.
    """
    return Draft(
        participant=found.participant,
        runs=tuple(_draft_run(source, settings, strategies, root) for source in found.runs),
        left_out=found.left_out,
        absent=found.absent,
        problems=found.problems,
        notices=found.notices,
    )


def _draft_run(
    source: BoldRun | RunMaps,
    settings: AnalysisSettings,
    strategies: Mapping[str, ConfoundStrategy],
    root: Node | None,
) -> DraftRun:
    """Choose the confounds and censored scans of a run; a design made beforehand has its own."""
    if isinstance(source, RunMaps):
        return DraftRun(source=source)
    if source.design is not None:
        choice = ConfoundChoice(censored=censored_by(source.design))
        return DraftRun(source=_slim(source, choice), confounds=choice)
    source, applied = (source, None) if root is None else _modelled(source, root, settings)
    choose = partial(
        resolve_confounds,
        source.confounds,
        strategies=strategies,
        n_scans=source.n_scans,
        fd_threshold_mm=settings.fd_threshold_mm,
        dummy_scans=settings.dummy_scans,
        own_drift=settings.drift_model != "none",
        high_pass_s=settings.high_pass_s,
    )
    resolved = choose(settings.confounds)
    columns = applied.confounds if applied is not None else ()
    if further := _not_chosen(columns, resolved.choice, source.confounds):
        resolved = choose((*settings.confounds, *further))
    choice = resolved.choice if applied is None else _with_made(resolved.choice, applied)
    return DraftRun(
        source=_slim(source, choice),
        confounds=choice,
        unmet={request: _of_run(source, fault) for request, fault in resolved.unmet.items()},
        problems=(
            *(applied.problems if applied is not None else ()),
            *(_of_run(source, fault) for fault in resolved.problems),
        ),
        notices=(
            *(applied.notices if applied is not None else ()),
            *(Notice(text=text) for text in resolved.notices),
        ),
        applied=replace(applied, responses=(), conditions=()) if applied is not None else None,
    )


def _modelled(source: BoldRun, root: Node, settings: AnalysisSettings) -> tuple[BoldRun, Applied]:
    """Return a run with the regressors of a model instead of its events."""
    # What it needs takes as long to import as the rest of planning, and few calls have a model.
    from bids_fx.model_runs import apply_model

    applied = apply_model(source, root, hrf_model=settings.hrf_model)
    run = replace(
        source,
        events=None,
        responses=applied.responses,
        conditions=applied.conditions,
        hrf_models=applied.hrf_models,
        hrf_of=applied.hrf_of,
        absent=applied.absent,
    )
    return run, applied


def _with_made(choice: ConfoundChoice, applied: Applied) -> ConfoundChoice:
    """Return the confounds with the regressors that a model's instructions make of the table."""
    columns = [column for response in applied.responses for column in response.columns]
    made = tuple(column.name for column in columns if column.role == "confound")
    return replace(choice, made=made, is_read=applied.reads_confounds)


def _not_chosen(
    asked: Iterable[str], choice: ConfoundChoice, table: ConfoundTable | None
) -> tuple[str, ...]:
    """Return the columns and patterns of a model's X that its strategies do not bring already."""
    brought = {name for columns in choice.by_request.values() for name in columns}
    there = tuple(table.values) if table is not None else ()
    return tuple(
        request
        for request in asked
        if not brought.issuperset(n for n in there if fnmatchcase(n, request))
        or not any(fnmatchcase(name, request) for name in there)
    )


def _of_run(source: BoldRun, fault: Problem) -> Problem:
    """Return a fault of a confounds table with the run that it is of."""
    return replace(fault, where=f"{source.entities}: {fault.where}")


def _slim(source: BoldRun, choice: ConfoundChoice) -> BoldRun:
    """Return a run with those confounds alone that enter the design or the motion figure."""
    table = source.confounds
    if table is None:
        return source
    kept = [name for name in table.values if name in {*choice.columns, *MOTION_COLUMNS}]
    slim = ConfoundTable(
        path=table.path,
        values={name: table.values[name] for name in kept},
        filled=table.filled,
        metadata={name: table.metadata[name] for name in kept if name in table.metadata},
    )
    return replace(source, confounds=slim)
