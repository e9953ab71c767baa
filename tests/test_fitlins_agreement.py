"""The benchmark beside FitLins: its data, its measures, its models, and that it runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest

from agreement import (
    agreement,
    delay_between,
    effects_by_cut_rho,
    error_percent,
    ratio_text,
    slope,
    stretched_moments,
)
from bids_fx.stats_models.read import parse_model
from fitlins_agreement import last_error, parse, true_effect
from knowndata import Known, Timing, cosines, make_events, make_known, response_by_sum, responses
from modelcases import CASES, TIMINGS, Case
from tests.simulation import spm_response

ROOT = Path(__file__).parent.parent
#: Of the trapezoidal rule on a grid of 1 ms, whose error falls with the square of the grid.
GRID = 1e-6
SHORT = Timing(task="short", n_scans=60, every_s=(10.0, 14.0), missing=((2, "house"),))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return make_known(tmp_path_factory.mktemp("known"), (SHORT,))


def table(known: Known, name: str) -> pd.DataFrame:
    path = next(known.raw.parent.rglob(f"sub-01_task-short_{name}"))
    return pd.read_csv(path, sep="\t")


@pytest.mark.parametrize("duration_ms", [0, 1, 3217])
def test_response_by_sum_is_the_closed_form(duration_ms: int) -> None:
    onsets, durations = np.array([1234, 9001]), np.full(2, duration_ms)
    moments = np.arange(0, 50_000, 731)
    exact = spm_response(moments / 1000, onsets / 1000, durations / 1000, np.ones(2))
    np.testing.assert_allclose(response_by_sum(onsets, durations, moments), exact, atol=GRID)


def test_responses_are_those_at_the_moments_that_are_given() -> None:
    events = pd.DataFrame({"onset": [4.0], "duration": [2.0], "trial_type": ["face"]})
    early = responses(events, np.array([10.0]))["face"]
    late = responses(events.assign(onset=7.0), np.array([13.0]))["face"]
    assert early == pytest.approx(late, abs=GRID)
    assert early[0] > 0.1


def test_scans_show_the_brain_at_start_time_after_their_onset() -> None:
    moments = Timing(task="a", n_scans=3, repetition_time=1.5, start_time=0.5).moments()
    np.testing.assert_array_equal(moments, [0.5, 2.0, 3.5])


def test_events_are_on_the_grid_and_of_both_conditions(rng: np.random.Generator) -> None:
    events = make_events(rng, SHORT, 1)
    np.testing.assert_array_equal(events["onset"] % 2, 0.0)
    counts = events["trial_type"].value_counts()
    assert abs(counts["face"] - counts["house"]) <= 1


def test_condition_is_missing_only_where_that_is_asked_for(known: Known) -> None:
    names = [set(table(known, f"run-{run}_events.tsv")["trial_type"]) for run in (1, 2)]
    assert names == [{"face", "house"}, {"face"}]


def test_series_hold_the_effects_that_are_said(known: Known) -> None:
    confounds = table(known, "run-1_desc-confounds_timeseries.tsv")
    path = next(known.derivatives.rglob("*run-1*preproc_bold.nii.gz"))
    series = nb.load(path).get_fdata()[known.mask].T
    X = np.column_stack([confounds.filter(like="response"), cosines(SHORT), np.ones(len(series))])
    found = np.linalg.lstsq(X, 100 * series / series.mean(axis=0), rcond=None)[0]
    # the noise of 2744 voxels leaves a standard error of about 0.005 in a slope
    for effects, name in zip(found, ("face", "house"), strict=False):
        assert slope(effects, known.effects[name]) == pytest.approx(1.0, abs=0.02)


def test_contrast_of_known_effects_is_their_difference(known: Known) -> None:
    expected = known.effects["face"] - known.effects["house"]
    np.testing.assert_array_equal(true_effect(known, "faceGtHouse"), expected)
    np.testing.assert_array_equal(true_effect(known, "house"), known.effects["house"])


def test_agreement_is_of_theirs_against_ours() -> None:
    ours = np.array([-1.0, 0.0, 1.0, 2.0])
    found = agreement(0.5 * ours + 3, ours)
    assert found.correlation == pytest.approx(1.0)
    assert found.slope == pytest.approx(0.5)
    assert found.largest_percent == pytest.approx(100 * 3.5 / np.sqrt(1.25))


def test_slope_has_a_constant_beside_it() -> None:
    assert slope(np.array([5.0, 6.0, 9.0]), np.array([0.0, 1.0, 2.0])) == pytest.approx(2.0)


def test_error_of_a_regressor_is_in_percent_of_its_peak() -> None:
    assert error_percent(np.array([1.0, -3.5]), np.array([1.1, -4.0])) == pytest.approx(12.5)


def test_pybids_stretches_a_run_from_its_first_to_its_last_sample() -> None:
    np.testing.assert_allclose(stretched_moments(3, 2.0), [0.0, 2.95, 5.9])


def test_delay_is_between_the_centres_of_regressors() -> None:
    early, late = np.zeros(9), np.zeros(9)
    early[[1, 2]], late[[4, 5]] = [1.0, 3.0], [2.0, 6.0]
    assert delay_between(early, late, 1.5) == pytest.approx(4.5)


def test_ratio_is_told_by_its_median_and_range() -> None:
    theirs, ours = np.array([1.0, 6.0, 0.02]), np.array([2.0, 2.0, 2.0])
    assert ratio_text(theirs, ours) == "0.50 (0.010 to 3.00)"


@pytest.mark.parametrize(("step", "used"), [(None, "own"), (0.25, "cut")])
def test_effect_has_the_autocorrelation_that_is_left_of_it(
    rng: np.random.Generator, step: float | None, used: str
) -> None:
    X = np.column_stack([rng.normal(size=40), np.ones(40)])
    y = np.cumsum(rng.normal(size=40))
    e = y - X @ np.linalg.pinv(X) @ y
    rho = {"own": (e[1:] @ e[:-1] / 39) / (e @ e / 40)}
    rho["cut"] = np.floor(rho["own"] / 0.25) * 0.25
    assert 0 < rho["cut"] < rho["own"]
    W = np.eye(40) - rho[used] * np.eye(40, k=-1)
    expected = np.linalg.pinv(W @ X) @ W @ y
    found = effects_by_cut_rho(y[:, np.newaxis], X, 1, step)
    np.testing.assert_allclose(found, expected[1:], rtol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_model_of_a_case_is_sound(case: Case) -> None:
    assert case.timing in TIMINGS
    model, problems, _ = parse_model(case.model(), "m.json")
    assert problems == ()
    assert model is not None
    assert [contrast.name for contrast in model.root.contrasts] == ["face", "house", "faceGtHouse"]


def test_cases_differ_in_their_names() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_model_has_the_type_that_is_asked_for_above_runs() -> None:
    model = replace(CASES[0], subject_type="meta").model()
    assert model["Nodes"][1]["Model"]["Type"] == "meta"


def test_last_error_is_the_last_of_several() -> None:
    output = "a\nKeyError: 'x'\nValueError: No variable 'y'. Names are ['z']\n\nINFO: ended\n"
    assert last_error(output) == "ValueError: No variable 'y'"


def test_program_that_ends_without_an_exception_is_told_by_its_last_line() -> None:
    assert last_error("one\nkilled\n\n") == "killed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say where FitLins is"),
        (["--fitlins", "/nowhere/fitlins"], "cannot be run"),
        (["--fitlins", "/"], "cannot be run"),
        (["--fitlins", sys.executable, "--cases", "dense,nothing"], "no case 'nothing'"),
        (["--fitlins", sys.executable, "--jobs", "0"], "expected 1 or more"),
    ],
)
def test_call_that_cannot_be_is_refused(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FITLINS", raising=False)
    with pytest.raises(SystemExit):
        parse(arguments)
    assert message in capsys.readouterr().err


def test_environment_may_say_where_the_peer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITLINS", sys.executable)
    assert parse([]).fitlins == Path(sys.executable)
    assert parse([]).cases == list(CASES)


#: A program that answers with our maps, named and placed as FitLins does, its effects halved.
HALVED = """#!{python}
import sys
from pathlib import Path
import nibabel as nb
out = Path(sys.argv[2])
for path in (out.parent / "ours" / "sub-01" / "func").glob("*_contrast-*_stat-*_statmap.nii.gz"):
    parts = path.name.split("_")
    run = [part for part in parts if part.startswith("run-")]
    folder = out / ("node-run" if run else "node-subject") / "sub-01"
    folder.mkdir(parents=True, exist_ok=True)
    image = nb.load(path)
    factor = 0.5 if "stat-effect" in parts else 1
    image = nb.Nifti1Image(factor * image.get_fdata(), image.affine)
    image.to_filename(folder / "_".join(["sub-01", *run, *parts[-3:]]))
