"""What the viewer holds: which maps, in which order, and why there is none."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_fx.derivatives import paths
from bids_fx.derivatives.clusters import drawn_maps
from bids_fx.records import Plan
from bids_fx.report_settings import ReportSettings, Threshold
from bids_fx.reports import viewer
from bids_fx.reports.page import ViewerPart
from bids_fx.reports.viewer import viewer_part
from tests.small_plans import (
    ANY,
    FACE,
    SHAPE,
    make_group,
    make_plan,
    make_run,
    make_run_maps,
    publish_maps,
    publish_peaks,
    write_map,
    z_values,
)

ROOM = 12_000_000
PEAK = [3.0, -1.0, 0.0]  # of voxel (2, 3, 2)


def part_of(*plans: Plan, out_dir: Path, room: int = ROOM, n_threads: int = 1) -> ViewerPart:
    return viewer_part(plans, out_dir, room=room, n_threads=n_threads)


def records(part: ViewerPart) -> list[dict[str, Any]]:
    found = json.loads(part.catalogue)["maps"]
    assert isinstance(found, list)
    return found


def names(part: ViewerPart) -> list[tuple[str, str, str]]:
    return [(one["contrast"], one["result"], one["statistic"]) for one in records(part)]


@pytest.fixture
def published(tmp_path: Path) -> tuple[Plan, Path]:
    """Return a plan of two runs and one contrast, and its maps."""
    runs = [make_run(f"sub-01_task-x_run-{number}", contrasts=[FACE]) for number in (1, 2)]
    plan = make_plan(runs)
    publish_maps(plan, tmp_path)
    group = plan.groups[0].entities
    write_map(tmp_path / paths.statmap(group, "face", "isq"), np.full(SHAPE, 40.0))
    write_map(tmp_path / paths.statmap(group, "face", "t"), z_values(99, 9.0))
    return plan, tmp_path


def test_combined_maps_come_first_and_what_z_tells_already_last(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    both, first, second = "combined (2 runs)", "run-1", "run-2"
    assert names(part_of(plan, out_dir=out_dir)) == [
        *(("face", both, "z"), ("face", both, "effect")),
        *(("face", first, "z"), ("face", second, "z"), ("face", both, "I²")),
        *(("face", first, "effect"), ("face", second, "effect"), ("face", both, "t")),
    ]


def test_map_knows_its_peak_units_and_the_scale_of_its_contrast(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    z, effect, run_z, *_ = records(part_of(plan, out_dir=out_dir))
    assert z["peak"] == run_z["peak"] == PEAK
    assert (z["largest"], z["limit"], run_z["limit"]) == (8.0, 8.0, 8.0)
    assert run_z["largest"] == 5.0
    assert z["lowest"] == [-6.0, 8.0, 8.0]
    assert z["main"] == PEAK
    assert (z["units"], effect["units"]) == ("", "% signal change")
    assert z["group"] == "Participant: task-x"
    assert z["signed"] is True


def test_map_that_is_mainly_negative_has_its_main_peak_there(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    z = z_values(3, 4.5, place=(1, 2, 3))
    z[2, 2, 2] = -4.75
    write_map(out_dir / paths.statmap(plan.groups[0].entities, "face", "z"), z)
    found, *_ = records(part_of(plan, out_dir=out_dir))
    assert found["peak"] != found["lowest"]
    assert found["main"] == found["lowest"]


def test_viewer_starts_at_the_threshold_of_the_report(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    settings = ReportSettings(threshold=Threshold(error_rate=0.05))
    part = part_of(replace(plan, report=settings), out_dir=out_dir)
    z, effect, *_ = records(part)
    assert z["start"] == pytest.approx(1.959964, abs=1e-6)
    assert z["threshold"] == "p < .05, uncorrected"
    assert not effect["threshold"]
    values = np.abs(z_values(99, 8.0)) / 10
    expected = np.percentile(values[np.isfinite(values)].astype(np.float32), 95)
    assert effect["start"] == pytest.approx(expected)
    assert json.loads(part.catalogue)["hidden"] == 95


def test_viewer_starts_at_the_threshold_of_the_figures_whoever_drew_them(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    threshold = Threshold(correction="bonferroni", error_rate=0.05)
    publish_peaks(replace(plan, report=ReportSettings(threshold=threshold)), out_dir)
    z, *_ = records(part_of(plan, out_dir=out_dir))
    numbers = drawn_maps(plan.groups[0], "face", out_dir)
    assert z["start"] == numbers["combined"].cutoff > 3.3
    assert z["threshold"] == "p < .05, Bonferroni-corrected"


def test_correction_that_no_voxel_survives_starts_at_the_largest_value(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    settings = ReportSettings(threshold=Threshold(correction="fdr", error_rate=1e-30))
    part = part_of(replace(plan, report=settings), out_dir=out_dir)
    assert records(part)[0]["start"] == 8.0


def test_f_contrast_has_z_and_f_and_no_signs(tmp_path: Path) -> None:
    runs = [make_run(f"sub-01_task-x_run-{number}", contrasts=[ANY]) for number in (1, 2)]
    plan = make_plan(runs)
    publish_maps(plan, tmp_path)
    write_map(tmp_path / paths.statmap(plan.groups[0].entities, "any", "F"), np.ones(SHAPE))
    part = part_of(plan, out_dir=tmp_path)
    assert [name[1:] for name in names(part)] == [
        *(("combined (2 runs)", "z"), ("run-1", "z"), ("run-2", "z")),
        ("combined (2 runs)", "F"),
    ]
    assert not any(one["signed"] for one in records(part))


def test_what_does_not_fit_is_left_out_from_the_end_and_told(
    published: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out_dir = published
    monkeypatch.setattr(viewer, "LEAST_BYTES", 0)
    whole = part_of(plan, out_dir=out_dir)
    code = len(whole.packed_library) + len(whole.script)
    kept = sum(map(len, whole.blocks[:-2]))  # without the last two maps
    boxes = len(json.dumps(json.loads(whole.catalogue)["boxes"], separators=(",", ":")))
    part = part_of(plan, out_dir=out_dir, room=code + kept + boxes)
    assert names(part) == names(whole)[:-2]
    assert part.blocks == whole.blocks[:-2]
    assert part.left_out == (
        "Participant: task-x, run-2: effect of face",
        "Participant: task-x, combined (2 runs): t of face",
    )
    assert whole.left_out == ()


def test_maps_have_some_room_in_any_page(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    assert len(records(part_of(plan, out_dir=out_dir, room=-5_000_000))) == 8


def test_viewer_does_not_depend_on_threads(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    one, three = (part_of(plan, out_dir=out_dir, n_threads=n) for n in (1, 3))
    assert one == three


def test_missing_damaged_and_empty_maps_are_not_in_it(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    first, second = (run.entities for run in plan.runs)
    (out_dir / paths.statmap(first, "face", "z")).unlink()
    (out_dir / paths.statmap(first, "face", "effect")).write_bytes(b"no image")
    write_map(out_dir / paths.statmap(second, "face", "z"), np.full(SHAPE, np.nan))
    part = part_of(plan, out_dir=out_dir)
    assert [name[1:] for name in names(part) if name[1] != "combined (2 runs)"] == [
        ("run-2", "effect")
    ]
    assert part.left_out == ()


def test_i_squared_of_zero_is_a_result(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    values = np.zeros(SHAPE)
    values[0] = np.nan
    write_map(out_dir / paths.statmap(plan.groups[0].entities, "face", "isq"), values)
    part = part_of(plan, out_dir=out_dir)
    (found,) = [one for one in records(part) if one["statistic"] == "I²"]
    assert json.loads(part.catalogue)["boxes"][found["box"]]["shape"] == [5, 7, 5]
    assert (found["largest"], found["start"]) == (0.0, 0.0)


def test_runs_that_another_analysis_has_fitted_since_are_not_in_it(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    part = part_of(replace(plan, replaced=frozenset({plan.runs[0].key})), out_dir=out_dir)
    assert {name[1] for name in names(part)} == {"combined (2 runs)", "run-2"}


def test_runs_that_are_not_combined_stand_alone(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    group = replace(plan.groups[0], not_written="a filter left runs out")
    part = part_of(replace(plan, groups=(group,)), out_dir=out_dir)
    assert [name[1:] for name in names(part)] == [
        *(("run-1", "z"), ("run-2", "z"), ("run-1", "effect"), ("run-2", "effect")),
    ]


def test_map_of_two_groups_is_in_the_page_once(tmp_path: Path) -> None:
    runs = [make_run(f"sub-01_ses-{number}_task-x_run-1", contrasts=[FACE]) for number in (1, 2)]
    sessions = [
        make_group(f"sub-01_ses-{number}_task-x", [run], key=f"s{number}", level="session")
        for number, run in enumerate(runs, start=1)
    ]
    plan = make_plan(runs, (*sessions, make_group("sub-01_task-x", runs)))
    publish_maps(plan, tmp_path)
    part = part_of(plan, out_dir=tmp_path)
    blocks: dict[str, set[int]] = {}
    for one in records(part):
        if one["statistic"] == "z" and one["result"].endswith("run-1"):
            session = one["result"].partition(" ")[0]
            group = session if session.startswith("ses") else one["group"].split()[1]
            blocks.setdefault(group, set()).add(one["block"])
    assert sorted(blocks) == ["ses-1", "ses-2"]
    assert all(len(found) == 1 for found in blocks.values())


def test_groups_of_two_analyses_are_told_apart(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    part = part_of(plan, plan, out_dir=out_dir)
    assert {one["group"] for one in records(part)} == {
        "Participant: task-x",
        "Participant: task-x (analysis 2)",
    }


def test_background_is_the_mean_image_of_the_first_run(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    behind = {json.dumps(one["behind"]) for one in records(part_of(plan, out_dir=out_dir))}
    (only,) = map(json.loads, behind)
    assert only["name"] == "the mean image of run-1"


def test_background_is_the_anatomy_where_it_is_at_hand(tmp_path: Path) -> None:
    t1w = tmp_path / "sub-01_desc-preproc_T1w.nii.gz"
    finer = np.diag([1.0, 1, 1, 1])
    finer[:3, 3] = (-10, -12, -10)
    write_map(t1w, np.random.default_rng(2).uniform(0, 900, (25, 30, 24)), finer)
    plan = make_plan([make_run("sub-01_task-x_run-1", contrasts=[FACE], t1w=t1w)])
    publish_maps(plan, tmp_path)
    part = part_of(plan, out_dir=tmp_path)
    behind = records(part)[0]["behind"]
    assert behind["name"] == "the anatomy, sub-01_desc-preproc_T1w.nii.gz"
    # On the voxels of the map, whatever the anatomy's are, with two more on each side.
    shape = json.loads(part.catalogue)["boxes"][behind["box"]]["shape"]
    assert shape == [SHAPE[0] + 4, SHAPE[1] + 4, SHAPE[2] - 1 + 4]


def test_missing_background_is_a_flat_grey(published: tuple[Plan, Path]) -> None:
    plan, out_dir = published
    (out_dir / paths.mean_image(plan.runs[0].entities)).unlink()
    behind = records(part_of(plan, out_dir=out_dir))[0]["behind"]
    assert behind["name"] == "a flat grey where there are results"


def test_maps_made_beforehand_stand_on_a_flat_grey(tmp_path: Path) -> None:
    run = make_run_maps(
        tmp_path / "maps", "sub-01_task-x_run-1", effect=1.5, variance=0.25, dof=20
    )
    group = make_group("sub-01_task-x", [run], not_written="one run alone")
    part = part_of(make_plan([run], [group]), out_dir=tmp_path / "out")
    assert [name[1:] for name in names(part)] == [("run-1", "z"), ("run-1", "effect")]
    assert records(part)[0]["behind"]["name"] == "a flat grey where there are results"
    assert records(part)[1]["units"] == "the maps' units"


def test_viewer_that_is_not_wanted_is_left_out_in_one_sentence(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    part = part_of(replace(plan, report=ReportSettings(static=True)), out_dir=out_dir)
    assert part == ViewerPart(sentence=part.sentence)
    assert "--no-interactive" in part.sentence


def test_package_without_the_library_says_so(
    published: tuple[Plan, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out_dir = published
    monkeypatch.setattr(viewer, "LIBRARY", "viewer/absent.js")
    part = part_of(plan, out_dir=out_dir)
    assert part == ViewerPart(sentence=part.sentence)
    assert "installed without NiiVue" in part.sentence


def test_folder_without_maps_has_nothing_to_show(tmp_path: Path) -> None:
    part = part_of(make_plan(), out_dir=tmp_path)
    assert part == ViewerPart(sentence="There is no map that an interactive viewer could show.")


def test_library_is_packed_whole_and_its_licence_can_stand_in_a_comment(
    published: tuple[Plan, Path],
) -> None:
    plan, out_dir = published
    part = part_of(plan, out_dir=out_dir)
    assert zlib.decompress(base64.b64decode(part.packed_library)).decode() == part.library
    assert "Copyright (c) 2021, Niivue" in part.licence
    assert "--" not in part.licence
    assert ">" not in part.licence


def test_names_of_the_data_cannot_end_the_catalogue(tmp_path: Path) -> None:
    hostile = replace(FACE, name="</script><!-- <script> & '\"")
    plan = make_plan([make_run("sub-01_task-x_run-1", contrasts=[hostile])])
    publish_maps(plan, tmp_path)
    part = part_of(plan, out_dir=tmp_path)
    assert set(part.catalogue) & set("<>&") == set()
    assert records(part)[0]["contrast"] == hostile.name
