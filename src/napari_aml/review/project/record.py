"""The record of a project in sqlite: opened safely, written durably, chained. Standard library only.

A change is on the disk when its transaction returns (write-ahead log, ``synchronous=FULL``). Decisions and events are
append-only, which triggers hold; each row's ``chain`` is the SHA-256 of the chain before it and the row's content, so
that a later change of any row shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_aml import __version__
from napari_aml.errors import InputError
from napari_aml.provenance import now_utc
from napari_aml.review.decisions import CLASS, MASK, NOTE, REGION, TAG, Decision
from napari_aml.review.project.errors import (
    DamagedProjectError,
    NewerProjectError,
    NotSavedError,
    ProjectError,
    ReadOnlyProjectError,
)
from napari_aml.review.project.files import RECORD, making_many
from napari_aml.review.project.mirror import Mirror
from napari_aml.review.project.schema import APPLICATION_ID, VERSION, migrate, misfit, version
from napari_aml.review.project.windows import other_machine

#: What sqlite says of a record that it cannot read: of spoiled names it cannot even say so, and lengths may be absurd.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError, MemoryError)
KINDS = frozenset((CLASS, TAG, NOTE, REGION, MASK))
#: How long a writer waits for another one, seconds.
PATIENCE = 10.0
#: The columns of a decision, in the order of the record; ``chain`` follows.
COLUMNS = ("seq", "id", "uid", "slide_id", "kind", "name", "value", "previous", "reader", "shown", "time", "app")
#: The decoder without its search for white space, which for a hundred thousand short texts is most of the time.
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # typeshed leaves it out
#: Encoders made once: making one a row is half of the time of writing 20,000 decisions.
_chain_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_shown_text = json.JSONEncoder(ensure_ascii=False, default=str).encode
#: So many values are asked for in one query.
_AT_ONCE = 500
_READ = "SELECT seq, id, uid, slide_id, kind, name, value, previous, reader, shown, time FROM decisions"


def chained(before: str, row: Sequence[Any]) -> str:
    """Return the chain after a row: SHA-256 over the chain before it and the row as canonical JSON."""
    text = _chain_text([before, *row])
    return hashlib.sha256(text.encode()).hexdigest()


class Record:
    """The sqlite file of one project folder.

    Parameters
    ----------
    folder
        The project.
    read_only
        Never write.
    make
        Make the record where there is none.

    Raises
    ------
    ProjectError
        No project, damaged, or newer than this program.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, make: bool = False) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._rows: list[Decision] = []
        self.used_by = "" if make else other_machine(folder)
        self.read_only = read_only or bool(self.used_by) or not _writable(folder)
        path = folder / RECORD
        if not make and not path.is_file():
            raise DamagedProjectError(folder, f"its record '{RECORD}' is missing.")
        with ExitStack() as failed:
            failed.callback(self._let_go)
            try:
                self._db = self._connect(path)
                self.migrated_from = self._check(make)
            except UNREADABLE as error:
                if "locked" in str(error):
                    raise NotSavedError(folder, "another window is writing.", "Try again in a moment.") from error
                raise _unreadable(folder, "its record", error) from error
            failed.pop_all()
        self.mirror = Mirror(folder)

    def _connect(self, path: Path) -> sqlite3.Connection:
        settings: dict[str, Any] = {
            "isolation_level": None, "check_same_thread": False, "timeout": PATIENCE, "cached_statements": 64,
        }  # fmt: skip
        if not self.read_only:
            db = sqlite3.connect(path, **settings)
            # On drives that know no shared memory sqlite stays with a rollback journal, which is as safe.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            return db
        try:
            if self.used_by:
                raise sqlite3.OperationalError("another machine writes here")
            db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, **settings)
            db.execute("SELECT count(*) FROM sqlite_master")
            return db
        except sqlite3.OperationalError:
            # A write-ahead log cannot be read where nothing can be written, nor shared with another machine: a copy
            # of both files can.
            self._copy = tempfile.TemporaryDirectory(prefix="napari-aml-")
            for name in (path.name, f"{path.name}-wal"):
                if path.with_name(name).exists():
                    shutil.copyfile(path.with_name(name), Path(self._copy.name) / name)
            return sqlite3.connect(Path(self._copy.name) / path.name, **settings)

    def _check(self, make: bool) -> int:
        had = version(self._db)
        kind = int(self._db.execute("PRAGMA application_id").fetchone()[0])
        if not make and (had == 0 or kind != APPLICATION_ID):
            raise DamagedProjectError(self.folder, f"'{RECORD}' is not a project's record.")
        if self.read_only and self._copy is None:
            if had > VERSION:
                raise NewerProjectError(self.folder, had, VERSION)
            if had < VERSION:
                raise ProjectError(
                    f"The project '{self.folder}' has the older format {had} and cannot be written.",
                    "Copy it to a place where you can write: there it is brought up to date.",
                )
            return had
        return migrate(self._db, self.folder if self._copy is None else Path(self._copy.name))

    def close(self) -> None:
        """Let go of the files; the write-ahead log goes into the record."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if hasattr(self, "_db"):
            self._db.close()
        if self._copy is not None:
            self._copy.cleanup()

    # ---- reading and writing -------------------------------------------------------------------------------

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.ProgrammingError as error:
                raise ProjectError(f"The project '{self.folder}' is closed.", "Open it again.") from error
            except UNREADABLE as error:
                raise _unreadable(self.folder, "a part of its record", error) from error

    def rows(
        self, table: str, columns: Sequence[str], tail: str = "", values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return rows of a table of which each value has its column's type.

        Raises
        ------
        DamagedProjectError
            Where one has not: sqlite itself does not see that.
        """
        found = self.all(f"SELECT {', '.join(columns)} FROM {table} {tail}", values)
        for row in found:
            if (name := misfit(table, columns, row)) is not None:
                raise DamagedProjectError(self.folder, f"'{name}' of an entry of its {table} cannot be read.")
        return found

    def parsed(self, text: str, table: str) -> dict[str, Any]:
        """Return the JSON object that an entry of a table holds."""
        try:
            told = json.loads(text)
        except ValueError as error:
            raise DamagedProjectError(self.folder, f"an entry of its {table} cannot be read ({error}).") from error
        return told if isinstance(told, dict) else {}

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is on the disk when the block ends, or nothing.

        Raises
        ------
        NotSavedError
            Read-only folder, full disk, or another writer that does not let go.
        """
        if self.read_only:
            raise ReadOnlyProjectError(self.folder)
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except (sqlite3.Error, UnicodeDecodeError) as error:
                self._roll_back()
                if isinstance(error, sqlite3.ProgrammingError):
                    raise ProjectError(f"The project '{self.folder}' is closed.", "Open it again.") from error
                if isinstance(error, sqlite3.OperationalError):
                    raise NotSavedError(self.folder, _in_words(error)) from error
                if isinstance(error, UNREADABLE) and not isinstance(error, sqlite3.IntegrityError):
                    raise DamagedProjectError(self.folder, f"its record cannot be written ({error}).") from error
                raise
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # the connection may be closed, or sqlite may have rolled back by itself
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # ---- decisions -----------------------------------------------------------------------------------------

    def record(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Append decisions; see `Project.record`."""
        for d in decisions:
            _check_decision(d)
        placed: list[Decision] = []
        rows: list[tuple[Any, ...]] = []
        new: list[Decision] = []
        with self.writing() as db:
            last = db.execute("SELECT seq, chain FROM decisions ORDER BY seq DESC LIMIT 1").fetchone()
            seq, chain = last or (0, "")
            known, said = _with_ids(db, [d.id for d in decisions]), _newest(db, {d.uid for d in decisions})
            for d in decisions:
                there = known.get(d.id)
                if there is not None:  # the same row again: a retry, or a second import
                    placed.append(there)
                    continue
                seq += 1
                about = (d.uid, d.reader, d.kind, d.name)
                d = Decision(
                    d.uid, d.slide_id, d.value, d.reader, d.kind, d.name, said.get(about), d.shown, d.time, d.id, seq
                )
                said[about] = d.value
                row = (*_row(d), __version__)
                chain = chained(chain, row)
                rows.append((*row, chain))
                known[d.id] = d
                placed.append(d)
                new.append(d)
            db.executemany(f"INSERT INTO decisions VALUES ({','.join('?' * 13)})", rows)
            names = sorted({(row[8],) for row in rows})
            db.executemany("INSERT OR IGNORE INTO readers VALUES (?, ?)", [(*n, now_utc()) for n in names])
        with self._lock:  # what this window wrote it need not read again
            if new and (self._rows[-1].seq if self._rows else 0) == new[0].seq - 1:
                self._rows += new
        self.mirror.append(rows, self)
        return placed

    def decisions(self, after: int = 0) -> list[Decision]:
        """Return the decisions beyond a place, those of other windows among them."""
        with self._lock:
            last = self._rows[-1].seq if self._rows else 0
            with making_many():
                told: dict[str, dict[str, Any]] = {"{}": {}}  # most of what was on show was so again and again
                rows = self.all(f"{_READ} WHERE seq > ? ORDER BY seq", (last,))
                try:
                    self._rows += [_decision(row, told) for row in rows]
                except (StopIteration, TypeError, ValueError) as error:  # what was on show is no JSON
                    raise DamagedProjectError(self.folder, f"a decision cannot be read ({error!r}).") from error
            if after <= 0:
                return list(self._rows)
            # Places have no gaps, except in a record that lost rows.
            start = min(after, len(self._rows))
            while start > 0 and self._rows[start - 1].seq > after:
                start -= 1
            return self._rows[start:]

    def decision_rows(self, after: int = 0) -> list[tuple[Any, ...]]:
        """Return whole rows with their chain, as the mirror keeps them."""
        return self.all("SELECT * FROM decisions WHERE seq > ? ORDER BY seq", (after,))

    # ---- events --------------------------------------------------------------------------------------------

    def event(self, db: sqlite3.Connection, reader: str, action: str, what: str, detail: dict[str, Any]) -> None:
        """Append an event within a transaction."""
        last = db.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        seq, chain = last or (0, "")
        row = (seq + 1, now_utc(), reader, action, what, json.dumps(detail, default=str), __version__)
        db.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?)", (*row, chained(chain, row)))


