"""Who has a project open: each window writes a line into the record and says now and then that it is still there."""

from __future__ import annotations

import os
import socket
import time
import uuid
from dataclasses import dataclass

from napari_aml.provenance import now_utc
from napari_aml.review.project.record import Record

#: A window of another machine that was silent for so long is taken for gone, seconds.
SILENT = 120.0


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

    def leave(self) -> None:
        """Say that this window closes."""
        with self._record.writing() as db:
            db.execute("DELETE FROM windows WHERE id = ?", (self.id,))

    def others(self) -> list[Window]:
        """Return the other windows that have the project open."""
        now = time.time()
        return [w for w, seen in self._listed() if w.id != self.id and _alive(w, seen, now)]

    def _listed(self) -> list[tuple[Window, float]]:
        rows = self._record.all("SELECT id, reader, host, pid, opened, seen FROM windows ORDER BY opened")
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
