"""The sheet of keys: what each key does; a double-click on a key changes it."""

from __future__ import annotations

from itertools import groupby

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QKeySequence, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QKeySequenceEdit,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_aml.errors import AmlError
from napari_aml.taxonomy import cell_class
from napari_aml.ui.shortcuts import CLASS_COMMAND, KeyTable


class KeySheet(QDialog):
    """Shows and edits a table of keys.

    Parameters
    ----------
    key_table
        The keys; a change is in force and stored at once.
    """

    def __init__(self, key_table: KeyTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.resize(560, 620)
        self._key_table = key_table
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["", "Gallery, map", "Picture"])
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setColumnWidth(0, 290)
        self.tree.currentItemChanged.connect(self._on_current)
        self.edit = QKeySequenceEdit()
        self.edit.setMaximumSequenceLength(1)
        self.change = QPushButton("Give it this key")
        self.change.clicked.connect(self._on_change)
        self.message = QLabel()
        self.message.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(QLabel("Press a key:"))
        row.addWidget(self.edit, 1)
        row.addWidget(self.change)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        reset = buttons.addButton("Default keys", QDialogButtonBox.ButtonRole.ResetRole)
        reset.clicked.connect(self._on_reset)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree, 1)
        layout.addLayout(row)
        layout.addWidget(self.message)
        layout.addWidget(buttons)
        self._fill()

    def current(self) -> str | None:
        """Return the id of the chosen command, None when none is."""
        item = self.tree.currentItem()
        return None if item is None else item.data(0, Qt.ItemDataRole.UserRole)

    def setCurrent(self, command: str) -> None:
        """Choose a command."""
        for item in self._items():
            if item.data(0, Qt.ItemDataRole.UserRole) == command:
                self.tree.setCurrentItem(item)

    def _items(self) -> list[QTreeWidgetItem]:
        groups = [self.tree.topLevelItem(i) for i in range(self.tree.topLevelItemCount())]
        items = [group.child(i) for group in groups if group is not None for i in range(group.childCount())]
        return [item for item in items if item is not None]

    def _fill(self) -> None:
        self.tree.clear()
        for name, commands in groupby(sorted(self._key_table, key=lambda c: _rank(c.group)), lambda c: c.group):
            group = QTreeWidgetItem([name])
            font = group.font(0)
            font.setBold(True)
            group.setFont(0, font)
            group.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.tree.addTopLevelItem(group)
            for command in commands:
                keys = (self._key_table.key(command.id), self._key_table.canvas_key(command.id))
                item = QTreeWidgetItem([command.text, *(_native(key) for key in keys)])
                item.setData(0, Qt.ItemDataRole.UserRole, command.id)
                if command.id.startswith(CLASS_COMMAND):
                    pixmap = QPixmap(12, 12)
                    pixmap.fill(QColor(cell_class(command.id.removeprefix(CLASS_COMMAND)).colour))
                    item.setIcon(0, pixmap)
                group.addChild(item)
            group.setExpanded(True)

    def _on_current(self, *_: object) -> None:
        command = self.current()
        self.change.setEnabled(command is not None)
        self.message.setText("")
        if command is not None:
            self.edit.setKeySequence(QKeySequence(self._key_table.key(command)))

    def _on_change(self) -> None:
        command = self.current()
        if command is None:
            return
        try:
            self._key_table.set_key(command, self.edit.keySequence().toString())
        except AmlError as error:
            self.message.setText(f"⚠ {error}")
            return
        self._fill()
        self.setCurrent(command)
        self.message.setText("Stored.")

    def _on_reset(self) -> None:
        self._key_table.reset()
        self._fill()
        self.message.setText("The default keys hold again.")


def _native(key: str) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)


def _rank(group: str) -> int:
    order = ("Say the class", "Decide", "Put a tag on or take it off", "Walk", "Look for")
    return order.index(group)
