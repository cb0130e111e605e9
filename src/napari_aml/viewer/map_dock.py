"""The dock "Embedding map": the map of the review in a viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_aml.ui.map_panel import MapPanel
from napari_aml.ui.shortcuts import KeyBindings, shared_keys
from napari_aml.viewer.companions import Companion
from napari_aml.viewer.deciding_keys import cell_actions
from napari_aml.viewer.private import stack_dock
from napari_aml.viewer.sessions import review_of

if TYPE_CHECKING:
    import napari.viewer


class MapDock(QWidget):
    """Shows the map; cells, decisions and selection are those of the dock "Smear review".

    Parameters
    ----------
    napari_viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("embedding-map")
        # Else napari keeps what a large dock has left empty, below the panel.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.review = review_of(napari_viewer)
        control = self.review.controller
        self.panel = MapPanel(control.state)
        self.panel.opened.connect(control.open_cell)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        actions = {**cell_actions(control), "alike": self.panel.show_alike}
        KeyBindings(self, shared_keys(), actions)
        # A dock that napari closes is destroyed without a close event.
        self.destroyed.connect(self.panel.listening.release)
        Companion(self, napari_viewer, "Embedding map")
        # Until it is at its place it must not make the window taller.
        self.panel.hide()
        self._placed = False

    def showEvent(self, event: Any) -> None:
        """Become a tab on the review the first time: two docks above each other do not fit a small screen."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def _place(self) -> None:
        stack_dock(self, self.review)
        self.panel.show()

    def closeEvent(self, event: Any) -> None:
        """Stop jobs and let go of the state."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Stop jobs and let go of the state; safe to call twice."""
        if not getattr(self, "_shut", False):
            self._shut = True
            self.panel.close_panel()
