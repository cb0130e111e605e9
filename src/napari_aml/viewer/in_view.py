"""What the person sees: the picture under review, a word where another one covers it, names where they have room."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_aml.viewer.layers import NAMES
from napari_aml.viewer.names import MOST_NAMES, sides
from napari_aml.viewer.private import say_units_once, unwrap

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_aml.viewer.bridge import ReviewBridge

#: At least this share of the canvas or of the picture is in view, else the camera moves to the picture.
_ENOUGH = 0.5
#: Docks come in several steps: the last one counts.
_SETTLE_MS = 60
#: A cell of so many pixels on the screen has room for its name above it.
_ROOM = 30


class PictureInView(QObject):
    """Keeps the picture under review in view.

    Parameters
    ----------
    viewer
        A viewer with a window.
    picture
        Returns the picture under review, None for none.
    pictures
        Returns all pictures that can be reviewed.
    say
        Says something to the person.
    """

    def __init__(
        self, viewer: Any, picture: Callable[[], Image | None], pictures: Callable[[], Iterable[Image]],
        say: Callable[[str], object], parent: QObject,
    ) -> None:  # fmt: skip
        super().__init__(parent)
        self._viewer, self._picture, self._pictures = unwrap(viewer), picture, pictures
        say_units_once()
        self._say = say
        self._size = np.array(self._viewer.canvas.size, float)
        self._was_whole = False
        self._soon = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._soon.timeout.connect(self._after_resize)
        self._viewer.canvas.events.size.connect(self._on_size)

    def close(self) -> None:
        """Stop following the canvas."""
        self._soon.stop()
        self._viewer.canvas.events.size.disconnect(self._on_size)

    def show(self, image: Image) -> None:
        """Say which other pictures cover a picture, and go there where little of it is in view.

        They are not hidden for the person: that was seen to crash the canvas of napari 0.9 as layers came and went.
        """
        if self._viewer.dims.ndisplay != 2 or image not in self._viewer.layers:
            return
        if not self._viewer.grid.enabled:
            mine, above = _box(image), self._viewer.layers.index(image)
            covering = [
                other.name for other in self._pictures()
                if other is not image and other.visible and other.rgb and self._viewer.layers.index(other) > above
                and _shared(mine, _box(other)) > 0
            ]  # fmt: skip
            if covering:
                names = ", ".join(f"'{name}'" for name in covering)
                self._say(f"⚠ {names} cover{'s' * (len(covering) == 1)} this picture: click the eye in the layer list.")
        box, view = _box(image), self._view(self._size)
        if _shared(box, view) < _ENOUGH * min(_area(box), _area(view)) or not _area(view):
            self._fit(image)

    def _on_size(self, _: Any = None) -> None:
        before, self._size = self._size, np.array(self._viewer.canvas.size, float)
        if not self._soon.isActive():
            self._was_whole = self._whole(before)
        self._soon.start()

    def _after_resize(self) -> None:
        """Where a dock took room from a picture that was whole on the canvas, make it whole again."""
        image = self._picture()
        if self._was_whole and image is not None and image in self._viewer.layers and not self._whole(self._size):
            self._fit(image)

    def _whole(self, size: np.ndarray) -> bool:
        image = self._picture()
        if image is None or image not in self._viewer.layers or self._viewer.dims.ndisplay != 2:
            return False
        box = _box(image)
        return _shared(box, self._view(size)) > 0.999 * _area(box)

    def _view(self, size: np.ndarray) -> np.ndarray:
        """Return the corners (2, 2) of what a canvas of this size shows, in the world's coordinates."""
        camera = self._viewer.scene.camera
        half, middle = size / 2 / camera.zoom, np.array(camera.center[-2:], float)
        return np.stack([middle - half, middle + half])

    def _fit(self, image: Image) -> None:
        self._viewer.fit_to_view(layers=[image])


class NamesThatFit(QObject):
    """Shows the names of cells only where the cells are large enough for them: else they cover what they name.

    Parameters
    ----------
    viewer
        A viewer with a window.
    bridge
        Knows the layer of names and the cells.
    """

    def __init__(self, viewer: Any, bridge: ReviewBridge, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._bridge = unwrap(viewer), bridge
        self._hidden: Any = None
        self._viewer.scene.camera.events.zoom.connect(self._check)
        self._viewer.layers.events.inserted.connect(self._check)

    def close(self) -> None:
        """Stop following camera and layers."""
        self._viewer.scene.camera.events.zoom.disconnect(self._check)
        self._viewer.layers.events.inserted.disconnect(self._check)

    def _check(self, _: Any = None) -> None:
        layer, state = self._bridge.layer(NAMES), self._bridge.state
        if layer is None or state.analysis is None or not 1 < state.n_cells <= MOST_NAMES:
            return
        side = float(np.median(sides(state, np.arange(state.n_cells)))) * float(np.abs(layer.scale[-1]))
        fits = side * self._viewer.scene.camera.zoom >= _ROOM
        if fits == (self._hidden is layer):  # only where it changes: a person may show or hide them meanwhile
            layer.text.visible = fits
            self._hidden = None if fits else layer


def _box(image: Image) -> np.ndarray:
    return np.asarray(image.extent.world)[:, -2:]


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.prod(np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0, None)))


def _area(box: np.ndarray) -> float:
    return float(np.prod(box[1] - box[0]))
