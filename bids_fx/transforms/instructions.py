"""The instructions of ``pybids-transforms-v1``: what each takes, and reading them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from bids_fx.suggest import did_you_mean
from bids_fx.transforms.convolve import convolution_name
from bids_fx.transforms.query import QueryError, parse_query
from bids_fx.transforms.records import LARGEST_NUMBER, Instruction
from bids_fx.transforms.scope import is_pattern
from bids_fx.transforms.signatures import COMMON, INSTRUCTIONS, SCALARS, SIGNATURES, Argument, Kind

__all__ = ["INSTRUCTIONS", "read_instruction"]

#: Instructions that published lists name without saying what they do.
_UNDEFINED = ("Censor", "Deconvolve", "Derivative", "Image", "PCA", "Variance")


def read_instruction(
    raw: Mapping[str, object], where: str, groups: Collection[str] = ()
) -> tuple[Instruction | None, tuple[str, ...]]:
    """Return an instruction in one spelling, and all that is wrong with it.

    Parameters
    ----------
    raw : mapping of str to object
        An entry of ``Transformations.Instructions``. Case and underscores of its keys do not
        matter, nor does the case of the instruction's name; a scalar stands for a list of one.
    where : str
        Its place in the file; the instruction's name is put behind it in brackets.
    groups : collection of str
        Names of the groups that `Group` made before: inputs that stand for any number of them.

    Returns
    -------
    instruction : Instruction or None
        None where something is wrong.
    faults : tuple of str
        Sentence parts without a full stop.

    Notes
    -----
    ``Dense`` has sparse inputs made dense first, one value per scan. ``GroupBy`` may only be
    ``run``: instructions see one run at a time. Arguments that are single values may be lists
    with one value for each input. The group that ``Group`` makes is named by ``Output``, or by a
    second key ``name`` in lower case beside ``Name``, as pybids calls it.
    """
    folded: dict[str, list[tuple[str, object]]] = {}
    for key, value in raw.items():
        folded.setdefault(_fold(key), []).append((key, value))
    name, fault = _name_of(folded)
    if name is None:
        return None, (fault,)
    reader = _Reader(name, folded, groups)
    faults = reader.faults
    if faults:
        return None, tuple(faults)
    arguments = reader.arguments
    outputs = arguments.pop("Output", ())
    inputs = arguments.pop("Input", ())
    assert isinstance(inputs, tuple)
    assert isinstance(outputs, tuple)
    instruction = Instruction(
        name=name,
        inputs=inputs,
        outputs=outputs,
        arguments=arguments,
        where=f"{where} ({name})",
    )
    return instruction, ()


def _fold(text: str) -> str:
    return text.casefold().replace("_", "")


def _name_of(folded: dict[str, list[tuple[str, object]]]) -> tuple[str | None, str]:
    """Return the canonical name, or what is wrong with it; leave other keys as they are."""
    entries = folded.pop("name", [])
    texts = [(key, value) for key, value in entries if isinstance(value, str)]
    known = {_fold(name): name for name in INSTRUCTIONS}
    if not texts or len(texts) < len(entries):
        return None, "an instruction needs a 'Name', which is a text"
    first = next((value for key, value in texts if key == "Name"), texts[0][1])
    name = known.get(_fold(first))
    if len(texts) > 1:
        second = next(value for key, value in texts if value != first or key != "Name")
        if name != "Group" or "output" in folded:
            return None, "'Name' stands there twice"
        folded["output"] = [("name", second)]
    if name is not None:
        return name, ""
    if _fold(first) in map(_fold, _UNDEFINED):
        return None, f"the instruction {first!r} is listed, but nothing says what it does"
    hint = did_you_mean(first.rstrip("_"), INSTRUCTIONS)
    return None, f"unknown instruction {first!r}" + (f" ({hint})" if hint else "")


class _Reader:
    """Reads the arguments of one instruction, and gathers what is wrong with them."""

    def __init__(
        self,
        name: str,
        folded: Mapping[str, Sequence[tuple[str, object]]],
        groups: Collection[str],
    ) -> None:
        self.name = name
        self._groups = groups
        self.signature = SIGNATURES[name]
        self.faults: list[str] = []
        self.arguments: dict[str, object] = {}
        known = {**COMMON, **self.signature.arguments}
        spelling = {_fold(argument): argument for argument in known}
        for key, entries in folded.items():
            canonical = spelling.get(key)
            if canonical is None:
                written = entries[0][0]
                hint = did_you_mean(written, known)
                self._fault(f"unknown argument {written!r}" + (f" ({hint})" if hint else ""))
            elif len(entries) > 1:
                twice = " and ".join(repr(written) for written, _ in entries)
                self._fault(f"{twice} are the same argument")
            else:
                self._read(canonical, known[canonical], entries[0][1])
        for argument, rule in self.signature.arguments.items():
            entries = folded.get(_fold(argument), ())
            if rule.required and all(value is None for _, value in entries):
                self._fault(f"the argument {argument!r} is missing")
        self._check_names()
        if not self.faults:
            _CHECKS.get(name, _no_check)(self.arguments, self._fault)

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def _read(self, argument: str, rule: Argument, value: object) -> None:
        if value is None and None not in rule.choices:
            return  # JSON's null: as if it were not there
        listed = isinstance(value, list)
        if rule.kind in SCALARS and listed and argument not in COMMON:
            items = value if isinstance(value, list) else []
            checked: object = [self._scalar(argument, rule, item) for item in items]
        elif rule.kind in SCALARS:
            checked = self._scalar(argument, rule, value)
        else:
            checked = self._collection(argument, rule, value)
        self.arguments[argument] = checked

    def _scalar(self, argument: str, rule: Argument, value: object) -> object:
        reading, expected = _READERS[rule.kind]
        if rule.kind == "choice":
            expected = "one of " + ", ".join(
                "null" if choice is None else choice for choice in rule.choices
            )
            if value is None or (isinstance(value, str) and value.casefold() in rule.choices):
                return value.casefold() if isinstance(value, str) else value
        else:
            result = reading(value)
            if result is not None:
                return result
        self._fault(f"{argument!r} must be {expected}, found {value!r}")
        return None

    def _collection(self, argument: str, rule: Argument, value: object) -> object:
        if rule.kind in ("map", "object"):
            pairs = _replacements(value) if rule.kind == "map" else value
            if isinstance(pairs, dict) and (pairs or rule.kind == "object"):
                return pairs
            self._fault(f"{argument!r} must be an object of pairs, found {value!r}")
            return {}
        items = value if isinstance(value, list) else [value]
        one: Argument = Argument("number" if rule.kind == "numbers" else "text")
        if not items:
            self._fault(f"{argument!r} is empty")
        if rule.kind == "names" and any(isinstance(x, str) and not x.strip() for x in items):
            self._fault(f"{argument!r} holds an empty name")
        return tuple(self._scalar(argument, one, item) for item in items)

    def _check_names(self) -> None:
        signature = self.signature
        inputs, outputs = self._names("Input"), self._names("Output")
        if len(inputs) < signature.min_inputs and not self._is_open(inputs):
            least = "an input" if signature.min_inputs == 1 else f"{signature.min_inputs} inputs"
            self._fault(f"needs {least}, found {len(inputs) or 'none'}")
        if "Input" in self.arguments and self.name == "Constant":
            self._fault("takes no 'Input'")
        affixes = [key for key in ("OutputPrefix", "OutputSuffix") if key in self.arguments]
        if signature.outputs == "none":
            named = ["Output", *affixes] if outputs else affixes
            self.faults.extend(f"makes nothing that {key!r} could name" for key in named)
        elif (
            signature.needs_output and not outputs and (signature.outputs == "one" or not affixes)
        ):
            self._fault("the argument 'Output' is missing")
        if len(set(outputs)) < len(outputs):
            self._fault("two of its outputs have one name")
        self._check_count(inputs, outputs)
        groups = self._names("GroupBy")
        if any(group.casefold() != "run" for group in groups):
            self._fault("'GroupBy' can only be 'run': instructions see one run at a time")

    def _check_count(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        several = self._is_open(inputs)
        if self.signature.outputs == "one":
            if len(outputs) > 1:
                self._fault(f"makes one variable, but has {len(outputs)} outputs")
            weights = self.arguments.get("Weights")
            if isinstance(weights, tuple) and len(weights) != len(inputs) and not several:
                self._fault(f"{_many(inputs, 'input')} and {_many(weights, 'weight')}")
            for argument, value in self.arguments.items():
                if isinstance(value, list):
                    self._fault(f"makes one variable, but {argument!r} is a list")
            return
        if outputs and len(outputs) != len(inputs) and not several:
            self._fault(
                f"{_many(inputs, 'input')} and {_many(outputs, 'output')}: name one output for "
                "each input, or use 'OutputPrefix' or 'OutputSuffix'"
            )
        for argument, value in self.arguments.items():
            if isinstance(value, list) and len(value) != len(inputs) and not several:
                self._fault(
                    f"{_many(inputs, 'input')} and {_many(value, 'value')} of {argument!r}: give "
                    "one value, or one for each input"
                )

    def _is_open(self, names: Sequence[str]) -> bool:
        """Whether there may be more variables than names."""
        return any(name in self._groups or is_pattern(name) for name in names)

    def _names(self, argument: str) -> tuple[str, ...]:
        value = self.arguments.get(argument, ())
        return (
            tuple(item for item in value if isinstance(item, str))
            if (isinstance(value, tuple))
            else ()
        )


def _many(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}" + ("" if len(items) == 1 else "s")


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # no number, or a whole one that no float can hold
        return None
    if not abs(number) <= LARGEST_NUMBER:
        return None
    return number if isinstance(value, str) else value


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _rate(value: object) -> float | str | None:
    if isinstance(value, str) and value.casefold() == "tr":
        return "TR"
    number = _number(value)
    return number if number is not None and number > 0 else None


_READERS: Mapping[Kind, tuple[Callable[[object], object], str]] = {
    "number": (_number, f"a number, up to {LARGEST_NUMBER:g} in size"),
    "flag": (_flag, "true or false"),
    "text": (_text, "a text"),
    "rate": (_rate, "a number of samples per second above 0, or 'TR'"),
    "choice": (_text, ""),
}


def _replacements(value: object) -> object:
    """Return the pairs also of the list form ``[{"key": "a", "value": 1}]``."""
    items = [value] if isinstance(value, dict) and set(value) == {"key", "value"} else value
    if isinstance(items, list) and all(
        isinstance(item, dict) and set(item) == {"key", "value"} for item in items
    ):
        items = {str(item["key"]): item["value"] for item in items}
    if isinstance(items, dict) and all(
        isinstance(item, (str, int, float, type(None))) for item in items.values()
    ):
        return items
    return None


def _no_check(arguments: Mapping[str, object], fault: Callable[[str], None]) -> None:
    """Accept what has passed the general checks."""


def _check_convolve(arguments: Mapping[str, object], fault: Callable[[str], None]) -> None:
    try:
        convolution_name(arguments, default="spm")
    except ValueError as error:
        fault(str(error))


def _check_query(arguments: Mapping[str, object], fault: Callable[[str], None]) -> None:
    if isinstance(query := arguments.get("Query"), str):
        named = [arguments.get(key) for key in ("Input", "By")]
        known = [name for names in named if isinstance(names, tuple) for name in names]
        try:
            parse_query(query, known)
        except QueryError as error:
            fault(str(error))


def _check_divide(arguments: Mapping[str, object], fault: Callable[[str], None]) -> None:
    if arguments["Value"] == 0:
        fault("'Value' must not be 0")
    _check_query(arguments, fault)


def _check_factor(arguments: Mapping[str, object], fault: Callable[[str], None]) -> None:
    if "RefLevel" in arguments and arguments.get("Constraint", "none") == "none":
        fault("'RefLevel' is of no use without the 'Constraint' drop_one or mean_zero")


def _check_lag(arguments: Mapping[str, object], fault: Callable[[str], None]) -> None:
    if arguments.get("Order", 3) not in range(6):
        fault(f"'Order' must be a whole number from 0 to 5, found {arguments['Order']!r}")
    if "Constant" in arguments and arguments.get("Mode") != "constant":
        fault("'Constant' is of no use without the 'Mode' constant")


_CHECKS: Mapping[str, Callable[[Mapping[str, object], Callable[[str], None]], None]] = {
    "Add": _check_query,
    "Convolve": _check_convolve,
    "Divide": _check_divide,
    "Factor": _check_factor,
    "Filter": _check_query,
    "Lag": _check_lag,
    "Multiply": _check_query,
    "Power": _check_query,
    "Subtract": _check_query,
}
