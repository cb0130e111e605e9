"""How one cell of the gallery is drawn: thumbnail, class, whether it was decided, tags, the heatmap under the mouse."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QBrush, QColor, QFont, QImage, QPainter, QPalette, QPen

from napari_aml.taxonomy import cell_class
from napari_aml.ui.gallery_model import GalleryModel
from napari_aml.ui.picture import coloured, rgba_image
from napari_aml.ui.thumbnails import Thumbnails

PAD, CAPTION, HEADER = 4, 17, 24
CURRENT = QColor("#ffe600")
_NOTHING = QColor(128, 128, 128, 70)
_UNCLASSIFIED = QColor(128, 128, 128)


@lru_cache(maxsize=256)
def colour_of(code: str) -> QColor:
    """Return the colour of a class; grey for a cell without one."""
    return QColor(cell_class(code).colour) if code else _UNCLASSIFIED


@lru_cache(maxsize=512)
def _pen(code: str, width: int) -> QPen:
    pen = QPen(colour_of(code), width)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    return pen


class CellPainter:
    """Draws cells of a model.

    Parameters
    ----------
    model, thumbnails
        Of the gallery.
    lut
        uint8 (n, 4): colours of the evidence scale, none to most.
    """

    def __init__(self, model: GalleryModel, thumbnails: Thumbnails, lut: np.ndarray) -> None:
        self._model, self._thumbnails, self._lut = model, thumbnails, lut
        self._heat: tuple[object, QImage | None] = (None, None)
        self.font = QFont()
        self.font.setPixelSize(11)
        self.bold = QFont(self.font)
        self.bold.setBold(True)

    def cell(self, painter: QPainter, rect: QRect, row: int, palette: QPalette, hovered: bool) -> None:
        """Draw the cell of a row."""
        model = self._model
        cells, state = model.cells, model.state
        i = int(model.order[row])
        uid, code = cells.uids[i], str(cells.codes[i])
        side = rect.width() - 2 * PAD
        where = QRect(rect.x() + PAD, rect.y() + PAD, side, side)
        chosen = uid in state.selection
        if chosen:
            painter.fillRect(rect.adjusted(1, 1, -1, -1), palette.highlight())
        image = self._thumbnails.get(uid, side)
        if image is None or image.width() <= 1:
            painter.fillRect(where, _NOTHING)
        else:
            painter.drawImage(where, image)
        if hovered and (heat := self.heat(uid)) is not None:
            painter.setOpacity(0.65)
            painter.drawImage(where, heat)
            painter.setOpacity(1.0)
        decided = bool(cells.decided[i])
        width = 4 if decided else 2
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(_pen(code, width))
        half = width // 2
        painter.drawRect(where.adjusted(half, half, -half - 1, -half - 1))
        if uid == state.selected:
            painter.setPen(QPen(CURRENT, 2))
            painter.drawRect(rect.adjusted(2, 2, -3, -3))
        self._caption(painter, rect, where, row, i, code, decided, palette, chosen)
        self._marks(painter, where, uid)

    def _caption(
        self, painter: QPainter, rect: QRect, where: QRect, row: int, i: int, code: str, decided: bool,
        palette: QPalette, chosen: bool,
    ) -> None:
        line = QRect(rect.x() + PAD, where.bottom() + 1, rect.width() - 2 * PAD, CAPTION)
        painter.fillRect(line.x(), line.y() + 4, 8, CAPTION - 7, colour_of(code))
        painter.setFont(self.bold if decided else self.font)
        painter.setPen(palette.highlightedText().color() if chosen else palette.text().color())
        text = self._model.caption(row)
        if decided:
            text = "✓ " + text
        if self._model.query.sort == "queue" and (why := self._model.why(i)):
            text = f"{text} · {why}"
        text = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, line.width() - 12)
        painter.drawText(line.adjusted(12, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)

    def _marks(self, painter: QPainter, where: QRect, uid: str) -> None:
        """Draw one round mark a tag, and a square one for a note."""
        state = self._model.state
        tags, note = state.tags.get(uid), uid in state.notes
        if not tags and not note:
            return
        painter.setPen(QPen(QColor(20, 20, 20), 1))
        painter.setBrush(QBrush(CURRENT))
        x, y = where.right() - 10, where.y() + 4
        for _ in tags or ():
            painter.drawEllipse(x, y, 7, 7)
            x -= 10
        if note:
            painter.setBrush(QBrush(QColor("#7fd4ff")))
            painter.drawRect(x, y, 7, 7)

    def heat(self, uid: str) -> QImage | None:
        """Return a cell's heatmap on the scale of all cells; None where there is none or it may not be shown."""
        model = self._model
        i = model.cells.find(uid)
        if i is None or not model.state.shows_model(uid):
            return None
        analysis, row = model.cells.analysis_of(i)
        heatmaps, limit = analysis.heatmaps, model.state.heat_limit
        if heatmaps is None or not len(heatmaps.maps):
            return None
        key = (uid, id(heatmaps), limit)
        if self._heat[0] != key:
            image = rgba_image(coloured(heatmaps.maps[row], limit, self._lut)).scaled(
                128, 128, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
            self._heat = (key, image)
        return self._heat[1]

    def header(self, painter: QPainter, rect: QRect, code: str, start: int, stop: int, palette: QPalette) -> None:
        """Draw the heading of a group with its counts."""
        cells = self._model.cells
        decided = int(cells.decided[self._model.order[start:stop]].sum())
        name = f"{code}  {cell_class(code).name}" if code else "not classified"
        veil = palette.text().color()  # napari's style sheet leaves the palette's other colours as they were
        veil.setAlpha(26)
        painter.fillRect(rect, veil)
        painter.fillRect(rect.x() + PAD, rect.y() + 5, 12, rect.height() - 10, colour_of(code))
        painter.setPen(palette.text().color())
        painter.setFont(self.bold)
        words = f"{name} — {stop - start} cell{'' if stop - start == 1 else 's'}"
        if decided:
            words += f", {decided} decided"
        painter.drawText(rect.adjusted(24, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, words)
