"""The part of the report about the runs: overview, models and quality."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.derivatives.contrasts import worst_row
from bids_fx.derivatives.holdings import published_design_hash
from bids_fx.derivatives.quality import read_quality
from bids_fx.derivatives.sidecars import has_dof_of_voxels
from bids_fx.derivatives.timeseries import read_traces
from bids_fx.entities import Entities
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.json_files import object_or_nothing
from bids_fx.records import Plan, RunContrast, RunPlan
from bids_fx.report_settings import QualityLimit
from bids_fx.reports.captions import RunFacts, picture_text
from bids_fx.reports.files import embed
from bids_fx.reports.measures import measures_table
from bids_fx.reports.overview import (
    ABSENT,
    absent_rows,
    common_pairs,
    contrasts_table,
    nodes_tables,
    run_names,
)
from bids_fx.reports.page import Picture, RunPart, Table
from bids_fx.reports.wording import MISSING, brief

#: Figures that do not stand beside another.
_WIDE = {"carpet", "model"}


def overview_tables(plan: Plan, out_dir: Path) -> tuple[Table, ...]:
    """Return the tables of runs, of a model's nodes, and of the contrasts of each run."""
    names = run_names(plan)
    common = " ".join(f"{key}-{label}" for key, label in common_pairs(plan))
    head = (
        *("Run", "Scans", "TR (s)", "Conditions", "Confounds", "Censored"),
        *("dof", "Contrasts", "Files"),
    )
    files = {
        run.key: _REPLACED if run.key in plan.replaced else _files_text(run, out_dir)
        for run in plan.runs
    }
    runs = Table(
        caption=(
            f"Runs{f' ({common})' if common else ''}: scans and scans censored, columns of the "
            "design, residual degrees of freedom (dof: scans minus the design's rank)"
        ),
        head=head,
        rows=(
            *((names[run.key], *_overview_cells(run), files[run.key]) for run in plan.runs),
            *absent_rows(plan, len(head)),
        ),
        tones={text: "bad" for text in files.values() if text.endswith(MISSING)}
        | {_COMPLETE: "good", ABSENT: "bad"},
    )
    contrasts = [contrasts_table(plan)] if any(run.contrasts for run in plan.runs) else []
    return (runs, *nodes_tables(plan), *contrasts)


def run_part(
    run: RunPlan,
    name: str,
    anchor: str,
    out_dir: Path,
    limits: Sequence[QualityLimit] = (),
) -> RunPart:
    """Gather what the report shows of a run's model.

    Parameters
    ----------
    run : RunPlan
        The run.
    name : str
        What it is called (`run_names`).
    anchor : str
        Its id in the page.
    out_dir : Path
        The output folder.
    limits : sequence of QualityLimit
        What its quality must keep.
    """
    facts = _read_facts(run, name, out_dir)
    is_foreign = published_design_hash(run, out_dir) not in {None, run.design_hash}
    figures = paths.fit_figures(run) if is_foreign else paths.run_figures(run)
    pictures = []
    for kind, path in figures.items():
        text = picture_text(kind, facts)
        picture = embed(path, out_dir, title=text.title, caption=text.caption, alt=text.alt)
        pictures.append(replace(picture, is_wide=picture.is_wide or kind in _WIDE))
    return RunPart(
        anchor=anchor,
        title=name,
        text=" ".join(filter(None, (_run_text(run), _FOREIGN_DESIGN if is_foreign else ""))),
        pictures=tuple(pictures),
        tables=_run_tables(run, out_dir, facts.measures, limits),
    )


_FOREIGN_DESIGN = (
    "The design table and its figures in the output folder are of another analysis of this run "
    "(another space), and are not shown here; the same call again restores them."
)


def _read_facts(run: RunPlan, name: str, out_dir: Path) -> RunFacts:
    """Read what the fit of a run has written, as far as it is there."""
    traces = None
    # Where a file is missing or damaged, the report says so in its place.
    with contextlib.suppress(OSError, ValueError):
        traces = read_traces(run, out_dir)
    return RunFacts(run=run, name=name, measures=read_quality(run, out_dir), traces=traces)


def other_pictures(plans: Sequence[Plan], out_dir: Path) -> tuple[Picture, ...]:
    """Return the map figures in the participant's folder that are of none of these plans."""
    planned = {path for plan in plans for path in paths.expected_outputs(plan)}
    folder = paths.folder(Entities((("sub", plans[0].participant),)), "figures")
    return tuple(
        embed(
            folder / file.name,
            out_dir,
            title=file.name.removesuffix("_stat-z_statmap.png"),
            caption="From another call of the program; its settings may differ from these.",
            alt=f"z maps at axial cuts, as in {file.name}",
        )
        for file in sorted((out_dir / folder).glob("*_stat-z*_statmap.png"))
        if folder / file.name not in planned
    )


def has_maps(run: RunPlan, out_dir: Path) -> bool:
    """Tell whether a run has results: contrasts, and all images that its fit writes."""
    images = paths.run_images(run)
    return bool(run.estimable) and all((out_dir / file).is_file() for file in images)


def run_files_missing(run: RunPlan, out_dir: Path) -> int:
    """Return how many of a run's own files are missing."""
    files = [*paths.run_images(run), *paths.run_tables(run), *paths.run_figures(run).values()]
    return sum(not (out_dir / file).is_file() for file in files)


_COMPLETE = "complete"
#: Of a run whose results are another analysis' now.
_REPLACED = "fitted again since, with other settings"


