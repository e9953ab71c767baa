"""Figures and tables of contrasts from published files: names, rows, maps made beforehand."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nb
import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm, t

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import drawn_maps, read_clusters
from bids_fx.derivatives.influence import write_influence
from bids_fx.glm.tails import t_statistics
from bids_fx.records import Plan
from bids_fx.report_settings import ReportSettings, Threshold
from bids_fx.reports import contrast_figures, maps
from bids_fx.reports.contrast_figures import draw_group_contrast
from bids_fx.reports.figures import StatRow
from bids_fx.reports.figures.forest import ForestPeak
from bids_fx.reports.thresholds import z_cutoff
from bids_fx.reports.titles import run_title
from tests.small_plans import (
    AFFINE,
    ANY,
    FACE,
    SHAPE,
    influence_row,
    make_group,
    make_plan,
    make_run,
    make_run_maps,
    publish_maps,
    write_map,
)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[StatRow]:
    """Return the list of the rows that are drawn; filled when they are."""
    drawn: list[StatRow] = []
    draw = contrast_figures.draw_statmaps

    def record(given: list[StatRow], **options: object):
        drawn.extend(given)
        return draw(given, **options)

    monkeypatch.setattr(contrast_figures, "draw_statmaps", record)
    return drawn


def draw_first(plan: Plan, out_dir: Path, label: str = "face") -> tuple[Path, Path]:
    """Return the map figure and the cluster table of the first group's contrast."""
    drawn = draw_group_contrast(plan, plan.groups[0], label, out_dir)
    return drawn["z"], drawn["clusters"]


def test_contrast_is_drawn_and_its_clusters_listed_where_the_plan_has_them(
    tmp_path: Path,
) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    figure, clusters = draw_first(plan, tmp_path, "faceGthouse")
    assert figure == tmp_path / paths.group_figures(plan.groups[0])["faceGthouse"]["z"]
    assert clusters == tmp_path / paths.group_clusters(plan.groups[0])["faceGthouse"]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_combined_map_comes_first_and_then_the_runs_that_enter_it(
    tmp_path: Path, rows: list[StatRow]
) -> None:
    runs = (
        make_run("sub-01_task-x_run-1"),
        make_run("sub-01_task-x_run-2", reasons={"face": "no event"}),
        make_run("sub-01_task-x_run-3"),
    )
    plan = make_plan(runs)
    publish_maps(plan, tmp_path, combined=8.0, runs=(5.0, 6.0, 7.0))
    draw_first(plan, tmp_path)
    assert [row.name for row in rows] == ["combined (2 runs)", "run-1", "run-3"]
    assert [np.nanmax(row.z) for row in rows] == [8.0, 5.0, 7.0]
    assert all(row.background is not None for row in rows)


def test_clusters_are_those_of_the_combined_map_with_its_effects(tmp_path: Path) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path, combined=8.0)
    _, path = draw_first(plan, tmp_path)
    found = read_clusters(path)
    assert [(name, cluster.peak_z) for name, cluster in found] == [
        ("combined", 8.0),
        ("combined", -4.0),
    ]
    assert found[0][1].effect == pytest.approx(0.8, rel=1e-6)  # float32 on disk


def test_clusters_of_an_f_contrast_have_no_effect_and_no_effect_map_is_read(
    tmp_path: Path,
) -> None:
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(ANY,)) for i in (1, 2)]
    for not_written in (None, "the filters left out run 3"):
        group = make_group("sub-01_task-x", runs, not_written=not_written)
        plan = make_plan(runs, (group,))
        publish_maps(plan, tmp_path)
        for path in tmp_path.rglob("*stat-effect*"):
            path.unlink()
        _, path = draw_first(plan, tmp_path, "any")
        found = read_clusters(path)
        assert found
        assert all(np.isnan(cluster.effect) for _, cluster in found)


def test_figure_of_an_f_contrast_says_so_and_starts_at_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan([make_run("sub-01_task-x_run-1", contrasts=(FACE, ANY))])
    publish_maps(plan, tmp_path)
    asked = []
    draw = contrast_figures.draw_statmaps

    def record(rows: list[StatRow], **options: object):
        asked.append((options["title"], options["one_sided"]))
        return draw(rows, **options)

    monkeypatch.setattr(contrast_figures, "draw_statmaps", record)
    draw_first(plan, tmp_path, "face")
    draw_first(plan, tmp_path, "any")
    assert asked == [
        ("face   ·   task-x", False),
        ("any   ·   F test   ·   task-x", True),
    ]


