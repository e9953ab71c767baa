"""Names of regions, from made-up atlases."""

from __future__ import annotations

from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

from bids_fx.records import RunPlan
from bids_fx.reports.atlases import Atlas, find_atlas
from tests.small_plans import make_run

#: Voxels of 2 mm from (-10, -20, 0) on.
AFFINE = np.array([[2.0, 0, 0, -10.0], [0, 2.0, 0, -20.0], [0, 0, 2.0, 0.0], [0, 0, 0, 1.0]])
SPACE = "MNI152NLin2009cAsym"


def write_part(folder: Path, stem: str, regions: dict[int, str], table: str | None = None) -> None:
    """Write an image of slabs along x, two voxels each in the order of the numbers, and names."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.zeros((10, 4, 3), np.int16)
    for index, number in enumerate(regions):
        values[2 * index : 2 * index + 2] = number
    nb.save(nb.Nifti1Image(values, AFFINE), folder / f"{stem}_dseg.nii.gz")
    lines = [f"{number}\t{name}\t#000000" for number, name in regions.items() if name]
    text = "\n".join(["index\tname\tcolor", *lines]) + "\n"
    (folder / f"{table or stem}_dseg.tsv").write_text(text)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a template in an archive of its own."""
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    folder = tmp_path / f"tpl-{SPACE}"
    folder.mkdir()
    return folder


def in_space(**source: object) -> RunPlan:
    return make_run(f"sub-01_task-x_run-1_space-{SPACE}", **source)


def atlas_of(run: RunPlan) -> Atlas:
    found = find_atlas(run)
    assert found is not None
    return found


def test_region_is_that_of_the_nearest_voxel(archive: Path) -> None:
    write_part(archive, f"tpl-{SPACE}_res-02_atlas-HOCPA_desc-th25", {3: "Pole", 12: "Gyrus  2"})
    places = [(-10.0, -20.0, 0.0), (-7.1, -20.9, 0.9), (-6.9, -20.0, 0.0), (-3.9, -14.0, 4.0)]
    expected = ["Pole", "Pole", "Gyrus 2", "Gyrus 2"]
    assert atlas_of(in_space()).regions(places) == expected


def test_outside_of_regions_and_of_the_image_there_is_none(archive: Path) -> None:
    # Number 5 has no name in the table, 0 is outside.
    write_part(archive, f"tpl-{SPACE}_res-02_atlas-HOCPA_desc-th25", {3: "Pole", 5: ""})
    places = [(-6.0, -20.0, 0.0), (0.0, -20.0, 0.0), (-10.0, -22.0, 0.0), (-10.0, -20.0, 50.0)]
    assert atlas_of(in_space()).regions(places) == [None] * 4


def test_what_the_cortex_does_not_name_the_other_part_may(archive: Path) -> None:
    stem = f"tpl-{SPACE}_res-02_atlas"
    write_part(archive, f"{stem}-HOCPA_desc-th25", {3: "Pole"}, f"tpl-{SPACE}_atlas-HOCPA")
    write_part(archive, f"{stem}-HOSPA_desc-th25", {1: "White", 2: "Thalamus"})
    atlas = atlas_of(in_space())
    assert atlas.regions([(-10.0, -20.0, 0.0), (-6.0, -20.0, 0.0)]) == ["Pole", "Thalamus"]
    assert atlas.name == "Harvard-Oxford (25 % maximum probability), HOCPA, HOSPA"


def test_files_that_were_never_downloaded_do_not_count(archive: Path) -> None:
    for kind in ("dseg.nii.gz", "dseg.tsv"):
        (archive / f"tpl-{SPACE}_res-01_atlas-HOCPA_desc-th25_{kind}").touch()
    assert find_atlas(in_space()) is None
    stem = f"tpl-{SPACE}_res-02_atlas-Schaefer2018_desc-400Parcels7Networks"
    write_part(archive, stem, {1: "7Networks_LH_Vis_1"})
    assert atlas_of(in_space()).name.startswith("Schaefer 2018")


def test_participants_own_segmentation_comes_first(archive: Path, tmp_path: Path) -> None:
    write_part(archive, f"tpl-{SPACE}_res-02_atlas-HOCPA_desc-th25", {3: "Pole"})
    write_part(tmp_path, "sub-01_desc-aparcaseg", {1022: "ctx-lh-postcentral"}, "desc-aparcaseg")
    image = tmp_path / "sub-01_desc-aparcaseg_dseg.nii.gz"
    run = in_space(segmentation=(image, tmp_path / "desc-aparcaseg_dseg.tsv"))
    atlas = atlas_of(run)
    assert atlas.regions([(-10.0, -20.0, 0.0)]) == ["ctx-lh-postcentral"]
    assert atlas.name == f"the participant's own segmentation, {image.name}"


@pytest.mark.parametrize("space", ["T1w", "MNI152NLin6Asym"])
def test_other_spaces_have_no_atlas(archive: Path, space: str) -> None:
    write_part(archive, f"tpl-{SPACE}_res-02_atlas-HOCPA_desc-th25", {3: "Pole"})
    assert find_atlas(make_run(f"sub-01_task-x_run-1_space-{space}")) is None
    assert find_atlas(make_run("sub-01_task-x_run-1")) is None


def test_a_damaged_table_is_an_error_that_names_it(archive: Path) -> None:
    stem = f"tpl-{SPACE}_res-02_atlas-HOCPA_desc-th25"
    write_part(archive, stem, {3: "Pole"})
    for text in ("\n", "number\tname\n3\tPole\n", "index\tname\nx\tPole\n", "index\tname\n3\n"):
        (archive / f"{stem}_dseg.tsv").write_text(text)
        with pytest.raises(OSError, match=f"{stem}_dseg.tsv is no table of regions"):
            atlas_of(in_space()).regions([(0.0, 0.0, 0.0)])
