"""What a window shows, as plain values that JSON can hold: taken down for a project, and brought back."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from napari_aml.viewer.layers import ORDER
from napari_aml.viewer.picture_layers import KEY
from napari_aml.viewer.private import unwrap

if TYPE_CHECKING:
    from napari_aml.ui.gallery_panel import GalleryPanel
    from napari_aml.viewer.dock import SmearReviewWidget

VERSION = 1


def slide_id_of(layer: Any) -> str | None:
    """Return the id of the slide that a layer shows, None where it shows none that was opened from a file."""
    slide = getattr(layer, "metadata", {}).get(KEY, {}).get("slide")
    return None if slide is None or slide.path is None else slide.slide_id


def capture(dock: SmearReviewWidget, known: set[str]) -> dict[str, Any]:
    """Take down slides, layers, view, filters and what is chosen.

    Parameters
    ----------
    dock
        The review.
    known
        Ids of the project's slides; others are left out.
    """
    viewer, state = dock.viewer, dock.state
    layers: dict[str, Any] = {}
    slides = []
    for layer in map(unwrap, viewer.layers):
        slide_id = slide_id_of(layer)
        if slide_id in known:
            slides.append(slide_id)
            layers[slide_id] = _look(layer)
    for name in ORDER:
        if (layer := dock.controller.bridge.layer(name)) is not None:
            layers[name] = _look(layer)
    shown = None if dock.controller.bridge.image is None else slide_id_of(dock.controller.bridge.image)
    gallery = find_gallery(dock)
    return {
        "version": VERSION, "slides": slides, "shown": shown if shown in known else None, "layers": layers,
        "camera": {"center": [float(v) for v in viewer.camera.center], "zoom": float(viewer.camera.zoom)},
        "selected": state.selected, "colour_by": state.colour_by, "blinded": state.blinded,
        "tab": dock.tabs.currentIndex(), "gallery": None if gallery is None else _gallery(gallery),
    }  # fmt: skip


def _look(layer: Any) -> dict[str, Any]:
    return {"visible": bool(layer.visible), "opacity": round(float(layer.opacity), 3)}


def restore(dock: SmearReviewWidget, told: dict[str, Any]) -> None:
    """Bring back what `capture` took down; the slides are open by now. What does not fit any more is passed over."""
    state, viewer = dock.state, dock.viewer
    layers = told.get("layers", {})
    for layer in map(unwrap, viewer.layers):
        slide_id = slide_id_of(layer)
        if slide_id in layers:
            _apply(layer, layers[slide_id])
    for name in ORDER:
        layer = dock.controller.bridge.layer(name)
        if layer is not None and name in layers:
            _apply(layer, layers[name])
    if told.get("colour_by") in ("final", "prediction"):
        state.colour_by = told["colour_by"]
    if state.row(told.get("selected")) is not None:
        state.selected = told["selected"]
    if isinstance(tab := told.get("tab"), int) and 0 <= tab < dock.tabs.count():
        dock.tabs.setCurrentIndex(tab)
    if isinstance(query := told.get("gallery"), dict):
        gallery = find_gallery(dock) or _open_gallery(dock)
        if gallery is not None:
            _set_gallery(gallery, query)
    camera = told.get("camera", {})
    center, zoom = camera.get("center"), camera.get("zoom")
    if isinstance(center, list) and len(center) == 3 and isinstance(zoom, int | float) and zoom > 0:
        viewer.camera.center, viewer.camera.zoom = tuple(center), zoom


def _apply(layer: Any, look: dict[str, Any]) -> None:
    visible, opacity = bool(look.get("visible", True)), min(1.0, max(0.0, float(look.get("opacity", layer.opacity))))
    # napari draws a layer anew also where nothing changed.
    if layer.visible != visible:
        layer.visible = visible
    if abs(layer.opacity - opacity) > 1e-3:
        layer.opacity = opacity


# ---- the gallery's filters -----------------------------------------------------------------------------------


def find_gallery(dock: SmearReviewWidget) -> GalleryPanel | None:
    """Return the gallery that is open in the window of a review, or None."""
    from napari_aml.viewer.gallery_dock import GalleryDock

    for found in dock.window().findChildren(GalleryDock):
        if found.review is dock:
            return found.panel
    return None


def _open_gallery(dock: SmearReviewWidget) -> GalleryPanel | None:
    window = getattr(dock.viewer, "window", None)
    if window is None:
        return None
    window.add_plugin_dock_widget("napari-aml", "Cell gallery")
    return find_gallery(dock)


def _gallery(panel: GalleryPanel) -> dict[str, Any]:
    query = asdict(panel.filters.value())
    query["codes"] = None if query["codes"] is None else sorted(query["codes"])
    finite = {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in query.items()}
    return {"query": finite, "side": panel.filters.side.value()}


def _set_gallery(panel: GalleryPanel, told: dict[str, Any]) -> None:
    from napari_aml.ui.gallery_query import GalleryQuery

    default = GalleryQuery()
    values = {
        f.name: told.get("query", {}).get(f.name) for f in fields(GalleryQuery)
        if told.get("query", {}).get(f.name) is not None and f.name != "codes"
    }  # fmt: skip
    codes = told.get("query", {}).get("codes")
    try:
        query = GalleryQuery(**values, codes=None if codes is None else frozenset(codes))
    except TypeError:
        query = default
    panel.filters.setChoices(*_choices(query))
    panel.filters.setValue(query)
    panel.classes.setCodes(query.codes)
    if isinstance(side := told.get("side"), int):
        panel.filters.side.setValue(side)


def _choices(query: Any) -> tuple[list[str], dict[str, str], list[str]]:
    """Return choices that hold what is to be chosen; the real ones are listed when the menu is opened."""
    tags, readers = ([v] if v else [] for v in (query.tag, query.reader))
    return tags, {query.slide: query.slide} if query.slide else {}, readers
