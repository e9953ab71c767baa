"""The contrasts of each task, and what they are in the design of each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bids_fx.errors import ExitCode, Notice, Problem
from bids_fx.expressions import MAX_WEIGHT, MIN_WEIGHT, WeightError
from bids_fx.glm.contrasts import (
    DesignSpace,
    are_distinct,
    contrast_inflation,
    contrast_vector,
    efficiency,
    is_estimable,
)
from bids_fx.glm.design import BoolArray, Design
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.model import (
    Contrast,
    ContrastError,
    UnknownConditionError,
    automatic_contrasts,
    contrast_labels,
    dependence,
    parse_contrast,
)
from bids_fx.records import RunContrast
from bids_fx.settings import AnalysisSettings

#: Shares of a weight that leave less than this of themselves were meant to cancel out.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContrasts:
    """The contrasts of all tasks of a participant.

    Parameters
    ----------
    by_task : dict of str to tuple of Contrast
        The contrasts of each task.
    problems : tuple of Problem
        Expressions that fit no task.
    notices : tuple of Notice
        Expressions that fit some tasks and not others.
    """

    by_task: dict[str, tuple[Contrast, ...]]
    problems: tuple[Problem, ...] = ()
    notices: tuple[Notice, ...] = ()


def task_contrasts(
    sources: Sequence[BoldRun | RunMaps],
    settings: AnalysisSettings,
    known_conditions: Mapping[str, Sequence[str]],
    *,
    shared: bool = False,
) -> TaskContrasts:
    """Read the contrasts against the conditions of each task.

    Parameters
    ----------
    sources : sequence of BoldRun or RunMaps
        All runs of a participant; those of maps made beforehand have their own contrasts.
    settings : AnalysisSettings
        Its `contrasts` are expressions; without any, each condition and each minus the mean of
        the others is a contrast.
    known_conditions : mapping of str to sequence of str
        By task, further conditions that an expression may name.
    shared : bool
        Whether contrasts that are made of the conditions are made of the known ones too, so that
        all participants have the same.

    Returns
    -------
    TaskContrasts
        An expression is a problem only if no task has its conditions.
    """
    own: dict[str, set[str]] = {}
    for source in sources:
        if isinstance(source, BoldRun):
            task = source.entities.get("task", "")
            # Without contrasts of its own, a design that names no conditions has none.
            is_named = source.design is None or source.names_conditions or settings.contrasts
            own.setdefault(task, set()).update(conditions_of(source) if is_named else ())
    names = {
        task: sorted(conditions.union(known_conditions.get(task, ())))
        for task, conditions in own.items()
    }
    if not settings.contrasts:
        meant = names if shared else own
        return TaskContrasts(
            by_task={
                task: contrast_labels(automatic_contrasts(sorted(conditions)))
                for task, conditions in meant.items()
            }
        )
    parsed: dict[str, list[Contrast]] = {task: [] for task in own}
    problems: list[Problem] = []
    notices: list[Notice] = []
    for expression in settings.contrasts:
        failures: dict[str, ContrastError] = {}
        for task, conditions in names.items():
            try:
                parsed[task].append(parse_contrast(expression, conditions))
            except ContrastError as error:
                failures[task] = error
        if failures and len(failures) == len(own):
            problems.append(_unreadable(expression, next(iter(failures.values()))))
            continue
        notices += [
            Notice(
                text=f"Contrast '{expression}' is left out for task {task}: {message}.",
                warning=False,
            )
            for task, message in failures.items()
        ]
    return TaskContrasts(
        by_task={task: contrast_labels(contrasts) for task, contrasts in parsed.items()},
        problems=tuple(problems),
        notices=tuple(notices),
    )


def are_readable(
    expressions: Sequence[str], known_conditions: Mapping[str, Sequence[str]]
) -> bool:
    """Tell whether each expression fits the conditions of at least one task.

    Examples
    --------
    >>> are_readable(["face"], {"a": ["face"], "b": []}), are_readable(["fce"], {"a": ["face"]})
    (True, False)
    """

    def fits(expression: str, conditions: Sequence[str]) -> bool:
        try:
            parse_contrast(expression, conditions)
        except ContrastError:
            return False
        return True

    return all(
        any(fits(expression, conditions) for conditions in known_conditions.values())
        for expression in expressions
    )


def run_contrasts(
    source: BoldRun, design: Design, space: DesignSpace, contrasts: Sequence[Contrast]
) -> tuple[tuple[RunContrast, ...], list[Problem]]:
    """Find each contrast's columns, and whether the run can estimate it.

    Parameters
    ----------
    source : BoldRun
        The run, for messages.
    design, space : Design, DesignSpace
        What is fitted: its design matrix without the scans that are censored.
    contrasts : sequence of Contrast
        The contrasts of its task.

    Returns
    -------
    planned : tuple of RunContrast
        In the same order, each with its weights or the reason why it cannot be estimated; an F
        test can be where each of its rows can.
    problems : list of Problem
        Basis functions that the HRF model does not have, and rows that it makes dependent.
    """
    planned: list[RunContrast] = []
    problems: list[Problem] = []
    for contrast in contrasts:
        rows, absent = _column_rows(contrast, design)
        if absent is not None:
            condition, basis = absent
            no_event = f"condition '{condition}' has no event in this run"
            if source.responses == ():
                no_event = "none of the model's regressors could be made"
            reason = source.absent.get(condition, no_event)
            if any(column.condition == condition for column in design.columns):
                reason = f"the HRF model gives no column {condition}[{basis}]"
                problems.append(_no_basis(source, contrast, f"{condition}[{basis}]"))
            planned.append(RunContrast(contrast=contrast, reason=reason))
            continue
        item = _estimate(contrast, rows, design, space)
        if contrast.test == "F" and (found := dependence(rows)):
            problems.append(_dependent(source, contrast, found))
        planned.append(item)
    return tuple(planned), problems


def _estimate(
    contrast: Contrast, rows: Sequence[dict[str, float]], design: Design, space: DesignSpace
) -> RunContrast:
    """Return a contrast with what the design can say of it."""
    vectors = [contrast_vector(row.items(), design.names) for row in rows]
    if not all(is_estimable(vector, space) for vector in vectors):
        reason = "its regressors are a combination of others in this run's design"
        if silent := _silent_conditions(design, np.any(vectors, axis=0)):
            reason = f"no response to condition {silent} reaches into this run's scans"
        if not all(vector.any() for vector in vectors):
            reason = "its weights cancel out in this run's design"
        return RunContrast(contrast=contrast, reason=reason)
    if not are_distinct(np.array(vectors), space):
        reason = "its rows can hardly be told apart in this run's design"
        return RunContrast(contrast=contrast, reason=reason)
    return RunContrast(
        contrast=contrast,
        rows=tuple(tuple(row.items()) for row in rows),
        efficiency=tuple(efficiency(vector, space) for vector in vectors),
        inflation=tuple(contrast_inflation(vector, design.matrix, space) for vector in vectors),
    )


def _silent_conditions(design: Design, weighted: BoolArray) -> str:
    """Return the conditions of a contrast whose columns are 0: events long before the start."""
    zero = weighted & ~design.matrix.any(axis=0)
    columns = [column for column, is_zero in zip(design.columns, zero, strict=True) if is_zero]
    return ", ".join(dict.fromkeys(f"'{column.condition or column.name}'" for column in columns))


def _column_rows(
    contrast: Contrast, design: Design
) -> tuple[list[dict[str, float]], tuple[str, int | None] | None]:
    """Return each row's weights of a design's columns, or the first term that has no column."""
    rows = []
    for terms in contrast.rows:
        shares: dict[str, list[float]] = {}
        for condition, basis, weight in terms:
            columns = _columns_of(condition, basis, design)
            if not columns:
                return [], (condition, basis)
            for column in columns:
                # A condition without a canonical column (FIR) stands for the mean of its delays.
                shares.setdefault(column, []).append(weight / len(columns))
        rows.append({column: _total(parts) for column, parts in shares.items()})
    return rows, None


def _total(parts: Sequence[float]) -> float:
    """Return the sum of a column's weights; 0 where they cancel out but for rounding."""
    total = math.fsum(parts)
    return total if abs(total) > _ROUNDING * math.fsum(map(abs, parts)) else 0.0


