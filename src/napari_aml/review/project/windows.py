"""Who has a project open: each window writes a line into the record and says now and then that it is still there.

Windows of one machine share the record. Two machines on a network drive cannot (sqlite's log needs shared memory), so
the machine that came first leaves its name in a file beside the record, and the other one may only look.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aml.provenance import now_utc

if TYPE_CHECKING:
    from napari_aml.review.project.record import Record

#: A window of another machine that was silent for so long is taken for gone, seconds.
SILENT = 180.0
IN_USE = "in-use.json"


def other_machine(folder: Path) -> str:
    """Return the name of another machine that has the project open now, empty for none."""
    try:
        told = json.loads((folder / IN_USE).read_text("utf-8"))
        host, seen = str(told["host"]), float(told["seen"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return host if host != socket.gethostname() and time.time() - seen < SILENT else ""


def _say_in_use(folder: Path) -> None:
    # Not worth failing for: it protects from another machine only.
    with contextlib.suppress(OSError):
        beside = folder / f".{IN_USE}.{uuid.uuid4().hex[:8]}"
        beside.write_text(json.dumps({"host": socket.gethostname(), "seen": time.time()}), "utf-8")
        os.replace(beside, folder / IN_USE)


@dataclass(frozen=True)
class Window:
    """A window that has the project open."""

    id: str
    reader: str
    host: str
    pid: int
    opened: str

    def __str__(self) -> str:
        where = "this machine" if self.host == socket.gethostname() else self.host
        return f"{self.reader or 'no reader yet'} on {where} since {self.opened}"


class Windows:
    """The windows of a project, and this one among them."""

    def __init__(self, record: Record, reader: str) -> None:
        self._record, self.id = record, uuid.uuid4().hex
        self._opened = now_utc()
        if not record.read_only:
            self.say(reader)

    def say(self, reader: str) -> None:
        """Say that this window is there, and who sits at it; lines of windows that are gone are removed."""
        now = time.time()
        gone = [(w.id,) for w, seen in self._listed() if not _alive(w, seen, now)]
        with self._record.writing() as db:
            db.executemany("DELETE FROM windows WHERE id = ?", gone)
            db.execute(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?, ?)",
                (self.id, reader, socket.gethostname(), os.getpid(), self._opened, now),
            )
        _say_in_use(self._record.folder)

    def leave(self) -> None:
        """Say that this window closes."""
        with self._record.writing() as db:
            db.execute("DELETE FROM windows WHERE id = ?", (self.id,))
        if not self.others():
            with contextlib.suppress(OSError):
                (self._record.folder / IN_USE).unlink(missing_ok=True)

    def others(self) -> list[Window]:
        """Return the other windows that have the project open."""
        now = time.time()
        return [w for w, seen in self._listed() if w.id != self.id and _alive(w, seen, now)]

    def _listed(self) -> list[tuple[Window, float]]:
        columns = ("id", "reader", "host", "pid", "opened", "seen")
        rows = self._record.rows("windows", columns, "ORDER BY opened")
        return [(Window(*row[:5]), float(row[5])) for row in rows]


def _alive(window: Window, seen: float, now: float) -> bool:
    if now - seen < 0 or window.host != socket.gethostname() or os.name == "nt":
        return now - seen < SILENT  # on Windows asking for a process by number would end it
    try:
        os.kill(window.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
