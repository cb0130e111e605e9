"""The slides of a project: known by the hash of their content, found by relative path, found again when moved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_aml.errors import AmlError
from napari_aml.provenance import file_sha256, now_utc
from napari_aml.review.project.errors import ProjectError, SlideChangedError, SlideMissingError
from napari_aml.review.project.files import SLIDES
from napari_aml.review.project.record import Record
from napari_aml.review.project.schema import misfit

if TYPE_CHECKING:
    from napari_aml.slides import Slide

#: ``moved``: found at another place than noted; ``none``: the picture never came from a file.
Status = Literal["ok", "moved", "changed", "missing", "none"]

#: A picture of at least so many pixels that has to be decoded whole may come later than its cells.
DECODED_MEANWHILE = 1 << 22

COLUMNS = (
    "slide_id", "sha256", "name", "path", "absolute", "bytes", "mtime_ns", "height", "width", "pixel_size_um",
    "pixel_size_source", "pixel_size_detail", "patient", "added",
)  # fmt: skip


@dataclass(frozen=True)
class SlideEntry:
    """One slide of a project, as its record has it.

    Attributes
    ----------
    slide_id, sha256
        Made of the content of the picture's file.
    name
        For people.
    path
        Relative to the project folder, with ``/``; None where the picture came from no file or lies on another drive.
    absolute
        Where it was seen last.
    bytes, mtime_ns
        Size and time of change of the file when it was checked last; while both hold it is taken for unchanged.
    height, width
        Of level 0, pixels.
    pixel_size_um, pixel_size_source, pixel_size_detail
        As in `napari_aml.slides.PixelSize`.
    patient
        A pseudonym, or None.
    added
        UTC.
    """

    slide_id: str
    sha256: str
    name: str
    path: str | None
    absolute: str | None
    bytes: int | None
    mtime_ns: int | None
    height: int
    width: int
    pixel_size_um: float | None
    pixel_size_source: str
    pixel_size_detail: str
    patient: str | None
    added: str


@dataclass(frozen=True)
class Located:
    """Where a slide's picture is now."""

    status: Status
    path: Path | None = None
    entry: SlideEntry | None = None

    def __str__(self) -> str:
        return {
            "ok": "there", "moved": f"moved to {self.path}", "changed": f"CHANGED: {self.path}",
            "missing": "MISSING", "none": "came from no file",
        }[self.status]  # fmt: skip


def entry_of(slide: Slide, folder: Path, patient: str | None = None) -> SlideEntry:
    """Describe a slide for the record of the project in `folder`."""
    path = None if slide.path is None else Path(slide.path).resolve()
    size = slide.pixel_size
    return SlideEntry(
        slide.slide_id, slide.sha256, slide.name, *places(path, folder), *_stamp(path), *slide.shape,
        size.um, size.source, size.detail, patient, now_utc(),
    )  # fmt: skip


def places(path: Path | None, folder: Path) -> tuple[str | None, str | None]:
    """Return a file's place relative to the project (None on another drive) and its absolute one."""
    if path is None:
        return None, None
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix(), str(path)
    except ValueError:
        return None, str(path)


def _stamp(path: Path | None) -> tuple[int | None, int | None]:
    if path is None or not path.is_file():
        return None, None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def locate(entry: SlideEntry, folder: Path) -> Located:
    """Find a slide's picture; it is hashed only where its size or time of change differ from those noted.

    Returns
    -------
    Located
        With an entry brought up to date where anything about the place or the time changed.
    """
    if entry.path is None and entry.absolute is None:
        return Located("none")
    changed: Path | None = None
    for i, candidate in enumerate(_candidates(entry, folder)):
        if not candidate.exists():
            continue
        stamp = _stamp(candidate)
        unsure = stamp[0] is None or stamp != (entry.bytes, entry.mtime_ns)  # folders (OME-Zarr) have no one stamp
        if unsure and content_sha256(candidate) != entry.sha256:
            changed = changed or candidate
            continue
        relative, absolute = places(candidate.resolve(), folder)
        now = replace(entry, path=relative, absolute=absolute, bytes=stamp[0], mtime_ns=stamp[1])
        return Located("ok" if i == 0 or relative == entry.path else "moved", candidate, now)
    return Located("changed", changed) if changed is not None else Located("missing")


def _candidates(entry: SlideEntry, folder: Path) -> Iterator[Path]:
    if entry.path is not None:
        yield folder / entry.path
    if entry.absolute is not None:
        yield Path(entry.absolute)


def content_sha256(path: Path) -> str | None:
    """Return the hash that a slide of this picture would have; None where it cannot be read."""
    try:
        if path.is_file():
            return file_sha256(path)
        from napari_aml.slides import open_slide

        return open_slide(path).sha256
    except (OSError, AmlError):
        return None


def look_in(entries: list[SlideEntry], search: Path, folder: Path) -> dict[str, SlideEntry]:
    """Look for pictures in a folder and below, by size and then by hash; return the entries found anew, by slide."""
    wanted: dict[int, list[SlideEntry]] = {}
    for entry in entries:
        if entry.bytes is not None:
            wanted.setdefault(entry.bytes, []).append(entry)
    found: dict[str, SlideEntry] = {}
    for root, folders, names in os.walk(search):
        folders[:] = [f for f in folders if not f.endswith(".amlproj")]
        for name in sorted(names):
            path = Path(root) / name
            size, stamp = _stamp(path)
            open_ones = [e for e in wanted.get(size or -1, ()) if e.slide_id not in found]
            if not open_ones:
                continue
            digest = content_sha256(path)
            for entry in open_ones:
                if digest == entry.sha256:
                    relative, absolute = places(path.resolve(), folder)
                    found[entry.slide_id] = replace(entry, path=relative, absolute=absolute, mtime_ns=stamp)
    return found


