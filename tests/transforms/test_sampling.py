"""Regular samples of events, of samples, and at the frame times."""

from __future__ import annotations

import numpy as np
import pytest

from bids_fx.transforms.records import Clock, TransformError
from bids_fx.transforms.sampling import is_unseen, n_outside, resample, sample, to_dense
from tests.small_runs import events, samples

CLOCK = Clock(n_scans=4, repetition_time=2.0)
LATE = Clock(n_scans=4, repetition_time=2.0, slice_time=1.0)


def test_value_per_scan_is_returned_bit_for_bit() -> None:
    variable = samples([0.1, np.nan, 0.3, 0.7])
    assert sample(variable, CLOCK) is variable.values


def test_fine_samples_are_read_where_a_frame_lies() -> None:
    fine = samples(range(16), step=0.5)
    assert sample(fine, CLOCK).tolist() == [0.0, 4.0, 8.0, 12.0]
    assert sample(fine, LATE).tolist() == [2.0, 6.0, 10.0, 14.0]


def test_frame_on_the_edge_of_a_sample_is_in_that_which_begins() -> None:
    fifths = samples(range(12), step=0.2)
    assert 0.6 / 0.2 < 3  # by rounding
    clock = Clock(n_scans=4, repetition_time=0.6)
    assert sample(fifths, clock).tolist() == [0.0, 3.0, 6.0, 9.0]


def test_frame_that_no_sample_holds_is_missing() -> None:
    found = sample(samples([1, 2], start=1.0, step=2.0), CLOCK)
    assert np.isnan(found).tolist() == [True, False, False, True]
    assert found[1:3].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("onset", "duration", "unseen"),
    [
        (2.0, 0.0, False),
        (2.1, 0.0, True),
        (2.1, 1.9, True),
        (2.1, 2.0, False),
        (-1.0, 1.0, False),  # no sample either
    ],
)
def test_event_between_the_frames_is_unseen(onset: float, duration: float, unseen: bool) -> None:
    variable = events([3.0], onsets=[onset], durations=[duration])
    assert is_unseen(to_dense(variable, CLOCK, sampling_rate=10), CLOCK) is unseen


def test_frame_times_of_the_clock_are_those_that_see() -> None:
    variable = to_dense(events([3.0], onsets=[1.0], durations=[0]), CLOCK, sampling_rate=10)
    assert (is_unseen(variable, CLOCK), is_unseen(variable, LATE)) == (True, False)


@pytest.mark.parametrize(
    ("onsets", "unseen"), [([1.0, 3.0, 5.0], True), ([1.0, 3.0, 4.0], False), ([], False)]
)
def test_variable_is_unseen_if_all_of_it_is(onsets: list[float], unseen: bool) -> None:
    variable = events([1.0] * len(onsets), onsets=onsets, durations=[0.0] * len(onsets))
    assert is_unseen(to_dense(variable, CLOCK, sampling_rate=10), CLOCK) is unseen


def test_missing_samples_are_neither_seen_nor_unseen() -> None:
    assert not is_unseen(samples([0, np.nan, 0, 0, 0, 0, 0, 0], step=1.0), CLOCK)
    assert is_unseen(samples([np.nan, 1, 0, 0, 0, 0, 0, 0], step=1.0), CLOCK)


def test_event_at_the_rate_of_the_scans_is_always_seen() -> None:
    fine = to_dense(events([1.0], onsets=[2.7], durations=[0]), CLOCK, sampling_rate=10)
    assert is_unseen(fine, CLOCK)
    assert not is_unseen(resample(fine, CLOCK, None), CLOCK)


def test_block_covers_shares_of_samples() -> None:
    found = to_dense(events([3.0], onsets=[1.0], durations=[3.5]), CLOCK)
    assert (found.start, found.step) == (0.0, 2.0)
    assert found.values.tolist() == [1.5, 3.0, 0.75, 0.0]


def test_samples_per_scan_begin_at_the_frame_times() -> None:
    found = to_dense(events([1.0], onsets=[1.0], durations=[2.0]), LATE)
    assert (found.start, found.values.tolist()) == (1.0, [1.0, 0.0, 0.0, 0.0])


