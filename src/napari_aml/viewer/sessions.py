"""One review a viewer: further docks (gallery, map, expression …) find the review dock's controller here."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

from napari_aml.viewer.private import unwrap

if TYPE_CHECKING:
    from napari_aml.export.expression_section import ExpressionPart
    from napari_aml.viewer.dock import SmearReviewWidget
    from napari_aml.viewer.expression_dock import ExpressionWidget

_docks: dict[int, weakref.ref[Any]] = {}


class _Docks:
    """Announces that the review dock of a viewer came or went: docks that were there before it follow it, too."""

    review_changed: ClassVar[Signal] = Signal(int)


docks = _Docks()
_expression: dict[int, weakref.ref[Any]] = {}


def register_review(viewer: Any, dock: SmearReviewWidget) -> None:
    """Remember the review dock of a viewer."""
    _docks[id(unwrap(viewer))] = weakref.ref(dock)
    docks.review_changed.emit(id(unwrap(viewer)))


def forget_review(viewer: Any) -> None:
    """Forget the review dock of a viewer."""
    if _docks.pop(id(unwrap(viewer)), None) is not None:
        docks.review_changed.emit(id(unwrap(viewer)))


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


def register_expression(viewer: Any, dock: ExpressionWidget | None) -> None:
    """Remember the Expression dock of a viewer; None forgets it."""
    if dock is None:
        _expression.pop(id(unwrap(viewer)), None)
    else:
        _expression[id(unwrap(viewer))] = weakref.ref(dock)


def expression_part(viewer: Any, slide_id: str) -> ExpressionPart | None:
    """Return what the Expression dock of a viewer has to say in a slide's report, None where no sample is linked."""
    reference = _expression.get(id(unwrap(viewer)))
    dock = None if reference is None else reference()
    return None if dock is None else dock.controller.part(slide_id)
