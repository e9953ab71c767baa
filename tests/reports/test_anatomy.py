"""The anatomy behind combined maps: the participant's, a template's, or none; no network."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.records import RunPlan
from bids_fx.reports.anatomy import find_anatomy, find_template, template_notices
from tests.small_plans import make_group, make_plan, make_run

SPACE = "MNI152NLin2009cAsym"
IN_SPACE = make_run(f"sub-01_task-x_run-1_space-{SPACE}")


def save_image(path: Path, voxels: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.arange(voxels**3, dtype=np.float32).reshape((voxels,) * 3)
    nb.save(nb.Nifti1Image(data, np.diag([8, 8, 8, 1])), path)
    return path


@pytest.fixture
def folder(template_home: Path) -> Path:
    """Return the folder of a template of which nothing was downloaded yet."""
    (template_home / f"tpl-{SPACE}").mkdir(parents=True)
    for name in ("res-01_T1w", "res-02_T1w", "res-02_desc-brain_mask"):
        (template_home / f"tpl-{SPACE}" / f"tpl-{SPACE}_{name}.nii.gz").touch()
    return template_home / f"tpl-{SPACE}"


def notices(run: RunPlan = IN_SPACE) -> list[str]:
    """Return what is told of the templates of a participant with one run."""
    plan = make_plan((run,), (make_group(run.key, (run,)),))
    return [notice.text for notice in template_notices(plan)]


def test_an_archive_without_the_space_has_no_template(template_home: Path) -> None:
    template_home.mkdir()
    assert find_template(IN_SPACE) is None
    assert list(template_home.iterdir()) == []


def test_the_coarsest_template_is_found_that_was_downloaded_before(folder: Path) -> None:
    save_image(folder / f"tpl-{SPACE}_res-01_T1w.nii.gz", voxels=8)
    wanted = save_image(folder / f"tpl-{SPACE}_res-02_T1w.nii.gz")
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    assert find_anatomy(IN_SPACE) == wanted
    assert {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")} == before
    assert notices() == []


def test_a_part_of_the_head_is_no_template(folder: Path) -> None:
    save_image(folder / f"tpl-{SPACE}_res-02_desc-brain_T1w.nii.gz")
    assert find_template(IN_SPACE) is None


def test_a_cohort_has_its_own_template(folder: Path) -> None:
    wanted = folder / "cohort-2" / f"tpl-{SPACE}_cohort-2_res-1_T1w.nii.gz"
    for path in (Path(str(wanted).replace("cohort-2", "cohort-1")), wanted):
        save_image(path)
    run = make_run(f"sub-01_task-x_run-1_space-{SPACE}_cohort-2")
    assert find_template(run) == wanted
    assert find_template(IN_SPACE) is None


@pytest.mark.parametrize("stem", ["sub-01_task-x_run-1_space-T1w", "sub-01_task-x_run-1"])
def test_the_participants_own_space_has_no_template(folder: Path, stem: str) -> None:
    save_image(folder.parent / "tpl-T1w" / "tpl-T1w_res-02_T1w.nii.gz")
    assert find_template(make_run(stem)) is None
    assert notices(make_run(stem)) == []


def test_the_participants_own_anatomy_comes_first(folder: Path, tmp_path: Path) -> None:
    save_image(folder / f"tpl-{SPACE}_res-02_T1w.nii.gz")
    own = replace(IN_SPACE, source=replace(IN_SPACE.source, t1w=tmp_path / "t1w.nii.gz"))
    (tmp_path / "t1w.nii.gz").touch()
    assert find_anatomy(own) == tmp_path / "t1w.nii.gz"


def test_an_anatomy_that_is_not_there_any_more_is_done_without(tmp_path: Path) -> None:
    run = make_run("sub-01_task-x_run-1_space-T1w", t1w=tmp_path / "t1w.nii.gz")
    assert find_anatomy(run) is None


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"HOME": "home"}, "home/.cache/templateflow"),
        ({"HOME": "home", "XDG_CACHE_HOME": "cache"}, "cache/templateflow"),
        ({"HOME": "home", "TEMPLATEFLOW_HOME": "named"}, "named"),
    ],
)
def test_archive_is_where_templateflow_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    name = f"tpl-{SPACE}/tpl-{SPACE}_res-02_T1w.nii.gz"
    wanted = save_image(tmp_path / place / name)
    assert find_template(IN_SPACE) == wanted


def test_without_a_home_there_is_no_archive_and_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOME")
    assert find_template(IN_SPACE) is None
    assert notices() == []


def damage(folder: Path) -> str:
    """Cut an image short."""
    path = save_image(folder / f"tpl-{SPACE}_res-02_T1w.nii.gz")
    path.write_bytes(path.read_bytes()[:-30])
    return f"{path.name} cannot be read as an image"


def unlink(folder: Path) -> str:
    """Leave links to what was never fetched, as DataLad does."""
    for path in folder.iterdir():
        path.unlink()
        path.symlink_to(f".git/annex/objects/{path.name}")
    return "no such image was downloaded to it before, and nothing is downloaded now"


def keep(_folder: Path) -> str:
    """Leave the empty files that stand for what was never downloaded."""
    return "no such image was downloaded to it before, and nothing is downloaded now"


def replace_by_a_file(folder: Path) -> str:
    """Put a file where the archive should be."""
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.parent.rmdir()
    folder.parent.touch()
    return "it cannot be read (Not a directory)"


@pytest.mark.parametrize("spoil", [damage, unlink, keep, replace_by_a_file])
def test_a_named_archive_that_cannot_be_used_is_told_and_done_without(
    folder: Path, spoil: Callable[[Path], str]
) -> None:
    reason = spoil(folder)
    assert find_anatomy(IN_SPACE) is None
    (told,) = notices()
    assert told.startswith(
        f"TEMPLATEFLOW_HOME names {folder.parent}, from which no T1w image of {SPACE} can be "
        "shown behind the maps: "
    )
    assert reason in told


def test_a_damaged_template_leaves_the_next_one(folder: Path) -> None:
    damage(folder)
    wanted = save_image(folder / f"tpl-{SPACE}_res-01_T1w.nii.gz", voxels=8)
    assert find_anatomy(IN_SPACE) == wanted


def test_an_archive_that_may_not_be_read_is_told_and_done_without(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(folder / f"tpl-{SPACE}_res-02_T1w.nii.gz")
    for name in ("stat", "listdir", "scandir"):
        real = getattr(os, name)

        def guarded(path: object = ".", *args: object, real=real, **options: object) -> object:
            if str(path).startswith(str(folder.parent)):
                raise PermissionError(13, "Permission denied")
            return real(path, *args, **options)

        monkeypatch.setattr(os, name, guarded)
    assert find_anatomy(IN_SPACE) is None
    (told,) = notices()
    assert told.endswith(": it cannot be read (Permission denied).")
