"""What should be there and is not: events of a task or run, series of runs of the raw dataset."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from bids_fx.dataset.files import NIFTI, TABLES, Dataset, DatasetFile
from bids_fx.dataset.listing import Survey
from bids_fx.dataset.matching import Sources, find_events, run_entities
from bids_fx.dataset.selection import Selection, is_wanted_run
from bids_fx.entities import Entities, canonical_label, same_label
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem
from bids_fx.inputs import Absence
from bids_fx.settings import DataSelection

#: Entities of which a run may have several series or raw images.
_COPIES = ("echo", "part")
#: Suffixes of images as fMRIPrep 1.0 and 1.1 named them.
_FORMER = {"preproc", "brainmask"}
#: Extensions of series on surfaces, and of CIFTI.
_SURFACES = {".func.gii", ".dtseries.nii"}


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
    series: Iterable[DatasetFile], raw: Dataset, data: DataSelection
) -> tuple[Absence, ...]:
    """Tell which runs of the raw dataset have no series to model, though their task has events.

    Parameters
    ----------
    series : iterable of DatasetFile
        All series of the participant.
    raw : Dataset
        Its runs are known by the names of their images, which may be empty or dangling links,
        of the sidecars of these, and of events.
    data : DataSelection
        Runs that it does not ask for are passed over.
    """
    there = [run_entities(file.entities) for file in series]
    sessions = {canonical_label(run["ses"]) for run in there if "ses" in run}
    kind = _kind(data)
    events = tuple(raw.select("events", TABLES))
    tasks = {canonical_label(file.entities.get("task", "")) for file in events}
    absences: dict[tuple[tuple[str, str], ...], Absence] = {}
    for file in (*raw.select("bold", NIFTI), *raw.select("bold", (".json",)), *events):
        run = bare_run(file.entities)
        is_a_run = file.relative.parent.name == "func" and "task" in run
        if not is_a_run or run.canonical in absences or not is_wanted_run(run, data):
            continue
        if any(_is_part(run, one) for one in there):
            continue
        has_events = _has_events(file, raw)
        if has_events or canonical_label(run["task"]) in tasks:
            what = f"events but no {kind}" if has_events else f"neither events nor a {kind}"
            is_alone = "ses" not in run or canonical_label(run["ses"]) in sessions
            whole = "" if is_alone else f", as all of session {run['ses']}"
            absences[run.canonical] = Absence(entities=run, reason=f"it has {what}{whole}")
    # A table or sidecar of several runs is no run beside them.
    runs = [absence.entities for absence in absences.values()]
    return tuple(
        absence
        for absence in absences.values()
        if not any(run is not absence.entities and _is_part(absence.entities, run) for run in runs)
    )


def all_absences(
    selection: Selection, runs: Iterable[Absence], rest: Container[str]
) -> tuple[Absence, ...]:
    """Gather what is absent, in order; a label is told only where none of its runs is.

    Parameters
    ----------
    selection : Selection
        Has the labels that were asked for, and the runs that lack a space.
    runs : iterable of Absence
        Runs without events or series.
    rest : container of str
        Canonical labels of the tasks that have no events, which lack nothing.
    """
    absences = [
        absence
        for absence in (*selection.absent, *runs)
        if canonical_label(absence.entities["task"]) not in rest
    ]
    labels = [
        label
        for label in selection.unknown
        if not any(_is_part(label.entities, absence.entities) for absence in absences)
    ]
    return tuple(sorted((*labels, *absences), key=lambda one: one.entities.sort_key))


def bare_run(entities: Entities) -> Entities:
    """Return the entities of a run, whatever its spaces, echoes and parts."""
    return run_entities(entities).without(*_COPIES)


def no_series(
    series: Iterable[DatasetFile], sources: Sources, data: DataSelection, participant: str
) -> Problem:
    """Return the fault that a participant has nothing to model, and say what there is instead.

    Parameters
    ----------
    series : iterable of DatasetFile
        The BOLD images that are not asked for.
    sources : Sources
        All files of the participant.
    data : DataSelection
        What is asked for.
    participant : str
        Label without ``sub-``.
    """
    datasets = (sources.raw,) if data.raw_bold else sources.derivatives
    files = [file for one in datasets for file in one.files if "func" in file.relative.parts]
    found, remedy = _instead(list(series), files, data)
    return Problem(
        where=f"sub-{participant} in {', '.join(str(one.root) for one in datasets)}",
        found=f"no {_kind(data)} in a func folder{found}",
        remedy=remedy,
        code=ExitCode.MISSING_INPUT,
    )


def _instead(
    series: Sequence[DatasetFile], files: Sequence[DatasetFile], data: DataSelection
) -> tuple[str, str]:
    """Return what there is instead of the series that are asked for, and what to do."""
    descs = {file.entities["desc"] for file in series if "desc" in file.entities}
    if data.raw_bold:
        return "", "give the images of this participant, or do without --raw-bold"
    if descs:
        return "", f"choose by --desc-label among {', '.join(sorted(descs))}"
    if series:
        name = series[0].path.name
        remedy = 'ask for them by a --bids-filter-file with {"bold": {"desc": null}}'
        remedy += ", or for raw images by --raw-bold"
        return f", only some without desc- ({name})", remedy
    former = [file for file in files if file.name.suffix in _FORMER]
    if former:
        run = former[0].entities.without("space")
        remedy = (
            f"preprocess with a later one, or rename {run}_bold_space-X_preproc.nii.gz to "
            f"{run}_space-X_desc-preproc_bold.nii.gz, ..._bold_space-X_brainmask.nii.gz to "
            "..._space-X_desc-brain_mask.nii.gz and ..._bold_confounds.tsv to "
            "..._desc-confounds_timeseries.tsv"
        )
        return f", but names of fMRIPrep's first versions ({former[0].path.name})", remedy
    surfaces = [file for file in files if file.name.extension in _SURFACES]
    if surfaces:
        return (
            f", only data on surfaces ({surfaces[0].path.name})",
            "preprocess into a volume too (fMRIPrep: --output-spaces MNI152NLin2009cAsym)",
        )
    fetch = "" if files else ", fetch the files (datalad get)"
    return "", f"preprocess this participant{fetch}, or name the derivatives with -d"


def _kind(data: DataSelection) -> str:
    """Return what is modelled, as messages call it."""
    return "raw BOLD image" if data.raw_bold else f"BOLD series with desc-{data.desc}"


def _is_part(run: Entities, series: Entities) -> bool:
    """Tell whether a series may be made from a raw run, whose name may say less."""
    return all(key in series and same_label(label, series[key]) for key, label in run.items())


def _has_events(file: DatasetFile, raw: Dataset) -> bool:
    """Tell whether any events table applies to a run."""
    try:
        return find_events(file, raw) is not None
    except BIDSFXError:  # two of them: told when the run is read
        return True
