"""Finding participants, their runs and run maps; the only module that knows pybids."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from bids_fx.dataset.completeness import (
    all_absences,
    no_series,
    runs_without_series,
    tasks_without_events,
)
from bids_fx.dataset.files import NIFTI, DatasetFile, Faults, absolute, list_tree
from bids_fx.dataset.folders import (
    DESCRIPTION,
    empty_derivatives,
    folder_problems,
    folders_as_files,
    label_key,
    labels_in,
    matching_labels,
    unknown_label,
)
from bids_fx.dataset.links import links_out
from bids_fx.dataset.listing import (
    IGNORED,
    Listing,
    Survey,
    find_loops,
    keep_loops,
    kept_loops,
    list_paths,
)
from bids_fx.dataset.matching import Sources
from bids_fx.dataset.runmaps import find_run_maps, list_mapped
from bids_fx.dataset.runs import load_run
from bids_fx.dataset.selection import check_filters, is_wanted_series, select_runs
from bids_fx.entities import Entities, canonical_label
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem, output_error
from bids_fx.inputs import BoldRun, Found
from bids_fx.settings import AnalysisSettings, DataSelection, digest

__all__ = ["find_all", "find_run_maps", "find_runs", "list_participants"]

#: Name of the raw dataset in BIDS URIs.
RAW = "raw"
#: Participants that are listed at once: pybids looks at every name in a dataset's folder each
#: time, and holds the files of those who are listed.
LISTED = 50
#: What pybids makes of names: nothing, since `list_paths` reads them. Its own tables of entities
#: take it longer than a small dataset.
_PATHS_ALONE = {"name": "paths", "entities": []}


def list_participants(data: DataSelection) -> tuple[str, ...]:
    """List the participants that are meant, by the folders that are there.

    Parameters
    ----------
    data : DataSelection
        Without labels, everybody who has a folder in the derivatives (with ``--run-maps``, run
        maps; with ``--raw-bold``, a folder in the raw dataset).

    Returns
    -------
    tuple of str
        Labels without ``sub-``, as the folders spell them, sorted.

    Raises
    ------
    BIDSFXError
        If a dataset or a label is not there, the raw dataset has no valid
        ``dataset_description.json``, or the filter file makes no sense; everything at once.
    """
    _require((*folder_problems(data), *check_filters(data.filters)))
    _require(empty_derivatives(data))
    there = _participants_with_data(data)
    if not data.participants:
        nobody = Problem(
            where=str(data.run_maps_dir or data.bids_dir),
            found="no participant in it",
            remedy="give a folder with sub-* in it",
            code=ExitCode.NOTHING_SELECTED,
        )
        _require(() if there else (nobody,))
        return tuple(sorted(there, key=label_key))
    # Who is asked for by name and was not preprocessed gets that as a fault later.
    known = there if data.run_maps_dir is not None else there | labels_in(data.bids_dir)
    meant = {label: matching_labels(label, known) for label in data.participants}
    unknown = [label for label, found in meant.items() if not found]
    _require(tuple(unknown_label(label, known, data.participants_by) for label in unknown))
    return tuple(sorted({one for found in meant.values() for one in found}, key=label_key))


def find_all(
    data: DataSelection, participants: Sequence[str], *, analysis: AnalysisSettings
) -> Iterator[Found]:
    """Iterate over what is found for each participant, runs or run maps."""
    if data.run_maps_dir is not None:
        yield from (find_run_maps(data, one, analysis=analysis) for one in participants)
        return
    for start in range(0, len(participants), LISTED):
        some = participants[start : start + LISTED]
        survey = survey_datasets(data, some)
        yield from (find_runs(data, one, analysis=analysis, survey=survey) for one in some)


def survey_datasets(data: DataSelection, participants: Sequence[str]) -> Survey:
    """List the files of some participants, and what all share.

    Raises
    ------
    BIDSFXError
        If a dataset is not there at all, or a folder of it cannot be listed.
    """
    _require(folder_problems(data))
    return Survey(
        raw=_list_dataset(RAW, data.bids_dir, participants, data.database_dir),
        derivatives=tuple(
            _list_dataset(name, root, participants, data.database_dir)
            for name, root in data.derivatives
        ),
    )


def find_runs(
    data: DataSelection,
    participant: str,
    *,
    analysis: AnalysisSettings,
    survey: Survey | None = None,
) -> Found:
    """Find a participant's BOLD runs and everything that belongs to them.

    Parameters
    ----------
    data : DataSelection
        Where, and which.
    participant : str
        Label without ``sub-``, as `list_participants` returns it.
    analysis : AnalysisSettings
        For the slice time reference.
    survey : Survey or None
        What `survey_datasets` lists for this participant and others; None lists it now.

    Returns
    -------
    Found
        Runs without a fault, and the faults of the others. Headers, masks, tables and sidecars
        were read, and no raw image was opened (but for ``--raw-bold``).

    Raises
    ------
    BIDSFXError
        If a dataset is not there at all.

    Notes
    -----
    A task without any events (rest) is left out with a notice, unless it is asked for, or another
    participant shows that it should have some.
    """
    survey = survey or survey_datasets(data, [participant])
    faults = Faults(participant)
    sources = faults.attempt(_list_sources, survey, data, participant)
    if sources is None:
        return Found(participant=participant, problems=faults.problems)
    if outside := links_out(sources.all, data, participant):
        return Found(participant=participant, problems=outside)
    for dataset in (sources.raw, *sources.derivatives):
        faults.add(*folders_as_files(dataset, participant))
    notices = (*_listing_notices(sources, data), *survey.loop_notices())
    series = [file for file in _series(sources, data) if is_wanted_series(file, data)]
    named = [file for file in series if "task" in file.entities]
    faults.add(*(_no_task(file) for file in series if file not in named))
    if not named:
        faults.add(
            *([] if series else [no_series(_series(sources, data), sources, data, participant)])
        )
        return Found(participant=participant, problems=faults.problems, notices=notices)
    by_run = _group_copies(named)
    selection = select_runs(
        [files[0].entities.without("desc") for files in by_run.values()], data, participant
    )
    faults.add(*selection.problems)
    notices += selection.notices
    rest: set[str] = set()
    if sources.designs is None:
        rest, told = tasks_without_events(named, sources.raw, survey, data, participant)
        notices += told
    runs = []
    for entities in _but_rest(selection.chosen, rest):
        run, problems = _load_one(by_run[entities.canonical], sources, analysis, participant)
        faults.add(*problems)
        runs += [run] if run is not None else []
    if not runs and not faults.problems:
        faults.add(_only_rest(data))
    return Found(
        participant=participant,
        runs=tuple(runs),
        left_out=_but_rest(selection.left_out, rest),
        absent=all_absences(selection, runs_without_series(series, sources.raw, data), rest),
        problems=faults.problems,
        notices=notices,
    )


def _but_rest(runs: Iterable[Entities], rest: set[str]) -> tuple[Entities, ...]:
    """Return the runs whose task is none of those without events."""
    return tuple(run for run in runs if canonical_label(run["task"]) not in rest)


def _require(problems: tuple[Problem, ...]) -> None:
    """Raise all problems together, if there are any."""
    if problems:
        raise BIDSFXError(problems)


def _participants_with_data(data: DataSelection) -> set[str]:
    """Return the labels of those who have something to model."""
    if data.run_maps_dir is not None:
        return list_mapped(data.run_maps_dir)
    roots = [data.bids_dir] if data.raw_bold else [root for _, root in data.derivatives]
    return {label for root in roots for label in labels_in(root)}


def _list_sources(survey: Survey, data: DataSelection, participant: str) -> Sources:
    """List all datasets for one participant."""
    designs = list_tree("design", data.design_dir, participant) if data.design_dir else None
    return Sources(
        raw=survey.raw.of(participant),
        derivatives=tuple(listing.of(participant) for listing in survey.derivatives),
        designs=designs,
        whole_events=data.model_file is not None,
    )


def _listing_notices(sources: Sources, data: DataSelection) -> tuple[Notice, ...]:
    """Tell what the reader must know of how the files were listed."""
    texts = [
        f"The derivatives {one.name} have no {DESCRIPTION}."
        for one in sources.derivatives
        if not (one.root / DESCRIPTION).is_file()
    ]
    if data.database_dir is not None:
        texts.append(
            "Files are listed as the kept pybids index has them; files that came later are in it "
            "only once it is deleted."
        )
    return tuple(Notice(text=text, warning=False) for text in texts)


def _series(sources: Sources, data: DataSelection) -> Iterator[DatasetFile]:
    """Iterate over all BOLD files of the datasets that are modelled."""
    datasets = (sources.raw,) if data.raw_bold else sources.derivatives
    return (file for dataset in datasets for file in dataset.select("bold", NIFTI))


def _list_dataset(
    name: str, root: Path, participants: Sequence[str], database_dir: Path | None
) -> Listing:
    """List the files of a dataset that are some participants' or everybody's, by pybids.

    Notes
    -----
    Names are parsed here again, relative to the root: pybids takes entities from the whole path,
    also from folders above the dataset. Sidecars are read here too, since pybids merges them only
    for data files that are there, and raw images need not be.
    """
    root = absolute(root)
    with _listed(root):
        if database_dir is None:
            labels = "|".join(map(re.escape, participants))
            paths, loops = _index(root, f"/sub-(?!(?:{labels})(?:[/_.]|$))")
        else:
            paths, loops = _index_kept(root, database_dir / f"{name}-{digest(str(root))[:12]}")
    return list_paths(name, root, paths, loops)


@contextmanager
def _listed(root: Path) -> Iterator[None]:
    """Turn what goes wrong while a dataset is listed into an error that names the folder."""
    try:
        yield
    except OSError as error:
        raise BIDSFXError.single(
            str(error.filename or root),
            f"it cannot be listed ({error.strerror})",
            "make the folder readable",
            ExitCode.MISSING_INPUT,
        ) from error


def _index(
    root: Path, *others: str, database: Path | None = None
) -> tuple[list[str], tuple[str, ...]]:
    """Return the paths of a dataset's files, and the links that are not followed.

    What `others` match is ignored too. With a folder for the database the index stays there.
    """
    ignore = [re.compile(pattern) for pattern in (*IGNORED, *others)]
    loops = tuple(find_loops(root, ignore))
    ignore += [re.compile(f"^{re.escape(loop)}(/|$)") for loop in loops]
    return _ask_pybids(root, ignore, database), loops


def _ask_pybids(root: Path, ignore: list[re.Pattern[str]], database: Path | None) -> list[str]:
    """Return the paths of all files that pybids finds in a dataset, or has in a database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's datasets, and of its own libraries
        from bids import BIDSLayout, BIDSLayoutIndexer
        from bids.layout.models import BIDSFile

        layout = BIDSLayout(
            root,
            validate=False,
            is_derivative=False,
            config=[_PATHS_ALONE],
            database_path=database,
            indexer=BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignore),
        )
        paths = [path for (path,) in layout.session.query(BIDSFile.path)]
        layout.session.close()
        layout.connection_manager.engine.dispose()
    return paths


