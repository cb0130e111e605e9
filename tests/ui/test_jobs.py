"""Jobs in a worker thread: progress, results, errors, a cancel that cancels."""

from __future__ import annotations

import threading
import time

import pytest

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress
from napari_aml.ui.jobs import JobBar, in_words


@pytest.fixture
def bar(qtbot):
    widget = JobBar()
    qtbot.addWidget(widget)
    yield widget
    widget.cancel()
    qtbot.waitUntil(lambda: not widget.busy, timeout=5000)


def test_progress_and_result_arrive_in_the_main_thread(bar, qtbot):
    heard, where = [], []

    def steps():
        where.append(threading.get_ident())
        for i in range(3):
            yield Progress(i, 3, f"step {i}", payload=i)
        return "result"

    job = bar.run(lambda: steps(), "Working")
    job.progressed.connect(lambda e: heard.append((e.payload, threading.get_ident())))
    with qtbot.waitSignal(job.returned) as returned:
        pass
    assert returned.args == ["result"]
    assert [p for p, _ in heard] == [0, 1, 2]
    assert {t for _, t in heard} == {threading.get_ident()} and where[0] != threading.get_ident()
    assert not bar.busy and bar.bar.isHidden()


@pytest.mark.parametrize("error", [InputError("bad", "do this"), RuntimeError("boom"), ValueError("x"), MemoryError()])
def test_every_error_comes_back_as_a_signal(bar, qtbot, error):
    def steps():
        yield Progress(0, 1)
        raise error

    job = bar.run(lambda: steps())
    with qtbot.waitSignal(job.failed) as failed:
        pass
    assert failed.args == [error] and not bar.busy


def test_a_job_that_cannot_even_start_fails_in_the_same_way(bar, qtbot):
    def make():
        raise InputError("no such thing")

    job = bar.run(make)
    with qtbot.waitSignal(job.failed):
        pass


def test_cancel_closes_the_generator_in_its_own_thread(bar, qtbot):
    closed = []

    def steps():
        try:
            while True:
                time.sleep(0.01)
                yield Progress(0, 0)
        finally:
            closed.append(threading.get_ident())

    job = bar.run(lambda: steps())
    returned = []
    job.returned.connect(returned.append)
    with qtbot.waitSignal(job.progressed):
        pass
    with qtbot.waitSignal(job.cancelled, timeout=1000):
        bar.cancel_button.click()
    qtbot.waitUntil(lambda: len(closed) == 1)
    assert closed != [threading.get_ident()] and returned == [] and not bar.busy


def test_what_cannot_be_measured_does_not_stand_at_the_hundred_percent_before_it(bar, qtbot):
    def steps():
        yield Progress(4, 4, "Copying")
        yield Progress(0, 0, "Starting")
        yield Progress(0, 0)
        yield Progress(1, 4, "Training")

    job, seen = bar.run(steps, "first"), []
    job.progressed.connect(lambda event: seen.append((bar.bar.maximum(), bar.message.text())))
    qtbot.waitUntil(lambda: not bar.busy, timeout=5000)
    assert seen == [(4, "Copying"), (0, "Starting"), (0, "Starting"), (4, "Training")]


def test_a_job_stuck_in_one_step_is_let_go_within_a_second(bar, qtbot):
    free = threading.Event()

    def steps():
        yield Progress(0, 1)
        free.wait(20)
        yield Progress(1, 1)
        return "late"

    job = bar.run(lambda: steps())
    late = []
    job.returned.connect(late.append)
    with qtbot.waitSignal(job.progressed):
        pass
    with qtbot.waitSignal(job.cancelled, timeout=1000):
        bar.cancel()
    assert not bar.busy
    free.set()
    qtbot.wait(200)
    assert late == []


def test_one_job_at_a_time_but_the_next_may_start_from_the_result_of_the_first(bar, qtbot):
    def steps(n):
        yield Progress(0, 1)
        return n

    results = []
    first = bar.run(lambda: steps(1))
    with pytest.raises(AmlError, match="still running"):
        bar.run(lambda: steps(9))

    def go_on(n):
        results.append(n)
        bar.run(lambda: steps(2)).returned.connect(results.append)

    first.returned.connect(go_on)
    qtbot.waitUntil(lambda: results == [1, 2] and not bar.busy)


def test_errors_are_said_in_plain_words():
    assert in_words(InputError("The file is empty.", "Copy it again.")) == "The file is empty. Copy it again."
    text = in_words(KeyError("x"))
    assert "KeyError" in text and "report" in text and "\n" not in text
    assert "memory" in in_words(MemoryError())
