"""Very many points of a plot as one picture: a change of colours costs one pass over arrays, not one object a point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QRectF
from qtpy.QtGui import QColor, QImage, QPainter

#: Up to so many points the picture is made finer and drawn smaller, so that edges are smooth.
_FINE, _FINER = 2000, 2


def disc(size: int) -> np.ndarray:
    """Return which pixels of a square (size, size) a disc covers: bool."""
    r = np.arange(size) - (size - 1) / 2
    return np.hypot(r[:, None], r) <= size / 2


def ring(size: int, width: float) -> np.ndarray:
    """Return which pixels of a square (size, size) a ring of some width covers: bool."""
    r = np.arange(size) - (size - 1) / 2
    far = np.hypot(r[:, None], r)
    return (far <= size / 2) & (far > size / 2 - width)


class Dots(pg.GraphicsObject):
    """Points of one size, each with its colour.

    Parameters
    ----------
    size
        Diameter, pixels of the screen.
    width
        Width of the line where they are rings; 0 for discs.
    """

    def __init__(self, size: float = 7, width: float = 0.0) -> None:
        super().__init__()
        self._size, self._width = size, width
        self._points = np.zeros((0, 2), np.float32)
        self._colours = np.zeros(0, np.uint32)
        self._picture: tuple[object, QImage | None, QPointF] = (None, None, QPointF())
        self._drawn = 0
        self._bounds = QRectF()

    def setPoints(self, points: np.ndarray, colours: np.ndarray | str, size: float | None = None) -> None:
        """Show points; of two at one place the later one is seen.

        Parameters
        ----------
        points
            float (n, 2): x and y.
        colours
            uint32 (n,) as `colour` makes them, or one name for all.
        size
            A new size.
        """
        self.prepareGeometryChange()
        self._points = np.asarray(points, np.float32).reshape(-1, 2)
        self._colours = np.full(len(self._points), colour(colours), np.uint32) if isinstance(colours, str) else colours
        self._size = self._size if size is None else size
        self._picture = (None, None, QPointF())
        self._bounds = QRectF()
        if len(self._points):
            (x0, y0), (x1, y1) = self._points.min(0).tolist(), self._points.max(0).tolist()
            self._bounds = QRectF(x0, y0, max(x1 - x0, 1e-9), max(y1 - y0, 1e-9))
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.setPoints(self._points[:0], self._colours[:0])

    def __len__(self) -> int:
        return len(self._points)

    @property
    def drawn(self) -> int:
        """How often the picture was made anew."""
        return self._drawn

    def colours(self) -> np.ndarray:
        """Return the colour of each point: uint32 (n,)."""
        return self._colours

    # ---- drawing -------------------------------------------------------------------------------------------

    def boundingRect(self) -> QRectF:
        """Where the points lie."""
        return self._bounds

    def paint(self, painter: QPainter, *_: Any) -> None:
        """Draw the picture, making it anew where points or view are others than before."""
        view = self.getViewWidget()
        if view is None or not len(self._points):
            return
        to_screen = self.sceneTransform() * view.viewportTransform()
        port = view.viewport()
        scale = port.devicePixelRatioF() * (_FINER if len(self._points) <= _FINE else 1)
        moved = (to_screen.m11(), to_screen.m22(), to_screen.dx(), to_screen.dy())
        key = (*moved, port.width(), port.height(), scale)
        if self._picture[0] != key:
            places = self._points * (key[0], key[1]) + (key[2], key[3])
            self._picture = (key, *self._draw(places, port.width(), port.height(), scale))
        image, corner = self._picture[1:]
        if image is not None:
            painter.save()
            painter.resetTransform()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(corner, image)
            painter.restore()

    def _draw(self, places: np.ndarray, width: int, height: int, scale: float) -> tuple[QImage | None, QPointF]:
        """Make the picture of points at `places` (n, 2) of a view, `scale` pixels to one of the view.

        Returns the picture and where its corner lies in the view; None where no point is in view.
        """
        self._drawn += 1
        size = max(1, round(self._size * scale))
        stamp = ring(size, max(1.0, self._width * scale)) if self._width else disc(size)
        dy, dx = np.nonzero(stamp)
        corner = np.floor(places * scale - (size - 1) / 2 + 0.5).astype(np.int64)
        inside = ((corner > -size) & (corner < (round(width * scale), round(height * scale)))).all(1)
        corner, ink = corner[inside], self._colours[inside]
        if not len(corner):
            return None, QPointF()
        x0, y0 = corner.min(0).tolist()
        across, down = (corner.max(0) + size - (x0, y0)).tolist()
        pixels = np.zeros(across * down, np.uint32)
        at = ((corner[:, 1] - y0) * across + corner[:, 0] - x0)[:, None] + (dy * across + dx)
        # Of indices that are there twice numpy writes the last: the later point lies on top.
        pixels[at.reshape(-1)] = np.repeat(ink, len(dy))
        kind = QImage.Format.Format_ARGB32_Premultiplied
        image = QImage(pixels.tobytes(), across, down, 4 * across, kind).copy()
        image.setDevicePixelRatio(scale)
        return image, QPointF(x0 / scale, y0 / scale)


def colour(name: str) -> int:
    """Return a colour as it lies in the picture's memory: opaque ARGB."""
    return 0xFF000000 | (QColor(name).rgb() & 0xFFFFFF)
