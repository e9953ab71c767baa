"""What the output folder keeps of calls, and what of it still holds."""

from __future__ import annotations

import gzip
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_fx.calls import Call, Failure
from bids_fx.derivatives import paths
from bids_fx.derivatives.calls import joined, read_calls, restored, write_calls
from bids_fx.derivatives.holdings import missing_outputs, refreshed
from bids_fx.derivatives.results import write_design
from bids_fx.errors import BIDSFXError, Notice, Problem
from bids_fx.inputs import Absence
from bids_fx.records import GroupContrast, Plan
from tests.small_plans import (
    FACE,
    FACE_HOUSE,
    TINY_PNG,
    TINY_SVG,
    entities,
    make_group,
    make_plan,
    make_run,
)


def plan_of(*names: str, hash_: str = "old", **changes: object) -> Plan:
    runs = tuple(replace(make_run(name), settings_hash=f"{hash_}-run") for name in names)
    group = make_group("sub-01_task-x", runs, settings_hash=f"{hash_}-group")
    return make_plan(runs, (group,), **changes)


BOTH = ("sub-01_task-x_run-1", "sub-01_task-x_run-2")


#: The least that is whole of each kind of file; an image has a header and one byte.
CONTENTS = {
    ".gz": gzip.compress(struct.pack("<40x8h16xh278xB", 3, 1, 1, 1, *4 * [0], 8, 0), mtime=0),
    ".json": b"{}",
    ".tsv": b"a\n",
    ".png": TINY_PNG,
    ".svg": TINY_SVG,
}


def publish(plan: Plan, out_dir: Path) -> None:
    """Leave all that a plan promises, with sidecars that tell its settings."""
    for path in paths.expected_outputs(plan):
        if path.name == "calls.json":
            continue
        file = out_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENTS.get(file.suffix, b""))
    for result in (*plan.runs, *plan.written_groups):
        images = paths.run_images(result) if result in plan.runs else paths.group_images(result)
        for image in images:
            sidecar = {"SettingsHash": result.settings_hash}
            (out_dir / paths.sidecar(image)).write_text(json.dumps(sidecar))


def call(plan: Plan, **changes: object) -> Call:
    return replace(Call(plan=plan, state="done", software={"bids_fx": "1"}), **changes)


def add(plan: Plan, out_dir: Path, **changes: object) -> tuple[Call, ...]:
    """Publish a plan and write its call down."""
    publish(plan, out_dir)
    calls = joined(call(plan, **changes), out_dir)
    write_calls(out_dir, calls)
    return calls


def runs_of(one: Call) -> list[str]:
    return [run.key for run in one.plan.runs]


def labels_of(one: Call) -> list[str]:
    return [item.contrast.label for group in one.plan.groups for item in group.contrasts]


def test_what_is_written_is_read(tmp_path):
    calls = add(plan_of(*BOTH), tmp_path)
    assert read_calls(tmp_path, "01") == calls


def test_nothing_is_known_of_who_was_never_called(tmp_path):
    assert read_calls(tmp_path, "01") == ()


