"""Which files belong to a BOLD series: decided by entities and the inheritance principle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bids_fx.dataset.files import (
    NIFTI,
    TABLES,
    Dataset,
    DatasetFile,
    merge_sidecars,
    nearest,
)
from bids_fx.entities import IMAGE_ENTITIES, Entities, same_label
from bids_fx.errors import BIDSFXError, ExitCode

#: Entities that a combined series has lost, so that its raw sidecars may have them.
_COMBINED = ("echo", "part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a run's files are looked for.

    Parameters
    ----------
    raw : Dataset
        Events and sidecars.
    derivatives : tuple of Dataset
        Masks, confounds and anatomy.
    designs : Dataset or None
        Design matrices made beforehand.
    whole_events : bool
        Whether events tables are kept with all their columns, for a model file.
    """

    raw: Dataset
    derivatives: tuple[Dataset, ...]
    designs: Dataset | None = None
    whole_events: bool = False

    @property
    def all(self) -> tuple[Dataset, ...]:
        """All that a run's files may be from."""
        designs = () if self.designs is None else (self.designs,)
        return (self.raw, *self.derivatives, *designs)

    def near(self, file: DatasetFile) -> tuple[Dataset, ...]:
        """Return the derivatives, those that a file is from first."""
        return tuple(sorted(self.derivatives, key=lambda one: one.name != file.dataset))

    def home(self, file: DatasetFile) -> Dataset:
        """Return the dataset that a file is from."""
        return next(one for one in (self.raw, *self.derivatives) if one.name == file.dataset)


def find_events(bold: DatasetFile, raw: Dataset) -> DatasetFile | None:
    """Return the events table of a run by the inheritance principle, if there is one.

    Raises
    ------
    BIDSFXError
        If two tables apply alike.
    """
    entities = run_entities(bold.entities)
    folder = bold.relative.parent
    return nearest(raw.inherited("events", TABLES, entities, folder, whatever=_COMBINED))


def require_events(bold: DatasetFile, raw: Dataset) -> DatasetFile:
    """Return the events table of a run.

    Raises
    ------
    BIDSFXError
        If there is none, naming the tables that nearly are, or if two apply alike.
    """
    found = find_events(bold, raw)
    if found is not None:
        return found
    task = bold.entities.get("task", "")
    others = [
        file.path.name
        for file in raw.select("events", TABLES)
        if same_label(file.entities.get("task", task), task)
    ]
    there = f" (of this task there are {', '.join(others[:8])})" if others else ""
    name = f"{run_entities(bold.entities)}_events.tsv"
    raise BIDSFXError.single(
        str(bold.path),
        f"no events table applies to this run{there}",
        f"put {bold.relative.parent / name} into {raw.root}, or filter the run out",
        ExitCode.MISSING_INPUT,
    )


def find_mask(bold: DatasetFile, sources: Sources) -> DatasetFile | None:
    """Return the brain mask of a BOLD series: the same entities, ``desc-brain``."""
    for echo in ((), ("echo",)):
        wanted = bold.entities.without("desc", *echo)
        for key in ("desc", "label"):
            for file in _each(sources.near(bold), "mask", NIFTI):
                if file.entities.get(key) == "brain" and file.entities.without(key).agrees(wanted):
                    return file
    return None


def find_confounds(bold: DatasetFile, sources: Sources) -> DatasetFile | None:
    """Return the confounds table of a run, in fMRIPrep's present or former spelling."""
    wanted = run_entities(bold.entities)
    for echo in ((), ("echo",)):
        for suffix in ("timeseries", "regressors"):
            for file in _each(sources.near(bold), suffix, TABLES):
                rest = file.entities.without("desc")
                if file.entities.get("desc") == "confounds" and rest.agrees(wanted.without(*echo)):
                    return file
    return None


def find_t1w(bold: DatasetFile, sources: Sources) -> DatasetFile | None:
    """Return the participant's T1w image in the space of a BOLD series, on whatever grid.

    Of several, one of the same dataset, session and resolution is preferred.
    """
    return _nearest_anatomy(bold, sources, "T1w", ("preproc",))


