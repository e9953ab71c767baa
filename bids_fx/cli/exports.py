"""The analysis of a call as BIDS Stats Models, one for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bids_fx.inputs import BoldRun
from bids_fx.values import COMBINABLE

if TYPE_CHECKING:
    from bids_fx.drafts import Draft, DraftRun
    from bids_fx.settings import AnalysisSettings


def analysis_models(
    drafts: Sequence[Draft],
    settings: AnalysisSettings,
    known_conditions: Mapping[str, Sequence[str]],
    label: str,
) -> dict[str, str]:
    """Return models that give the results of a call without a model file.

    Parameters
    ----------
    drafts : sequence of Draft
        The runs of all participants.
    settings : AnalysisSettings
        The choices.
    known_conditions : mapping of str to sequence of str
        The conditions of all participants by task.
    label : str
        For the names of the files.

    Returns
    -------
    dict of str to str
        The files' content by their names.
    """
    from bids_fx.contrasts import task_contrasts
    from bids_fx.places import default_steps, steps_that_apply
    from bids_fx.stats_models.export import Asked, export_model
    from bids_fx.stats_models.write import model_json

    runs = [run for draft in drafts for run in draft.runs]
    sources = [run.source for run in runs]
    tasks = task_contrasts(sources, settings, known_conditions, shared=True).by_task
    models = {}
    for task, contrasts in tasks.items():
        own = [run for run in runs if run.source.entities.get("task", "") == task]
        asked = Asked(
            task=task,
            settings=settings,
            conditions=tuple(known_conditions.get(task, ())),
            contrasts=contrasts,
            steps=steps_that_apply(default_steps(settings), has_sessions="ses" in _keys(own)),
            columns=_shared_columns(own),
            keys=_keys(own),
            is_modulated=any(map(_is_modulated, own)),
        )
        ending = f"_desc-{task}" if len(tasks) > 1 else ""
        models[f"model-{label}{ending}_smdl.json"] = model_json(
            export_model(asked, f"{label}{ending}")
        )
    return models


def _shared_columns(runs: Sequence[DraftRun]) -> tuple[str, ...]:
    """Return the confounds that enter every run, in the first run's order."""
    first, *others = (run.confounds.columns for run in runs)
    return tuple(name for name in first if all(name in columns for columns in others))


def _keys(runs: Sequence[DraftRun]) -> tuple[str, ...]:
    """Return the entities that tell the runs apart for combining; images are never combined."""
    present = {key for run in runs for key in run.source.entities}
    return tuple(key for key in ("run", "ses", *COMBINABLE) if key in present)


def _is_modulated(run: DraftRun) -> bool:
    """Tell whether any event of a run has another height than 1."""
    source = run.source
    return isinstance(source, BoldRun) and any(
        bool(np.any(condition.amplitudes != 1)) for condition in source.conditions
    )