def _files_text(run: RunPlan, out_dir: Path) -> str:
    """Say whether a run's own files are there."""
    if isinstance(run.source, RunMaps):
        return "made beforehand"
    n_missing = run_files_missing(run, out_dir)
    return f"{n_missing} {MISSING}" if n_missing else _COMPLETE


def _overview_cells(run: RunPlan) -> tuple[str, ...]:
    """Return the numbers of a run for the overview."""
    contrasts = f"{len(run.estimable)} of {len(run.contrasts)}"
    source = run.source
    if isinstance(source, RunMaps):
        return (*("n/a",) * 5, _given_dof(source), contrasts)
    return (
        str(source.n_scans),
        brief(source.repetition_time),
        str(len(_condition_names(run)) or len(source.events_told)),
        str(_n_confounds(run)),
        str(len(run.confounds.censored)),
        "n/a" if run.rank is None else str(source.n_scans - run.rank),
        contrasts,
    )


def _n_confounds(run: RunPlan) -> int:
    """Return the number of confounds of a run's design, whoever made it."""
    if isinstance(run.source, BoldRun) and run.source.design_file is not None:
        return sum(column.role == "confound" for column in run.design_columns)
    return len(run.confounds.names)


def _condition_names(run: RunPlan) -> tuple[str, ...]:
    """Return the conditions of a run's design."""
    found = (c.condition for c in run.design_columns if c.condition is not None)
    return tuple(dict.fromkeys(found))


def _given_dof(source: RunMaps) -> str:
    """Return the degrees of freedom of maps made beforehand."""
    values = sorted(set(source.dof.values()))
    return ", ".join(map(brief, values)) if values else "in maps"


def _run_text(run: RunPlan) -> str:
    """Describe a run in a few sentences."""
    source = run.source
    if isinstance(source, RunMaps):
        return "Its effect and variance maps were made beforehand; no model was fitted here."
    sentences = []
    if source.design_file is not None:
        sentences.append("Its design matrix was made beforehand and used as it is.")
    for name, columns in run.confounds.by_request.items():
        sentences.append(f"Confounds {name}: {', '.join(columns) or 'no column enters'}.")
    if run.confounds.made:
        made = ", ".join(run.confounds.made)
        sentences.append(f"Confounds that the model's instructions made: {made}.")
    for name, there in run.confounds.missing.items():
        sentences.append(f"Missing confounds: of {name}, {there} in its table.")
    if run.confounds.filled:
        filled = ", ".join(f"{name} by {value}" for name, value in run.confounds.filled.items())
        sentences.append(f"Missing values were filled: {filled}.")
    if run.noise_model is not None and has_dof_of_voxels(run.noise_model):
        sentences.append(
            "The degrees of freedom of its tests are Kenward and Roger's, by voxel and contrast: "
            "the table of contrasts has their medians, the maps stat-dof have all."
        )
    return " ".join([*sentences, *(f"{note}." for note in run.notes)])


def _run_tables(
    run: RunPlan, out_dir: Path, measures: Mapping[str, object], limits: Sequence[QualityLimit]
) -> tuple[Table, ...]:
    """Return the tables of conditions, censored scans and quality of a run."""
    if isinstance(run.source, RunMaps):
        return ()
    tables = [_condition_table(run.source)] if run.source.events_told else []
    if run.contrasts:
        tables.append(_contrast_table(run, out_dir))
    if run.confounds.censored:
        rows = tuple((str(item.scan), item.reason) for item in run.confounds.censored)
        caption = f"Censored scans: {len(rows)} of {run.source.n_scans} (the first scan is 0)"
        tables.append(Table(caption=caption, head=("Scan", "Reason"), rows=rows))
    return (*tables, measures_table(measures, limits))


def _condition_table(source: BoldRun) -> Table:
    """Return number and length of the events of each condition."""
    rows = []
    for told in source.events_told:
        ends = (told.shortest_s, told.longest_s) if told.number else ()
        rows.append((told.name, str(told.number), " to ".join(dict.fromkeys(map(brief, ends)))))
    return Table(caption="Events", head=("Condition", "Events", "Duration (s)"), rows=tuple(rows))


def _contrast_table(run: RunPlan, out_dir: Path) -> Table:
    """Return how well the run can estimate each contrast; its maps have degrees of freedom."""
    return Table(
        caption=(
            "Contrasts: their rows; efficiency (1 over the variance of the effect at a noise "
            "variance of 1; of an F test the smallest of its rows), variance inflation factor "
            "(the largest) and degrees of freedom (median over voxels)"
        ),
        head=("Contrast", "Test", "Rows", "Efficiency", "Variance inflation", "dof"),
        rows=tuple(
            (
                item.contrast.name,
                item.contrast.test,
                str(len(item.rows)),
                *map(brief, worst_row(item)),
                _median_dof(run, item, out_dir),
            )
            for item in run.estimable
        ),
        is_wide=True,
    )


def _median_dof(run: RunPlan, item: RunContrast, out_dir: Path) -> str:
    """Return the degrees of freedom of a contrast as the sidecar of its z map tells them."""
    z_map = paths.statmap(run.entities, item.contrast.label, "z")
    told = object_or_nothing(out_dir / paths.sidecar(z_map))
    if "EffectiveDegreesOfFreedom" not in told:
        return MISSING
    value = told["EffectiveDegreesOfFreedom"]
    return brief(value) if isinstance(value, int | float) else "n/a"
