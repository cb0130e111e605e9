"""Work that can wait until the screen is painted: the newest of each kind is done, older ones are dropped."""

from __future__ import annotations

import time
from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

#: The wait begins when the event loop is free again, after painting. It goes on while calls keep coming (a key that is
#: held down), but not for longer than the second figure.
_WAIT_MS, _LONGEST_MS = 40, 250


class Later(QObject):
    """Called with a name and what to do; of several calls with one name only the last is done."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._what: dict[str, Callable[[], object]] = {}
        self._since = 0.0
        self._free = QTimer(self, singleShot=True, interval=0)
        self._timer = QTimer(self, singleShot=True)
        self._free.timeout.connect(self._rest)
        self._timer.timeout.connect(self.now)

    def __call__(self, name: str, action: Callable[[], object]) -> None:
        """Do something soon."""
        if not self._what:
            self._since = time.monotonic()
        self._what[name] = action
        self._timer.stop()
        self._free.start()

    def _rest(self) -> None:
        waited = 1000 * (time.monotonic() - self._since)
        self._timer.start(max(0, min(_WAIT_MS, round(_LONGEST_MS - waited))))

    def now(self) -> None:
        """Do at once what waits."""
        self._free.stop()
        self._timer.stop()
        what, self._what = self._what, {}
        for action in what.values():
            action()

    def close(self) -> None:
        """Drop what waits."""
        self._free.stop()
        self._timer.stop()
        self._what = {}
