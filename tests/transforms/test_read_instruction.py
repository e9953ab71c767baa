"""Instructions as models write them."""

from __future__ import annotations

import pytest

from bids_fx.transforms.instructions import INSTRUCTIONS, read_instruction
from bids_fx.transforms.records import Instruction
from bids_fx.transforms.signatures import SIGNATURES
from tests.small_runs import read

NO_NUMBER = "must be a number, up to 1e+100 in size, found"


def faults(raw: dict[str, object]) -> tuple[str, ...]:
    instruction, found = read_instruction(raw, "here")
    assert instruction is None
    return found


@pytest.mark.parametrize(
    "raw",
    [
        {"Name": "Convolve", "Input": ["a"], "Model": "fir", "FIRDelays": [0, 2]},
        {"name": "convolve", "input": "a", "model": "fir", "fir_delays": [0, 2]},
        {"NAME": "CONVOLVE_", "INPUT": "a", "MODEL": "fir", "FirDelays": [0, 2]},
    ],
)
def test_spelling_of_keys_and_names_does_not_matter(raw: dict[str, object]) -> None:
    assert read(raw) == Instruction(
        name="Convolve",
        inputs=("a",),
        arguments={"Model": "fir", "FIRDelays": (0, 2)},
        where="here (Convolve)",
    )


def test_scalar_stands_for_a_list_of_one() -> None:
    found = read({"Name": "Or", "Input": ["a", "b"], "output": "c"})
    assert (found.inputs, found.outputs) == (("a", "b"), ("c",))


def test_null_is_as_if_it_were_not_there() -> None:
    assert read({"Name": "Scale", "Input": "a", "Output": None, "ReplaceNA": None}).arguments == {
        "ReplaceNA": None
    }


def test_number_may_be_a_text() -> None:
    assert read({"Name": "Add", "Input": "a", "Value": "3"}).arguments == {"Value": 3.0}


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_every_instruction_is_found_in_lower_case_with_an_underscore(name: str) -> None:
    raw: dict[str, object] = {"Name": f"{name.lower()}_", "Zzz": 1}
    assert "unknown argument 'Zzz'" in faults(raw)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Convolv", "Convolve"), ("factorise", "Factor"), ("Orthogonalise", "Orthogonalize")],
)
def test_unknown_instruction_names_the_closest(written: str, meant: str) -> None:
    assert faults({"Name": written, "Input": "a"}) == (
        f"unknown instruction {written!r} (did you mean '{meant}'?)",
    )


def test_unknown_instruction_that_is_like_none_is_named_alone() -> None:
    assert faults({"Name": "Xyzzy"}) == ("unknown instruction 'Xyzzy'",)


def test_instruction_without_a_definition_is_refused_by_name() -> None:
    assert faults({"Name": "PCA", "Input": "a"}) == (
        "the instruction 'PCA' is listed, but nothing says what it does",
    )


@pytest.mark.parametrize("raw", [{"Input": "a"}, {"Name": 3, "Input": "a"}])
def test_instruction_without_a_name_is_refused(raw: dict[str, object]) -> None:
    assert faults(raw) == ("an instruction needs a 'Name', which is a text",)


def test_unknown_argument_names_the_closest() -> None:
    assert faults({"Name": "Factor", "Input": "a", "RefLevl": "x"}) == (
        "unknown argument 'RefLevl' (did you mean 'RefLevel'?)",
    )


def test_argument_of_another_instruction_is_unknown() -> None:
    (found,) = faults({"Name": "Demean", "Input": "a", "Weights": [1]})
    assert found.startswith("unknown argument 'Weights'")


def test_two_spellings_of_one_argument_are_refused() -> None:
    assert faults({"Name": "Demean", "Input": "a", "input": "b"}) == (
        "'Input' and 'input' are the same argument",
        "needs an input, found none",
    )


@pytest.mark.parametrize("name", [name for name, s in SIGNATURES.items() if s.min_inputs == 1])
def test_missing_input_is_a_fault(name: str) -> None:
    assert "needs an input, found none" in faults({"Name": name})


REQUIRED = pytest.mark.parametrize(
    ("name", "argument"),
    [
        *(("Add", "Value"), ("Subtract", "Value"), ("Multiply", "Value"), ("Divide", "Value")),
        *(("Power", "Value"), ("Assign", "Target"), ("Filter", "Query"), ("Split", "By")),
        *(("Orthogonalize", "Other"), ("Replace", "Replace")),
        *((name, "Output") for name in ("Copy", "Rename", "Group", "Mean", "StdDev")),
    ],
)


@REQUIRED
def test_missing_argument_is_named(name: str, argument: str) -> None:
    assert faults({"Name": name, "Input": "a"}) == (f"the argument {argument!r} is missing",)


@REQUIRED
def test_null_for_an_argument_that_is_needed_is_as_if_it_were_missing(
    name: str, argument: str
) -> None:
    raw = {"Name": name, "Input": "a", argument: None}
    assert faults(raw) == (f"the argument {argument!r} is missing",)


def test_argument_of_two_spellings_is_not_told_as_missing() -> None:
    raw = {"Name": "Add", "Input": "a", "Value": 1, "value": 2}
    assert faults(raw) == ("'Value' and 'value' are the same argument",)


@pytest.mark.parametrize("name", ["And", "Or", "Product", "Concatenate"])
def test_joining_needs_two_inputs_and_an_output(name: str) -> None:
    assert faults({"Name": name, "Input": "a"}) == (
        "needs 2 inputs, found 1",
        "the argument 'Output' is missing",
    )


