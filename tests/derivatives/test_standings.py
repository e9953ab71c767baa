"""What an output folder holds of each participant: done, failed, under way, unknown, damaged."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bids_fx.calls import Call
from bids_fx.derivatives import paths, standings
from bids_fx.derivatives.calls import joined, read_calls, write_calls
from bids_fx.derivatives.dataset import state_path, write_state
from bids_fx.derivatives.locks import locked
from bids_fx.derivatives.standings import participants_in, participants_of, read_standing
from bids_fx.derivatives.states import planned, under_way
from bids_fx.derivatives.write import write_json
from bids_fx.errors import Notice
from bids_fx.inputs import Absence
from bids_fx.quality import BY_NAME
from bids_fx.records import Plan
from bids_fx.report_settings import QualityLimit
from bids_fx.settings import AnalysisSettings
from tests.small_outputs import QUALITY, fail, finish, plan_of
from tests.small_plans import entities, make_group, make_plan, make_run_maps

TOO_MUCH = QualityLimit(measure="fd_mean", sign=">", value=0.4)


# ---------------------------------------------------------------------------- who is there


def test_participants_are_those_with_a_folder_a_report_or_a_state(tmp_path: Path) -> None:
    for name in ("sub-10", "sub-2", "logs", "sub-", "sub-a_b", "models"):
        (tmp_path / name).mkdir()
    (tmp_path / "sub-3.html").write_text("")
    (tmp_path / "sub-4").write_text("a file, and no folder")
    write_state(tmp_path, "5", "running")
    assert participants_in(tmp_path) == ("2", "3", "5", "10")


def test_participants_of_a_dataset_are_its_folders(tmp_path: Path) -> None:
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "participants.tsv").write_text("")
    assert participants_of(tmp_path) == ("01",)
    assert participants_of(tmp_path / "absent") == ()


# -------------------------------------------------------------------------------- states


def test_participant_who_is_done_has_runs_contrasts_and_quality(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons, found.has_report) == ("done", (), True)
    assert (found.n_used, found.n_left_out, found.missing, found.warnings) == (2, 0, (), ())
    assert found.contrasts == ("face", "faceGthouse")
    assert found.worst == {"fd_mean": 0.5, "censored_perc": 5.0, "tsnr_median": 40.5}
    assert [str(run.entities) for run in found.runs] == [
        "sub-01_task-x_run-1",
        "sub-01_task-x_run-2",
    ]
    assert [run.measures for run in found.runs] == list(QUALITY)


def test_runs_that_are_absent_are_left_out_and_warnings_counted_once(tmp_path: Path) -> None:
    plan = plan_of("01")
    absent = Absence(entities=entities("sub-01_task-x_run-3"), reason="it has no events")
    notices = (Notice(text="so"), Notice(text="so"), Notice(text="by the way", warning=False))
    plan = make_plan(plan.runs, plan.groups, participant="01", absent=(absent,), notices=notices)
    finish(tmp_path, "01", plan=plan)
    found = read_standing(tmp_path, "01")
    assert (found.n_used, found.n_left_out, len(found.warnings)) == (2, 1, 1)


def test_failure_is_told_with_its_reason_and_what_is_missing_is_counted(tmp_path: Path) -> None:
    plan = fail(tmp_path, "01", "task-x_run-2: it is\n damaged.")
    found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons) == ("failed", ("task-x_run-2: it is damaged",))
    assert (found.n_used, found.n_left_out) == (1, 1)
    assert len(found.missing) == len(list(paths.run_images(plan.runs[1]))) + 1


def test_output_that_was_removed_is_a_failure_by_name(tmp_path: Path) -> None:
    plan = finish(tmp_path, "01")
    gone = paths.statmap(plan.groups[0].entities, "face", "z")
    (tmp_path / gone).unlink()
    found = read_standing(tmp_path, "01")
    assert found.state == "failed"
    assert found.reasons == (f"a planned output is missing: {gone}",)


def test_participant_who_was_refused_since_is_told_as_failed(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    write_state(tmp_path, "01", "failed", "a.tsv: it is empty; fill it.")
    found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons) == ("failed", ("a.tsv: it is empty; fill it",))


def test_participant_who_was_refused_at_once_is_told_as_failed(tmp_path: Path) -> None:
    write_state(tmp_path, "01", "failed", "a.tsv: it is empty; fill it.")
    found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons) == ("failed", ("a.tsv: it is empty; fill it",))


def begin(out_dir: Path, state: str, stack: ExitStack) -> None:
    """Have a call plan to begin with a participant, or be at work on the participant."""
    if state == "planned":
        call = stack.enter_context(under_way(out_dir / "logs" / "one"))
        stack.enter_context(planned(out_dir, call, ["01"]))
    else:
        stack.enter_context(locked(out_dir, "sub-01"))
        write_state(out_dir, "01", "running")


@pytest.mark.parametrize("state", ["running", "planned"])
def test_participant_under_way_has_not_failed_whatever_was_before(
    tmp_path: Path, state: str
) -> None:
    fail(tmp_path, "01", "it failed")
    with ExitStack() as stack:
        begin(tmp_path, state, stack)
        found = read_standing(tmp_path, "01", [TOO_MUCH])
    assert (found.state, found.reasons) == (state, ())
    assert len(found.runs) == 1


def test_call_that_was_ended_is_told_as_such_and_no_failure(tmp_path: Path) -> None:
    write_state(tmp_path, "01", "running")
    with locked(tmp_path, "sub-01"):
        pass
    found = read_standing(tmp_path, "01")
    assert (found.state, found.is_wrong) == ("running", False)
    assert "it was ended" in found.reasons[0]


def kill_a_call_that_planned(out_dir: Path) -> None:
    """Leave what a call leaves that is killed before it begins with a participant."""
    with under_way(out_dir / "logs" / "one") as call, planned(out_dir, call, ["01"]):
        left = state_path(out_dir, "01").read_text()
    state_path(out_dir, "01").write_text(left)


def test_call_that_was_killed_before_it_began_leaves_what_was_before(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    write_state(tmp_path, "01", "failed", "a.tsv: it is empty; fill it.")
    for _ in range(2):
        kill_a_call_that_planned(tmp_path)
    found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons) == ("failed", ("a.tsv: it is empty; fill it",))


def test_call_that_was_killed_before_it_began_at_all_is_told_as_such(tmp_path: Path) -> None:
    kill_a_call_that_planned(tmp_path)
    found = read_standing(tmp_path, "01")
    assert (found.state, found.is_wrong) == ("planned", False)
    assert "it was ended" in found.reasons[0]


def test_damage_is_told_whatever_was_planned_and_ended(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    (tmp_path / paths.calls("01")).write_text("{")
    kill_a_call_that_planned(tmp_path)
    assert read_standing(tmp_path, "01").state == "failed"


@pytest.mark.parametrize("state", ["running", "planned"])
def test_call_that_begins_while_others_are_read_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    plan = finish(tmp_path, "01")
    with ExitStack() as stack:

        def read(*arguments: Any) -> tuple[Call, ...]:
            begin(tmp_path, state, stack)
            (tmp_path / paths.mask(plan.runs[0].entities)).unlink()
            return read_calls(*arguments)

        monkeypatch.setattr(standings, "read_calls", read)
        found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons) == (state, ())


@pytest.mark.parametrize("state", ["running", "planned"])
def test_call_that_ends_while_others_are_read_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    plan = finish(tmp_path, "01")
    mask = tmp_path / paths.mask(plan.runs[0].entities)
    mask.unlink()
    with ExitStack() as stack:
        begin(tmp_path, state, stack)

        def missing(*arguments: Any) -> list[str]:
            found = list(look(*arguments))
            mask.write_text("stand-in")
            write_state(tmp_path, "01", "done")
            stack.close()
            return found

        look = standings._missing
        monkeypatch.setattr(standings, "_missing", missing)
        found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons, found.missing) == ("done", (), ())


def test_folder_that_does_not_say_what_was_done_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    found = read_standing(tmp_path, "01")
    assert found.state == "unknown"
    assert "calls.json is missing" in found.reasons[0]


def test_results_without_a_work_area_are_known_by_their_calls(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    for path in (tmp_path / ".bids_fx_work" / "states").iterdir():
        path.unlink()
    assert read_standing(tmp_path, "01").state == "done"


# ------------------------------------------------------------------------------- damages


@pytest.mark.parametrize("value", [[], {}, 1, None, True])
@pytest.mark.parametrize("name", ["state", "reason", "call", "before"])
def test_state_of_another_kind_tells_nothing(tmp_path: Path, name: str, value: object) -> None:
    finish(tmp_path, "01")
    kept = {"participant": "01", "state": "planned" if name in ("call", "before") else "done"}
    state_path(tmp_path, "01").write_text(json.dumps({**kept, name: value}))
    found = read_standing(tmp_path, "01")
    assert (found.state, found.reasons) == ("done", ())


@pytest.mark.parametrize("text", ["", "{", '{"Format": 99, "Calls": []}', "[]"])
def test_calls_that_cannot_be_read_fail_their_participant(tmp_path: Path, text: str) -> None:
    finish(tmp_path, "01")
    (tmp_path / paths.calls("01")).write_text(text)
    found = read_standing(tmp_path, "01")
    assert found.state == "failed"
    assert found.reasons[0].startswith("calls.json: ")
    assert str(tmp_path) not in found.reasons[0]


@pytest.mark.parametrize("text", ["", "{", "[1, 2]"])
def test_quality_that_cannot_be_read_is_named_and_the_other_run_is_there(
    tmp_path: Path, text: str
) -> None:
    plan = finish(tmp_path, "01")
    (tmp_path / paths.quality(plan.runs[0].entities)).write_text(text)
    found = read_standing(tmp_path, "01")
    assert found.state == "failed"
    assert found.reasons[0].startswith("sub-01_task-x_run-1_desc-qc.json cannot be read")
    assert len(found.runs) == 1


def test_folder_in_the_place_of_a_file_is_named_without_its_path(tmp_path: Path) -> None:
    plan = finish(tmp_path, "01")
    path = tmp_path / paths.quality(plan.runs[0].entities)
    path.unlink()
    path.mkdir()
    (reason, *_) = read_standing(tmp_path, "01").reasons
    assert "cannot be read" in reason
    assert str(tmp_path) not in reason


@pytest.mark.parametrize("value", ["NaN", '"x"', "true", "null", "[]", "1e999"])
def test_measure_that_is_no_number_is_absent(tmp_path: Path, value: str) -> None:
    plan = finish(tmp_path, "01")
    path = tmp_path / paths.quality(plan.runs[0].entities)
    path.write_text(f'{{"fd_mean": {value}, "n_scans": 7}}')
    assert read_standing(tmp_path, "01").runs[0].measures == {"fd_mean": None, "n_scans": 7}


# -------------------------------------------------------------------- limits and analyses


def test_run_that_breaks_a_limit_fails_its_participant_by_name(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    found = read_standing(tmp_path, "01", [TOO_MUCH])
    assert (found.state, found.reasons) == (
        "failed",
        ("task-x_run-2: fd_mean is 0.5, above 0.4",),
    )


def test_what_the_call_itself_said_of_a_limit_is_told_once(tmp_path: Path) -> None:
    reason = "task-x_run-2: fd_mean is 0.5, above 0.4"
    finish(tmp_path, "01", state="failed", reasons=(reason,))
    assert read_standing(tmp_path, "01", [TOO_MUCH]).reasons == (reason,)


def with_limit(plan: Plan, limit: QualityLimit) -> Plan:
    """Return a plan of a call with ``--qc-fail``."""
    return replace(plan, report=replace(plan.report, quality_limits=(limit,)))


def test_limit_of_the_call_itself_is_told_beside_what_failed(tmp_path: Path) -> None:
    plan = with_limit(plan_of("01"), TOO_MUCH)
    finish(tmp_path, "01", plan=plan, state="failed", reasons=("it is damaged",))
    broken = "task-x_run-2: fd_mean is 0.5, above 0.4"
    write_state(tmp_path, "01", "failed", f"it is damaged; {broken}")
    for limits in ([], [TOO_MUCH]):
        assert read_standing(tmp_path, "01", limits).reasons == ("it is damaged", broken)


def test_limit_of_the_call_itself_is_told_where_nothing_failed(tmp_path: Path) -> None:
    finish(tmp_path, "01", plan=with_limit(plan_of("01"), replace(TOO_MUCH, value=0.2)))
    broken = (
        "task-x_run-1: fd_mean is 0.25, above 0.2",
        "task-x_run-2: fd_mean is 0.5, above 0.2",
    )
    write_state(tmp_path, "01", "failed", "; ".join(broken))
    assert read_standing(tmp_path, "01").reasons == broken


def test_limit_that_every_run_keeps_costs_nothing(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    limits = [QualityLimit(measure=name, sign=">", value=1e9) for name in BY_NAME]
    assert read_standing(tmp_path, "01", limits).state == "done"


def test_calls_of_one_analysis_and_other_spaces_add_up(tmp_path: Path) -> None:
    for space in ("A", "B"):
        finish(tmp_path, "01", plan=plan_of("01", space=space))
    found = read_standing(tmp_path, "01")
    assert (found.state, found.n_used, len(found.analyses)) == ("done", 2, 1)
    assert [run.entities["space"] for run in found.runs] == ["A", "B", "A", "B"]


def test_run_that_failed_in_one_of_its_spaces_is_not_used(tmp_path: Path) -> None:
    finish(tmp_path, "01", plan=plan_of("01", space="A"))
    fail(tmp_path, "01", "it failed", space="B")
    found = read_standing(tmp_path, "01")
    assert (found.n_used, found.n_left_out) == (1, 1)


def test_each_run_is_of_the_analysis_that_made_it(tmp_path: Path) -> None:
    finish(tmp_path, "01", plan=plan_of("01", space="A"))
    finish(tmp_path, "01", plan=plan_of("01", space="B", noise_model="ols"))
    found = read_standing(tmp_path, "01")
    newer, older = (analysis.name for analysis in found.analyses)
    assert newer != older
    assert [run.analysis for run in found.runs] == [older, newer, older, newer]


def test_run_that_was_fitted_again_since_is_told_once_as_of_the_newer_analysis(
    tmp_path: Path,
) -> None:
    plan = finish(tmp_path, "01")
    again = replace(plan.runs[0], settings_hash="ef" * 32)
    ols = AnalysisSettings(noise_model="ols")
    finish(tmp_path, "01", plan=make_plan((again,), (), participant="01", settings=ols))
    found = read_standing(tmp_path, "01")
    newer, older = (analysis.name for analysis in found.analyses)
    assert [(run.entities["run"], run.analysis) for run in found.runs] == [
        ("1", newer),
        ("2", older),
    ]
    assert (found.state, found.n_used) == ("done", 2)


def test_analysis_without_any_result_is_not_the_participants(tmp_path: Path) -> None:
    plan = fail(tmp_path, "01", "it failed")
    assert len(read_standing(tmp_path, "01").analyses) == 1
    for path in (*paths.run_images(plan.runs[0]), paths.quality(plan.runs[0].entities)):
        (tmp_path / path).unlink()
    found = read_standing(tmp_path, "01")
    assert (found.analyses, found.n_used, found.n_left_out) == ((), 0, 2)


def test_other_contrasts_are_no_other_analysis(tmp_path: Path) -> None:
    finish(tmp_path, "01", plan=plan_of("01", contrasts=("face",)))
    finish(tmp_path, "02", plan=plan_of("02"))
    names = {read_standing(tmp_path, label).analyses[0].name for label in ("01", "02")}
    assert len(names) == 1


def test_analysis_keeps_nothing_of_its_participant(tmp_path: Path) -> None:
    finish(tmp_path, "01")
    (analysis,) = read_standing(tmp_path, "01").analyses
    plan = analysis.call.plan
    assert (plan.participant, plan.runs, plan.groups) == ("", (), ())


def test_maps_made_beforehand_have_no_quality(tmp_path: Path) -> None:
    runs = [
        make_run_maps(
            tmp_path / "maps", f"sub-01_task-x_run-{n}", effect=1.0, variance=1.0, dof=9.0
        )
        for n in (1, 2)
    ]
    plan = make_plan(runs, (make_group("sub-01_task-x", runs),), participant="01")
    for path in paths.expected_outputs(plan):
        if path not in paths.shared_outputs(plan):
            write_json(tmp_path / path, {})
    write_calls(tmp_path, joined(Call(plan=plan, state="done"), tmp_path))
    found = read_standing(tmp_path, "01")
    assert (found.state, found.n_used, found.runs) == ("done", 2, ())
