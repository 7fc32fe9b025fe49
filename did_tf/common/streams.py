"""Work on several things side by side, with the results in the order of the things."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], things: Iterable[T], streams: int) -> Iterator[tuple[T, Callable[[], R]]]:
    """Each of `things` with a function that gives what `work` made of it, or raises what that raised.

    Args:
      work: is called from `streams` threads; with one stream by the function that is given, in the caller's thread.
      things: what it is called with.
      streams: how many are under way at once, those that wait to be taken among them.
    """
    if streams < 2:
        for thing in things:
            yield thing, functools.partial(work, thing)
        return
    waiting: collections.deque[tuple[T, Future[R]]] = collections.deque()
    with ThreadPoolExecutor(streams) as pool:
        try:
            for thing in things:
                waiting.append((thing, pool.submit(work, thing)))
                if len(waiting) == streams:
                    first, future = waiting.popleft()
                    yield first, future.result
            for first, future in waiting:
                yield first, future.result
        finally:
            for _, future in waiting:
                future.cancel()