for path in (out.parent / "ours" / "sub-01" / "func").glob("*_run-1_design.tsv"):
    (out / "node-run" / "sub-01" / path.name).write_bytes(path.read_bytes())
"""


@pytest.mark.e2e
@pytest.mark.oracle
def test_script_prints_how_far_the_maps_agree(tmp_path: Path) -> None:
    peer = tmp_path / "fitlins"
    peer.write_text(HALVED.format(python=sys.executable))
    peer.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/fitlins_agreement.py", "--fitlins", str(peer)),
            *("--cases", "dense", "--folder", str(tmp_path / "bench")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("   ") for line in done.stdout.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    faces = next(row for row in rows if row[1:2] == ["face"])
    assert faces[2:4] == ["1.000000", "0.5000"]
    ours, theirs = (float(cell) for cell in faces[5:7])
    assert ours == pytest.approx(1.0, abs=0.02)
    assert theirs == pytest.approx(ours / 2, abs=0.001)
    assert faces[7] == "1.000000"
    assert faces[9] == "1.00 (1.00 to 1.00)"
    columns = next(row for row in rows if row[1:3] == ["0.00 %", "0.00 %"])
    assert columns[-2:] == ["9", "9"]
    assert float(done.stdout.split()[-2]) < 0.001


@pytest.mark.e2e
@pytest.mark.oracle
def test_script_prints_why_the_peer_failed(tmp_path: Path) -> None:
    peer = tmp_path / "fitlins"
    peer.write_text("#!/bin/sh\necho 'ValueError: no variable. Names are a'\nexit 1\n")
    peer.chmod(0o755)
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/fitlins_agreement.py", "--fitlins", str(peer)),
            *("--cases", "named", "--folder", str(tmp_path / "bench")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "FitLins fails (no house in run 2, levels by name): ValueError: no var" in done.stdout
