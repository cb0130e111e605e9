"""What gallery and map know of each cell: plain columns over the cells of one or several slides, no Qt."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.review.queue.trust import UNTOLD, CellTrust, trust_of
from napari_aml.taxonomy import CLASSES
from napari_aml.ui.cell_index import index_of
from napari_aml.ui.state import UNCLASSIFIED, ReviewState, RowsChanged

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

_RANK = {UNCLASSIFIED: -1, **{c.code: i for i, c in enumerate(CLASSES)}}


def class_rank(code: str) -> int:
    """Return the place of a class in reading order: unclassified first, codes outside the taxonomy last."""
    return _RANK.get(code, len(CLASSES))


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
        self.slide = np.repeat(np.arange(len(tables)), sizes)
        self.row = np.concatenate([np.arange(n) for n in sizes]) if sizes else np.zeros(0, int)
        for name, column in (("area", "area_um2"), ("y", "y"), ("x", "x")):
            setattr(self, name, np.concatenate([t[column].to_numpy(float) for t in tables]) if tables else np.zeros(0))
        if len(tables) == 1:
            index = index_of(tables[0])
            self.uids, self._index = index.uids, index.row_of_uid
        else:
            self.uids = [uid for t in tables for uid in index_of(t).uids]
            self._index = dict(zip(self.uids, range(len(self.uids)), strict=True))
        self._followed: tuple[RowsChanged | None, np.ndarray] = (None, np.zeros(0, int))
        self.refresh()
        self.read_queue()

    uids: list[str]
    area: np.ndarray
    y: np.ndarray
    x: np.ndarray

    @classmethod
    def shared(cls, state: ReviewState, analyses: Sequence[Analysis]) -> GalleryCells:
        """Return the columns that another widget has of the same analyses, read anew, else new ones."""
        for cells in list(_shared):
            same = cells.state is state and len(cells.analyses) == len(analyses)
            if same and all(a is b for a, b in zip(cells.analyses, analyses, strict=True)):
                cells.refresh()
                cells.read_queue()
                return cells
        cells = cls(state, analyses)
        _shared.add(cells)
        return cells

    def __len__(self) -> int:
        return len(self.uids)

    def slide_titles(self) -> list[str]:
        """Return what people call each slide here: its name, with its id where two have the same."""
        names = [a.slide.name for a in self.analyses]
        return [
            name if names.count(name) == 1 else f"{name} ({a.cells.slide_id})"
            for name, a in zip(names, self.analyses, strict=True)
        ]

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
            current = analysis.cells is getattr(state.analysis, "cells", None)
            self.codes[part] = state.model_codes() if current else analysis.predictions.code
            self.confidence[part], self.margin[part] = _sureness(analysis.predictions.probabilities)
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
        self.rank = _ranks(self.codes)

    def _hidden(self) -> np.ndarray:
        """Tell of which cells the model's word may not be shown: bool (n,)."""
        hidden = np.full(len(self), self.state.blinded)
        if self.state.blinded:
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

    def follow(self, what: RowsChanged) -> np.ndarray:
        """Read anew what was announced; returns the indices of the cells.

        Widgets that share the columns all call it: the work is done once.
        """
        if what is not self._followed[0]:
            if 2 * len(what.uids) > len(self):
                self.refresh()
                places = self.find_all(what.uids)
                self._followed = (what, places[places >= 0])
            else:
                self._followed = (what, self.update(what.uids, model=not what.said or self.state.blinded))
        return self._followed[1]

    def update(self, uids: Iterable[str], *, model: bool = True) -> np.ndarray:
        """Read some cells anew; returns their indices. The model's word on them need not be read where it stays."""
        uids = list(uids)
        found = self.find_all(uids)
        if (found < 0).any():
            uids = [uid for uid, i in zip(uids, found, strict=True) if i >= 0]
            found = found[found >= 0]
        if not len(found):
            return found
        if model:
            self._read_model(uids, found)
        said = list(map(self.state.decided.get, uids))
        decided = np.fromiter((code is not None for code in said), bool, len(said))
        codes = np.array(said, object)
        self.decided[found] = decided
        self.codes[found] = np.where(decided, codes, self.model_codes[found])
        self.rank[found] = _ranks(self.codes[found])
        return found

    def _read_model(self, uids: Sequence[str], found: np.ndarray) -> None:
        state = self.state
        shown = np.ones(len(found), bool)
        if state.pending:
            shown &= np.fromiter((uid not in state.pending for uid in uids), bool, len(found))
        if state.blinded:
            shown &= np.fromiter(map(state.shows_model, uids), bool, len(found))
        for k, analysis in enumerate(self.analyses):
            mine, said = self.slide[found] == k, analysis.predictions
            shown &= ~mine | (said is not None)
            if said is None or not (mine & shown).any():
                continue
            i = found[mine & shown]
            p = said.probabilities[self.row[i]]
            self.model_codes[i] = np.array(said.codes, object)[p.argmax(1)]
            self.confidence[i], self.margin[i] = _sureness(p)
        for name, nothing in (("size", UNTOLD), ("unlike", False), ("score", np.nan)):
            getattr(self.trust, name)[found] = np.where(shown, getattr(self._told, name)[found], nothing)
        hidden = found[~shown]
        self.model_codes[hidden], self.confidence[hidden], self.margin[hidden] = UNCLASSIFIED, np.nan, np.nan

    def replace_analysis(self, analysis: Analysis) -> None:
        """Take newer predictions or heatmaps of a slide whose cells are the same."""
        for k, mine in enumerate(self.analyses):
            if mine is not analysis and mine.cells is analysis.cells:
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
        known = (self.rank >= 0) & (self.rank < len(CLASSES))
        n = np.bincount(self.rank[known], minlength=len(CLASSES)).tolist()
        done = np.bincount(self.rank[known & self.decided], minlength=len(CLASSES)).tolist()
        out = {c.code: (n[rank], done[rank]) for rank, c in enumerate(CLASSES) if n[rank]}
        others, decided = self.codes[~known], self.decided[~known]
        for code in sorted(set(others.tolist())):
            mine = others == code
            out[code] = (int(mine.sum()), int((mine & decided).sum()))
        return out


_shared: weakref.WeakSet[GalleryCells] = weakref.WeakSet()


def _sureness(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest of the probabilities (m, k) of each cell, and its distance to the second."""
    two = np.partition(p, -2, 1)[:, -2:] if p.shape[1] > 1 else np.c_[np.zeros(len(p)), p]
    return two[:, 1], two[:, 1] - two[:, 0]


def _ranks(codes: np.ndarray) -> np.ndarray:
    return np.fromiter(map(_RANK.get, codes, repeat(len(CLASSES))), np.int16, len(codes))