def test_z_of_an_f_test_made_beforehand_is_computed_from_its_covariance(tmp_path: Path) -> None:
    run = make_run_maps(tmp_path, "sub-01_task-x_run-1", effect=0.0, variance=1.0, dof=20.0)
    files = {stat: tmp_path / f"{stat}.nii.gz" for stat in ("effect", "covariance")}
    write_map(files["effect"], np.broadcast_to([3.0, 2.0], (*SHAPE, 2)))
    write_map(files["covariance"], np.broadcast_to([1.0, 0.0, 1.0], (*SHAPE, 3)))
    source = replace(run.source, maps={"face": files}, rows={"face": 2})
    z = maps.run_z(replace(run, source=source), "face", tmp_path).data
    # F = (9 + 4) / 2 with 2 and 20 degrees of freedom: p = (1 + 2 F / 20)^-10
    p = (1 + 2 * 6.5 / 20) ** -10
    np.testing.assert_allclose(z, norm.isf(p / 2), rtol=1e-9)


def test_group_that_is_not_written_shows_the_runs_alone(
    tmp_path: Path, rows: list[StatRow]
) -> None:
    runs = (make_run("sub-01_task-x_run-1"), make_run("sub-01_task-x_run-2"))
    group = make_group("sub-01_task-x", runs, not_written="the filters left out run 3")
    plan = make_plan(runs, (group,))
    publish_maps(plan, tmp_path)
    _, path = draw_first(plan, tmp_path)
    assert [row.name for row in rows] == ["run-1", "run-2"]
    assert [(name, cluster.peak_z) for name, cluster in read_clusters(path)] == [
        ("task-x_run-1", 5.0),
        ("task-x_run-1", -4.0),
        ("task-x_run-2", 6.0),
        ("task-x_run-2", -4.0),
    ]


def test_lone_run_that_is_the_combined_result_has_one_row(
    tmp_path: Path, rows: list[StatRow]
) -> None:
    runs = (make_run("sub-01_task-x"),)
    group = make_group("sub-01_task-x", runs, not_written="the only run stands for it")
    plan = make_plan(runs, (group,))
    publish_maps(plan, tmp_path)
    draw_first(plan, tmp_path)
    assert [row.name for row in rows] == ["single run"]


def test_runs_are_told_apart_by_the_entities_that_their_group_lacks() -> None:
    run = make_run("sub-01_ses-2_task-x_run-1_space-T1w")
    assert run_title(run, make_group("sub-01_task-x_space-T1w", [run])) == "ses-2 run-1"


@pytest.fixture
def peaks(monkeypatch: pytest.MonkeyPatch) -> list[ForestPeak]:
    """Return the list of the peaks that are drawn; filled when they are."""
    drawn: list[ForestPeak] = []
    draw = contrast_figures.draw_forest

    def record(given: list[ForestPeak], **options: object):
        drawn.extend(given)
        return draw(given, **options)

    monkeypatch.setattr(contrast_figures, "draw_forest", record)
    return drawn