def test_neither_tables_nor_paths_of_the_machine_are_kept(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    text = (tmp_path / "sub-01" / "calls.json").read_text()
    assert "/data/" not in text
    assert "matrix" not in text
    assert len(text) < 20_000


def test_what_depends_on_the_machine_is_not_kept(tmp_path):
    plan = plan_of(*BOTH)
    first = add(plan, tmp_path)
    runs = tuple(replace(run, mem_gb=3.0, on_disk=True) for run in plan.runs)
    groups = tuple(replace(group, mem_gb=2.0) for group in plan.groups)
    assert joined(call(replace(plan, runs=runs, groups=groups)), tmp_path) == first


def test_a_file_that_says_the_same_is_left_alone(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    path = tmp_path / "sub-01" / "calls.json"
    before = path.stat().st_mtime_ns
    add(plan_of(*BOTH), tmp_path)
    assert path.stat().st_mtime_ns == before


def test_design_matrices_are_read_back(tmp_path):
    run = make_run(BOTH[0], censored=(3,))
    for file in run.source.uris:
        assert not file.exists()
    source = replace(run.source, events_files=(), confounds_file=None)
    plan = make_plan((replace(run, source=source, confounds=replace(run.confounds, columns=())),))
    write_design(plan.runs[0], plan.settings, tmp_path)
    (kept,) = joined(call(plan), tmp_path)
    assert kept.plan.runs[0].design is None
    found = restored(kept.plan, tmp_path).runs[0].design
    assert found.columns == run.design.columns
    np.testing.assert_array_equal(found.matrix, run.design.matrix)


@pytest.mark.parametrize("change", ["matrix", "role", "contrasts"])
def test_a_design_matrix_of_another_analysis_is_not_read_back(tmp_path, change):
    run = make_run(BOTH[0])
    source = replace(run.source, events_files=(), confounds_file=None)
    run = replace(run, source=source, confounds=replace(run.confounds, columns=()))
    first, *rest = run.design.columns
    other = {
        "matrix": replace(run, design=replace(run.design, matrix=run.design.matrix + 1e-12)),
        "role": replace(
            run, design=replace(run.design, columns=(replace(first, role="drift"), *rest))
        ),
        "contrasts": replace(run, contrasts=run.contrasts[:1]),
    }[change]
    (kept,) = joined(call(make_plan((run,))), tmp_path)
    for written, is_read in ((run, True), (other, False)):
        write_design(written, kept.plan.settings, tmp_path)
        assert (restored(kept.plan, tmp_path).runs[0].design is not None) is is_read


def test_columns_of_designs_are_kept_where_the_matrix_is_not_there(tmp_path):
    (kept,) = joined(call(plan_of(*BOTH)), tmp_path)
    run = restored(kept.plan, tmp_path).runs[0]
    assert run.design is None
    assert run.design_columns == make_run(BOTH[0]).design.columns


def test_inputs_are_found_where_the_datasets_were(tmp_path):
    links = {"preproc": (tmp_path / "in put").as_uri()}
    (tmp_path / "dataset_description.json").write_text(json.dumps({"DatasetLinks": links}))
    (kept,) = joined(call(plan_of(BOTH[0])), tmp_path)
    source = restored(kept.plan, tmp_path).runs[0].source
    name = "sub-01_task-x_run-1_desc-preproc_bold.nii.gz"
    assert source.bold == tmp_path / "in put" / "sub-01" / "func" / name
    assert source.uris[source.bold] == f"bids:preproc:sub-01/func/{name}"


def test_inputs_of_unknown_datasets_lead_nowhere(tmp_path):
    (kept,) = joined(call(plan_of(BOTH[0])), tmp_path)
    assert not restored(kept.plan, tmp_path).runs[0].source.bold.exists()


def test_events_are_told_without_their_times(tmp_path):
    (kept,) = joined(call(plan_of(BOTH[0])), tmp_path)
    source = kept.plan.runs[0].source
    assert source.conditions == ()
    told = [(one.name, one.number, one.shortest_s, one.longest_s) for one in source.events_told]
    assert told == [("face", 2, 1.0, 2.5), ("house", 2, 1.0, 2.5)]


def test_a_call_of_another_task_stands_beside_the_first(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    other = make_run("sub-01_task-y_run-1")
    calls = add(make_plan((other,), (make_group("sub-01_task-y", (other,)),)), tmp_path)
    assert [runs_of(one) for one in calls] == [["task-x_run-1", "task-x_run-2"], ["task-y_run-1"]]


def test_the_same_call_again_replaces_the_first(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    assert len(add(plan_of(*BOTH), tmp_path)) == 1


def test_other_settings_of_the_same_runs_replace_the_first(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    (kept,) = add(plan_of(*BOTH, hash_="new"), tmp_path)
    assert kept.plan.runs[0].settings_hash == "new-run"


def alone(name: str, hash_: str) -> Plan:
    """Return a plan of one run of two, of which nothing is combined."""
    plan = plan_of(name, hash_=hash_)
    return replace(plan, groups=(replace(plan.groups[0], not_written="filters"),))


def test_a_combination_stays_when_one_run_is_fitted_alone_with_other_settings(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    older, newer = add(alone(BOTH[0], "new"), tmp_path)
    assert runs_of(older) == ["task-x_run-1", "task-x_run-2"]
    assert older.plan.replaced == {"task-x_run-1"}
    assert labels_of(older) == [FACE.label, FACE_HOUSE.label]
    assert runs_of(newer) == ["task-x_run-1"]


def test_runs_of_the_same_settings_are_not_replaced_by_those_of_a_part(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    older, _ = add(alone(BOTH[0], "old"), tmp_path)
    assert older.plan.replaced == frozenset()


def test_a_refit_that_failed_leaves_the_results_that_are_there_to_the_older_call(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    calls = joined(call(plan_of(*BOTH, hash_="new"), state="failed"), tmp_path)
    assert [one.plan.runs[0].settings_hash for one in calls] == ["old-run", "new-run"]
    assert labels_of(calls[0]) == [FACE.label, FACE_HOUSE.label]


def test_a_run_whose_refit_failed_is_the_older_call_s(tmp_path):
    add(replace(plan_of(*BOTH), groups=()), tmp_path)
    newer = replace(plan_of(*BOTH, hash_="new"), groups=())
    calls = joined(call(newer, state="failed"), tmp_path)
    assert [runs_of(one) for one in calls] == [["task-x_run-1", "task-x_run-2"]] * 2


def test_runs_shown_alone_are_replaced_by_their_combination(tmp_path):
    add(alone(BOTH[0], "old"), tmp_path)
    newer = plan_of(*BOTH)
    groups = (replace(newer.groups[0], settings_hash="of another combination"),)
    (kept,) = add(replace(newer, groups=groups), tmp_path)
    assert runs_of(kept) == ["task-x_run-1", "task-x_run-2"]


def test_a_combination_keeps_what_it_is_combined_from(tmp_path):
    plan = plan_of(*BOTH)
    session = plan.groups[0]
    item = GroupContrast(contrast=FACE, input_keys=(session.key,))
    over = replace(
        make_group("sub-01_task-x_acq-all", plan.runs, settings_hash="over"),
        input_keys=(session.key,),
        contrasts=(item,),
    )
    add(replace(plan, groups=(session, over)), tmp_path)
    for label in (FACE.label, FACE_HOUSE.label):
        (tmp_path / paths.sidecar(paths.statmap(session.entities, label, "z"))).unlink()
    newer = replace(plan_of(*BOTH, hash_="new"))
    older, _ = add(newer, tmp_path)
    assert [group.key for group in older.plan.groups] == [session.key, over.key]


def test_refused_input_is_not_done_because_nothing_of_it_is_missing(tmp_path):
    problem = Problem(where="a.tsv", found="it is empty", remedy="fill it")
    refused = call(make_plan((), (), problems=(problem,)), state="failed")
    assert refreshed(refused, tmp_path) == refused


def test_contrasts_that_a_newer_call_does_not_combine_stay(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    newer = plan_of(*BOTH, hash_="new")
    group = replace(newer.groups[0], contrasts=newer.groups[0].contrasts[:1])
    older, _ = add(replace(newer, groups=(group,)), tmp_path)
    assert labels_of(older) == [FACE_HOUSE.label]


def test_results_that_were_deleted_are_forgotten(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    for file in (*(tmp_path / "sub-01/func").iterdir(), *(tmp_path / "sub-01/figures").iterdir()):
        file.unlink()
    other = make_run("sub-01_task-y_run-1")
    (kept,) = add(make_plan((other,), (make_group("sub-01_task-y", (other,)),)), tmp_path)
    assert runs_of(kept) == ["task-y_run-1"]


def test_a_failure_of_another_task_is_not_forgotten(tmp_path):
    failure = Failure(record="fitting", message="killed")
    write_calls(
        tmp_path,
        joined(call(plan_of(*BOTH), state="failed", failures=(failure,)), tmp_path),
    )
    other = make_run("sub-01_task-y_run-1")
    older, _ = add(make_plan((other,), (make_group("sub-01_task-y", (other,)),)), tmp_path)
    assert (older.state, older.failures) == ("failed", (failure,))


def test_refused_input_takes_nothing_from_earlier_results(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    problem = Problem(where="a.tsv", found="it is empty", remedy="fill it")
    refused = make_plan((), (), problems=(problem,))
    calls = joined(call(refused, state="failed"), tmp_path)
    assert [runs_of(one) for one in calls] == [["task-x_run-1", "task-x_run-2"], []]
    write_calls(tmp_path, calls)
    assert len(add(plan_of(*BOTH), tmp_path)) == 1


def test_what_failed_is_done_once_all_is_there(tmp_path):
    failed = call(plan_of(*BOTH), state="failed", reasons=("killed",))
    assert refreshed(failed, tmp_path) == failed
    publish(failed.plan, tmp_path)
    assert refreshed(failed, tmp_path) == replace(failed, state="done", reasons=())


@pytest.mark.parametrize("which", ["run", "group"])
def test_maps_of_other_settings_do_not_make_a_call_done(tmp_path, which):
    plan = plan_of(*BOTH)
    publish(plan, tmp_path)
    failed = call(plan, state="failed")
    image = paths.mask(plan.runs[1].entities)
    if which == "group":
        image = paths.statmap(plan.groups[0].entities, FACE_HOUSE.label, "z")
    (tmp_path / paths.sidecar(image)).write_text('{"SettingsHash": "other"}')
    assert refreshed(failed, tmp_path) == failed


def test_what_a_replaced_run_had_is_not_missing(tmp_path):
    add(plan_of(*BOTH), tmp_path)
    older, _ = add(alone(BOTH[0], "new"), tmp_path)
    gone = paths.statmap(plan_of(*BOTH).runs[0].entities, FACE_HOUSE.label, "z")
    (tmp_path / gone).unlink()
    assert missing_outputs(older.plan, tmp_path) == ()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"Format": 0, "Calls": []}', '{"Format": 1, "Calls": [{"plan": 1}]}']
)
def test_a_damaged_file_is_told_and_moved_out_of_the_way(tmp_path, caplog, text):
    path = tmp_path / "sub-01" / "calls.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(BIDSFXError, match=r"sub-01/calls\.json: what earlier calls did"):
        read_calls(tmp_path, "01")
    (kept,) = add(plan_of(*BOTH), tmp_path)
    assert any("cannot be read" in notice.text for notice in kept.plan.notices)
    assert path.with_suffix(".damaged").read_text() == text
    (warning,) = (one.getMessage() for one in caplog.records)
    assert warning.startswith("sub-01: sub-01/calls.json: what earlier calls did")
    assert "it was renamed to calls.damaged, and results of earlier calls" in warning


def test_texts_name_files_by_their_datasets(tmp_path):
    links = {name: (tmp_path / name).as_uri() for name in ("raw", "raw/derivatives/prep")}
    (tmp_path / "dataset_description.json").write_text(json.dumps({"DatasetLinks": links}))
    inside = tmp_path / "raw" / "derivatives" / "prep" / "sub-01" / "x.nii.gz"
    problem = Problem(where=str(inside), found=f"{inside} is cut off", remedy="restore it")
    plan = make_plan((), (), problems=(problem,))
    failed = call(plan, state="failed", reasons=(str(tmp_path / "raw" / "a.tsv"),))
    (kept,) = joined(failed, tmp_path)
    assert kept.plan.problems[0].where == "bids:raw/derivatives/prep:sub-01/x.nii.gz"
    assert kept.plan.problems[0].found == "bids:raw/derivatives/prep:sub-01/x.nii.gz is cut off"
    assert kept.reasons == ("bids:raw:a.tsv",)


def test_failures_of_what_a_newer_call_has_done_are_forgotten(tmp_path):
    keys = ("task-x_run-1", "task-y_run-1")
    first = make_plan(tuple(make_run(f"sub-01_{key}") for key in keys), ())
    failures = tuple(Failure(record=f"fitting {key}", message="killed") for key in keys)
    write_calls(tmp_path, joined(call(first, state="failed", failures=failures), tmp_path))
    again = make_plan((make_run("sub-01_task-x_run-1"),), ())
    older, _ = add(again, tmp_path)
    assert [one.record for one in older.failures] == ["fitting task-y_run-1"]
    first_reason, missing = older.reasons
    assert first_reason == "fitting task-y_run-1: killed"
    assert "planned outputs are missing" in missing


def test_notices_of_what_a_newer_call_has_planned_are_forgotten(tmp_path):
    names = ("sub-01_task-x_run-1", "sub-01_task-x_run-10", "sub-01_task-y_run-1")
    notices = tuple(Notice(text=f"{name}: it is short.") for name in names)
    runs = tuple(make_run(name) for name in names)
    add(make_plan(runs, (), notices=notices), tmp_path)
    older, _ = add(make_plan((make_run(names[0]),), ()), tmp_path)
    assert [one.text.partition(":")[0] for one in older.plan.notices] == list(names[1:])


def test_a_run_that_can_be_had_since_is_absent_no_more(tmp_path):
    absent = tuple(
        Absence(entities=entities(f"sub-01_task-{task}_run-2"), reason="it has no events")
        for task in ("x", "y")
    )
    add(replace(plan_of(BOTH[0]), absent=absent), tmp_path)
    other = alone(BOTH[1], "old")
    older, _ = add(other, tmp_path)
    assert [one.entities["task"] for one in older.plan.absent] == ["y"]
