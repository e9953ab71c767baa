"""What an output folder says of the program that wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_fx.derivatives.dataset import BIDSIGNORE, write_dataset_files
from bids_fx.errors import BIDSFXError
from bids_fx.settings import DataSelection


@pytest.mark.parametrize(
    ("variables", "container"),
    [
        ({}, None),
        ({"BIDS_FX_DOCKER_TAG": "bids_fx:1"}, {"Type": "docker", "Tag": "bids_fx:1"}),
        (
            {"BIDS_FX_DOCKER_TAG": "bids_fx:1", "SINGULARITY_CONTAINER": "/images/bids_fx.sif"},
            {"Type": "singularity", "Tag": "bids_fx:1"},
        ),
        (
            {"BIDS_FX_DOCKER_TAG": "bids_fx:1", "APPTAINER_CONTAINER": "/images/bids_fx.sif"},
            {"Type": "singularity", "Tag": "bids_fx:1"},
        ),
        ({"SINGULARITY_CONTAINER": "/images/another.sif"}, None),
    ],
    ids=["none", "docker", "singularity", "apptainer", "an image of someone else's"],
)
def test_the_description_names_the_container(
    variables: dict[str, str],
    container: dict[str, str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    write_dataset_files(tmp_path, DataSelection(bids_dir=tmp_path / "data"))
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    (generated,) = description["GeneratedBy"]
    assert generated.get("Container") == container


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (b"extra\n*.html\n", [b"extra", b"*.html"]),
        (b"extra", [b"extra"]),
        (b"\xff\xfe", [b"\xff\xfe"]),
        (b"*.html\n*", [b"*.html"]),
    ],
    ids=["other lines", "no line end", "not UTF-8", "cut off"],
)
def test_bidsignore_gets_our_lines_and_keeps_those_of_others(
    there: bytes, kept: list[bytes], tmp_path: Path
) -> None:
    path = tmp_path / ".bidsignore"
    path.write_bytes(there)
    write_dataset_files(tmp_path, DataSelection(bids_dir=tmp_path / "data"))
    lines = path.read_bytes().splitlines()
    assert lines[: len(kept)] == kept
    assert sorted(lines) == sorted({*kept, *(line.encode() for line in BIDSIGNORE)})


def test_folder_in_place_of_bidsignore_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / ".bidsignore").mkdir()
    with pytest.raises(BIDSFXError, match=r"/\.bidsignore: cannot be written \(Is a directory\)"):
        write_dataset_files(tmp_path, DataSelection(bids_dir=tmp_path / "data"))
