"""Many rows on their way to the record: written in a thread, so that the window lives on; shown once they are safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal


class Writing:
    """The thread that writes; knows no Qt object, so it can be waited for when they are gone."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None

    def wait(self) -> None:
        """Wait until what was begun is on the disk; safe to call at any time."""
        if self.thread is not None:
            self.thread.join()


class Recording(QObject):
    """Does one piece of work at a time in a thread and hands its outcome to the main thread.

    Attributes
    ----------
    writing
        See `Writing`.
    """

    _ready = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.writing = Writing()
        self._then: Callable[[Any, Exception | None], None] | None = None
        self._outcome: tuple[Any, Exception | None] = (None, None)
        self._ready.connect(self._finish)

    @property
    def busy(self) -> bool:
        """Whether something is being written."""
        return self._then is not None

    def start(self, work: Callable[[], Any], then: Callable[[Any, Exception | None], None]) -> None:
        """Do `work` in a thread, then call `then` with its result or its error in the main thread."""
        self.settle()
        self._then = then
        self.writing.thread = threading.Thread(target=self._work, args=(work,), name="recording")
        self.writing.thread.start()

    def settle(self) -> None:
        """Wait for what is being written, and let it be taken in, now."""
        if self._then is not None:
            self.writing.wait()
            self._finish()

    def _work(self, work: Callable[[], Any]) -> None:
        try:
            self._outcome = (work(), None)
        except Exception as error:  # whatever it is, it belongs into the main thread
            self._outcome = (None, error)
        try:
            self._ready.emit()
        except RuntimeError:  # the window is gone; the rows are safe
            return

    def _finish(self) -> None:
        then, self._then = self._then, None
        if then is None or self.writing.thread is None:  # it was waited for before this call came
            return
        self.writing.wait()
        self.writing.thread = None
        then(*self._outcome)
