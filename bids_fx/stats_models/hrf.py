"""The haemodynamic response function of a model, as it stands in the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bids_fx.glm.names import DERIVATIVE_ENDINGS, delay_ending, fir_delays, hrf_name
from bids_fx.stats_models.findings import Place, kind_of, read_object, texts_of
from bids_fx.stats_models.names import overlap
from bids_fx.stats_models.records import ModelHRF
from bids_fx.suggest import did_you_mean, listed
from bids_fx.transforms.records import Instruction

_KEYS = ("Variables", "Model", "Parameters")
#: What stands behind a variable's name in the names of its further columns, as shell patterns.
_ENDINGS = (*DERIVATIVE_ENDINGS, delay_ending("*"))


def nameable(
    x: tuple[str, ...] | None, hrf: ModelHRF | None, instructions: Iterable[Instruction] = ()
) -> tuple[str, ...] | None:
    """Return what contrasts may name: X, and the columns that it brings beside those it names.

    ``HRF`` makes them beside its variables; a name in X that FIR delays were made of by
    ``Convolve`` means them all.
    """
    if x is None:
        return x
    by_hrf = [name + ending for name in (hrf.variables if hrf else ()) for ending in _ENDINGS]
    models = [str(i.arguments.get("Model")) for i in instructions if i.name == "Convolve"]
    has_delays = any(model.casefold().startswith("fir") for model in models)
    return (*x, *by_hrf, *(name + delay_ending("*") for name in x if has_delays))


def read_hrf(raw: object, place: Place, x: tuple[str, ...] | None) -> ModelHRF | None:
    """Return what ``Model.HRF`` says, or None where it says nothing.

    Parameters
    ----------
    raw : object
        Plain JSON; None where there is none.
    place : Place
        The node.
    x : tuple of str or None
        Names in X; None where they cannot be read.
    """
    if raw is None or raw == {}:
        return None
    place = place.at("HRF")
    values = read_object(raw, place, _KEYS)
    missing = [key for key in ("Variables", "Model") if key not in values]
    if missing:
        if isinstance(raw, dict):
            place.fault(
                f"{' and '.join(missing)} not there",
                "name the variables that are convolved, and the model, such as spm",
            )
        return None
    variables = texts_of(values["Variables"], place.at("Variables"))
    for name in variables if x is not None else ():
        if not any(overlap(name, other) for other in x or ()):
            question = did_you_mean(name, x or ())
            found = f"'{name}' is not in X" + (f" ({question})" if question else "")
            place.at("Variables").fault(found, f"name what X has: {listed(x or ())}")
    hrf_model = _named_model(values["Model"], values.get("Parameters", {}), place)
    if hrf_model is None or not variables:
        return None
    return ModelHRF(variables=variables, hrf_model=hrf_model)


def _named_model(value: object, parameters: object, place: Place) -> str | None:
    """Return the name of an HRF with its parameters, or None where there is no such HRF.

    FIR delays that count from 0 on have the short name, ``fir:N``.
    """
    if not isinstance(value, str):
        place.at("Model").fault(f"it is {kind_of(value)}", "name the model, such as spm")
        return None
    if not isinstance(parameters, dict):
        place.at("Parameters").fault(f"it is {kind_of(parameters)}", "write an object")
        return None
    try:
        name = hrf_name(value, parameters)
    except ValueError as error:
        found, _, remedy = str(error).partition("; ")
        place.fault(found, remedy or "name a known model, such as spm")
        return None
    delays = fir_delays(name)
    return name if delays is None or delays != (*range(len(delays)),) else f"fir:{len(delays)}"


def convolved_twice(hrf: ModelHRF, instructions: Sequence[Instruction]) -> str | None:
    """Return a variable that both the HRF and an instruction convolve, or None.

    Parameters
    ----------
    hrf : ModelHRF
        What ``Model.HRF`` says.
    instructions : sequence of Instruction
        The node's transformations.
    """
    groups = {
        name: item.inputs for item in instructions if item.name == "Group" for name in item.outputs
    }
    for name in hrf.variables:
        for item in instructions:
            if item.name == "Convolve" and any(
                overlap(name, other) for other in _results(item, groups)
            ):
                return name
    return None


def _results(convolve: Instruction, groups: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the names that an instruction gives to what it has convolved."""
    if convolve.outputs:
        return list(convolve.outputs)
    return [member for name in convolve.inputs for member in groups.get(name, (name,))]
