"""Small plans and the outputs that they promise, for tests of report and methods text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import numpy.typing as npt

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import COMBINED, write_cluster_sidecar
from bids_fx.derivatives.contrasts import write_contrasts
from bids_fx.derivatives.influence import InfluenceRow, write_influence
from bids_fx.derivatives.timeseries import write_traces
from bids_fx.entities import Entities, parse_name
from bids_fx.glm.carpet import Residuals
from bids_fx.glm.contrasts import design_space
from bids_fx.glm.design import Column, Condition, Design
from bids_fx.inputs import BoldRun, ConfoundTable, Grid, RunMaps
from bids_fx.model import Contrast, write_terms
from bids_fx.records import (
    Censored,
    ConfoundChoice,
    GroupContrast,
    GroupPlan,
    Plan,
    RunContrast,
    RunPlan,
)
from bids_fx.reports import maps
from bids_fx.reports.figures.cuts import StatRow
from bids_fx.reports.figures.statmaps import learn_rows
from bids_fx.settings import AnalysisSettings
from bids_fx.traces import motion_traces

FloatArray = npt.NDArray[np.float64]

SHAPE = (6, 7, 5)
#: Voxels of 3 x 3 x 4 mm; the first axis runs from right to left.
AFFINE = np.array([[-3.0, 0, 0, 9.0], [0, 3.0, 0, -10.0], [0, 0, 4.0, -8.0], [0, 0, 0, 1.0]])
GRID = Grid(shape=SHAPE, affine=tuple(tuple(row) for row in AFFINE.tolist()))
N_SCANS = 40
#: What combined maps beside z and the effect have everywhere, in numbers that float32 holds.
AT_PEAKS = {"variance": 0.0625, "dof": 60.0, "q": 4.0, "qp": 0.0625, "isq": 75.0}


def entities(name: str) -> Entities:
    return parse_name(f"{name}_bold.nii.gz").entities


def make_contrast(name: str, **weights: float) -> Contrast:
    label = "".join(word for word in name.replace("-", "Gt").split() if word.isalnum())
    terms = tuple((condition, None, weight) for condition, weight in weights.items())
    return Contrast(
        name=name, label=label or "cond1", rows=(terms,), formula=write_terms(terms, list(weights))
    )


def make_f_contrast(name: str, *rows: Mapping[str, float]) -> Contrast:
    """Return an F contrast of rows of weights by condition."""
    terms = tuple(tuple((key, None, weight) for key, weight in row.items()) for row in rows)
    formula = "; ".join(write_terms(row, [key for key, _, _ in row]) for row in terms)
    return Contrast(name=name, label=name, rows=terms, formula=f"F({formula})", test="F")


FACE = make_contrast("face", face=1.0)
FACE_HOUSE = make_contrast("face - house", face=1.0, house=-1.0)
ANY = make_f_contrast("any", {"face": 1.0}, {"house": 1.0})


def make_design(
    conditions: Sequence[str] = ("face", "house"),
    confounds: Sequence[str] = ("trans_x",),
    censored: Sequence[int] = (),
) -> Design:
    """Return a design of full rank whose columns are of every role."""
    rng = np.random.default_rng(5)
    columns = [
        *(Column(name=name, role="condition", condition=name, basis=0) for name in conditions),
        *(Column(name=name, role="confound") for name in confounds),
        *(Column(name=f"censored_scan_{scan:04d}", role="censored") for scan in censored),
        Column(name="drift_1", role="drift"),
        Column(name="constant", role="constant"),
    ]
    matrix = rng.standard_normal((N_SCANS, len(columns)))
    for index, column in enumerate(columns):
        if column.role == "censored":
            matrix[:, index] = np.arange(N_SCANS) == int(column.name[-4:])
    matrix[:, -1] = 1.0
    return Design(matrix=matrix, columns=tuple(columns))


def make_run(
    name: str,
    *,
    conditions: Sequence[str] = ("face", "house"),
    contrasts: Sequence[Contrast] = (FACE, FACE_HOUSE),
    reasons: Mapping[str, str] | None = None,
    censored: Sequence[int] = (),
    noise_model: str = "ar1-yw",
    **source: object,
) -> RunPlan:
    """Return the plan of a fitted run; `reasons` tells why contrasts cannot be estimated."""
    rng = np.random.default_rng(7)
    motion = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
    values = {column: rng.standard_normal(N_SCANS) * 0.1 for column in motion}
    values["framewise_displacement"] = np.abs(rng.standard_normal(N_SCANS))
    bold = Path(f"/data/{name}_desc-preproc_bold.nii.gz")
    run = BoldRun(
        entities=entities(name),
        bold=bold,
        grid=GRID,
        n_scans=N_SCANS,
        repetition_time=2.0,
        conditions=tuple(
            Condition(
                name=condition,
                onsets=np.array([2.0, 30.0]),
                durations=np.array([1.0, 2.5]),
                amplitudes=np.ones(2),
            )
            for condition in conditions
        ),
        confounds_file=Path("/data/confounds.tsv"),
        confounds=ConfoundTable(path=Path("/data/confounds.tsv"), values=values),
        uris={
            bold: f"bids:preproc:sub-01/func/{bold.name}",
            Path("/data/confounds.tsv"): f"bids:preproc:sub-01/func/{name}_confounds.tsv",
        },
    )
    why = dict(reasons or {})
    return RunPlan(
        key=str(entities(name).without("sub")),
        entities=entities(name),
        source=replace(run, **source),
        design=make_design(conditions, censored=censored),
        rank=design_space(make_design(conditions, censored=censored).matrix).rank,
        confounds=ConfoundChoice(
            columns=("trans_x",),
            censored=tuple(Censored(scan=scan, reason="dummy scan") for scan in censored),
            by_request={"motion6": ("trans_x",), "nss": ()},
        ),
        contrasts=tuple(
            RunContrast(
                contrast=contrast,
                rows=tuple(tuple((key, weight) for key, _, weight in row) for row in contrast.rows)
                if contrast.label not in why
                else (),
                efficiency=(12.5,) * len(contrast.rows) if contrast.label not in why else (),
                inflation=(1.75,) * len(contrast.rows) if contrast.label not in why else (),
                reason=why.get(contrast.label),
            )
            for contrast in contrasts
        ),
        noise_model=noise_model,
        settings_hash="12ab" * 16,
    )


def make_group(name: str, runs: Sequence[RunPlan], **changes: object) -> GroupPlan:
    """Return the plan of the group of some runs."""
    contrasts = {item.contrast.label: item.contrast for run in runs for item in run.contrasts}
    group = GroupPlan(
        key=f"subject_{entities(name).without('sub')}",
        level="subject",
        levels=("subject",),
        entities=entities(name),
        input_keys=tuple(run.key for run in runs),
        contrasts=tuple(
            GroupContrast(
                contrast=contrast,
                input_keys=tuple(
                    run.key for run in runs if label in {i.contrast.label for i in run.estimable}
                ),
                dropped={
                    run.key: item.reason
                    for run in runs
                    for item in run.contrasts
                    if item.contrast.label == label and item.reason is not None
                },
            )
            for label, contrast in contrasts.items()
        ),
        settings_hash="cd34" * 16,
    )
    return replace(group, **changes)


def make_plan(
    runs: Sequence[RunPlan] | None = None,
    groups: Sequence[GroupPlan] | None = None,
    **changes: object,
) -> Plan:
    """Return a plan; without runs, that of two runs of one task."""
    if runs is None:
        runs = (make_run("sub-01_task-x_run-1"), make_run("sub-01_task-x_run-2"))
    if groups is None:
        groups = (make_group("sub-01_task-x", runs),) if runs else ()
    plan = Plan(
        participant="01", settings=AnalysisSettings(), runs=tuple(runs), groups=tuple(groups)
    )
    return replace(plan, **changes)


def make_run_maps(
    folder: Path, name: str, *, effect: float, variance: float, dof: float | None
) -> RunPlan:
    """Write maps of one value everywhere but in a corner, and plan the run that they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    maps = {}
    constants = {"effect": effect, "variance": variance}
    if dof is None:
        constants["dof"] = 12.0
    for stat, value in constants.items():
        values = np.full(SHAPE, value)
        values[0, 0, 0] = np.nan
        maps[stat] = folder / f"{name}_contrast-face_stat-{stat}_statmap.nii.gz"
        write_map(maps[stat], values)
    source = RunMaps(
        entities=entities(name),
        grid=GRID,
        maps={"face": maps},
        names={"face": "face"},
        dof={} if dof is None else {"face": dof},
        uris={path: f"bids:runmaps:sub-01/func/{path.name}" for path in maps.values()},
    )
    return RunPlan(
        key=str(source.entities.without("sub")),
        entities=source.entities,
        source=source,
        contrasts=(RunContrast(contrast=FACE),),
    )


