"""Work of the window's thread in pieces: between two of them the window paints, and hears keys and mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer


class InTurns(QObject):
    """Does one piece of work a turn of the event loop.

    Parameters
    ----------
    failed
        Called with the error that a piece raised; the pieces after it are dropped.
    """

    def __init__(self, failed: Callable[[Exception], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._failed = failed
        self._pieces: Iterator[None] | None = None
        # Not 0 ms: between two such timers Qt need not paint.
        self._next = QTimer(self, singleShot=True, interval=1)
        self._next.timeout.connect(self._one)

    @property
    def busy(self) -> bool:
        """Whether pieces are left."""
        return self._pieces is not None

    def run(self, pieces: Iterator[None], *, at_once: bool = False) -> None:
        """Do the pieces one by one, or all now; what was left of others is dropped."""
        self.cancel()
        self._pieces = pieces
        if at_once:
            while self.busy:
                self._one()
            self._next.stop()
        else:
            self._next.start()

    def cancel(self) -> None:
        """Drop what is left."""
        self._next.stop()
        pieces, self._pieces = self._pieces, None
        if pieces is not None and hasattr(pieces, "close"):
            pieces.close()

    def _one(self) -> None:
        pieces = self._pieces
        if pieces is None:
            return
        try:
            next(pieces)
        except StopIteration:
            if pieces is self._pieces:
                self._pieces = None
        except Exception as error:
            if pieces is self._pieces:
                self._pieces = None
            self._failed(error)
        else:
            if pieces is self._pieces and not self._next.isActive():
                self._next.start()
