"""Responses to events, against formulas that know nothing of the module."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate, stats

from bids_fx.glm import hrf
from bids_fx.glm.hrf import basis_labels, convolve_events

FloatArray = npt.NDArray[np.float64]

#: Both sides are closed forms or adaptive quadrature in float64.
CLOSED_FORM = 1e-10

FAMILIES = {
    "spm": {"delay": 6.0, "under": 16.0, "width": 1.0, "under_width": 1.0, "ratio": 1 / 6},
    "glover": {"delay": 6.0, "under": 12.0, "width": 0.9, "under_width": 0.9, "ratio": 0.48},
}


def unscaled(time: Any, *, delay: float, under: float, width: float, **rest: float) -> Any:
    """Return the difference of gamma densities by mean and scale."""
    peak = stats.gamma.pdf(time, delay / width, scale=width)
    scale = rest["under_width"]
    return peak - rest["ratio"] * stats.gamma.pdf(time, under / scale, scale=scale)


def kernel(time: Any, family: str, *, onset: float = 0.0, wider: float = 0.0) -> Any:
    """Return the kernel: unit integral from its onset to 32 s, zero outside."""
    shape = {**FAMILIES[family], "width": FAMILIES[family]["width"] + wider}
    area = integrate.quad(lambda s: unscaled(s, **shape), 0, 32 - onset, epsabs=1e-13)[0]
    time = np.asarray(time, dtype=np.float64)
    inside = (time >= onset) & (time <= 32)
    return np.where(inside, unscaled(np.maximum(time - onset, 0), **shape), 0.0) / area


def respond(
    events: list[tuple[float, float, float]],
    frame_times: FloatArray,
    *,
    model: str = "spm",
    tr: float = 2.0,
) -> FloatArray:
    """Return the response to (onset, duration, amplitude) triples."""
    onsets, durations, amplitudes = np.array(events, dtype=np.float64).reshape(-1, 3).T
    return convolve_events(
        onsets,
        durations,
        amplitudes,
        frame_times=frame_times,
        hrf_model=model,
        repetition_time=tr,
    )


@pytest.fixture
def frames() -> FloatArray:
    """Return frame times that hit no onset, over 80 s."""
    return np.arange(57) * 1.37 + 0.613


@pytest.mark.parametrize("family", FAMILIES)
def test_impulse_response_is_the_kernel(family: str, frames: FloatArray) -> None:
    response = respond([(10.25, 0.0, 1.0)], frames, model=family)
    np.testing.assert_allclose(
        response[:, 0], kernel(frames - 10.25, family), rtol=0, atol=CLOSED_FORM
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("duration", [0.3, 4.0, 50.0])
def test_sustained_response_is_the_integrated_kernel(
    family: str, duration: float, frames: FloatArray
) -> None:
    response = respond([(5.1, duration, 1.0)], frames, model=family)
    stop = np.clip(frames - 5.1, 0, 32)
    start = np.clip(frames - 5.1 - duration, 0, 32)
    nodes, weights = np.polynomial.legendre.leggauss(100)
    times = (start + stop) / 2 + np.outer(nodes, stop - start) / 2
    expected = weights @ kernel(times, family) * (stop - start) / 2
    np.testing.assert_allclose(response[:, 0], expected, rtol=0, atol=CLOSED_FORM)


@pytest.mark.parametrize("family", FAMILIES)
def test_kernel_integrates_to_one_and_derivatives_to_zero(family: str) -> None:
    model = f"{family} + derivative + dispersion"
    long_after = respond([(0.0, 100.0, 1.0)], np.array([60.0]), model=model)
    np.testing.assert_allclose(long_after, [[1.0, 0.0, 0.0]], rtol=0, atol=CLOSED_FORM)


@pytest.mark.parametrize("family", FAMILIES)
def test_sum_over_a_fine_grid_gives_the_same_integrals(family: str) -> None:
    step = 0.005
    grid = np.arange(step / 2, 33, step)
    model = f"{family} + derivative + dispersion"
    area = respond([(0.0, 0.0, 1.0)], grid, model=model).sum(axis=0) * step
    # the kernel is cut at 32 s, where the grid leaves half a step
    np.testing.assert_allclose(area, [1.0, 0.0, 0.0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_time_derivative_is_the_difference_over_a_tenth_of_a_second(
    family: str, frames: FloatArray
) -> None:
    response = respond([(3.3, 0.0, 1.0)], frames, model=f"{family} + derivative")
    lags = frames - 3.3
    expected = (kernel(lags, family) - kernel(lags, family, onset=0.1)) / 0.1
    np.testing.assert_allclose(response[:, 1], expected, rtol=0, atol=10 * CLOSED_FORM)


@pytest.mark.parametrize("family", FAMILIES)
def test_dispersion_derivative_is_the_difference_over_a_hundredth(
    family: str, frames: FloatArray
) -> None:
    response = respond([(3.3, 0.0, 1.0)], frames, model=f"{family} + derivative + dispersion")
    lags = frames - 3.3
    expected = (kernel(lags, family) - kernel(lags, family, wider=0.01)) / 0.01
    np.testing.assert_allclose(response[:, 2], expected, rtol=0, atol=100 * CLOSED_FORM)


def test_time_derivative_is_positive_before_the_peak_and_negative_after() -> None:
    response = respond([(0.0, 0.0, 1.0)], np.array([3.0, 8.0]), model="spm + derivative")
    assert response[0, 1] > 0 > response[1, 1]


@pytest.mark.parametrize("model", ["spm", "glover + derivative"])
def test_area_of_an_impulse_does_not_depend_on_the_repetition_time(
    model: str, frames: FloatArray
) -> None:
    fast = respond([(2.0, 0.0, 1.0)], frames, model=model, tr=0.5)
    slow = respond([(2.0, 0.0, 1.0)], frames, model=model, tr=3.0)
    np.testing.assert_array_equal(fast, slow)


def test_short_event_tends_to_an_impulse_of_its_area(frames: FloatArray) -> None:
    short = respond([(7.0, 1e-4, 1.0)], frames)
    impulse = respond([(7.0 + 0.5e-4, 0.0, 1.0)], frames)
    np.testing.assert_allclose(short / 1e-4, impulse, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", ["spm + derivative + dispersion", "fir:5"])
def test_equal_and_overlapping_events_add_up(model: str, frames: FloatArray) -> None:
    events = [(4.0, 0.0, 1.0), (4.0, 0.0, 1.0), (5.0, 6.0, 0.5), (8.0, 6.0, -2.0)]
    together = respond(events, frames, model=model)
    apart = sum(respond([event], frames, model=model) for event in events)
    np.testing.assert_allclose(together, apart, rtol=0, atol=1e-13)


def test_response_grows_with_the_amplitude(frames: FloatArray) -> None:
    once = respond([(4.0, 2.0, 1.0)], frames)
    np.testing.assert_allclose(
        respond([(4.0, 2.0, -2.5)], frames), -2.5 * once, rtol=1e-14, atol=0
    )


def test_event_before_the_first_frame_reaches_into_the_run() -> None:
    response = respond([(-5.0, 0.0, 1.0)], np.array([0.0, 2.0]))
    np.testing.assert_allclose(response[:, 0], kernel([5.0, 7.0], "spm"), rtol=0, atol=CLOSED_FORM)


def test_event_that_ended_long_before_the_run_leaves_zeros(frames: FloatArray) -> None:
    assert not respond([(-100.0, 60.0, 1.0)], frames).any()


def test_event_after_the_last_frame_leaves_zeros(frames: FloatArray) -> None:
    assert not respond([(frames[-1] + 0.01, 5.0, 1.0)], frames).any()


def test_order_of_events_changes_no_bit(rng: np.random.Generator, frames: FloatArray) -> None:
    events = list(
        zip(rng.uniform(-20, 80, 50), rng.choice([0.0, 1.7], 50), rng.normal(size=50), strict=True)
    )
    np.testing.assert_array_equal(
        respond(events, frames, model="glover + derivative"),
        respond(events[::-1], frames, model="glover + derivative"),
    )


@pytest.mark.parametrize("pairs", [1, 7, 64])
def test_chunks_do_not_change_the_response(
    pairs: int,
    rng: np.random.Generator,
    frames: FloatArray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [(onset, 3.0, 1.0) for onset in rng.uniform(-40, 120, 40)]
    whole = respond(events, frames)
    monkeypatch.setattr(hrf, "PAIRS_PER_CHUNK", pairs)
    np.testing.assert_allclose(respond(events, frames), whole, rtol=0, atol=1e-13)


def test_many_events_need_bounded_memory(rng: np.random.Generator) -> None:
    n_events, frame_times = 100_000, np.arange(2000) * 1.5
    onsets = rng.uniform(0, 3000, n_events)
    tracemalloc.start()
    response = convolve_events(
        onsets,
        np.zeros(n_events),
        np.ones(n_events),
        frame_times=frame_times,
        hrf_model="spm",
        repetition_time=1.5,
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6  # all pairs at once would be 1.6 GB for each array
    # so dense a train is a sustained event of as many events per second
    np.testing.assert_allclose(response[100:, 0].mean(), n_events / 3000, rtol=0.01)


def test_timing_does_not_drift_over_an_hour() -> None:
    tr, hour = 0.72, 3600.0
    frame_times = np.arange(5000) * tr + tr / 2
    last = 3540.123
    response = respond([(onset, 0.0, 1.0) for onset in (10.0, last)], frame_times, tr=tr)[:, 0]
    assert frame_times[-1] < hour
    late = frame_times > last - 5
    reference = kernel(frame_times[late] - last, "spm")
    slope = (
        kernel(frame_times[late] - last + 1e-4, "spm")
        - kernel(frame_times[late] - last - 1e-4, "spm")
    ) / 2e-4
    delay = -((response[late] - reference) * slope).sum() / (slope**2).sum()
    assert abs(delay) < 1e-6  # seconds; a millisecond is asked for


def test_fir_column_is_one_over_tr_in_its_scan_alone() -> None:
    tr = 2.0
    response = respond([(6.0, 0.0, 1.0)], np.arange(10) * tr, model="fir:3", tr=tr)
    expected = np.zeros((10, 3))
    expected[[3, 4, 5], [0, 1, 2]] = 1 / tr
    np.testing.assert_array_equal(response, expected)


def test_fir_delay_counts_from_the_first_scan_after_the_event() -> None:
    response = respond([(4.5, 0.0, 1.0)], np.arange(6) * 2.0, model="fir:1", tr=2.0)
    assert np.flatnonzero(response).tolist() == [3]


@pytest.mark.parametrize("tr", [0.1, 0.3, 0.72, 0.8, 1.1, 2.2])
def test_fir_finds_the_scan_of_every_onset_that_is_a_frame_time(tr: float) -> None:
    frame_times = np.arange(400) * tr
    for scan in range(0, 390, 7):
        onset = float(f"{scan * tr:.6g}")  # as a table writes it, off by rounding
        response = respond([(onset, 0.0, 1.0)], frame_times, model="fir:2", tr=tr)
        assert [np.flatnonzero(column).tolist() for column in response.T] == [[scan], [scan + 1]]


def test_fir_columns_of_a_sustained_event_sum_to_its_past_share() -> None:
    response = respond([(4.0, 6.0, 1.0)], np.arange(30) * 2.0, model="fir:20", tr=2.0)
    np.testing.assert_allclose(response[:3].sum(axis=1), 0.0, atol=1e-15)
    # all of the event lies within the delays once it is over: 6 s of a box of height 1/TR
    np.testing.assert_allclose(response[5:20].sum(axis=1), 3.0, rtol=1e-14)
    np.testing.assert_allclose(response[3], [1.0] + [0.0] * 19, atol=1e-15)


def test_fir_column_of_a_sustained_event_is_the_share_that_lies_in_its_window() -> None:
    # at 6 s the event of 5 s to 5.5 s lies 0.5 s to 1 s back, at 8 s 2.5 s to 3 s
    response = respond([(5.0, 0.5, 1.0)], np.arange(6) * 2.0, model="fir:2", tr=2.0)
    expected = np.zeros((6, 2))
    expected[[3, 4], [0, 1]] = 0.5 / 2.0
    np.testing.assert_allclose(response, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("tr", "n_delays"), [(2.0, 11), (0.8, 26), (0.1, 201), (3.0, 8)])
def test_fir_without_a_number_covers_twenty_seconds(tr: float, n_delays: int) -> None:
    assert basis_labels("fir", tr) == tuple(f"_delay_{i}" for i in range(n_delays))
    assert (n_delays - 1) * tr >= 20 - 1e-9


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        ("spm", ("",)),
        ("glover + derivative", ("", "_derivative")),
        ("spm+derivative+dispersion", ("", "_derivative", "_dispersion")),
    ],
)
def test_labels_are_those_of_nilearn(model: str, labels: tuple[str, ...]) -> None:
    assert basis_labels(model, 2.0) == labels


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ((0.0, -1.0, 1.0), "must not be negative, found -1.0"),
        ((math.nan, 1.0, 1.0), "must be finite"),
        ((0.0, math.inf, 1.0), "must be finite"),
    ],
)
def test_impossible_event_is_refused(
    event: tuple[float, float, float], message: str, frames: FloatArray
) -> None:
    with pytest.raises(ValueError, match=message):
        respond([event], frames)


def test_vectors_of_different_lengths_are_refused(frames: FloatArray) -> None:
    with pytest.raises(ValueError, match="vectors of one length"):
        convolve_events(
            np.zeros(2),
            np.zeros(2),
            np.zeros(3),
            frame_times=frames,
            hrf_model="spm",
            repetition_time=2.0,
        )


def test_repetition_time_of_zero_is_refused(frames: FloatArray) -> None:
    with pytest.raises(ValueError, match="must be > 0, found 0"):
        respond([(0.0, 0.0, 1.0)], frames, tr=0.0)


EVENTS = [(0.3, 0.0, 1.0), (5.0, 3.0, -2.0)]
FRAMES = np.arange(30) * 2.0


@pytest.mark.parametrize("extra", ["", " + derivative + dispersion"])
def test_double_gamma_of_spms_parameters_is_spms_bit_for_bit(extra: str) -> None:
    own = respond(EVENTS, FRAMES, model=f"doublegamma:6,16,1,1,6{extra}")
    assert np.array_equal(own, respond(EVENTS, FRAMES, model=f"spm{extra}"))


def test_double_gamma_is_the_difference_of_its_densities() -> None:
    shape = {"delay": 5.0, "under": 14.0, "width": 1.2, "under_width": 0.8, "ratio": 1 / 4}
    area = integrate.quad(lambda s: unscaled(s, **shape), 0, 32, epsabs=1e-13)[0]
    found = respond([(0.0, 0.0, 1.0)], FRAMES[:16], model="doublegamma:5,14,1.2,0.8,4")
    expected = unscaled(FRAMES[:16], **shape) / area
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=CLOSED_FORM)


def test_double_gamma_without_area_is_refused() -> None:
    with pytest.raises(
        ValueError, match="hardly any area within 32 s; choose shorter delays or a"
    ):
        basis_labels("doublegamma:15,16,1,1,1.01", 2.0)


def test_explicit_fir_delays_are_columns_of_the_whole_model() -> None:
    whole, some = (respond(EVENTS, FRAMES, model=f"fir:{n}") for n in ("5", "1,4"))
    assert np.array_equal(some, whole[:, [1, 4]])
    assert basis_labels("fir:1,4", 2.0) == ("_delay_1", "_delay_4")