def _row(d: Decision) -> tuple[Any, ...]:
    shown = _shown_text(dict(d.shown))
    return (d.seq, d.id, d.uid, d.slide_id, d.kind, d.name, d.value, d.previous, d.reader, shown, d.time)


def _decision(row: Sequence[Any], told: dict[str, dict[str, Any]]) -> Decision:
    seq, identity, uid, slide_id, kind, name, value, previous, reader, shown, when = row
    seen = told.get(shown)
    if seen is None:
        seen = told[shown] = _scan(shown, 0)[0]
    return Decision(uid, slide_id, value, reader, kind, name, previous, seen, when, identity, seq)


def _with_ids(db: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Decision]:
    """Return those of the rows that the record has already, by their id."""
    return {row[1]: _decision(row, {}) for row in _where(db, _READ, "id", ids)}


def _newest(db: sqlite3.Connection, uids: Collection[str]) -> dict[tuple[str, ...], str | None]:
    """Return (uid, reader, kind, name) → the newest value, of all that was said of some cells."""
    asked = "SELECT seq, uid, reader, kind, name, value FROM decisions"
    return {row[1:5]: row[5] for row in sorted(_where(db, asked, "uid", list(uids)))}


def _where(db: sqlite3.Connection, asked: str, column: str, values: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        yield from db.execute(f"{asked} WHERE {column} IN ({','.join('?' * len(some))})", some)


def _check_decision(d: Decision) -> None:
    if d.kind not in KINDS:
        raise InputError(f"'{d.kind}' is no kind of decision.", f"Known: {', '.join(sorted(KINDS))}.")
    if not (isinstance(d.uid, str) and d.uid and isinstance(d.reader, str) and d.reader.strip()):
        raise InputError(
            f"A decision on cell '{d.uid}' by '{d.reader}' names no cell or no reader.", "Give a reader's alias first."
        )
    if d.value is not None and not isinstance(d.value, str):
        raise InputError(f"The decision on cell {d.uid} is {d.value!r}.", "Give a class code, a text or None.")


def _writable(folder: Path) -> bool:
    record = folder / RECORD
    return os.access(folder, os.W_OK) and (not record.exists() or os.access(record, os.W_OK))


def _unreadable(folder: Path, what: str, error: Exception) -> DamagedProjectError:
    return DamagedProjectError(folder, f"{what} cannot be read ({str(error) or 'lengths in it are absurd'}).")


def _in_words(error: sqlite3.OperationalError) -> str:
    text = str(error)
    if "full" in text:
        return "the disk is full."
    if "locked" in text or "busy" in text:
        return "another window has been writing for long."
    if "readonly" in text:
        return "its files are read-only."
    return f"the disk refused it ({text})."
