"""Responses of variables, on exact frame times."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bids_fx.glm.design import Condition, respond
from bids_fx.glm.hrf import basis_labels
from bids_fx.glm.names import hrf_name, normalise_hrf_name
from bids_fx.transforms.records import (
    Clock,
    Dense,
    Sparse,
    TransformError,
    Variable,
)


def convolution_name(arguments: Mapping[str, object], default: str) -> str:
    """Return the name of the haemodynamic model that the arguments of `Convolve` mean.

    Parameters
    ----------
    arguments : mapping of str to object
        ``Model``, ``Derivative``, ``Dispersion``, ``FIRDelays`` and ``Parameters``, checked by
        type; each may be missing. ``Derivative`` false takes nothing from a model that names it.
    default : str
        The model where there is no ``Model``.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> convolution_name({"Model": "SPM", "Derivative": True}, default="glover")
    'spm + derivative'
    >>> convolution_name({"Model": "fir", "FIRDelays": (0, 2)}, default="glover")
    'fir:0,2'
    """
    model, delays, parameters = (
        arguments.get(key) for key in ("Model", "FIRDelays", "Parameters")
    )
    name = str(default if model is None else model)
    given = dict(parameters) if isinstance(parameters, Mapping) else {}
    is_fir = "".join(name.casefold().split()).partition(":")[0] == "fir"
    if isinstance(delays, tuple):
        if not is_fir or model is None:
            raise ValueError("'FIRDelays' is of no use without the 'Model' fir")
        given["FIRDelays"] = list(delays)
    extras = [key for key in ("Derivative", "Dispersion") if arguments.get(key)]
    if extras and is_fir:
        raise ValueError(f"{extras[0]!r} is of no use with a FIR model")
    if extras == ["Dispersion"] and "derivative" not in name.casefold():
        raise ValueError("'Dispersion' needs 'Derivative'")
    for extra in extras:
        if extra.casefold() not in name.casefold():
            name = f"{name} + {extra.casefold()}"
    found = hrf_name(name, given)
    basis_labels(found, 1.0)  # refuses parameters that make no response
    return found


def n_missing(variable: Variable) -> int:
    """Return how many events or samples have no value, and so no response."""
    if isinstance(variable, Sparse) and variable.is_text:
        return sum(value is None for value in variable.values)
    return int(np.count_nonzero(~np.isfinite(variable.values)))


def has_response(variable: Variable) -> bool:
    """Return whether some event or sample of numbers is not 0."""
    values = variable.values.astype(np.float64)
    return bool((np.isfinite(values) & (values != 0)).any())


def convolve(name: str, variable: Variable, clock: Clock, hrf_model: str) -> dict[str, Dense]:
    """Return the response to a variable, one value per volume.

    Parameters
    ----------
    name : str
        Of the condition that it becomes.
    variable : Sparse or Dense
        Numbers. Events and samples without a value are left out (`n_missing`); a sample is an
        event as long as the sampling interval, so that the response is that of a step function.
    clock : Clock
        Of the run.
    hrf_model : str
        As `bids_fx.glm.names.normalise_hrf_name` takes it; FIR delays are in scans.

    Returns
    -------
    dict of str to Dense
        By the name with what `bids_fx.glm.hrf.basis_labels` puts behind it: ``face``,
        ``face_derivative``, ``face_delay_0``. Those of unmodified events are the columns that
        `bids_fx.glm.design.make_design` gives to the condition of the same events, bit for bit.

    Raises
    ------
    TransformError
        If the values are texts, or there is no event (`has_response` tells beforehand).
    ValueError
        If there is no such model.
    """
    if isinstance(variable, Sparse) and variable.is_text:
        raise TransformError(f"{name!r} holds texts", "take them apart by Factor first")
    events = _events(variable)
    if not events.values.size:
        raise TransformError(f"{name!r} has no event that is not 0")
    response = respond(
        Condition(
            name=name,
            onsets=events.onsets,
            durations=events.durations,
            amplitudes=events.values,
        ),
        clock.frame_times,
        hrf_model,
        clock.repetition_time,
    )
    hrf_model = normalise_hrf_name(hrf_model)
    is_nuisance = isinstance(variable, Dense) and variable.is_nuisance
    return {
        column.name: Dense(
            values=np.ascontiguousarray(response.matrix[:, index]),
            start=clock.slice_time,
            step=clock.repetition_time,
            is_nuisance=is_nuisance,
            condition=name,
            basis=index,
            hrf_model=hrf_model,
            events=events if isinstance(variable, Sparse) else None,
        )
        for index, column in enumerate(response.columns)
    }


def _events(variable: Variable) -> Sparse:
    """Return the events that have a response: those of value 0 change no bit of it."""
    values = variable.values.astype(np.float64)
    kept = np.isfinite(values) & (values != 0)
    if isinstance(variable, Sparse):
        onsets, durations = variable.onsets, variable.durations
    else:
        onsets = variable.start + variable.step * np.arange(values.size, dtype=np.float64)
        durations = np.full(values.size, variable.step)
    return Sparse(onsets=onsets[kept], durations=durations[kept], values=values[kept])
