"""The calibration benchmark: its simulations, its marks, and that it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_fx.glm.contrasts import design_space
from methods import wald_f
from nulls import (
    N_BASELINE,
    N_COLUMNS,
    known_covariance_fit,
    lag_one,
    null_covariance,
    null_design,
    null_noise,
)
from rates import Cell, Limit, Rate, Table, hits, show, summarise
from real_noise import STYLES, invented_conditions, verdict

ROOT = Path(__file__).parent.parent
#: Products of 300 numbers in float64.
ROUNDING = 1e-9
#: Five standard errors of a correlation over 60,000 voxels.
SAMPLING = 5 / np.sqrt(60_000)


@pytest.mark.parametrize(("rho", "white"), [(0.0, 0.0), (0.6, 0.0), (0.6, 0.3), (-0.4, 1.0)])
def test_noise_has_the_covariance_that_is_said(
    rng: np.random.Generator, rho: float, white: float
) -> None:
    noise = null_noise(rng, 6, 60_000, rho, white)
    found = noise @ noise.T / noise.shape[1]
    # variances scatter sqrt(2) times as much as correlations of 0
    np.testing.assert_allclose(found, null_covariance(6, rho, white), atol=1.5 * SAMPLING)


def test_covariance_falls_by_rho_per_scan_from_what_is_not_white() -> None:
    np.testing.assert_allclose(
        null_covariance(3, 0.5, 0.2), [[1, 0.4, 0.2], [0.4, 1, 0.4], [0.2, 0.4, 1]]
    )


def test_design_has_24_independent_columns_and_ends_with_drift_and_constant(
    rng: np.random.Generator,
) -> None:
    X = null_design(rng, 100, 2.0)
    assert design_space(X).rank == X.shape[1] == N_COLUMNS
    baseline = X[:, -N_BASELINE:]
    np.testing.assert_array_equal(baseline[:, -1], 1.0)
    gram = baseline.T @ baseline
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=ROUNDING)


def test_known_covariance_fit_is_generalised_least_squares(rng: np.random.Generator) -> None:
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(30, 5))
    C, V = rng.normal(size=(2, 4)), null_covariance(30, 0.6, 0.3)
    f, dof = known_covariance_fit(Y, X, C, V)
    W = np.linalg.inv(V)
    cov = np.linalg.inv(X.T @ W @ X)
    beta = cov @ X.T @ W @ Y
    e = Y - X @ beta
    dispersion = np.einsum("tv,ts,sv->v", e, W, e) / 26
    rows = C @ beta
    wald = np.einsum("qv,qr,rv->v", rows, np.linalg.inv(C @ cov @ C.T), rows) / 2 / dispersion
    np.testing.assert_allclose(f, wald, rtol=ROUNDING)
    assert dof == 26


def test_wald_f_reads_the_upper_triangle_row_by_row() -> None:
    covariance = np.array([[4.0, 1.0, 0.5], [1.0, 9.0, -2.0], [0.5, -2.0, 16.0]])
    effects = np.array([1.0, -2.0, 3.0])
    expected = effects @ np.linalg.inv(covariance) @ effects / 3
    found = wald_f(effects[:, np.newaxis], covariance[np.triu_indices(3)][:, np.newaxis])
    np.testing.assert_allclose(found, [expected], rtol=ROUNDING)


def test_whitening_by_the_true_noise_leaves_no_autocorrelation(rng: np.random.Generator) -> None:
    X, Y = np.ones((400, 1)), null_noise(rng, 400, 50, 0.7, 0.3)
    error = 5 / np.sqrt(400 * 50)
    assert abs(lag_one(Y, X, 0.7, 0.3)) < error
    assert lag_one(Y, X, 0.0) == pytest.approx(0.7 * 0.7, abs=2 * error)


def test_p_values_below_both_levels_are_counted() -> None:
    assert hits(np.array([0.0005, 0.001, 0.04, 0.05])) == {"p001": 0.25, "p05": 0.75}


def test_test_without_an_answer_is_no_negative() -> None:
    with pytest.raises(ValueError, match="1 of 2"):
        hits(np.array([np.nan, 0.5]))


def test_rate_is_mean_per_thousand_and_standard_error_over_designs() -> None:
    outcomes = [{"ols": {"p001": share}} for share in (0.001, 0.002, 0.006)]
    rate = summarise(outcomes)["ols"]["p001"]
    assert rate.mean == pytest.approx(3.0)
    assert rate.error == pytest.approx(np.sqrt(7 / 3))


@pytest.mark.parametrize(
    ("mean", "error", "mark"),
    [(1.25, 0.0, ""), (1.3, 0.03, "?"), (1.3, 0.02, "!"), (0.7, 0.06, "?"), (0.7, 0.04, "!")],
)
def test_rate_beyond_its_limits_is_marked_by_its_error(
    mean: float, error: float, mark: str
) -> None:
    assert Rate(mean, error).mark(0.8, 1.25) == mark


def test_limit_of_one_method_marks_no_other() -> None:
    limit = Limit(measure="p001", low=0.0, high=1.2, methods=("ours",))
    cell = Cell(group="runs", column="equal", draw=lambda _rng, _n: {}, limits=(limit,))
    table = Table(number=3, title="Title", note="Note.", cells=(cell,))
    summary = {name: {"p001": Rate(2.0, 0.1)} for name in ("ours", "theirs")}
    lines = list(show(table, [summary], markdown=True))
    assert "| runs | ours   | 2.00 ± 0.10! |" in lines
    assert "| runs | theirs | 2.00 ± 0.10  |" in lines


@pytest.mark.parametrize("style", STYLES)
def test_invented_events_are_as_many_of_both_and_do_not_overlap(
    rng: np.random.Generator, style: str
) -> None:
    a, b = invented_conditions(rng, style, 300.0)
    assert abs(a.onsets.size - b.onsets.size) <= 1
    onsets = np.sort(np.concatenate([a.onsets, b.onsets]))
    gap, duration = STYLES[style]
    assert onsets[0] >= 0
    assert onsets[-1] + duration <= 300
    between = np.diff(onsets) - duration
    assert between.min() >= gap[0] - ROUNDING
    assert between.max() <= gap[1] + ROUNDING


@pytest.mark.parametrize(
    ("ar1", "arma11", "chosen"),
    [
        ((1.5, 0.5), (1.0, 1.2), "arma11"),  # 0.69 off against 0.18
        ((1.5, 1.0), (1.0, 0.4), "ar1"),  # too few count as much as too many
        ((1.3, 1.0), (1.0, 1.25), "ar1"),  # within the error
    ],
)
def test_default_is_what_is_clearly_less_far_off_where_it_is_worst(
    ar1: tuple[float, float], arma11: tuple[float, float], chosen: str
) -> None:
    cells = tuple(
        Cell(group="data", column=column, draw=lambda _rng, _n: {}) for column in ("fast", "slow")
    )
    table = Table(number=6, title="Title", note="Note.", cells=cells)
    summaries = [
        {"ar1": {"p001": Rate(a, 0.03)}, "arma11": {"p001": Rate(b, 0.03)}}
        for a, b in zip(ar1, arma11, strict=True)
    ]
    assert verdict(table, summaries).endswith(f"the default is {chosen}.")


@pytest.mark.oracle
def test_calibration_prints_its_tables() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/calibration.py", "--quick", "--jobs", "1", "--markdown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    titles = [line.split()[1] for line in lines if line.startswith("### ")]
    assert titles == ["1.", "2.", "3.", "4.", "4.", "5."]
    assert "--data FOLDER" in lines[-1]
    assert "nan" not in done.stdout