def test_forest_has_each_runs_interval_and_the_combined_one(
    tmp_path: Path, peaks: list[ForestPeak]
) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    draw_first(plan, tmp_path)
    (peak,) = peaks
    assert (peak.name, peak.xyz, peak.z) == ("Positive peak", (3.0, -1.0, 0.0), 8.0)
    assert peak.text == "Q = 4.00 (1 df), p = 0.062 by Welch's F, I² = 75 %"
    assert [line.name for line in peak.lines] == ["run-1", "run-2"]
    for line in peak.lines:
        assert (line.effect, line.weight, line.z_without) == (1.5, 0.75, 5.5)
        assert line.half_width == pytest.approx(0.25 * t.ppf(0.975, 35.5), rel=1e-12)
    # z / 10 of the combined map, a variance of 1/16 and 60 degrees of freedom
    assert peak.combined.effect == pytest.approx(0.8, rel=1e-6)
    assert peak.combined.half_width == pytest.approx(0.25 * t.ppf(0.975, 60), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "drawn"), [("façade - [house]", "façade - [house]"), ("人脸 - 0", "contrast-face")]
)
def test_pictures_of_pixels_have_the_files_label_where_the_font_lacks_a_letter_of_the_name(
    name: str, drawn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {}

    def record(kind: str) -> None:
        draw = getattr(contrast_figures, f"draw_{kind}")

        def recorded(*args: object, title: str, **options: object) -> object:
            titles[kind] = title.split("   ·   ", maxsplit=1)[0]
            return draw(*args, title=title, **options)

        monkeypatch.setattr(contrast_figures, f"draw_{kind}", recorded)

    for kind in ("statmaps", "heterogeneity", "forest"):
        record(kind)
    plan = make_plan()
    (group,) = plan.groups
    face, *others = group.contrasts
    face = replace(face, contrast=replace(face.contrast, name=name))
    plan = replace(plan, groups=(replace(group, contrasts=(face, *others)),))
    publish_maps(plan, tmp_path)
    draw_first(plan, tmp_path)
    assert titles == {"statmaps": drawn, "heterogeneity": drawn, "forest": name}


def test_forest_of_both_peaks_has_the_values_of_each(
    tmp_path: Path, peaks: list[ForestPeak]
) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    group, names = plan.groups[0], [str(run.entities) for run in plan.runs]
    # The negative voxel (5, 6, 4) of z = -4; the second run has no result there.
    low = {"peak": "negative", "x": -6.0, "y": 8.0, "z": 8.0, "z_all": -4.0}
    gone = {"effect": np.nan, "standard_error": np.nan, "dof": np.nan, "weight": 0.0}
    rows = [influence_row(name) for name in names]
    rows += [influence_row(names[0], **low), influence_row(names[1], **low | gone)]
    write_influence(plan, group, group.contrasts[0], rows, tmp_path)
    draw_first(plan, tmp_path)
    assert [peak.combined.effect for peak in peaks] == pytest.approx([0.8, -0.4], rel=1e-6)
    assert peaks[1].xyz == (-6.0, 8.0, 8.0)
    assert peaks[1].text == "one run alone has a result here"
    assert np.isnan(peaks[1].lines[1].effect)


def test_contrasts_without_several_effects_have_neither_forest_nor_heterogeneity(
    tmp_path: Path,
) -> None:
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(FACE, ANY)) for i in (1, 2)]
    alone = make_group("sub-01_task-x", runs[:1])
    left_out = make_group("sub-01_task-x", runs, not_written="the filters left out run 3")
    both = make_group("sub-01_task-x", runs)
    for group, label, kinds in (
        (both, "face", {"z", "isq", "forest"}),
        (both, "any", {"z"}),
        (alone, "face", {"z"}),
        (left_out, "face", {"z"}),
    ):
        plan = make_plan(runs, (group,))
        publish_maps(plan, tmp_path)
        drawn = draw_group_contrast(plan, group, label, tmp_path)
        assert drawn.keys() == {*kinds, "clusters", "sidecar"}
        assert all(file.is_file() for file in drawn.values())


def test_map_of_heterogeneity_has_the_cuts_of_the_combined_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}
    for name in ("draw_statmaps", "draw_heterogeneity"):
        draw = getattr(contrast_figures, name)

        def record(*given: object, name: str = name, draw=draw, **options: object):
            asked[name] = options
            return draw(*given, **options)

        monkeypatch.setattr(contrast_figures, name, record)
    plan = make_plan()
    publish_maps(plan, tmp_path)
    draw_first(plan, tmp_path)
    cuts = asked["draw_heterogeneity"]["cuts"]
    assert asked["draw_statmaps"]["cuts"] == cuts
    assert 0.0 in cuts  # the peak's
    assert asked["draw_heterogeneity"]["cutoff"] == pytest.approx(3.2905, abs=1e-4)


