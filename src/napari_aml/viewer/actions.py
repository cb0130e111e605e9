"""What the commands in napari's menus do: open the dock, choose the active picture, start the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_aml.viewer.private import unwrap

if TYPE_CHECKING:
    from napari_aml.viewer.dock import SmearReviewWidget

PLUGIN, WIDGET = "napari-aml", "Smear review"


def open_dock(viewer: Any) -> SmearReviewWidget:
    """Return the dock "Smear review" of a viewer, opened where it is not yet."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return unwrap(widget)


def analyse_layer(viewer: Any, layer: Any = None) -> SmearReviewWidget:
    """Segment, classify and explain a picture layer (the active one)."""
    return _start(viewer, layer, "analyse")


def segment_layer(viewer: Any, layer: Any = None) -> SmearReviewWidget:
    """Find the cells of a picture layer (the active one)."""
    return _start(viewer, layer, "segment")


def classify_layer(viewer: Any, layer: Any = None) -> SmearReviewWidget:
    """Classify the cells that were found in a picture layer (the active one)."""
    return _start(viewer, layer, "classify")


def _start(viewer: Any, layer: Any, job: str) -> SmearReviewWidget:
    from napari.layers import Image

    layer = layer if layer is not None else viewer.layers.selection.active
    dock = open_dock(viewer)
    if isinstance(layer, Image) and not dock.controller.bridge.is_result(unwrap(layer)):
        dock.choose_picture(layer)
    getattr(dock, job)()
    return dock
