"""One table of keys: what each does, where it works, and what a person changed.

In the gallery, the map and the docks a command has a plain key. On the picture the same key is held with Shift,
because napari's own tools have the plain letters there (``p`` paints, ``m`` makes a label, Space moves the picture).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from psygnal import Signal
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget

from napari_aml._files import replacing
from napari_aml.errors import InputError
from napari_aml.review.reader_view import TAGS
from napari_aml.taxonomy import CLASSES

log = logging.getLogger(__name__)

#: Prefixes of the ids of commands that say a class or toggle a tag.
CLASS_COMMAND, TAG_COMMAND = "class:", "tag:"


@dataclass(frozen=True)
class Command:
    """Something that a key does.

    Attributes
    ----------
    id
        ``class:MYO``, ``tag:auer_rod``, ``confirm`` …
    group, text
        Where it stands in the help sheet, and what it says there.
    key
        The default key, as Qt writes it (``M``, ``Space``, ``Ctrl+Z``); empty for none.
    on_canvas
        Whether it works on the picture, too (a plain key is held with Shift there).
    """

    id: str
    group: str
    text: str
    key: str
    on_canvas: bool = True


def _commands() -> tuple[Command, ...]:
    classes = [
        Command(f"{CLASS_COMMAND}{c.code}", "Say the class", f"{c.code}  {c.name}", c.key.upper()) for c in CLASSES
    ]
    tags = [
        Command(f"{TAG_COMMAND}{name}", "Put a tag on or take it off", text, str(i), on_canvas=False)
        for i, (name, text) in enumerate(TAGS.items(), start=1)
    ]
    return (
        *classes,
        Command("confirm", "Decide", "Confirm the class that is shown", "Space"),
        Command("withdraw", "Decide", "Take the decision back", "Backspace"),
        Command("note", "Decide", "Write a note on the cell", "F2", on_canvas=False),
        Command("undo", "Decide", "Undo (labels, tags, notes, regions, masks)", "Ctrl+Z"),
        Command("redo", "Decide", "Redo", "Ctrl+Shift+Z"),
        *tags,
        Command("next", "Walk", "Next cell", "N"),
        Command("previous", "Walk", "Previous cell", "P"),
        Command("fly", "Walk", "Show the cell on the picture", "Return", on_canvas=False),
        Command("search", "Look for", "Search in the gallery", "/", on_canvas=False),
        Command("alike", "Look for", "Cells like this one", "F", on_canvas=False),
        Command("help", "Look for", "This sheet of keys", "F1"),
    )


COMMANDS: tuple[Command, ...] = _commands()
_BY_ID = {command.id: command for command in COMMANDS}


class KeyTable:
    """The keys in force: the defaults and what a person changed.

    Parameters
    ----------
    path
        JSON file with the changes; None keeps them in memory.
    """

    changed = Signal()

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._own: dict[str, str] = {}
        if path is not None and path.is_file():
            self._own = _read(path)

    def __iter__(self) -> Iterator[Command]:
        return iter(COMMANDS)

    def key(self, command: str) -> str:
        """Return the key of a command as Qt writes it; empty for none."""
        return self._own.get(command, _BY_ID[command].key)

    def canvas_key(self, command: str) -> str:
        """Return the key of a command on the picture; empty where it does not work there."""
        key = self.key(command)
        if not key or not _BY_ID[command].on_canvas:
            return ""
        return key if "+" in key[:-1] or _is_function_key(key) else f"Shift+{key}"

    def command(self, key: str) -> Command | None:
        """Return the command of a key, None when it is free."""
        wanted = _portable(key)
        return next((c for c in COMMANDS if wanted and _portable(self.key(c.id)) == wanted), None)

    def set_key(self, command: str, key: str) -> None:
        """Give a command another key (empty: none) and store it.

        Raises
        ------
        InputError
            When the key is taken, or is no key that one can press alone.
        """
        key = _portable(key)
        if ", " in key:
            raise InputError(f"'{key}' is more than one key.", "Choose a single key.")
        taken = self.command(key)
        if taken is not None and taken.id != command:
            raise InputError(f"'{key}' is the key for: {taken.text}.", "Choose a free key, or change that one first.")
        own = {**self._own, command: key}
        self._store({c: k for c, k in own.items() if k != _BY_ID[c].key})

    def reset(self) -> None:
        """Go back to the defaults."""
        self._store({})

    def _store(self, own: dict[str, str]) -> None:
        if self._path is not None:
            with replacing(self._path) as beside:
                beside.write_text(json.dumps(own, indent=1, sort_keys=True), "utf-8")
        self._own = own
        self.changed.emit()


def _read(path: Path) -> dict[str, str]:
    """Read stored keys; a damaged file is said in the log and leaves the defaults."""
    try:
        stored = json.loads(path.read_text("utf-8"))
        return {c: k for c, k in stored.items() if c in _BY_ID and isinstance(k, str)}
    except (OSError, ValueError, AttributeError) as error:
        log.warning("the file of keys cannot be read, the default keys hold: %s (%s)", path.name, error)
        return {}


def _portable(key: str) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)


def _is_function_key(key: str) -> bool:
    return len(key) > 1 and key[0] == "F" and key[1:].isdigit()


@cache
def shared_keys() -> KeyTable:
    """Return the table of keys of this process, stored in the person's configuration folder."""
    from platformdirs import user_config_path

    return KeyTable(user_config_path("napari-aml", appauthor=False) / "keys.json")


class KeyBindings(QObject):
    """Binds commands to a widget and its children, and follows changes of the key_table.

    A field for text that has the focus keeps its letters: Qt asks it first.

    Parameters
    ----------
    widget
        Where the keys work.
    key_table
        The keys.
    actions
        Command id → what it does.
    """

    def __init__(self, widget: QWidget, key_table: KeyTable, actions: Mapping[str, Callable[[], object]]) -> None:
        super().__init__(widget)
        self._key_table = key_table
        self._shortcuts: dict[str, QShortcut] = {}
        for command, action in actions.items():
            shortcut = QShortcut(widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda action=action: action())
            self._shortcuts[command] = shortcut
        key_table.changed.connect(self._on_changed)
        widget.destroyed.connect(lambda _=None, on=self._on_changed: key_table.changed.disconnect(on, missing_ok=True))
        self._on_changed()

    def _on_changed(self) -> None:
        for command, shortcut in self._shortcuts.items():
            shortcut.setKey(QKeySequence(self._key_table.key(command)))


def class_actions(decide: Callable[[str], object]) -> dict[str, Callable[[], object]]:
    """Return one action a class: command id → calls `decide` with the class code."""
    return {f"{CLASS_COMMAND}{c.code}": partial(decide, c.code) for c in CLASSES}


def tag_actions(toggle: Callable[[str], object]) -> dict[str, Callable[[], object]]:
    """Return one action a tag: command id → calls `toggle` with the tag's name."""
    return {f"{TAG_COMMAND}{name}": partial(toggle, name) for name in TAGS}