def test_sidecar_of_clusters_tells_the_peak_of_each_map(tmp_path: Path) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    path = tmp_path / paths.statmap(plan.runs[1].entities, "face", "z")
    z = np.full((6, 7, 5), 0.5)
    z[4, 1, 3], z[2, 3, 2], z[0, 0, 1] = 6.5, 2.25, -5.0
    write_map(path, z)
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    told = json.loads(drawn["sidecar"].read_text())["Peaks"]
    place, second, lowest = [3.0, -1.0, 0.0], [-3.0, -7.0, 4.0], [-6.0, 8.0, 8.0]
    assert {key: tuple(one.values()) for key, one in told.items()} == {
        "combined": (lowest, -4.0, place, 2, 8.0, 8.0),
        "task-x_run-1": (lowest, -4.0, place, 2, 5.0, 5.0),
        "task-x_run-2": ([9.0, -10.0, -4.0], -5.0, second, 2, 6.5, 2.25),
    }
    write_map(path, np.zeros((6, 7, 5)))
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    assert json.loads(drawn["sidecar"].read_text())["Peaks"]["task-x_run-2"] == {"Z": None}
    numbers = drawn_maps(plan.groups[0], "face", tmp_path)
    assert numbers["task-x_run-2"].peak_z is None
    assert numbers["task-x_run-1"].xyz == tuple(place)
    assert numbers["task-x_run-1"].lowest_xyz == tuple(lowest)


@pytest.mark.parametrize("correction", ["uncorrected", "fdr", "bonferroni"])
def test_sidecar_of_clusters_tells_the_threshold_and_each_maps_cutoff(
    tmp_path: Path, correction: str
) -> None:
    threshold = Threshold(correction=correction, error_rate=0.002)
    plan = make_plan(report=ReportSettings(threshold=threshold))
    publish_maps(plan, tmp_path)
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    told = json.loads(drawn["sidecar"].read_text())
    assert drawn["sidecar"] == drawn["clusters"].with_suffix(".json")
    z = maps.combined(plan.groups[0], "face", "z", tmp_path).data
    assert told["Threshold"] == {
        "Correction": correction,
        "ErrorRate": 0.002,
        "Tails": "two-sided",
        "Z": {
            "combined": z_cutoff(z, threshold),
            **{
                run.key: z_cutoff(maps.run_z(run, "face", tmp_path).data, threshold)
                for run in plan.runs
            },
        },
    }
    assert told["Connectivity"] == 6
    assert told["effect"]["Units"] == "percent signal change"
    assert {"map", *"xyz", "peak_z", "size_mm3", "n_voxels", "region"} <= told.keys()
    assert "Atlas" not in told
    lowest = min(abs(cluster.peak_z) for _, cluster in read_clusters(drawn["clusters"]))
    assert lowest > z_cutoff(z, threshold)


def test_where_no_voxel_survives_there_is_no_cluster_and_the_sidecar_has_no_cutoff(
    tmp_path: Path,
) -> None:
    threshold = Threshold(correction="fdr", error_rate=1e-30)
    plan = make_plan(report=ReportSettings(threshold=threshold))
    publish_maps(plan, tmp_path)
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    assert read_clusters(drawn["clusters"]) == []
    assert json.loads(drawn["sidecar"].read_text())["Threshold"]["Z"]["combined"] is None


def test_clusters_have_the_regions_of_the_participants_segmentation(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.int16)
    labels[2, 3, 2] = 17
    image, table = tmp_path / "a_dseg.nii.gz", tmp_path / "a_dseg.tsv"
    nb.save(nb.Nifti1Image(labels, AFFINE), image)
    table.write_text("index\tname\n17\tLeft-Hippocampus\n")
    runs = [
        make_run(f"sub-01_task-x_run-{i}_space-T1w", segmentation=(image, table)) for i in (1, 2)
    ]
    plan = make_plan(runs, (make_group("sub-01_task-x_space-T1w", runs),))
    publish_maps(plan, tmp_path)
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    regions = [cluster.region for _, cluster in read_clusters(drawn["clusters"])]
    assert regions == ["Left-Hippocampus", None]
    told = json.loads(drawn["sidecar"].read_text())
    assert told["Atlas"] == "the participant's own segmentation, a_dseg.nii.gz"
    table.write_text("damaged")
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    assert {cluster.region for _, cluster in read_clusters(drawn["clusters"])} == {None}
    told = json.loads(drawn["sidecar"].read_text())
    assert "a_dseg.tsv is no table of regions" in told["RegionsLeftOut"]


