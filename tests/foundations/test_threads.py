"""Cores shared between threads: never more than there are, and nobody else's."""

from __future__ import annotations

import threading

import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_aml._threads import ComputeThreads


@given(st.integers(1, 256), st.integers(0, 1000))
def test_workers_share_the_cores_that_there_are(cores: int, jobs: int) -> None:
    compute = ComputeThreads()
    compute.count = cores
    workers, threads = compute.shares(jobs)
    assert 1 <= workers <= max(1, jobs) and threads >= 1
    assert cores - workers < workers * threads <= cores, "as many as there are, but for what does not divide"


def test_a_limit_holds_in_its_thread_and_while_it_is_entered() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with ComputeThreads().limit(3):
            assert torch.get_num_threads() == 3
            seen: list[int] = []
            other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            other.start()
            other.join()
            assert seen == [4]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_workers_of_a_pool_compute_in_their_share() -> None:
    before, meeting = torch.get_num_threads(), threading.Barrier(2)

    def told(_: int) -> tuple[str, int]:
        meeting.wait(30)
        return threading.current_thread().name, torch.get_num_threads()

    try:
        torch.set_num_threads(4)
        with ComputeThreads().pool(2, 2, "half") as pool:
            said = list(pool.map(told, range(2)))
        assert {n for _, n in said} == {2} and len({name for name, _ in said}) == 2
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
