"""The part of the report about the runs: overview, models, quality and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_fx.derivatives import paths
from bids_fx.derivatives.contrasts import read_contrasts
from bids_fx.derivatives.sidecars import has_dof_of_voxels
from bids_fx.entities import Entities
from bids_fx.inputs import BoldRun, RunMaps
from bids_fx.records import Plan, RunPlan
from bids_fx.reports.files import embed, read_json
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
from bids_fx.settings import chosen_settings, idle_settings, setting_text

#: Title, alternative text and caption of a run's figures.
_FIGURES = {
    "design": (
        "Design matrix",
        "Design matrix of {run}: one row a scan, one column a regressor.",
        (
            "One row per scan, one column per regressor, each divided by its largest absolute "
            "value (red positive, blue negative). The strip above shows what each column is for."
        ),
    ),
    "corr": (
        "Correlation of regressors",
        "Correlations between the regressors of {run}.",
        "Pearson's r between all regressors but intercept and censored scans; conditions in bold.",
    ),
    "contrasts": (
        "Contrast weights",
        "Weights of each estimable contrast of {run} over its regressors.",
        "Weights of every contrast that this run can estimate; columns without a number weigh 0.",
    ),
    "motion": (
        "Motion",
        "Motion parameters and framewise displacement of {run} over its scans.",
        (
            "Motion parameters in mm and degrees, and framewise displacement in mm. "
            "Shaded scans are censored."
        ),
    ),
}


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


def run_part(run: RunPlan, name: str, anchor: str, out_dir: Path) -> RunPart:
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
    """
    pictures = []
    for kind, path in paths.run_figures(run).items():
        title, alt, caption = _FIGURES[kind]
        pictures.append(
            embed(path, out_dir, title=title, caption=caption, alt=alt.format(run=name))
        )
    return RunPart(
        anchor=anchor,
        title=name,
        text=_run_text(run),
        pictures=tuple(pictures),
        tables=_run_tables(run, out_dir),
    )


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
        for file in sorted((out_dir / folder).glob("*_statmap.png"))
        if folder / file.name not in planned
    )


def settings_table(plan: Plan) -> Table:
    """Return all settings, and whether each was chosen, is a default or is not in force."""
    chosen = chosen_settings(plan.settings)
    idle = idle_settings(
        plan.settings,
        given_designs=plan.has_given_designs,
        given_maps=plan.has_given_maps,
        hrf_models=plan.hrf_models,
    )
    rows = []
    for name, value in plan.settings.to_json().items():
        origin = "chosen" if name in chosen else "default"
        if name in idle:
            origin = f"not in force: {idle[name]}"
        rows.append((name, setting_text(name, value), origin))
    return Table(
        caption="Settings that change numbers",
        head=("Setting", "Value", "Origin"),
        rows=tuple(rows),
        tones={"chosen": "strong"},
    )


def software_table(software: Mapping[str, str]) -> Table:
    """Return the versions of the software."""
    return Table(caption="Software", head=("Package", "Version"), rows=tuple(software.items()))


def inputs_table(plan: Plan) -> Table:
    """Return the input files of each run as BIDS URIs, never as paths of the machine."""
    rows = [(run.key, uri) for run in plan.runs for uri in sorted(run.source.uris.values())]
    return Table(caption="Input files", head=("Run", "File"), rows=tuple(rows))


def hashes_table(plan: Plan) -> Table:
    """Return the hashes that the sidecars carry too, to tell analyses apart."""
    rows = [(run.key, run.settings_hash) for run in plan.runs]
    rows += [(group.key, group.settings_hash) for group in plan.written_groups]
    return Table(
        caption="Hashes of all that changes the numbers but the images (SettingsHash)",
        head=("Run or group", "SHA-256"),
        rows=tuple(rows),
    )


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
        str(len(run.confounds.names)),
        str(len(run.confounds.censored)),
        "n/a" if run.rank is None else str(source.n_scans - run.rank),
        contrasts,
    )


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


def _run_tables(run: RunPlan, out_dir: Path) -> tuple[Table, ...]:
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
    measures = read_json(out_dir / paths.quality(run.entities))
    rows = tuple((measure_name(name), _measure(value)) for name, value in sorted(measures.items()))
    tables.append(
        Table(
            caption="Quality measures" if rows else f"Quality measures: {MISSING}",
            head=("Measure", "Value"),
            rows=rows,
        )
    )
    return tuple(tables)


def _condition_table(source: BoldRun) -> Table:
    """Return number and length of the events of each condition."""
    rows = []
    for told in source.events_told:
        ends = (told.shortest_s, told.longest_s) if told.number else ()
        rows.append((told.name, str(told.number), " to ".join(dict.fromkeys(map(brief, ends)))))
    return Table(caption="Events", head=("Condition", "Events", "Duration (s)"), rows=tuple(rows))


def _contrast_table(run: RunPlan, out_dir: Path) -> Table:
    """Return how well the run can estimate each contrast, as its table in the folder says."""
    try:
        found = read_contrasts(out_dir / paths.contrasts_table(run.entities))
    except (OSError, ValueError):
        return Table(caption=f"Contrasts: {MISSING}", head=(), rows=())
    return Table(
        caption=(
            "Contrasts: their rows; efficiency (1 over the variance of the effect at a noise "
            "variance of 1; of an F test the smallest of its rows), variance inflation factor "
            "(the largest) and degrees of freedom (median over voxels)"
        ),
        head=("Contrast", "Test", "Rows", "Efficiency", "Variance inflation", "dof"),
        rows=tuple(
            (
                row.contrast,
                row.test,
                str(row.rows),
                *(brief(value) for value in (row.efficiency, row.inflation, row.dof_median)),
            )
            for row in found
            if row.rows
        ),
    )


def _measure(value: object) -> str:
    """Return a quality measure for people."""
    if isinstance(value, float):
        return brief(value)
    return "n/a" if value is None else str(value)


def measure_name(key: str) -> str:
    """Return what a quality measure is called.

    Examples
    --------
    >>> measure_name("tsnr_median"), measure_name("ar1_missing"), measure_name("fd_mean_mm")
    ('temporal SNR, median', 'voxels without autocorrelation', 'framewise displacement, mean (mm)')
    >>> measure_name("whitened_autocorrelation_lag1")
    'autocorrelation of the whitened residuals, lag 1'
    """
    if key in _MEASURES:
        return _MEASURES[key]
    stem, _, kind = key.removesuffix("_mm").rpartition("_")
    name = _MEASURES.get(stem, stem.replace("_", " "))
    if kind == "missing":
        return f"voxels without {name}"
    kind = kind.replace("lag", "lag ")
    text = f"{name}, {kind}" if stem else kind
    return f"{text} (mm)" if key.endswith("_mm") else text


_MEASURES = {
    "ar1": "autocorrelation",
    "dof": "degrees of freedom",
    "fd": "framewise displacement",
    "n_censored": "censored scans",
    "n_scans": "scans",
    "rank": "rank of the design",
    "residual_autocorrelation": "autocorrelation of the residuals",
    "rsquared": "R squared",
    "sigmasq": "residual variance",
    "tsnr": "temporal SNR",
    "white": "white share of the noise",
    "whitened_autocorrelation": "autocorrelation of the whitened residuals",
    "whitened_outside": "autocorrelations beyond white noise's 95 % limits after whitening",
}
