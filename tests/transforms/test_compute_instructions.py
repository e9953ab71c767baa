"""Instructions that change numbers, each on a small table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bids_fx.transforms.records import Dense, TransformError, Variable
from tests.small_runs import carry_out, events, samples, table

#: Rounding of sums of a few numbers.
ROUNDING = 1e-12


def outcome(values: list[Any], **raw: Any) -> list[Any]:
    """Return what an instruction makes of events of these values."""
    return table(carry_out({"a": events(values)}, {"Input": "a", **raw}))["a"]


@pytest.mark.parametrize(
    ("raw", "values", "expected"),
    [
        ({"Name": "Add", "Value": 3}, [2, -4], [5, -1]),
        ({"Name": "Subtract", "Value": 3}, [2, -4], [-1, -7]),
        ({"Name": "Multiply", "Value": 3}, [2, -4], [6, -12]),
        ({"Name": "Divide", "Value": 2}, [2, -4, None], [1, -2, None]),
        ({"Name": "Power", "Value": 2}, [2, -4], [4, 16]),
        ({"Name": "Power", "Value": 3}, [2, -4], [8, -64]),
        ({"Name": "Add", "Value": 3, "Query": "a < 0"}, [2, -4], [2, -1]),
        ({"Name": "Demean"}, [1, 2, None, 6], [-2, -1, None, 3]),
        ({"Name": "Not"}, [1, 0, -2, None], [0, 1, 0, None]),
        ({"Name": "Threshold"}, [1, 2, -1, -2, 0], [1, 2, 0, 0, 0]),
        ({"Name": "Threshold", "Threshold": 1}, [1, 2, -1, -2], [0, 2, 0, 0]),
        ({"Name": "Threshold", "Binarize": True}, [1, 2, -1, 0], [1, 1, 0, 0]),
        ({"Name": "Threshold", "Binarize": True, "Above": False}, [1, -1, -2, 0], [0, 1, 1, 0]),
        (
            {"Name": "Threshold", "Threshold": 1, "Binarize": True, "Signed": False},
            [1, 2, -1, -2, None],
            [0, 1, 0, 1, None],
        ),
        ({"Name": "Threshold", "Threshold": -1, "Signed": False}, [1, 2, -3], [0, 2, -3]),
        ({"Name": "Scale"}, [1, 2, 3], [-1, 0, 1]),
        ({"Name": "Scale", "Demean": False}, [1, 2, 3], [1, 2, 3]),
        ({"Name": "Scale", "Demean": False}, [2, 4, 6], [1, 2, 3]),
        ({"Name": "Scale", "Rescale": False}, [2, 4, 6, None], [-2, 0, 2, None]),
        ({"Name": "Scale", "ReplaceNA": "after"}, [1, 2, 3, None], [-1, 0, 1, 0]),
        ({"Name": "Scale", "ReplaceNA": "after"}, [5, 5], [0, 0]),
        ({"Name": "Scale", "ReplaceNA": "before", "Rescale": False}, [3, None], [1.5, -1.5]),
        ({"Name": "Scale", "ReplaceNA": "off"}, [1, 2, 3, None], [-1, 0, 1, None]),
    ],
)
def test_numbers_become(raw: dict[str, Any], values: list[Any], expected: list[Any]) -> None:
    assert outcome(values, **raw) == expected


def test_scale_is_that_of_the_published_example() -> None:
    found = outcome([21, 18, 46, 10, None], Name="Scale")
    np.testing.assert_allclose(found[:4], [-0.176929, -0.369943, 1.43152, -0.884645], atol=5e-6)
    assert found[4] is None


def test_mean_and_standard_deviation_stand_at_every_event() -> None:
    found = table(
        carry_out(
            {"a": events([1, 3, None])},
            {"Name": "Mean", "Input": "a", "Output": "m"},
            {"Name": "Mean", "Input": "a", "Output": "o", "OmitNan": True},
            {"Name": "StdDev", "Input": "a", "Output": "s", "OmitNan": True},
        )
    )
    assert found["m"] == [None] * 3
    assert found["o"] == [2.0] * 3
    assert found["s"] == [np.sqrt(2)] * 3


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"Name": "Scale"}, "'a': has no two different values and cannot be rescaled; "),
        ({"Name": "Power", "Value": 0.5}, "'a': -4 cannot be taken, the 'Value' being 0.5"),
    ],
)
def test_number_that_has_no_outcome_is_refused(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(TransformError) as caught:
        outcome([-4, -4], **raw)
    assert str(caught.value).startswith(f"instruction 1 ({raw['Name']}): {told}")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, [1, 1, 2, 4]),
        ({"Shift": -1}, [2, 4, 8, 8]),
        ({"Shift": 2, "Mode": "reflect"}, [2, 1, 1, 2]),
        ({"Shift": 1, "Mode": "constant", "Constant": 7}, [7, 1, 2, 4]),
        ({"Difference": True}, [0, 1, 2, 4]),
        ({"Shift": -1, "Difference": True}, [1, 2, 4, 0]),
        ({"Shift": 0.5, "Order": 1}, [1, 1.5, 3, 6]),
    ],
)
def test_lag_moves_samples(raw: dict[str, Any], expected: list[float]) -> None:
    found = carry_out({"a": samples([1, 2, 4, 8])}, {"Name": "Lag", "Input": "a", **raw})
    np.testing.assert_allclose(found.values["a"].values, expected, rtol=ROUNDING)


def test_lag_of_whole_samples_keeps_a_missing_one_alone() -> None:
    found = carry_out({"a": samples([1, np.nan, 4, 8])}, {"Name": "Lag", "Input": "a"})
    assert table(found)["a"] == [1, 1, None, 4]


def test_lag_between_samples_refuses_missing_ones() -> None:
    with pytest.raises(TransformError, match="'a': has missing values, between which"):
        carry_out({"a": samples([1, np.nan])}, {"Name": "Lag", "Input": "a", "Shift": 0.5})


@pytest.mark.parametrize("mode", ["nearest", "reflect", "constant"])
@pytest.mark.parametrize(
    ("shift", "shown"),
    [(1e100, "1e+100"), (-1e100, "-1e+100"), (3, "3"), (-3, "-3"), (3.5, "3.5")],
)
def test_lag_beyond_the_samples_is_refused(shift: float, shown: str, mode: str) -> None:
    raw = {"Name": "Lag", "Input": "a", "Shift": shift, "Mode": mode}
    with pytest.raises(TransformError) as caught:
        carry_out({"a": samples([1, 2, 4])}, raw)
    told = f"'a': a 'Shift' of {shown} is beyond its samples, which are 3"
    assert str(caught.value) == f"instruction 1 (Lag): {told}"


@pytest.mark.parametrize(("shift", "expected"), [(2, [1, 1, 1]), (-2, [4, 4, 4])])
def test_lag_may_leave_one_sample(shift: float, expected: list[float]) -> None:
    found = carry_out({"a": samples([1, 2, 4])}, {"Name": "Lag", "Input": "a", "Shift": shift})
    assert table(found)["a"] == expected


def test_lag_of_events_is_refused_with_the_remedy() -> None:
    with pytest.raises(TransformError, match="'a' has events, and Lag works on samples; use ToD"):
        outcome([1, 2], Name="Lag")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"Name": "And"}, [1, 0, 0, 0]),
        ({"Name": "Or"}, [1, 1, 0, 1]),
        ({"Name": "Product"}, [6, 0, 0, None]),
        ({"Name": "Sum"}, [5, 4, 0, None]),
        ({"Name": "Sum", "Weights": [2, -1]}, [1, -4, 0, None]),
    ],
)
def test_variables_are_joined(raw: dict[str, Any], expected: list[Any]) -> None:
    values = {"a": events([2, 0, 0, None]), "b": events([3, 4, 0, 1])}
    found = table(carry_out(values, {"Input": ["a", "b"], "Output": "c", **raw}))
    assert found == {"a": [2, 0, 0, None], "b": [3, 4, 0, 1], "c": expected}


def test_weights_must_be_as_many_as_what_a_pattern_matches() -> None:
    raw = {"Name": "Sum", "Input": "a*", "Output": "c", "Weights": [1, 2]}
    with pytest.raises(TransformError, match=r"^instruction 1 \(Sum\): has 2 weights for 1 var"):
        carry_out({"a1": events([1])}, raw)


def test_events_that_are_not_the_same_are_not_joined() -> None:
    values = {"a": events([1, 2]), "b": events([1, 2], durations=[1, 2])}
    with pytest.raises(TransformError) as caught:
        carry_out(values, {"Name": "Sum", "Input": ["a", "b"], "Output": "c"})
    assert str(caught.value) == (
        "instruction 1 (Sum): 'a' and 'b' have not the same events; use ToDense or Convolve on "
        "them first"
    )


def test_dense_makes_samples_of_events_that_differ() -> None:
    values = {"a": events([1, 2]), "b": events([4], onsets=[4], durations=[2])}
    raw = {"Name": "Sum", "Input": ["a", "b"], "Output": "c", "Dense": True}
    found = carry_out(values, raw).values["c"]
    assert isinstance(found, Dense)
    assert found.values.tolist() == [0.5, 0, 5, 0, 0, 0, 0, 0, 0, 0]


def test_events_and_samples_are_not_joined() -> None:
    values = {"a": samples([1, 2]), "b": events([1, 2])}
    with pytest.raises(TransformError, match="'b' has events and 'a' has samples; use ToDense or"):
        carry_out(values, {"Name": "Sum", "Input": ["a", "b"], "Output": "c"})


def test_samples_that_are_not_the_same_are_not_joined() -> None:
    values = {"a": samples([1, 2]), "b": samples([1, 2], step=1.0)}
    with pytest.raises(TransformError, match="'a' and 'b' have not the same samples; use Resampl"):
        carry_out(values, {"Name": "Sum", "Input": ["a", "b"], "Output": "c"})


@pytest.mark.parametrize("name", ["Demean", "Scale", "Not", "Convolve", "ToDense", "Threshold"])
def test_texts_are_refused_where_numbers_are_needed(name: str) -> None:
    with pytest.raises(TransformError, match="'a' holds texts; make numbers of them by Factor fi"):
        outcome(["x", "y"], Name=name)


def test_orthogonalize_leaves_what_is_uncorrelated_and_the_intercept() -> None:
    values = {"a": events([3, 5, 8, 8]), "b": events([0, 1, 2, 3])}
    found = carry_out(values, {"Name": "Orthogonalize", "Input": "a", "Other": "b"})
    # slope 1.8, intercept 3.3
    np.testing.assert_allclose(found.values["a"].values, [3, 3.2, 4.4, 2.6], rtol=ROUNDING)
    assert table(found)["b"] == [0, 1, 2, 3]


def test_orthogonalize_is_missing_where_any_value_is() -> None:
    values = {"a": events([3, 5, None, 9]), "b": events([0, 1, 2, None])}
    found = carry_out(values, {"Name": "Orthogonalize", "Input": "a", "Other": ["b"]})
    np.testing.assert_allclose(found.values["a"].values, [3, 3, np.nan, np.nan], rtol=ROUNDING)


def test_changed_confound_is_no_confound_but_stays_nuisance() -> None:
    confound = samples([1, 2], confound="rot_x", is_nuisance=True)
    found = carry_out({"a": confound}, {"Name": "Power", "Input": "a", "Value": 2})
    assert_samples(found.values["a"], [1, 4], is_nuisance=True)


def test_nuisance_joined_with_another_is_no_nuisance() -> None:
    values = {"a": samples([1, 2], is_nuisance=True), "b": samples([1, 2])}
    found = carry_out(values, {"Name": "Product", "Input": ["a", "b"], "Output": "c"})
    assert_samples(found.values["c"], [1, 4], is_nuisance=False)


def test_changed_response_is_no_response() -> None:
    response = samples([1, 2], condition="a", basis=1, hrf_model="fir:2")
    found = carry_out({"a": response}, {"Name": "Add", "Input": "a", "Value": 1})
    assert_samples(found.values["a"], [2, 3], is_nuisance=False)


def assert_samples(found: Variable, values: list[float], *, is_nuisance: bool) -> None:
    """Check that these are the samples, and neither a confound nor a response any more."""
    assert isinstance(found, Dense)
    assert found.values.tolist() == values
    assert found.is_nuisance == is_nuisance
    assert (found.confound, found.condition, found.basis, found.is_fir) == (None, None, 0, False)


def test_value_may_be_given_for_each_input() -> None:
    values = {"a": events([1]), "b": events([1])}
    found = carry_out(values, {"Name": "Add", "Input": ["a", "b"], "Value": [1, 2]})
    assert table(found) == {"a": [2], "b": [3]}


@pytest.mark.parametrize(
    "raw",
    [
        {"Name": "Product", "Input": ["a", "x"]},
        {"Name": "Sum", "Input": ["a", "x"], "Weights": [1e3, 1]},
        {"Name": "Power", "Input": "a", "Value": 2},
    ],
)
def test_numbers_whose_squares_would_overflow_are_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(TransformError, match=r"'b' gets numbers beyond 1e\+100"):
        carry_out({"a": events([1e99, 1.0]), "x": events([1e99, 0.0])}, {**raw, "Output": "b"})
