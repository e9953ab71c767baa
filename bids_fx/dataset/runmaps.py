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
from bids_fx.dataset.links import links_out
from bids_fx.dataset.nifti import ImageHeader, check_complete, read_header
from bids_fx.dataset.selection import select_runs
from bids_fx.dataset.streams import bad_file
from bids_fx.dataset.tables import read_beside, read_design, sidecar_of
from bids_fx.entities import Entities, parse_name, same_label
from bids_fx.errors import BIDSFXError, ExitCode, Notice, Problem
from bids_fx.glm.contrasts import design_space
from bids_fx.inputs import Found, Grid, RunMaps
from bids_fx.settings import AnalysisSettings, DataSelection

#: Name of the folder of run maps in BIDS URIs.
RUN_MAPS = "runmaps"
_STATS = ("effect", "variance", "covariance", "dof", "F")

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
        Its runs are `RunMaps`. Maps that are combined over runs already, F tests without their
        covariance, and statistics other than effect, variance, covariance and dof, are passed
        over.

    Notes
    -----
    Degrees of freedom come from a map of them, else the sidecar's ``DegreesOfFreedom``, else
    rows minus rank of a design matrix beside the map, else `run_dof`; they are never invented.
    """
    assert data.run_maps_dir is not None
    faults = Faults(participant)
    dataset = list_tree(RUN_MAPS, data.run_maps_dir, participant)
    if outside := links_out([dataset], data, participant):
        return Found(participant=participant, problems=outside)
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
    runs: list[RunMaps] = []
    for one in selection.chosen:
        maps, lone = _without_lone_f(one, by_run[one.canonical], participant)
        notices += lone
        loaded, problems = _load(one, maps, dataset, analysis, participant)
        faults.add(*problems)
        runs += [loaded] if loaded is not None else []
    faults.add(*_unequal_tests(runs))
    if selection.chosen and not (runs or faults.problems):
        faults.add(_no_maps(data.run_maps_dir, []))
    return Found(
        participant=participant,
        runs=tuple(runs),
        left_out=selection.left_out,
        absent=(*selection.unknown, *selection.absent),
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


def _without_lone_f(
    run: Entities, maps: _Maps, participant: str
) -> tuple[_Maps, tuple[Notice, ...]]:
    """Pass over the F tests of programs that write no covariance, and say so."""
    lone = [label for label, found in maps.items() if "F" in found and "covariance" not in found]
    kept = {
        label: {stat: files for stat, files in found.items() if stat != "F"}
        for label, found in maps.items()
        if label not in lone
    }
    notices = tuple(
        Notice(
            text=f"{run}_contrast-{label}: this F test is left out, since no stat-covariance map "
            "is beside it, without which F tests cannot be combined over runs.",
            participant=participant,
        )
        for label in lone
    )
    return kept, notices


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
    if faults.problems or not maps:
        return None, faults.problems
    files = {label: {stat: one for stat, (one,) in maps[label].items()} for label in maps}
    headers = _read_headers(files, faults)
    grid = _common_grid(list(headers.values()), faults)
    names: dict[str, str] = {}
    dof: dict[str, float] = {}
    rows: dict[str, int] = {}
    for label, stats in files.items():
        metadata = faults.attempt(_read_sidecars, stats) or {}
        names[label] = str(metadata.get("ContrastName") or label)
        if "dof" not in stats:
            number = faults.attempt(_find_dof, stats["effect"], metadata, dataset, analysis)
            dof |= {label: number} if number is not None else {}
        if "covariance" in stats and all(one.path in headers for one in stats.values()):
            n_rows = headers[stats["effect"].path].n_scans
            rows[label] = n_rows
            faults.add(*_wrong_volumes(n_rows, headers[stats["covariance"].path], metadata))
    if grid is None or faults.problems:
        return None, faults.problems
    loaded = RunMaps(
        entities=run,
        grid=grid,
        maps={label: {s: one.path for s, one in stats.items()} for label, stats in files.items()},
        names=names,
        dof=dof,
        rows=rows,
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
    spread = "covariance" if "covariance" in found else "variance"
    problems += [
        Problem(
            where=where,
            found=f"no {stat} map, only {', '.join(found)}",
            remedy=f"put the stat-{stat} map beside it"
            + (" (the stat-covariance map of an F test)" if stat == "variance" else ""),
            code=ExitCode.MISSING_INPUT,
        )
        for stat in ("effect", spread)
        if stat not in found
    ]
    if {"variance", "covariance"} <= found.keys():
        problems.append(
            Problem(
                where=where,
                found="both a variance and a covariance map",
                remedy="keep the variance of a t contrast, or the covariance of an F test",
            )
        )
    return tuple(problems)


def _read_headers(
    files: Mapping[str, Mapping[str, DatasetFile]], faults: Faults
) -> dict[Path, ImageHeader]:
    """Return the headers of a run's maps; each that is broken is a fault."""
    headers: dict[Path, ImageHeader] = {}
    for stats in files.values():
        for stat, file in stats.items():
            has_rows = "covariance" in stats and stat != "dof"
            header = faults.attempt(_read_map_header, file.path, has_rows=has_rows)
            headers |= {file.path: header} if header is not None else {}
    return headers


