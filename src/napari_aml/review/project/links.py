"""Which expression file and sample belong to a slide, kept in the project's record; see `napari_aml.review.links`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from napari_aml.review.links import ExpressionLink
from napari_aml.review.project.pictures import places
from napari_aml.review.project.record import Record

_COLUMNS = ("slide_id", "path", "absolute", "sample", "sha256", "age", "sex", "added")


class ProjectLinks:
    """The links of a project: a `napari_aml.review.links.LinkStore`; iterate over it for all of them.

    A file is found by its place relative to the project, else where it was seen last.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self._folder, self._record = folder, record

    def __iter__(self) -> Iterator[ExpressionLink]:
        return (self._link(row) for row in self._record.rows("links", _COLUMNS, "ORDER BY slide_id"))

    def __len__(self) -> int:
        return int(self._record.all("SELECT count(*) FROM links")[0][0])

    def link_of(self, slide_id: str) -> ExpressionLink | None:
        """Return a slide's link, None without one."""
        rows = self._record.rows("links", _COLUMNS, "WHERE slide_id = ?", (slide_id,))
        return self._link(rows[0]) if rows else None

    def link(self, links: Iterable[ExpressionLink], reader: str = "") -> None:
        """Keep links, each in place of its slide's earlier one; they are on the disk once this returns."""
        with self._record.writing() as db:
            for link in links:
                relative, absolute = places(Path(link.path).expanduser().resolve(), self._folder)
                values = (link.slide_id, relative, absolute, link.sample, link.sha256, link.age, link.sex, link.added)
                db.execute("INSERT OR REPLACE INTO links VALUES (?,?,?,?,?,?,?,?)", values)
                detail = {"sample": link.sample, "sha256": link.sha256}
                self._record.event(db, reader, "expression linked", link.slide_id, detail)

    def unlink(self, slide_ids: Iterable[str], reader: str = "") -> None:
        """Forget the links of slides; the events stay."""
        with self._record.writing() as db:
            for slide_id in slide_ids:
                if db.execute("DELETE FROM links WHERE slide_id = ?", (slide_id,)).rowcount:
                    self._record.event(db, reader, "expression unlinked", slide_id, {})

    def _link(self, row: tuple[Any, ...]) -> ExpressionLink:
        slide_id, relative, absolute, sample, sha256, age, sex, added = row
        near = None if relative is None else self._folder / relative
        path = str(near) if near is not None and near.exists() else absolute
        return ExpressionLink(slide_id, path, sample, sha256, age, sex, added)
