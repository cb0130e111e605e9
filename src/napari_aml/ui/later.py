"""Work that can wait until the screen is painted: the newest of each kind is done, older ones are dropped."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

_WAIT_MS = 15


class Later(QObject):
    """Called with a name and what to do; of several calls with one name only the last is done."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._what: dict[str, Callable[[], object]] = {}
        self._timer = QTimer(self, singleShot=True, interval=_WAIT_MS)
        self._timer.timeout.connect(self.now)

    def __call__(self, name: str, action: Callable[[], object]) -> None:
        """Do something soon."""
        self._what[name] = action
        if not self._timer.isActive():
            self._timer.start()

    def now(self) -> None:
        """Do at once what waits."""
        what, self._what = self._what, {}
        for action in what.values():
            action()

    def close(self) -> None:
        """Drop what waits."""
        self._timer.stop()
        self._what = {}