def find_segmentation(
    bold: DatasetFile, sources: Sources
) -> tuple[DatasetFile, DatasetFile] | None:
    """Return the participant's segmented anatomy in the space of a BOLD series, and its names.

    Notes
    -----
    FreeSurfer's, as fMRIPrep writes them: of cortex too, else of subcortical structures alone; on
    whatever grid. Of several, preferred as T1w images are. One without a table of names, which
    fMRIPrep writes at its root, is of no use.
    """
    for desc in ("aparcaseg", "aseg"):
        image = _nearest_anatomy(bold, sources, "dseg", (desc,))
        if image is None:
            continue
        entities, folder = image.entities, image.relative.parent
        tables = sources.home(image).inherited("dseg", TABLES, entities, folder)
        if tables:
            return image, tables[-1]
    return None


def _nearest_anatomy(
    bold: DatasetFile, sources: Sources, suffix: str, descs: tuple[str, ...]
) -> DatasetFile | None:
    """Return an image of the anatomy in the space of a BOLD series."""
    space = bold.entities.get("space")
    if space is None:
        return None
    candidates = [
        (distance, file)
        for distance, dataset in enumerate(sources.near(bold))
        for file in dataset.select(suffix, NIFTI)
        # In its own space the image has no space entity.
        if same_label(file.entities.get("space", "T1w"), space)
        and file.entities.get("desc") in descs
        and _agree(file.entities, bold.entities, "cohort")
        and _is_of(file.entities, bold.entities)
    ]

    def rank(candidate: tuple[int, DatasetFile]) -> tuple[int, bool, bool, str]:
        distance, file = candidate
        session, res = (not _agree(file.entities, bold.entities, key) for key in ("ses", "res"))
        return distance, session, res, file.path.name

    return min(candidates, key=rank)[1] if candidates else None


def _is_of(file: Entities, bold: Entities) -> bool:
    """Tell whether what is resampled for a task and run is so for those of a BOLD series."""
    return all(_agree(file, bold, key) for key in ("task", "run") if key in file)


def find_design(bold: DatasetFile, designs: Dataset) -> DatasetFile:
    """Return the design matrix that was made beforehand for a run.

    Raises
    ------
    BIDSFXError
        If there is none, or several.
    """
    wanted = run_entities(bold.entities)
    found = [
        file
        for file in _each((designs,), "design", TABLES)
        if file.entities.without("desc", "echo", *IMAGE_ENTITIES).agrees(wanted.without("echo"))
        and all(
            same_label(label, bold.entities[key])
            for key, label in file.entities.only("echo", *IMAGE_ENTITIES).items()
            if key in bold.entities
        )
    ]
    if len(found) == 1:
        return found[0]
    name = f"{wanted.without('echo')}_design.tsv"
    if not found:
        code = ExitCode.MISSING_INPUT
        raise BIDSFXError.single(
            str(designs.root), f"no {name}", "put the run's design matrix there", code
        )
    listed = ", ".join(str(file.relative) for file in found)
    raise BIDSFXError.single(
        str(designs.root), f"several design matrices of one run: {listed}", "keep one of them"
    )


def find_metadata(
    bold: DatasetFile, sources: Sources
) -> tuple[dict[str, object], dict[str, object]]:
    """Return what the sidecars say of a BOLD series.

    Returns
    -------
    own : dict
        From the dataset of the series.
    raw : dict
        From the raw dataset, whether the raw image is there or not.

    Raises
    ------
    BIDSFXError
        If a sidecar is not valid JSON.
    """
    folder = bold.relative.parent
    own = sources.home(bold).inherited("bold", (".json",), bold.entities, folder)
    entities = run_entities(bold.entities)
    raw = sources.raw.inherited("bold", (".json",), entities, folder, whatever=_COMBINED)
    return merge_sidecars(own), merge_sidecars(raw)


def run_entities(entities: Entities) -> Entities:
    """Return the entities that a series shares with the raw run it was made from."""
    return entities.without("desc", *IMAGE_ENTITIES)


def _each(
    datasets: Iterable[Dataset], suffix: str, extensions: tuple[str, ...]
) -> Iterator[DatasetFile]:
    """Iterate over the files of several datasets with a suffix and one of some extensions."""
    return (file for dataset in datasets for file in dataset.select(suffix, extensions))


def _agree(first: Entities, second: Entities, key: str) -> bool:
    """Tell whether both have an entity with one label, or both do not have it."""
    return first.only(key).agrees(second.only(key))