def _index_kept(root: Path, database: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return what `_index` does, from a kept index of all participants, made if need be.

    It is made under another name first, so that jobs that start together do not read a half of it.
    Once it is there the dataset's folders are not gone through again.
    """
    if not database.is_dir():
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(mkdtemp(prefix=f".{database.name}-", dir=database.parent))
        except OSError as error:
            raise output_error(database.parent, error) from error
        keep_loops(draft, _index(root, database=draft)[1])
        try:
            draft.rename(database)
        except OSError:  # another job was faster
            rmtree(draft)
    return _ask_pybids(root, [], database), kept_loops(database)


def _group_copies(
    series: Iterable[DatasetFile],
) -> dict[tuple[tuple[str, str], ...], list[DatasetFile]]:
    """Group the files that are one series by name: one each, if all is well."""
    by_run: dict[tuple[tuple[str, str], ...], list[DatasetFile]] = {}
    for file in series:
        by_run.setdefault(file.entities.without("desc").canonical, []).append(file)
    return by_run


def _load_one(
    files: list[DatasetFile], sources: Sources, analysis: AnalysisSettings, participant: str
) -> tuple[BoldRun | None, tuple[Problem, ...]]:
    """Load the run of a series; refuse several files of it."""
    bold, *copies = files
    if copies:
        return None, (_copies(bold, copies),)
    return load_run(bold, sources, analysis=analysis, participant=participant)


def _no_task(file: DatasetFile) -> Problem:
    """Return the fault of a series without a readable task."""
    return Problem(
        where=str(file.path),
        found="no task- with a label of letters and digits in its name",
        remedy="rename the file as BIDS asks",
    )


def _copies(bold: DatasetFile, copies: list[DatasetFile]) -> Problem:
    """Return the fault of several series of one run."""
    return Problem(
        where=str(bold.path),
        found=f"the same run is also in {', '.join(str(file.path) for file in copies)}",
        remedy="keep one, or choose the derivatives with -d",
    )


def _only_rest(data: DataSelection) -> Problem:
    """Return the fault that no run has events."""
    return Problem(
        where=str(data.bids_dir),
        found="no run of this participant has events",
        remedy="add events tables (..._events.tsv), give the raw dataset as BIDS_DIR if this is "
        "another one, or leave the participant out",
        code=ExitCode.MISSING_INPUT,
    )
