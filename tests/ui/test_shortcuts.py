"""One table of keys: no two alike, editable, stored, shown in a sheet, and quiet while text is typed."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_aml.errors import InputError
from napari_aml.taxonomy import CLASSES
from napari_aml.ui.key_sheet import KeySheet
from napari_aml.ui.shortcuts import COMMANDS, KeyBindings, KeyTable, class_actions


def test_every_class_has_a_key_and_no_two_commands_share_one(qapp):
    keys = KeyTable()
    used = [QKeySequence(keys.key(c.id)).toString() for c in COMMANDS]
    assert all(used) and len(set(used)) == len(used)
    assert {c.id for c in COMMANDS} >= {f"class:{c.code}" for c in CLASSES}
    assert keys.key("confirm") == "Space" and keys.key("class:UNK") == "U" and keys.key("search") == "/"
    assert keys.canvas_key("class:MYO") == "Shift+M" and keys.canvas_key("undo") == "Ctrl+Z"
    assert keys.canvas_key("search") == ""


def test_a_changed_key_is_stored_and_a_taken_one_refused(qapp, tmp_path):
    path = tmp_path / "new" / "keys.json"
    keys, heard = KeyTable(path), []
    keys.changed.connect(lambda: heard.append(1))
    keys.set_key("class:MYO", "V")
    with pytest.raises(InputError, match="myeloblast"):
        keys.set_key("class:LYT", "v")
    assert KeyTable(path).key("class:MYO") == "V" and keys.command("M") is None and heard == [1]
    keys.set_key("class:LYT", "M")
    keys.reset()
    assert KeyTable(path).key("class:LYT") == "L"
    path.write_text("{broken", "utf-8")
    assert KeyTable(path).key("class:MYO") == "M"


def test_keys_work_in_the_widget_but_not_while_text_is_typed(qtbot):
    whole, field, plain = QWidget(), QLineEdit(), QWidget()
    plain.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    layout = QVBoxLayout(whole)
    layout.addWidget(field)
    layout.addWidget(plain)
    qtbot.addWidget(whole)
    keys, said = KeyTable(), []
    KeyBindings(whole, keys, class_actions(said.append))
    with qtbot.waitActive(whole):
        whole.show()
        whole.activateWindow()
    plain.setFocus()
    QTest.keyClick(plain, Qt.Key.Key_M)
    assert said == ["MYO"]
    field.setFocus()
    QTest.keyClicks(field, "me")
    assert field.text() == "me" and said == ["MYO"]
    keys.set_key("class:MYO", "V")
    plain.setFocus()
    QTest.keyClick(plain, Qt.Key.Key_V)
    QTest.keyClick(plain, Qt.Key.Key_M)
    assert said == ["MYO", "MYO"]


def test_the_sheet_shows_every_key_and_changes_one(qtbot):
    keys = KeyTable()
    sheet = KeySheet(keys)
    qtbot.addWidget(sheet)
    sheet.show()
    assert len(sheet._items()) == len(COMMANDS)
    sheet.setCurrent("class:MYO")
    QTest.keyClick(sheet.edit, Qt.Key.Key_L)
    qtbot.mouseClick(sheet.change, Qt.MouseButton.LeftButton)
    assert "lymphocyte" in sheet.message.text() and keys.key("class:MYO") == "M"
    QTest.keyClick(sheet.edit, Qt.Key.Key_V)
    qtbot.mouseClick(sheet.change, Qt.MouseButton.LeftButton)
    assert keys.key("class:MYO") == "V" and sheet.current() == "class:MYO"
