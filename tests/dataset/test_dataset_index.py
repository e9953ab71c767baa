"""Finding participants and runs in datasets of all shapes."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.dataset import index
from bids_fx.dataset.index import find_all, find_runs, list_participants
from bids_fx.errors import BIDSFXError, ExitCode
from bids_fx.inputs import BoldRun, Found
from bids_fx.settings import AnalysisSettings, DataSelection
from tests.dataset.trees import (
    EVENTS,
    SHAPE,
    Tree,
    confounds_text,
    names,
    told,
    write_image,
    write_json,
    write_text,
)

RUN = "sub-01_task-nback_run-1"
MNI = "space-MNI152NLin2009cAsym"


def only(tree: Tree, **choices: object) -> BoldRun:
    """Return the one run that is found without a fault."""
    found = tree.find(**choices)
    assert found.problems == ()
    (run,) = found.runs
    assert isinstance(run, BoldRun)
    return run


# ------------------------------------------------------------------------------- participants


def test_participants_are_the_folders_in_order_of_their_numbers(tree: Tree) -> None:
    for label in ("10", "2", "A"):
        tree.run(f"sub-{label}_task-nback")
    (tree.preproc / "sub-2.html").touch()
    (tree.preproc / "sub-notes").touch()
    assert list_participants(tree.data()) == ("A", "2", "10")


def test_participants_without_derivatives_are_listed_only_by_name(tree: Tree) -> None:
    tree.run("sub-01_task-nback")
    (tree.raw / "sub-02").mkdir()
    assert list_participants(tree.data()) == ("01",)
    assert list_participants(tree.data(participants=("02",))) == ("02",)


@pytest.mark.parametrize(
    ("folders", "asked", "expected"),
    [(["01", "02"], "1", "01"), (["01", "1"], "1", "1"), (["Pat1"], "pat1", "Pat1")],
)
def test_label_means_the_folder_with_or_without_zeros(
    tree: Tree, folders: list[str], asked: str, expected: str
) -> None:
    for label in folders:
        (tree.preproc / f"sub-{label}").mkdir(parents=True)
    assert list_participants(tree.data(participants=(asked,))) == (expected,)


def test_all_labels_that_do_not_exist_are_told_with_the_closest(tree: Tree) -> None:
    for label in ("control01", "control02"):
        (tree.preproc / f"sub-{label}").mkdir()
    with pytest.raises(BIDSFXError) as raised:
        list_participants(tree.data(participants=("contrl01", "control02", "x")))
    first, second = raised.value.problems
    assert first.where == "--participant-label contrl01"
    assert first.remedy.startswith("did you mean control01")
    assert second.remedy == "there are control01, control02"
    assert raised.value.exit_code == ExitCode.NOTHING_SELECTED


def test_absent_folders_are_all_told(tree: Tree, tmp_path: Path) -> None:
    data = tree.data(
        derivatives=(("a", tmp_path / "a"), ("b", tmp_path / "b")), design_dir=tmp_path / "c"
    )
    data = replace(data, bids_dir=tmp_path / "d")
    with pytest.raises(BIDSFXError) as raised:
        list_participants(data)
    assert [problem.found for problem in raised.value.problems] == ["no such folder"] * 4
    assert raised.value.exit_code == ExitCode.MISSING_INPUT


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_folder_without_valid_description_is_no_bids_dataset(tree: Tree, text: str | None) -> None:
    tree.run(RUN)
    path = tree.raw / "dataset_description.json"
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BIDSFXError, match=r"dataset_description\.json") as raised:
        list_participants(tree.data())
    assert raised.value.exit_code == ExitCode.INVALID_BIDS


def test_description_that_was_not_fetched_is_a_missing_input(tree: Tree) -> None:
    tree.run(RUN)
    path = tree.raw / "dataset_description.json"
    path.unlink()
    path.symlink_to(".git/annex/objects/description.json")
    with pytest.raises(BIDSFXError, match="a link to a file that is not there") as raised:
        list_participants(tree.data())
    assert raised.value.exit_code == ExitCode.MISSING_INPUT


def test_derivatives_that_were_not_fetched_are_an_empty_folder(tree: Tree) -> None:
    tree.run(RUN)
    empty = tree.root / "empty"
    empty.mkdir()
    with pytest.raises(BIDSFXError, match=r"an empty folder; fetch what is in it \(datalad get\)"):
        list_participants(tree.data(derivatives=(("empty", empty),)))


def test_folder_above_the_derivatives_is_told(tree: Tree) -> None:
    tree.run(RUN)
    with pytest.raises(BIDSFXError, match=r"did you mean its folder bids or fmriprep"):
        list_participants(tree.data(derivatives=(("all", tree.root),)))


def test_derivatives_of_one_name_are_refused(tree: Tree) -> None:
    tree.run(RUN)
    with pytest.raises(BIDSFXError, match="a name that stands for two datasets") as raised:
        list_participants(tree.data(derivatives=(("a", tree.preproc), ("a", tree.preproc))))
    assert raised.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"sesion": "1"}, r"unknown entity 'sesion' \(did you mean 'session'\?\)"),
        ({"suffix": "T1w"}, "'suffix' is 'T1w'; only 'bold' can be modelled"),
    ],
)
def test_filter_file_that_makes_no_sense_is_refused(
    tree: Tree, filters: dict[str, object], message: str
) -> None:
    tree.run(RUN)
    with pytest.raises(BIDSFXError, match=message) as raised:
        list_participants(tree.data(filters=filters))
    assert raised.value.exit_code == ExitCode.USAGE


# --------------------------------------------------------------------------- shapes of datasets

SHAPES = {
    "a lone run": ["sub-01_task-nback"],
    "numbered runs": ["sub-01_task-nback_run-1", "sub-01_task-nback_run-2"],
    "ten runs": [f"sub-01_task-nback_run-{i}" for i in (1, 2, 9, 10)],
    "zeros": ["sub-01_task-nback_run-01", "sub-01_task-nback_run-02"],
    "sessions": ["sub-01_ses-a_task-nback", "sub-01_ses-b_task-nback"],
    "sessions and runs": [
        f"sub-01_ses-{session}_task-nback_run-{run}" for session in (1, 2) for run in (1, 2)
    ],
    "directions": ["sub-01_task-nback_dir-LR_run-1", "sub-01_task-nback_dir-RL_run-1"],
    "acquisitions": ["sub-01_task-nback_acq-mb", "sub-01_task-nback_acq-sb"],
    "a mixed group": ["sub-01_task-nback", "sub-01_task-nback_run-2"],
    "two tasks": ["sub-01_task-motor_run-1", "sub-01_task-nback_run-1"],
    "a space": [f"sub-01_task-nback_run-1_{MNI}_res-2"],
    "a plus in a label": ["sub-01_task-a+b_run-1"],
}


@pytest.mark.parametrize("stems", SHAPES.values(), ids=SHAPES.keys())
def test_every_run_is_found_with_its_own_files(tree: Tree, stems: list[str]) -> None:
    for stem in stems:
        tree.run(stem)
    found = tree.find()
    assert found.problems == ()
    assert found.left_out == ()
    assert names(found) == stems
    for run, stem in zip(found.runs, stems, strict=True):
        assert isinstance(run, BoldRun)
        table_stem = stem.partition("_space-")[0]
        assert run.bold.name == f"{stem}_desc-preproc_bold.nii.gz"
        assert run.mask is not None
        assert run.mask.name == f"{stem}_desc-brain_mask.nii.gz"
        assert run.confounds_file is not None
        assert run.confounds_file.name == f"{table_stem}_desc-confounds_timeseries.tsv"
        assert [path.name for path in run.events_files] == [f"{table_stem}_events.tsv"]


def test_run_is_read_whole(tree: Tree) -> None:
    tree.run(RUN)
    run = only(tree)
    assert (run.n_scans, run.repetition_time, run.slice_time) == (6, 2.0, 0.0)
    assert run.grid.shape == SHAPE
    assert run.n_mask_voxels == 24
    assert [condition.name for condition in run.conditions] == ["face", "house"]
    assert run.confounds is not None
    assert "trans_x" in run.confounds.values
    assert run.notices == ()
    assert not run.skull_stripped


def test_uris_name_dataset_and_place_alone(tree: Tree) -> None:
    tree.run("sub-01_ses-1_task-nback")
    run = only(tree)
    folder = "sub-01/ses-1/func/sub-01_ses-1_task-nback"
    assert sorted(run.uris.values()) == [
        f"bids:fmriprep:{folder}_desc-brain_mask.nii.gz",
        f"bids:fmriprep:{folder}_desc-confounds_timeseries.tsv",
        f"bids:fmriprep:{folder}_desc-preproc_bold.nii.gz",
        f"bids:raw:{folder}_events.tsv",
    ]
    assert run.uris[run.bold].endswith("bold.nii.gz")


def test_participants_whose_labels_begin_alike_are_kept_apart(tree: Tree) -> None:
    for label in ("01", "011", "1", "0"):
        tree.run(f"sub-{label}_task-nback")
    for label in ("01", "011", "1", "0"):
        assert names(tree.find(label)) == [f"sub-{label}_task-nback"]


def test_folder_above_the_dataset_may_look_like_a_participants(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "sub-99" / "ses-7" / "func")
    tree.run(RUN)
    assert names(tree.find()) == [RUN]


@pytest.mark.parametrize("derivatives", ["nested", "relative"])
def test_derivatives_may_lie_within_the_dataset_and_be_named_from_here(
    tree: Tree, derivatives: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.run(RUN)
    nested = tree.raw / "derivatives" / "fmriprep"
    shutil.move(tree.preproc, nested)
    root = nested
    if derivatives == "relative":
        monkeypatch.chdir(tree.raw)
        root = Path("derivatives/../derivatives/fmriprep")
    run = only(tree, derivatives=(("fmriprep", root),))
    assert run.uris[run.bold].startswith("bids:fmriprep:sub-01/func/")


def test_derivatives_without_description_are_found_with_a_notice(tree: Tree) -> None:
    tree.run(RUN)
    (tree.preproc / "dataset_description.json").unlink()
    found = tree.find()
    assert names(found) == [RUN]
    assert "fmriprep have no dataset_description.json" in told(found)


def test_find_all_goes_through_the_participants(tree: Tree) -> None:
    tree.run("sub-01_task-nback")
    tree.run("sub-02_task-nback")
    found = list(find_all(tree.data(), ("02", "01"), analysis=AnalysisSettings()))
    assert [item.participant for item in found] == ["02", "01"]
    assert [names(item) for item in found] == [["sub-02_task-nback"], ["sub-01_task-nback"]]


def test_real_dataset_is_found(oneback: Path) -> None:
    data = DataSelection(
        bids_dir=oneback, derivatives=(("preproc", oneback / "derivatives" / "preproc"),)
    )
    assert list_participants(data) == ("02",)
    found = find_runs(data, "02", analysis=AnalysisSettings())
    assert (found.problems, found.notices) == ((), ())
    assert [run.n_scans for run in found.runs if isinstance(run, BoldRun)] == [77, 79]
    assert all(run.skull_stripped for run in found.runs if isinstance(run, BoldRun))


def test_kept_index_is_used_for_other_participants_too(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.run("sub-01_task-nback")
    tree.run("sub-02_task-nback")
    (tree.raw / "sub-01" / "again").symlink_to("..")
    database = tmp_path / "index"
    assert names(tree.find("01", database_dir=database)) == ["sub-01_task-nback"]
    tree.run("sub-02_task-late")
    # The datasets are not gone through again, and yet it is known what was not followed.
    monkeypatch.setattr(index, "find_loops", None)
    found = tree.find("02", database_dir=database)
    assert f"{tree.raw}/sub-01/again: a link to a folder it is in is not followed." in told(found)
    assert names(found) == ["sub-02_task-nback"]
    assert "the kept pybids index" in told(found)
    assert not [path for path in database.iterdir() if path.name.startswith(".")]
    for path in database.glob("*/not_followed.json"):
        path.write_text("")
    with pytest.raises(BIDSFXError, match=r"a damaged part of a kept index; delete .*/index/raw-"):
        tree.find("02", database_dir=database)


# ------------------------------------------------------------------------------ raw images


@pytest.mark.parametrize("state", ["absent", "empty", "dangling", "garbage"])
def test_raw_images_are_never_needed(tree: Tree, state: str) -> None:
    tree.run(RUN, sidecar={})
    write_json(tree.raw / "task-nback_bold.json", RepetitionTime=2.0, TaskName="nback")
    raw = tree.func(tree.raw, RUN, "bold.nii.gz")
    if state == "dangling":
        raw.symlink_to("/nowhere/at/all.nii.gz")
    elif state != "absent":
        raw.write_bytes(b"" if state == "empty" else b"garbage")
    run = only(tree)
    assert run.repetition_time == 2.0
    assert run.notices == ()


def test_raw_run_that_was_not_preprocessed_is_told(tree: Tree) -> None:
    tree.run(RUN)
    write_text(tree.func(tree.raw, "sub-01_task-nback_run-2", "events.tsv"), EVENTS)
    found = tree.find()
    assert names(found) == [RUN]
    assert "sub-01_task-nback_run-2: left out, since it has events but no BOLD" in told(found)


def test_raw_run_that_was_not_preprocessed_is_known_by_its_image_too(tree: Tree) -> None:
    tree.run(RUN, events=False)
    write_text(tree.raw / "task-nback_events.tsv", EVENTS)
    tree.func(tree.raw, RUN, "bold.nii.gz").parent.mkdir(parents=True)
    for stem in (RUN, "sub-01_task-nback_run-2", "sub-01_task-rest"):
        tree.func(tree.raw, stem, "bold.nii.gz").touch()
    assert told(tree.find()).count("has events but no BOLD series") == 1
    assert "run-2" not in told(tree.find(runs=("1",)))


def test_raw_echoes_of_a_combined_series_are_not_told(tree: Tree) -> None:
    tree.run(RUN)
    for echo in (1, 2):
        tree.func(tree.raw, f"{RUN}_echo-{echo}_part-mag", "bold.nii.gz").touch()
    assert only(tree).notices == ()
    assert told(tree.find()) == ""


def test_raw_bold_is_modelled_where_that_is_asked_for(tree: Tree) -> None:
    stem = "sub-01_task-nback"
    values = np.ones((*SHAPE, 6), dtype=np.float32)
    write_image(tree.func(tree.raw, stem, "bold.nii.gz"), values)
    write_image(tree.func(tree.raw, f"{stem}_part-phase", "bold.nii.gz"), values)
    write_json(tree.func(tree.raw, stem, "bold.json"), RepetitionTime=2.0)
    write_text(tree.func(tree.raw, stem, "events.tsv"), EVENTS)
    data = tree.data(raw_bold=True, derivatives=())
    assert list_participants(data) == ("01",)
    found = find_runs(data, "01", analysis=AnalysisSettings())
    assert found.problems == ()
    assert names(found) == [stem]
    assert "part-phase: left out" in told(found)
    assert "no brain mask" in told(found)


# ---------------------------------------------------------------------------------- events


@pytest.mark.parametrize(
    "name",
    [
        "task-nback_events.tsv",
        "sub-01/sub-01_task-nback_events.tsv",
        "sub-01/ses-1/sub-01_ses-1_task-nback_events.tsv",
        "sub-01/ses-1/func/sub-01_ses-1_task-nback_events.tsv",
        "sub-01/ses-1/func/sub-01_ses-1_task-nback_run-1_events.tsv",
    ],
)
def test_events_are_inherited_from_every_level(tree: Tree, name: str) -> None:
    tree.run("sub-01_ses-1_task-nback_run-01", events=False)
    write_text(tree.raw / name, EVENTS)
    assert only(tree).events_files == (tree.raw / name,)


def test_nearer_events_win_over_more_specific_ones(tree: Tree) -> None:
    tree.run(RUN, events=False)
    write_text(tree.raw / "sub-01" / f"{RUN}_events.tsv", EVENTS)
    near = write_text(tree.func(tree.raw, "sub-01_task-nback", "events.tsv"), EVENTS)
    assert only(tree).events_files == (near,)


def test_more_specific_events_of_one_folder_win(tree: Tree) -> None:
    tree.run(RUN)
    write_text(tree.func(tree.raw, "sub-01_task-nback", "events.tsv"), EVENTS)
    assert only(tree).events_files == (tree.func(tree.raw, RUN, "events.tsv"),)


@pytest.mark.parametrize(
    "name",
    [
        "task-rest_events.tsv",
        "task-nback_acq-mb_events.tsv",
        "sub-01/func/sub-01_task-nback_run-2_events.tsv",
        "sub-02/func/sub-02_task-nback_run-1_events.tsv",
        "sub-01/ses-1/func/sub-01_task-nback_run-1_events.tsv",
    ],
)
def test_events_that_disagree_or_lie_elsewhere_are_not_taken(tree: Tree, name: str) -> None:
    tree.run(RUN, events=False)
    write_text(tree.raw / name, EVENTS)
    (problem,) = tree.find(tasks=("nback",)).problems
    assert problem.found.startswith("no events table applies to this run")
    assert f"put sub-01/func/{RUN}_events.tsv into {tree.raw}" in problem.remedy
    assert problem.code == ExitCode.MISSING_INPUT
    assert problem.participant == "01"


def test_compressed_events_are_read(tree: Tree) -> None:
    tree.run(RUN, events=False)
    path = tree.func(tree.raw, RUN, "events.tsv.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(EVENTS.encode(), mtime=0))
    assert [condition.name for condition in only(tree).conditions] == ["face", "house"]


def test_two_events_tables_that_apply_alike_are_a_problem(tree: Tree) -> None:
    tree.run("sub-01_task-nback_acq-mb_run-1")
    for stem in ("sub-01_task-nback_acq-mb", "sub-01_task-nback_run-1"):
        write_text(tree.func(tree.raw, stem, "events.tsv"), EVENTS)
    tree.func(tree.raw, "sub-01_task-nback_acq-mb_run-1", "events.tsv").unlink()
    (problem,) = tree.find().problems
    assert problem.found.startswith("several files apply to one run alike")


def test_task_without_events_is_left_out_with_a_notice(tree: Tree) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-rest_run-1", events=False)
    tree.run("sub-01_task-rest_run-2", events=False)
    found = tree.find(runs=("1",))
    assert names(found) == [RUN]
    assert found.problems == ()
    assert "task-rest: left out, since it has no events" in told(found)
    assert found.left_out == ()


def test_task_without_events_that_is_asked_for_is_a_problem(tree: Tree) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-rest", events=False)
    (problem,) = tree.find(tasks=("rest",)).problems
    assert problem.code == ExitCode.MISSING_INPUT


def test_run_without_events_of_a_task_that_has_some_is_a_problem(tree: Tree) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-nback_run-2", events=False)
    found = tree.find()
    (problem,) = found.problems
    assert "run-2" in problem.where
    assert f"{RUN}_events.tsv" in problem.found
    assert names(found) == [RUN]
    assert problem.code == ExitCode.MISSING_INPUT


def test_raw_run_without_series_and_events_is_absent_where_its_task_has_events(tree: Tree) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-rest_run-1", events=False)
    # Of the task that was not preprocessed at all nobody knows whether it is rest.
    for stem in ("sub-01_task-nback_run-2", "sub-01_task-rest_run-2", "sub-01_task-sleep"):
        tree.func(tree.raw, stem, "bold.json").write_text("{}")
    assert absent(tree.find()) == {
        "sub-01_task-nback_run-2": "it has neither events nor a BOLD series with desc-preproc"
    }


def test_session_that_was_not_preprocessed_is_told_by_its_runs(tree: Tree) -> None:
    tree.run("sub-01_ses-1_task-nback_run-1")
    for run in (1, 2):
        stem = f"sub-01_ses-2_task-nback_run-{run}"
        write_text(tree.func(tree.raw, stem, "events.tsv"), EVENTS)
    reason = "it has events but no BOLD series with desc-preproc, as all of session 2"
    expected = {f"sub-01_ses-2_task-nback_run-{run}": reason for run in (1, 2)}
    assert absent(tree.find()) == expected
    # Whoever asks for the session is told of its runs alone.
    assert absent(tree.find(sessions=("1", "2"))) == expected
    assert absent(tree.find(sessions=("1",))) == {}


def test_session_that_nobody_has_is_absent_itself(tree: Tree) -> None:
    tree.run("sub-01_ses-1_task-nback_run-1")
    found = tree.find(sessions=("1", "3"))
    assert absent(found) == {"sub-01_ses-3": "there is no session 3, but 1"}


def test_table_of_several_runs_is_no_run_beside_them(tree: Tree) -> None:
    tree.run("sub-01_task-faces")
    shared = tree.func(tree.raw, "sub-01_task-nback", "events.tsv")
    write_text(shared, EVENTS)
    assert list(absent(tree.find())) == ["sub-01_task-nback"]
    for run in (1, 2):
        tree.func(tree.raw, f"sub-01_task-nback_run-{run}", "bold.nii.gz").touch()
    assert list(absent(tree.find())) == [f"sub-01_task-nback_run-{run}" for run in (1, 2)]


def test_run_that_lacks_a_space_is_absent_in_it_unless_it_is_rest(tree: Tree) -> None:
    for space in ("MNI152NLin2009cAsym", "T1w"):
        tree.run(f"{RUN}_space-{space}")
    tree.run("sub-01_task-nback_run-2_space-T1w")
    tree.run("sub-01_task-rest_space-T1w", events=False)
    assert absent(tree.find()) == {
        "sub-01_task-nback_run-2_space-MNI152NLin2009cAsym": (
            "it is not there in space MNI152NLin2009cAsym"
        )
    }


def absent(found: Found) -> dict[str, str]:
    """Return what is absent, and why."""
    return {str(absence.entities): absence.reason for absence in found.absent}


def test_task_whose_events_others_have_is_no_rest(tree: Tree) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-faces", events=False)
    tree.run("sub-02_ses-1_task-faces")
    (problem,) = tree.find().problems
    assert "task-faces" in problem.where


def test_participant_with_rest_alone_is_a_problem(tree: Tree) -> None:
    tree.run("sub-01_task-rest", events=False)
    (problem,) = tree.find().problems
    assert problem.found == "no run of this participant has events"


# --------------------------------------------------------------- masks, confounds, anatomy


def test_run_without_mask_is_found_with_a_warning(tree: Tree) -> None:
    tree.run(RUN, mask=False)
    run = only(tree)
    assert (run.mask, run.n_mask_voxels) == (None, None)
    assert "no brain mask" in run.notices[0].text
    assert run.notices[0].warning


def test_mask_of_another_space_or_resolution_is_not_taken(tree: Tree) -> None:
    stem = f"sub-01_task-nback_{MNI}_res-2"
    tree.run(stem, mask=False)
    for other in (
        "sub-01_task-nback",
        f"sub-01_task-nback_{MNI}",
        f"sub-01_task-nback_{MNI}_res-1",
    ):
        path = tree.func(tree.preproc, other, "desc-brain_mask.nii.gz")
        write_image(path, np.ones(SHAPE, dtype=np.uint8))
    assert only(tree).mask is None


def test_label_brain_is_a_mask_too(tree: Tree) -> None:
    tree.run(RUN, mask=False)
    path = tree.func(tree.preproc, RUN, "label-brain_mask.nii.gz")
    write_image(path, np.ones(SHAPE, dtype=np.uint8))
    assert only(tree).mask == path


def test_run_without_confounds_is_found(tree: Tree) -> None:
    tree.run(RUN, confounds=False)
    run = only(tree)
    assert (run.confounds, run.confounds_file) == (None, None)


def test_former_spelling_of_confounds_is_read_unless_the_present_is_there(tree: Tree) -> None:
    tree.run(RUN, confounds=False)
    former = tree.func(tree.preproc, RUN, "desc-confounds_regressors.tsv")
    write_text(former, confounds_text(6))
    assert only(tree).confounds_file == former
    present = tree.func(tree.preproc, RUN, "desc-confounds_timeseries.tsv")
    write_text(present, confounds_text(6))
    assert only(tree).confounds_file == present


def test_compressed_confounds_are_read_with_their_sidecar(tree: Tree) -> None:
    tree.run(RUN)
    path = tree.func(tree.preproc, RUN, "desc-confounds_timeseries.tsv")
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    write_json(path.with_suffix(".json"), trans_x={"Units": "mm"})
    (run,) = tree.find().runs
    assert run.confounds_file.name.endswith(".tsv.gz")
    np.testing.assert_allclose(run.confounds.values["trans_x"], 0.01 * np.arange(6))
    assert run.confounds.metadata == {"trans_x": {"Units": "mm"}}


def test_files_of_a_second_folder_of_derivatives_complete_the_first(tree: Tree) -> None:
    tree.run(RUN, mask=False, confounds=False)
    extra = tree.root / "extra"
    mask = tree.func(extra, RUN, "desc-brain_mask.nii.gz")
    write_image(mask, np.ones(SHAPE, dtype=np.uint8))
    write_text(tree.func(extra, RUN, "desc-confounds_timeseries.tsv"), confounds_text(6))
    run = only(tree, derivatives=(("fmriprep", tree.preproc), ("extra", extra)))
    assert run.uris[mask] == f"bids:extra:sub-01/func/{RUN}_desc-brain_mask.nii.gz"
    assert run.confounds is not None


def test_files_of_the_series_own_derivatives_come_first(tree: Tree) -> None:
    tree.run(RUN)
    extra = tree.root / "extra"
    mask = tree.func(extra, RUN, "desc-brain_mask.nii.gz")
    write_image(mask, np.ones(SHAPE, dtype=np.uint8))
    run = only(tree, derivatives=(("extra", extra), ("fmriprep", tree.preproc)))
    assert run.mask is not None
    assert run.mask.is_relative_to(tree.preproc)


def test_series_that_two_derivatives_have_is_a_problem(tree: Tree) -> None:
    tree.run(RUN)
    shutil.copytree(tree.preproc, tree.root / "copy")
    found = tree.find(derivatives=(("a", tree.preproc), ("b", tree.root / "copy")))
    (problem,) = found.problems
    assert problem.found.startswith("the same run is also in")
    assert found.runs == ()


@pytest.mark.parametrize(
    ("stem", "anatomy", "expected"),
    [
        (f"{RUN}_{MNI}_res-2", [f"sub-01_{MNI}_res-2", f"sub-01_{MNI}", "sub-01"], 0),
        (f"{RUN}_{MNI}", [f"sub-01_{MNI}_res-1", "sub-01"], 0),
        (f"{RUN}_space-T1w", [f"sub-01_{MNI}", "sub-01"], 1),
        (f"{RUN}_{MNI}", ["sub-01", "sub-01_space-MNI152NLin6Asym"], None),
        (RUN, ["sub-01"], None),
    ],
)
def test_t1w_is_the_one_in_the_series_space(
    tree: Tree, stem: str, anatomy: list[str], expected: int | None
) -> None:
    tree.run(stem)
    images = [
        write_image(
            tree.preproc / "sub-01" / "anat" / f"{one}_desc-preproc_T1w.nii.gz", np.ones((9, 9, 9))
        )
        for one in anatomy
    ]
    run = only(tree)
    assert run.t1w == (None if expected is None else images[expected])
    assert (run.t1w in run.uris) == (expected is not None)


def test_t1w_of_the_session_is_preferred(tree: Tree) -> None:
    tree.run(f"sub-01_ses-2_task-nback_{MNI}")
    for session in (1, 2):
        name = f"sub-01_ses-{session}_{MNI}_desc-preproc_T1w.nii.gz"
        write_image(tree.preproc / "sub-01" / f"ses-{session}" / "anat" / name, np.ones(SHAPE))
    run = only(tree)
    assert run.t1w is not None
    assert run.t1w.name.startswith("sub-01_ses-2")


def test_broken_t1w_is_done_without(tree: Tree) -> None:
    tree.run(f"{RUN}_{MNI}")
    path = tree.preproc / "sub-01" / "anat" / f"sub-01_{MNI}_desc-preproc_T1w.nii.gz"
    write_text(path, "garbage")
    run = only(tree)
    assert run.t1w is None
    assert run.notices[0].text == f"{path.name}: not shown, since it is not a NIfTI image."


@pytest.mark.parametrize(
    ("stem", "images", "expected"),
    [
        (f"{RUN}_space-T1w", [f"func/{RUN}_space-T1w_desc-aseg", "anat/sub-01_desc-aparcaseg"], 1),
        (f"{RUN}_space-T1w", ["anat/sub-01_desc-aseg", f"anat/sub-01_{MNI}_desc-aparcaseg"], 0),
        (f"{RUN}_{MNI}", ["anat/sub-01_desc-aparcaseg", f"func/{RUN}_{MNI}_desc-aparcaseg"], 1),
        (
            f"{RUN}_{MNI}",
            [f"func/sub-01_task-rest_{MNI}_desc-aseg", "anat/sub-01_desc-aseg"],
            None,
        ),
        (RUN, ["anat/sub-01_desc-aparcaseg"], None),
    ],
)
def test_segmentation_is_the_one_in_the_series_space_with_its_names(
    tree: Tree, stem: str, images: list[str], expected: int | None
) -> None:
    tree.run(stem)
    files = [
        write_image(tree.preproc / "sub-01" / f"{one}_dseg.nii.gz", np.ones((9, 9, 9)))
        for one in images
    ]
    assert only(tree).segmentation is None  # nobody says what the numbers are
    tables = {
        desc: write_text(tree.preproc / f"desc-{desc}_dseg.tsv", "index\tname\n")
        for desc in ("aseg", "aparcaseg")
    }
    run = only(tree)
    if expected is None:
        assert run.segmentation is None
        return
    desc = images[expected].rpartition("-")[2]
    assert run.segmentation == (files[expected], tables[desc])
    assert run.uris[tables[desc]] == f"bids:fmriprep:desc-{desc}_dseg.tsv"
    assert files[expected] in run.uris


# ---------------------------------------------------------------------------------- times


def test_repetition_time_comes_from_the_sidecar_and_a_header_that_differs_is_told(
    tree: Tree,
) -> None:
    tree.run(RUN, sidecar={"RepetitionTime": 1.5}, tr=2.0)
    run = only(tree)
    assert run.repetition_time == 1.5
    (notice,) = run.notices
    assert "RepetitionTime 1.5 s is taken; the header says 2 s" in notice.text
    assert notice.warning


@pytest.mark.parametrize(("tr", "units"), [(2.0009, "sec"), (2000.0, "msec"), (9.0, "unknown")])
def test_header_that_agrees_or_has_no_unit_is_not_told(tree: Tree, tr: float, units: str) -> None:
    tree.run(RUN, tr=tr, units=units)
    assert only(tree).notices == ()


def test_repetition_time_is_inherited_in_the_derivatives(tree: Tree) -> None:
    tree.run(RUN, sidecar={})
    write_json(tree.preproc / "task-nback_bold.json", RepetitionTime=2.0)
    write_json(tree.raw / "task-nback_bold.json", RepetitionTime=9.0)
    assert only(tree).repetition_time == 2.0


@pytest.mark.parametrize(
    "name", ["task-nback_bold.json", f"sub-01/func/{RUN}_echo-1_part-mag_bold.json"]
)
def test_repetition_time_is_inherited_from_raw_sidecars(tree: Tree, name: str) -> None:
    tree.run(RUN, sidecar={})
    write_json(tree.raw / name, RepetitionTime=2.0)
    run = only(tree)
    assert (run.repetition_time, run.notices) == (2.0, ())


def test_header_counts_where_no_sidecar_has_a_repetition_time(tree: Tree) -> None:
    tree.run(RUN, sidecar={"RepetitionTime": None}, tr=2500.0, units="msec")
    run = only(tree)
    assert run.repetition_time == 2.5
    assert "the header's 2.5 s is taken" in run.notices[0].text


@pytest.mark.parametrize(
    ("sidecar", "units", "message"),
    [
        ({}, "unknown", "no RepetitionTime in a sidecar and none in the header; write"),
        ({"VolumeTiming": [0, 9]}, "unknown", "only VolumeTiming"),
        ({"RepetitionTime": "2"}, "sec", "RepetitionTime '2' in its sidecar"),
        ({"RepetitionTime": True}, "sec", "RepetitionTime True in its sidecar"),
        ({"RepetitionTime": 0}, "sec", "a RepetitionTime of 0 s"),
        ({"RepetitionTime": 2000}, "sec", "a RepetitionTime of 2000 s"),
        ({"RepetitionTime": 2, "StartTime": -1}, "sec", "a StartTime of -1 s"),
    ],
)
def test_time_that_makes_no_sense_is_a_problem(
    tree: Tree, sidecar: dict[str, object], units: str, message: str
) -> None:
    tree.run(RUN, sidecar=sidecar, units=units)
    (problem,) = tree.find().problems
    assert message in str(problem)
    assert problem.code == ExitCode.BAD_DATA


@pytest.mark.parametrize(
    ("sidecar", "slice_time_ref", "expected", "warned"),
    [
        ({}, None, 0.0, False),
        ({"StartTime": 0.8}, None, 0.8, False),
        ({"StartTime": 0, "SliceTimingCorrected": True}, None, 0.0, False),
        ({"SliceTimingCorrected": True}, None, 1.0, True),
        ({"SliceTimingCorrected": False}, None, 0.0, False),
        ({"StartTime": 0.8}, 0.25, 0.5, False),
        ({"SliceTimingCorrected": True}, 0.0, 0.0, False),
        ({"StartTime": 2.5}, None, 2.5, True),
    ],
)
def test_slice_time(
    tree: Tree,
    sidecar: dict[str, object],
    slice_time_ref: float | None,
    expected: float,
    warned: bool,
) -> None:
    tree.run(RUN, sidecar={"RepetitionTime": 2.0, **sidecar})
    run = only(tree, analysis=AnalysisSettings(slice_time_ref=slice_time_ref))
    assert run.slice_time == expected
    assert run.frame_times[1] == 2.0 + expected
    assert bool(run.notices) == warned


def test_start_time_comes_from_raw_sidecars_too(tree: Tree) -> None:
    tree.run(RUN)
    write_json(tree.raw / "task-nback_bold.json", StartTime=0.3)
    assert only(tree).slice_time == 0.3


@pytest.mark.parametrize(("said", "expected"), [(True, True), (False, False), (None, False)])
def test_skull_stripping_is_what_the_sidecar_says(
    tree: Tree, said: bool | None, expected: bool
) -> None:
    tree.run(RUN, sidecar={"RepetitionTime": 2.0, "SkullStripped": said})
    assert only(tree).skull_stripped is expected


# ----------------------------------------------------------------------------- bad input


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def write_rows(path: Path) -> None:
    path.write_text(confounds_text(5), encoding="utf-8")


def shrink(path: Path) -> None:
    write_image(path, np.ones((4, 3, 3), dtype=np.uint8))


def flatten(path: Path) -> None:
    write_image(path, np.ones(SHAPE, dtype=np.float32))


def deepen(path: Path) -> None:
    write_image(path, np.ones((*SHAPE, 2), dtype=np.uint8))


def empty(path: Path) -> None:
    write_image(path, np.zeros(SHAPE, dtype=np.uint8))


def garble(path: Path) -> None:
    path.write_text("{garbage", encoding="utf-8")


def rename_column(path: Path) -> None:
    path.write_text(EVENTS.replace("trial_type", "stimulus"), encoding="utf-8")


def drop_column(path: Path) -> None:
    path.write_text("onset\ttrial_type\n1\tface\n", encoding="utf-8")


BOLD, MASK = "desc-preproc_bold.nii.gz", "desc-brain_mask.nii.gz"
FAULTS: list[tuple[str, Callable[[Path], None], str]] = [
    (BOLD, cut, "truncated"),
    (BOLD, garble, "not a NIfTI image"),
    (BOLD, flatten, "an image of 4 x 3 x 2 voxels; give a series of volumes"),
    (MASK, cut, "truncated"),
    (MASK, garble, "not a NIfTI image"),
    (MASK, shrink, "its grid is (4, 3, 3), that of"),
    (MASK, deepen, "an image of shape (4, 3, 2, 2)"),
    (MASK, empty, "a mask without any voxel"),
    ("desc-confounds_timeseries.tsv", write_rows, "5 rows, but the BOLD series has 6 volumes"),
    ("desc-preproc_bold.json", garble, "not valid JSON"),
    ("events.tsv", drop_column, "no column 'duration'"),
    ("events.tsv", rename_column, "the columns there are: onset, duration, stimulus"),
]


@pytest.mark.parametrize(
    ("ending", "damage", "message"), FAULTS, ids=[f"{one[0]} {one[1].__name__}" for one in FAULTS]
)
def test_bad_file_is_a_problem_that_names_it(
    tree: Tree, ending: str, damage: Callable[[Path], None], message: str
) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-nback_run-2")
    path = tree.func(tree.raw if ending == "events.tsv" else tree.preproc, RUN, ending)
    damage(path)
    found = tree.find()
    (problem,) = found.problems
    assert problem.where == str(path)
    assert message in str(problem)
    assert (problem.code, problem.participant) == (ExitCode.BAD_DATA, "01")
    assert names(found) == ["sub-01_task-nback_run-2"]


def test_series_that_cannot_be_read_is_not_blamed_for_its_header_too(tree: Tree) -> None:
    tree.run(RUN, sidecar={})
    garble(tree.func(tree.preproc, RUN, BOLD))
    (problem,) = tree.find().problems
    assert problem.found == "not a NIfTI image"


def test_all_faults_of_all_runs_are_told_at_once(tree: Tree) -> None:
    tree.run(RUN)
    cut(tree.run("sub-01_task-nback_run-2"))
    for ending, damage in ((BOLD, cut), (MASK, empty)):
        damage(tree.func(tree.preproc, RUN, ending))
    drop_column(tree.func(tree.raw, RUN, "events.tsv"))
    found = tree.find()
    assert len(found.problems) == 4
    assert found.runs == ()


def test_link_to_an_absent_series_is_a_missing_input(tree: Tree) -> None:
    bold = tree.run(RUN)
    bold.unlink()
    bold.symlink_to("/nowhere/at/all.nii.gz")
    (problem,) = tree.find().problems
    assert problem.found == "a link to a file that is not there"
    assert "datalad get" in problem.remedy
    assert "in a container, mount what it points to" in problem.remedy
    assert problem.code == ExitCode.MISSING_INPUT


@pytest.mark.parametrize("kind", ["link", "placeholder"])
@pytest.mark.parametrize(
    "name",
    [
        "desc-preproc_bold.nii.gz",
        "desc-preproc_bold.json",
        "desc-brain_mask.nii.gz",
        "desc-confounds_timeseries.tsv",
        "events.tsv",
    ],
)
def test_files_that_were_not_fetched_are_missing_inputs(tree: Tree, name: str, kind: str) -> None:
    tree.run(RUN)
    path = tree.func(tree.raw if name == "events.tsv" else tree.preproc, RUN, name)
    path.unlink()
    if kind == "link":
        path.symlink_to(f"../../.git/annex/objects/{path.name}")
    else:
        path.write_text(f"/annex/objects/MD5E-s1--0{path.suffix}\n", encoding="utf-8")
    (problem,) = tree.find().problems
    assert problem.where == str(path)
    assert "datalad get" in problem.remedy
    assert problem.code == ExitCode.MISSING_INPUT


def test_participant_without_series_is_told_what_is_there(tree: Tree) -> None:
    tree.run(RUN)
    (problem,) = tree.find(desc="denoised").problems
    assert problem.found == "no BOLD series with desc-denoised in a func folder"
    assert problem.remedy == "choose by --desc-label among preproc"
    assert problem.code == ExitCode.MISSING_INPUT


def func(tree: Tree, name: str) -> Path:
    """Write an empty file among the derivatives of a participant."""
    return write_text(tree.preproc / "sub-01" / "func" / name, "")


@pytest.mark.parametrize(
    ("name", "found", "remedy"),
    [
        (None, "", "preprocess this participant, fetch the files (datalad get), or name the"),
        (f"{RUN}_desc-confounds_timeseries.tsv", "", "preprocess this participant, or name the"),
        (f"{RUN}_space-T1w_bold.nii.gz", ", only some without desc-", '{"bold": {"desc": null}}'),
        (f"{RUN}_space-fsLR_den-91k_bold.dtseries.nii", ", only data on surfaces (", "volume too"),
        (f"{RUN}_hemi-L_space-fsaverage_bold.func.gii", ", only data on surfaces (", "volume too"),
        (
            f"{RUN}_bold_space-MNI152NLin2009cAsym_preproc.nii.gz",
            ", but names of fMRIPrep's first versions (",
            f"rename {RUN}_bold_space-X_preproc.nii.gz to {RUN}_space-X_desc-preproc_bold.nii.gz",
        ),
        (f"{RUN}_bold_space-T1w_brainmask.nii.gz", ", but names of fMRIPrep's first", "rename"),
    ],
)
def test_participant_without_series_is_told_what_is_there_instead(
    tree: Tree, name: str | None, found: str, remedy: str
) -> None:
    tree.run(RUN.replace("sub-01", "sub-02"))
    if name is not None:
        func(tree, name)
    (problem,) = tree.find().problems
    assert problem.where == f"sub-01 in {tree.preproc}"
    assert problem.found.startswith(f"no BOLD series with desc-preproc in a func folder{found}")
    assert remedy in problem.remedy
    assert problem.code == ExitCode.MISSING_INPUT


def test_series_without_desc_are_found_as_the_message_says(tree: Tree) -> None:
    bold = tree.run(RUN)
    bold.rename(bold.with_name(f"{RUN}_bold.nii.gz"))
    assert names(tree.find(filters={"desc": None})) == [RUN]


def test_participant_without_raw_images_is_told_what_to_do(tree: Tree) -> None:
    tree.run(RUN)
    (problem,) = tree.find(raw_bold=True, derivatives=()).problems
    assert problem.where == f"sub-01 in {tree.raw}"
    assert problem.found == "no raw BOLD image in a func folder"
    assert "do without --raw-bold" in problem.remedy


def test_series_without_a_task_that_bids_can_read_is_a_problem(tree: Tree) -> None:
    tree.run(RUN)
    tree.run("sub-01_task-n-back_run-1")
    found = tree.find()
    (problem,) = found.problems
    assert "no task- with a label" in problem.found
    assert names(found) == [RUN]


# ------------------------------------------------------------------ designs made beforehand


def design_text(n_rows: int) -> str:
    return "face\tconstant\n" + "".join(f"{0.1 * row!r}\t1\n" for row in range(n_rows))


@pytest.mark.parametrize(
    ("folder", "stem"),
    [
        (".", "sub-01_task-nback_run-1"),
        ("sub-01/func", "sub-01_task-nback_run-01"),
        ("node-runLevel/sub-01", f"sub-01_task-nback_run-1_{MNI}_res-2"),
    ],
)
def test_design_replaces_events_and_confounds(
    tree: Tree, tmp_path: Path, folder: str, stem: str
) -> None:
    tree.run(f"{RUN}_{MNI}_res-2", events=False)
    designs = tmp_path / "designs"
    path = write_text(designs / folder / f"{stem}_design.tsv", design_text(6))
    run = only(tree, design_dir=designs)
    assert run.design is not None
    assert run.design.names == ("face", "constant")
    assert run.design.matrix[1, 0] == 0.1
    assert run.design_file == path
    assert run.uris[path].startswith("bids:design:")
    assert (run.conditions, run.events_files, run.confounds, run.confounds_file) == (
        (), (), None, None,
    )  # fmt: skip
    assert not run.names_conditions


def test_design_with_a_sidecar_names_its_conditions(tree: Tree, tmp_path: Path) -> None:
    tree.run(RUN)
    columns = [{"Name": "face", "Role": "condition", "Condition": "face", "Basis": 0}]
    columns.append({"Name": "constant", "Role": "constant"})
    write_text(tmp_path / "designs" / f"{RUN}_design.tsv", design_text(6))
    write_json(tmp_path / "designs" / f"{RUN}_design.json", Columns=columns)
    assert only(tree, design_dir=tmp_path / "designs").names_conditions


@pytest.mark.parametrize(
    ("files", "n_rows", "message", "code"),
    [
        (["sub-01_task-nback_run-2"], 6, f"no {RUN}_design.tsv", ExitCode.MISSING_INPUT),
        ([RUN], 7, "7 rows, but", ExitCode.BAD_DATA),
        ([RUN, f"sub-01/{RUN}"], 6, "several design matrices", ExitCode.BAD_DATA),
    ],
)
def test_design_that_does_not_fit_is_a_problem(
    tree: Tree, tmp_path: Path, files: list[str], n_rows: int, message: str, code: ExitCode
) -> None:
    tree.run(RUN)
    for name in files:
        write_text(tmp_path / "designs" / f"{name}_design.tsv", design_text(n_rows))
    (problem,) = tree.find(design_dir=tmp_path / "designs").problems
    assert message in str(problem)
    assert problem.code == code
