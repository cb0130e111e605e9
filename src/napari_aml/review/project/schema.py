"""The record's tables, their versions, and how an older record becomes a newer one. Standard library only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from napari_aml.review.project.errors import NewerProjectError
from napari_aml.review.project.files import KEPT

#: "AMLP": tells this kind of sqlite file from others.
APPLICATION_ID = 0x414D4C50

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE readers (alias TEXT PRIMARY KEY, joined TEXT NOT NULL);
CREATE TABLE slides (
    slide_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, name TEXT NOT NULL, path TEXT, absolute TEXT,
    bytes INTEGER, mtime_ns INTEGER, height INTEGER NOT NULL, width INTEGER NOT NULL,
    pixel_size_um REAL, pixel_size_source TEXT, pixel_size_detail TEXT, patient TEXT, added TEXT NOT NULL
);
CREATE TABLE decisions (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, uid TEXT NOT NULL, slide_id TEXT NOT NULL, kind TEXT NOT NULL,
    name TEXT NOT NULL, value TEXT, previous TEXT, reader TEXT NOT NULL, shown TEXT NOT NULL, time TEXT NOT NULL,
    app TEXT NOT NULL, chain TEXT NOT NULL
);
CREATE INDEX decisions_about ON decisions (uid, reader, kind, name, seq);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_last BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, slide_id TEXT NOT NULL, revision INTEGER NOT NULL, folder TEXT NOT NULL,
    created TEXT NOT NULL, bundle_id TEXT, bundle_path TEXT, n_cells INTEGER NOT NULL, provenance TEXT NOT NULL,
    UNIQUE (slide_id, revision)
);
CREATE TABLE links (
    slide_id TEXT PRIMARY KEY, path TEXT, absolute TEXT NOT NULL, sample TEXT NOT NULL, sha256 TEXT NOT NULL,
    age REAL, sex TEXT, added TEXT NOT NULL
);
"""

# 2: what happened besides decisions (slides added, moved, repaired …), who has the project open, the views to restore.
_EVENTS_AND_WINDOWS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, time TEXT NOT NULL, reader TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL,
    detail TEXT NOT NULL, app TEXT NOT NULL, chain TEXT NOT NULL
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_last BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TABLE windows (
    id TEXT PRIMARY KEY, reader TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, opened TEXT NOT NULL,
    seen REAL NOT NULL
);
CREATE TABLE sessions (reader TEXT PRIMARY KEY, saved TEXT NOT NULL, state TEXT NOT NULL);
"""

#: Step i makes version i + 1 out of version i. Steps are only ever added.
MIGRATIONS: tuple[str, ...] = (_TABLES, _EVENTS_AND_WINDOWS)
VERSION = len(MIGRATIONS)

#: No name or path of a file holds a zero byte.
_OF_FILES = frozenset({"slides", "runs", "links"})
_KINDS: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}


@cache
def plan() -> tuple[dict[str, str], dict[str, dict[str, tuple[type, ...]]]]:
    """Return what a new record holds.

    Returns
    -------
    drawn : dict
        Name of each table, index and trigger → the statement that makes it.
    kinds : dict
        Table → column → the types of Python that its values may have.
    """
    new = sqlite3.connect(":memory:")
    try:
        for script in MIGRATIONS:
            for statement in statements(script):
                new.execute(statement)
        drawn = dict(new.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        kinds = {}
        for (table,) in new.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            kinds[table] = {
                name: _KINDS[kind] + (() if needed or key else (type(None),))
                for _, name, kind, needed, _, key in new.execute(f"PRAGMA table_info({table})")
            }
        return drawn, kinds
    finally:
        new.close()


def misfit(table: str, columns: Sequence[str], row: Sequence[object]) -> str | None:
    """Return the first column whose value is not of the kind that the table was made for, None where all fit."""
    kinds = plan()[1][table]
    for name, value in zip(columns, row, strict=True):
        if not isinstance(value, kinds[name]) or (table in _OF_FILES and isinstance(value, str) and "\0" in value):
            return name
    return None


def version(connection: sqlite3.Connection) -> int:
    """Return the version of a record; 0 = empty."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, folder: Path) -> int:
    """Bring a record to the newest version, each step whole or not at all; return the version it had.

    A copy of an older record is kept first.

    Raises
    ------
    NewerProjectError
        When it is newer than this program.
    """
    had = version(connection)
    if had > VERSION:
        raise NewerProjectError(folder, had, VERSION)
    if 0 < had < VERSION:
        keep_copy(connection, folder, f"version-{had}")
    for number in range(had, VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version(connection) == number:  # else another window was faster
                for statement in statements(MIGRATIONS[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return had


def statements(script: str) -> list[str]:
    """Split a script into statements (``executescript`` would end the transaction); triggers stay whole."""
    found, part = [], ""
    for line in script.splitlines():
        part += line + "\n"
        if sqlite3.complete_statement(part):
            found.append(part.strip())
            part = ""
    return [s for s in found if s]


def keep_copy(connection: sqlite3.Connection, folder: Path, why: str) -> Path:
    """Keep a copy of the record as it is now."""
    kept = folder / KEPT
    kept.mkdir(exist_ok=True)
    path = kept / f"{why}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.sqlite"
    copy = sqlite3.connect(path)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    return path
