"""What instructions make of variables that a run has not."""

from __future__ import annotations

from typing import Any

import pytest

from bids_fx.transforms.records import Variables
from tests.small_runs import carry_out, events, samples, table

FACTOR = {"Name": "Factor", "Input": "trial_type"}
NO_CAT = "condition 'cat' has no event in this run"
NO_RT = "no variable 'RT' in this run"


def trials(*raws: dict[str, Any]) -> Variables:
    """Return what becomes of a run with the conditions face and house."""
    return carry_out({"trial_type": events(["face", "house", "face"])}, FACTOR, *raws)


def test_level_without_an_event_is_told_as_a_condition() -> None:
    assert trials().why_absent("trial_type.cat") == NO_CAT


def test_level_of_another_variable_is_told_with_the_variable() -> None:
    found = carry_out({"F": events(["a"])}, {"Name": "Factor", "Input": "F"})
    assert found.why_absent("F.cat") == "'F' has no event 'cat' in this run"


def test_level_of_a_variable_without_any_value_is_told() -> None:
    found = carry_out({"F": events(["a"][:0])}, {"Name": "Factor", "Input": "F"})
    assert found.why_absent("F.a") == "'F' has no event 'a' in this run"


def test_level_of_a_variable_that_is_not_there_is_told_as_that() -> None:
    found = carry_out({}, FACTOR)
    assert found.why_absent("trial_type.cat") == "no variable 'trial_type' in this run"
    assert found.absent == {"trial_type": "no variable 'trial_type' in this run"}


def test_part_of_a_variable_that_is_not_there_is_told_as_that() -> None:
    found = carry_out({}, {"Name": "Split", "Input": "RT", "By": "ses"})
    assert found.why_absent("RT.ses[x]") == NO_RT


def test_part_by_a_variable_that_is_not_there_is_told_as_that() -> None:
    found = carry_out({"a": events([1])}, {"Name": "Split", "Input": "a", "By": "RT"})
    assert found.why_absent("a.RT[x]") == NO_RT


@pytest.mark.parametrize(
    "raw",
    [
        {"Name": "Demean", "Output": "b"},
        {"Name": "Add", "Value": 1, "Output": "b"},
        {"Name": "Copy", "Output": "b"},
        {"Name": "Rename", "Output": "b"},
        {"Name": "Filter", "Query": "RT > 1", "Output": "b"},
        {"Name": "ToDense", "Output": "b"},
        {"Name": "Convolve", "Output": "b"},
        {"Name": "Assign", "Target": "a", "Output": "b"},
        {"Name": "Sum", "Output": "b"},
        {"Name": "And", "Input": ["a", "RT"], "Output": "b"},
        {"Name": "Or", "Input": ["a", "RT"], "Output": "b"},
        {"Name": "Orthogonalize", "Input": "a", "Other": "RT", "Output": "b"},
        {"Name": "Filter", "Input": "a", "Query": "RT > 1", "By": "RT", "Output": "b"},
        {"Name": "Add", "Input": "a", "Value": 1, "Query": "RT > 1", "Output": "b"},
        {"Name": "Assign", "Input": "a", "Target": "RT", "Output": "b"},
    ],
)
def test_what_is_made_from_an_absent_variable_is_absent(raw: dict[str, Any]) -> None:
    found = carry_out({"a": events([1, 2])}, {"Input": "RT", **raw})
    assert (table(found), found.absent) == ({"a": [1, 2]}, {"b": NO_RT})


def test_absence_goes_through_further_instructions() -> None:
    found = carry_out(
        {},
        {"Name": "Scale", "Input": "RT"},
        {"Name": "Product", "Input": ["RT", "x"], "Output": "y"},
        {"Name": "Convolve", "Input": "y", "Derivative": True},
    )
    assert found.absent == {"RT": NO_RT, "y": NO_RT, "y_derivative": NO_RT}


def test_absent_variable_that_is_made_anew_is_there() -> None:
    found = carry_out(
        {"a": events([1])},
        {"Name": "Scale", "Input": "RT"},
        {"Name": "Copy", "Input": "a", "Output": "RT"},
    )
    assert (table(found), found.absent) == ({"a": [1], "RT": [1]}, {})


