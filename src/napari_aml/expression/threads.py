"""Parts of a table worked on by several threads, their results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Made = TypeVar("Made")
#: NumPy lets other threads run while it computes; more threads than this wait for memory.
_MOST = 4


def threads() -> int:
    """How many threads to use on this machine."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST, free))


class _AtOnce(Executor):
    """Does everything when it is handed over: with one core, other threads would only take turns with this one."""

    def submit(self, work: Callable[..., Made], /, *arguments: object, **named: object) -> Future[Made]:
        future: Future[Made] = Future()
        try:
            future.set_result(work(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


def executor(count: int) -> Executor:
    """Return what does work in so many threads."""
    return ThreadPoolExecutor(count, "expression") if count > 1 else _AtOnce()


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
