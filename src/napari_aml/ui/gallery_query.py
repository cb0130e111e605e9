"""Which cells the gallery shows, and in which order: plain arrays and a query, no Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.review.decisions import CLASS, views
from napari_aml.review.queue.trust import UNTOLD, CellTrust, trust_of
from napari_aml.taxonomy import BY_CODE, CLASSES, cell_class
from napari_aml.ui.state import UNCLASSIFIED, ReviewState

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: What the cells can be sorted by: name → what a person reads.
SORTS: dict[str, str] = {
    "table": "place in the slide",
    "class": "class",
    "confidence": "confidence, lowest first",
    "margin": "margin to the runner-up, narrowest first",
    "queue": "queue: what comes next",
    "size": "size, smallest first",
    "slide": "slide",
    "set": "possible classes, most first",
    "unlike": "unlike the training cells, most first",
}

ALL, DECIDED, UNDECIDED, CHANGED = "all", "decided", "not decided", "decided against the model"
DECISIONS = (ALL, UNDECIDED, DECIDED, CHANGED)

#: How far the model's word is to be trusted: name → what a person reads.
ONE, AMBIGUOUS, NO_SET, UNLIKE = "one", "ambiguous", "noset", "unlike"
TRUST: dict[str, str] = {
    "": "any",
    ONE: "one class possible",
    AMBIGUOUS: "several classes possible",
    NO_SET: "no class fits well",
    UNLIKE: "unlike the training cells",
}
#: What may stand in the search beside other words.
SEARCH_HELP = (
    "Class, tag, note or id contain it. Also: ambiguous: (several classes possible), noset: (no class fits well), "
    "set:3 (so many possible), unlike: (unlike the training cells)"
)

_RANK = {UNCLASSIFIED: -1, **{c.code: i for i, c in enumerate(CLASSES)}}


def class_rank(code: str) -> int:
    """Return the place of a class in reading order: unclassified first, codes outside the taxonomy last."""
    return _RANK.get(code, len(CLASSES))


@dataclass(frozen=True)
class GalleryQuery:
    """Filters, order and grouping; the default shows every cell.

    Attributes
    ----------
    text
        Shown are cells whose id, class, tag or note contains it; see `SEARCH_HELP`.
    codes
        Shown classes; None for all.
    decided
        One of `DECISIONS`.
    tag, slide, reader
        Only cells with this tag, of this slide, decided by this reader; None for all.
    least_confidence, most_confidence
        Range of the model's probability, 0…1. A range other than the whole leaves out cells without one.
    least_um2, most_um2
        Range of the cell's area, µm².
    trust
        A key of `TRUST`; cells whose model's word may not be shown are in none but the first.
    sort, descending
        One of `SORTS`; the other way round.
    grouped
        Whether classes are shown one after the other under their names.
    """

    text: str = ""
    codes: frozenset[str] | None = None
    decided: str = ALL
    tag: str | None = None
    slide: str | None = None
    reader: str | None = None
    least_confidence: float = 0.0
    most_confidence: float = 1.0
    least_um2: float = 0.0
    most_um2: float = np.inf
    trust: str = ""
    sort: str = "table"
    descending: bool = False
    grouped: bool = True


@dataclass(frozen=True)
class Group:
    """Consecutive cells under one heading: rows `start` to `stop` (half-open) of the order."""

    code: str
    start: int
    stop: int


class GalleryCells:
    """Columns over the cells of one or several slides, as the state allows them to be shown.

    Attributes
    ----------
    uids
        (n,) list of str.
    rank
        (n,) int16: `class_rank` of the shown code; `codes` is the code itself.
    confidence, margin
        (n,) float32: the model's highest probability, and its distance to the second; NaN where not to be shown.
    trust
        `CellTrust` of them; what may not be shown is untold.
    decided
        (n,) bool.
    area, y, x
        (n,) µm²; centre in level-0 pixels.
    place
        (n,) int: place in the queue; n where it is not in it.
    """

    def __init__(self, state: ReviewState, analyses: Sequence[Analysis]) -> None:
        self.state, self.analyses = state, list(analyses)
        tables = [a.cells.table for a in self.analyses]
        sizes = [len(t) for t in tables]
        self.uids: list[str] = [uid for t in tables for uid in t["uid"].tolist()]
        self.slide = np.repeat(np.arange(len(tables)), sizes)
        self.row = np.concatenate([np.arange(n) for n in sizes]) if sizes else np.zeros(0, int)
        for name, column in (("area", "area_um2"), ("y", "y"), ("x", "x")):
            setattr(self, name, np.concatenate([t[column].to_numpy(float) for t in tables]) if tables else np.zeros(0))
        self._index = {uid: i for i, uid in enumerate(self.uids)}
        self.refresh()
        self.read_queue()

    area: np.ndarray
    y: np.ndarray
    x: np.ndarray

    def __len__(self) -> int:
        return len(self.uids)

    def find(self, uid: str | None) -> int | None:
        """Return the index of a cell, None when it is not among these."""
        return self._index.get(uid) if uid is not None else None

    def find_all(self, uids: Collection[str]) -> np.ndarray:
        """Return the index of each cell, -1 where it is not among these: int (m,)."""
        return np.fromiter(map(self._index.get, uids, repeat(-1)), np.int64, len(uids))

    def analysis_of(self, i: int) -> tuple[Analysis, int]:
        """Return the analysis that holds a cell, and the cell's row in it."""
        return self.analyses[int(self.slide[i])], int(self.row[i])

    def refresh(self) -> None:
        """Read everything anew from the state."""
        n, state = len(self.uids), self.state
        self.codes = np.full(n, UNCLASSIFIED, object)
        self.confidence = np.full(n, np.nan, np.float32)
        self.margin = np.full(n, np.nan, np.float32)
        start = 0
        for analysis in self.analyses:
            part = slice(start, start + len(analysis.cells.table))
            start = part.stop
            if analysis.predictions is None:
                continue
            p = analysis.predictions.probabilities
            two = np.partition(p, -2, 1)[:, -2:] if p.shape[1] > 1 else np.c_[np.zeros(len(p)), p]
            current = analysis.cells is getattr(state.analysis, "cells", None)
            self.codes[part] = state.model_codes() if current else analysis.predictions.code
            self.confidence[part], self.margin[part] = two[:, 1], two[:, 1] - two[:, 0]
        hidden = self._hidden()
        self._read_trust(hidden)
        if state.blinded:
            self.codes[hidden] = UNCLASSIFIED
            self.confidence[hidden] = self.margin[hidden] = np.nan
        self.model_codes = self.codes.copy()
        self.decided = np.zeros(n, bool)
        places = self.find_all(state.decided)
        mine = places[places >= 0]
        self.codes[mine] = np.array(list(state.decided.values()), object)[places >= 0]
        self.decided[mine] = True
        self.rank = np.fromiter(map(_RANK.get, self.codes, repeat(len(CLASSES))), np.int16, n)

    def _hidden(self) -> np.ndarray:
        """Tell of which cells the model's word may not be shown: bool (n,)."""
        hidden = np.full(len(self), self.state.blinded)
        seen = self.find_all(self.state.view.spoken)
        hidden[seen[seen >= 0]] = False
        return hidden

    def _read_trust(self, hidden: np.ndarray) -> None:
        told = [trust_of(a.bundle, a.predictions, len(a.cells.table)) for a in self.analyses]
        self._told = CellTrust.joined(told) if told else trust_of(None, None, 0)
        self.trust = CellTrust(
            np.where(hidden, UNTOLD, self._told.size), self._told.unlike & ~hidden,
            np.where(hidden, np.nan, self._told.score),
        )  # fmt: skip

    def update(self, uids: Iterable[str]) -> np.ndarray:
        """Read a few cells anew; returns their indices."""
        state, found = self.state, []
        for uid in uids:
            i = self._index.get(uid)
            if i is None:
                continue
            found.append(i)
            analysis, row = self.analysis_of(i)
            said = analysis.predictions
            shown = said is not None and uid not in state.pending and state.shows_model(uid)
            for name, nothing in (("size", UNTOLD), ("unlike", False), ("score", np.nan)):
                getattr(self.trust, name)[i] = getattr(self._told, name)[i] if shown else nothing
            if shown:
                p = said.probabilities[row]
                best = int(p.argmax())
                self.model_codes[i] = str(said.codes[best])
                self.confidence[i] = p[best]
                self.margin[i] = p[best] - np.delete(p, best).max(initial=0.0)
            else:
                self.model_codes[i], self.confidence[i], self.margin[i] = UNCLASSIFIED, np.nan, np.nan
            code = state.decided.get(uid)
            self.decided[i] = code is not None
            self.codes[i] = self.model_codes[i] if code is None else code
            self.rank[i] = class_rank(self.codes[i])
        return np.array(found, int)

    def replace_analysis(self, analysis: Analysis) -> None:
        """Take newer predictions or heatmaps of a slide whose cells are the same."""
        for k, mine in enumerate(self.analyses):
            if mine.cells is analysis.cells:
                self.analyses[k] = analysis
                if mine.predictions is not analysis.predictions:
                    self._read_trust(self._hidden())

    def read_queue(self) -> None:
        """Read the state's queue anew."""
        self.why: dict[str, str] = dict(self.state.queue)
        self.place = np.full(len(self.uids), len(self.uids), int)
        at = self.find_all(self.why)
        self.place[at[at >= 0]] = np.flatnonzero(at >= 0)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return code → (cells, decided ones among them) over all cells."""
        out: dict[str, tuple[int, int]] = {}
        for rank in np.unique(self.rank):
            members = self.rank == rank
            for code in [CLASSES[rank].code] if 0 <= rank < len(CLASSES) else set(self.codes[members]):
                mine = members if 0 <= rank < len(CLASSES) else members & (self.codes == code)
                out[code] = (int(mine.sum()), int((mine & self.decided).sum()))
        return out


def order(cells: GalleryCells, query: GalleryQuery) -> tuple[np.ndarray, list[Group]]:
    """Return the indices of the cells to show, in order, and their groups (none when not grouped)."""
    shown = np.flatnonzero(_mask(cells, query))
    keys = {
        "table": np.arange(len(cells)), "class": cells.rank, "confidence": cells.confidence, "margin": cells.margin,
        "queue": cells.place, "size": cells.area, "slide": cells.slide,
        "set": -cells.trust.size.astype(int), "unlike": -cells.trust.score,
    }  # fmt: skip
    key = keys[query.sort][shown]
    if query.descending:
        key = -key.astype(float)
    only = cells.state.only
    if only is not None:  # shown as they were given: most alike first, say
        places = {uid: place for place, uid in enumerate(only[1])}
        key = np.array([places[cells.uids[i]] for i in shown], int)
    grouped = query.grouped and only is None
    rank = cells.rank[shown] if grouped else np.zeros(len(shown), np.int16)
    at = np.lexsort((key, rank))
    shown, rank = shown[at], rank[at]
    if not grouped or not len(shown):
        return shown, []
    starts = np.flatnonzero(np.r_[True, rank[1:] != rank[:-1]])
    stops = np.r_[starts[1:], len(shown)]
    return shown, [Group(str(cells.codes[shown[a]]), int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def _mask(cells: GalleryCells, query: GalleryQuery) -> np.ndarray:
    state, n = cells.state, len(cells)
    keep = np.ones(n, bool) if state.only is None else _among(cells, state.only[1])
    if query.codes is not None:
        keep &= np.isin(cells.rank, [class_rank(code) for code in query.codes])
    if query.decided == DECIDED:
        keep &= cells.decided
    elif query.decided == UNDECIDED:
        keep &= ~cells.decided
    elif query.decided == CHANGED:
        keep &= cells.decided & (cells.codes != cells.model_codes)
    if query.tag is not None:
        keep &= _among(cells, [uid for uid, names in state.tags.items() if query.tag in names])
    if query.slide is not None:
        keep &= np.isin(cells.slide, [k for k, a in enumerate(cells.analyses) if a.cells.slide_id == query.slide])
    if query.reader is not None:
        said = views(state.store.decisions(), CLASS).get(query.reader, {})
        keep &= _among(cells, [uid for uid, _ in said])
    if (query.least_confidence, query.most_confidence) != (0.0, 1.0):
        keep &= (cells.confidence >= query.least_confidence) & (cells.confidence <= query.most_confidence)
    keep &= (cells.area >= query.least_um2) & (cells.area <= query.most_um2)
    if query.trust:
        keep &= _trusted(cells, query.trust)
    words = query.text.strip().lower()
    for word in words.split():
        name, _, number = word.partition(":")
        if word == f"{name}:" and name in TRUST and name:
            keep &= _trusted(cells, name)
        elif name == "set" and number.isdigit():
            keep &= cells.trust.size == int(number)
        else:
            continue
        words = words.replace(word, "", 1).strip()
    if words:
        keep &= _text(cells, words)
    return keep


def _trusted(cells: GalleryCells, kind: str) -> np.ndarray:
    size = cells.trust.size
    return {ONE: size == 1, AMBIGUOUS: size > 1, NO_SET: size == 0, UNLIKE: cells.trust.unlike}[kind]


def _among(cells: GalleryCells, uids: Iterable[str]) -> np.ndarray:
    out = np.zeros(len(cells), bool)
    places = cells.find_all(list(uids))
    out[places[places >= 0]] = True
    return out


def _text(cells: GalleryCells, text: str) -> np.ndarray:
    state = cells.state
    codes = {code for code in set(cells.codes) if text in code.lower() or text in cell_class(code).name.lower()}
    keep = np.isin(cells.rank, [class_rank(code) for code in codes & BY_CODE.keys()])
    said = [uid for uid, names in state.tags.items() if any(text in name.lower() for name in names)]
    said += [uid for uid, note in state.notes.items() if text in note.lower()]
    keep |= _among(cells, said)
    return keep | np.fromiter((text in uid.lower() for uid in cells.uids), bool, len(cells))
