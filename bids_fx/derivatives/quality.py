"""The quality measures of the runs as they were published, and the limits that runs break."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from bids_fx.derivatives import paths
from bids_fx.errors import Notice
from bids_fx.inputs import RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.quality import broken_limits, unmeasured
from bids_fx.records import Plan, RunPlan
from bids_fx.standing import RunQuality, worst_values


def read_quality(run: RunPlan, out_dir: Path) -> dict[str, object]:
    """Return a run's measures; empty where they are missing, damaged or were never made."""
    if isinstance(run.source, RunMaps):
        return {}
    return object_or_nothing(out_dir / paths.quality(run.entities))


def quality_failures(plan: Plan, out_dir: Path) -> tuple[str, ...]:
    """Return which run breaks which limit of the plan's, one sentence each without a full stop.

    Parameters
    ----------
    plan : Plan
        The participant's plan, with the limits in its `report`.
    out_dir : Path
        The output folder. A run without published measures breaks no limit.
    """
    limits = plan.report.quality_limits
    return tuple(
        f"{run.key}: {text}"
        for run, measures in _published(plan, out_dir)
        for text in broken_limits(measures, limits)
    )


def quality_notices(plan: Plan, out_dir: Path) -> tuple[Notice, ...]:
    """Return which runs lack measures that limits are set to, and so could not be judged.

    Of maps made beforehand nothing is known; a run that failed is told of elsewhere.
    """
    given: list[tuple[RunPlan, dict[str, object]]]
    given = [(run, {}) for run in plan.runs if isinstance(run.source, RunMaps)]
    return tuple(
        Notice(
            text=f"{run.key}: {', '.join(missing)} could not be measured, so that the limit of "
            "--qc-fail was not applied.",
            participant=plan.participant,
        )
        for run, measures in (*_published(plan, out_dir), *given)
        if (missing := unmeasured(measures, plan.report.quality_limits))
    )


def worst_quality(plans: Iterable[Plan], out_dir: Path) -> dict[str, float | None]:
    """Return the worst published value over the runs of some plans of each measure in `WORST`."""
    return worst_values(
        RunQuality(entities=run.entities, analysis="", measures=numbers_of(measures))
        for plan in plans
        for run, measures in _published(plan, out_dir)
    )


def numbers_of(values: Mapping[str, object]) -> dict[str, float | None]:
    """Return values as measures: what is no finite number is None.

    Examples
    --------
    >>> numbers_of({"dof": 40, "fd_mean": "n/a", "vif_max": float("inf")})
    {'dof': 40, 'fd_mean': None, 'vif_max': None}
    """
    return {name: value if is_number(value) else None for name, value in values.items()}


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value read from a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _published(plan: Plan, out_dir: Path) -> Iterator[tuple[RunPlan, dict[str, object]]]:
    """Iterate over the runs with published measures; others' are those of replaced runs."""
    for run in plan.runs:
        measures = {} if run.key in plan.replaced else read_quality(run, out_dir)
        if measures:
            yield run, measures
