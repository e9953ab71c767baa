"""Listing datasets: whose files are listed, and what is looked at for it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bids_fx.dataset import index
from bids_fx.dataset.folders import labels_in
from bids_fx.dataset.index import find_all, find_runs, survey_datasets
from bids_fx.dataset.listing import Listing, Survey, find_loops, list_paths
from bids_fx.errors import BIDSFXError
from bids_fx.inputs import BoldRun
from bids_fx.settings import AnalysisSettings, DataSelection
from tests.dataset.trees import Tree, names, told, write_text

FILES = (
    "dataset_description.json",
    "task-x_bold.json",
    "sub-01.html",
    "sub-02.html",
    "sub-01/anat/sub-01_T1w.json",
    "sub-01/ses-a/func/sub-01_ses-a_task-x_events.tsv",
    "sub-010/func/sub-010_task-x_events.tsv",
    "sub-02/func/sub-02_task-x_events.tsv",
    "pipeline/sub-01/func/sub-01_task-x_bold.json",
    "pipeline/sub-02/func/sub-02_task-x_bold.json",
    "pipeline/task-y_bold.json",
)


def listed(listing: Listing, participant: str) -> list[str]:
    return [str(file.relative) for file in listing.of(participant).files]


def test_what_is_a_participants_and_what_is_everybodys_is_listed() -> None:
    root = Path("/data/bids")
    listing = list_paths("raw", root, [str(root / name) for name in FILES])
    assert listed(listing, "01") == [
        "dataset_description.json",
        "pipeline/sub-01/func/sub-01_task-x_bold.json",
        "pipeline/task-y_bold.json",
        "sub-01/anat/sub-01_T1w.json",
        "sub-01/ses-a/func/sub-01_ses-a_task-x_events.tsv",
        "sub-01.html",
        "task-x_bold.json",
    ]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the name of each file is added that the system is asked about."""
    names: list[str] = []

    def recorded(function: Callable[..., object]) -> Callable[..., object]:
        def record(path: object, *args: object, **options: object) -> object:
            names.append(Path(str(path)).name)
            return function(path, *args, **options)

        return record

    for name in ("stat", "lstat", "readlink", "open"):
        monkeypatch.setattr(os, name, recorded(getattr(os, name)))
    return names


def test_listing_asks_the_system_about_links_and_folders_alone(
    tree: Tree, asked: list[str]
) -> None:
    tree.run("sub-01_task-nback")
    tree.run("sub-02_task-nback")
    link = write_text(tree.raw / "sub-01" / "func" / "link", "").rename(tree.root / "elsewhere")
    (tree.raw / "sub-01" / "func" / "link").symlink_to(link)
    for name in ("again", "figures"):
        (tree.raw / "sub-01" / name).symlink_to("..")
    asked.clear()
    assert labels_in(tree.raw) == {"01", "02"}
    assert asked == []
    assert list(find_loops(tree.raw, [re.compile("/(sub-02|figures)")])) == ["/sub-01/again"]
    assert sorted(set(asked)) == ["again", "bids", "func", "link", "sub-01"]


def test_only_what_is_read_is_looked_at_once_files_are_listed(
    tree: Tree, asked: list[str]
) -> None:
    tree.run("sub-01_task-nback")
    other = "sub-01_task-nback_desc-other_T2w.json"
    for root in (tree.raw, tree.preproc):
        write_text(root / "sub-01" / "func" / f"not-{other}", "")
        (root / "sub-01" / "func" / other).symlink_to(f"not-{other}")
    survey = survey_datasets(tree.data(), ["01"])
    asked.clear()
    found = find_runs(tree.data(), "01", analysis=AnalysisSettings(), survey=survey)
    assert (names(found), found.problems) == (["sub-01_task-nback"], ())
    assert not {other, f"not-{other}"} & set(asked)
    (run,) = found.runs
    assert isinstance(run, BoldRun)
    # Each time a file is read it is seen to be one, then opened; headers are read first.
    read = [*run.events_files, run.bold, run.mask]
    assert [asked.count(path.name) for path in read if path is not None] == [2, 4, 4]


def test_participants_are_indexed_some_at_a_time(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [f"{number:02}" for number in range(1, 6)]
    for label in labels:
        tree.run(f"sub-{label}_task-nback")
    asked = []

    def survey(data: DataSelection, participants: Sequence[str]) -> Survey:
        asked.append(list(participants))
        return survey_datasets(data, participants)

    monkeypatch.setattr(index, "LISTED", 2)
    monkeypatch.setattr(index, "survey_datasets", survey)
    found = list(find_all(tree.data(), labels, analysis=AnalysisSettings()))
    assert asked == [["01", "02"], ["03", "04"], ["05"]]
    assert [names(item) for item in found] == [[f"sub-{label}_task-nback"] for label in labels]


def test_a_folder_that_cannot_be_listed_is_told(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: Path, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(root))

    monkeypatch.setattr("bids.BIDSLayout", refuse)
    with pytest.raises(BIDSFXError, match="cannot be listed") as caught:
        survey_datasets(tree.data(), ["01"])
    assert caught.value.problems[0].where == str(tree.raw)


def test_others_are_asked_for_the_events_of_a_task_once(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("01", "02", "03"):
        tree.run(f"sub-{label}_task-nback", events=label == "03")
        tree.run(f"sub-{label}_task-rest", events=False)
    asked = []

    def labels(root: Path) -> set[str]:
        asked.append(root)
        return labels_in(root)

    monkeypatch.setattr("bids_fx.dataset.listing.labels_in", labels)
    found = list(find_all(tree.data(), ["01", "02", "03"], analysis=AnalysisSettings()))
    assert asked == [tree.raw]
    assert "no events table applies" in told(found[0])
    assert all("task-rest: left out" in told(item) for item in found)


def test_a_survey_of_many_gives_what_a_search_for_one_participant_finds(tree: Tree) -> None:
    for label in ("01", "02", "020"):
        tree.run(f"sub-{label}_task-nback")
    data, analysis = tree.data(), AnalysisSettings()
    alone = find_runs(data, "02", analysis=analysis)
    shared = find_runs(
        data, "02", analysis=analysis, survey=survey_datasets(data, ["01", "02", "020"])
    )
    assert names(shared) == names(alone) == ["sub-02_task-nback"]
    assert shared.runs[0].uris == alone.runs[0].uris
