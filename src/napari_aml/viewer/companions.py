"""Docks that are closed, and docks that belong to a closed one: gallery, map and teaching follow the review dock."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer

from napari_aml.viewer.private import dock_of, stack_dock, unwrap
from napari_aml.viewer.sessions import docks, find_review


class ClosedWithItsDock(QObject):
    """Shuts a widget down when napari takes it out of its dock.

    The cross of a dock sends no close event: the widget is only taken out, and goes on as long as anything holds it.

    Parameters
    ----------
    widget
        The dock's widget; has ``shut_down``.
    """

    def __init__(self, widget: Any) -> None:
        super().__init__(widget)
        self._widget, self._docked = widget, False
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look where the widget is now."""
        if event.type() == QEvent.Type.ParentChange:
            docked = self._widget.parent() is not None
            if self._docked and not docked:
                self._widget.shut_down()
            self._docked = docked
        return False


class Neighbour(QObject):
    """Lets a review dock that is opened later stand behind a tab beside a widget's dock, the window as high as it was.

    napari puts it below instead, and makes the window higher than the screen where both have no room.

    Parameters
    ----------
    widget
        The dock's widget.
    viewer
        The viewer.
    stack
        Whether the review goes onto this dock; else only the window keeps its size.
    """

    def __init__(self, widget: Any, viewer: Any, *, stack: bool = True) -> None:
        super().__init__(widget)
        self._widget, self._viewer, self._stack = widget, viewer, stack
        docks.review_changed.connect(self._on_review)
        widget.destroyed.connect(partial(_let_go, self._on_review))

    def _on_review(self, viewer: int) -> None:
        window = dock_of(self._widget)[1]
        if viewer == id(unwrap(self._viewer)) and window is not None and find_review(self._viewer) is not None:
            size = window.size()  # the new dock is not in the window yet
            QTimer.singleShot(0, self, lambda: self._stand_beside(window, size))

    def _stand_beside(self, window: Any, size: Any) -> None:
        review = find_review(self._viewer)
        if review is not None and self._stack:
            stack_dock(review, self._widget)
        QTimer.singleShot(0, window, lambda: _shrink(window, size))  # once the docks have found their places


class Companion(QObject):
    """Rests while the review dock of a widget is closed; opens the widget's dock anew for the review that comes next.

    The cells and decisions that such a widget shows are those of one review dock, and go with it.

    Parameters
    ----------
    widget
        The dock's widget; has ``review`` and ``shut_down``.
    viewer
        The viewer.
    title
        Name of the dock in the manifest.
    """

    def __init__(self, widget: Any, viewer: Any, title: str) -> None:
        super().__init__(widget)
        ClosedWithItsDock(widget)
        Neighbour(widget, viewer, stack=False)
        self._widget, self._viewer, self._title = widget, viewer, title
        docks.review_changed.connect(self._on_review)
        widget.destroyed.connect(partial(_let_go, self._on_review))

    def _on_review(self, viewer: int) -> None:
        if viewer != id(unwrap(self._viewer)) or self._widget.parent() is None:
            return
        review = find_review(self._viewer)
        self._widget.setEnabled(review is self._widget.review)
        if review not in (None, self._widget.review):
            QTimer.singleShot(0, self, self._open_anew)  # once the new review is in the window

    def _open_anew(self) -> None:
        window, title = self._viewer.window, self._title
        self._widget.shut_down()
        window.remove_dock_widget(self._widget)
        self._widget.deleteLater()
        window.add_plugin_dock_widget("napari-aml", title)


def _shrink(window: Any, size: Any) -> None:
    """Take back what a window grew; one that fills the screen is left as it is."""
    if window.height() > size.height() and not (window.isMaximized() or window.isFullScreen()):
        window.resize(size)


def _let_go(listener: Any, *_: object) -> None:
    docks.review_changed.disconnect(listener, missing_ok=True)
