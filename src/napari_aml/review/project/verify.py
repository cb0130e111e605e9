"""Is a project whole? What is not is said, and what can be repaired is; no decision is ever deleted."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps
from napari_aml.review.decisions import CLASS, REGION
from napari_aml.review.project.errors import DamagedProjectError, NewerProjectError, ProjectError
from napari_aml.review.project.files import CARD, RECORD, SLIDES, SUFFIX
from napari_aml.review.project.mirror import Mirror
from napari_aml.review.project.project import Project
from napari_aml.review.project.record import UNREADABLE, Record, chained
from napari_aml.review.project.rescue import rescue, write_card
from napari_aml.review.project.schema import plan

Level = Literal["ok", "note", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    level
        ``ok``; ``note``: nothing is lost, but look at it; ``error``: damaged.
    text
        What was found, in plain words.
    repaired
        Whether it was an error and is none any more.
    """

    level: Level
    text: str
    repaired: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is an error that stands."""
        return self.level == "error" and not self.repaired

    def __str__(self) -> str:
        mark = "repaired" if self.repaired else {"ok": "ok", "note": "note", "error": "ERROR"}[self.level]
        return f"{mark}: {self.text}"


def verify_steps(
    path: str | Path, *, repair: bool = False, look_in: str | Path | None = None
) -> Steps[list[Finding]]:
    """Look at every part of a project, yielding progress.

    Parameters
    ----------
    path
        The project folder.
    repair
        Repair what can be repaired. Damaged files are moved into the folder ``kept`` first.
    look_in
        A folder in which missing pictures are looked for.

    Returns
    -------
    list of Finding
        Errors that stand have ``is_open``.

    Raises
    ------
    ProjectError
        When the folder is no project at all, or is newer than this program.
    """
    folder = Path(path).expanduser()
    parts = (CARD, RECORD, SLIDES)
    if not folder.is_dir() or not (folder.suffix == SUFFIX or any((folder / name).exists() for name in parts)):
        raise ProjectError(f"'{folder}' is no project.", f"A project is a folder NAME{SUFFIX}.")
    found: list[Finding] = []
    total = 6
    yield Progress(0, total, "Reading the record")
    found += _card(folder, repair)
    found += _record(folder, repair)
    if any(f.is_open for f in found):
        return found
    with Project.open(folder, read_only=not repair) as project:
        record = project._record
        yield Progress(1, total, "Checking the chain of decisions")
        found += _chains(record)
        yield Progress(2, total, "Comparing the second copy of the decisions")
        found += _mirror(record, repair)
        yield Progress(3, total, "Reading the cells")
        uids: dict[str, set[str]] = {}
        for entry in project.slides():
            found += _cells(project, entry.slide_id, repair, uids)
            yield Progress(3, total, f"Cells of {entry.name}")
        yield Progress(4, total, "Looking for the pictures")
        if look_in is not None and not project.read_only:
            for entry in project.relink(look_in):
                text = f"the picture '{entry.name}' was missing and is found at {entry.path}"
                found.append(Finding("error", text, True))
        for entry in project.slides():
            found.append(_picture(project, entry.slide_id, repair))
            yield Progress(4, total, f"Picture {entry.name}")
        yield Progress(5, total, "Looking at what was said")
        found += _words(project, uids)
    yield Progress(total, total, "Verified")
    return found


def _card(folder: Path, repair: bool) -> Iterator[Finding]:
    import json

    try:
        json.loads((folder / CARD).read_text("utf-8"))["project_id"]
    except (OSError, ValueError, KeyError, TypeError):
        if repair:
            write_card(folder)
        yield Finding("error", f"'{CARD}' is missing or damaged", repair)


def _record(folder: Path, repair: bool) -> Iterator[Finding]:
    """Check the record as sqlite sees it, and that its tables and guards are there."""
    why = _damage(folder)
    if why is None:
        yield Finding("ok", "the record can be read whole")
    elif not repair:
        yield Finding("error", f"the record is damaged: {why} (verify --repair makes it anew)")
    else:
        kept, counts = rescue(folder)
        text = (
            f"the record was damaged ({why}) and was made anew: {counts['decisions']} decisions "
            f"({counts['from_mirror']} of them from the second copy), {counts['slides']} slides, {counts['runs']} "
            f"revisions of cells; the damaged files are kept in '{kept.relative_to(folder)}'"
        )
        yield Finding("error", text, True)
        if counts["gaps"]:
            yield Finding("error", f"{counts['gaps']} decisions are in neither copy")


def _damage(folder: Path) -> str | None:
    """Return what is wrong with the record, None when it is whole."""
    try:
        record = Record(folder, read_only=True)
    except NewerProjectError:
        raise
    except DamagedProjectError as error:
        return error.message
    except ProjectError:  # an older format that must be opened for writing once
        record = Record(folder)
    try:
        (said,) = record.all("PRAGMA integrity_check(1)")[0]
        if said != "ok":
            return str(said)
        drawn, kinds = plan()
        there = dict(record.all("SELECT name, sql FROM sqlite_master"))
        if missing := sorted(drawn.keys() - there.keys()):
            return f"it lacks {', '.join(missing)}"
        if changed := [name for name, statement in drawn.items() if there[name] != statement]:
            return f"'{changed[0]}' is not as it was made"
        for table, columns in kinds.items():
            record.rows(table, tuple(columns))
        if broken := _broken(record):
            return f"decision {broken} is not what was recorded: the chain of hashes breaks there"
        return None
    except (AmlError, *UNREADABLE) as error:
        return str(error)
    finally:
        record.close()


def _broken(record: Record) -> int:
    """Return the place of the first decision whose content does not give its chain, 0 where all do."""
    before = ""
    for expected, row in enumerate(record.decision_rows(), start=1):
        if row[0] != expected or chained(before, row[:-1]) != row[-1]:
            return int(row[0])
        before = row[-1]
    return 0


def _chains(record: Record) -> Iterator[Finding]:
    n = record.all("SELECT count(*) FROM decisions")[0][0]
    if broken := _broken(record):
        yield Finding("error", f"decision {broken} or one before it was changed or removed outside of this program")
    else:
        yield Finding("ok", f"{n} decisions, each as it was recorded (the chain of hashes holds)")
    before = ""
    for row in record.all("SELECT * FROM events ORDER BY seq"):
        if chained(before, row[:-1]) != row[-1]:
            yield Finding("note", f"event {row[0]} or one before it was changed or removed outside of this program")
            return
        before = row[-1]


def _mirror(record: Record, repair: bool) -> Iterator[Finding]:
    """Compare the second copy with the record."""
    rows, bad = Mirror(record.folder).rows()
    own = {row[0]: row for row in record.decision_rows()}
    missing = len(own.keys() - {row[0] for row in rows})
    other = [row for row in rows if row[0] in own and row[-1] != own[row[0]][-1]]
    if bad:
        yield Finding("note", f"{bad} lines of the second copy were cut short (by a crash or a full disk)")
    if other:
        yield Finding("note", f"the second copy differs from decision {other[0][0]} on: it is of another project")
    if beyond := [row for row in rows if row[0] not in own]:
        yield from _beyond(record, beyond, repair)
    if missing:
        if repair:
            record.mirror.complete(record)
        yield Finding("error" if repair else "note", f"the second copy lacked {missing} decisions", repair)


def _beyond(record: Record, rows: list[tuple[object, ...]], repair: bool) -> Iterator[Finding]:
    """Take decisions that only the second copy has (the record is an older copy) where they continue the chain."""
    text = f"{len(rows)} decisions are in the second copy only: the record is older than it"
    if not repair:
        yield Finding("error", text)
        return
    with record.writing() as db:
        last = db.execute("SELECT seq, chain FROM decisions ORDER BY seq DESC LIMIT 1").fetchone()
        seq, chain = last or (0, "")
        taken = 0
        for row in rows:
            if row[0] == seq + 1 and chained(chain, row[:-1]) == row[-1]:
                db.execute(f"INSERT INTO decisions VALUES ({','.join('?' * 13)})", row)
                seq, chain, taken = seq + 1, str(row[-1]), taken + 1
    yield Finding("error", f"{text}; {taken} of them were taken back", taken == len(rows))


def _cells(project: Project, slide_id: str, repair: bool, uids: dict[str, set[str]]) -> Iterator[Finding]:
    """Check that the cells of a slide can be read; fall back on an older revision where the newest is damaged."""
    from napari_aml.review.project.revisions import read_cells, read_heatmaps, read_predictions

    store = project.cell_store
    runs = store.all(slide_id)
    folder = project.folder / SLIDES / slide_id
    for leftover in sorted(folder.glob(".*")) if folder.is_dir() else ():
        if repair:
            shutil.rmtree(leftover, ignore_errors=True)
        yield Finding("note", f"{slide_id}: half-written files of a crash{' were removed' if repair else ''}")
    for run in reversed(runs):
        try:
            cells = read_cells(store.path(run))
            for label in cells.masks:
                cells.masks.patches[label]
            said, maps = read_predictions(store.path(run)), read_heatmaps(store.path(run))
            for name, rows in (("predictions", said), ("heatmaps", maps)):
                if rows is not None and len(rows) != len(cells):
                    raise ProjectError(f"{len(cells)} cells but {len(rows)} {name}.")
        except Exception as error:  # damaged files fail in dozens of ways
            why = error.message if isinstance(error, AmlError) else f"{type(error).__name__}: {error}"
            done = repair and run is not runs[0]
            if done:
                store.withdraw(run, project.reader, why)
            yield Finding("error", f"{slide_id}: revision {run.revision} of its cells is damaged ({why})", done)
            continue
        uids[slide_id] = set(cells.table["uid"])
        yield Finding("ok", f"{slide_id}: {len(cells)} cells, revision {run.revision}")
        return
    if runs:
        yield Finding("error", f"{slide_id}: no revision of its cells can be read; add the slide anew (decisions stay)")


def _picture(project: Project, slide_id: str, repair: bool) -> Finding:
    entry, located = project.entry(slide_id), project.locate(slide_id)
    if located.status == "missing" and repair and project._pictures.restore(slide_id, project.reader):
        name = project.entry(slide_id).name
        return Finding("error", f"picture '{name}' was not where the record says, but where its second copy says", True)
    if located.status in ("ok", "moved", "none"):
        return Finding("ok", f"picture '{entry.name}': {located}")
    if located.status == "changed":
        return Finding("error", f"picture '{entry.name}' has changed since it was added: {located.path}")
    return Finding("error", f"picture '{entry.name}' is missing (--look-in FOLDER finds it where it is now)")


def _words(project: Project, uids: dict[str, set[str]]) -> Iterator[Finding]:
    """Look for words on things that are not there, and for codes that nobody knows."""
    from napari_aml.taxonomy import BY_CODE

    rows = project.decisions()
    known = {e.slide_id for e in project.slides()}
    strange = Counter(d.value for d in rows if d.kind == CLASS and d.value and d.value not in BY_CODE)
    for code, n in strange.most_common():
        yield Finding("note", f"{n} decisions say '{code}', which is no known class: kept, and counted as excluded")
    if elsewhere := {d.slide_id for d in rows} - known:
        yield Finding("note", f"there are decisions on {len(elsewhere)} slides that are not in the project: kept")
    gone = {
        d.uid for d in rows if d.slide_id in uids and d.kind != REGION and d.uid not in uids[d.slide_id]
    }  # fmt: skip
    if gone:
        yield Finding("note", f"there are decisions on {len(gone)} cells whose masks were deleted since: kept")
