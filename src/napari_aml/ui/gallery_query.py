"""Which cells the gallery shows, and in which order: plain arrays and a query, no Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from napari_aml.review.decisions import CLASS, views
from napari_aml.taxonomy import BY_CODE, cell_class
from napari_aml.ui.gallery_cells import GalleryCells, class_rank

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
