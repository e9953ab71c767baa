"""Every output's path, relative to the output folder; nothing else names an output."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

from bids_fx.entities import IMAGE_ENTITIES, Entities
from bids_fx.inputs import RunMaps
from bids_fx.model import Contrast
from bids_fx.records import GroupContrast, GroupPlan, Plan, RunPlan
from bids_fx.settings import REPORT

#: Maps of a contrast at every level, by its test; the first two and `dof` are what a
#: combination over runs is computed from.
T_STATS = ("effect", "variance", "t", "z", "p", "logp", "dof")
F_STATS = ("effect", "covariance", "F", "z", "p", "logp", "dof")
#: Further maps of a combined contrast: always; over two runs or more, how much the runs differ
#: (a t contrast alone) and how much any one of them decides.
COVERAGE_STATS = ("nruns",)
HETEROGENEITY_STATS = ("q", "qp", "isq", "tau2")
INFLUENCE_STATS = ("zchange", "zchangerun")
#: Of a combined contrast, what is told at its peaks beside z and the effect.
FOREST_STATS = ("variance", "dof", "q", "qp", "isq")
#: Maps of a run's model, and those of its noise model's parameters.
MODEL_STATS = ("rsquared", "sigmasq", "tsnr")
NOISE_STATS: dict[str, tuple[str, ...]] = {
    "ols": (),
    "ar1-yw": ("ar1",),
    "ar1": ("ar1",),
    "arma11": ("ar1", "white"),
}

#: Figures of a run's model by what they are drawn from: its design, or what the fit has written.
DESIGN_FIGURES = ("design", "corr", "contrasts")
FIT_FIGURES = ("motion", "carpet", "model", "whiteness")

MODELS = PurePosixPath("models")
DATASET_FILES = (PurePosixPath("dataset_description.json"), PurePosixPath(".bidsignore"))
#: What the level ``group`` writes.
INDEX = PurePosixPath("index.html")
QUALITY_TABLE = PurePosixPath("qc.tsv")
SUMMARY = PurePosixPath("summary.json")
CITATION_FILES = (PurePosixPath("logs/CITATION.md"), PurePosixPath("logs/CITATION.bib"))


@lru_cache(maxsize=64)
def folder(entities: Entities, datatype: str = "func") -> PurePosixPath:
    """Return the folder of a participant's or session's files.

    Examples
    --------
    >>> from bids_fx.entities import parse_name
    >>> str(folder(parse_name("sub-01_ses-2_task-x_bold.nii.gz").entities))
    'sub-01/ses-2/func'
    """
    path = PurePosixPath(f"sub-{entities['sub']}")
    if datatype != "figures" and "ses" in entities:
        path /= f"ses-{entities['ses']}"
    return path / datatype


def statmap(entities: Entities, label: str, stat: str) -> PurePosixPath:
    """Return the path of a contrast's map.

    Examples
    --------
    >>> from bids_fx.entities import parse_name
    >>> statmap(parse_name("sub-01_task-x_bold.nii.gz").entities, "faceGtHouse", "z").name
    'sub-01_task-x_contrast-faceGtHouse_stat-z_statmap.nii.gz'
    """
    return folder(entities) / f"{entities}_contrast-{label}_stat-{stat}_statmap.nii.gz"


def model_map(entities: Entities, stat: str) -> PurePosixPath:
    """Return the path of a map that belongs to a run's model, not to a contrast."""
    return folder(entities) / f"{entities}_stat-{stat}_statmap.nii.gz"


def mask(entities: Entities, desc: str = "brain") -> PurePosixPath:
    """Return the path of the mask of a run, or of the voxels that any combined run covers."""
    return folder(entities) / f"{entities}_desc-{desc}_mask.nii.gz"


def mean_image(entities: Entities) -> PurePosixPath:
    """Return the path of a run's mean image, the background of its figures."""
    return folder(entities) / f"{entities}_desc-mean_boldref.nii.gz"


def quality(entities: Entities) -> PurePosixPath:
    """Return the path of a run's quality measures."""
    return folder(entities) / f"{entities}_desc-qc.json"


def timeseries(entities: Entities) -> PurePosixPath:
    """Return the path of the table of a run's motion and residuals, scan by scan."""
    return folder(entities) / f"{entities}_desc-quality_timeseries.tsv"


def carpet(entities: Entities) -> PurePosixPath:
    """Return the path of the image of a run's residuals, one pixel a scan and some voxels."""
    return folder(entities) / f"{entities}_desc-residuals_carpet.png"


def design(entities: Entities) -> PurePosixPath:
    """Return the path of a run's design matrix; it does not depend on the image's space."""
    return folder(entities) / f"{entities.without(*IMAGE_ENTITIES)}_design.tsv"


def contrasts_table(entities: Entities) -> PurePosixPath:
    """Return the path of the table that says which contrasts a run can estimate."""
    return folder(entities) / f"{entities.without(*IMAGE_ENTITIES)}_contrasts.tsv"


def group_contrasts_table(group: GroupPlan) -> PurePosixPath:
    """Return the path of the table that says which runs enter which combined contrast."""
    desc = "" if group.mask_desc == "brain" else f"_desc-{group.mask_desc}"
    return folder(group.entities) / f"{group.entities}{desc}_contrasts.tsv"


