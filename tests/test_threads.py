"""Work shared among threads, in an order that does not depend on their number."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bids_fx.threads import held_at_once, map_in_order

#: Seconds; long beside what starting a thread takes.
LONG = 0.02


@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_items(n_threads: int) -> None:
    def slow_if_even(item: int) -> int:
        time.sleep(LONG * (item % 2 == 0))
        return item**2

    assert list(map_in_order(slow_if_even, range(20), n_threads)) == [i**2 for i in range(20)]


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_no_more_threads_work_than_asked_for(n_threads: int) -> None:
    seen = set()

    def work(item: int) -> None:
        time.sleep(LONG / 4)
        seen.add(threading.get_ident())

    for _ in map_in_order(work, range(40), n_threads):
        pass
    assert len(seen) == n_threads
    assert threading.get_ident() in seen  # the caller is one of them


@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_few_items_are_held_at_once_even_if_the_first_is_slow(n_threads: int) -> None:
    drawn = 0
    most = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(60):
            drawn += 1
            yield item

    def work(item: int) -> int:
        time.sleep(10 * LONG * (item == 0))
        return item

    for taken, _ in enumerate(map_in_order(work, items(), n_threads)):
        most = max(most, drawn - taken)
    assert most <= held_at_once(n_threads) + 1  # and the one that was just drawn


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_an_error_in_a_thread_is_the_callers(n_threads: int) -> None:
    def work(item: int) -> int:
        if item == 7:
            raise KeyError("seven")
        return item

    with pytest.raises(KeyError, match="seven"):
        list(map_in_order(work, range(30), n_threads))


def test_an_error_of_the_items_is_the_callers() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("truncated")

    with pytest.raises(OSError, match="truncated"):
        list(map_in_order(str, items(), 3))


def test_no_thread_is_left_when_the_caller_stops_early() -> None:
    before = threading.active_count()
    results = map_in_order(str, range(1000), 3)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_of_two_errors_the_first_items_is_told() -> None:
    def work(item: int) -> int:
        time.sleep(LONG * (item == 0))
        raise ValueError(f"item {item}")

    for _ in range(5):
        with pytest.raises(ValueError, match="item 0"):
            list(map_in_order(work, range(10), 3))


def test_what_waits_is_not_begun_when_the_caller_stops_early() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(LONG)
        return item

    results = map_in_order(work, range(100), 2)
    next(results)
    results.close()
    assert len(begun) <= held_at_once(2)