def test_variable_that_is_made_from_an_absent_one_is_there_no_longer() -> None:
    found = carry_out({"a": events([1])}, {"Name": "Copy", "Input": "RT", "Output": "a"})
    assert (table(found), found.absent) == ({}, {"a": NO_RT})


@pytest.mark.parametrize("name", ["Or", "Sum"])
def test_level_without_an_event_is_0_beside_others(name: str) -> None:
    both = ["trial_type.cat", "trial_type.face"]
    found = trials({"Name": name, "Input": both, "Output": "b"})
    assert table(found)["b"] == [1, 0, 1]


@pytest.mark.parametrize("name", ["Or", "Sum", "And", "Product"])
def test_levels_without_an_event_make_an_absent_variable(name: str) -> None:
    both = ["trial_type.cat", "trial_type.dog"]
    found = trials({"Name": name, "Input": both, "Output": "b"})
    assert ("b" in found.values, found.absent["b"]) == (False, NO_CAT)


@pytest.mark.parametrize("name", ["And", "Product"])
def test_level_without_an_event_leaves_nothing_of_a_product(name: str) -> None:
    both = ["trial_type.face", "trial_type.cat"]
    found = trials({"Name": name, "Input": both, "Output": "b"})
    assert ("b" in found.values, found.absent["b"]) == (False, NO_CAT)


def test_not_of_a_level_without_an_event_is_1_throughout() -> None:
    found = trials({"Name": "Not", "Input": "trial_type.cat", "Output": "b"})
    assert table(found)["b"] == [1, 1, 1]


def test_orthogonalize_takes_a_level_without_an_event_as_0() -> None:
    other = {"Other": "trial_type.cat", "Output": "b"}
    found = trials({"Name": "Orthogonalize", "Input": "trial_type.face", **other})
    assert table(found)["b"] == [1, 0, 1]


def test_renamed_level_without_an_event_is_still_0_beside_others() -> None:
    found = trials(
        {"Name": "Rename", "Input": "trial_type.cat", "Output": "cat"},
        {"Name": "Or", "Input": ["cat", "trial_type.face"], "Output": "b"},
    )
    assert (table(found)["b"], found.absent["cat"]) == ([1, 0, 1], NO_CAT)


def test_conjunction_of_levels_without_an_event_is_0_beside_others() -> None:
    found = trials(
        {"Name": "And", "Input": ["trial_type.cat", "trial_type.face"], "Output": "c"},
        {"Name": "Or", "Input": ["c", "trial_type.face"], "Output": "b"},
    )
    assert table(found)["b"] == [1, 0, 1]


def test_response_of_what_is_0_throughout_is_absent() -> None:
    found = trials(
        {"Name": "And", "Input": ["trial_type.face", "trial_type.house"], "Output": "c"},
        {"Name": "Convolve", "Input": "c"},
    )
    assert found.absent["c"] == "'c' is 0 throughout this run"


def test_response_of_what_has_no_event_left_is_absent() -> None:
    found = trials(
        {"Name": "Filter", "Input": "trial_type.face", "Query": "trial_type.face > 1"},
        {"Name": "Convolve", "Input": "trial_type.face"},
    )
    assert found.absent["trial_type.face"] == "'trial_type.face' has no event in this run"


def test_pattern_that_matches_nothing_leaves_everything() -> None:
    found = carry_out({"a": samples([1])}, {"Name": "Demean", "Input": "b*"})
    assert (table(found), found.absent) == ({"a": [1]}, {})


def test_output_of_a_pattern_that_matches_nothing_is_absent() -> None:
    raw = {"Name": "Sum", "Input": ["a", "b*"], "Output": "c"}
    found = carry_out({"a": samples([1])}, raw)
    assert found.absent == {"c": "no variable matches 'b*' in this run"}


def test_name_that_looks_like_a_pattern_is_taken_as_it_is() -> None:
    values = {"a.s[x]": events([1]), "a.sx": events([2])}
    found = carry_out(values, {"Name": "Add", "Input": "a.s[x]", "Value": 1})
    assert table(found) == {"a.s[x]": [2], "a.sx": [2]}


def test_level_of_a_level_is_told_with_the_inner_one() -> None:
    inner = {"Name": "Factor", "Input": "trial_type.face"}
    found = trials(inner)
    assert (
        found.why_absent("trial_type.face.2") == "'trial_type.face' has no event '2' in this run"
    )


