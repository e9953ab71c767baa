"""Instructions that work on one variable at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bids_fx.glm.hrf import basis_labels
from bids_fx.suggest import listed
from bids_fx.transforms import compute, munge
from bids_fx.transforms.compute import Arguments
from bids_fx.transforms.convolve import convolution_name, convolve, has_response, n_missing
from bids_fx.transforms.records import (
    Dense,
    Instruction,
    Levels,
    Sparse,
    TransformError,
    Variable,
)
from bids_fx.transforms.sampling import DEFAULT_SAMPLING_RATE, n_outside, resample, to_dense
from bids_fx.transforms.scope import Scope, check_aligned, counted, numbers, with_values


def do_each(scope: Scope, instruction: Instruction) -> None:
    """Carry out an instruction that works on one variable at a time."""
    inputs = scope.expand(instruction.inputs)
    outputs = instruction.outputs or inputs
    if len(outputs) != len(inputs):
        raise TransformError(
            f"the inputs are {listed(inputs)} in this run, but the outputs {listed(outputs)}",
            "name one output for each input",
        )
    if not instruction.outputs and instruction.name == "Assign":
        outputs = _targets(instruction, len(inputs))
    results = []
    for index, (name, output) in enumerate(zip(inputs, outputs, strict=True)):
        arguments = {
            key: _one_of(key, value, index, len(inputs))
            for key, value in instruction.arguments.items()
        }
        if instruction.name == "Assign":
            arguments["Target"] = _targets(instruction, len(inputs))[index]
        results.append((name, affixed(instruction, output), arguments))
    handler = _EACH.get(instruction.name, _numeric)
    for name, out, arguments in results:
        variable = densified(scope, name, scope.before.get(name), arguments)
        try:
            handler(scope, instruction.name, name, out, variable, arguments)
        except TransformError as error:
            found = error.found if repr(name) in str(error) else f"{name!r}: {error.found}"
            raise TransformError(found, error.remedy) from None


def _targets(instruction: Instruction, count: int) -> tuple[str, ...]:
    targets = instruction.arguments["Target"]
    assert isinstance(targets, tuple)
    if len(targets) not in (1, count):
        raise TransformError(f"has {count} inputs and {len(targets)} targets")
    return targets * count if len(targets) == 1 else targets


def _one_of(key: str, value: object, index: int, count: int) -> object:
    """Return an input's own value of an argument that is a list."""
    if not isinstance(value, list):
        return value
    if len(value) != count:
        raise TransformError(f"{key!r} has {len(value)} values for {count} inputs")
    return value[index]


def affixed(instruction: Instruction, name: str) -> str:
    """Return a result's name with the prefix and the suffix that the instruction has."""
    prefix, suffix = (
        instruction.arguments.get(f"Output{key}", "") for key in ("Prefix", "Suffix")
    )
    if instruction.name == "LabelIdenticalRows" and not (instruction.outputs or prefix or suffix):
        suffix = "_label"
    return f"{prefix}{name}{suffix}"


def densified(
    scope: Scope, name: str, variable: Variable | None, arguments: Arguments
) -> Variable | None:
    """Return a variable, or none; with samples if ``Dense`` asks for them."""
    if isinstance(variable, Sparse) and arguments.get("Dense"):
        return _sampled_events(scope, name, variable, None)
    return variable


def _sampled_events(scope: Scope, name: str, variable: Sparse, rate: float | None) -> Dense:
    values = numbers(name, variable)
    missing, dense = n_missing(variable), to_dense(variable, scope.clock, rate)
    if missing:
        scope.note(f"{counted(missing)} of {name!r} without a value left out")
    outside = n_outside(replace(variable, values=values), dense)
    if outside:
        scope.note(f"{counted(outside)} of {name!r} outside the samples left out")
    return dense


Handler = Callable[[Scope, str, str, str, Variable | None, Arguments], None]


def _numeric(
    scope: Scope, kind: str, name: str, out: str, variable: Variable | None, arguments: Arguments
) -> None:
    """Carry out an instruction that makes one variable of one."""
    if variable is None and kind == "Not":
        variable = scope.zero_events(name)
    missing = name if variable is None else _also_missing(scope, kind, name, arguments)
    if variable is None or missing is not None:
        scope.put_absent(out, scope.why_absent(missing or name))
        return
    scope.put(out, munge.respelt(_made(scope, kind, name, variable, arguments), name, out))


def _also_missing(scope: Scope, kind: str, name: str, arguments: Arguments) -> str | None:
    """Return the first of the further variables of an instruction that the run has not."""
    if "Query" in arguments:
        return munge.missing_in_query(scope, name, arguments)
    if kind == "Assign":
        target = str(arguments["Target"])
        return None if target in scope.before else target
    if kind == "Orthogonalize":
        return next((x for x in _others(scope, arguments) if _known(scope, x) is None), None)
    return None


def _made(
    scope: Scope, kind: str, name: str, variable: Variable, arguments: Arguments
) -> Variable:
    """Return the outcome of an instruction on a variable."""
    match kind:
        case "Assign":
            return munge.assigned(scope, name, variable, str(arguments["Target"]), arguments)
        case "DropNA":
            return munge.without_missing(name, variable)
        case "Filter":
            return munge.filtered(scope, name, variable, arguments)
        case "LabelIdenticalRows":
            return munge.labelled_rows(name, variable, arguments)
        case "MergeIdenticalRows":
            return munge.merged_rows(name, variable)
        case "Replace":
            return munge.replaced(name, variable, arguments)
        case "Orthogonalize":
            return _orthogonalized(scope, name, variable, arguments)
        case "ToDense" | "Resample":
            return _sampled(scope, kind, name, variable, arguments)
        case _:
            return _computed(scope, kind, name, variable, arguments)


