"""Links: in datasets refused where they lead out, if asked for; in outputs only the user's own."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from bids_fx.cli import cluster
from bids_fx.cli.run import main
from bids_fx.derivatives.planted import refuse_planted
from bids_fx.errors import BIDSFXError
from bids_fx.settings import digest
from tests.synthetic import DatasetSpec, Truth, make_dataset
from tests.users import OTHER, needs_root

pytestmark = pytest.mark.e2e


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    return make_dataset(tmp_path / "data", DatasetSpec(participants=("01", "02"), runs=("1",)))


def words(truth: Truth, tmp_path: Path, *options: str) -> list[str]:
    folders = [str(truth.bids_dir), str(tmp_path / "out"), "participant"]
    return [*folders, "-d", str(truth.derivatives_dir), "--skip-bids-validation", *options]


def move_out(path: Path, elsewhere: Path) -> Path:
    """Put a file or folder elsewhere and a link in its place; return where it is."""
    elsewhere.mkdir(exist_ok=True)
    shutil.move(path, elsewhere / path.name)
    path.symlink_to(elsewhere / path.name)
    return elsewhere / path.name


def told(plans: str) -> list[str]:
    """Return the plans' problems and notices of links."""
    found = [one for plan in json.loads(plans)["participants"] for one in plan["problems"]]
    found += [one for plan in json.loads(plans)["participants"] for one in plan["notices"]]
    return [text for text in map(str, found) if " link" in text]