def test_level_without_an_event_is_0_beside_samples_too() -> None:
    both = ["trial_type.cat", "trial_type.house"]
    found = trials({"Name": "Sum", "Input": both, "Output": "b", "Dense": True})
    assert table(found)["b"] == [0, 0, 0.5, 0, 0, 0, 0, 0, 0, 0]


def test_level_of_trial_type_is_meant_by_its_name_alone() -> None:
    factored = carry_out(
        {"trial_type": events(["face", "house", "face"])},
        {"Name": "Factor", "Input": ["trial_type"]},
        {"Name": "Scale", "Input": ["face"], "Demean": False},
    )
    assert list(factored.values) == ["trial_type.face", "trial_type.house"]
    assert factored.unknown == {}


def test_variable_of_the_name_of_a_level_is_the_variable() -> None:
    made = carry_out(
        {"trial_type": events(["face", "house"]), "face": events([2.0, 3.0])},
        {"Name": "Factor", "Input": ["trial_type"]},
        {"Name": "Copy", "Input": ["face"], "Output": ["own"]},
    )
    assert table(made)["own"] == [2.0, 3.0]


def test_name_that_nothing_made_is_kept_with_its_place() -> None:
    made = carry_out(
        {"gain": events([1.0, 2.0])},
        {"Name": "Copy", "Input": ["gian"], "Output": ["own"]},
        {"Name": "Copy", "Input": ["own"], "Output": ["other"]},
    )
    assert made.unknown == {"gian": "instruction 1 (Copy)"}


MOTION = {name: samples([1], confound=name, is_nuisance=True) for name in ("rot_x", "rot_y")}


@pytest.mark.parametrize(
    ("raw", "left", "reason"),
    [
        ({"Name": "Delete"}, [], "Delete took away {}"),
        ({"Name": "Rename", "OutputSuffix": "_2"}, ["rot_x_2", "rot_y_2"], "{} was renamed to {}"),
        ({"Name": "Select", "Input": "a"}, [], "Select left out {}"),
        ({"Name": "Select", "Input": "z*"}, [], "Select left out {}"),
    ],
)
def test_confounds_that_a_pattern_takes_away_are_absent(
    raw: dict[str, Any], left: list[str], reason: str
) -> None:
    found = carry_out(MOTION, {"Input": "rot_?", **raw})
    told = {name: reason.format(repr(name), repr(f"{name}_2")) for name in MOTION}
    assert (list(found.values), found.absent) == (left, told)


def test_select_leaves_out_what_no_instruction_names() -> None:
    select = {"Name": "Select", "Input": "rot_x"}
    found = carry_out(MOTION, select, unread=["csf", "rot_x"])
    assert list(found.values) == ["rot_x"]
    assert found.absent == {"rot_y": "Select left out 'rot_y'", "csf": "Select left out 'csf'"}


def test_select_keeps_the_reason_of_what_is_absent_already() -> None:
    delete, select = {"Name": "Delete", "Input": "rot_x"}, {"Name": "Select", "Input": "rot_y"}
    found = carry_out(MOTION, delete, select, unread=MOTION)
    assert found.absent == {"rot_x": "Delete took away 'rot_x'"}


def test_delete_takes_away_only_what_is_there() -> None:
    delete = {"Name": "Delete", "Input": ["RT", "own", "rot_x"]}
    found = carry_out(MOTION, {"Name": "Copy", "Input": "RT", "Output": "own"}, delete)
    assert found.absent == {"own": NO_RT, "rot_x": "Delete took away 'rot_x'"}


def test_other_instructions_leave_alone_what_they_do_not_name() -> None:
    found = carry_out(MOTION, {"Name": "Delete", "Input": "rot_x"}, unread=["csf"])
    assert found.absent == {"rot_x": "Delete took away 'rot_x'"}


def test_confound_by_a_name_that_was_taken_away_is_there() -> None:
    delete = {"Name": "Delete", "Input": "rot_x"}
    found = carry_out(MOTION, delete, {"Name": "Copy", "Input": "rot_y", "Output": "rot_x"})
    assert (list(found.values), found.absent) == (["rot_y", "rot_x"], {})
