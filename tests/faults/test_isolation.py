"""A run that fails costs the contrasts that it enters, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from bids_fx.derivatives.dataset import read_state
from tests.calls import differences, outputs, stamps
from tests.synthetic import DatasetSpec, RunTruth, Truth

pytestmark = pytest.mark.e2e

#: The last run cannot estimate what needs a house.
SPEC = DatasetSpec(
    shape=(5, 5, 4), n_volumes=50, runs=("1", "2", "3"), missing=(("run-3", "house"),)
)
CONTRASTS = ("face", "house", "either = F(house; object)")
OPTIONS = (
    *("--nprocs", "1", "--skip-bids-validation", "--no-interactive"),
    *(word for contrast in CONTRASTS for word in ("--contrast", contrast)),
)
#: What is told of all contrasts, and so is missing as long as one of them is.
OF_ALL = ("_contrasts.tsv", "_desc-brain_mask.json", "_desc-brain_mask.nii.gz")


def call(truth: Truth, out: Path, *options: str) -> int:
    return main([str(truth.bids_dir), str(out), "participant", *options])


def damage(run: RunTruth) -> bytes:
    """Flip a bit in the middle of a run's BOLD file, and return what it was."""
    before = run.bold.read_bytes()
    content = bytearray(before)
    content[len(content) // 2] ^= 0x10
    run.bold.write_bytes(bytes(content))
    return before


def results(found: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a participant that do not tell how the call ended."""
    return {
        name: content
        for name, content in found.items()
        if name.startswith("sub-01/") and not name.endswith("calls.json")
    }


def summary_of(out: Path) -> dict:
    newest = max(out.glob("logs/*/summary.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(newest.read_text())["participants"]["sub-01"]


def needs_last(name: str) -> bool:
    """Tell whether a file is of the run that fails, or of a result that it enters."""
    return "_run-3_" in name or (
        "_run-" not in name and ("_contrast-face_" in name or name.endswith(OF_ALL))
    )


@pytest.mark.parametrize("n_procs", ["1", "2"])
def test_contrasts_without_the_failing_run_are_as_if_it_had_not_failed(
    ended_call, tmp_path, n_procs
):
    truth, whole = ended_call(SPEC, *OPTIONS)
    damage(truth.runs[2])
    out = tmp_path / "out"
    assert call(truth, out, *OPTIONS, "--nprocs", n_procs) == 1
    expected, found = results(outputs(whole)), results(outputs(out))
    missing = differences(found, expected)
    assert [name for name in missing if not needs_last(name)] == []
    assert [name for name in found if needs_last(name) and "figures/" not in name] == []
    assert any("_contrast-house_stat-z_statmap.png" in name for name in found)
    assert any("contrast-either_stat-F_statmap" in name for name in found)


def test_what_is_missing_is_told_exactly(ended_call, tmp_path):
    truth, whole = ended_call(SPEC, *OPTIONS)
    damage(truth.runs[2])
    out = tmp_path / "out"
    assert call(truth, out, *OPTIONS) == 1
    missing = results(outputs(whole)).keys() - results(outputs(out)).keys()
    told = summary_of(out)
    assert told["state"] == read_state(out, "01")["state"] == "failed"
    assert set(told["outputs"]["missing"]) == missing
    report = (out / "sub-01.html").read_text()
    assert "cannot be read" in report
    assert all(name in report for name in missing)
    assert [reason for reason in told["reasons"] if "fitting" not in reason] == [
        f"{len(missing)} planned outputs are missing, {min(missing)} the first"
    ]


def test_a_mended_run_is_fitted_and_only_what_it_enters_is_combined(ended_call, tmp_path):
    truth, whole = ended_call(SPEC, *OPTIONS)
    kept = damage(truth.runs[2])
    out = tmp_path / "out"
    assert call(truth, out, *OPTIONS) == 1
    before = stamps(out)
    assert call(truth, out, *OPTIONS) == 1  # and once more while it is damaged
    again = {name: stamp for name, stamp in stamps(out).items() if name in results(outputs(out))}
    assert [n for n, stamp in again.items() if stamp != before[n] and not needs_last(n)] == []
    truth.runs[2].bold.write_bytes(kept)
    assert call(truth, out, *OPTIONS) == 0
    after = stamps(out)
    changed = [name for name in results(outputs(out)) if after[name] != before.get(name)]
    assert [name for name in changed if not needs_last(name)] == []
    assert differences(results(outputs(out)), results(outputs(whole))) == []
    assert differences(outputs(out), outputs(whole)) == []


def test_an_old_combination_is_told_by_its_contrast_and_the_others_are_new(ended_call):
    truth, out = ended_call(SPEC, *OPTIONS)
    damage(truth.runs[2])
    before = outputs(out)
    assert call(truth, out, *OPTIONS) == 1
    changed = differences(results(outputs(out)), results(before))
    assert changed == []
    stale = "its maps in the output folder are of other settings or data"
    task = "task-main_space-MNI152NLin2009cAsym"
    assert [reason for reason in summary_of(out)["reasons"] if "fitting" not in reason] == [
        f"task-main_run-3_space-MNI152NLin2009cAsym: {stale}",
        f"face of subject_{task}: {stale}",
    ]
    assert call(truth, out, *OPTIONS, "--noise-model", "ols") == 1
    changed = {
        label
        for name in differences(results(outputs(out)), results(before))
        for label in ("face", "house", "either")
        if "_run-" not in name and f"contrast-{label}_stat-z_statmap.nii.gz" in name
    }
    assert changed == {"house", "either"}
    assert f"face of subject_{task}: {stale}" in summary_of(out)["reasons"]


def test_the_first_failure_ends_it_all_where_that_is_asked_for(ended_call, tmp_path):
    truth, _ = ended_call(SPEC, *OPTIONS)
    damage(truth.runs[2])
    out = tmp_path / "out"
    assert call(truth, out, *OPTIONS, "--stop-on-first-crash") == 1
    assert not [path for path in out.rglob("*_statmap.nii.gz") if "_run-" not in path.name]


SESSIONS = DatasetSpec(
    shape=(5, 5, 4), n_volumes=50, sessions=("1", "2"), missing=(("ses-2_run-2", "house"),)
)


def combined(out: Path) -> dict[str, bytes]:
    """Return the combined z maps, and what their sidecars say, by result and contrast."""
    return {
        name.partition("_task-")[0].rpartition("/")[2] + name.partition("_contrast")[2]: content
        for name, content in results(outputs(out)).items()
        if "_stat-z_statmap" in name and "_contrast-" in name and "_run-" not in name
    }


def test_a_failing_run_of_a_session_leaves_the_other_session_and_what_it_has_no_part_in(
    ended_call, tmp_path
):
    options = ("--nprocs", "1", "--skip-bids-validation", "--no-interactive")
    options += ("--combination", "unweighted", "--contrast", "face", "--contrast", "house")
    truth, whole = ended_call(SESSIONS, *options)
    damage(truth.select("ses-2_run-2")[0])
    out = tmp_path / "out"
    assert call(truth, out, *options) == 1
    ends = ("_statmap.nii.gz", "_statmap.json", "_statmap.png")
    assert differences(combined(out), combined(whole)) == sorted(
        f"{name}-face_stat-z{end}" for name in ("sub-01", "sub-01_ses-2") for end in ends
    )
