"""The anatomy behind combined maps: the participant's, a template's, or none; no network."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.reports.anatomy import find_anatomy, find_template
from tests.small_plans import make_run

SPACE = "MNI152NLin2009cAsym"


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """Return a TemplateFlow archive with one image and one that was never downloaded."""
    folder = tmp_path / "templateflow" / f"tpl-{SPACE}"
    folder.mkdir(parents=True)
    (folder / "template_description.json").write_text(json.dumps({"Identifier": SPACE}))
    image = nb.Nifti1Image(np.ones((4, 4, 4), np.float32), np.diag([8, 8, 8, 1]))
    nb.save(image, folder / f"tpl-{SPACE}_res-02_T1w.nii.gz")
    (folder / f"tpl-{SPACE}_res-01_T1w.nii.gz").touch()
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    return folder


def test_a_space_without_an_archive_has_no_template(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    assert find_template(SPACE) is None
    assert list(tmp_path.iterdir()) == []


def test_a_template_is_found_that_was_downloaded_before(archive):
    # TemplateFlow reads the place of its archive when it is imported.
    code = f"from bids_fx.reports.anatomy import find_template; print(find_template('{SPACE}'))"
    before = sorted(archive.parent.rglob("*"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == archive / f"tpl-{SPACE}_res-02_T1w.nii.gz"
    assert sorted(archive.parent.rglob("*")) == before


def test_the_participants_own_space_has_no_template(archive):
    assert find_template("T1w") is None


def test_the_participants_own_anatomy_comes_first(archive, tmp_path):
    run = make_run(f"sub-01_task-x_run-1_space-{SPACE}")
    own = replace(run, source=replace(run.source, t1w=tmp_path / "t1w.nii.gz"))
    (tmp_path / "t1w.nii.gz").touch()
    assert find_anatomy(own) == tmp_path / "t1w.nii.gz"


def test_an_anatomy_that_is_not_there_any_more_is_done_without(tmp_path):
    run = make_run("sub-01_task-x_run-1_space-T1w", t1w=tmp_path / "t1w.nii.gz")
    assert find_anatomy(run) is None
