"""The dock "Cell gallery": the gallery of the review in a viewer, at the bottom or as a window of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_aml.ui.gallery_panel import GalleryPanel
from napari_aml.ui.shortcuts import shared_keys
from napari_aml.viewer.companions import Companion
from napari_aml.viewer.pages import evidence_lut
from napari_aml.viewer.private import move_dock, unwrap
from napari_aml.viewer.sessions import review_of

if TYPE_CHECKING:
    import napari.viewer

#: Height that the dock asks for at the bottom of the window.
HEIGHT = 290


class GalleryDock(QWidget):
    """Shows the gallery; cells, decisions and selection are those of the dock "Smear review".

    Parameters
    ----------
    napari_viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("cell-gallery")
        # Else napari keeps what a large dock has left empty, below the panel.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._viewer = napari_viewer
        self.review = review_of(napari_viewer)
        control = self.review.controller
        self.panel = GalleryPanel(
            control.decider, shared_keys(), evidence_lut(), control.editor.undo, control.editor.redo
        )
        self.panel.opened.connect(control.open_cell)
        self.panel.alikeRequested.connect(self._show_alike)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        # A dock that napari closes is destroyed without a close event.
        self.destroyed.connect(self.panel.listening.release)
        Companion(self, napari_viewer, "Cell gallery")
        # Until it is at its place it must not make the docks at the right as wide as itself.
        self.panel.hide()
        self._placed = False

    def showEvent(self, event: Any) -> None:
        """Go to the bottom of the window the first time: napari puts every plugin's dock at the right."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def _place(self) -> None:
        move_dock(self, HEIGHT)
        self.panel.show()
        move_dock(self, HEIGHT)

    def _show_alike(self, uid: str) -> None:
        """Let the map find cells like one; it is opened where it is not open yet."""
        from napari_aml.viewer.map_dock import MapDock

        _, dock = self._viewer.window.add_plugin_dock_widget("napari-aml", "Embedding map")
        dock = unwrap(dock)
        assert isinstance(dock, MapDock)
        dock.panel.show_alike(uid)

    def closeEvent(self, event: Any) -> None:
        """Stop threads and let go of the state."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Stop threads and let go of the state; safe to call twice."""
        if not getattr(self, "_shut", False):
            self._shut = True
            self.panel.close_panel()