def test_the_same_maps_give_the_same_bytes(tmp_path: Path) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    contents = [
        [file.read_bytes() for file in draw_group_contrast(*where).values()]
        for where in [(plan, plan.groups[0], "face", tmp_path)] * 2
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "$x$ & {y}", "Gesichter größer 脸", "long " * 40]
)
def test_any_name_of_a_contrast_is_drawn_as_text(tmp_path: Path, name: str) -> None:
    contrast = replace(FACE, name=name)
    runs = [make_run(f"sub-01_task-x_run-{i}", contrasts=(contrast,)) for i in (1, 2)]
    plan = make_plan(runs)
    publish_maps(plan, tmp_path)
    drawn = draw_group_contrast(plan, plan.groups[0], "face", tmp_path)
    texts = [text.text or "" for text in ElementTree.parse(drawn["forest"]).iter()]
    shown = next(text for text in texts if text.startswith(name[:20].strip()))
    assert len(shown) <= 95
    with Image.open(drawn["z"]) as image:
        assert image.width == 1400


def test_outline_of_the_plan_is_enough(tmp_path: Path) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    figure, _ = draw_first(plan.outline(), tmp_path)
    first = figure.read_bytes()
    assert draw_first(plan, tmp_path)[0].read_bytes() == first


def test_each_map_is_read_as_often_as_it_is_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    read = []
    read_volume = maps.read_volume

    def record(path: Path) -> maps.Volume:
        read.append(path.name)
        return read_volume(path)

    monkeypatch.setattr(maps, "read_volume", record)
    draw_first(plan, tmp_path)
    group, runs = plan.groups[0].entities, [run.entities for run in plan.runs]
    # Runs' maps are let go and read again, so that memory does not grow with their number.
    assert Counter(read) == {
        paths.statmap(group, "face", "z").name: 1,
        paths.statmap(group, "face", "effect").name: 2,
        paths.statmap(group, "face", "isq").name: 2,
        **{paths.statmap(group, "face", stat).name: 1 for stat in ("variance", "dof", "q", "qp")},
        **{paths.statmap(run, "face", "z").name: 2 for run in runs},
        paths.mean_image(runs[0]).name: 3,  # behind the combined map and its I² too
        paths.mean_image(runs[1]).name: 1,
    }


def test_anatomy_behind_the_combined_map_keeps_its_own_grid(
    tmp_path: Path, rows: list[StatRow]
) -> None:
    nb.save(nb.Nifti1Image(np.ones((9, 8, 7), np.float32), np.eye(4)), tmp_path / "t1w.nii.gz")
    plan = make_plan()
    runs = tuple(
        replace(run, source=replace(run.source, t1w=tmp_path / "t1w.nii.gz")) for run in plan.runs
    )
    plan = replace(plan, runs=runs)
    publish_maps(plan, tmp_path)
    draw_first(plan, tmp_path)
    shapes = [row.background().data.shape for row in rows if row.background is not None]
    assert shapes == [(9, 8, 7), SHAPE, SHAPE]


def test_missing_map_is_an_error_that_names_it(tmp_path: Path) -> None:
    plan = make_plan()
    publish_maps(plan, tmp_path)
    absent = tmp_path / paths.statmap(plan.runs[1].entities, "face", "z")
    absent.unlink()
    with pytest.raises(FileNotFoundError, match=absent.name):
        draw_first(plan, tmp_path)


@pytest.mark.parametrize("dof", [20.0, None], ids=["dof of the sidecar", "dof map"])
def test_z_of_maps_made_beforehand_is_computed_from_them(
    tmp_path: Path, dof: float | None
) -> None:
    run = make_run_maps(tmp_path, "sub-01_task-x_run-1", effect=-6.0, variance=4.0, dof=dof)
    z = maps.run_z(run, "face", tmp_path).data
    expected = t_statistics(-6.0, 4.0, dof or 12.0).z
    assert np.isnan(z[0, 0, 0])
    # float32 on disk keeps these numbers exactly
    np.testing.assert_array_equal(z[1:], expected)


