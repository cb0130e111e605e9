"""Parts of a table worked on by several threads, their results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Made = TypeVar("Made")
#: NumPy lets other threads run while it computes; more threads than this wait for memory.
_MOST = 4


def threads() -> int:
    """How many threads to use on this machine."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST, free))


def in_threads(work: Callable[[Part], Made], parts: Iterable[Part]) -> Iterator[Made]:
    """Yield ``work(part)`` of each part, in order.

    Few parts are under way at a time, so that results do not pile up; closing the generator waits for these alone. An
    error of a part is raised in its turn. With one core, or one part, everything is done in this thread.
    """
    count = threads()
    parts = list(parts)
    if count == 1 or len(parts) < 2:
        yield from map(work, parts)
        return
    pool = ThreadPoolExecutor(min(count, len(parts)), "expression")
    waiting: deque[Future[Made]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