def clusters(entities: Entities, label: str, *, runs_alone: bool = False) -> PurePosixPath:
    """Return the path of a contrast's cluster table: of its combined map, or of runs alone."""
    desc = "_desc-runs" if runs_alone else ""
    return folder(entities) / f"{entities}_contrast-{label}{desc}_clusters.tsv"


def influence(entities: Entities, label: str) -> PurePosixPath:
    """Return the path of the table of what each run does to a combined contrast's peak."""
    return folder(entities) / f"{entities}_contrast-{label}_influence.tsv"


def run_figure(entities: Entities, kind: str) -> PurePosixPath:
    """Return the path of a run's figure; those of its fit have the space."""
    stem = folder(entities, "figures")
    if kind == "model":
        return stem / f"{entities}_desc-model_statmap.png"
    if kind in FIT_FIGURES:
        return stem / f"{entities}_{kind}.svg"
    return stem / f"{entities.without(*IMAGE_ENTITIES)}_{kind}.svg"


def statmap_figure(
    entities: Entities, label: str, *, stat: str = "z", runs_alone: bool = False
) -> PurePosixPath:
    """Return the path of a contrast's map figure: combined and runs, or runs alone."""
    desc = "_desc-runs" if runs_alone else ""
    stem = folder(entities, "figures")
    return stem / f"{entities}_contrast-{label}_stat-{stat}{desc}_statmap.png"


def forest_figure(entities: Entities, label: str) -> PurePosixPath:
    """Return the path of the figure of each run's effect at a combined contrast's peaks."""
    return folder(entities, "figures") / f"{entities}_contrast-{label}_forest.svg"


def calls(participant: str) -> PurePosixPath:
    """Return the path of the file that says what calls did for a participant."""
    return PurePosixPath(f"sub-{participant}") / "calls.json"


def report(participant: str) -> PurePosixPath:
    """Return the path of a participant's report."""
    return PurePosixPath(REPORT.format(participant))


def sidecar(path: PurePosixPath) -> PurePosixPath:
    """Return the path of the JSON file beside an output.

    Examples
    --------
    >>> str(sidecar(PurePosixPath("a_statmap.nii.gz")))
    'a_statmap.json'
    """
    return path.with_name(path.name.partition(".")[0] + ".json")


def model_stats(run: RunPlan) -> tuple[str, ...]:
    """Return the ``stat-`` labels of a run's model maps."""
    if isinstance(run.source, RunMaps):
        return ()
    return MODEL_STATS + (() if run.noise_model is None else NOISE_STATS[run.noise_model])


def contrast_stats(contrast: Contrast) -> tuple[str, ...]:
    """Return the ``stat-`` labels of a contrast's maps, at every level."""
    return F_STATS if contrast.test == "F" else T_STATS


def estimate_stats(contrast: Contrast) -> tuple[str, str, str]:
    """Return the ``stat-`` labels of effects, their (co)variance and its degrees of freedom."""
    effect, spread, *_, dof = contrast_stats(contrast)
    return effect, spread, dof


def combined_stats(item: GroupContrast) -> tuple[str, ...]:
    """Return the ``stat-`` labels of a combined contrast.

    How inputs differ, and what one of them does, is asked within one mean only.
    """
    stats = contrast_stats(item.contrast) + COVERAGE_STATS
    if not item.has_influence:
        return stats
    heterogeneity = HETEROGENEITY_STATS if item.contrast.test == "t" else ()
    return stats + heterogeneity + INFLUENCE_STATS


def run_images(run: RunPlan) -> Iterator[PurePosixPath]:
    """Iterate over the images that a run's node writes; each has a sidecar."""
    if isinstance(run.source, RunMaps):
        return
    yield mask(run.entities)
    yield mean_image(run.entities)
    for stat in model_stats(run):
        yield model_map(run.entities, stat)
    for item in run.estimable:
        for stat in contrast_stats(item.contrast):
            yield statmap(run.entities, item.contrast.label, stat)


def group_images(group: GroupPlan) -> Iterator[PurePosixPath]:
    """Iterate over the images that a group's nodes write; each has a sidecar."""
    if group.not_written is not None or not group.estimable:
        return
    yield mask(group.entities, group.mask_desc)
    for item in group.estimable:
        yield from combined_images(group, item)


def combined_images(group: GroupPlan, item: GroupContrast) -> Iterator[PurePosixPath]:
    """Iterate over the maps of a combined contrast; each has a sidecar."""
    for stat in combined_stats(item):
        yield statmap(group.entities, item.contrast.label, stat)


def run_tables(run: RunPlan) -> Iterator[PurePosixPath]:
    """Iterate over the tables and JSON files of a run that are no sidecar of an image."""
    if isinstance(run.source, RunMaps):
        return
    yield design(run.entities)
    yield sidecar(design(run.entities))
    yield contrasts_table(run.entities)
    yield quality(run.entities)
    yield timeseries(run.entities)
    yield sidecar(timeseries(run.entities))
    yield carpet(run.entities)


