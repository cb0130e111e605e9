"""Decisions: what a person said of a cell. Append-only rows; the newest row of a reader is that reader's view.

A model's output is never a decision and never overwrites one. Undoing a decision appends a row, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from napari_aml.provenance import now_utc

#: What a decision can be about. ``class`` holds one code a cell, ``note`` one text; ``tag`` is one row a tag with
#: the value ``on`` or ``off``; ``region`` is a drawn region of the slide (its uid is the region's).
CLASS, TAG, NOTE, REGION, MASK = "class", "tag", "note", "region", "mask"

#: Who speaks when several readers disagreed and a third one settled it: kept apart from the readers' own words.
ADJUDICATOR = "adjudicated"


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the record.

    Attributes
    ----------
    uid
        The cell (or the region).
    slide_id
        The slide that it lies on.
    kind
        `CLASS`, `TAG`, `NOTE`, `REGION` or `MASK`.
    name
        The tag's name for `TAG`; empty otherwise.
    value
        Class code, ``on``/``off``, text or GeoJSON; None = taken back: as if this reader had never said anything.
    previous
        The value of this reader before it, None = none.
    reader
        The person's alias.
    shown
        What was on the screen: ``bundle_id``, ``code``, ``probability``, ``heatmap``, ``blinded``.
    time
        UTC, ISO 8601.
    id
        Stable for ever and unique over projects.
    seq
        Place in the record of one project, from 1; 0 = not recorded yet.
    """

    uid: str
    slide_id: str
    value: str | None
    reader: str
    kind: str = CLASS
    name: str = ""
    previous: str | None = None
    shown: Mapping[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=now_utc)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    seq: int = 0

    @property
    def about(self) -> tuple[str, str, str]:
        """What it is about: (uid, kind, name)."""
        return self.uid, self.kind, self.name


class DecisionStore(Protocol):
    """Where decisions go. `record` returns only when they are safe."""

    def record(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Append rows and return them with their places, all or none; they survive a crash once this returns."""
        ...

    def decisions(self, after: int = 0) -> list[Decision]:
        """Return the rows whose place is beyond `after`, in order."""
        ...


class MemoryStore:
    """Decisions of a session without a project; gone with it."""

    def __init__(self) -> None:
        self._rows: list[Decision] = []

    def record(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Append rows."""
        start = len(self._rows) + 1
        placed = [replace(d, seq=start + i) for i, d in enumerate(decisions)]
        self._rows += placed
        return placed

    def decisions(self, after: int = 0) -> list[Decision]:
        """Return the rows beyond a place."""
        return self._rows[after:]


def views(decisions: Iterable[Decision], kind: str = CLASS) -> dict[str, dict[tuple[str, str], str]]:
    """Return each reader's view: reader → (uid, name) → value; what was taken back is absent."""
    out: dict[str, dict[tuple[str, str], str]] = {}
    for d in decisions:
        if d.kind != kind:
            continue
        view = out.setdefault(d.reader, {})
        if d.value is None:
            view.pop((d.uid, d.name), None)
        else:
            view[d.uid, d.name] = d.value
    return out
