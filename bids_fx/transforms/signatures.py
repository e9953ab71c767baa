"""What each instruction of ``pybids-transforms-v1`` takes.

The list is pybids' own and, beside it, that of ``bids-standard/variable-transform``, from which
come those that bids-matlab has alone (`Add`, `Power`, `Concatenate` ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: What an argument's value may be.
Kind = Literal["number", "flag", "text", "choice", "names", "numbers", "rate", "map", "object"]
#: How many results there are: one for each input, one of all, or none that could be named.
Outputs = Literal["each", "one", "none"]

#: Kinds of single values, of which there may be one for each input.
SCALARS: frozenset[Kind] = frozenset({"number", "flag", "text", "choice", "rate"})


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument may be."""

    kind: Kind
    required: bool = False
    choices: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What an instruction takes."""

    outputs: Outputs = "each"
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    needs_output: bool = False
    min_inputs: int = 1


_ATTRIBUTES = ("value", "amplitude", "onset", "duration")
_OPERAND = Signature(
    arguments={"Value": Argument("number", required=True), "Query": Argument("text")}
)
_REDUCTION = Signature(arguments={"OmitNan": Argument("flag")}, needs_output=True)

SIGNATURES: Mapping[str, Signature] = {
    "Add": _OPERAND,
    "And": Signature("one", needs_output=True, min_inputs=2),
    "Assign": Signature(
        arguments={
            "Target": Argument("names", required=True),
            "InputAttr": Argument("choice", choices=_ATTRIBUTES),
            "TargetAttr": Argument("choice", choices=_ATTRIBUTES),
        }
    ),
    "Concatenate": Signature("one", needs_output=True, min_inputs=2),
    "Constant": Signature("one", {"Value": Argument("number")}, needs_output=True, min_inputs=0),
    "Convolve": Signature(
        arguments={
            "Model": Argument("text"),
            "Derivative": Argument("flag"),
            "Dispersion": Argument("flag"),
            "FIRDelays": Argument("numbers"),
            "Parameters": Argument("object"),
        }
    ),
    "Copy": Signature(needs_output=True),
    "Delete": Signature("none"),
    "Demean": Signature(),
    "Divide": _OPERAND,
    "DropNA": Signature(),
    "Factor": Signature(
        arguments={
            "Constraint": Argument("choice", choices=("none", "drop_one", "mean_zero")),
            "RefLevel": Argument("text"),
            "Sep": Argument("text"),
        }
    ),
    "Filter": Signature(
        arguments={"Query": Argument("text", required=True), "By": Argument("names")}
    ),
    "Group": Signature("one", needs_output=True),
    "LabelIdenticalRows": Signature(arguments={"Cumulative": Argument("flag")}),
    "Lag": Signature(
        arguments={
            "Shift": Argument("number"),
            "Order": Argument("number"),
            "Mode": Argument("choice", choices=("nearest", "reflect", "constant")),
            "Constant": Argument("number"),
            "Difference": Argument("flag"),
        }
    ),
    "Mean": _REDUCTION,
    "MergeIdenticalRows": Signature(),
    "Multiply": _OPERAND,
    "Not": Signature(),
    "Or": Signature("one", needs_output=True, min_inputs=2),
    "Orthogonalize": Signature(arguments={"Other": Argument("names", required=True)}),
    "Power": _OPERAND,
    "Product": Signature("one", needs_output=True, min_inputs=2),
    "Rename": Signature(needs_output=True),
    "Replace": Signature(
        arguments={
            "Replace": Argument("map", required=True),
            "Attribute": Argument("choice", choices=("value", "onset", "duration")),
        }
    ),
    "Resample": Signature(arguments={"SamplingRate": Argument("rate")}),
    "Scale": Signature(
        arguments={
            "Demean": Argument("flag"),
            "Rescale": Argument("flag"),
            "ReplaceNA": Argument("choice", choices=("before", "after", "off", None)),
        }
    ),
    "Select": Signature("none"),
    "Split": Signature(arguments={"By": Argument("names", required=True)}),
    "StdDev": _REDUCTION,
    "Subtract": _OPERAND,
    "Sum": Signature("one", {"Weights": Argument("numbers")}, needs_output=True, min_inputs=1),
    "Threshold": Signature(
        arguments={
            "Threshold": Argument("number"),
            "Binarize": Argument("flag"),
            "Above": Argument("flag"),
            "Signed": Argument("flag"),
        }
    ),
    "ToDense": Signature(arguments={"SamplingRate": Argument("rate")}),
}
#: The names of all instructions, as the specification spells them.
INSTRUCTIONS: tuple[str, ...] = tuple(SIGNATURES)

#: What every instruction takes besides its own arguments.
COMMON = {
    "Input": Argument("names"),
    "Output": Argument("names"),
    "OutputPrefix": Argument("text"),
    "OutputSuffix": Argument("text"),
    "Dense": Argument("flag"),
    "GroupBy": Argument("names"),
}