def design_figures(run: RunPlan) -> dict[str, PurePosixPath]:
    """Return the figures of a run's design by kind."""
    if isinstance(run.source, RunMaps):
        return {}
    return {kind: run_figure(run.entities, kind) for kind in DESIGN_FIGURES}


def fit_figures(run: RunPlan) -> dict[str, PurePosixPath]:
    """Return the figures of what a run's fit has written, by kind."""
    if isinstance(run.source, RunMaps):
        return {}
    has_motion = run.source.confounds_file is not None
    kinds = FIT_FIGURES if has_motion else FIT_FIGURES[1:]
    return {kind: run_figure(run.entities, kind) for kind in kinds}


def shown_of_fit(run: RunPlan) -> Iterator[PurePosixPath]:
    """Iterate over what the fit of a run has written that its figures show."""
    if isinstance(run.source, RunMaps):
        return
    yield from (quality(run.entities), timeseries(run.entities), carpet(run.entities))
    yield sidecar(timeseries(run.entities))
    yield from (model_map(run.entities, stat) for stat in model_stats(run))


def run_figures(run: RunPlan) -> dict[str, PurePosixPath]:
    """Return all of a run's figures by kind."""
    return design_figures(run) | fit_figures(run)


def shown_maps(plan: Plan, group: GroupPlan, item: GroupContrast) -> Iterator[PurePosixPath]:
    """Iterate over what was published that the figures of a group's contrast show."""
    label = item.contrast.label
    # The effects of an F contrast are several, so that no figure or cluster has one.
    stats = ("z", "effect") if item.contrast.test == "t" else ("z",)
    if group.not_written is None:
        yield from (statmap(group.entities, label, stat) for stat in stats)
        if "forest" in group_figures(group)[label]:
            yield from (statmap(group.entities, label, stat) for stat in FOREST_STATS)
            yield influence(group.entities, label)
    for result in plan.inputs(item):
        if isinstance(result, GroupPlan) or not isinstance(result.source, RunMaps):
            yield from (statmap(result.entities, item.source_label, stat) for stat in stats)
    for run in plan.contrast_runs(item):
        if not isinstance(run.source, RunMaps):
            yield mean_image(run.entities)


def group_figures(group: GroupPlan) -> dict[str, dict[str, PurePosixPath]]:
    """Return a group's figures by contrast label, then by kind.

    Of every contrast ``z``, the combined map and each run's; of a mean of two inputs or more in a
    t contrast also ``isq`` and ``forest``: how the inputs differ, and each one's effect.
    """
    figures: dict[str, dict[str, PurePosixPath]] = {}
    for item in group.estimable:
        label = item.contrast.label
        map_figure = statmap_figure(group.entities, label, runs_alone=group.shows_runs_alone)
        figures[label] = {"z": map_figure}
        if group.not_written is None and item.has_influence and item.contrast.test == "t":
            figures[label] |= several_figures(group.entities, label)
    return figures


def several_figures(entities: Entities, label: str) -> dict[str, PurePosixPath]:
    """Return the figures that need several inputs, by kind."""
    return {
        "isq": statmap_figure(entities, label, stat="isq"),
        "forest": forest_figure(entities, label),
    }


def group_clusters(group: GroupPlan) -> dict[str, PurePosixPath]:
    """Return a group's cluster tables by contrast label."""
    return {
        item.contrast.label: clusters(
            group.entities, item.contrast.label, runs_alone=group.shows_runs_alone
        )
        for item in group.estimable
    }


def group_tables(group: GroupPlan) -> Iterator[PurePosixPath]:
    """Iterate over a group's tables and their JSON files, but for those of clusters."""
    if group.not_written is not None or not group.estimable:
        return
    yield group_contrasts_table(group)
    for path in influence_tables(group).values():
        yield path
        yield sidecar(path)


def influence_tables(group: GroupPlan) -> dict[str, PurePosixPath]:
    """Return a group's tables of influence by contrast label: of means of two inputs or more."""
    if group.not_written is not None:
        return {}
    return {
        item.contrast.label: influence(group.entities, item.contrast.label)
        for item in group.estimable
        if item.has_influence
    }


def expected_outputs(plan: Plan) -> tuple[PurePosixPath, ...]:
    """Return every file that a participant's plan promises, sorted, each once."""
    files: set[PurePosixPath] = {*shared_outputs(plan)}
    images = [path for run in plan.runs for path in run_images(run)]
    images += [path for group in plan.groups for path in group_images(group)]
    files.update(images, map(sidecar, images))
    for run in plan.runs:
        files.update(run_tables(run), run_figures(run).values())
    for group in plan.groups:
        for figures in group_figures(group).values():
            files.update(figures.values())
        tables = group_clusters(group).values()
        files.update(group_tables(group), tables, map(sidecar, tables))
    return tuple(sorted(files))


def shared_outputs(plan: Plan) -> tuple[PurePosixPath, ...]:
    """Return the files that are written for a participant, or for all, whatever is planned."""
    own = (calls(plan.participant), report(plan.participant))
    return (*DATASET_FILES, *CITATION_FILES, *own)
