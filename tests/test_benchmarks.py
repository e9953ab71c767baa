"""The benchmarks: their simulations, what they measure and mark, and that they run."""

from __future__ import annotations

import gzip
import re
import statistics
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.glm.contrasts import design_space
from bigdata import isotropic, make_big_dataset
from comparisons import PEAK, SECONDS, compared
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
from processes import Measurement, Program, ProgramError, alternate, measure
from rates import Cell, Limit, Rate, Table, hits, show, summarise
from real_noise import STYLES, invented_conditions, verdict
from scaling import kept, threads

ROOT = Path(__file__).parent.parent
#: Products of 300 numbers in float64.
ROUNDING = 1e-9
#: Five standard errors of a correlation over 60,000 voxels.
SAMPLING = 5 / np.sqrt(60_000)
#: What a Python process holds besides what a test allocates, in MB, with room for coverage's own.
PYTHON_MB = 50


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


TOY = isotropic("toy", 16.0, 40, 3)


def run_python(code: str, folder: Path, *, may_fail: bool = False) -> Measurement:
    """Measure a program that is given as text."""
    return measure([sys.executable, "-c", code], folder=folder, may_fail=may_fail)


def taken(seconds: float = 1.0, peak_mb: float = 100.0, **other: object) -> Measurement:
    """Return a measurement as if it had been made."""
    nothing = {"cpu_seconds": 0.0, "largest_mb": 0.0, "threads": (), "running": ()}
    values = {**nothing, "exit_code": 0, "output": "", **other}
    return Measurement(seconds=seconds, peak_mb=peak_mb, **values)


#: Starts children by `fork` and lets all of them hold what they have at the same time.
HOLD = """
import os, time
def allocate():
    return bytearray(os.urandom(1)) * 100_000_000
%s
(ready, tell), (held, release) = os.pipe(), os.pipe()
for _ in range(3):
    if not os.fork():
        os.close(release)
        %s
        os.write(tell, b".")
        os.read(held, 1)
        os._exit(0)
for _ in range(3):
    os.read(ready, 1)
time.sleep(0.5)
os.close(release)
for _ in range(3):
    os.wait()
"""
#: Starts children that each use half a second of a processor and for which nobody waits.
SPIN = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
reader, writer = os.pipe()
for _ in range(3):
    if not os.fork():
        os.close(reader)
        while time.process_time() < 0.5:
            pass
        os._exit(0)
