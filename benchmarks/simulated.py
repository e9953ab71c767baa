"""Tables 1 to 5: simulated data, in which every significant voxel is a false positive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from nilearn.glm.contrasts import Contrast, _compute_fixed_effects_params
from scipy import stats
from scipy.linalg import sqrtm

from bids_fx.glm.fixed_effects import combine
from bids_fx.glm.joint import combine_rows
from bids_fx.glm.tails import f_statistics, t_statistics
from methods import NILEARN, compare, two_sided
from nulls import N_COLUMNS, null_design, null_noise
from rates import Cell, Limit, Outcome, Table, hits

FloatArray = npt.NDArray[np.float64]

RHOS = (0.0, 0.3, 0.5, 0.7)
#: Correlation of BOLD noise falls with seconds, not with scans: to 1/e in this time.
DECAY_S = 4.0
#: Combining costs little, so that more voxels are drawn than for fits.
_MANY = 4


def run_limits(n_scans: int) -> tuple[Limit, ...]:
    """Return the limits of the rates of a run's test."""
    high = 1.35 if n_scans < 150 else 1.25
    return (Limit(measure="p001", low=0.8, high=high), Limit(measure="p05", low=0.045, high=0.055))


def draw_run(
    rng: np.random.Generator,
    n_voxels: int,
    *,
    n_scans: int,
    repetition_time: float,
    rho: float,
    white: float,
    rows: Sequence[Sequence[float]],
    models: Sequence[str],
    whiteness: bool = False,
) -> Outcome:
    """Simulate a run and test a contrast of its conditions, one weight per condition and row."""
    contrast = np.zeros((len(rows), N_COLUMNS))
    contrast[:, : len(rows[0])] = rows
    X = null_design(rng, n_scans, repetition_time, n_conditions=len(rows[0]))
    Y = null_noise(rng, n_scans, n_voxels, rho, white)
    return compare(Y, X, contrast, models, truth=(rho, white), whiteness=whiteness)


def ar1_table() -> Table:
    """Return table 1."""
    return Table(
        number=1,
        title="A run with AR(1) noise",
        note=(
            "TR 2 s, 24 columns: conditions a and b (events of 4 s at random times, one in 20 s), "
            "18 random walks, 3 cosines, the constant; contrast a - b."
        ),
        cells=tuple(
            Cell(
                group=f"n = {n_scans}",
                column=f"rho = {rho:g}",
                draw=partial(
                    draw_run,
                    n_scans=n_scans,
                    repetition_time=2.0,
                    rho=rho,
                    white=0.0,
                    rows=[[1, -1]],
                    models=("ols", NILEARN, "ar1-yw", "ar1"),
                ),
                limits=run_limits(n_scans),
            )
            for n_scans in (100, 150, 300)
            for rho in RHOS
        ),
    )


def mixed_table() -> Table:
    """Return table 2."""
    noises = {"white": 1.0, "AR(1)": 0.0, "AR(1) + white": 0.5}
    return Table(
        number=2,
        title="A run with AR(1) plus white noise",
        note=(
            "300 scans, else as table 1. The AR(1) part is a process in time, down to 1/e after "
            f"{DECAY_S:g} s, so that its rho is {np.exp(-0.8 / DECAY_S):.2f} at TR 0.8 s and "
            f"{np.exp(-2 / DECAY_S):.2f} at TR 2 s; thermal noise is white at any TR. Mixed: half "
            "the variance is white."
        ),
        cells=tuple(
            Cell(
                group=f"TR {repetition_time:g} s",
                column=name,
                draw=partial(
                    draw_run,
                    n_scans=300,
                    repetition_time=repetition_time,
                    rho=float(np.exp(-repetition_time / DECAY_S)),
                    white=white,
                    rows=[[1, -1]],
                    models=("ols", NILEARN, "ar1", "arma11"),
                    whiteness=True,
                ),
                limits=run_limits(300),
            )
            for repetition_time in (0.8, 2.0)
            for name, white in noises.items()
        ),
    )


