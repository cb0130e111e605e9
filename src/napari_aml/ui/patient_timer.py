"""PatientTimer: work that can wait until the cells are on the screen."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

from napari_aml.ui.state import ReviewState

#: What `ReviewState.waiting` says while the layers of a slide's cells are put on the screen one after the other.
SHOWING = "Showing the cells …"


class PatientTimer(QTimer):
    """Calls once after a pause, and not while cells are being put on the screen: they have the processor alone.

    Parameters
    ----------
    state
        Says whether cells are being shown.
    pause
        ms.
    call
        What is called.
    """

    def __init__(self, state: ReviewState, pause: int, call: Callable[[], object], parent: QObject) -> None:
        super().__init__(parent, singleShot=True, interval=pause)
        self._state, self._call = state, call
        self.timeout.connect(self._over)

    def _over(self) -> None:
        if self._state.waiting == SHOWING:
            self.start()
        else:
            self._call()
