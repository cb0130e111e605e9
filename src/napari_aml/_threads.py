"""Share a processor's cores between threads that compute side by side.

Two small networks side by side, each on half of the cores, do more than one after the other on all of them: threads
that work together on one small operation wait for each other longer than they work.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

# Work side by side needs memory for each worker: with more cores than this, each gets several.
_MOST_WORKERS = 8


class ComputeThreads:
    """How many threads torch computes with, thread by thread.

    ``torch.set_num_threads`` sets it for every thread that starts later on as well, and for good.
    """

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        from napari_aml._torch import torch

        self.count: int = torch.get_num_threads()
        self._controller = ThreadpoolController()  # knows the libraries that are loaded by now

    def shares(self, jobs: int) -> tuple[int, int]:
        """Return how many workers so many jobs are worth, and the threads of each."""
        workers = max(1, min(jobs, self.count, _MOST_WORKERS))
        return workers, self.count // workers

    def limit(self, count: int) -> AbstractContextManager[Any]:
        """Let the calling thread compute with so many threads, until the result is left as a context."""
        from napari_aml._torch import torch

        torch.get_num_threads()  # what torch sets when a thread first computes, it sets now
        limiter: AbstractContextManager[Any] = self._controller.limit(limits=count, user_api="openmp")
        return limiter

    def pool(self, workers: int, threads: int, name: str) -> ThreadPoolExecutor:
        """Return a pool whose workers compute with so many threads each."""
        return ThreadPoolExecutor(workers, name, initializer=self.limit, initargs=(threads,))
