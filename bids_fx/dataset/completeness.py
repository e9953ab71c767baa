"""What a dataset has and the found series do not: tasks without events, runs without series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bids_fx.dataset.files import NIFTI, TABLES, Dataset, DatasetFile
from bids_fx.dataset.listing import Survey
from bids_fx.dataset.matching import find_events, run_entities
from bids_fx.dataset.selection import is_wanted_run
from bids_fx.entities import Entities, canonical_label, same_label
from bids_fx.errors import BIDSFXError, Notice
from bids_fx.settings import DataSelection


def tasks_without_events(
    series: Sequence[DatasetFile],
    raw: Dataset,
    survey: Survey,
    data: DataSelection,
    participant: str,
) -> tuple[set[str], tuple[Notice, ...]]:
    """Tell which tasks have no events because they are no tasks (rest).

    Parameters
    ----------
    series : sequence of DatasetFile
        All series of the participant, also those that filters leave out.
    raw : Dataset
        Where the participant's events are.
    survey : Survey
        Knows the events of others.
    data : DataSelection
        A task that it asks for counts as one in any case.
    participant : str
        Label without ``sub-``.

    Returns
    -------
    tasks : set of str
        Their canonical labels.
    notices : tuple of Notice
        One for each.
    """
    labels = {canonical_label(file.entities["task"]): file.entities["task"] for file in series}
    tasks: set[str] = set()
    notices = []
    for task, label in labels.items():
        runs = [file for file in series if same_label(file.entities["task"], task)]
        if (
            any(same_label(task, asked) for asked in data.tasks)
            or any(_has_events(file, raw) for file in runs)
            or survey.has_events_elsewhere(task, participant)
        ):
            continue
        tasks.add(task)
        text = f"task-{label}: left out, since it has no events (--task-id {label} asks for it)."
        notices.append(Notice(text=text, warning=False, participant=participant))
    return tasks, tuple(notices)


def runs_without_series(
    series: Iterable[DatasetFile], raw: Dataset, data: DataSelection, participant: str
) -> tuple[Notice, ...]:
    """Tell which raw runs with events have no series to model.

    Parameters
    ----------
    series : iterable of DatasetFile
        All series of the participant.
    raw : Dataset
        Its runs are known by the names of their images, which may be empty or dangling links,
        and of their events.
    data : DataSelection
        Runs that it does not ask for are passed over.
    participant : str
        Label without ``sub-``.
    """
    there = [run_entities(file.entities) for file in series]
    lacking: dict[tuple[tuple[str, str], ...], Entities] = {}
    for file in (*raw.select("bold", NIFTI), *raw.select("events", TABLES)):
        run = file.entities.without("echo", "part")
        if file.relative.parent.name != "func" or any(_is_part(run, one) for one in there):
            continue
        if is_wanted_run(run, data) and _has_events(file, raw):
            lacking.setdefault(run.canonical, run)
    kind = "raw BOLD image" if data.raw_bold else f"BOLD series with desc-{data.desc}"
    return tuple(
        Notice(
            text=f"{run}: left out, since it has events but no {kind}.", participant=participant
        )
        for run in lacking.values()
    )


def _is_part(run: Entities, series: Entities) -> bool:
    """Tell whether a series may be made from a raw run, whose name may say less."""
    return all(key in series and same_label(label, series[key]) for key, label in run.items())


def _has_events(file: DatasetFile, raw: Dataset) -> bool:
    """Tell whether any events table applies to a run."""
    try:
        return find_events(file, raw) is not None
    except BIDSFXError:  # two of them: told when the run is read
        return True
