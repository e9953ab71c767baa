"""Haemodynamic responses, convolved with events in closed form.

No time grid is involved: kernels are differences of gamma densities (or boxes), whose integrals
are incomplete gamma functions, so that a response is exact at any frame time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaln, xlogy

from bids_fx.glm.names import (
    HRF_MODELS,
    delay_ending,
    double_gamma_parameters,
    fir_delays,
    normalise_hrf_name,
)

__all__ = ["HRF_MODELS", "basis_labels", "convolve_events", "normalise_hrf_name"]

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

#: Kernels end here (spm_hrf.m and nilearn's ``time_length``), in seconds.
KERNEL_LENGTH_S = 32.0
#: Steps of the finite differences that stand for derivatives, nilearn's: of the onset and of the
#: peak's dispersion, both in seconds (SPM's steps are 1 s and 0.01 s).
ONSET_STEP_S = 0.1
DISPERSION_STEP = 0.01
#: Window of a FIR model without a number of delays: an event's response has ended by then.
FIR_WINDOW_S = 20.0
#: A lag this near to a kernel's edge is on it: onsets and frame times are decimal numbers, whose
#: sums are off by rounding, and a box has jumps there.
EDGE_S = 1e-6
#: Event-frame pairs that are evaluated at a time; bounds the memory to some 100 MB.
PAIRS_PER_CHUNK = 1 << 20


class Kernel(Protocol):
    """The response to an impulse, and to a step."""

    @property
    def support(self) -> tuple[float, float]:
        """First and last lag in seconds at which the kernel may differ from 0."""

    def density(self, lag: FloatArray) -> FloatArray:
        """Return the response to an impulse of area 1 s, `lag` seconds later."""

    def integral(self, lag: FloatArray) -> FloatArray:
        """Return the response to a step of height 1, `lag` seconds after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaDifference:
    r"""A gamma density (peak) minus a fraction of another (undershoot), of unit integral.

    Parameters
    ----------
    delay, undershoot : float
        Means of the two gamma densities in seconds.
    dispersion, undershoot_dispersion : float
        Their scales in seconds; the shapes are the means over the scales.
    ratio : float
        Weight of the undershoot.
    onset : float
        Lag at which the response starts, in seconds.

    Notes
    -----
    With :math:`f(s) = g(s; d/w, w) - r g(s; u/w_u, w_u)` the kernel is
    :math:`h(t) = f(t - o) / F(L - o)` for :math:`o \le t \le L`, else 0; :math:`L` is
    `KERNEL_LENGTH_S` and :math:`F` the integral of :math:`f`. Unit integral over the time that is
    kept is what nilearn's ``hrf /= hrf.sum()`` and spm_hrf.m do.
    """

    delay: float
    undershoot: float
    dispersion: float
    undershoot_dispersion: float
    ratio: float
    onset: float = 0.0

    @property
    def support(self) -> tuple[float, float]:
        """First and last lag in seconds at which the kernel may differ from 0."""
        return self.onset, KERNEL_LENGTH_S

    def density(self, lag: FloatArray) -> FloatArray:
        """Return the response to an impulse of area 1 s, in 1/s."""
        time = np.maximum(lag - self.onset, 0.0)
        values = _gamma_density(time, self.delay, self.dispersion) - self.ratio * _gamma_density(
            time, self.undershoot, self.undershoot_dispersion
        )
        return np.where(lag <= KERNEL_LENGTH_S + EDGE_S, values, 0.0) / self.area

    def integral(self, lag: FloatArray) -> FloatArray:
        """Return the response to a step of height 1, without unit."""
        return self._unscaled_integral(np.minimum(lag, KERNEL_LENGTH_S)) / self.area

    @property
    def area(self) -> FloatArray:
        """The integral over the time that is kept, of the densities before they are scaled."""
        return self._unscaled_integral(np.asarray(KERNEL_LENGTH_S))

    def _unscaled_integral(self, lag: FloatArray) -> FloatArray:
        time = np.maximum(lag - self.onset, 0.0)
        peak = gammainc(self.delay / self.dispersion, time / self.dispersion)
        under = gammainc(
            self.undershoot / self.undershoot_dispersion, time / self.undershoot_dispersion
        )
        return np.asarray(peak - self.ratio * under, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box of unit integral.

    Parameters
    ----------
    start, width : float
        In seconds; ``width > 0``. The start belongs to the box, its end does not.
    """

    start: float
    width: float

    @property
    def support(self) -> tuple[float, float]:
        """First and last lag in seconds at which the kernel may differ from 0."""
        return self.start, self.start + self.width

    def density(self, lag: FloatArray) -> FloatArray:
        """Return the response to an impulse of area 1 s, in 1/s."""
        time = lag - self.start + EDGE_S
        return np.where((time >= 0) & (time < self.width), 1 / self.width, 0.0)

    def integral(self, lag: FloatArray) -> FloatArray:
        """Return the response to a step of height 1, without unit."""
        return np.clip((lag - self.start) / self.width, 0.0, 1.0)


#: A basis function: a sum of weighted kernels.
Basis = tuple[tuple[float, Kernel], ...]

#: Friston et al. (1998), as in spm_hrf.m: p = [6 16 1 1 6 0 32].
_SPM = GammaDifference(
    delay=6.0, undershoot=16.0, dispersion=1.0, undershoot_dispersion=1.0, ratio=1 / 6
)
#: Glover (1999), with nilearn's values.
_GLOVER = GammaDifference(
    delay=6.0, undershoot=12.0, dispersion=0.9, undershoot_dispersion=0.9, ratio=0.48
)
_CANONICAL = {"spm": _SPM, "glover": _GLOVER}
#: A double gamma of less area than this share of its peak's is scaled up out of noise.
SMALLEST_AREA = 0.05


def basis_labels(hrf_model: str, repetition_time: float) -> tuple[str, ...]:
    """Return what is put behind a condition's name for each of its columns.

    Parameters
    ----------
    hrf_model : str
        As `normalise_hrf_name` takes it.
    repetition_time : float
        Seconds between volumes; > 0.

    Returns
    -------
    tuple of str
        In nilearn's spelling; empty text for the canonical column.

    Raises
    ------
    ValueError
        If there is no such model.

    Examples
    --------
    >>> basis_labels("spm + derivative", 2.0), basis_labels("fir:2", 2.0)
    (('', '_derivative'), ('_delay_0', '_delay_1'))
    """
    return tuple(label for label, _ in _basis_functions(hrf_model, repetition_time))


def convolve_events(
    onsets: FloatArray,
    durations: FloatArray,
    amplitudes: FloatArray,
    *,
    frame_times: FloatArray,
    hrf_model: str,
    repetition_time: float,
) -> FloatArray:
    """Return the response to events at the frame times, for each basis function.

    Parameters
    ----------
    onsets, durations, amplitudes : ndarray of shape (n_events,)
        Onsets and durations (>= 0) in seconds; heights. All finite, in any order.
    frame_times : ndarray of shape (n_scans,)
        Strictly increasing, in seconds.
    hrf_model : str
        As `normalise_hrf_name` takes it.
    repetition_time : float
        Seconds between volumes; > 0. Only FIR models depend on it.

    Returns
    -------
    ndarray of shape (n_scans, n_basis)
        Not orthogonalised. Does not depend on the order of the events by a single bit.

    Raises
    ------
    ValueError
        If there is no such model, or the events are not as stated.

    Notes
    -----
    An event of duration :math:`D > 0` and height :math:`a` at :math:`o` responds with
    :math:`a (H(t - o) - H(t - o - D))`, :math:`H` being the kernel's integral: a sustained event
    tends to :math:`a`. An event of duration 0 has the area :math:`a` times 1 s, that is the
    response :math:`a h(t - o)`, whatever the repetition time (SPM's convention; nilearn's area is
    a fiftieth of the repetition time). Events add up, also where they are equal or overlap.

    FIR columns are the response to a box of unit integral from ``delay * TR`` to
    ``(delay + 1) * TR`` after the event: of an event of duration 0 it is 1/TR in the one scan
    whose frame time lies in that window, the start included. A delay is a time since the event
    and never negative; nilearn's FIR columns stand almost one repetition time earlier.
    """
    _check_events(onsets, durations, amplitudes)
    order = np.lexsort((amplitudes, durations, onsets))
    events = np.stack([onsets, durations, amplitudes])[:, order].astype(np.float64)
    instant = events[1] == 0
    bases = _basis_functions(hrf_model, repetition_time)
    columns = [
        _respond(events[:, instant], frame_times, basis)
        + _respond(events[:, ~instant], frame_times, basis)
        for _, basis in bases
    ]
    return np.stack(columns, axis=1)


def _gamma_density(time: FloatArray, mean: float, scale: float) -> FloatArray:
    shape, scaled = mean / scale, time / scale
    return np.asarray(np.exp(xlogy(shape - 1, scaled) - scaled - gammaln(shape)) / scale)


def _check_events(onsets: FloatArray, durations: FloatArray, amplitudes: FloatArray) -> None:
    if not (onsets.ndim == 1 and onsets.shape == durations.shape == amplitudes.shape):
        raise ValueError(
            "onsets, durations and amplitudes must be vectors of one length, found shapes "
            f"{onsets.shape}, {durations.shape} and {amplitudes.shape}"
        )
    if not all(np.isfinite(values).all() for values in (onsets, durations, amplitudes)):
        raise ValueError("onsets, durations and amplitudes must be finite")
    if (durations < 0).any():
        raise ValueError(f"durations must not be negative, found {durations.min()}")


def _basis_functions(hrf_model: str, repetition_time: float) -> tuple[tuple[str, Basis], ...]:
    """Return the suffix and the kernels of each column of a condition."""
    if not (math.isfinite(repetition_time) and repetition_time > 0):
        raise ValueError(f"the repetition time must be > 0, found {repetition_time}")
    name = normalise_hrf_name(hrf_model)
    family, *extras = name.split(" + ")
    if family.startswith("fir"):
        return tuple(
            (delay_ending(i), ((1.0, Box(start=i * repetition_time, width=repetition_time)),))
            for i in _delays(name, repetition_time)
        )
    canonical = _CANONICAL[family] if family in _CANONICAL else _double_gamma(family)
    later = replace(canonical, onset=ONSET_STEP_S)
    wider = replace(canonical, dispersion=canonical.dispersion + DISPERSION_STEP)
    everything: dict[str, Basis] = {
        "": ((1.0, canonical),),
        "_derivative": ((1 / ONSET_STEP_S, canonical), (-1 / ONSET_STEP_S, later)),
        "_dispersion": ((1 / DISPERSION_STEP, canonical), (-1 / DISPERSION_STEP, wider)),
    }
    return tuple((label, everything[label]) for label in ("", *(f"_{extra}" for extra in extras)))


def _double_gamma(name: str) -> GammaDifference:
    delay, undershoot, dispersion, undershoot_dispersion, ratio = double_gamma_parameters(name)
    kernel = GammaDifference(
        delay=delay,
        undershoot=undershoot,
        dispersion=dispersion,
        undershoot_dispersion=undershoot_dispersion,
        ratio=1 / ratio,
    )
    if kernel.area < SMALLEST_AREA:
        raise ValueError(
            f"the HRF model {name!r} has hardly any area within {KERNEL_LENGTH_S:g} s; "
            "choose shorter delays or a larger ratio"
        )
    return kernel


def _delays(name: str, repetition_time: float) -> Sequence[int]:
    """Return the FIR delays; the small number undoes rounding of the quotient."""
    listed = fir_delays(name)
    if listed is not None:
        return listed
    return range(math.ceil(FIR_WINDOW_S / repetition_time - 1e-9) + 1)


def _respond(events: FloatArray, frame_times: FloatArray, basis: Basis) -> FloatArray:
    """Return the summed response to events that are all of duration 0, or all longer."""
    response = np.zeros(frame_times.size)
    for factor, kernel in basis:
        for event, frame in _event_frame_pairs(events, frame_times, kernel.support):
            onset, duration, amplitude = events[:, event]
            lag = frame_times[frame] - onset
            if duration.any():
                values = kernel.integral(lag) - kernel.integral(lag - duration)
            else:
                values = kernel.density(lag)
            response += factor * np.bincount(frame, amplitude * values, frame_times.size)
    return response


def _event_frame_pairs(
    events: FloatArray, frame_times: FloatArray, support: tuple[float, float]
) -> Iterator[tuple[IndexArray, IndexArray]]:
    """Yield indices of events and of the frames in their windows, in chunks of bounded size."""
    onsets, durations, _ = events
    first = np.searchsorted(frame_times, onsets + support[0] - EDGE_S, side="left")
    last = np.searchsorted(frame_times, onsets + durations + support[1] + EDGE_S, side="right")
    counts = last - first
    ends = np.cumsum(counts)
    total = int(ends[-1]) if ends.size else 0
    cuts = np.searchsorted(ends, np.arange(PAIRS_PER_CHUNK, total, PAIRS_PER_CHUNK), side="left")
    for chunk in np.split(np.arange(onsets.size), cuts):
        event = np.repeat(chunk, counts[chunk])
        if event.size:
            starts = ends[chunk] - counts[chunk] - (ends[chunk[0]] - counts[chunk[0]])
            step = np.arange(event.size) - np.repeat(starts, counts[chunk])
            yield event, first[event] + step
