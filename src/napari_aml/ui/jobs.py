"""A generator of Progress runs in a worker thread: progress, a cancel that cancels, errors as a signal.

The worker only drives the generator. It touches no widget and no layer; everything it makes comes back to the
main thread through the signals of `Job`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt.utils import GeneratorWorker

from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps

log = logging.getLogger(__name__)

#: A cancelled job that has not reached its next step by then is let go: it ends by itself and is not listened to.
_PATIENCE_MS = 500


@dataclass(frozen=True)
class _Outcome:
    """How a job ended; carried as a value because superqt's worker swallows a RuntimeError."""

    result: Any = None
    error: Exception | None = None


def _discard(outcome: object) -> None:
    """Let what was made let go of what it holds, where nobody takes it."""
    if isinstance(outcome, _Outcome) and hasattr(outcome.result, "discard"):
        outcome.result.discard()


def _body(make_steps: Callable[[], Steps[Any]]) -> Generator[Progress, None, _Outcome]:
    try:
        return _Outcome((yield from make_steps()))
    except Exception as error:  # whatever it is, it belongs into the main thread
        return _Outcome(error=error)


class _Worker(GeneratorWorker):
    def work(self) -> Any:
        try:
            outcome = super().work()
            if self.abort_requested:  # nobody takes it any more
                _discard(outcome)
            return outcome
        finally:
            self._gen.close()  # here, in its own thread: files and memory are released at once


class Job(QObject):
    """One run of a long job.

    Parameters
    ----------
    make_steps
        Called in the worker thread; returns the generator of `Progress`.
    parent
        Qt parent.
    """

    progressed = Signal(object)
    returned = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    ended = Signal()

    def __init__(self, make_steps: Callable[[], Steps[Any]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = _Worker(_body, make_steps)
        self._worker.yielded.connect(self._on_yielded)
        self._worker.returned.connect(self._on_returned)
        self._worker.signals.finished.connect(self._on_finished)
        self._cancelled = self._ended = False

    @property
    def running(self) -> bool:
        """Whether the job still goes on (a cancelled one does not)."""
        return not self._ended

    def start(self) -> None:
        """Start the worker thread."""
        self._worker.start()

    def cancel(self) -> None:
        """Stop the job at its next step, within a second; nothing that it makes is announced any more."""
        if self._cancelled or self._ended:
            return
        self._cancelled = True
        self._worker.quit()
        QTimer.singleShot(_PATIENCE_MS, self._end_cancelled)

    def _on_yielded(self, event: Progress) -> None:
        if not self._cancelled:
            self.progressed.emit(event)

    def _on_returned(self, outcome: _Outcome) -> None:
        if self._cancelled or self._ended:
            _discard(outcome)
            return
        self._ended = True
        if outcome.error is not None:
            self.failed.emit(outcome.error)
        else:
            self.returned.emit(outcome.result)
        self.ended.emit()

    def _on_finished(self) -> None:
        if self._cancelled:
            self._end_cancelled()

    def _end_cancelled(self) -> None:
        if not self._ended:
            self._ended = True
            self.cancelled.emit()
            self.ended.emit()


class JobBar(QWidget):
    """Progress bar, what is being done, Cancel. Runs one job at a time."""

    failed = Signal(object)
    busyChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop the job; what was there before it stays.")
        self.cancel_button.clicked.connect(self.cancel)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.message)
        self._show_idle("")

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._job is not None and self._job.running

    def run(self, make_steps: Callable[[], Steps[Any]], title: str = "") -> Job:
        """Start a job and show it; connect to its signals in the same event-loop turn.

        Raises
        ------
        AmlError
            While another job runs.
        """
        if self.busy:
            raise AmlError("Another job is still running.", "Wait for it or press Cancel.")
        job = self._job = Job(make_steps, self)
        job.progressed.connect(self._on_progress)
        job.returned.connect(lambda _: self._show_idle(""))
        job.cancelled.connect(lambda: self._show_idle("Stopped."))
        job.failed.connect(self._on_failed)
        job.ended.connect(lambda: self._on_ended(job))
        self.bar.setRange(0, 0)
        self.bar.show()
        self.cancel_button.setEnabled(True)
        self.cancel_button.show()
        self._say(title)
        job.start()
        self.busyChanged.emit(True)
        return job

    def cancel(self) -> None:
        """Stop the running job."""
        if self._job is not None and self.busy:
            self.cancel_button.setEnabled(False)
            self._say("Stopping …")
            self._job.cancel()

    def _on_progress(self, event: Progress) -> None:
        if event.total > 0:
            self.bar.setRange(0, event.total)
            self.bar.setValue(min(event.done, event.total))
        elif event.message and event.message != self.message.text():
            self.bar.setRange(0, 0)  # something else is done now: not at the 100 % of what came before
        if event.message:
            self._say(event.message)

    def _on_failed(self, error: Exception) -> None:
        self._show_idle("")
        if not isinstance(error, AmlError):
            log.error("unexpected error in a job", exc_info=error)
        self.failed.emit(error)

    def _on_ended(self, job: Job) -> None:
        job.deleteLater()
        if job is self._job:  # a handler of its result may have started the next job already
            self._job = None
            self.busyChanged.emit(False)

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def _show_idle(self, text: str) -> None:
        self.bar.hide()
        self.cancel_button.hide()
        self._say(text)


def in_words(error: BaseException) -> str:
    """Say an error in plain words: what is wrong and what to do about it, never a traceback."""
    if isinstance(error, AmlError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this. Close other programs, or analyse a smaller picture."
    text = str(error).strip().splitlines()
    first = text[0] if text else "no further description"
    return f"Something went wrong inside napari-aml ({type(error).__name__}: {first}). Please report it."
