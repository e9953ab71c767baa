"""Work shared among threads, in an order that does not depend on their number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

#: Items per thread that are held at once: one in work and one that waits.
IN_FLIGHT = 2

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Apply a function to items in some threads; the results come in the items' order.

    Parameters
    ----------
    function : callable
        Called with one item, at the same time in each thread.
    items : iterable
        Drawn one after the other by the calling thread.
    n_threads : int
        Threads in all; >= 1. The caller is one of them: it works too while the others have
        enough to do.

    Yields
    ------
    object
        The result of each item, or the error of the first that has one. Of items that are drawn
        and results that are not yet taken there are never more than `held_at_once`.

    Examples
    --------
    >>> list(map_in_order(str, range(4), n_threads=3))
    ['0', '1', '2', '3']
    """
    if n_threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(n_threads - 1) as pool:
        begun: deque[Future[Result]] = deque()
        try:
            for item in items:
                unfinished = sum(not one.done() for one in begun)
                if unfinished < IN_FLIGHT * (n_threads - 1):
                    begun.append(pool.submit(function, item))
                else:
                    begun.append(_finished(function, item))
                while begun and (begun[0].done() or len(begun) >= held_at_once(n_threads)):
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for one in begun:
                one.cancel()


def held_at_once(n_threads: int) -> int:
    """Return how many items, or their results, `map_in_order` holds at most."""
    return 1 if n_threads == 1 else IN_FLIGHT * n_threads


def _finished(function: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Call a function now; its error waits for those of the items before."""
    future: Future[Result] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:  # noqa: BLE001 - raised again where the result is taken
        future.set_exception(error)
    return future
