"""The one place for what napari keeps private or does not promise. Each use says what to look at when it breaks."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from napari_aml.viewer.contours import contours

Box = tuple[int, int, int, int]


def unwrap(thing: Any) -> Any:
    """Return the object behind the proxy in which napari hands viewers and their layers to plugins.

    Two proxies of one layer are equal but not identical, and a proxy cannot be a choice of a Qt model
    (napari/utils/_proxies.py); everything else goes through the proxy.
    """
    return getattr(thing, "__wrapped__", thing)


def say_units_once() -> None:
    """Let napari say once, not with every layer, that pictures in µm and in pixels are open together.

    Its canvas warns whenever a layer comes or goes (napari/_vispy/canvas.py, ``_update_scenegraph``), and each warning
    covers a part of the picture. Result layers have the units of their picture.
    """
    import warnings

    warnings.filterwarnings("once", message="Inconsistent units across layers")


def is_drawing(layer: Any) -> bool:
    """Tell whether a person is in the middle of drawing a shape (napari/layers/shapes/shapes.py)."""
    return bool(getattr(layer, "_is_creating", False))


class _Keys(frozenset):
    """Key bindings; tells whether a key, as napari writes it, is among them."""

    def __contains__(self, key: object) -> bool:
        from napari.utils.key_bindings import coerce_keybinding

        return super().__contains__(coerce_keybinding(key))


def own_keys(layer: Any) -> _Keys:
    """Return the keys that napari itself has on layers of this kind, and in the viewer.

    They stand in ``class_keymap`` of the layer's classes (napari/utils/key_bindings.py, ``KeymapProvider``).
    """
    from napari.components import ViewerModel

    keys: set[Any] = set()
    for cls in (*type(layer).__mro__, *ViewerModel.__mro__):
        keys.update(getattr(cls, "class_keymap", ()))
    return _Keys(keys)


@contextmanager
def inserting_quietly(layers: Any) -> Iterator[None]:
    """Let layers be inserted without becoming the active one each, for whom the window builds its controls anew.

    ``_activate_on_insert`` of napari/utils/events/containers/_selectable_list.py.
    """
    layers = unwrap(layers)
    was = getattr(layers, "_activate_on_insert", None)
    try:
        if was is not None:
            layers._activate_on_insert = False
        yield
    finally:
        if was is not None:
            layers._activate_on_insert = was


@contextmanager
def in_one_go(layer: Any) -> Iterator[None]:
    """Let a points layer take data, features, sizes and colours, and draw it once at the end.

    Each setter redraws the layer, and new data lets the viewer look for its outer bounds, which slices every layer
    anew; a border colour is drawn at once (napari/layers/base/base.py, ``_block_refresh``; napari/_vispy/layers/
    points.py; napari/components/viewer_model.py, ``_on_layers_change``). Only for points that stay within the bounds
    of other layers.
    """
    events, border = layer.events, layer._border.events
    with layer._block_refresh(), events.data.blocker(), events.border_color.blocker(), border.blocker_all():
        yield
    layer.refresh(extent=False, thumbnail=False)


def load_label_colours(colormap: Any) -> None:
    """Let napari load its compiled function for label pictures, in any thread.

    It is loaded with the first call of ``_data_to_texture`` (napari/utils/colormaps/colormap.py), which a layer makes
    with one number and with a picture.
    """
    for labels in (np.zeros((2, 2), np.int32), np.zeros(1, np.int32), np.int32(0)):
        colormap._data_to_texture(labels)


def without_tools(layer: Any) -> None:
    """Let napari make nothing for drawing on a label layer that nobody can draw on.

    A layer's ``_overlays`` (napari/layers/labels/labels.py) are visible from the start, so that a polygon, its corners
    and its lines are built with each layer: a third of the time that a layer takes.
    """
    for name in ("polygon", "brush_stroke"):
        overlay = getattr(layer, "_overlays", {}).get(name)
        if overlay is not None:
            overlay.visible = False


def quick_contours(layer: Any) -> None:
    """Let napari show the borders of a label layer that `contours` finds, the same ones.

    Its own way (``Labels._calculate_contour``, napari/layers/labels/labels.py) takes seconds for a camera's picture.
    """
    whole, this = getattr(type(layer), "_calculate_contour", None), weakref.ref(layer)
    if whole is None:
        return

    def calculate(labels: np.ndarray, data_slice: tuple[slice, ...]) -> np.ndarray | None:
        layer = this()
        assert layer is not None  # it is the layer that asks
        if layer.contour < 1 or labels.ndim != 2:
            return whole(layer, labels, data_slice)
        # With what lies around the part, as far as a border reaches.
        first = [max(0, s.start - layer.contour) for s in data_slice]
        around = tuple(slice(a, s.stop + layer.contour) for a, s in zip(first, data_slice, strict=True))
        part = tuple(slice(s.start - a, s.stop - a) for a, s in zip(first, data_slice, strict=True))
        return contours(labels[around], layer.contour)[part]

    layer._calculate_contour = calculate


def draw_letters(viewer: Any, letters: str) -> Iterator[None]:
    """Let the canvas make its pictures of letters, one at a time; in the window's thread.

    It makes them with the first text on it, all in one go (napari/_vispy/utils/qt_font.py, ``QtTextureFont``; vispy
    asks for nine more than the text has: vispy/visuals/text/text.py, ``_text_to_vbo``).
    """
    try:
        info = unwrap(viewer).window._qt_viewer.canvas.font_info()
        font = info.font_manager.get_font(info.face)
        for letter in dict.fromkeys("ÅÉÑŐjgpqy " + letters):
            font[letter]
            yield
    except (AttributeError, TypeError, KeyError, RuntimeError):  # the first text draws them
        return


def painted_box(item: Any) -> Box | None:
    """Return the box (y0, x0, y1, x1) of one undo item that ``Labels.events.paint`` carries; None if unreadable.

    napari 0.9 puts two kinds of atoms into an item: ``(indices, old, new)`` from ``data_setitem`` and an object
    with a ``slice_key`` from brush, fill and polygon (napari/layers/labels/labels.py, ``_save_history``).
    """
    boxes = []
    try:
        for atom in item:
            if hasattr(atom, "slice_key"):
                y, x = atom.slice_key[-2:]
                boxes.append((int(y.start), int(x.start), int(y.stop), int(x.stop)))
            else:
                y, x = (np.atleast_1d(np.asarray(i)) for i in atom[0][-2:])
                boxes.append((int(y.min()), int(x.min()), int(y.max()) + 1, int(x.max()) + 1))
    except (AttributeError, TypeError, ValueError, IndexError):
        return None
    if not boxes:
        return None
    y0, x0, y1, x1 = zip(*boxes, strict=True)
    return min(y0), min(x0), max(y1), max(x1)


#: Menu, status bar, and what the controls of a label layer are higher than those of a picture; pixels.
_BARS = 120


def move_dock(widget: Any, size: int) -> None:
    """Move the dock that holds a widget to the bottom of napari's window, `size` pixels high.

    napari adds a plugin's widget where it likes (napari/_qt/qt_main_window.py, ``add_plugin_dock_widget``); the dock
    and the window are ordinary Qt ones.
    """
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QDockWidget

    dock, window = dock_of(widget)
    if window is None or dock.isFloating():
        return
    if window.dockWidgetArea(dock) != Qt.DockWidgetArea.BottomDockWidgetArea:
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        dock.show()
    # On a low screen napari's own docks at the left, which cannot shrink, would leave it one cut-off line: it goes
    # beside them instead of below them.
    left = [d for d in window.findChildren(QDockWidget) if _is_at_left(window, d)]
    if sum(d.minimumSizeHint().height() for d in left) + size + _BARS > window.height():
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
    window.resizeDocks([dock], [size], Qt.Orientation.Vertical)


def _is_at_left(window: Any, dock: Any) -> bool:
    from qtpy.QtCore import Qt

    at_left = window.dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea
    return bool(at_left and dock.isVisible() and not dock.isFloating())


def stack_dock(widget: Any, upon: Any) -> None:
    """Put the dock that holds a widget behind a tab beside the dock that holds another one, and to the front.

    Below each other neither would have room on a laptop.
    """
    (dock, window), (other, others_window) = dock_of(widget), dock_of(upon)
    if window is None or others_window is not window or dock.isFloating() or other.isFloating():
        return
    if dock not in window.tabifiedDockWidgets(other):
        window.tabifyDockWidget(other, dock)
        dock.raise_()


def dock_of(widget: Any) -> tuple[Any, Any]:
    """Return the dock that holds a widget and its window, (None, None) where it is in none."""
    from qtpy.QtWidgets import QDockWidget, QMainWindow

    dock = widget.parent()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parent()
    window = None if dock is None else dock.parent()
    return (dock, window) if isinstance(window, QMainWindow) else (None, None)