def open_located(entry: SlideEntry, located: Located, *, coming: bool = False) -> Slide:
    """Open a slide's picture with the pixel size and the name that the project has noted.

    Its content is not hashed again: `locate` found it unchanged.

    Parameters
    ----------
    entry, located
        The slide, and where it is.
    coming
        Return at once where a large picture has to be decoded whole: it is a `ComingSlide` then, whose pixels are on
        their way.

    Raises
    ------
    SlideMissingError, SlideChangedError
        With the way out.
    """
    from napari_aml.slides import UNKNOWN, PixelSize, open_slide

    if located.status == "changed":
        raise SlideChangedError(entry.name, str(located.path))
    if located.path is None:
        raise SlideMissingError(entry.name, entry.absolute)
    path, size = located.path, None
    if entry.pixel_size_um is not None:
        source: Any = entry.pixel_size_source
        size = PixelSize(entry.pixel_size_um, source, entry.pixel_size_detail)
    if coming and entry.height * entry.width >= DECODED_MEANWHILE and _decoded_whole(path):
        from napari_aml.slides.coming import ComingSlide

        shape = (entry.height, entry.width)
        later = ComingSlide(lambda: open_slide(path), entry.name, path, shape, size or UNKNOWN, entry.sha256)
        later.begin()
        return later
    slide = open_slide(path, name=entry.name)
    if size is not None:
        slide = slide.with_pixel_size(size)
    slide.sha256 = entry.sha256
    return slide


def _decoded_whole(path: Path) -> bool:
    from napari_aml.slides.sniff import sniff

    return path.is_file() and sniff(path)[0] == "raster"


class Pictures:
    """The slides of one project's record.

    Parameters
    ----------
    folder, record
        Of the project.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self._folder, self._record = folder, record

    def all(self) -> list[SlideEntry]:
        """Return the slides, in the order in which they were added."""
        return [SlideEntry(*row) for row in self._record.rows("slides", COLUMNS, "ORDER BY rowid")]

    def entry(self, slide_id: str) -> SlideEntry:
        """Return one slide; see `Project.entry`."""
        rows = self._record.rows("slides", COLUMNS, "WHERE slide_id = ?", (slide_id,))
        if not rows:
            raise ProjectError(f"The slide {slide_id} is not in this project.", "Add it first.")
        return SlideEntry(*rows[0])

    def locate(self, slide_id: str) -> Located:
        """Find a picture; a place that changed is noted where the record can be written."""
        entry = self.entry(slide_id)
        located = locate(entry, self._folder)
        if located.entry is not None and located.entry != entry and not self._record.read_only:
            self.write(located.entry, "slide moved" if located.status == "moved" else "")
        return located

    def restore(self, slide_id: str, reader: str = "") -> bool:
        """Take a slide's entry from its second copy, ``slide.json``, where that names a picture that is there."""
        try:
            told = json.loads((self._folder / SLIDES / slide_id / "slide.json").read_text("utf-8"))
            values = [told[name] for name in COLUMNS]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        entry = SlideEntry(*values)
        if misfit("slides", COLUMNS, values) or entry.slide_id != slide_id or not locate(entry, self._folder).path:
            return False
        self.write(entry, "slide restored", reader)
        return True

    def relink(self, search: Path, reader: str) -> list[SlideEntry]:
        """Look for missing pictures in a folder and below."""
        lost = [e for e in self.all() if self.locate(e.slide_id).status in ("missing", "changed")]
        found = look_in(lost, search, self._folder)
        for entry in found.values():
            self.write(entry, "slide relinked", reader)
        return list(found.values())

    def add(self, slide: Slide, reader: str, patient: str | None) -> tuple[SlideEntry, bool]:
        """Add a slide or bring it up to date; return its entry and whether it is new."""
        entry = entry_of(slide, self._folder, patient)
        before = next((e for e in self.all() if e.slide_id == entry.slide_id), None)
        if before is not None:
            entry = replace(entry, added=before.added, patient=patient if patient is not None else before.patient)
            if entry.absolute is None:
                entry = replace(
                    entry, path=before.path, absolute=before.absolute, bytes=before.bytes, mtime_ns=before.mtime_ns
                )
        self.write(entry, "" if before is not None else "slide added", reader)
        return entry, before is None

    def write(self, entry: SlideEntry, action: str = "", reader: str = "") -> None:
        """Write a slide's entry, and an event where `action` says one."""
        from napari_aml.review.project.revisions import write_entry

        values = tuple(getattr(entry, name) for name in COLUMNS)
        assign = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
        with self._record.writing() as db:
            db.execute(
                f"INSERT INTO slides ({', '.join(COLUMNS)}) VALUES ({','.join('?' * len(COLUMNS))}) "
                f"ON CONFLICT (slide_id) DO UPDATE SET {assign}", values,
            )  # fmt: skip
            if action:
                self._record.event(db, reader, action, entry.slide_id, {"path": entry.path})
        write_entry(self._folder / SLIDES / entry.slide_id, entry)