def test_all_faults_are_told_at_once() -> None:
    assert faults({"Name": "Lag", "Input": "a", "Shift": "x", "Mode": "wrap", "Oder": 1}) == (
        f"'Shift' {NO_NUMBER} 'x'",
        "'Mode' must be one of nearest, reflect, constant, found 'wrap'",
        "unknown argument 'Oder' (did you mean 'Order'?)",
    )


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"Name": "Scale", "Demean": 1}, "'Demean' must be true or false, found 1"),
        ({"Name": "Add", "Value": True}, f"'Value' {NO_NUMBER} True"),
        ({"Name": "Add", "Value": float("nan")}, f"'Value' {NO_NUMBER} nan"),
        ({"Name": "Add", "Value": -1e101}, f"'Value' {NO_NUMBER} -1e+101"),
        ({"Name": "Lag", "Shift": "inf"}, f"'Shift' {NO_NUMBER} 'inf'"),
        ({"Name": "Lag", "Shift": "nan"}, f"'Shift' {NO_NUMBER} 'nan'"),
        ({"Name": "Lag", "Shift": 10**309}, f"'Shift' {NO_NUMBER} {10**309}"),
        ({"Name": "Divide", "Value": 0}, "'Value' must not be 0"),
        (
            {"Name": "ToDense", "SamplingRate": 0},
            "'SamplingRate' must be a number of samples per second above 0, or 'TR', found 0",
        ),
        ({"Name": "Split", "By": []}, "'By' is empty"),
        ({"Name": "Filter", "Query": "a > 1", "By": ""}, "'By' holds an empty name"),
        ({"Name": "Demean", "Input": ["b", ""]}, "'Input' holds an empty name"),
        ({"Name": "Demean", "Output": " "}, "'Output' holds an empty name"),
        ({"Name": "Replace", "Replace": 3}, "'Replace' must be an object of pairs, found 3"),
        ({"Name": "Lag", "Order": 6}, "'Order' must be a whole number from 0 to 5, found 6"),
        ({"Name": "Lag", "Constant": 1}, "'Constant' is of no use without the 'Mode' constant"),
        (
            {"Name": "Factor", "RefLevel": "x"},
            "'RefLevel' is of no use without the 'Constraint' drop_one or mean_zero",
        ),
        ({"Name": "Convolve", "Dispersion": True}, "'Dispersion' needs 'Derivative'"),
        (
            {"Name": "Convolve", "FIRDelays": [0]},
            "'FIRDelays' is of no use without the 'Model' fir",
        ),
        (
            {"Name": "Convolve", "Model": "fir", "Derivative": True},
            "'Derivative' is of no use with a FIR model",
        ),
        (
            {"Name": "Demean", "GroupBy": ["run", "subject"]},
            "'GroupBy' can only be 'run': instructions see one run at a time",
        ),
        ({"Name": "Delete", "Output": "b"}, "makes nothing that 'Output' could name"),
        ({"Name": "Sum", "Output": ["b", "c"]}, "makes one variable, but has 2 outputs"),
        ({"Name": "Sum", "Output": "b", "Weights": [1, 2]}, "1 input and 2 weights"),
        ({"Name": "Constant", "Output": "b"}, "takes no 'Input'"),
        (
            {"Name": "Filter", "Query": "a >"},
            "the query 'a >': expected a name, a number or a text in quotes, but it ends",
        ),
    ],
)
def test_wrong_value_is_told(raw: dict[str, object], fault: str) -> None:
    assert faults({"Input": "a", **raw}) == (fault,)


def test_unknown_response_is_told_with_the_valid_ones() -> None:
    (found,) = faults({"Name": "Convolve", "Input": "a", "Model": "smp"})
    assert found.startswith("unknown HRF model 'smp' (did you mean 'spm'?); valid are: spm")


def test_outputs_must_be_as_many_as_inputs() -> None:
    assert faults({"Name": "Demean", "Input": ["a", "b"], "Output": "c"}) == (
        (
            "2 inputs and 1 output: name one output for each input, or use 'OutputPrefix' or "
            "'OutputSuffix'"
        ),
    )


def test_outputs_must_differ() -> None:
    assert faults({"Name": "Demean", "Input": ["a", "b"], "Output": ["c", "c"]}) == (
        "two of its outputs have one name",
    )


def test_pattern_may_have_any_number_of_outputs() -> None:
    assert read({"Name": "Demean", "Input": "a*", "Output": ["b", "c"]}).outputs == ("b", "c")


def test_group_may_have_any_number_of_outputs() -> None:
    raw: dict[str, object] = {"Name": "Demean", "Input": "g", "Output": ["b", "c"]}
    assert read_instruction(raw, "here", groups=["g"])[1] == ()


def test_value_for_each_input_must_be_as_many_as_inputs() -> None:
    assert faults({"Name": "Add", "Input": ["a", "b"], "Value": [1, 2, 3]}) == (
        "2 inputs and 3 values of 'Value': give one value, or one for each input",
    )


def test_group_may_be_named_by_a_second_name() -> None:
    found = read({"Name": "Group", "Input": ["a", "b"], "name": "g"})
    assert (found.name, found.outputs) == ("Group", ("g",))


def test_two_names_are_refused_elsewhere() -> None:
    assert faults({"Name": "Demean", "Input": "a", "name": "g"}) == ("'Name' stands there twice",)


def test_replacements_may_be_a_list_of_keys_and_values() -> None:
    listed = [{"key": "x", "value": 1}, {"key": "y", "value": None}]
    found = read({"Name": "Replace", "Input": "a", "Replace": listed})
    assert found.arguments == {"Replace": {"x": 1, "y": None}}
