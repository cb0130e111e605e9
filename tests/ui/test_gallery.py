"""The gallery with real keys and mouse: choose, decide, drag, filter, walk, undo."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt
from qtpy.QtGui import QDropEvent, QUndoStack
from qtpy.QtTest import QTest
from state_parts import state_of, uids_of

from napari_aml.ui.deciding import Decider
from napari_aml.ui.gallery_model import MIME
from napari_aml.ui.gallery_panel import GalleryPanel
from napari_aml.ui.shortcuts import KeyTable

pytestmark = pytest.mark.viewer
LUT = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 4))


@pytest.fixture
def panel(qtbot):
    state = state_of(120)
    decider = Decider(state, QUndoStack())
    stack = decider.undo_stack
    panel = GalleryPanel(decider, KeyTable(), LUT, stack.undo, stack.redo)
    qtbot.addWidget(panel)
    panel.resize(900, 420)
    with qtbot.waitActive(panel):
        panel.show()
        panel.activateWindow()
    panel.view.setFocus()
    yield panel
    panel.close_panel()


def click(qtbot, panel, row, modifier=Qt.KeyboardModifier.NoModifier):
    panel.view.scroll_to(row)
    qtbot.mouseClick(panel.view.viewport(), Qt.MouseButton.LeftButton, modifier, panel.view.rect_of(row).center())


def press(panel, key, modifier=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(panel.view, key, modifier)


def test_a_click_chooses_a_key_decides_and_goes_on(panel, qtbot):
    state, model = panel.state, panel.model
    click(qtbot, panel, 3)
    first, second = model.uid(3), model.uid(4)
    assert state.selected == first and state.selection == {first}
    press(panel, Qt.Key.Key_K)
    assert state.decided == {first: "LYA"} and state.selected == second
    press(panel, Qt.Key.Key_Space)
    assert state.decided[second] == state.model_code(state.row(second))
    press(panel, Qt.Key.Key_U)
    assert list(state.decided.values())[-1] == "UNK"
    press(panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(state.decided) == 2
    press(panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert len(state.decided) == 3
    press(panel, Qt.Key.Key_Backspace)
    assert len(state.decided) == 2 and len(state.store.decisions()) == 6


def test_decided_cells_go_to_their_class_and_the_counts_follow(panel, qtbot):
    state, model = panel.state, panel.model
    click(qtbot, panel, 0)
    uid = model.uid(0)
    before = state.code(state.row(uid))
    press(panel, Qt.Key.Key_X)
    group = lambda: next(g.code for g in model.groups if g.start <= model.row_of(uid) < g.stop)  # noqa: E731
    assert group() == before  # for a moment it stays where the eye is
    qtbot.waitUntil(lambda: group() == "ART")
    qtbot.waitUntil(lambda: panel.classes.counts()["ART"] == ("1", "1"))
    assert panel.classes.counts()["all cells"] == ("120", "1")


def test_ranges_single_cells_groups_and_rectangles_are_chosen(panel, qtbot):
    state, model, view = panel.state, panel.model, panel.view
    click(qtbot, panel, 2)
    click(qtbot, panel, 6, Qt.KeyboardModifier.ShiftModifier)
    assert state.selection == {model.uid(r) for r in range(2, 7)} and state.selected == model.uid(6)
    click(qtbot, panel, 4, Qt.KeyboardModifier.ControlModifier)
    assert state.selection == {model.uid(r) for r in (2, 3, 5, 6)}
    press(panel, Qt.Key.Key_Right)
    press(panel, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert len(state.selection) == 2
    press(panel, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(state.selection) == 120
    group = model.groups[0]
    view.verticalScrollBar().setValue(0)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(60, 8))
    assert state.selection == {model.uid(r) for r in range(group.start, group.stop)}
    right = QPoint(view.viewport().width() - 1, 40)
    assert view.row_at(right) is None
    corner = view.rect_of(0).center()
    QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, right)
    for point in (QPoint(right.x() - 40, 60), corner):
        QTest.mouseMove(view.viewport(), point)
    QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, corner)
    chosen = model.rows_of(state.selection)
    assert 0 in chosen and 1 < len(chosen) < 120


def test_several_cells_get_a_class_a_tag_and_a_note(panel, qtbot, monkeypatch):
    state, model = panel.state, panel.model
    click(qtbot, panel, 1)
    click(qtbot, panel, 5, Qt.KeyboardModifier.ShiftModifier)
    chosen = set(state.selection)
    press(panel, Qt.Key.Key_M)
    assert state.decided == dict.fromkeys(chosen, "MYO") and state.selection == chosen
    press(panel, Qt.Key.Key_1)
    assert state.tags == dict.fromkeys(chosen, frozenset({"auer_rod"}))
    press(panel, Qt.Key.Key_1)
    assert state.tags == {}
    monkeypatch.setattr("qtpy.QtWidgets.QInputDialog.getText", lambda *a, **k: ("a rod?", True))
    press(panel, Qt.Key.Key_F2)
    assert state.notes == {state.selected: "a rod?"}
    assert "a rod?" in model.describe(model.row_of(state.selected))


def test_cells_are_dropped_on_a_class(panel, qtbot):
    state, model = panel.state, panel.model
    uids = [model.uid(r) for r in (0, 3)]
    data = model.mimeData([model.index(0), model.index(3)])
    assert bytes(data.data(MIME)).decode().split("\n") == uids
    strip = panel.classes
    where = strip.visualItemRect(strip.item_of("PLC")).center()
    strip.scrollToItem(strip.item_of("PLC"))
    where = strip.visualItemRect(strip.item_of("PLC")).center()

    def drop(mime, point):
        return QDropEvent(
            QPointF(point), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        )

    strip.dropEvent(drop(data, where))
    assert state.decided == dict.fromkeys(uids, "PLC")
    other = QMimeData()
    other.setText("not cells")
    strip.dropEvent(drop(other, where))
    assert len(state.decided) == 2


def test_typing_in_the_search_field_searches_and_decides_nothing(panel, qtbot):
    state, model = panel.state, panel.model
    click(qtbot, panel, 2)
    press(panel, Qt.Key.Key_Slash)
    assert panel.filters.search.hasFocus()
    QTest.keyClicks(panel.filters.search, "lymphocyte")
    qtbot.waitUntil(lambda: len(model.order) < 120)
    codes = {str(model.cells.codes[i]) for i in model.order}
    assert codes <= {"LYT", "LYA"} and state.decided == {}
    panel.filters.search.clear()
    qtbot.waitUntil(lambda: len(model.order) == 120)


def test_enter_and_escape_lead_from_the_search_back_to_the_cells(panel, qtbot):
    press(panel, Qt.Key.Key_Slash)
    QTest.keyClicks(panel.filters.search, "lymphocyte")
    QTest.keyClick(panel.filters.search, Qt.Key.Key_Return)
    assert panel.view.hasFocus() and 0 < len(panel.model.order) < 120
    press(panel, Qt.Key.Key_Slash)
    QTest.keyClick(panel.filters.search, Qt.Key.Key_Escape)
    assert panel.view.hasFocus() and not panel.filters.search.text()
    qtbot.waitUntil(lambda: len(panel.model.order) == 120)


def test_clicking_a_class_shows_it_alone(panel, qtbot):
    code = panel.model.groups[0].code
    strip = panel.classes
    rect = strip.visualItemRect(strip.item_of(code))
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert {str(panel.model.cells.codes[i]) for i in panel.model.order} == {code}
    qtbot.mouseClick(
        strip.viewport(), Qt.MouseButton.LeftButton, pos=strip.visualItemRect(strip.item_of("all cells")).center()
    )
    assert len(panel.model.order) == 120


def test_the_selection_is_the_states_both_ways(panel, qtbot):
    state, model, view = panel.state, panel.model, panel.view
    uid = uids_of(state)[100]
    state.selected = uid
    row = model.row_of(uid)
    assert view.viewport().rect().contains(view.rect_of(row).center())
    opened = []
    panel.opened.connect(opened.append)
    click(qtbot, panel, 0)
    qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.rect_of(0).center())
    assert opened == [model.uid(0)] == [state.selected]
    state.only = ("these", tuple(uids_of(state)[5:1:-1]))
    assert [model.uid(r) for r in range(4)] == uids_of(state)[5:1:-1] and panel.only.isVisible()
    qtbot.mouseClick(panel.only, Qt.MouseButton.LeftButton)
    assert len(model.order) == 120


def test_thumbnails_come_from_the_slide_in_the_background_and_are_kept_within_bounds(panel, qtbot):
    view, thumbs = panel.view, panel.thumbnails
    rows = view.visible_rows()
    qtbot.waitUntil(lambda: all(thumbs.get(panel.model.uid(r), view.side()) for r in rows), timeout=20_000)
    image = thumbs.get(panel.model.uid(rows[0]), view.side())
    middle = image.pixelColor(image.width() // 2, image.height() // 2)
    assert (middle.red(), middle.green(), middle.blue()) == pytest.approx((150, 110, 180), abs=12)
    thumbs._budget = 10 * image.sizeInBytes()
    view.verticalScrollBar().setValue(view.verticalScrollBar().maximum())
    rows = view.visible_rows()
    qtbot.waitUntil(lambda: not thumbs.busy and thumbs._bytes <= thumbs._budget, timeout=20_000)
    view.setSide(200)
    assert view._layout.width == 208
    thumbs.forget()
    assert thumbs._bytes == 0 and thumbs.get(panel.model.uid(0), 64) is None


def test_blinded_the_gallery_is_silent_until_the_first_word(panel, qtbot):
    state, model = panel.state, panel.model
    qtbot.mouseClick(panel.blinded, Qt.MouseButton.LeftButton)
    assert state.blinded
    qtbot.waitUntil(lambda: [g.code for g in model.groups] == [""])
    assert all("%" not in model.caption(r) and "model:" not in model.describe(r) for r in range(5))
    click(qtbot, panel, 0)
    uid = state.selected
    press(panel, Qt.Key.Key_M)
    qtbot.waitUntil(lambda: model.row_of(uid) == 0 or model.row_of(uid) == 119)
    assert "model:" in model.describe(model.row_of(uid))
    assert all(value[1] in ("", "1") for value in panel.classes.counts().values())
