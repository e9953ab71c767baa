"""No label or name, wherever it is from, leads a path out of the output folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, Truth, make_dataset

pytestmark = pytest.mark.e2e

#: Names of conditions, contrasts and nodes of models, which become labels of files.
NAMES = (
    "../../x",
    "/etc/x",
    "..",
    ".",
    "-rf x",
    "--force",
    "a\\b",
    "x" * 300,
    "~root",
    "$(touch x)",
    "\u202ey",
    "con:x",
    "x y'\"z",
)
#: Names of files and folders beside those of a dataset.
STRANGE = (
    b"sub-01\n",
    b"sub-..",
    b"sub-01 ",
    b"sub-\xff\xfe",
    b"sub--rf",
    b"sub-'$(touch x)'",
    b"sub-\x1b[2J",
)


def words(truth: Truth, out: Path, *options: str) -> list[str]:
    derivatives = ("-d", str(truth.derivatives_dir), "--skip-bids-validation")
    return [str(truth.bids_dir), str(out), "participant", *derivatives, *options]


def planned(told: str) -> list[str]:
    return [path for plan in json.loads(told)["participants"] for path in plan["outputs"]]


def is_inside(path: str) -> bool:
    """Tell whether a path, and each of its names, is what a file system and a shell take."""
    return path == ".bidsignore" or all(
        0 < len(part) <= 255 and part[0].isalnum() and part.isascii() and part.isprintable()
        for part in path.split("/")
    )


@pytest.mark.parametrize("form", [None, "`{}`", "{} = body"])
def test_outputs_of_hostile_names_stay_inside(
    form: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    effects = {**dict.fromkeys(NAMES, 1.0), "body": 1.0}
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1", "2"), effects=effects))
    contrasts = [f"--contrast={form.format(name)}" for name in NAMES] if form else []
    # Names without any letter, and those that are too long, are refused.
    assert main(words(truth, tmp_path / "out", "--dry-run=json", *contrasts)) in (0, 2, 65)
    paths = planned(capsys.readouterr().out)
    assert any("contrast-rootX" in path or "contrast-touchX" in path for path in paths)
    assert [path for path in paths if not is_inside(path)] == []


@pytest.mark.parametrize(
    "option",
    [
        *("--participant-label", "--session-label", "--task-id", "--run-id", "--space"),
        "--desc-label",
    ],
)
def test_label_that_is_no_label_is_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1",)))
    labels = [
        "../x",
        "/x",
        "..",
        "a\nb",
        "a b",
        "-x",
        "a'b",
        'a"b',
        "\x1b[2J",
        "\udcff",
        "a\u202eb",
    ]
    codes = {
        label: main(words(truth, tmp_path / "out", "--dry-run", f"{option}={label}"))
        for label in labels
    }
    assert {label: code for label, code in codes.items() if code not in (2, 18, 66)} == {}


def test_strange_names_in_a_dataset_cost_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec(runs=("1",)))
    for root in (truth.bids_dir, truth.derivatives_dir):
        for name in STRANGE:
            folder = root / os.fsdecode(name)
            folder.mkdir()
            (root / "sub-01" / "func" / f"{folder.name}_task-x_bold.nii").touch()
    assert main(words(truth, tmp_path / "out", "--dry-run=json")) == 0
    told = capsys.readouterr()
    assert {path.split("/")[0].split(".")[0] for path in planned(told.out) if "sub-" in path} == {
        "sub-01"
    }
