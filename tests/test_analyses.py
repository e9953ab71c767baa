"""Calls that make one analysis, and what tells analyses from each other."""

from __future__ import annotations

from dataclasses import replace

from bids_fx.analyses import analyses, differences, identity
from bids_fx.calls import Call, Failure
from bids_fx.inputs import Absence
from bids_fx.records import GroupContrast, Plan
from bids_fx.steps import ModelOutline, NodeOutline
from tests.small_plans import FACE, FACE_HOUSE, entities, make_group, make_plan, make_run

SOFTWARE = {"bids_fx": "1", "numpy": "2"}


def call(plan: Plan, **settings: object) -> Call:
    own = replace(plan, settings=replace(plan.settings, **settings))
    return Call(plan=own, state="done", software=SOFTWARE)


def plan_of(*names: str, contrasts=(FACE, FACE_HOUSE)) -> Plan:
    runs = tuple(make_run(name, contrasts=contrasts) for name in names)
    return make_plan(runs, (make_group("sub-01_task-x", runs),))


def keys(one: Call) -> list[str]:
    return [run.key for run in one.plan.runs]


def test_contrasts_are_questions_within_an_analysis():
    plan = plan_of("sub-01_task-x_run-1")
    assert identity(call(plan, contrasts=("a",))) == identity(call(plan, contrasts=("b",)))


def test_every_other_setting_and_the_software_make_another_analysis():
    plan = plan_of("sub-01_task-x_run-1")
    first = call(plan)
    others = [call(plan, noise_model="ols"), replace(first, software={"bids_fx": "2"})]
    assert len({identity(one) for one in (first, *others)}) == 3


def test_another_version_of_a_model_makes_another_analysis():
    models = [ModelOutline(name="m", file="m.json", nodes=()), None]
    nodes = (NodeOutline(name="run", level="run", source=None, does="fits"),)
    models.append(ModelOutline(name="m", file="m.json", nodes=nodes))
    calls = [call(replace(plan_of("sub-01_task-x_run-1"), model=model)) for model in models]
    assert len(set(map(identity, calls))) == 3
    assert differences(calls[0], calls[1]) == ("model 'm', not none",)
    assert differences(calls[0], calls[2]) == ("another version of model 'm'",)


def test_differences_name_settings_and_versions_in_both():
    plan = plan_of("sub-01_task-x_run-1")
    other = replace(call(plan, noise_model="ols", contrasts=("a",)), software={"bids_fx": "2"})
    assert differences(other, call(plan)) == (
        "noise_model ols, not ar1",
        "bids_fx 2, not 1",
        "numpy none, not 2",
    )


def test_an_analysis_does_not_differ_from_itself():
    assert differences(call(make_plan()), call(make_plan())) == ()


def test_tasks_of_several_calls_stand_in_one_analysis_in_the_order_of_their_names():
    first, second = plan_of("sub-01_task-y_run-1"), plan_of("sub-01_task-x_run-1")
    (found,) = analyses([call(first), call(second)])
    assert keys(found) == ["task-x_run-1", "task-y_run-1"]


def test_the_newest_analysis_comes_first():
    plan = plan_of("sub-01_task-x_run-1")
    found = analyses([call(plan, noise_model="ols"), call(plan)])
    assert [one.plan.settings.noise_model for one in found] == ["ar1", "ols"]


def test_a_run_is_as_the_newest_call_has_it():
    plan = plan_of("sub-01_task-x_run-1")
    newer = replace(plan, runs=(replace(plan.runs[0], settings_hash="new"),))
    (found,) = analyses([call(plan), call(newer)])
    assert [run.settings_hash for run in found.plan.runs] == ["new"]


def test_a_run_with_results_goes_before_one_that_was_replaced():
    plan = plan_of("sub-01_task-x_run-1")
    older = replace(plan, runs=(replace(plan.runs[0], settings_hash="there"),))
    newer = replace(plan, replaced=frozenset({"task-x_run-1"}))
    (found,) = analyses([call(older), call(newer)])
    assert found.plan.runs[0].settings_hash == "there"
    assert found.plan.replaced == frozenset()


def test_a_combination_goes_before_the_same_runs_alone():
    plan = plan_of("sub-01_task-x_run-1", "sub-01_task-x_run-2")
    group = plan.groups[0]
    alone = replace(plan, runs=plan.runs[:1], groups=(replace(group, not_written="filters"),))
    (found,) = analyses([call(plan), call(alone)])
    assert [one.not_written for one in found.plan.groups] == [None]


def test_a_run_has_the_contrasts_that_its_groups_were_combined_from():
    old, new = (plan_of("sub-01_task-x_run-1", contrasts=(one,)) for one in (FACE_HOUSE, FACE))
    (found,) = analyses([call(old, contrasts=("a",)), call(new, contrasts=("b",))])
    labels = [FACE.label, FACE_HOUSE.label]
    assert [item.contrast.label for item in found.plan.runs[0].contrasts] == labels
    assert [item.contrast.label for item in found.plan.groups[0].contrasts] == labels
    assert found.plan.settings.contrasts == ("a", "b")


def test_what_is_combined_stands_before_what_it_is_combined_into():
    run = make_run("sub-01_ses-a_task-x_run-1")
    session = make_group("sub-01_ses-a_task-x", (run,))
    subject = replace(
        make_group("sub-01_task-x", (run,)),
        input_keys=(session.key,),
        contrasts=(GroupContrast(contrast=FACE, input_keys=(session.key,)),),
    )
    plans = [make_plan((run,), (subject,)), make_plan((run,), (session,))]
    (found,) = analyses([call(plan) for plan in plans])
    assert [group.key for group in found.plan.groups] == [session.key, subject.key]


def test_an_analysis_has_failed_if_any_of_its_calls_has():
    plan = plan_of("sub-01_task-x_run-1")
    failure = Failure(record="fitting", message="killed")
    failed = replace(call(plan), state="failed", reasons=("killed",), failures=(failure,))
    (found,) = analyses([failed, call(plan_of("sub-01_task-y_run-1"))])
    assert (found.state, found.reasons, found.failures) == ("failed", ("killed",), (failure,))


def test_a_run_that_one_call_lacks_and_another_has_is_not_absent():
    absent = (Absence(entities=entities("sub-01_task-y_run-1"), reason="it has no events"),)
    first = replace(plan_of("sub-01_task-x_run-1"), absent=absent)
    (alone,) = analyses([call(first)])
    (found,) = analyses([call(first), call(plan_of("sub-01_task-y_run-1"))])
    assert (alone.plan.absent, found.plan.absent) == (absent, ())
