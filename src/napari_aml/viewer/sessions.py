"""One review a viewer: further docks (gallery, map, expression …) find the review dock's controller here."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari_aml.viewer.private import unwrap

if TYPE_CHECKING:
    from napari_aml.viewer.dock import SmearReviewWidget

_docks: dict[int, weakref.ref[Any]] = {}


def register_review(viewer: Any, dock: SmearReviewWidget) -> None:
    """Remember the review dock of a viewer."""
    _docks[id(unwrap(viewer))] = weakref.ref(dock)


def forget_review(viewer: Any) -> None:
    """Forget the review dock of a viewer."""
    _docks.pop(id(unwrap(viewer)), None)


def find_review(viewer: Any) -> SmearReviewWidget | None:
    """Return the review dock that is open in a viewer, or None."""
    reference = _docks.get(id(unwrap(viewer)))
    return None if reference is None else reference()


def review_of(viewer: Any) -> SmearReviewWidget:
    """Return the review dock of a viewer; it is opened where it is not open yet."""
    dock = find_review(viewer)
    if dock is None:
        viewer.window.add_plugin_dock_widget("napari-aml", "Smear review")
        dock = find_review(viewer)
    assert dock is not None
    return dock
