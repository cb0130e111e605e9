"""A square picture of a cell with its outline and a heatmap laid over it."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget


def rgba_image(pixels: np.ndarray) -> QImage:
    """Return a QImage that owns its pixels; uint8 (h, w, 3) or (h, w, 4)."""
    pixels = np.ascontiguousarray(pixels, np.uint8)
    h, w, c = pixels.shape
    kind = QImage.Format.Format_RGB888 if c == 3 else QImage.Format.Format_RGBA8888
    return QImage(pixels.tobytes(), w, h, w * c, kind).copy()


def coloured(values: np.ndarray, limit: float, lut: np.ndarray) -> np.ndarray:
    """Colour evidence on a fixed scale.

    Parameters
    ----------
    values
        (g, g) raw evidence; what is negative is shown as none.
    limit
        Evidence of the scale's end.
    lut
        uint8 (n, 4).

    Returns
    -------
    numpy.ndarray
        uint8 (g, g, 4).
    """
    share = np.clip(np.nan_to_num(values) / limit, 0, 1) if limit > 0 else np.zeros(values.shape)
    return lut[np.round(share * (len(lut) - 1)).astype(int)]


class CellPicture(QWidget):
    """Draws the crop, smoothly scaled to the widget's width, the heatmap over it, the outline on top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._crop: QImage | None = None
        self._heat: QImage | None = None
        self._outline: QImage | None = None
        self._opacity = 0.6
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumSize(80, 80)
        self.setMaximumWidth(260)

    def hasHeightForWidth(self) -> bool:
        """Keep the picture square."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Keep the picture square."""
        return width

    def sizeHint(self) -> QSize:
        """Prefer a picture in which a nucleus can be read."""
        return QSize(150, 150)

    def setValue(
        self, crop: np.ndarray | None, outline: np.ndarray | None = None, heat: np.ndarray | None = None
    ) -> None:
        """Show a crop uint8 (h, w, 3), a mask border bool (h, w) and a coloured heatmap uint8 (g, g, 4)."""
        self._crop = None if crop is None else rgba_image(crop)
        self._heat = None if heat is None else self._smooth(heat)
        self._outline = None
        if outline is not None:
            line = np.zeros((*outline.shape, 4), np.uint8)
            line[outline] = (16, 20, 24, 170)
            self._outline = rgba_image(line)
        self.update()

    def hasHeat(self) -> bool:
        """Tell whether a heatmap is shown."""
        return self._heat is not None

    def setOpacity(self, opacity: float) -> None:
        """Set the heatmap's opacity, 0…1."""
        self._opacity = float(opacity)
        self.update()

    @staticmethod
    def _smooth(heat: np.ndarray) -> QImage:
        """Enlarge a coarse map; half a cell of border is drawn flat, so that map and crop stay aligned."""
        side = max(128, 8 * heat.shape[0])
        return rgba_image(heat).scaled(
            side, side, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
        )

    def paintEvent(self, event: object) -> None:
        """Draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        side = min(self.width(), self.height())
        where = QRectF((self.width() - side) / 2, 0, side, side)
        if self._crop is None:
            painter.setPen(QColor(128, 128, 128))
            painter.drawRect(where.adjusted(0, 0, -1, -1))
            painter.drawText(where, Qt.AlignmentFlag.AlignCenter, "no cell")
            return
        painter.drawImage(where, self._crop)
        if self._heat is not None:
            painter.setOpacity(self._opacity)
            painter.drawImage(where, self._heat)
            painter.setOpacity(1.0)
        if self._outline is not None:
            painter.drawImage(where, self._outline)