def test_maps_made_beforehand_are_drawn_without_background(
    tmp_path: Path, rows: list[StatRow]
) -> None:
    runs = [
        make_run_maps(tmp_path, f"sub-01_task-x_run-{i}", effect=8.0, variance=1.0, dof=20.0)
        for i in (1, 2)
    ]
    plan = make_plan(runs)
    publish_combined = replace(plan, runs=())
    publish_maps(publish_combined, tmp_path)
    draw_first(plan, tmp_path)
    assert [row.background for row in rows] == [None, None, None]


def test_map_with_a_fourth_axis_of_one_is_read(tmp_path: Path) -> None:
    write_map(tmp_path / "a.nii.gz", np.ones((*SHAPE, 1)))
    assert maps.read_volume(tmp_path / "a.nii.gz").data.shape == SHAPE


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
@pytest.mark.parametrize("kind", [nb.Nifti1Image, nb.Nifti2Image])
def test_values_and_affine_are_read_of_any_nifti_file(tmp_path: Path, name: str, kind) -> None:
    values = np.random.default_rng(2).integers(-500, 500, SHAPE).astype(np.int16)
    image = kind(values, AFFINE)
    image.header.set_slope_inter(0.5, 3.0)
    nb.save(image, tmp_path / name)
    volume = maps.read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.data, nb.load(tmp_path / name).get_fdata())
    np.testing.assert_array_equal(volume.affine, AFFINE)


def test_file_that_is_no_image_is_an_error_that_names_it(tmp_path: Path) -> None:
    for content in (b"", b"x" * 1000, gzip.compress(b"x" * 1000), b"\x1f\x8b" + b"x" * 1000):
        path = tmp_path / "a_statmap.nii.gz"
        path.write_bytes(content)
        with pytest.raises(OSError, match="a_statmap"):
            maps.read_volume(path)


def test_damaged_map_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a_statmap.nii.gz"
    write_map(path, np.random.default_rng(0).standard_normal(SHAPE))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(OSError, match="a_statmap"):
        maps.read_volume(path)


def test_peak_is_the_largest_value_and_not_the_largest_absolute_one() -> None:
    values = np.zeros(SHAPE)
    values[1, 2, 3], values[4, 4, 4] = 2.0, -9.0
    peak = maps.find_peak(values, np.diag([2.0, 3.0, 4.0, 1.0]))
    assert peak == maps.Peak(value=2.0, xyz=(2.0, 6.0, 12.0))


def test_of_equal_values_the_peak_is_the_first_in_c_order_however_the_map_is_stored() -> None:
    values = np.zeros(SHAPE)
    values[1, 5, 3] = values[2, 0, 0] = values[1, 5, 4] = 7.0
    for stored in (values, np.asfortranarray(values)):
        peak = maps.find_peak(stored, np.eye(4))
        assert peak == maps.Peak(value=7.0, xyz=(1.0, 5.0, 3.0))


@pytest.mark.parametrize(("deepest", "main"), [(-9.0, -9.0), (-2.0, 2.0), (-1.5, 2.0)])
def test_map_is_known_by_the_peak_with_the_larger_absolute_value(
    deepest: float, main: float
) -> None:
    values = np.zeros(SHAPE)
    values[1, 2, 3], values[4, 4, 4] = 2.0, deepest
    found = maps.summarize(values, np.eye(4), 3.0)
    assert found is not None
    assert found.main == (found.peak if main > 0 else found.lowest)
    assert (found.main.value, found.lowest.xyz) == (main, (4.0, 4.0, 4.0))


def test_map_of_nothing_but_negative_values_has_its_peak_among_them() -> None:
    values = np.full(SHAPE, np.nan)
    values[1, 2, 3], values[4, 4, 4] = -2.0, -9.0
    peak = maps.find_peak(values, np.eye(4))
    assert peak == maps.Peak(value=-2.0, xyz=(1.0, 2.0, 3.0))


def test_value_is_taken_from_the_nearest_voxel_and_nan_outside_the_grid() -> None:
    data = np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE)
    volume = maps.Volume(data=data, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    assert maps.value_at(volume, (2.9, 3.1, 0.0)) == data[1, 2, 0]
    assert np.isnan(maps.value_at(volume, (-1.1, 0.0, 0.0)))
    assert np.isnan(maps.value_at(volume, (0.0, 0.0, 10.0)))
