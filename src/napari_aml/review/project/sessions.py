"""What each reader last looked at: slides, layers, view, filters; it comes back when the project is opened."""

from __future__ import annotations

import json
from typing import Any

from napari_aml.provenance import now_utc
from napari_aml.review.project.record import Record


class Sessions:
    """The views of a project's readers, as JSON."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def save(self, reader: str, state: dict[str, Any]) -> None:
        """Keep a reader's view.

        Raises
        ------
        NotSavedError
            Read-only folder or full disk.
        """
        text = json.dumps(state, ensure_ascii=False, allow_nan=False)
        with self._record.writing() as db:
            db.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (reader, now_utc(), text))

    def load(self, reader: str | None = None) -> dict[str, Any]:
        """Return a reader's view (None: the one saved last); empty where there is none or it is damaged."""
        where, values = ("", ()) if reader is None else (" WHERE reader = ?", (reader,))
        rows = self._record.all(f"SELECT state FROM sessions{where} ORDER BY saved DESC, rowid DESC LIMIT 1", values)
        try:
            told = json.loads(rows[0][0]) if rows else {}
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    def last_reader(self) -> str:
        """Return the reader whose view was saved last, or an empty text."""
        rows = self._record.all("SELECT reader FROM sessions ORDER BY saved DESC, rowid DESC LIMIT 1")
        return str(rows[0][0]) if rows else ""
