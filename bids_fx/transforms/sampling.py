"""Regular samples: of events, of other samples, and at the frame times.

A dense variable is a step function: sample k holds from ``start + k * step`` on, for ``step``
seconds. That is how it is convolved, made of events, resampled and read at the frame times.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bids_fx.transforms.records import Clock, Dense, FloatArray, Sparse, TransformError

#: A time this near to a sample's edge is on it, in samples: times are decimal numbers, whose sums
#: are off by rounding.
_EDGE = 1e-6
#: Most samples of a variable: 80 MB.
_MOST = 10_000_000
#: Samples a second that `ToDense` and `Resample` make where they say nothing, as in pybids.
DEFAULT_SAMPLING_RATE = 10.0


def is_per_scan(variable: Dense, clock: Clock) -> bool:
    """Return whether a variable has one value per volume, at the frame times."""
    return (
        variable.values.size == clock.n_scans
        and math.isclose(variable.step, clock.repetition_time, rel_tol=1e-9)
        and abs(variable.start - clock.slice_time) <= _EDGE * clock.repetition_time
    )


def sample(variable: Dense, clock: Clock) -> FloatArray:
    """Return a variable's values at the frame times.

    Parameters
    ----------
    variable : Dense
        At any rate.
    clock : Clock
        Of the run.

    Returns
    -------
    ndarray of shape (n_scans,)
        The values as they are, if there is one per volume; else the value that holds at each frame
        time, NaN where none does. Nothing is interpolated: a block that begins with a volume is
        1 in that volume, where a mean of neighbouring samples would be 1/2. Nor is the mean of a
        scan taken, which is what `resample` at the repetition time is for: a mean here would
        leave a model no way to have what holds at the moment that slices were corrected to, and
        make of an instant event a height that depends on the rate. What falls between the frame
        times is therefore lost (`is_unseen`).
    """
    if is_per_scan(variable, clock):
        return variable.values
    places = np.floor((clock.frame_times - variable.start) / variable.step + _EDGE)
    inside = (places >= 0) & (places < variable.values.size)
    indices = np.where(inside, places, 0).astype(np.intp)
    if not variable.values.size:
        return np.full(clock.n_scans, np.nan)
    return np.where(inside, variable.values[indices], np.nan)


def is_unseen(variable: Dense, clock: Clock) -> bool:
    """Return whether a variable has values other than 0, and none of them at a frame time.

    Parameters
    ----------
    variable : Dense
        At any rate; NaN counts as 0.
    clock : Clock
        Of the run.

    Examples
    --------
    >>> clock = Clock(n_scans=2, repetition_time=2.0)
    >>> is_unseen(Dense(values=np.array([0.0, 1.0, 0.0, 0.0]), start=0.0, step=1.0), clock)
    True
    """
    return _any_felt(variable.values) and not _any_felt(sample(variable, clock))


def to_dense(variable: Sparse, clock: Clock, sampling_rate: float | None = None) -> Dense:
    """Return events as regular samples.

    Parameters
    ----------
    variable : Sparse
        Numbers; events without a value are left out.
    clock : Clock
        Of the run.
    sampling_rate : float or None
        Samples per second, from the first volume's onset to the end of the last volume; None
        means one per volume, from the first frame time on.

    Returns
    -------
    Dense
        The sum over the events of their value times the share of the sample's time that they
        cover. An event of duration 0 gives its whole value to the one sample that holds it. What
        lies before the first sample or after the last is left out (`n_outside`).

    Raises
    ------
    TransformError
        If the values are texts, or the rate gives no sample or more than can be held.
    """
    if variable.is_text:
        raise TransformError("its values are texts", "take them apart by Factor first")
    grid = _grid(clock, sampling_rate)
    kept = np.isfinite(variable.values.astype(np.float64))
    onsets, durations, values = (
        np.asarray(array[kept], dtype=np.float64)
        for array in (variable.onsets, variable.durations, variable.values)
    )
    # in samples, where near to an edge on it
    starts, ends = (
        _snapped((times - grid.start) / grid.step) for times in (onsets, onsets + durations)
    )
    result = np.zeros(grid.values.size)
    for start, end, value in zip(starts, ends, values, strict=True):
        first, last = max(math.floor(start), 0), min(math.ceil(end), result.size)
        if start == end:
            if 0 <= start < result.size:
                result[math.floor(start)] += value
            continue
        if first < last:
            edges = np.clip(np.arange(first, last + 1, dtype=np.float64), start, end)
            result[first:last] += value * np.diff(edges)
    return Dense(values=result, start=grid.start, step=grid.step)


def n_outside(variable: Sparse, dense: Dense) -> int:
    """Return how many events with a value other than 0 no sample of `dense` sees."""
    end = dense.start + dense.step * dense.values.size
    edge = _EDGE * dense.step
    instant = variable.durations == 0
    before = np.where(
        instant,
        variable.onsets < dense.start - edge,
        variable.onsets + variable.durations <= dense.start + edge,
    )
    outside = before | (variable.onsets >= end - edge)
    values = variable.values.astype(np.float64)
    return int(np.count_nonzero(outside & np.isfinite(values) & (values != 0)))


def resample(variable: Dense, clock: Clock, sampling_rate: float | None) -> Dense:
    """Return a variable at another rate.

    Parameters
    ----------
    variable : Dense
        At any rate.
    clock : Clock
        Of the run.
    sampling_rate : float or None
        Samples per second, from the variable's start on; None means one per volume, from the
        first frame time on.

    Returns
    -------
    Dense
        Each sample is the mean of the old ones over its time, missing ones left out; NaN where
        there is none. A mean neither rings nor aliases as the low-pass filter does that pybids
        applies, and keeps the area. Unchanged where the samples are the same.

    Raises
    ------
    TransformError
        If the rate gives no sample or more than can be held.
    """
    if sampling_rate is None:
        start, step, n = clock.slice_time, clock.repetition_time, clock.n_scans
    else:
        start, step = variable.start, 1 / sampling_rate
        n = _n_samples(variable.values.size * variable.step * sampling_rate, sampling_rate)
    is_same = n == variable.values.size and math.isclose(step, variable.step, rel_tol=1e-9)
    if is_same and abs(start - variable.start) <= _EDGE * step:
        return variable
    new = np.arange(n + 1, dtype=np.float64)
    edges = _snapped((start + step * new - variable.start) / variable.step)
    known = np.isfinite(variable.values)
    old = np.arange(variable.values.size + 1, dtype=np.float64)
    sums, counts = (
        np.diff(np.interp(edges, old, np.concatenate([[0.0], np.cumsum(array)])))
        for array in (np.where(known, variable.values, 0.0), known.astype(np.float64))
    )
    seen = counts > _EDGE
    means = np.divide(sums, counts, out=np.full(n, np.nan), where=seen)
    return Dense(values=means, start=start, step=step, is_nuisance=variable.is_nuisance)


def _any_felt(values: FloatArray) -> bool:
    return bool((np.isfinite(values) & (values != 0)).any())


def _grid(clock: Clock, sampling_rate: float | None) -> Dense:
    if sampling_rate is None:
        zeros = np.zeros(clock.n_scans)
        return Dense(values=zeros, start=clock.slice_time, step=clock.repetition_time)
    length = clock.n_scans * clock.repetition_time * sampling_rate
    n = _n_samples(length, sampling_rate)
    return Dense(values=np.zeros(n), start=0.0, step=1 / sampling_rate)


def _n_samples(length: float, sampling_rate: float) -> int:
    """Return how many samples hold a length in samples, unless they are none or too many."""
    if not _EDGE < length <= _MOST:
        raise TransformError(
            f"a 'SamplingRate' of {sampling_rate:g} would make {length:g} samples",
            f"give one that makes from 1 to {_MOST} of them",
        )
    return math.ceil(length - _EDGE)


def _snapped(places: npt.NDArray[np.float64]) -> FloatArray:
    """Return places in samples, whole ones where they are very near to one."""
    whole = np.round(places)
    return np.where(np.abs(places - whole) <= _EDGE, whole, places)