def _columns_of(condition: str, basis: int | None, design: Design) -> list[str]:
    """Return the columns of a condition's own response, or of one of its basis functions.

    A model file may also weigh a confound by its name.
    """
    return [
        column.name
        for column in design.columns
        if (
            column.condition == condition
            and (column.role == "condition" if basis is None else column.basis == basis)
        )
        or (column.role == "confound" and column.name == condition)
    ]


def conditions_of(source: BoldRun) -> set[str]:
    """Return the conditions that a run's events or its design made beforehand name."""
    if source.design is not None:
        columns = source.design.columns
    elif source.responses is not None:
        columns = tuple(column for response in source.responses for column in response.columns)
    else:
        return {condition.name for condition in source.conditions}
    return {
        column.condition
        for column in columns
        if column.role == "condition" and column.condition is not None
    }


def _unreadable(expression: str, error: ContrastError) -> Problem:
    """Return what is wrong: with the data, if a condition is not there, else with the option."""
    is_absent = isinstance(error, UnknownConditionError)
    verb = "name conditions of the events tables" if is_absent else "write sums of conditions"
    remedy = f"{verb}, in backticks where they hold signs"
    if isinstance(error, WeightError):
        remedy = f"give weights from {MIN_WEIGHT:g} to {MAX_WEIGHT:g} in size"
    return Problem(
        where=f"--contrast '{expression}'",
        found=str(error),
        code=ExitCode.BAD_DATA if is_absent else ExitCode.USAGE,
        remedy=remedy,
    )


def _no_basis(source: BoldRun, contrast: Contrast, column: str) -> Problem:
    return Problem(
        where=f"contrast '{contrast.name}'",
        found=f"the HRF model gives no column {column} in {source.entities}",
        remedy="choose an --hrf-model with that basis function, or another index",
    )


def _dependent(source: BoldRun, contrast: Contrast, found: str) -> Problem:
    return Problem(
        where=f"contrast '{contrast.name}'",
        found=f"its rows are linearly dependent in {source.entities}: {found}",
        remedy="leave out rows that the HRF model makes a combination of others",
    )