def test_instant_event_gives_its_value_to_the_sample_that_holds_it() -> None:
    found = to_dense(events([1.0, 5.0, 7.0], onsets=[0, 2.0, 5.9], durations=[0, 0, 0]), CLOCK)
    assert found.values.tolist() == [1.0, 5.0, 7.0, 0.0]


def test_instant_event_on_the_edge_of_a_sample_is_in_that_which_begins() -> None:
    assert 0.3 / 0.1 < 3  # by rounding
    found = to_dense(events([1.0], onsets=[0.3], durations=[0]), CLOCK, sampling_rate=10)
    assert found.values.tolist() == [0.0] * 3 + [1.0] + [0.0] * 76


def test_overlapping_events_add_up_and_missing_ones_do_not_count() -> None:
    found = to_dense(events([1.0, 2.0, None], onsets=[0, 0, 0], durations=[2, 4, 2]), CLOCK)
    assert found.values.tolist() == [3.0, 2.0, 0.0, 0.0]


def test_sampling_rate_makes_samples_from_the_first_volume_to_the_end_of_the_last() -> None:
    found = to_dense(events([1.0], onsets=[6.9], durations=[5.0]), CLOCK, sampling_rate=10)
    assert (found.start, found.step, found.values.size) == (0.0, 0.1, 80)
    assert found.values.tolist() == [0.0] * 69 + [1.0] * 11


def test_events_outside_are_counted() -> None:
    variable = events([1.0] * 6, onsets=[-2, -1, 0, 0.5, 7.9, 8], durations=[2, 2, 0, 0, 0, 1])
    assert n_outside(variable, to_dense(variable, CLOCK)) == 2
    assert n_outside(variable, to_dense(variable, LATE)) == 4


def test_texts_cannot_be_sampled() -> None:
    with pytest.raises(TransformError, match="Factor"):
        to_dense(events(["x"]), CLOCK)


@pytest.mark.parametrize("rate", [1e-320, 1e-8, 2e6, 1e300, 1e308])
def test_rate_that_gives_no_sample_or_too_many_is_refused(rate: float) -> None:
    with pytest.raises(TransformError, match=r"a 'SamplingRate' of .* would make .* samples"):
        to_dense(events([1.0]), CLOCK, sampling_rate=rate)
    with pytest.raises(TransformError, match=r"a 'SamplingRate' of .* would make .* samples"):
        resample(samples([1, 2, 3, 4]), CLOCK, rate)


def test_lowest_rate_gives_one_sample() -> None:
    assert to_dense(events([1.0]), CLOCK, sampling_rate=1e-3).values.size == 1
    assert resample(samples([1, 2, 3, 4]), CLOCK, 1e-3).values.tolist() == [2.5]


def test_coarser_samples_are_means() -> None:
    found = resample(samples([1, 3, 5, 9], step=1.0), CLOCK, 0.5)
    assert (found.start, found.step, found.values.tolist()) == (0.0, 2.0, [2.0, 7.0])


def test_finer_samples_repeat_what_holds() -> None:
    found = resample(samples([1, 3], step=2.0), CLOCK, 1.0)
    assert found.values.tolist() == [1.0, 1.0, 3.0, 3.0]


def test_finer_samples_give_the_scans_back() -> None:
    values = np.random.default_rng(1).normal(size=4)
    found = sample(resample(samples(values), CLOCK, 10), CLOCK)
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-14)


def test_one_sample_per_scan_lies_at_the_frame_times() -> None:
    found = resample(samples(range(8), step=1.0), LATE, None)
    assert (found.start, found.step, found.values.tolist()) == (1.0, 2.0, [1.5, 3.5, 5.5, 7.0])


def test_missing_samples_are_left_out_of_the_mean() -> None:
    found = resample(samples([1, np.nan, np.nan, np.nan], step=1.0), CLOCK, 0.5)
    assert (found.values[0], np.isnan(found.values[1])) == (1.0, True)


def test_same_rate_changes_nothing() -> None:
    variable = samples([1, 2], confound="x", is_nuisance=True)
    assert resample(variable, CLOCK, 0.5) is variable


def test_resampled_confound_is_no_confound_but_nuisance() -> None:
    found = resample(samples([1, 2], confound="x", is_nuisance=True), CLOCK, 1.0)
    assert (found.confound, found.is_nuisance) == (None, True)
