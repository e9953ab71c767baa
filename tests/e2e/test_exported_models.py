"""An analysis of the command line, and the model that it is written down as, give the same."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, Truth, make_dataset
from tests.validator import bids_errors

pytestmark = pytest.mark.e2e

#: Quick, and the same for every case that is about something else.
QUICK = ("--noise-model", "ols", "--nprocs", "1", "--skip-bids-validation", "--no-interactive")

SPEC = DatasetSpec(
    effects={"face": 1.0, "house": 0.5, "tool": 0.2}, motion_outliers=(10,), non_steady_scans=2
)


def run(truth: Truth, out: Path, *options: str) -> None:
    assert main([str(truth.bids_dir), str(out), "participant", *QUICK, *options]) == 0


def results(out: Path) -> dict[str, bytes]:
    """Return everything about the participants but what names the model: reports and calls."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in out.glob("sub-*")
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "calls.json"
    }


def models(out: Path) -> list[Path]:
    return sorted((out / "models").iterdir())


def assert_same(truth: Truth, tmp_path: Path, *options: str, file: str) -> None:
    """Run an analysis, and the model that it was written as, and compare every byte."""
    run(truth, tmp_path / "asked", *options, "--write-model")
    (model,) = models(tmp_path / "asked")
    assert model.name == file
    argv = [str(truth.bids_dir), str(tmp_path / "model"), "participant", "-m", str(model)]
    assert main([*argv, *QUICK[2:]]) == 0
    asked, modelled = results(tmp_path / "asked"), results(tmp_path / "model")
    assert asked.keys() == modelled.keys()
    assert [name for name in asked if asked[name] != modelled[name]] == []
    (kept,) = (tmp_path / "model" / "logs").glob("*/model_smdl.json")
    assert kept.read_bytes() == model.read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        (),
        (
            *("--contrast", "face - house", "--contrast", "third = 1/3 face + 1/3 house - tool"),
            *("--drift-model", "none", "--confounds", "none", "--signal-scaling", "grand-mean"),
        ),
        (
            *("--contrast", "any = F(face - house; house - tool)", "--combination", "unweighted"),
            *("--high-pass", "90", "--fd-threshold", "0.8", "--dummy-scans", "2"),
            *("--confounds", "nss"),
        ),
        (
            *("--hrf-model", "glover + derivative + dispersion", "--contrast", "late = face[1]"),
            *("--drift-model", "polynomial:2", "--confounds", "motion24", "acompcor"),
        ),
        (
            *("--hrf-model", "fir:4", "--contrast", "face - house", "--contrast", "face[2]"),
            *("--confounds", "scrub", "csf*", "--smoothing-fwhm", "5", "--slice-time-ref", "0.5"),
        ),
        ("--hrf-model", "fir:0,2,4", "--contrast", "face[1]", "--contrast", "house"),
    ],
    ids=lambda options: " ".join(options) or "defaults",
)
def test_model_of_an_analysis_gives_the_same_bytes(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    truth = make_dataset(tmp_path / "data", SPEC)
    assert_same(truth, tmp_path, *options, file="model-cli_smdl.json")


def test_model_of_two_sessions_gives_the_same_bytes(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec(sessions=("a", "b")))
    assert_same(truth, tmp_path, "--contrast", "face", file="model-cli_smdl.json")


def test_model_of_sessions_that_are_not_combined_gives_the_same_bytes(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec(sessions=("a", "b")))
    options = ("--contrast", "face", "--combine-over", "run")
    assert_same(truth, tmp_path, *options, file="model-cli_smdl.json")


def test_modulation_of_events_stands_in_the_model(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec())
    for one in truth.runs:
        table = pd.read_csv(one.events, sep="\t")
        table["modulation"] = 1 + 0.1 * (table.index % 5)
        table.to_csv(one.events, sep="\t", index=False)
    assert_same(truth, tmp_path, "--contrast", "face", file="model-cli_smdl.json")


def test_automatic_model_is_written_and_gives_the_plain_results(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec())
    run(truth, tmp_path / "auto", "-m", "auto")
    run(truth, tmp_path / "plain")
    (model,) = models(tmp_path / "auto")
    assert model.name == "model-auto_smdl.json"
    assert results(tmp_path / "auto") == results(tmp_path / "plain")
    assert bids_errors(tmp_path / "auto") == []


def test_each_task_has_a_model_of_its_own(tmp_path: Path) -> None:
    spec = DatasetSpec(tasks=("a", "b"), runs=("1",), effects={"face": 1.0})
    truth = make_dataset(tmp_path / "data", spec)
    run(truth, tmp_path / "out", "-m", "auto")
    names = [path.name for path in models(tmp_path / "out")]
    assert names == ["model-auto_desc-a_smdl.json", "model-auto_desc-b_smdl.json"]
    inputs = [json.loads(path.read_text())["Input"] for path in models(tmp_path / "out")]
    assert inputs == [{"task": ["a"]}, {"task": ["b"]}]


def test_participants_who_lack_a_condition_get_the_contrasts_of_all(tmp_path: Path) -> None:
    spec = DatasetSpec(participants=("01", "02"), effects={"face": 2.0, "house": 1.0})
    truth = make_dataset(tmp_path / "data", spec)
    for one in truth.runs:
        if one.entities["sub"] == "02":
            table = pd.read_csv(one.events, sep="\t")
            table[table.trial_type != "house"].to_csv(one.events, sep="\t", index=False)
    assert_same(truth, tmp_path, file="model-cli_smdl.json")
    (table,) = {
        p.name: p for p in (tmp_path / "model").rglob("sub-02*run-1*_contrasts.tsv")
    }.values()
    assert "condition 'house' has no event in this run" in table.read_text()


def test_conditions_that_are_called_by_numbers_are_no_intercept(tmp_path: Path) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec(effects={"0": 0.5, "1": 1.0}))
    assert_same(truth, tmp_path, file="model-cli_smdl.json")


def test_model_that_keeps_sessions_apart_combines_runs_where_there_are_none(
    tmp_path: Path,
) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec())
    run(truth, tmp_path / "asked", "--contrast", "face", "--write-model")
    (path,) = models(tmp_path / "asked")
    model = json.loads(path.read_text())
    subject = model["Nodes"][-1]
    subject["GroupBy"] = ["subject", "session", "contrast"]
    del subject["Model"]["Software"]
    path.write_text(json.dumps(model))
    argv = [str(truth.bids_dir), str(tmp_path / "model"), "participant", "-m", str(path)]
    assert main([*argv, *QUICK[2:]]) == 0
    effect = "sub-01/func/sub-01_task-main_space-MNI152NLin2009cAsym_contrast-face_stat-effect"
    made = [(tmp_path / out / f"{effect}_statmap.nii.gz") for out in ("asked", "model")]
    assert made[0].read_bytes() == made[1].read_bytes()
