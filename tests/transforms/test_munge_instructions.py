"""Instructions that rearrange events and variables, each on a small table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bids_fx.transforms.records import Dense, Sparse, TransformError
from tests.small_runs import carry_out, events, samples, table

TRIALS = {"F": events(["b", "a", None, "b"])}


def test_factor_makes_an_indicator_of_each_level() -> None:
    found = carry_out({**TRIALS, "x": events([1, 2, 3, 4])}, {"Name": "Factor", "Input": "F"})
    assert table(found) == {"x": [1, 2, 3, 4], "F.a": [0, 1, 0, 0], "F.b": [1, 0, 0, 1]}
    assert found.notices == (
        "instruction 1 (Factor): 1 event of 'F' without a value belongs to no level",
    )


def test_factor_of_numbers_names_levels_without_needless_decimals() -> None:
    found = carry_out({"F": events([10, 2, 0.5])}, {"Name": "Factor", "Input": "F", "Sep": "_"})
    assert table(found) == {"F_0.5": [0, 0, 1], "F_2": [0, 1, 0], "F_10": [1, 0, 0]}


def test_factor_with_an_output_puts_it_before_the_levels() -> None:
    found = carry_out(TRIALS, {"Name": "Factor", "Input": "F", "Output": "G"})
    assert list(found.values) == ["G.a", "G.b"]


def test_factor_leaves_the_reference_level_out() -> None:
    raw = {"Name": "Factor", "Input": "F", "Constraint": "drop_one", "RefLevel": "b"}
    found = carry_out(TRIALS, raw)
    assert table(found) == {"F.a": [0, 1, 0, 0]}
    assert found.why_absent("F.b") == "'b' is the reference level of 'F', which has no column"


def test_factor_tells_which_level_it_takes_as_reference() -> None:
    found = carry_out(
        {"F": events(["b", "a", "c"])},
        {"Name": "Factor", "Input": "F", "Constraint": "mean_zero"},
    )
    assert table(found) == {"F.b": [1, -0.5, 0], "F.c": [0, -0.5, 1]}
    assert found.notices == (
        "instruction 1 (Factor): the reference level of 'F' is 'a', the run's first",
    )


def test_factor_with_mean_zero_needs_the_reference_level() -> None:
    raw = {"Name": "Factor", "Input": "F", "Constraint": "mean_zero", "RefLevel": "z"}
    found = carry_out(TRIALS, raw)
    assert (table(found), found.why_absent("F.a")) == ({}, "'F' has no event 'z' in this run")


def test_factor_of_samples_is_refused() -> None:
    with pytest.raises(TransformError, match="'F' has samples, and Factor works on events: do it"):
        carry_out({"F": samples([1])}, {"Name": "Factor", "Input": "F"})


def test_filter_keeps_events_that_meet_the_query() -> None:
    found = carry_out(
        {"x": events([1, 2, 3, 4]), **TRIALS},
        {"Name": "Filter", "Input": "x", "Query": "F == 'b' and x > 1", "By": "F"},
    )
    item = found.values["x"]
    assert isinstance(item, Sparse)
    assert (item.onsets.tolist(), item.values.tolist()) == ([12.0], [4.0])


def test_filter_keeps_texts() -> None:
    raw = {"Name": "Filter", "Input": "F", "Query": "F in ['a', 'c']", "Output": "G"}
    assert table(carry_out(TRIALS, raw)) == {"F": ["b", "a", None, "b"], "G": ["a"]}


def test_filter_by_other_events_is_refused() -> None:
    raw = {"Name": "Filter", "Input": "x", "Query": "F == 'b'", "By": "F"}
    with pytest.raises(TransformError, match="'x' and 'F' have not the same events"):
        carry_out({"x": events([1]), **TRIALS}, raw)


def test_filter_tells_what_cannot_be_compared() -> None:
    with pytest.raises(TransformError, match=r"^instruction 1 \(Filter\): 'F': F is a text and 1"):
        carry_out(TRIALS, {"Name": "Filter", "Input": "F", "Query": "F > 1"})


def test_group_stands_for_its_members() -> None:
    found = carry_out(
        {"a1": events([1]), "a2": events([2]), "b": events([3])},
        {"Name": "Group", "Input": ["a*"], "Output": "both"},
        {"Name": "Add", "Input": "both", "Value": 10},
    )
    assert found.groups == {"both": ("a1", "a2")}
    assert table(found) == {"a1": [11], "a2": [12], "b": [3]}


def test_group_may_not_have_the_name_of_a_variable() -> None:
    with pytest.raises(TransformError, match="'b' is the name of a variable, and cannot be that"):
        carry_out({"b": events([3])}, {"Name": "Group", "Input": "b", "Output": "b"})


def test_rename_moves_and_copy_doubles() -> None:
    found = carry_out(
        {"a": events([1]), "b": events(["x"])},
        {"Name": "Rename", "Input": ["a", "b"], "Output": ["c", "d"]},
        {"Name": "Copy", "Input": "c", "OutputPrefix": "my_", "OutputSuffix": "_2"},
    )
    assert table(found) == {"c": [1], "d": ["x"], "my_c_2": [1]}
    assert found.why_absent("a") == "'a' was renamed to 'c'"


def test_renamed_response_is_that_of_the_new_name_with_its_derivative() -> None:
    values = {
        "a": samples([1], condition="a"),
        "a_derivative": samples([2], condition="a", basis=1),
    }
    found = carry_out(values, {"Name": "Rename", "Input": "a", "Output": "b"}).values
    kinds = {
        name: (item.condition, item.basis) for name, item in found.items() if type(item) is Dense
    }
    assert kinds == {"a_derivative": ("b", 1), "b": ("b", 0)}


def test_derivative_by_a_new_name_is_of_its_condition_still() -> None:
    derivative = samples([2], condition="a", basis=1)
    raw = {"Name": "Rename", "Input": "a_derivative", "Output": "b"}
    assert carry_out({"a_derivative": derivative}, raw).values == {"b": derivative}


def test_derivative_does_not_follow_what_is_no_response() -> None:
    values = {"a": samples([1]), "a_derivative": samples([2], condition="a", basis=1)}
    found = carry_out(values, {"Name": "Rename", "Input": "a", "Output": "b"}).values
    kinds = {name: item.condition for name, item in found.items() if isinstance(item, Dense)}
    assert kinds == {"a_derivative": "a", "b": None}


def test_copied_response_is_one_of_its_own() -> None:
    values = {"a": samples([1], condition="a"), "a_dispersion": samples([2], condition="a")}
    found = carry_out(values, {"Name": "Copy", "Input": "a", "Output": "b"}).values
    kinds = {name: item.condition for name, item in found.items() if isinstance(item, Dense)}
    assert kinds == {"a": "a", "a_dispersion": "a", "b": "b"}


@pytest.mark.parametrize(
    ("raw", "new"),
    [
        ({"Name": "Rename", "Output": "head"}, "head"),
        ({"Name": "Copy", "Output": "head"}, "head"),
        ({"Name": "Copy", "OutputSuffix": "_2"}, "rot_x_2"),
        ({"Name": "Resample", "SamplingRate": "TR", "Output": "head"}, "head"),
        ({"Name": "Split", "By": "ses"}, "rot_x.ses[a]"),
    ],
)
def test_confound_by_a_new_name_is_that_column_no_longer(raw: dict[str, Any], new: str) -> None:
    values = {"rot_x": samples(range(10), confound="rot_x", is_nuisance=True)}
    found = carry_out(values, {"Input": "rot_x", **raw}, entities={"ses": "a"}).values[new]
    assert isinstance(found, Dense)
    assert (found.confound, found.is_nuisance, found.condition) == (None, True, None)
    assert found.values.tolist() == list(range(10))


@pytest.mark.parametrize(
    "raw",
    [
        {"Name": "Rename", "Output": "rot_x"},
        {"Name": "Copy", "Output": "rot_x"},
        {"Name": "Copy", "Output": "head"},
        {"Name": "Resample", "SamplingRate": "TR"},
    ],
)
def test_confound_by_its_own_name_stays_that_column(raw: dict[str, Any]) -> None:
    confound = samples(range(10), confound="rot_x", is_nuisance=True)
    found = carry_out({"rot_x": confound}, {"Input": "rot_x", **raw})
    assert found.values["rot_x"] is confound


def test_variable_is_renamed_where_it_is_made_dense_too() -> None:
    raw = {"Name": "Rename", "Input": "a", "Output": "b", "Dense": True}
    found = carry_out({"a": events([4])}, raw)
    assert table(found) == {"b": [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]}


def test_select_keeps_and_delete_takes_away() -> None:
    values = {"a1": events([1]), "a2": events([2]), "b": events([3]), "c": events([4])}
    found = carry_out(
        values, {"Name": "Select", "Input": ["a*", "b"]}, {"Name": "Delete", "Input": ["a2", "q*"]}
    )
    assert table(found) == {"a1": [1], "b": [3]}
    assert found.absent == {"c": "Select left out 'c'", "a2": "Delete took away 'a2'"}


@pytest.mark.parametrize(
    ("values", "pairs", "expected"),
    [
        (["x", "y", None, "x"], {"x": "z"}, ["z", "y", None, "z"]),
        (["x", "y", None, "x"], {"x": 1, "y": 0}, [1.0, 0.0, None, 1.0]),
        (["x", "y"], {"x": 1}, ["1", "y"]),
        (["x", "y"], {"x": None}, [None, "y"]),
        ([1, 2, None], {"1": 5, "2.0": None}, [5, None, None]),
        ([1, 2], {"1": "one"}, ["one", "2"]),
    ],
)
def test_replace_changes_values(values: list[Any], pairs: Any, expected: list[Any]) -> None:
    raw = {"Name": "Replace", "Input": "a", "Replace": pairs}
    assert table(carry_out({"a": events(values)}, raw)) == {"a": expected}


def test_replace_changes_onsets_and_durations() -> None:
    found = carry_out(
        {"a": events(["x", "y"])},
        {"Name": "Replace", "Input": "a", "Replace": {"4": 5.5}, "Attribute": "onset"},
        {"Name": "Replace", "Input": "a", "Replace": {"1": 0}, "Attribute": "duration"},
    ).values["a"]
    assert isinstance(found, Sparse)
    assert (found.onsets.tolist(), found.durations.tolist()) == ([0, 5.5], [0, 0])


@pytest.mark.parametrize(
    ("new", "told"),
    [(-1, "a duration must not be negative, found -1"), ("z", "an event's duration must be a nu")],
)
def test_replace_refuses_wrong_durations(new: Any, told: str) -> None:
    raw = {"Name": "Replace", "Input": "a", "Replace": {"1": new}, "Attribute": "duration"}
    with pytest.raises(TransformError, match=told):
        carry_out({"a": events([1])}, raw)


def test_assign_gives_values_to_a_target() -> None:
    values = {"RT": events([1.5, 2]), "face": events([1, 1])}
    found = carry_out(values, {"Name": "Assign", "Input": "RT", "Target": "face"})
    assert table(found) == {"RT": [1.5, 2], "face": [1.5, 2]}


def test_assign_to_an_output_leaves_the_target() -> None:
    values = {"RT": events([1.5, 2]), "face": events([1, 1])}
    raw = {"Name": "Assign", "Input": "RT", "Target": "face", "Output": "new"}
    found = table(carry_out(values, {**raw, "InputAttr": "onset"}))
    assert found == {"RT": [1.5, 2], "face": [1, 1], "new": [0, 4]}


def test_assigned_duration_that_is_missing_costs_the_event_its_value() -> None:
    values = {"RT": events([1.5, None]), "face": events([1, 1])}
    raw = {"Name": "Assign", "Input": "RT", "Target": "face", "TargetAttr": "duration"}
    found = carry_out(values, raw)
    face = found.values["face"]
    assert isinstance(face, Sparse)
    assert (face.durations.tolist(), table(found)["face"]) == ([1.5, 1], [1, None])
    assert found.notices == (
        "instruction 1 (Assign): 1 event of 'face' without duration left out",
    )


def test_assign_needs_as_many_events() -> None:
    values = {"RT": events([1.5]), "face": events([1, 1])}
    with pytest.raises(TransformError, match="'RT' has 1 event and 'face' has 2"):
        carry_out(values, {"Name": "Assign", "Input": "RT", "Target": "face"})


def test_split_makes_a_variable_of_each_level() -> None:
    values = {"RT": events([1, 2, 3, 4]), "sex": events(["M", "F", None, "M"])}
    found = carry_out(values, {"Name": "Split", "Input": "RT", "By": "sex"})
    assert table(found) == {
        "RT": [1, 2, 3, 4],
        "sex": ["M", "F", None, "M"],
        "RT.sex[F]": [2],
        "RT.sex[M]": [1, 4],
    }
    assert found.why_absent("RT.sex[X]") == "'RT' has no part 'sex[X]' in this run"


def test_split_by_two_makes_the_combinations_that_there_are() -> None:
    values = {
        "RT": events([1, 2, 3]),
        "sex": events(["M", "F", "M"]),
        "hand": events([1, 1, 2]),
    }
    raw = {"Name": "Split", "Input": "RT", "By": ["sex", "hand"], "Output": "t"}
    found = table(carry_out(values, raw))
    assert {name: found[name] for name in found if name.startswith("t")} == {
        "t.sex[F].hand[1]": [2],
        "t.sex[M].hand[1]": [1],
        "t.sex[M].hand[2]": [3],
    }


@pytest.mark.parametrize("entity", ["session", "ses"])
def test_split_by_an_entity_is_the_whole_variable_of_this_run(entity: str) -> None:
    raw = {"Name": "split", "Input": ["a"], "By": entity}
    found = carry_out({"a": samples([1, 2])}, raw, entities={"sub": "01", "ses": "test"})
    assert table(found) == {"a": [1, 2], f"a.{entity}[test]": [1, 2]}


def test_split_of_samples_puts_0_elsewhere() -> None:
    values = {"a": samples([1, 2, 3]), "b": samples([0, 1, 0])}
    found = table(carry_out(values, {"Name": "Split", "Input": "a", "By": "b"}))
    assert (found["a.b[0]"], found["a.b[1]"]) == ([1, 0, 3], [0, 2, 0])


def test_dropna_takes_events_without_a_value_away() -> None:
    found = carry_out(
        {"a": events([1, None, 3]), "t": events([None, "x"])}, {"Name": "DropNA", "Input": "?"}
    )
    a = found.values["a"]
    assert isinstance(a, Sparse)
    assert (a.onsets.tolist(), table(found)) == ([0, 8], {"a": [1, 3], "t": ["x"]})


def test_todense_samples_ten_times_a_second_if_it_does_not_say() -> None:
    found = carry_out({"a": events([3])}, {"Name": "ToDense", "Input": "a"}).values["a"]
    assert isinstance(found, Dense)
    assert found.step == 0.1
    assert found.values.tolist() == [3.0] * 10 + [0.0] * 190


def test_todense_at_the_repetition_time() -> None:
    raw = {"Name": "ToDense", "Input": "a", "SamplingRate": "TR"}
    found = carry_out({"a": events([3, None, 5], onsets=[0, 4, 30])}, raw)
    assert table(found)["a"] == [1.5, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert found.notices == (
        "instruction 1 (ToDense): 1 event of 'a' without a value left out",
        "instruction 1 (ToDense): 1 event of 'a' outside the samples left out",
    )


def test_resample_takes_means() -> None:
    raw = {"Name": "Resample", "Input": "a", "SamplingRate": 0.25}
    found = carry_out({"a": samples([1, 3, 5, 9])}, raw).values["a"]
    assert isinstance(found, Dense)
    assert (found.step, found.values.tolist()) == (4.0, [2.0, 7.0])


@pytest.mark.parametrize(
    ("name", "variable", "told"),
    [
        ("Resample", events([1]), "'a' has events; use ToDense first"),
        ("ToDense", samples([1]), "'a' has samples already; use Resample"),
        ("DropNA", samples([1]), "'a' has samples, and DropNA works on events"),
    ],
)
def test_wrong_kind_of_variable_is_refused(name: str, variable: Any, told: str) -> None:
    with pytest.raises(TransformError, match=told):
        carry_out({"a": variable}, {"Name": name, "Input": "a"})


def test_concatenate_joins_texts_and_numbers() -> None:
    values = {"a": events(["x", "y", None]), "b": events([1, 2.5, 3])}
    found = carry_out(values, {"Name": "Concatenate", "Input": ["a", "b"], "Output": "a"})
    assert table(found)["a"] == ["x_1", "y_2.5", None]


def test_constant_stands_at_the_events_of_the_table() -> None:
    found = carry_out(
        {"c": samples([1]), **TRIALS},
        {"Name": "Constant", "Output": "one"},
        {"Name": "Constant", "Output": "two", "Value": 2},
    )
    one = found.values["one"]
    assert isinstance(one, Sparse)
    assert one.onsets.tolist() == [0, 4, 8, 12]
    assert (table(found)["one"], table(found)["two"]) == ([1.0] * 4, [2.0] * 4)


def test_constant_has_samples_where_there_is_no_event() -> None:
    found = carry_out({}, {"Name": "Constant", "Output": "one"}).values["one"]
    assert isinstance(found, Dense)
    assert found.values.tolist() == [1.0] * 10


@pytest.mark.parametrize(
    ("cumulative", "expected"),
    [(False, [1, 2, 1, 2, 1, 1, 1]), (True, [1, 2, 1, 2, 3, 3, 1])],
)
def test_identical_rows_are_counted(cumulative: bool, expected: list[int]) -> None:
    words = ["face", "face", "house", "house", "face", "house", "chair"]
    raw = {"Name": "LabelIdenticalRows", "Input": "t", "Cumulative": cumulative}
    assert table(carry_out({"t": events(words)}, raw)) == {"t": words, "t_label": expected}


def test_identical_rows_are_merged() -> None:
    variable = events(
        ["house", "face", "face", "house", "chair", "house", "chair"],
        onsets=[3, 1, 2, 6, 8, 4, 7],
    )
    found = carry_out({"t": variable}, {"Name": "MergeIdenticalRows", "Input": "t"}).values["t"]
    assert isinstance(found, Sparse)
    assert found.values.tolist() == ["face", "house", "chair"]
    assert (found.onsets.tolist(), found.durations.tolist()) == ([1, 3, 7], [2, 4, 2])


@pytest.mark.parametrize("name", ["MergeIdenticalRows", "LabelIdenticalRows", "DropNA"])
def test_no_events_stay_no_events(name: str) -> None:
    none = {"t": events([])}
    found = carry_out(none, {"Name": name, "Input": "t", "Output": "u"}).values["u"]
    assert isinstance(found, Sparse)
    sizes = (found.onsets.size, found.durations.size, found.values.size)
    assert sizes == (0, 0, 0)


def test_outputs_must_be_as_many_as_what_a_pattern_matches() -> None:
    raw = {"Name": "Demean", "Input": "a*", "Output": ["b", "c"]}
    with pytest.raises(TransformError) as caught:
        carry_out({"a1": events([1])}, raw)
    assert str(caught.value) == (
        "instruction 1 (Demean): the inputs are a1 in this run, but the outputs b, c; name one "
        "output for each input"
    )


def test_nothing_given_is_changed() -> None:
    values = {"a": events([1, 2]), "F": events(["x", "y"])}
    carry_out(values, {"Name": "Demean", "Input": "a"}, {"Name": "Factor", "Input": "F"})
    assert list(values) == ["a", "F"]
    assert values["a"].values.tolist() == [1, 2]
    assert np.array_equal(values["F"].values, ["x", "y"])


def test_inputs_are_read_before_any_of_them_changes() -> None:
    raw = {"Name": "Filter", "Input": ["F", "x"], "Query": "F == 'b'", "By": "F"}
    found = carry_out({"x": events([1, 2, 3, 4]), **TRIALS}, raw)
    assert table(found) == {"x": [1, 4], "F": ["b", "b"]}


def test_names_can_be_swapped() -> None:
    raw = {"Name": "Rename", "Input": ["a", "b"], "Output": ["b", "a"]}
    found = carry_out({"a": events([1]), "b": events([2])}, raw)
    assert (found.values["a"].values.tolist(), found.values["b"].values.tolist()) == ([2], [1])
    assert found.absent == {}
