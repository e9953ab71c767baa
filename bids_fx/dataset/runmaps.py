"""Run-level statistics made beforehand: by this program, FitLins or nilearn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bids_fx.dataset.files import (
    NIFTI,
    TABLES,
    Dataset,
    DatasetFile,
    Faults,
    list_tree,
    walk_results,
)
from bids_fx.dataset.images import check_same_grid
from bids_fx.dataset.nifti import ImageHeader, check_complete, read_header
from bids_fx.dataset.selection import select_runs
from bids_fx.dataset.streams import bad_file
from bids_fx.dataset.tables import read_design, read_json, sidecar_of
from bids_fx.entities import Entities, parse_name, same_label
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem
from bids_fx.glm.contrasts import design_space
from bids_fx.inputs import Found, Grid, RunMaps
from bids_fx.settings import AnalysisSettings, DataSelection

#: Name of the folder of run maps in BIDS URIs.
RUN_MAPS = "runmaps"
_STATS = ("effect", "variance", "dof")

#: A run's maps by contrast label and ``stat-`` label; more than one file is a fault.
_Maps = dict[str, dict[str, list[DatasetFile]]]


def list_mapped(root: Path) -> set[str]:
    """Return the labels of the participants who have stat maps below a folder."""
    names = (parse_name(path.name) for path in walk_results(root))
    return {
        name.entities["sub"]
        for name in names
        if name.suffix == "statmap" and "sub" in name.entities
    }


def find_run_maps(data: DataSelection, participant: str, *, analysis: AnalysisSettings) -> Found:
    """Find a participant's run-level maps that were made beforehand.

    Parameters
    ----------
    data : DataSelection
        `run_maps_dir` is searched at any depth.
    participant : str
        Label without ``sub-``.
    analysis : AnalysisSettings
        Its `run_dof` counts where nothing else gives degrees of freedom.

    Returns
    -------
    Found
        Its runs are `RunMaps`. Maps that are combined over runs already, and statistics other
        than effect, variance and dof, are passed over.

    Notes
    -----
    Degrees of freedom come from a map of them, else the sidecar's ``DegreesOfFreedom``, else
    rows minus rank of a design matrix beside the map, else `run_dof`; they are never invented.
    """
    assert data.run_maps_dir is not None
    faults = Faults(participant)
    dataset = list_tree(RUN_MAPS, data.run_maps_dir, participant)
    files = [
        file
        for file in dataset.select("statmap", NIFTI)
        if "contrast" in file.entities and file.entities.get("stat") in _STATS
    ]
    of_runs = [file for file in files if _is_run(file, files)]
    notices = _passed_over(files, of_runs, participant)
    if not of_runs:
        faults.add(_no_maps(data.run_maps_dir, files))
        return Found(participant=participant, problems=faults.problems, notices=notices)
    by_run: dict[tuple[tuple[str, str], ...], _Maps] = {}
    entities: dict[tuple[tuple[str, str], ...], Entities] = {}
    for file in of_runs:
        run = _run(file)
        entities.setdefault(run.canonical, run)
        labels = by_run.setdefault(run.canonical, {})
        stats = labels.setdefault(file.entities["contrast"], {})
        stats.setdefault(file.entities["stat"], []).append(file)
    selection = select_runs(entities.values(), data, participant)
    faults.add(*selection.problems)
    runs = [
        _load(one, by_run[one.canonical], dataset, analysis, participant)
        for one in selection.chosen
    ]
    faults.add(*(problem for _, problems in runs for problem in problems))
    return Found(
        participant=participant,
        runs=tuple(run for run, _ in runs if run is not None),
        left_out=selection.left_out,
        problems=faults.problems,
        notices=(*notices, *selection.notices),
    )


def _run(file: DatasetFile) -> Entities:
    """Return the entities of the run that a map is of."""
    return file.entities.without("contrast", "stat", "desc")


def _is_run(file: DatasetFile, files: list[DatasetFile]) -> bool:
    """Tell whether a map is of one run: by ``run-``, or by ``ses-`` where no map has ``run-``."""
    run = _run(file)
    if "run" in run:
        return True
    return "ses" in run and not any(
        "run" in other and other.without("run").agrees(run) for other in map(_run, files)
    )


def _passed_over(
    files: list[DatasetFile], of_runs: list[DatasetFile], participant: str
) -> tuple[Notice, ...]:
    """Say which maps are of no single run."""
    names = dict.fromkeys(str(_run(file)) for file in files if file not in of_runs)
    return tuple(
        Notice(
            text=f"{name}: its maps are passed over, since they are of no single run by name.",
            warning=False,
            participant=participant,
        )
        for name in names
    )


def _load(
    run: Entities,
    maps: _Maps,
    dataset: Dataset,
    analysis: AnalysisSettings,
    participant: str,
) -> tuple[RunMaps | None, tuple[Problem, ...]]:
    """Check the maps of one run, and find their names and degrees of freedom."""
    faults = Faults(participant)
    for label, found in maps.items():
        faults.add(*_incomplete(run, label, found))
    if faults.problems:
        return None, faults.problems
    files = {label: {stat: one for stat, (one,) in maps[label].items()} for label in maps}
    grid = _common_grid([file for stats in files.values() for file in stats.values()], faults)
    names: dict[str, str] = {}
    dof: dict[str, float] = {}
    for label, stats in files.items():
        metadata = faults.attempt(_read_sidecars, stats) or {}
        names[label] = str(metadata.get("ContrastName") or label)
        if "dof" not in stats:
            number = faults.attempt(_find_dof, stats["effect"], metadata, dataset, analysis)
            dof |= {label: number} if number is not None else {}
    if grid is None or faults.problems:
        return None, faults.problems
    loaded = RunMaps(
        entities=run,
        grid=grid,
        maps={label: {s: one.path for s, one in stats.items()} for label, stats in files.items()},
        names=names,
        dof=dof,
        uris={one.path: one.uri for stats in files.values() for one in stats.values()},
    )
    return loaded, ()


def _incomplete(
    run: Entities, label: str, found: Mapping[str, list[DatasetFile]]
) -> tuple[Problem, ...]:
    """Return what keeps the maps of one contrast from being combined."""
    where = f"{run}_contrast-{label}"
    problems = [
        Problem(
            where=where,
            found=f"several {stat} maps: {', '.join(str(file.relative) for file in files)}",
            remedy="keep one of them",
        )
        for stat, files in found.items()
        if len(files) > 1
    ]
    problems += [
        Problem(
            where=where,
            found=f"no {stat} map, only {', '.join(found)}",
            remedy=f"put the stat-{stat} map beside it",
            code=ExitCode.MISSING_INPUT,
        )
        for stat in ("effect", "variance")
        if stat not in found
    ]
    return tuple(problems)


def _common_grid(files: list[DatasetFile], faults: Faults) -> Grid | None:
    """Return the grid of all maps of a run; each that is broken or has another is a fault."""
    headers = [header for file in files if (header := faults.attempt(_read_map_header, file.path))]
    for header in headers[1:]:
        first = headers[0]
        faults.attempt(check_same_grid, header.path, header.grid, first.path, first.grid)
    return headers[0].grid if headers else None


def _read_map_header(path: Path) -> ImageHeader:
    """Return the header of a complete 3D image."""
    header = read_header(path)
    if len(header.shape) != 3:
        raise bad_file(path, f"an image of shape {header.shape}", "give a map of one t contrast")
    check_complete(path, header)
    return header


def _read_sidecars(stats: Mapping[str, DatasetFile]) -> dict[str, object]:
    """Return what the sidecars of a contrast's maps say; the effect's counts first."""
    metadata: dict[str, object] = {}
    for stat in ("variance", "effect"):
        path = sidecar_of(stats[stat].path)
        if path.exists():
            metadata |= read_json(path)
    return metadata


def _find_dof(
    effect: DatasetFile,
    metadata: Mapping[str, object],
    dataset: Dataset,
    analysis: AnalysisSettings,
) -> float:
    """Return the degrees of freedom of a contrast's maps."""
    number = metadata.get("DegreesOfFreedom")
    if number is None:
        number = _design_dof(effect, dataset)
    if number is None:
        number = analysis.run_dof
    if number is None:
        raise BIDSFXError.single(
            str(effect.path),
            "no degrees of freedom: no stat-dof map, no DegreesOfFreedom in the sidecar, no "
            "design matrix beside it",
            "state them with --run-dof",
            ExitCode.MISSING_INPUT,
        )
    if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
        raise bad_file(effect.path, f"{number!r} degrees of freedom", "they must be above 0")
    return float(number)


def _design_dof(effect: DatasetFile, dataset: Dataset) -> float | None:
    """Return rows minus rank of the design matrix beside a map, if there is one for its run."""
    run = _run(effect)
    designs = [
        file
        for file in dataset.select("design", TABLES)
        if file.relative.parent == effect.relative.parent
        and all(same_label(run.get(key, label), label) for key, label in file.entities.items())
        and all(key in file.entities for key in ("run", "ses") if key in run)
    ]
    if len(designs) != 1:
        return None
    matrix = read_design(designs[0].path).matrix
    return float(len(matrix) - design_space(matrix).rank)


def _no_maps(root: Path, files: list[DatasetFile]) -> Problem:
    """Return the fault that there is nothing to combine."""
    return Problem(
        where=str(root),
        found="no effect and variance maps of single runs"
        + (" (no name has run- or ses-)" if files else ""),
        remedy="name them ..._run-1_contrast-LABEL_stat-effect_statmap.nii.gz, and so on",
        code=ExitCode.MISSING_INPUT,
    )
