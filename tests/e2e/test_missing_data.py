"""What is missing is done without and tracked to the end, or refused, all of it in one list."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, RunTruth, Truth, make_dataset

pytestmark = pytest.mark.e2e

SPEC = DatasetSpec(sessions=("a", "b"), n_volumes=60)
OPTIONS = (
    *("--confounds", "motion6", "acompcor", "csf"),
    *("--contrast", "face", "--contrast", "object - face"),
)


def run(truth: Truth, out: Path, *more: str) -> int:
    options = [*OPTIONS, "--nprocs", "1", "--skip-bids-validation", "--no-interactive", *more]
    return main([str(truth.bids_dir), str(out), "participant", *options])


def drop_columns(path: Path, *columns: str) -> None:
    table = pd.read_csv(path, sep="\t").drop(columns=list(columns))
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def picked(truth: Truth, selector: str) -> RunTruth:
    (found,) = truth.select(selector)
    return found


def no_condition(truth: Truth) -> None:
    path = picked(truth, "ses-a_run-1").events
    table = pd.read_csv(path, sep="\t")
    table[table["trial_type"] != "object"].to_csv(path, sep="\t", index=False, na_rep="n/a")


def fewer_components(truth: Truth) -> None:
    names = [f"a_comp_cor_{i:02}" for i in (3, 4, 5)]
    drop_columns(picked(truth, "ses-a_run-2").confounds, *names)


def no_column(truth: Truth) -> None:
    drop_columns(picked(truth, "ses-a_run-1").confounds, "csf")


def no_series(truth: Truth) -> None:
    gone = picked(truth, "ses-b_run-2")
    for path in (gone.bold, gone.sidecar, gone.mask):
        path.unlink()


def no_session(truth: Truth) -> None:
    events = picked(truth, "ses-a_run-1").events
    new = Path(str(events).replace("ses-a", "ses-c"))
    new.parent.mkdir(parents=True)
    shutil.copy(events, new)


GAPS: dict[Callable[[Truth], None], tuple[str, str]] = {
    no_condition: ("ses-a_task-main_run-1", "condition 'object' has no event in this run"),
    fewer_components: ("ses-a_task-main_run-2", "3 of 5 columns a_comp_cor_[0-9]*"),
    no_column: ("ses-a_task-main_run-1", "confounds csf: no column"),
    no_series: ("ses-b_task-main_run-2", "it has events but no BOLD series with desc-preproc"),
    no_session: ("ses-c_task-main_run-1", "no BOLD series with desc-preproc, as all of session c"),
}


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    return make_dataset(tmp_path / "data", SPEC)


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap.__name__)
def test_each_gap_is_a_warning_or_bad_data_as_is_asked_for(truth, tmp_path, capsys, gap):
    assert run(truth, tmp_path / "out", "--missing", "error", "--dry-run") == 0
    gap(truth)
    capsys.readouterr()
    assert run(truth, tmp_path / "out", "--dry-run") == 0
    where, what = GAPS[gap]
    text = capsys.readouterr().out
    assert any(
        line.startswith(f"  WARNING sub-01_{where}") and what in line for line in text.splitlines()
    )
    assert run(truth, tmp_path / "out", "--missing", "error") == 65
    (problem,) = capsys.readouterr().err.splitlines()[1:]
    assert f"sub-01_{where}" in problem
    assert what in problem
    assert not (tmp_path / "out").exists()


def test_session_that_is_asked_for_and_nowhere_is_a_gap_too(truth, tmp_path, capsys):
    options = ["--session-label", "a", "b", "z"]
    assert run(truth, tmp_path / "out", *options, "--dry-run") == 0
    assert "WARNING sub-01_ses-z: left out, since there is no session z" in capsys.readouterr().out
    assert run(truth, tmp_path / "out", *options, "--missing", "error") == 65
    assert not (tmp_path / "out").exists()


def test_all_gaps_are_refused_in_one_list(truth, tmp_path, capsys):
    for gap in GAPS:
        gap(truth)
    for show in ([], ["--dry-run=json"]):
        assert run(truth, tmp_path / "out", "--missing", "error", *show) == 65
    found = capsys.readouterr()
    listed = found.err.splitlines()[1:]
    (participant,) = json.loads(found.out)["participants"]
    assert len(listed) == len(participant["problems"]) == len(GAPS)
    for where, what in GAPS.values():
        assert any(where in line and what in line for line in listed)
    assert not (tmp_path / "out").exists()


def test_gaps_are_tracked_to_the_end(truth, tmp_path):
    for gap in GAPS:
        gap(truth)
    out = tmp_path / "out"
    assert run(truth, out) == 0
    stem = "sub-01_task-main_space-MNI152NLin2009cAsym"
    facts = json.loads(
        (out / f"sub-01/func/{stem}_contrast-objectGtFace_stat-z_statmap.json").read_text()
    )
    runs = [f"sub-01_ses-{key}_space-MNI152NLin2009cAsym" for key in (
        "a_task-main_run-1", "a_task-main_run-2", "b_task-main_run-1"
    )]  # fmt: skip
    series = "it has events but no BOLD series with desc-preproc"
    absent = {
        "sub-01_ses-b_task-main_run-2": series,
        "sub-01_ses-c_task-main_run-1": f"{series}, as all of session c",
    }
    no_object = "condition 'object' has no event in this run"
    assert facts["Runs"] == runs[1:]
    assert facts["RunsLeftOut"] == {runs[0]: no_object}
    assert facts["RunsAbsent"] == absent
    models = facts["StatisticalModel"]["Runs"]
    components = {"acompcor": "3 of 5 columns a_comp_cor_[0-9]*"}
    assert [models[name].get("MissingConfounds") for name in runs[1:]] == [components, None]
    design = out / "sub-01/ses-a/func/sub-01_ses-a_task-main_run-1_design.json"
    assert json.loads(design.read_text())["MissingConfounds"] == {"csf": "no column"}

    table = pd.read_csv(out / f"sub-01/func/{stem}_contrasts.tsv", sep="\t")
    table = table[table["label"] == "objectGtFace"].set_index("input")
    assert table["entered"].to_dict() == (
        {runs[0]: False, runs[1]: True, runs[2]: True} | dict.fromkeys(absent, False)
    )
    reasons = {runs[0]: no_object, **absent}
    assert table["reason"].dropna().to_dict() == reasons
    report = (out / "sub-01.html").read_text()
    for text in (*absent.values(), "3 of 5 columns", "confounds csf: no column", "no event"):
        assert text.replace("'", "&#39;") in report
    citation = (out / "logs" / "CITATION.md").read_text()
    assert "Of 2 runs that the dataset should hold beyond these" in citation
    assert "The tables of 2 runs have fewer" in citation

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")}
    assert run(truth, out) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.nii.gz")} == before


def test_column_that_only_another_participant_has_is_done_without(tmp_path, capsys):
    spec = DatasetSpec(participants=("01", "02"), runs=("1",), n_volumes=60)
    truth = make_dataset(tmp_path / "data", spec)
    drop_columns(picked(truth, "sub-02").confounds, "csf")
    assert run(truth, tmp_path / "out", "--dry-run") == 0
    assert "MISSING confounds csf: no column" in capsys.readouterr().out
    # Where nobody has it, it is a slip.
    assert run(truth, tmp_path / "out", "--participant-label", "02") == 65
    assert "no column matches 'csf'" in capsys.readouterr().err


def test_run_without_events_is_no_gap_but_a_missing_input(tmp_path, capsys):
    truth = make_dataset(tmp_path / "data", DatasetSpec(n_volumes=60))
    truth.runs[0].events.unlink()
    assert run(truth, tmp_path / "out") == 66
    message = capsys.readouterr().err
    assert "no events table applies to this run" in message
    assert "run-1" in message
    assert not (tmp_path / "out").exists()
