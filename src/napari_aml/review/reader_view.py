"""What one reader has said so far: the newest row on each thing, kept up to date row by row."""

from __future__ import annotations

from collections.abc import Iterable

from napari_aml.review.decisions import CLASS, NOTE, REGION, TAG, Decision
from napari_aml.review.regions import Region

#: Tags that a reader of AML smears wants; others may be added. Name → what it means.
TAGS: dict[str, str] = {
    "auer_rod": "Auer rod",
    "faggot_cell": "Faggot cell: bundles of Auer rods",
    "cup_like": "Cup-like nucleus",
    "bilobed": "Bilobed nucleus",
    "ambiguous": "Ambiguous: look again, or ask someone",
}

ON, OFF = "on", "off"


class ReaderView:
    """One reader's words.

    Parameters
    ----------
    reader
        The person's alias; rows of others are passed over.

    Attributes
    ----------
    decided
        uid → class code.
    tags
        uid → names of its tags; cells without tags are absent.
    notes
        uid → text.
    regions
        slide_id → region uid → `Region`.
    spoken
        uids of which this reader ever said a class, taken back or not.
    """

    def __init__(self, reader: str, rows: Iterable[Decision] = ()) -> None:
        self.reader = reader
        self.decided: dict[str, str] = {}
        self.tags: dict[str, frozenset[str]] = {}
        self.notes: dict[str, str] = {}
        self.regions: dict[str, dict[str, Region]] = {}
        self.spoken: set[str] = set()
        for row in rows:
            self.take(row)

    def take(self, row: Decision) -> None:
        """Take one row of the record, in the order of the record."""
        if row.reader != self.reader:
            return
        if row.kind == CLASS:
            _put(self.decided, row.uid, row.value)
            self.spoken.add(row.uid)
        elif row.kind == NOTE:
            _put(self.notes, row.uid, row.value or None)
        elif row.kind == TAG:
            names = self.tags.get(row.uid, frozenset())
            names = names | {row.name} if row.value == ON else names - {row.name}
            _put(self.tags, row.uid, names or None)
        elif row.kind == REGION:
            _put(self.regions.setdefault(row.slide_id, {}), row.uid, row.value and Region.from_geojson(row.value))

    def value(self, uid: str, kind: str, name: str = "", slide_id: str = "") -> str | None:
        """Return what the reader says now, as a row of the record would hold it; None = nothing."""
        if kind == CLASS:
            return self.decided.get(uid)
        if kind == NOTE:
            return self.notes.get(uid)
        if kind == TAG:
            return ON if name in self.tags.get(uid, ()) else None
        region = self.regions.get(slide_id, {}).get(uid)
        return None if region is None else region.to_geojson()


def _put(into: dict, key: str, value: object) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value