def write_map(path: Path, values: FloatArray, affine: FloatArray = AFFINE) -> None:
    """Write a float32 image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nb.save(nb.Nifti1Image(values.astype(np.float32), affine), path)


def z_values(seed: int, peak: float, place: tuple[int, int, int] = (2, 3, 2)) -> FloatArray:
    """Return a z map of small values, NaN at one end, with a peak and a negative voxel."""
    z = np.random.default_rng(seed).uniform(0.1, 1.0, SHAPE)
    z[..., 0] = np.nan
    z[5, 6, 4] = -4.0
    z[place] = peak
    return z


def publish_maps(
    plan: Plan, out_dir: Path, *, combined: float = 8.0, runs: Sequence[float] = (5.0, 6.0)
) -> None:
    """Write what figures and report read, with known peaks; effects are z / 10."""
    for index, run in enumerate(plan.runs):
        if isinstance(run.source, RunMaps):
            continue
        write_map(out_dir / paths.mean_image(run.entities), np.full(SHAPE, 500.0))
        for item in run.estimable:
            z = z_values(index, runs[index % len(runs)])
            for stat, values in (("z", z), ("effect", z / 10)):
                write_map(out_dir / paths.statmap(run.entities, item.contrast.label, stat), values)
    for group in plan.written_groups:
        for item in group.estimable:
            z = z_values(99, combined)
            for stat, values in (("z", z), ("effect", z / 10)):
                path = paths.statmap(group.entities, item.contrast.label, stat)
                write_map(out_dir / path, values)
            for stat, value in AT_PEAKS.items():
                path = paths.statmap(group.entities, item.contrast.label, stat)
                write_map(out_dir / path, np.where(np.isnan(z), np.nan, value))
            if item.contrast.label in paths.influence_tables(group):
                names = [f"sub-{plan.participant}_{key}" for key in item.input_keys]
                write_influence(plan, group, item, list(map(influence_row, names)), out_dir)


def publish_peaks(plan: Plan, out_dir: Path) -> None:
    """Write the sidecars of cluster tables, from the maps that are there."""
    for group in plan.groups:
        for item in group.estimable:
            label = item.contrast.label
            shown = [
                (one.key, maps.result_z(one, item.source_label, out_dir))
                for one in plan.inputs(item)
            ]
            if group.not_written is None:
                shown.insert(0, (COMBINED, maps.combined(group, label, "z", out_dir)))
            rows = [
                StatRow(name=name, z=z.data, affine=z.affine, background=None) for name, z in shown
            ]
            facts, _ = learn_rows(rows, plan.report.threshold, None)
            numbers = {fact.name: fact.numbers for fact in facts}
            write_cluster_sidecar(plan, group, item, numbers, {}, out_dir)


def publish_tables(plan: Plan, out_dir: Path) -> None:
    """Write the tables of contrasts."""
    for run in plan.runs:
        if isinstance(run.source, RunMaps):
            continue
        write_contrasts(run, out_dir)


def make_residuals(n_scans: int, seed: int = 3) -> Residuals:
    """Return residuals of 12 rows; each scan's spread differs."""
    rng = np.random.default_rng(seed)
    return Residuals(
        carpet=rng.standard_normal((12, n_scans)),
        mean=rng.standard_normal(n_scans),
        sd=1.0 + rng.uniform(size=n_scans),
        dvars=np.concatenate([[np.nan], np.full(n_scans - 1, 1.5)]),
        n_voxels=360,
    )


