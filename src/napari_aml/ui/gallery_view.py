"""The gallery's view: draws only what is on the screen, chooses cells with mouse and keys, lets them be dragged.

Qt's own icon view keeps an object a cell and its selection model compares ranges pairwise; with 100,000 cells and a
lasso both take seconds. Here places are arithmetic and the selection is the state's set.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QDrag, QKeySequence, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import QAbstractScrollArea, QApplication, QToolTip, QWidget

from napari_aml.ui.gallery_layout import GridLayout
from napari_aml.ui.gallery_model import GalleryModel
from napari_aml.ui.gallery_painting import CAPTION, HEADER, PAD, CellPainter
from napari_aml.ui.listening import Listening
from napari_aml.ui.thumbnails import Thumbnails

SMALLEST, LARGEST, START_SIDE = 40, 256, 80
#: More changed cells than this are repainted as one.
_FEW = 64


class GalleryView(QAbstractScrollArea):
    """A scrolling grid of cells.

    Parameters
    ----------
    model, thumbnails, painter
        What is shown, and how.
    listening
        Holds what is connected to the state.

    Attributes
    ----------
    opened
        Emitted with the uid of a double-clicked cell.
    """

    opened = Signal(str)

    def __init__(
        self,
        model: GalleryModel,
        thumbnails: Thumbnails,
        painter: CellPainter,
        listening: Listening,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.model, self._thumbnails, self._painter = model, thumbnails, painter
        self.state = model.state
        self._side = START_SIDE
        self._hovered: int | None = None
        self._anchor: str | None = None
        self._pressed: tuple[QPoint, int | None] | None = None
        self._reduce = False
        self._band: QRect | None = None
        self._chosen: frozenset[str] = self.state.selection
        self._current: str | None = self.state.selected
        self._keep: tuple[str, int] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.viewport().setMouseTracking(True)
        self.viewport().setBackgroundRole(QPalette.ColorRole.Base)
        self.viewport().setAutoFillBackground(True)
        self._soon = QTimer(self, singleShot=True, interval=15)
        self._soon.timeout.connect(self._want)
        model.modelAboutToBeReset.connect(self._remember_place)
        model.reordered.connect(self._on_reordered)
        model.dataChanged.connect(lambda a, b: self._repaint_rows(range(a.row(), b.row() + 1)))
        thumbnails.ready.connect(lambda uids: self._repaint_rows(self.model.rows_of(uids)))
        listening.connect(self.state.events.selection, self._on_selection)
        listening.connect(self.state.events.selected, self._on_selected)
        listening.connect(self.state.events.waiting, lambda _: self.viewport().update())
        self._lay_out()

    # ---- size and places -----------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """Two lines of cells."""
        return QSize(640, 2 * (self._side + 2 * PAD + CAPTION) + HEADER)

    def side(self) -> int:
        """Return the side of a thumbnail, pixels."""
        return self._side

    def setSide(self, side: int) -> None:
        """Set the side of a thumbnail, pixels."""
        side = max(SMALLEST, min(LARGEST, int(side)))
        if side != self._side:
            self._remember_place()
            self._side = side
            self._on_reordered()

    def rect_of(self, row: int) -> QRect:
        """Return where a row's cell is drawn, in pixels of the viewport."""
        x, y = self._layout.corner(row)
        return QRect(x, y - self.verticalScrollBar().value(), self._layout.width, self._layout.height)

    def row_at(self, point: QPoint) -> int | None:
        """Return the row at a point of the viewport, None where there is no cell."""
        return self._layout.at(point.x(), point.y() + self.verticalScrollBar().value())

    def visible_rows(self) -> list[int]:
        """Return the rows that are on the screen."""
        top = self.verticalScrollBar().value()
        bands = self._layout.bands(top, top + self.viewport().height())
        return [row for _, a, b in bands for row in range(a, b)]

    def _lay_out(self) -> None:
        width, height = self._side + 2 * PAD, self._side + 2 * PAD + CAPTION
        groups = self.model.groups
        n = len(self.model.order)
        bounds = [(g.start, g.stop) for g in groups] or ([(0, n)] if n else [])
        columns = self.viewport().width() // width
        self._layout = GridLayout(bounds, columns, width, height, HEADER if groups else 0)
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, self._layout.total - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(height // 3)
        self._soon.start()

    def _remember_place(self) -> None:
        """Remember which cell stands where, so that a new order does not throw the person off."""
        rows = self.visible_rows()
        row = self.model.row_of(self.state.selected)
        row = row if row in rows else (rows[0] if rows else None)
        self._keep = None if row is None else (self.model.uid(row), self.rect_of(row).y())

    def _on_reordered(self) -> None:
        self._lay_out()
        if self._keep is not None and (row := self.model.row_of(self._keep[0])) is not None:
            value = self._layout.corner(row)[1] - self._keep[1]
            # A heading just above the screen comes along.
            top = self._layout.tops[self._layout.group_of(row)]
            self.verticalScrollBar().setValue(int(top) if 0 < value - top <= HEADER else value)
        self._keep, self._hovered = None, None
        self.viewport().update()

    def scroll_to(self, row: int) -> None:
        """Bring a row onto the screen, moving as little as possible."""
        y, bar = self._layout.corner(row)[1], self.verticalScrollBar()
        if y < bar.value():
            bar.setValue(max(0, y - self._layout.header))
        elif y + self._layout.height > bar.value() + self.viewport().height():
            bar.setValue(y + self._layout.height - self.viewport().height())

    def resizeEvent(self, event: Any) -> None:
        """Lay out anew."""
        super().resizeEvent(event)
        self._remember_place()
        self._on_reordered()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Move what is drawn already; only the new strip is painted."""
        self.viewport().scroll(0, dy)
        self._soon.start()

    def _want(self) -> None:
        rows = self.visible_rows()
        if rows:
            ahead = range(rows[-1] + 1, min(len(self.model.order), rows[-1] + 1 + len(rows)))
            self._thumbnails.want([self.model.uid(row) for row in (*rows, *ahead)], self._side)

    # ---- painting ------------------------------------------------------------------------------------------

    def paintEvent(self, event: Any) -> None:
        """Draw the cells on the screen."""
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        exposed, top = event.rect(), self.verticalScrollBar().value()
        layout, groups = self._layout, self.model.groups
        for g, first, last in layout.bands(exposed.top() + top, exposed.bottom() + top + 1):
            y = int(layout.tops[g]) - top
            if groups and y + HEADER > exposed.top():
                rect = QRect(0, y, self.viewport().width(), HEADER)
                self._painter.header(painter, rect, groups[g].code, groups[g].start, groups[g].stop, self.palette())
            for row in range(first, last):
                self._painter.cell(painter, self.rect_of(row), row, self.palette(), row == self._hovered)
        if not len(self.model.order):
            painter.setPen(self.palette().placeholderText().color())
            said = "No cell fits the filters." if len(self.model.cells) else "No cells yet: analyse a smear first."
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, self.state.waiting or said)
        if self._band is not None:
            painter.setPen(self.palette().highlight().color())
            painter.drawRect(self._band.adjusted(0, 0, -1, -1))

    def _repaint_rows(self, rows: Iterable[int]) -> None:
        rows = rows if isinstance(rows, range) else [int(r) for r in rows]
        if len(rows) > _FEW:
            self.viewport().update()
            return
        for row in rows:
            self.viewport().update(self.rect_of(row))

    def _on_selection(self, chosen: frozenset[str]) -> None:
        changed = self._chosen ^ chosen
        self._chosen = chosen
        if len(changed) > _FEW:
            self.viewport().update()
        else:
            self._repaint_rows(self.model.rows_of(changed))

    def _on_selected(self, uid: str | None) -> None:
        row = self.model.row_of(uid)
        if row is not None and self._pressed is None:  # below a pressed mouse nothing moves: a double-click would miss
            self.scroll_to(row)
        before, self._current = self._current, uid
        self._repaint_rows(self.model.rows_of([u for u in (before, uid) if u is not None]))

    # ---- mouse ---------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:
        """Choose a cell, a range (Shift), one more (Ctrl), a group (its heading), or begin a rectangle."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        point = event.position().toPoint()
        row = self.row_at(point)
        self._pressed, self._reduce = (point, row), False
        modifiers = event.modifiers()
        if row is None:
            g = self._layout.header_at(point.y() + self.verticalScrollBar().value())
            if g is not None and self.model.groups:
                group = self.model.groups[g]
                self._choose(range(group.start, group.stop), group.start)
            elif not modifiers:
                self.state.select(())
            return
        uid = self.model.uid(row)
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            self._extend(row)
        elif modifiers & Qt.KeyboardModifier.ControlModifier:
            self._anchor = uid
            chosen = self.state.selection ^ {uid}
            self.state.select(chosen, uid if uid in chosen else self.state.selected)
        elif uid in self.state.selection and len(self.state.selection) > 1:
            self._reduce = True  # perhaps a drag of all begins; if not, the release chooses this one alone
        else:
            self._choose([row], row)

    def mouseMoveEvent(self, event: Any) -> None:
        """Show the heatmap below the mouse; drag cells, or draw a rectangle around them."""
        point = event.position().toPoint()
        if self._pressed is None or not event.buttons() & Qt.MouseButton.LeftButton:
            self._hover(self.row_at(point))
            return
        start, row = self._pressed
        if (point - start).manhattanLength() < QApplication.startDragDistance() and self._band is None:
            return
        if row is not None:
            self._pressed, self._reduce = None, False
            self._drag(start - self.rect_of(row).topLeft(), row)
            return
        self._band = QRect(start, point).normalized()
        top = self.verticalScrollBar().value()
        rows = self._layout.within(self._band.x(), self._band.y() + top, self._band.right(), self._band.bottom() + top)
        self._choose(rows, int(rows[0]) if len(rows) else None)
        self.viewport().update()

    def mouseReleaseEvent(self, event: Any) -> None:
        """End what the press began."""
        if self._reduce and self._pressed is not None and self._pressed[1] is not None:
            self._choose([self._pressed[1]], self._pressed[1])
        self._pressed, self._reduce = None, False
        if self._band is not None:
            self._band = None
            self.viewport().update()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Open a cell."""
        row = self.row_at(event.position().toPoint())
        if row is not None:
            self._choose([row], row)
            self.opened.emit(self.model.uid(row))

    def leaveEvent(self, event: Any) -> None:
        """No heatmap without the mouse."""
        self._hover(None)

    def viewportEvent(self, event: Any) -> bool:
        """Say in a tooltip what is known about the cell below the mouse."""
        if event.type() == event.Type.ToolTip:
            row = self.row_at(event.pos())
            QToolTip.showText(event.globalPos(), "" if row is None else self.model.describe(row), self.viewport())
            return True
        return super().viewportEvent(event)

    def hovered(self) -> int | None:
        """Return the row under the mouse."""
        return self._hovered

    def _hover(self, row: int | None) -> None:
        if row != self._hovered:
            before, self._hovered = self._hovered, row
            self._repaint_rows([r for r in (before, row) if r is not None])

    def _drag(self, hot_spot: QPoint, row: int) -> None:
        rows = [int(r) for r in self.model.rows_of(self.state.selection)]
        drag = QDrag(self)
        drag.setMimeData(self.model.mimeData([self.model.index(r) for r in rows]))
        image = self._thumbnails.get(self.model.uid(row), self._side)
        if image is not None:
            drag.setPixmap(QPixmap.fromImage(image).scaled(64, 64))
        drag.exec(Qt.DropAction.CopyAction)

    # ---- keys ----------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: Any) -> None:
        """Walk with the arrows; Shift extends, Ctrl+A chooses all that is shown."""
        if event.matches(QKeySequence.StandardKey.SelectAll):
            self._choose(range(len(self.model.order)), self.model.row_of(self.state.selected))
            return
        row = self._target(event.key())
        if row is None:
            super().keyPressEvent(event)
        elif event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._extend(row)
        else:
            self._choose([row], row)

    def _target(self, key: Qt.Key) -> int | None:
        n = len(self.model.order)
        if not n:
            return None
        row = self.model.row_of(self.state.selected)
        if row is None:
            return 0 if key in (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_Home) else None
        page = max(1, self.viewport().height() // self._layout.height - 1)
        if key == Qt.Key.Key_Home:
            return 0
        if key == Qt.Key.Key_End:
            return n - 1
        across = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if key in across:
            return min(max(row + across[key], 0), n - 1)
        down = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -page, Qt.Key.Key_PageDown: page}
        return self._layout.step(row, down[key]) if key in down else None

    def walk(self, step: int) -> None:
        """Choose the next or the previous cell in the gallery's order."""
        n = len(self.model.order)
        if n:
            row = self.model.row_of(self.state.selected)
            row = (0 if step > 0 else n - 1) if row is None else min(max(row + step, 0), n - 1)
            self._choose([row], row)

    def _choose(self, rows: Iterable[int], current: int | None) -> None:
        uids = [self.model.uid(int(row)) for row in rows]
        uid = None if current is None else self.model.uid(current)
        self._anchor = uid
        self.state.select(uids, uid)

    def _extend(self, row: int) -> None:
        anchor = self.model.row_of(self._anchor)
        if anchor is None:
            anchor = self.model.row_of(self.state.selected)
        if anchor is None:
            anchor = row
        keep = self.model.uid(anchor)
        self._choose(range(min(anchor, row), max(anchor, row) + 1), row)
        self._anchor = keep