def draw_effects(
    rng: np.random.Generator, n_voxels: int, dofs: Sequence[float], sds: Sequence[float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return null effects of runs, estimates of their variances, and degrees of freedom."""
    nu, sd = np.array(dofs)[:, np.newaxis], np.array(sds)[:, np.newaxis]
    shape = (len(dofs), n_voxels)
    return sd * rng.standard_normal(shape), sd**2 * rng.chisquare(nu, shape) / nu, nu


def draw_combination(
    rng: np.random.Generator, n_voxels: int, *, dofs: Sequence[float], sds: Sequence[float]
) -> Outcome:
    """Simulate a contrast's effects in several runs, and test them together."""
    effects, variances, nu = draw_effects(rng, _MANY * n_voxels, dofs, sds)
    outcome = {}
    for kind in ("unweighted", "weighted"):
        result = combine(effects, variances, nu, combination=kind)
        z = t_statistics(result.effect, result.variance, result.dof).z
        outcome[kind] = hits(two_sided(z))
        # compute_fixed_effects takes 100 per run where it is told none
        for dof_of, taken in (("summed dof", dofs), ("its default dof", [100] * len(dofs))):
            z = _compute_fixed_effects_params(effects, variances, kind == "weighted", taken)[3]
            outcome[f"nilearn {kind}, {dof_of}"] = hits(two_sided(z))
    return outcome


def combination_table() -> Table:
    """Return table 3."""
    kinds = (
        ("dof 20, 200; sd 5, 1", (20, 200), (5, 1), "unweighted", 1.2),
        ("4 of dof 15; sd 1", (15,) * 4, (1,) * 4, "weighted", 1.3),
        ("4 of dof 15; sd 1, 1, 2, 3", (15,) * 4, (1, 1, 2, 3), "weighted", 1.3),
        ("4 of dof 8; sd 1, 1, 2, 3", (8,) * 4, (1, 1, 2, 3), "weighted", 1.3),
    )
    return Table(
        number=3,
        title="A contrast over runs",
        note=(
            f"Effects and variances of runs are drawn as fits give them, {_MANY} times as many "
            "voxels as elsewhere. Where a run has 8 degrees of freedom or fewer, our weighted "
            "combination is the unweighted one."
        ),
        cells=tuple(
            Cell(
                group="",
                column=column,
                draw=partial(draw_combination, dofs=dofs, sds=sds),
                limits=(Limit(measure="p001", low=0.0, high=high, methods=(kind,)),),
            )
            for column, dofs, sds, kind, high in kinds
        ),
    )


def run_f_table() -> Table:
    """Return the first part of table 4."""
    tests = {"q = 2": [[1, -1, 0, 0], [0, 0, 1, -1]]}
    tests["q = 3"] = [*tests["q = 2"], [1, 1, -1, -1]]
    return Table(
        number=4,
        title="F contrasts of a run",
        note="As table 1, with conditions a to d and 16 walks: a - b; c - d; (a + b) - (c + d).",
        cells=tuple(
            Cell(
                group=f"n = {n_scans}",
                column=f"{name}, rho = {rho:g}",
                draw=partial(
                    draw_run,
                    n_scans=n_scans,
                    repetition_time=2.0,
                    rho=rho,
                    white=0.0,
                    rows=rows,
                    models=("ols", NILEARN, "ar1"),
                ),
                limits=run_limits(n_scans),
            )
            for n_scans in (100, 150, 300)
            for name, rows in tests.items()
            for rho in (0.0, 0.5)
        ),
    )


def draw_rows(
    rng: np.random.Generator, n_voxels: int, *, dofs: Sequence[float], sds: Sequence[float]
) -> Outcome:
    """Simulate both rows of an F contrast in several runs, and test them together."""
    q = 2
    upper = np.triu_indices(q)
    effects, covariances, whitened, dispersions = [], [], [], []
    for dof, sd in zip(dofs, sds, strict=True):
        mixing = rng.standard_normal((q, 3 * q))  # the rows' correlation differs between runs
        shape = mixing @ mixing.T / (3 * q)
        rows = sd * np.linalg.cholesky(shape) @ rng.standard_normal((q, n_voxels))
        dispersion = sd**2 * rng.chisquare(dof, n_voxels) / dof
        effects.append(rows)
        covariances.append(shape[upper][:, np.newaxis] * dispersion)
        whitened.append(np.linalg.inv(np.real(sqrtm(shape))) @ rows)
        dispersions.append(dispersion)
    outcome = {}
    nu = np.array(dofs, dtype=np.float64)[:, np.newaxis]
    for kind in ("unweighted", "weighted"):
        result = combine_rows(np.array(effects), np.array(covariances), nu, combination=kind)
        outcome[kind] = hits(two_sided(f_statistics(result.f, float(q), result.dof).z))
    # compute_fixed_effect_contrast's means of what compute_contrast makes of each run
    peer = Contrast(
        np.mean(whitened, axis=0),
        np.mean(dispersions, axis=0) / len(dofs),
        dim=q,
        dof=sum(dofs),
        stat_type="F",
    )
    outcome["nilearn"] = hits(peer.p_value())
    return outcome


def rows_table() -> Table:
    """Return the second part of table 4."""
    return Table(
        number=4,
        title="F contrasts over runs, q = 2",
        note="Four runs of 15 degrees of freedom; the rows' correlation differs between runs.",
        cells=tuple(
            Cell(
                group="4 of dof 15",
                column="sd " + ", ".join(map(str, sds)),
                draw=partial(draw_rows, dofs=(15,) * 4, sds=sds),
                limits=(Limit(measure="p001", low=0.0, high=1.5),),
            )
            for sds in ((1, 1, 1, 1), (1, 1, 2, 3))
        ),
    )


def draw_heterogeneity(
    rng: np.random.Generator, n_voxels: int, *, dofs: Sequence[float], sds: Sequence[float]
) -> Outcome:
    """Simulate runs that have one effect, and test whether they differ."""
    effects, variances, nu = draw_effects(rng, _MANY * n_voxels, dofs, sds)
    result = combine(effects, variances, nu, combination="weighted")
    return {
        "Q, Welch's F": hits(result.q_p),
        "Q, chi-square": hits(np.asarray(stats.chi2.sf(result.q, len(dofs) - 1))),
    }


def heterogeneity_table() -> Table:
    """Return table 5."""
    return Table(
        number=5,
        title="Heterogeneity of runs",
        note=f"Runs of 15 degrees of freedom with one effect, {_MANY} times as many voxels.",
        cells=tuple(
            Cell(
                group=f"{len(sds)} of dof 15",
                column="sd equal" if len(set(sds)) == 1 else "sd " + ", ".join(map(str, sds)),
                draw=partial(draw_heterogeneity, dofs=(15,) * len(sds), sds=sds),
                limits=(Limit(measure="p001", low=0.8, high=1.25),),
            )
            for sds in ((1, 1), (1, 1, 1, 1), (1, 1, 2, 3))
        ),
    )


def tables() -> tuple[Table, ...]:
    """Return the tables of simulated data, in order."""
    return (
        ar1_table(),
        mixed_table(),
        combination_table(),
        run_f_table(),
        rows_table(),
        heterogeneity_table(),
    )