def publish_scans(run: RunPlan, out_dir: Path) -> None:
    """Write what the fit tells of a run's scans, and the maps of its model."""
    assert isinstance(run.source, BoldRun)
    assert run.design is not None
    n_kept = int(run.design.kept.sum())
    write_traces(run, motion_traces(run.source), make_residuals(n_kept), out_dir)
    for index, stat in enumerate(paths.model_stats(run)):
        values = np.full(SHAPE, np.nan)
        values[1:5, 1:6, 1:4] = 0.1 + index + np.arange(60.0).reshape(4, 5, 3) / 100
        write_map(out_dir / paths.model_map(run.entities, stat), values)


def influence_row(run: str, **changes: object) -> InfluenceRow:
    """Return what a run does to a peak, in numbers that float32 holds."""
    row = InfluenceRow(
        peak="positive",
        run=run,
        x=3.0,
        y=-1.0,
        z=0.0,
        effect=1.5,
        standard_error=0.25,
        F=float("nan"),
        dof=35.5,
        weight=0.75,
        z_all=8.0,
        z_without=5.5,
        change=2.5,
    )
    return row._replace(**changes)


#: The smallest pictures there are, to stand in for figures.
TINY_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10pt" height="10pt"></svg>'
TINY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)
CLUSTER_HEAD = "map\tx\ty\tz\tpeak_z\teffect\tsize_mm3\tn_voxels\tregion\n"


def publish_all(plan: Plan, out_dir: Path, **peaks: object) -> None:
    """Write everything that the plan promises; files that the report embeds are stand-ins."""
    publish_maps(plan, out_dir, **peaks)
    publish_tables(plan, out_dir)
    publish_peaks(plan, out_dir)
    for run in plan.runs:
        if run.design is not None:
            publish_scans(run, out_dir)
    contents = {
        ".svg": TINY_SVG,
        ".png": TINY_PNG,
        ".json": json.dumps(
            {"dof": 31.0, "tsnr_median": 61.25, "EffectiveDegreesOfFreedom": 31.5}
        ).encode(),
        ".tsv": CLUSTER_HEAD.encode(),
        ".gz": gzip.compress(nb.Nifti1Image(np.ones((1, 1, 1)), np.eye(4)).to_bytes()),
    }
    for path in paths.expected_outputs(plan):
        file = out_dir / path
        if path != paths.report(plan.participant) and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents.get(path.suffix, b"stand-in"))
