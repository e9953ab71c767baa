"""Reports with and without a template of the standard space; nothing ever asks for the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_fx.cli.run import main
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.e2e

SPACE = "MNI152NLin2009cAsym"
IMAGE = f"tpl-{SPACE}/tpl-{SPACE}_res-02_T1w.nii.gz"


@pytest.fixture
def home(template_home: Path) -> Path:
    """Return a TemplateFlow archive of which nothing was downloaded."""
    image = template_home / IMAGE
    image.parent.mkdir(parents=True)
    image.touch()
    return template_home


def report(tmp_path: Path) -> str:
    """Run two runs of one condition in this process; return the report."""
    truth = make_dataset(tmp_path / "data", DatasetSpec(effects={"face": 1.0}))
    options = ("--noise-model", "ols", "--nprocs", "1", "--skip-bids-validation")
    assert main([str(truth.bids_dir), str(tmp_path / "out"), "participant", *options]) == 0
    return (tmp_path / "out" / "sub-01.html").read_text()


def test_template_is_shown_behind_combined_maps(tmp_path: Path, home: Path) -> None:
    from nilearn.datasets import load_mni152_template

    load_mni152_template(resolution=6).to_filename(home / IMAGE)
    text = report(tmp_path)
    assert f"the anatomy, {Path(IMAGE).name}" in text
    assert "TEMPLATEFLOW_HOME" not in text


def test_report_is_made_without_a_template_and_says_so(tmp_path: Path, home: Path) -> None:
    text = report(tmp_path)
    assert "(for the combined map, the first run" in text
    assert f"from which no T1w image of {SPACE} can be shown behind the maps" in text