def _read_map_header(path: Path, *, has_rows: bool) -> ImageHeader:
    """Return the header of a complete 3D image, or of one that may have a volume per row."""
    header = read_header(path)
    if len(header.shape) > 3 + has_rows:
        remedy = (
            "give volumes along the 4th dimension"
            if has_rows
            else "give a map of one t contrast, or put the stat-covariance map of the F test by it"
        )
        raise bad_file(path, f"an image of shape {header.shape}", remedy)
    check_complete(path, header)
    return header


def _common_grid(headers: list[ImageHeader], faults: Faults) -> Grid | None:
    """Return the grid of all maps of a run; each that has another is a fault."""
    for header in headers[1:]:
        first = headers[0]
        faults.attempt(check_same_grid, header.path, header.grid, first.path, first.grid)
    return headers[0].grid if headers else None


def _wrong_volumes(
    n_rows: int, covariance: ImageHeader, metadata: Mapping[str, object]
) -> tuple[Problem, ...]:
    """Return what does not agree with the number of rows of an F test, the effect's volumes."""
    problems = []
    expected = n_rows * (n_rows + 1) // 2
    if covariance.n_scans != expected:
        problems.append(
            Problem(
                where=str(covariance.path),
                found=f"{covariance.n_scans} volumes beside {n_rows} of the effect map",
                remedy=f"give its upper triangle, row by row, in {expected} volumes",
            )
        )
    said = metadata.get("NumeratorDegreesOfFreedom", n_rows)
    if said != n_rows:
        problems.append(
            Problem(
                where=str(covariance.path),
                found=f"NumeratorDegreesOfFreedom is {said!r}, but the effect map has {n_rows} "
                "volumes",
                remedy="give the maps and sidecars of one F test",
            )
        )
    return tuple(problems)


def _unequal_tests(runs: list[RunMaps]) -> tuple[Problem, ...]:
    """Return the contrasts of one label that are other tests in other runs of their task."""
    first: dict[tuple[str, str], RunMaps] = {}
    problems = []
    for run in runs:
        for label in run.maps:
            other = first.setdefault((run.entities.get("task", ""), label), run)
            if run.rows.get(label) != other.rows.get(label):
                problems.append(
                    Problem(
                        where=f"{run.entities}_contrast-{label}",
                        found=f"{_test(run, label)}, but {_test(other, label)} in "
                        f"{other.entities}",
                        remedy="give different tests different labels",
                    )
                )
    return tuple(problems)


def _test(run: RunMaps, label: str) -> str:
    """Say which test a contrast is."""
    return f"an F test of {run.rows[label]} row(s)" if label in run.rows else "a t contrast"


def _read_sidecars(stats: Mapping[str, DatasetFile]) -> dict[str, object]:
    """Return what the sidecars of a contrast's maps say; the effect's counts first."""
    metadata: dict[str, object] = {}
    for stat in ("covariance" if "covariance" in stats else "variance", "effect"):
        metadata |= read_beside(sidecar_of(stats[stat].path))
    return metadata


def _find_dof(
    effect: DatasetFile,
    metadata: Mapping[str, object],
    dataset: Dataset,
    analysis: AnalysisSettings,
) -> float:
    """Return the degrees of freedom of a contrast's maps."""
    number = None
    # Where each voxel has its own, that of the residuals is no stand-in: it is always larger.
    if metadata.get("DegreesOfFreedomPerVoxel") is not True:
        number = metadata.get("DegreesOfFreedom")
        if number is None:
            number = _design_dof(effect, dataset)
    if number is None:
        number = analysis.run_dof
    if number is None:
        raise BIDSFXError.single(
            str(effect.path),
            "no degrees of freedom: no stat-dof map, no DegreesOfFreedom for all voxels in the "
            "sidecar, no design matrix beside it",
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
