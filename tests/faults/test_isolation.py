"""A run that fails costs the contrasts that it enters, and no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from bids_fx.cli.run import main
from bids_fx.derivatives.dataset import read_state
from tests.calls import differences, outputs, stamps
from tests.synthetic import DatasetSpec, RunTruth, Truth, make_dataset

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


class Failed(NamedTuple):
    """A call without a failure, one with, and what the damaged file was."""

    truth: Truth
    whole: Path
    out: Path
    mended: bytes


def needs_last(name: str) -> bool:
    """Tell whether a file is of the run that fails, or of a result that it enters."""
    return "_run-3_" in name or (
        "_run-" not in name and ("_contrast-face_" in name or name.endswith(OF_ALL))
    )


@pytest.fixture(scope="module")
def failed(tmp_path_factory) -> Failed:
    """Return an undisturbed call, and one that could not read the last run."""
    root = tmp_path_factory.mktemp("failed")
    truth = make_dataset(root / "data", SPEC)
    assert call(truth, root / "whole", *OPTIONS) == 0
    mended = damage(truth.runs[2])
    assert call(truth, root / "out", *OPTIONS) == 1
    return Failed(truth, root / "whole", root / "out", mended)


def same_but_for_the_last_run(out: Path, whole: Path) -> bool:
    """Tell whether all that the last run does not enter is there, and nothing else."""
    expected, found = results(outputs(whole)), results(outputs(out))
    assert [name for name in differences(found, expected) if not needs_last(name)] == []
    # Designs are drawn whether they can be fitted or not.
    assert [name for name in found if needs_last(name) and "/figures/" not in name] == []
    return any("_contrast-house_" in name and "_run-" not in name for name in found)


def test_contrasts_without_the_failing_run_are_as_if_it_had_not_failed(failed):
    assert same_but_for_the_last_run(failed.out, failed.whole)
    names = [name for name in outputs(failed.out) if "_run-" not in name]
    assert any("contrast-house_stat-z_statmap.png" in name for name in names)
    assert any("contrast-either_stat-F_statmap.nii.gz" in name for name in names)


def test_so_they_are_where_each_node_has_a_process(failed, tmp_path):
    out = tmp_path / "out"
    assert call(failed.truth, out, *OPTIONS, "--nprocs", "2") == 1
    assert same_but_for_the_last_run(out, failed.whole)


def test_what_is_missing_is_told_exactly(failed):
    missing = results(outputs(failed.whole)).keys() - results(outputs(failed.out)).keys()
    told = summary_of(failed.out)
    assert told["state"] == read_state(failed.out, "01")["state"] == "failed"
    assert set(told["outputs"]["missing"]) == missing
    report = (failed.out / "sub-01.html").read_text()
    assert "cannot be read" in report
    assert all(name in report for name in missing)
    assert [reason for reason in told["reasons"] if "fitting" not in reason] == [
        f"{len(missing)} planned outputs are missing or damaged, {min(missing)} the first"
    ]


def changed_by(truth: Truth, out: Path, *, code: int) -> list[str]:
    """Call again, and return the results that were written."""
    before = stamps(out)
    assert call(truth, out, *OPTIONS) == code
    after = stamps(out)
    return [name for name in results(outputs(out)) if after[name] != before.get(name)]


def test_a_mended_run_is_fitted_and_only_what_it_enters_is_combined(failed, tmp_path):
    truth, out = failed.truth, tmp_path / "out"
    shutil.copytree(failed.out, out)
    damaged = truth.runs[2].bold.read_bytes()
    assert all(map(needs_last, changed_by(truth, out, code=1)))
    truth.runs[2].bold.write_bytes(failed.mended)
    try:
        changed = changed_by(truth, out, code=0)
    finally:
        truth.runs[2].bold.write_bytes(damaged)
    assert all(map(needs_last, changed))
    assert differences(outputs(out), outputs(failed.whole)) == []


def test_an_old_combination_is_told_by_its_contrast_and_the_others_are_new(failed, tmp_path):
    truth, out = failed.truth, tmp_path / "out"
    shutil.copytree(failed.whole, out)
    before = outputs(out)
    assert call(truth, out, *OPTIONS) == 1
    changed = differences(results(outputs(out)), results(before))
    assert changed == []
    stale = "its maps in the output folder may be of other settings or data"
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


def test_the_first_failure_ends_it_all_where_that_is_asked_for(failed, tmp_path):
    out = tmp_path / "out"
    assert call(failed.truth, out, *OPTIONS, "--stop-on-first-crash") == 1
    assert not [path for path in out.rglob("*_statmap.nii.gz") if "_run-" not in path.name]


SESSIONS = DatasetSpec(
    shape=(5, 5, 4), n_volumes=50, sessions=("1", "2"), missing=(("ses-2_run-2", "house"),)
)


def combined(out: Path) -> set[tuple[str, str]]:
    """Return participant, or session, and contrast of the combined maps."""
    return {
        (path.name.partition("_task-")[0], label)
        for label in ("face", "house")
        for path in out.rglob(f"*_contrast-{label}_stat-z_statmap.nii.gz")
        if "_run-" not in path.name
    }


def test_a_failing_run_of_a_session_leaves_the_other_session_and_what_it_has_no_part_in(tmp_path):
    truth, out = make_dataset(tmp_path / "data", SESSIONS), tmp_path / "out"
    damage(truth.select("ses-2_run-2")[0])
    options = ("--combination", "unweighted", "--contrast", "face", "--contrast", "house")
    assert call(truth, out, *OPTIONS[:4], *options) == 1
    assert combined(out) == {
        *(("sub-01_ses-1", "face"), ("sub-01_ses-1", "house")),
        *(("sub-01_ses-2", "house"), ("sub-01", "house")),
    }
    assert [
        path.name.partition("_task-")[0]
        for path in out.rglob("*_desc-brain_mask.nii.gz")
        if "_run-" not in path.name
    ] == ["sub-01_ses-1"]


def node(name: str, level: str, *group_by: str, **more: object) -> dict:
    """Return a node of a model that combines what comes in."""
    model = {"Type": "meta", "X": [1]}
    given = {"GroupBy": [*group_by, "subject", "contrast"], "Model": model}
    return {"Name": name, "Level": level, **given, "DummyContrasts": {"Test": "t"}, **more}


#: Sessions from runs, the participant from sessions.
MODEL = {
    "Name": "chain",
    "BIDSModelVersion": "1.0.0",
    "Nodes": [
        node(
            *("run", "Run"),
            GroupBy=["run", "session", "subject"],
            Model={"Type": "glm", "X": ["face", "house", "object", 1]},
            DummyContrasts={"Test": "t", "Contrasts": ["face", "house"]},
        ),
        node("session", "Session", "session"),
        node("subject", "Subject"),
    ],
}


@pytest.mark.soak
def test_nodes_of_a_model_that_are_not_behind_the_failing_run_are_computed(tmp_path):
    truth = make_dataset(tmp_path / "data", SESSIONS)
    model = tmp_path / "model_smdl.json"
    model.write_text(json.dumps(MODEL))
    options = (*OPTIONS[:4], "-m", str(model))
    assert call(truth, tmp_path / "whole", *options) == 0
    kept = damage(truth.select("ses-2_run-2")[0])
    out = tmp_path / "out"
    assert call(truth, out, *options) == 1
    whole = combined(tmp_path / "whole")
    assert whole - combined(out) == {("sub-01", "face"), ("sub-01_ses-2", "face")}
    assert len(whole) == 6
    truth.select("ses-2_run-2")[0].bold.write_bytes(kept)
    assert call(truth, out, *options) == 0
    assert differences(outputs(out), outputs(tmp_path / "whole")) == []
