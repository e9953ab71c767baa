"""Templates in the container: those of the image, or an archive that is mounted over them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nilearn.datasets import load_mni152_template

from tests.containers import Image
from tests.synthetic import DatasetSpec, make_dataset

pytestmark = pytest.mark.image

SPACE = "MNI152NLin2009cAsym"
NAME = f"tpl-{SPACE}_res-02_T1w.nii.gz"
FETCHED = r"tpl-MNI152NLin(2009c|6)Asym_res-0[12]_(T1w|desc-brain_mask)\.nii\.gz"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "templateflow"
    (folder / f"tpl-{SPACE}").mkdir(parents=True)
    load_mni152_template(resolution=6).to_filename(folder / f"tpl-{SPACE}" / NAME)
    return folder


def test_templates_of_the_image_are_whole_files_that_anybody_may_read(image: Image) -> None:
    # Fetching ends with the first that cannot be had: there may be any number, even none.
    code = (
        "import gzip, nibabel as nb\n"
        "from pathlib import Path\n"
        "for path in Path('/opt/templateflow').rglob('*.nii.gz'):\n"
        "    image = nb.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))\n"
        "    print(path.name, image.get_fdata().ndim)"  # fails for less than the header says
    )
    for line in image.python(code).splitlines():
        assert re.fullmatch(rf"{FETCHED} 3", line)


def test_a_mounted_archive_gives_the_background_of_reports(
    image: Image, archive: Path, tmp_path: Path
) -> None:
    truth = make_dataset(tmp_path / "data", DatasetSpec(effects={"face": 1.0}))
    done = image.run(
        *("/data", "/out", "participant", "--noise-model", "ols", "--nprocs", "1"),
        data=truth.bids_dir,
        out=tmp_path / "out",
        flags=("-v", f"{archive}:/opt/templateflow:ro"),
    )
    assert done.returncode == 0, done.stderr
    assert f"the anatomy, {NAME}" in (tmp_path / "out" / "sub-01.html").read_text()