def _computed(
    scope: Scope, kind: str, name: str, variable: Variable, arguments: Arguments
) -> Variable:
    values = numbers(name, variable)
    if kind in compute.OPERATORS:
        where = munge.holds(scope, name, variable, arguments) if "Query" in arguments else None
        return with_values([variable], compute.operate(kind, values, arguments, where))
    if kind == "Lag" and isinstance(variable, Sparse):
        raise TransformError(f"{name!r} has events, and Lag works on samples", "use ToDense first")
    return with_values([variable], compute.NUMERIC[kind](values, arguments))


def _others(scope: Scope, arguments: Arguments) -> list[str]:
    others = arguments["Other"]
    assert isinstance(others, tuple)
    return scope.expand(others)


def _known(scope: Scope, name: str) -> Variable | None:
    found = scope.before.get(name)
    return found if found is not None else scope.zero_events(name)


def _orthogonalized(scope: Scope, name: str, variable: Variable, arguments: Arguments) -> Variable:
    names = _others(scope, arguments)
    found = [densified(scope, other, _known(scope, other), arguments) for other in names]
    others = [item for item in found if item is not None]
    check_aligned([name, *names], [variable, *others])
    columns = [numbers(other, item) for other, item in zip(names, others, strict=True)]
    result = compute.orthogonalized(numbers(name, variable), columns)
    return with_values([variable, *others], result)


def _sampled(
    scope: Scope, kind: str, name: str, variable: Variable, arguments: Arguments
) -> Variable:
    given = arguments.get("SamplingRate", DEFAULT_SAMPLING_RATE)
    rate = float(given) if isinstance(given, (int, float)) else None
    if kind == "Resample":
        if isinstance(variable, Sparse):
            raise TransformError(f"{name!r} has events", "use ToDense first")
        return resample(variable, scope.clock, rate)
    if isinstance(variable, Dense):
        raise TransformError(f"{name!r} has samples already", "use Resample")
    return _sampled_events(scope, name, variable, rate)


def _moved(
    scope: Scope, kind: str, name: str, out: str, variable: Variable | None, arguments: Arguments
) -> None:
    """Carry out Copy or Rename; the derivatives of a renamed response follow it."""
    if variable is None:
        scope.put_absent(out, scope.why_absent(name), scope.zero_events(name))
        return
    if kind == "Rename" and out != name and scope.values.get(name) is scope.before[name]:
        scope.values.pop(name)
        scope.absent[name] = f"{name!r} was renamed to {out!r}"
        is_response = isinstance(variable, Dense) and variable.condition == name
        for other, item in scope.values.items():
            if is_response and isinstance(item, Dense) and item.condition == name:
                scope.values[other] = replace(item, condition=out)
    scope.put(out, munge.respelt(variable, name, out))


def _factored(
    scope: Scope, kind: str, name: str, out: str, variable: Variable | None, arguments: Arguments
) -> None:
    if variable is None:
        scope.absent[out] = scope.why_absent(name)
        scope.levels[out + str(arguments.get("Sep", "."))] = Levels(variable=out)
    else:
        munge.factor(scope, name, out, variable, arguments)


def _parted(
    scope: Scope, kind: str, name: str, out: str, variable: Variable | None, arguments: Arguments
) -> None:
    if variable is not None:
        munge.split(scope, name, out, variable, arguments)
        return
    by = arguments["By"]
    assert isinstance(by, tuple)
    first = f"{out}.{by[0]}"
    scope.put_absent(first, scope.why_absent(name))
    scope.levels[f"{first}["] = Levels(variable=first)


def _convolved(
    scope: Scope, kind: str, name: str, out: str, variable: Variable | None, arguments: Arguments
) -> None:
    """Carry out Convolve; the responses take the place of what they are the responses to."""
    try:
        model = convolution_name(arguments, scope.hrf_model)
        suffixes = basis_labels(model, scope.clock.repetition_time)
    except ValueError as error:
        raise TransformError(str(error)) from None
    reason = scope.why_absent(name) if variable is None else _why_flat(name, variable)
    if variable is None or reason is not None:
        for suffix in suffixes:
            scope.put_absent(out + suffix, reason or "")
        return
    missing = n_missing(variable)
    if missing:
        what = counted(missing, "event" if isinstance(variable, Sparse) else "sample")
        scope.note(f"{what} of {name!r} without a value left out")
    responses = convolve(out, variable, scope.clock, model)
    if out == name and name not in responses:
        scope.values.pop(name)
        scope.absent[name] = f"{name!r} became {', '.join(responses)}"
    for key, response in responses.items():
        scope.put(key, response)


def _why_flat(name: str, variable: Variable) -> str | None:
    """Return why a variable has no response in this run; None where it has one."""
    numbers(name, variable)
    if has_response(variable):
        return None
    if not variable.values.size:
        return f"{name!r} has no event in this run"
    return f"{name!r} is 0 throughout this run"


_EACH: Mapping[str, Handler] = {
    "Convolve": _convolved,
    "Copy": _moved,
    "Factor": _factored,
    "Rename": _moved,
    "Split": _parted,
}