@pytest.mark.parametrize("kind", ["events", "sidecar", "folder"])
def test_link_that_leads_out_is_refused_by_name(
    kind: str, truth: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (truth.bids_dir / "task-main_bold.json").write_text('{"RepetitionTime": 2.0}')
    path = {
        "events": next(truth.bids_dir.glob("sub-01/func/*_events.tsv")),
        "sidecar": truth.bids_dir / "task-main_bold.json",
        "folder": truth.derivatives_dir / "sub-01" / "func",
    }[kind]
    real = move_out(path, tmp_path / "elsewhere")
    code = main(words(truth, tmp_path, "--links", "inside", "--dry-run"))
    told = capsys.readouterr()
    assert code == (65 if kind == "sidecar" else 1)  # of a shared file, all are without it
    assert str(path) in told.out + told.err
    assert f"leads out of the datasets, to {real}" in told.out + told.err


def test_links_within_the_datasets_and_between_them_are_inside(
    truth: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annex = truth.bids_dir / ".git" / "annex" / "objects"
    annex.parent.mkdir(parents=True)
    move_out(next(truth.bids_dir.glob("sub-01/func/*_events.tsv")), annex)
    move_out(next(truth.bids_dir.glob("sub-02/func/*_events.tsv")), truth.derivatives_dir / "x")
    (tmp_path / "linked").symlink_to(truth.bids_dir)
    call = words(truth, tmp_path, "--links", "inside", "--dry-run=json")
    assert main([str(tmp_path / "linked"), *call[1:]]) == 0
    assert told(capsys.readouterr().out) == []


def test_link_is_followed_without_a_word(
    truth: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    move_out(next(truth.bids_dir.glob("sub-01/func/*_events.tsv")), tmp_path / "elsewhere")
    assert main(words(truth, tmp_path, "--dry-run=json")) == 0
    assert told(capsys.readouterr().out) == []


def test_images_of_the_raw_dataset_are_not_asked_for(
    truth: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = truth.bids_dir / "sub-01" / "func" / "sub-01_task-main_run-1_bold.nii.gz"
    image.unlink(missing_ok=True)
    image.symlink_to("/nowhere/key")
    assert main(words(truth, tmp_path, "--links", "inside", "--dry-run")) == 0
    assert "symbolic" not in capsys.readouterr().out


@needs_root
@pytest.mark.parametrize(
    "name",
    [
        *("sub-01", "sub-01/func", "sub-01/func/sub-01_stat-z_statmap.nii.gz", "sub-01.html"),
        *(".bids_fx_work", ".bids_fx_work/locks", ".bids_fx_work/states/sub-01.json"),
        *("logs", "logs/CITATION.md", "models", "models/a_smdl.json", "dataset_description.json"),
    ],
)
def test_link_of_somebody_else_in_the_output_folder_is_refused(name: str, tmp_path: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "target"
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    target.mkdir()
    (target / "file").touch()
    for goal in (target, target / "file", target / "absent"):
        (out / name).unlink(missing_ok=True)
        (out / name).symlink_to(goal)
        refuse_planted(out, ["01"])  # our own
        os.lchown(out / name, OTHER, -1)
        with pytest.raises(BIDSFXError, match=f"/{name}: a link that belongs to the user with"):
            refuse_planted(out, ["01"])


def test_each_folder_is_listed_once_to_find_planted_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sub-01/func", "sub-01/figures", "sub-02", "logs"):
        (tmp_path / name).mkdir(parents=True)
    listed: Counter[str] = Counter()
    scandir = os.scandir

    def noted(folder: str | Path) -> object:
        listed[os.path.relpath(folder, tmp_path)] += 1
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", noted)
    refuse_planted(tmp_path, ["01"])
    there = {name: listed[name] for name in listed if (tmp_path / name).exists()}
    assert there == {".": 1, "logs": 1, "sub-01": 1, "sub-01/func": 1, "sub-01/figures": 1}


@needs_root
def test_files_that_git_annex_keeps_are_fine_whoever_saved_them(tmp_path: Path) -> None:
    key = tmp_path / ".git" / "annex" / "objects" / "x1" / "MD5E-s1--0.nii.gz"
    (key / "absent").parent.mkdir(parents=True)
    (key / key.name).touch()
    folder = tmp_path / "sub-01" / "func"
    folder.mkdir(parents=True)
    for name, goal in (("here", key / key.name), ("away", key / "absent"), ("folder", key)):
        (folder / name).symlink_to(os.path.relpath(goal, folder))
        os.lchown(folder / name, OTHER, -1)
    with pytest.raises(BIDSFXError) as caught:
        refuse_planted(tmp_path, ["01"])
    assert [problem.where for problem in caught.value.problems] == [str(folder / "folder")]


@needs_root
def test_root_works_for_the_owner_of_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in (OTHER, OTHER + 1):
        (tmp_path / f"sub-0{owner - OTHER}").symlink_to("/nowhere")
        os.lchown(tmp_path / f"sub-0{owner - OTHER}", owner, -1)
    os.chown(tmp_path, OTHER, -1)
    refuse_planted(tmp_path, ["00"])
    with pytest.raises(BIDSFXError, match="sub-01: a link"):
        refuse_planted(tmp_path, ["00", "01"])
    monkeypatch.setattr(os, "geteuid", lambda: OTHER + 2)
    with pytest.raises(BIDSFXError, match="sub-00: a link"):
        refuse_planted(tmp_path, ["00"])


@needs_root
@pytest.mark.parametrize("name", ["jobs", "jobs/job-1", "sub-02.html"])
def test_cluster_job_is_not_written_through_a_planted_link(
    name: str, truth: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "out" / name).parent.mkdir(parents=True)
    (tmp_path / "out" / name).symlink_to(tmp_path / "target")
    os.lchown(tmp_path / "out" / name, OTHER, -1)
    (events,) = truth.bids_dir.glob("sub-02/func/*_events.tsv")
    events.write_text("onset\tduration\ttrial_type\nsoon\t1\tface\n")
    bids_dir, out, _, *options = words(truth, tmp_path, "--contrast", "face")
    assert cluster.main(["slurm", bids_dir, out, *options]) == 73
    assert f"out/{name}: a link that belongs to" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("*/**/*.json") if "out" in path.parts] == []
    assert list((tmp_path / "target").iterdir()) == []


@needs_root
@pytest.mark.parametrize("name", ["sub-01", ".bids_fx_work", "logs"])
def test_nothing_is_written_through_a_planted_link(
    name: str, truth: Truth, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(target)
    os.lchown(tmp_path / "out" / name, OTHER, -1)
    call = words(truth, tmp_path, "--participant-label", "01", "--nprocs", "2")
    assert main(call) == 73
    assert f"out/{name}: a link that belongs to" in capsys.readouterr().err
    assert list(target.iterdir()) == []


@needs_root
def test_planted_link_of_a_participant_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "sub-02").symlink_to("/nowhere")
    os.lchown(tmp_path / "sub-02", OTHER, -1)
    refuse_planted(tmp_path, ["01"])


def test_cleaning_the_work_dir_does_not_follow_links_out(truth: Truth, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "file"
    kept.parent.mkdir()
    kept.touch()
    out = tmp_path / "out"
    own = out / ".bids_fx_work" / f"user-{os.geteuid()}"
    folder = own / f"out-{digest(str(out))[:12]}" / "nipype" / "sub_01"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(kept.parent)
    call = words(truth, tmp_path, "--participant-label", "01", "--nprocs", "1")
    assert main([*call, "--clean-workdir", "--contrast", "face"]) == 0
    assert kept.exists()
    assert not folder.exists()
