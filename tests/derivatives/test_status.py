"""What counts as finished: outputs that are there, of the same inputs and settings."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pytest

from bids_fx.cli import session
from bids_fx.cli.run import main
from bids_fx.dataset.confounds import load_strategies
from bids_fx.dataset.index import find_runs
from bids_fx.derivatives import hashes, paths, results, status
from bids_fx.derivatives.hashes import HashCache
from bids_fx.derivatives.sidecars import output_uri
from bids_fx.derivatives.status import (
    contradicted,
    drawable,
    is_outdated,
    remove_contradicted,
    unfinished,
)
from bids_fx.derivatives.whole import is_whole
from bids_fx.derivatives.write import sha256, stamp_of, write_image, write_json
from bids_fx.joining import join_runs
from bids_fx.json_files import object_or_nothing
from bids_fx.plan import make_plan
from bids_fx.records import Todo
from bids_fx.report_settings import ReportSettings, Threshold
from bids_fx.settings import WORK_AREA, AnalysisSettings, DataSelection
from tests.small_plans import (
    FACE,
    FACE_HOUSE,
    GRID,
    TINY_PNG,
    TINY_SVG,
    make_group,
    make_run,
    make_run_maps,
    publish_all,
)
from tests.small_plans import (
    make_plan as small_plan,
)
from tests.synthetic import DatasetSpec

SETTINGS = AnalysisSettings(contrasts=("face",))


@pytest.fixture
def done(ended_call):
    """Return a dataset and the output folder of a call that has ended well."""
    options = ("--contrast", "face", "--nprocs", "1", "--skip-bids-validation")
    return ended_call(DatasetSpec(n_volumes=40), *options)


def plan_of(truth, settings=SETTINGS):
    data = DataSelection(
        bids_dir=truth.bids_dir, derivatives=(("fmriprep", truth.derivatives_dir),)
    )
    found = find_runs(data, "01", analysis=settings)
    return make_plan(found, settings, load_strategies(), known_conditions={})


def todo(truth, out, settings=SETTINGS, **options):
    cache = HashCache.of_participant(out, "01")
    wishes = {"force": False} | options
    return unfinished(plan_of(truth, settings), out, cache, **wishes)


def test_nothing_is_left_after_a_call_that_ended_well(done):
    assert not todo(*done)


def test_each_input_is_looked_at_once_however_many_images_are_made_from_it(done, monkeypatch):
    looked_at, read = Counter(), Counter()
    original = HashCache.digest

    def digest(cache, file):
        looked_at[file] += 1
        return original(cache, file)

    def json_of(file):
        read[file] += 1
        return object_or_nothing(file)

    monkeypatch.setattr(HashCache, "digest", digest)
    monkeypatch.setattr(status, "object_or_nothing", json_of)
    assert not todo(*done)
    images = {file for file in read if file.parent.name == "func"}
    assert len(images) > 8
    assert {read[file] for file in images} == {1}
    # two runs' series and masks, and their effects and variances and degrees of freedom
    assert len(looked_at) >= 2 * (2 + 2)
    assert set(looked_at.values()) == {1}


def test_a_call_that_finds_nothing_to_do_looks_once(done, monkeypatch):
    looks = []

    def look(*arguments, **options):
        looks.append(unfinished(*arguments, **options))
        return looks[-1]

    monkeypatch.setattr(session, "unfinished", look)
    truth, out = done
    command = [str(truth.bids_dir), str(out), "participant", "--contrast", "face"]
    assert main([*command, "--skip-bids-validation"]) == 0
    assert looks == [Todo()]


def test_everything_is_done_again_on_demand(done):
    left = todo(*done, force=True)
    assert (len(left.runs), len(left.groups)) == (2, 1)
    assert (len(left.run_figures), len(left.group_figures)) == (2, 1)


def test_only_figures_are_drawn_again_on_demand(done):
    truth, out = done
    left = drawable(plan_of(truth), out)
    assert not left.runs | left.groups
    assert (len(left.run_figures), len(left.group_figures)) == (2, 1)


@pytest.mark.parametrize(
    "threshold", [Threshold(error_rate=0.01), Threshold(correction="fdr", error_rate=0.001)]
)
def test_another_threshold_draws_the_contrasts_again_and_computes_nothing(done, threshold):
    truth, out = done
    plan = replace(plan_of(truth), report=ReportSettings(threshold=threshold))
    cache = HashCache.of_participant(out, "01")
    left = unfinished(plan, out, cache, force=False)
    assert left == Todo(group_figures=frozenset({(plan.groups[0].key, "face")}))


@pytest.mark.parametrize("ending", ["_clusters.json", "_forest.svg", "_stat-isq_statmap.png"])
def test_a_missing_figure_or_sidecar_of_a_contrast_draws_it_again(done, ending):
    truth, out = done
    next(out.rglob(f"*contrast-face{ending}")).unlink()
    left = todo(truth, out)
    assert left == Todo(group_figures=frozenset({(plan_of(truth).groups[0].key, "face")}))


def test_only_figures_whose_maps_are_there_are_drawn(done):
    truth, out = done
    next(out.rglob("*run-1*contrast-face_stat-z_statmap.nii.gz")).unlink()
    assert not drawable(plan_of(truth), out).group_figures


@pytest.mark.parametrize("ending", ["stat-z_statmap.nii.gz", "stat-z_statmap.json", "design.tsv"])
def test_a_missing_output_of_a_run_fits_it_again(done, ending):
    truth, out = done
    next(out.rglob(f"*run-1*{ending}")).unlink()
    left = todo(truth, out)
    assert [key for key in left.runs if "run-1" in key] == list(left.runs)
    assert len(left.runs) == len(left.groups) == 1


def test_a_design_table_of_another_space_fits_its_run_again(done):
    truth, out = done
    path = next(out.rglob("*run-1_design.json"))
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"InputHashes": {}}))
    assert not todo(truth, out)
    path.write_text(json.dumps(told | {"DesignHash": "another"}))
    left = todo(truth, out)
    assert [key for key in left.runs if "run-1" in key] == list(left.runs)
    assert len(left.runs) == len(left.groups) == 1


def test_a_missing_combined_map_combines_again_and_fits_nothing(done):
    truth, out = done
    (out / paths.statmap(plan_of(truth).groups[0].entities, "face", "q")).unlink()
    left = todo(truth, out)
    assert (len(left.runs), len(left.groups)) == (0, 1)


@pytest.mark.parametrize(
    "table", ["_influence.tsv", "_influence.json", "_space-MNI152NLin2009cAsym_contrasts.tsv"]
)
def test_a_missing_table_of_a_group_combines_again(done, table):
    truth, out = done
    next(out.rglob(f"*{table}")).unlink()
    left = todo(truth, out)
    assert (len(left.runs), len(left.groups)) == (0, 1)


@pytest.mark.parametrize("shape", [(5,), (3, 5)], ids=["one volume", "three volumes"])
def test_an_image_is_whole_to_its_last_byte(tmp_path, shape):
    path = tmp_path / "a.nii.gz"
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[1, 1] = True
    values = np.random.default_rng(1).random(shape)
    write_image(path, values, mask, GRID, standard_space=True)
    assert is_whole(PurePosixPath(path.name), tmp_path)
    content = path.read_bytes()
    for n_bytes in (len(content) - 1, len(content) // 2, 30, 0):
        path.write_bytes(content[:n_bytes])
        assert not is_whole(PurePosixPath(path.name), tmp_path)
    path.unlink()
    assert not is_whole(PurePosixPath(path.name), tmp_path)


def test_an_image_that_lacks_a_volume_of_its_header_is_not_whole(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_image(path, np.ones((3, 210)), np.ones(GRID.shape, bool), GRID, standard_space=True)
    whole = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(whole)[: -210 * 8]))
    assert not is_whole(PurePosixPath(path.name), tmp_path)
    for more in (b"more", gzip.compress(b"more")):
        path.write_bytes(whole + more)
        assert not is_whole(PurePosixPath(path.name), tmp_path)


def test_an_image_of_which_one_bit_has_changed_is_not_whole_but_looks_so(tmp_path):
    path = tmp_path / "a.nii.gz"
    values = np.random.default_rng(1).random(210)
    write_image(path, values, np.ones(GRID.shape, bool), GRID, standard_space=True)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # of the checksum
    path.write_bytes(bytes(content))
    assert is_whole(PurePosixPath(path.name), tmp_path, quick=True)
    assert not is_whole(PurePosixPath(path.name), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "whole"),
    [
        ("a.json", b'{"a": 1}\n', True),
        ("a.json", b'{"a": 1', False),
        ("a.json", b"[1]", False),
        ("a.json", b'{"\xff": 1}', False),
        ("a.tsv", b"a\tb\n1\t2\n", True),
        ("a.tsv", b"a\tb\n", True),
        ("a.tsv", b"a\tb\n1\t2", False),
        ("a.tsv", b"a\tb\n1\n", False),
        ("a.tsv", b"\n", False),
        ("a.png", TINY_PNG, True),
        ("a.png", TINY_PNG[:-1], False),
        ("a.png", TINY_PNG[1:], False),
        ("a.svg", TINY_SVG + b"\n", True),
        ("a.svg", TINY_SVG[:-2], False),
        *((f"a.{end}", b"", False) for end in ("json", "tsv", "png", "svg", "nii.gz")),
    ],
)
def test_each_kind_of_file_is_whole_to_its_end(tmp_path, name, content, whole):
    (tmp_path / name).write_bytes(content)
    assert is_whole(PurePosixPath(name), tmp_path) is whole


@pytest.mark.parametrize(("n_rows", "whole"), [(2, True), (3, False)])
def test_a_table_that_lacks_a_scan_is_not_whole(tmp_path, n_rows, whole):
    (tmp_path / "a.tsv").write_text("a\n1\n2\n")
    assert is_whole(PurePosixPath("a.tsv"), tmp_path, n_rows=n_rows) is whole


def test_a_table_cut_at_the_end_of_a_scan_is_written_again(done):
    truth, out = done
    for end in ("run-1_design.tsv", "run-2*_desc-quality_timeseries.tsv"):
        path = next(out.rglob(f"*{end}"))
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert len(todo(truth, out).runs) == 2


@pytest.mark.parametrize("there", ["pipe", "folder", "link out", "link within", "loop"])
def test_what_is_no_file_of_the_folder_is_not_whole(tmp_path, there):
    out = tmp_path / "out"
    (out / ".git" / "annex").mkdir(parents=True)
    path = out / "a.json"
    for folder in (tmp_path, out / ".git" / "annex"):
        (folder / "b.json").write_text("{}")
    match there:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link out":
            path.symlink_to(tmp_path / "b.json")
        case "link within":
            path.symlink_to(".git/annex/b.json")
        case "loop":
            path.symlink_to("a.json")
    assert is_whole(PurePosixPath("a.json"), out) is (there == "link within")


def test_an_image_is_not_read_again_before_it_changes(tmp_path, monkeypatch):
    path = PurePosixPath("a.nii.gz")
    values = np.random.default_rng(1).random(210)
    write_image(tmp_path / path, values, np.ones(GRID.shape, bool), GRID, standard_space=True)
    looks = []

    def look(path, out_dir, **options):
        looks.append(options.get("quick", False))
        return is_whole(path, out_dir, **options)

    monkeypatch.setattr(hashes, "is_whole", look)
    kept = tmp_path / "hashes.json"
    for _ in range(2):
        cache = HashCache(kept)
        assert cache.is_whole(path, tmp_path)
        cache.save()
    content = bytearray((tmp_path / path).read_bytes())
    content[-8] ^= 1
    (tmp_path / path).write_bytes(bytes(content))
    os.utime(tmp_path / path, ns=(1, 1))
    assert not HashCache(kept).is_whole(path, tmp_path)
    assert looks == [False, True, False]


def test_an_input_that_goes_while_it_is_looked_at_leaves_its_run_unfinished(done, monkeypatch):
    truth, out = done
    shutil.rmtree(out / WORK_AREA / "hashes")
    gone = truth.runs[0].mask

    def digest(cache, file):
        if file == gone:
            file.unlink()
        return sha256(file)

    monkeypatch.setattr(HashCache, "digest", digest)
    assert len(todo(truth, out).runs) == 1


def test_a_missing_figure_is_drawn_again_and_nothing_is_computed(done):
    truth, out = done
    next(out.glob("sub-01/figures/*run-2*_design.svg")).unlink()
    left = todo(truth, out)
    assert not left.runs | left.groups | left.group_figures
    assert len(left.run_figures) == 1


def test_a_changed_input_fits_its_run_again_whatever_its_name_and_size(done):
    truth, out = done
    bold = truth.runs[0].bold
    content = bytearray(bold.read_bytes())
    content[4] ^= 1  # the date in the header of the gzip file
    bold.write_bytes(bytes(content))
    left = todo(truth, out)
    assert len(left.runs) == 1
    assert "run-1" in next(iter(left.runs))


def test_a_touched_input_that_is_the_same_fits_nothing(done):
    truth, out = done
    os.utime(truth.runs[0].bold, ns=(1, 1))
    assert not todo(truth, out)


def test_a_changed_run_map_combines_again(done):
    truth, out = done
    path = next(out.rglob("*run-1*contrast-face_stat-effect_statmap.nii.gz"))
    content = bytearray(path.read_bytes())
    content[4] ^= 1
    path.write_bytes(bytes(content))
    left = todo(truth, out)
    assert (len(left.runs), len(left.groups)) == (0, 1)


def test_of_contrasts_those_alone_are_combined_again_whose_run_maps_have_changed(ended_call):
    settings = AnalysisSettings(contrasts=("face", "house"))
    words = ("--contrast", "face", "--contrast", "house")
    truth, out = ended_call(
        DatasetSpec(n_volumes=40), *words, "--nprocs", "1", "--skip-bids-validation"
    )
    (group,) = (group.key for group in plan_of(truth, settings).groups)
    assert not todo(truth, out, settings)
    mask = next(out.glob("sub-01/func/*main_space-*_desc-brain_mask.json"))
    kept = mask.read_bytes()
    mask.unlink()
    # What tells of all of them is made behind all of them.
    both = {(group, "face"), (group, "house")}
    assert todo(truth, out, settings).contrasts == both
    mask.write_bytes(kept)
    path = next(out.rglob("*run-1*_contrast-house_stat-effect_statmap.nii.gz"))
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), mtime=1))
    left = todo(truth, out, settings)
    assert (left.runs, left.groups, left.contrasts) == (frozenset(), {group}, {(group, "house")})
    assert left.group_figures == {(group, "house")}


def test_a_contrast_without_its_table_of_runs_is_not_taken_for_finished(done, monkeypatch):
    truth, out = done
    plan = plan_of(truth)
    (group,) = plan.groups
    maps = {
        key: file for run in plan.runs for key, file in results.published_maps(run, out).items()
    }

    def fail(*arguments: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(results, "write_influence", fail)
    with pytest.raises(InterruptedError):
        join_runs(plan, group, "face", maps, out, n_threads=1)
    assert not (out / paths.sidecar(paths.influence(group.entities, "face"))).exists()
    assert todo(truth, out).contrasts == {(group.key, "face")}


def test_a_changed_combination_fits_nothing(done):
    left = todo(*done, replace(SETTINGS, combination="unweighted"))
    assert (len(left.runs), len(left.groups)) == (0, 1)


def test_a_sidecar_that_is_no_json_vouches_for_nothing(done):
    truth, out = done
    next(out.rglob("*run-1*stat-tsnr_statmap.json")).write_text("{")
    assert len(todo(truth, out).runs) == 1


def test_hashes_are_kept_between_calls_and_taken_again_after_a_change(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    cache = HashCache(tmp_path / "hashes.json")
    assert cache.digest(file) == sha256(file)
    cache.save()
    stored = json.loads((tmp_path / "hashes.json").read_text())[str(file)]
    assert stored[2] == sha256(file)
    file.write_bytes(b"four")
    assert HashCache(tmp_path / "hashes.json").digest(file) == sha256(file)


def test_a_hash_learned_from_a_file_that_changed_meanwhile_is_not_believed(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    stamp = stamp_of(file)
    old = sha256(file)
    file.write_bytes(b"newer")
    cache = HashCache(tmp_path / "hashes.json")
    cache.learn(file, old, stamp)
    assert cache.digest(file) == sha256(file) != old


def test_a_damaged_cache_is_no_cache(tmp_path):
    (tmp_path / "hashes.json").write_text("[1, 2")
    file = tmp_path / "a"
    file.write_bytes(b"x")
    assert HashCache(tmp_path / "hashes.json").digest(file) == sha256(file)


def test_maps_that_a_new_fit_replaces_by_others_are_named_before(done):
    truth, out = done
    assert contradicted(plan_of(truth), out) == []
    joint = replace(SETTINGS, contrasts=("face = F(face)",), noise_model="ols")
    files = contradicted(plan_of(truth, joint), out)
    figures = {path.name.partition("contrast-")[2] for path in files if "figures" in path.parts}
    assert figures == {"face_stat-isq_statmap.png", "face_forest.svg"}
    names = {path.name for path in files if "figures" not in path.parts}
    stats = {name.split("_stat-")[1].removesuffix("_statmap.nii.gz") for name in names}
    assert stats == {"variance", "t", "q", "qp", "isq", "tau2", "ar1"}
    assert sum("run-" not in name for name in names) == 6


def two_runs_of_which(*lacking):
    """Return a plan of two runs, some of which cannot estimate the face contrast."""
    runs = [
        make_run(f"sub-01_task-x_run-{i}", reasons={"face": "no event"} if i in lacking else None)
        for i in (1, 2)
    ]
    return small_plan(runs, [make_group("sub-01_task-x", runs)])


def cleared(plan, out, todo=None):
    """Return which of the files of two whole runs a plan removes before anything is computed."""
    publish_all(two_runs_of_which(), out)
    before = {path.name for path in out.rglob("*") if path.is_file()}
    remove_contradicted(plan, todo or Todo(), out)
    return before - {path.name for path in out.rglob("*") if path.is_file()}


def test_maps_of_a_contrast_that_a_run_cannot_estimate_any_more_are_removed(tmp_path):
    gone = cleared(two_runs_of_which(2), tmp_path)
    stem = "sub-01_task-x_run-2_contrast-face_stat-"
    of_run = {f"{stem}{s}_statmap.{e}" for s in paths.T_STATS for e in ("nii.gz", "json")}
    assert {name for name in gone if "_run-2_" in name} == of_run
    assert not any("_run-1_" in name or "faceGthouse" in name for name in gone)


def test_a_run_that_is_to_be_fitted_keeps_its_maps_until_then(tmp_path):
    plan = two_runs_of_which(2)
    gone = cleared(plan, tmp_path, Todo(runs=frozenset({plan.runs[1].key})))
    # But for the figures of its design, which are drawn in any case.
    kinds = {name.removeprefix("sub-01_task-x_run-2_") for name in gone if "_run-2_" in name}
    assert kinds == {f"{kind}.svg" for kind in paths.DESIGN_FIGURES}
    assert any("_run-2_contrast-face_" in path.name for path in contradicted(plan, tmp_path))


def test_what_is_told_of_several_runs_goes_where_one_alone_enters(tmp_path):
    gone = cleared(two_runs_of_which(2), tmp_path)
    stem = "sub-01_task-x_contrast-face"
    combined = {name for name in gone if name.startswith(stem)}
    stats = (*paths.HETEROGENEITY_STATS, *paths.INFLUENCE_STATS)
    assert combined == {
        *(f"{stem}_stat-{stat}_statmap.{end}" for stat in stats for end in ("nii.gz", "json")),
        f"{stem}_influence.tsv",
        f"{stem}_influence.json",
        f"{stem}_stat-isq_statmap.png",
        f"{stem}_forest.svg",
    }


def test_of_a_contrast_that_no_run_can_estimate_nothing_is_left(tmp_path):
    plan = two_runs_of_which(1, 2)
    everything = {path.name for path in paths.expected_outputs(two_runs_of_which())}
    # The plan that lacks it says which names are of the other contrast or of all.
    promised = {path.name for path in paths.expected_outputs(plan)}
    gone = cleared(plan, tmp_path)
    assert {name.rpartition(".")[2] for name in gone} == {"gz", "json", "tsv", "png", "svg"}
    assert gone == everything - promised


def test_a_group_without_any_contrast_left_has_no_mask_and_no_table(tmp_path):
    plan = two_runs_of_which(1, 2)
    runs = [replace(run, contrasts=run.contrasts[:1]) for run in plan.runs]
    gone = cleared(small_plan(runs, [make_group("sub-01_task-x", runs)]), tmp_path)
    mask = "sub-01_task-x_desc-brain_mask"
    assert {f"{mask}.nii.gz", f"{mask}.json", "sub-01_task-x_contrasts.tsv"} <= gone
    assert not any("_desc-brain_mask" in name and "_run-" in name for name in gone)


def test_combined_maps_stay_where_filters_leave_runs_out(tmp_path):
    (run,) = two_runs_of_which(1).runs[:1]
    run = replace(run, contrasts=run.contrasts[:1])
    group = make_group("sub-01_task-x", [run], not_written="filters leave runs out")
    gone = cleared(small_plan([run], [group]), tmp_path)
    assert gone
    assert all("_run-1_contrast-face_" in name for name in gone)


def test_combined_maps_of_a_run_that_cannot_estimate_it_any_more_are_outdated(tmp_path):
    (run,) = two_runs_of_which(1).runs[:1]
    group = make_group("sub-01_task-x", [run], not_written="filters leave runs out")
    effect = paths.statmap(group.entities, "face", "effect")
    plan = small_plan([run], [group])
    hashes = HashCache(tmp_path / "hashes.json")
    for entered, outdated in ((run, True), (two_runs_of_which(1).runs[1], False)):
        source = output_uri(paths.statmap(entered.entities, "face", "effect"))
        write_json(tmp_path / paths.sidecar(effect), {"InputHashes": {source: "0"}})
        assert is_outdated(plan, group, tmp_path, hashes) is outdated


def test_a_plan_removes_nothing_that_it_promises(tmp_path):
    assert cleared(two_runs_of_which(), tmp_path) == set()


def test_a_file_that_another_result_has_is_not_removed(tmp_path):
    """A lone run and what is made of it by a node of other contrasts may have one name."""
    run = make_run("sub-01_task-x", contrasts=(FACE_HOUSE,))
    other = make_group("sub-01_task-x", [make_run("sub-01_task-x", contrasts=(FACE,))])
    lacking = replace(other.contrasts[0], input_keys=())
    plan = small_plan([run], [replace(other, contrasts=(lacking,))])
    publish_all(plan, tmp_path)
    remove_contradicted(plan, Todo(), tmp_path)
    assert all((tmp_path / image).exists() for image in paths.run_images(run))


def test_maps_made_beforehand_are_never_removed(tmp_path):
    run = make_run_maps(
        tmp_path / "sub-01/func", "sub-01_task-x", effect=1.0, variance=1.0, dof=9.0
    )
    other = tmp_path / paths.statmap(run.entities, "face", "t")
    other.write_bytes(b"made beforehand")
    remove_contradicted(small_plan([run], []), Todo(), tmp_path)
    assert other.exists()


@pytest.mark.parametrize("options", [(), ("--reports-only",)], ids=["all", "reports"])
def test_what_is_contradicted_is_named_and_removed_but_not_where_reports_alone_are_made(
    done, capsys, options
):
    truth, out = done
    stale = next(out.rglob("*_task-*run-1*contrast-face_stat-t_statmap.nii.gz"))
    stale = stale.with_name(stale.name.replace("stat-t_", "stat-F_"))
    stale.write_bytes(b"of an F test")
    command = [str(truth.bids_dir), str(out), "participant", "--contrast", "face", *options]
    assert main([*command, "--nprocs", "1", "--skip-bids-validation"]) == 0
    assert stale.exists() is bool(options)
    assert (f"{stale.name} is of another model" in capsys.readouterr().err) is not bool(options)