os.close(writer)
os.read(reader, 1)
"""


def test_memory_of_all_processes_is_summed(tmp_path: Path) -> None:
    found = run_python(HOLD % ("", "block = allocate()"), tmp_path)
    assert 300 < found.peak_mb < 300 + PYTHON_MB
    assert 100 < found.largest_mb < 100 + PYTHON_MB


def test_memory_that_processes_share_counts_once(tmp_path: Path) -> None:
    found = run_python(HOLD % ("block = allocate()", "pass"), tmp_path)
    assert 100 < found.peak_mb < 100 + PYTHON_MB


def test_memory_that_is_held_for_a_moment_counts(tmp_path: Path) -> None:
    # The system keeps a process's peak as long as it lives, so that a later look finds it.
    code = "import time; block = bytearray(b'x') * 300_000_000; del block; time.sleep(0.5)"
    found = run_python(code, tmp_path)
    assert 300 < found.peak_mb < 300 + PYTHON_MB


def test_processor_time_of_children_counts_though_nobody_waited(tmp_path: Path) -> None:
    # each is seen for the last time up to a look before its end
    assert 1.2 < run_python(SPIN, tmp_path).cpu_seconds < 2


def test_threads_that_could_run_are_counted(tmp_path: Path) -> None:
    busy = run_python(SPIN, tmp_path)
    assert 3 <= max(busy.running) <= max(busy.threads) == 4
    idle = run_python("import time; time.sleep(1)", tmp_path)
    # It runs while it starts and, in a look that comes late, while it ends.
    assert statistics.median(idle.running) == 0


def test_number_is_read_from_the_last_line_that_a_program_printed(tmp_path: Path) -> None:
    found = run_python("""print('busy'); print('{"work": 1.5}')""", tmp_path)
    assert found.told("work") == 1.5


def test_program_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"exit code 3\nwhy$"):
        run_python("import sys; print('why', end=''); sys.exit(3)", tmp_path)


def test_failure_can_be_an_answer(tmp_path: Path) -> None:
    assert run_python("import sys; sys.exit(3)", tmp_path, may_fail=True).exit_code == 3


def test_programs_alternate_after_a_watched_call_of_each() -> None:
    called = []

    def program(name: str, seconds: list[float], peak_mb: float) -> Program:
        def call(*, watched: bool) -> Measurement:
            called.append((name, watched))
            return taken(seconds.pop(0), peak_mb=peak_mb if watched else 0)

        return call

    programs = {"a": program("a", [7, 3, 1, 2], 40), "b": program("b", [5, 9, 7, 8], 50)}
    found = alternate(programs, 3)
    assert called == [("a", True), ("b", True), *[("a", False), ("b", False)] * 3]
    assert [one.seconds for one in found["a"]] == [3, 1, 2]
    assert [one.seconds for one in found["b"]] == [9, 7, 8]
    assert {one.peak_mb for one in found["a"]} == {40}
    assert {one.peak_mb for one in found["b"]} == {50}


def test_every_call_can_be_watched() -> None:
    looks: list[bool] = []

    def call(*, watched: bool) -> Measurement:
        looks.append(watched)
        return taken(peak_mb=len(looks))

    found = alternate({"a": call}, 3, always_watched=True)
    assert looks == [True, True, True]
    assert [one.peak_mb for one in found["a"]] == [1, 2, 3]


def test_call_that_is_not_watched_is_timed(tmp_path: Path) -> None:
    found = measure(
        [sys.executable, "-c", "import time; time.sleep(0.2)"], folder=tmp_path, watched=False
    )
    assert found.seconds >= 0.2
    assert not found.threads


def test_ratio_is_of_medians() -> None:
    found = {"ours": [taken(1), taken(2), taken(9)], "peer": [taken(5), taken(20), taken(21)]}
    rows = compared(found, [replace(SECONDS, wanted="ratio >= 10"), PEAK], peer="other")
    assert rows[0] == ("", "ours", "other", "ratio", "wanted")
    assert rows[1] == ("s", "2.00", "20.00", "10.0", "ratio >= 10")
    assert rows[2][1:4] == ("100", "100", "1.0")


def test_peer_that_was_not_given_is_named_so() -> None:
    rows = compared({"ours": [taken(1)]}, [SECONDS], peer="other")
    assert rows[1] == ("s", "1.00", "not given", "", "")


@pytest.mark.parametrize(
    ("peaks", "outcome"), [((90, 100), "kept"), ((90, 150), "50 MB too much")]
)
def test_limit_is_judged_by_the_largest_peak(peaks: tuple[float, ...], outcome: str) -> None:
    found = kept([taken(peak_mb=peak) for peak in peaks], 100)
    assert found[0] == f"{max(peaks)}"
    assert found[2] == outcome


def test_refusal_of_a_limit_says_why() -> None:
    output = "bids_fx: 1 problem:\n  - sub-01: --mem-mb: run-1 needs 700 MB\n"
    refused = taken(exit_code=2, output=output)
    assert kept([refused], 100)[2] == "refused: run-1 needs 700 MB"


def test_failure_under_a_limit_is_no_refusal() -> None:
    broken = taken(exit_code=1, output="a node was killed\n")
    assert kept([broken], 100)[2] == "failed with exit code 1"


def test_looks_with_more_running_threads_than_processors_are_counted() -> None:
    found = [taken(threads=(5, 9), running=(1, 3)), taken(threads=(4, 4), running=(2, 2))]
    assert threads(found, 2) == ("9", "2.0", "3", "25 %")


def test_runs_of_a_big_dataset_are_links_to_those_that_were_made(tmp_path: Path) -> None:
    dataset = make_big_dataset(tmp_path, replace(TOY, n_distinct=2))
    first, second, third = (run.bold for run in dataset.runs)
    assert first.samefile(third)
    assert first.read_bytes() != second.read_bytes()
    assert all(path.exists() for path in astuple(dataset.runs[2]))


def test_big_dataset_is_made_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    bold = make_big_dataset(tmp_path, TOY).runs[0].bold
    made, content = bold.stat().st_mtime_ns, bold.read_bytes()
    make_big_dataset(tmp_path, TOY)
    assert bold.stat().st_mtime_ns == made
    make_big_dataset(tmp_path, replace(TOY, n_runs=1))
    assert bold.stat().st_mtime_ns != made
    assert nb.load(bold).shape == (*TOY.shape, TOY.n_scans)
    assert gzip.decompress(bold.read_bytes()) == gzip.decompress(content)


@pytest.mark.e2e
@pytest.mark.oracle
def test_speed_prints_its_tables(tmp_path: Path) -> None:
    peer = tmp_path / "fitlins"
    peer.write_text('#!/bin/sh\ntest -f "$7" && sleep 0.2\n')  # the model
    peer.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/speed.py", "--quick", "--repeats", "1"),
            *("--folder", str(tmp_path / "bench"), "--fitlins", str(peer)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    titles = re.findall(r"^### (\w)\.", done.stdout, re.MULTILINE)
    assert titles == ["A", "B", "C", "D", "E", "E", "E", "E", "F"]
    assert "not given" not in done.stdout
    assert re.search(r"^\| 1 +\|.*\| refused: ", done.stdout, re.MULTILINE)
    assert re.search(r"^\| 4000 +\|.*\| kept +\|$", done.stdout, re.MULTILINE)
    assert not re.search(r"\b(nan|inf)\b", done.stdout)
