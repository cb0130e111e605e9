"""The second copy of the decisions: one JSON object a line, appended after each change of the record.

The record is what counts; the mirror is there to repair it. It is appended in one write, so that two windows never mix
their lines; a line that a kill cut short is passed over, and the next change completes what is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.review.project.files import MIRROR

if TYPE_CHECKING:
    from napari_aml.review.project.record import Record

_TAIL = 1 << 16
_text = json.JSONEncoder(ensure_ascii=False).encode


class Mirror:
    """The file ``decisions.jsonl`` of a project folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MIRROR
        self._caught_up = False

    def append(self, rows: Sequence[tuple[Any, ...]], record: Record) -> None:
        """Append rows of the record; what cannot be written now is completed later."""
        try:
            if not self._caught_up:
                rows = record.decision_rows(self._last())
                self._caught_up = True
            if rows:
                self._write(rows)
        except OSError:  # the decision is safe in the record; the next append or a verify completes the mirror
            self._caught_up = False

    def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        from napari_aml.review.project.record import COLUMNS

        names = (*COLUMNS, "chain")
        lines = [_text(dict(zip(names, row, strict=True))) for row in rows]
        data = ("\n".join(lines) + "\n").encode()
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            size = os.fstat(handle).st_size
            if size and _byte(handle, size - 1) != b"\n":
                data = b"\n" + data
            if os.write(handle, data) < len(data):
                raise OSError("the disk is full")
        finally:
            os.close(handle)

    def complete(self, record: Record) -> int:
        """Append every row of the record that is missing here; return how many."""
        known = {row[0] for row in self.rows()[0]}
        missing = [row for row in record.decision_rows() if row[0] not in known]
        if missing:
            self._write(missing)
        return len(missing)

    def _last(self) -> int:
        """Return the greatest place among the last lines; 0 where there are none (then all is appended)."""
        if not self.path.exists():
            return 0
        with open(self.path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL))
            lines = stream.read().split(b"\n")
        rows = [row for line in lines if (row := _parse(line)) is not None]
        # Two windows may have appended out of order, or one may not have come to it: start from the first gap here.
        places = sorted({row[0] for row in rows})
        if not places:
            return 0
        first = places[0]
        for i, place in enumerate(places):
            if place != first + i:
                return places[i - 1]
        return places[-1]

    def rows(self) -> tuple[list[tuple[Any, ...]], int]:
        """Return the rows, one a place, in order of place, and the number of lines that could not be read."""
        found: dict[int, tuple[Any, ...]] = {}
        bad = 0
        if not self.path.exists():
            return [], 0
        with open(self.path, "rb") as stream:
            for line in stream:
                if not line.strip():
                    continue
                row = _parse(line)
                if row is None:
                    bad += 1
                else:
                    found.setdefault(row[0], row)
        return [found[place] for place in sorted(found)], bad


def _parse(line: bytes) -> tuple[Any, ...] | None:
    from napari_aml.review.project.record import COLUMNS

    try:
        told = json.loads(line)
        row = tuple(told[name] for name in (*COLUMNS, "chain"))
    except (ValueError, KeyError, TypeError):
        return None
    return row if isinstance(row[0], int) else None


def _byte(handle: int, place: int) -> bytes:
    os.lseek(handle, place, os.SEEK_SET)
    return os.read(handle, 1)
