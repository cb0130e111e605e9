"""A damaged record is made anew from what can be read of it, from the second copy, and from the slides' own files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_aml import RESEARCH_USE
from napari_aml._files import replacing
from napari_aml.provenance import now_utc
from napari_aml.review.project.errors import ProjectError
from napari_aml.review.project.files import CARD, FORMAT, KEPT, RECORD, SLIDES, flush
from napari_aml.review.project.mirror import Mirror
from napari_aml.review.project.pictures import COLUMNS as SLIDE_COLUMNS
from napari_aml.review.project.record import COLUMNS as DECISION_COLUMNS
from napari_aml.review.project.record import UNREADABLE, Record, chained
from napari_aml.review.project.runs import COLUMNS as RUN_COLUMNS
from napari_aml.review.project.schema import misfit, plan

_SIDE = ("", "-wal", "-shm")
_MOST = 5_000_000
#: What stands for a spoiled value of a decision that can be read otherwise. Its chain then breaks, which is said.
_SPARE: dict[str, str | None] = {"name": "", "previous": None, "shown": "{}", "time": "", "app": "", "chain": ""}


def write_card(folder: Path) -> None:
    """Write ``project.json`` anew, with what the record knows where it can be read."""
    card = {
        "format": FORMAT, "project_id": uuid.uuid4().hex, "name": folder.stem, "created_utc": now_utc(),
        "research_use": RESEARCH_USE,
    }  # fmt: skip
    with contextlib.suppress(*UNREADABLE, ProjectError):
        record = Record(folder, read_only=True)
        card |= {k: v for k, v in record.all("SELECT key, value FROM meta") if k in card}
        record.close()
    with replacing(folder / CARD) as beside:
        beside.write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def rescue(folder: Path) -> tuple[Path, dict[str, int]]:
    """Make the record anew; the damaged files are kept.

    Returns
    -------
    kept : pathlib.Path
        Where the damaged files are.
    counts : dict
        ``decisions``, of which ``from_mirror`` only there; ``gaps``: places that are in neither copy; ``slides``;
        ``runs``.
    """
    kept = folder / KEPT / f"damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:4]}"
    kept.mkdir(parents=True)
    for end in _SIDE:
        if (folder / f"{RECORD}{end}").exists():
            shutil.copy2(folder / f"{RECORD}{end}", kept / f"{RECORD}{end}")
    if Mirror(folder).path.exists():
        shutil.copy2(Mirror(folder).path, kept / Mirror(folder).path.name)
    old = _Remains(kept)
    decisions, from_mirror, gaps = _decisions(old, Mirror(folder))
    work = folder / f".rescue-{uuid.uuid4().hex[:8]}"
    work.mkdir()
    try:
        runs, slides = _fill(work, folder, old, decisions)
        old.close()
        # The old log must be gone before the new record takes the name, or sqlite would play it into the new one.
        for end in _SIDE[1:]:
            (folder / f"{RECORD}{end}").unlink(missing_ok=True)
        flush(work / RECORD)
        os.replace(work / RECORD, folder / RECORD)
        flush(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    counts = {"decisions": len(decisions), "from_mirror": from_mirror, "gaps": gaps, "slides": slides, "runs": runs}
    return kept, counts


class _Remains:
    """What can still be read of a damaged record, row by row."""

    def __init__(self, kept: Path) -> None:
        self._db: sqlite3.Connection | None = None
        with contextlib.suppress(*UNREADABLE):
            # A copy of the copy: opening it plays the log in and would change the kept files.
            work = kept / ".reading"
            work.mkdir()
            for end in _SIDE[:2]:
                if (kept / f"{RECORD}{end}").exists():
                    shutil.copyfile(kept / f"{RECORD}{end}", work / f"{RECORD}{end}")
            self._db = sqlite3.connect(work / RECORD)
        self._work = kept / ".reading"

    def rows(self, table: str, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table that can be read and whose values have their columns' types."""
        return (row for row in self._rows(table, columns) if misfit(table, columns, row) is None)

    def decisions(self, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        """Yield the decisions of which can be read who said what of which cell, whatever else is spoiled."""
        for row in self._rows("decisions", columns):
            told = dict(zip(columns, row, strict=True))
            spoiled = {name for name in columns if misfit("decisions", (name,), (told[name],))}
            if spoiled <= _SPARE.keys():
                yield tuple(_SPARE[name] if name in spoiled else told[name] for name in columns)

    def _rows(self, table: str, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        """Read forwards until the damage, then backwards to it, then singly."""
        if self._db is None:
            return
        names = ", ".join(columns)
        seen: set[int] = set()
        for order in ("ASC", "DESC"):
            try:
                for row in self._db.execute(f"SELECT rowid, {names} FROM {table} ORDER BY rowid {order}"):
                    if row[0] in seen:
                        return
                    seen.add(row[0])
                    yield row[1:]
                return
            except UNREADABLE:
                continue
        if not seen:
            return
        for place in range(min(seen), min(max(seen), _MOST) + 1):
            if place not in seen:
                with contextlib.suppress(*UNREADABLE):
                    row = self._db.execute(f"SELECT {names} FROM {table} WHERE rowid = ?", (place,)).fetchone()
                    if row is not None:
                        yield row

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
        shutil.rmtree(self._work, ignore_errors=True)


def _decisions(old: _Remains, mirror: Mirror) -> tuple[list[tuple[Any, ...]], int, int]:
    """Return the best row of each place, how many are of the mirror alone, and how many places are empty.

    Of two rows of one place the one counts that continues the chain. Rows keep their places and chains wherever the
    chain holds; where it does not, what was said is kept, too, and verify goes on saying so.
    """
    said: dict[int, tuple[Any, ...]] = {}
    columns = (*DECISION_COLUMNS, "chain")
    for row in old.decisions(columns):
        said.setdefault(row[0], row)
    copied = {row[0]: row for row in mirror.rows()[0] if misfit("decisions", columns, row) is None}
    out: list[tuple[Any, ...]] = []
    before, from_mirror, used = "", 0, set()
    last = max([*said, *copied], default=0)
    gaps = 0
    for place in range(1, last + 1):
        options = [row for row in (said.get(place), copied.get(place)) if row is not None]
        if not options:
            gaps += 1
            continue
        row = next((r for r in options if chained(before, r[:-1]) == r[-1]), options[-1])
        if row[1] in used:
            continue
        used.add(row[1])
        from_mirror += place not in said or (row is copied.get(place) and row != said[place])
        out.append(row)
        before = row[-1]
    return out, from_mirror, gaps


def _fill(work: Path, folder: Path, old: _Remains, decisions: list[tuple[Any, ...]]) -> tuple[int, int]:
    """Write the new record; return the numbers of revisions and slides."""
    record = Record(work, make=True)
    try:
        with record.writing() as db:
            card = _json(folder / CARD)
            meta = {**card, **dict(old.rows("meta", ("key", "value")))}
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in meta.items()])
            for row in old.rows("readers", ("alias", "joined")):
                db.execute("INSERT OR IGNORE INTO readers VALUES (?, ?)", row)
            for row in decisions:
                db.execute(f"INSERT INTO decisions VALUES ({','.join('?' * 13)})", row)
                db.execute("INSERT OR IGNORE INTO readers VALUES (?, ?)", (row[8], row[10]))
            slides = {row[0]: row for row in old.rows("slides", SLIDE_COLUMNS)}
            for path in sorted(folder.glob(f"{SLIDES}/*/slide.json")):
                told = _json(path)
                row = tuple(told.get(name) for name in SLIDE_COLUMNS)
                if row[0] == path.parent.name and misfit("slides", SLIDE_COLUMNS, row) is None:
                    slides.setdefault(row[0], row)
            marks = ",".join("?" * len(SLIDE_COLUMNS))
            for row in slides.values():
                db.execute(f"INSERT OR IGNORE INTO slides ({', '.join(SLIDE_COLUMNS)}) VALUES ({marks})", row)
            runs = {row[0]: row for row in old.rows("runs", RUN_COLUMNS)}
            for path in sorted(folder.glob(f"{SLIDES}/*/r*/run.json")):
                told = _json(path)
                told["provenance"] = json.dumps(told.get("provenance", {}))
                row = tuple(told.get(name) for name in RUN_COLUMNS)
                if misfit("runs", RUN_COLUMNS, row) is None:
                    runs.setdefault(row[0], row)
            for row in sorted(runs.values(), key=lambda r: (r[1], r[2])):
                db.execute("INSERT OR IGNORE INTO runs VALUES (?,?,?,?,?,?,?,?,?)", row)
            for table in ("links", "sessions", "events"):
                columns = tuple(plan()[1][table])
                for row in old.rows(table, columns):
                    db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * len(columns))})", row)
            record.event(db, "", "record made anew", str(meta.get("project_id", "")), {"decisions": len(decisions)})
        record._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        record.close()
    return len(runs), len(slides)


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
