"""Teaching: a decision refits the light head in the background, cells and queue follow; all can be taken back.

The model's own predictions are kept aside; what is shown meanwhile says in its name that it was taught. The fitting is
`napari_aml.review.teach`'s; here it is started, put into the state and withdrawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_aml.errors import AmlError, InputError
from napari_aml.review.queue import DEFAULT, ORDERS, Pool, Ranking, rank_steps
from napari_aml.review.queue.second import second_word
from napari_aml.review.queue.trust import CellTrust, trust_of
from napari_aml.review.teach import Classroom, Taught, teach_steps
from napari_aml.ui.jobs import Job
from napari_aml.ui.listening import Listening
from napari_aml.ui.state import ReviewState, RowsChanged

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.classify import Predictions
    from napari_aml.progress import Progress, Steps

#: Decisions within this time are learnt from together.
_SETTLE_MS = 120
#: So many cells stand in the queue at most: no one looks at more before it is made anew.
LONGEST = 5000
#: A cell is announced when its class changed or its probability moved by this much.
_MOVED = 0.02


@dataclass(frozen=True)
class _Own:
    """The model's own word on the cells of one slide."""

    uids: list[str]
    said: Predictions


class Teaching(QObject):
    """Learns from decisions and orders the queue, off the window's thread.

    Parameters
    ----------
    state
        Of the review; its slide and the session's others are taught together where one model spoke of all.
    is_busy
        Tells whether a job that a person started runs; that one goes first.

    Attributes
    ----------
    learnt
        Emitted with the `Taught` that is shown now, None after it was taken back.
    ordered
        Emitted with the `Ranking` that fills the queue.
    failed
        Emitted with an error.
    """

    learnt = Signal(object)
    ordered = Signal(object)
    failed = Signal(object)
    busyChanged = Signal(bool)

    def __init__(self, state: ReviewState, is_busy: Callable[[], bool], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state, self._is_busy = state, is_busy
        self.taught: Taught | None = None
        self.ranking: Ranking | None = None
        self.wanted: tuple[str, ...] = ()
        self._on, self._order = False, ""
        self._own: dict[str, _Own] = {}
        self._second: dict[str, tuple[list[str], Predictions]] = {}
        self._shown: dict[str, Any] = {}
        self._dirty: set[str] = set()
        self._room: tuple[tuple[int, ...], Classroom] | None = None
        self._job: Job | None = None
        self._again = self._writing = False
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._work)
        self.listening = Listening()
        self.listening.connect(state.rows_changed, self._on_rows)
        self.listening.connect(state.events.analysis, self._on_analysis)
        self.listening.connect(state.events.others, self._on_analysis)

    def close(self) -> None:
        """Stop listening and working; what was taught stays shown."""
        self.listening.release()
        self._settle.stop()
        if self._job is not None:
            self._job.cancel()

    # ---- what a person asks for ----------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether every decision teaches."""
        return self._on

    def setOn(self, on: bool) -> None:
        """Teach at every decision from now on, or stop doing so; what was taught stays until it is taken back."""
        self._on = on
        if on:
            self.wake()

    @property
    def order(self) -> str:
        """Name of the order that fills the queue; empty while there is no queue."""
        return self._order

    def makeQueue(self, order: str = DEFAULT) -> None:
        """Fill the queue in an order, and keep it so while cells are decided."""
        if order not in ORDERS:
            raise InputError(f"There is no order '{order}'.")
        self._order = order
        self.wake()

    def setSecond(self, second: dict[str, tuple[list[str], Predictions | None]]) -> None:
        """Take another model's word: slide_id → (uids, predictions); the order "disagreement" compares with it."""
        self._second = {slide_id: (uids, said) for slide_id, (uids, said) in second.items() if said is not None}
        if self._order == "disagreement":
            self.wake()

    def dropQueue(self) -> None:
        """Empty the queue."""
        self._order, self.ranking = "", None
        self.state.queue = []

    def takeBack(self) -> None:
        """Show the model's own word again and stop teaching; decisions stay as they are."""
        self._on = False
        self._settle.stop()
        self._again = False
        if self._job is not None:
            self._job.cancel()
        self._sync()
        for analysis in self._analyses():
            own = self._own.get(analysis.cells.slide_id)
            if own is not None and self._shown.pop(analysis.cells.slide_id, None) is not None:
                self._show(analysis, own.said)
        self.taught = None
        self.learnt.emit(None)
        if self._order:
            self.wake()

    def wake(self) -> None:
        """Learn and order in a moment."""
        self._settle.start()

    @property
    def busy(self) -> bool:
        """Whether it is learning or about to."""
        return self._job is not None or self._settle.isActive()

    # ---- following the state -------------------------------------------------------------------------------

    def _on_rows(self, what: RowsChanged) -> None:
        if self._writing:
            return
        if not what.said:
            # Someone classified cells anew or changed their masks: of these the model's own word is the new one.
            self._dirty.update(what.uids)
        if self._on or self._order:
            self.wake()

    def _on_analysis(self, *_: object) -> None:
        if self._writing:
            return
        known = {a.cells.slide_id for a in self._analyses()}
        for slide_id in [s for s in self._own if s not in known]:
            self._own.pop(slide_id)
            self._shown.pop(slide_id, None)
        if self._on or self._order:
            self.wake()

    def _analyses(self) -> list[Analysis]:
        """Return the analyses of the session with predictions, each slide once, the shown slide first."""
        found: dict[str, Analysis] = {}
        for analysis in (self.state.analysis, *self.state.others):
            if analysis is not None and analysis.predictions is not None:
                found.setdefault(analysis.cells.slide_id, analysis)
        return list(found.values())

    def _sync(self) -> None:
        """Bring what is kept of the model's own words up to date with the state."""
        for analysis in self._analyses():
            slide_id, said = analysis.cells.slide_id, analysis.predictions
            assert said is not None  # see _analyses
            own, shown = self._own.get(slide_id), self._shown.get(slide_id)
            if own is not None and len(own.uids) == len(said) and said is shown:
                continue
            uids = analysis.cells.table["uid"].tolist()
            if own is None or shown is None or own.said.codes != said.codes[: len(own.said.codes)]:
                self._shown.pop(slide_id, None)
                self._own[slide_id] = _Own(uids, said)
                continue
            self._own[slide_id] = _Own(uids, _restored(own, uids, said, self._dirty))
            self._shown[slide_id] = said
        self._dirty.clear()

    # ---- working -------------------------------------------------------------------------------------------

    def _classroom(self, slides: list[str]) -> Classroom:
        parts = [self._own[s] for s in slides]
        key = tuple(id(part.said.probabilities) for part in parts)
        if self._room is None or self._room[0] != key:
            uids = [uid for part in parts for uid in part.uids]
            embedding = _joined([part.said.embedding for part in parts])
            probabilities = _joined([part.said.probabilities for part in parts])
            self._room = (key, Classroom(uids, parts[0].said.codes, embedding, probabilities))
        return self._room[1]

    def _work(self) -> None:
        if self._job is not None:
            self._again = True
            return
        analyses = self._analyses()
        if not analyses or not (self._on or self._order):
            return
        if self.state.pending or self._is_busy():
            self._settle.start(500)
            return
        self._sync()
        first = self._own[analyses[0].cells.slide_id].said
        slides = [
            a.cells.slide_id for a in analyses
            if (s := self._own[a.cells.slide_id].said).bundle_id == first.bundle_id and s.codes == first.codes
            and s.embedding.shape[1] == first.embedding.shape[1]
        ]  # fmt: skip
        try:
            room = self._classroom(slides)
        except AmlError as error:
            self._on = False
            self.failed.emit(error)
            return
        self._start(room, slides)

    def _start(self, room: Classroom, slides: list[str]) -> None:
        decided, on, order, earlier = dict(self.state.decided), self._on, self._order, self.taught
        wanted, trust = self.wanted, self._trust(slides)
        second = second_word(room.uids, list(self._second.values())) if order == "disagreement" else None

        def steps() -> Steps[tuple[Taught | None, Ranking | None, list[tuple[str, str]]]]:
            taught = (yield from teach_steps(room, decided)) if on else earlier
            if not order:
                return taught, None, []
            ranking = yield from rank_steps(Pool(room, decided, taught, second, wanted, trust), order)
            return taught, ranking, ranking.entries(LONGEST)

        def early(event: Progress) -> None:
            if isinstance(event.payload, Taught):
                self._take(event.payload, room, slides)

        def done(out: tuple[Taught | None, Ranking | None, list[tuple[str, str]]]) -> None:
            taught, ranking, entries = out
            if on and taught is not None:
                self._take(taught, room, slides)
            if ranking is not None and order == self._order:
                self.ranking = ranking
                self.state.queue = entries
                self.ordered.emit(ranking)

        def ended() -> None:
            self._job = None
            job.deleteLater()
            self.busyChanged.emit(False)
            if self._again:
                self._again = False
                self.wake()

        job = self._job = Job(steps, self)
        job.progressed.connect(early)
        job.returned.connect(done)
        job.failed.connect(self._on_failed)
        job.ended.connect(ended)
        self.busyChanged.emit(True)
        job.start()

    def _trust(self, slides: list[str]) -> CellTrust:
        bundles = {a.cells.slide_id: a.bundle for a in self._analyses()}
        own = {s: self._own[s] for s in slides}
        return CellTrust.joined([trust_of(bundles.get(s), o.said, len(o.uids)) for s, o in own.items()])

    def _on_failed(self, error: Exception) -> None:
        self._order = ""  # an order that cannot be made is not tried again at every decision
        self.failed.emit(error)

    def _take(self, taught: Taught, room: Classroom, slides: list[str]) -> None:
        """Show what was taught, on all slides of the session."""
        if self.taught is not None and taught.probabilities is self.taught.probabilities:
            self.taught = taught  # the same words, now with figures
            self.learnt.emit(taught)
            return
        start = 0
        mine = {a.cells.slide_id: a for a in self._analyses()}
        for slide_id in slides:
            own = self._own[slide_id]
            part = slice(start, start + len(own.uids))
            start = part.stop
            analysis = mine.get(slide_id)
            if analysis is None or analysis.cells.table["uid"].tolist() != own.uids:
                self.wake()  # cells were edited meanwhile
                continue
            said = replace(
                own.said, codes=taught.codes, probabilities=taught.probabilities[part],
                bundle_id=f"{own.said.bundle_id}, taught by {taught.decisions} decisions",
            )  # fmt: skip
            self._shown[slide_id] = said
            self._show(analysis, said)
        self.taught = taught
        self.learnt.emit(taught)

    def _show(self, analysis: Analysis, said: Predictions) -> None:
        """Put predictions into the state and announce the cells of which they say something else."""
        before = analysis.predictions
        assert before is not None  # see _analyses
        self._writing = True
        try:
            if analysis is self.state.analysis:
                with self.state.events.analysis.blocked():
                    self.state.analysis = replace(analysis, predictions=said)
                uids = analysis.cells.table["uid"].to_numpy()[_moved(before, said)].tolist()
                self.state.rows_changed.emit(RowsChanged(tuple(uids)))
            else:
                newer = replace(analysis, predictions=said)
                self.state.others = tuple(newer if a is analysis else a for a in self.state.others)
        finally:
            self._writing = False


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _moved(before: Predictions, after: Predictions) -> np.ndarray:
    """Tell of each cell whether class or probability changed visibly: bool (n,)."""
    p, q = before.probabilities, after.probabilities
    first, then = p.argmax(1), q.argmax(1)
    return (first != then) | (np.abs(p.max(1) - q.max(1)) >= _MOVED)


def _restored(own: _Own, uids: list[str], said: Predictions, fresh: set[str]) -> Predictions:
    """Return the model's own word on cells that are shown as taught, after some were classified anew.

    Parameters
    ----------
    own
        As it was.
    uids, said
        The cells now, and what is shown of them.
    fresh
        Cells whose shown word is the model's own, just made.
    """
    k = len(own.said.codes)
    probabilities = np.ascontiguousarray(said.probabilities[:, :k])
    row_of = {uid: row for row, uid in enumerate(own.uids)}
    kept = [(i, row_of[uid]) for i, uid in enumerate(uids) if uid in row_of and uid not in fresh]
    if kept:
        now, then = (np.array(a) for a in zip(*kept, strict=True))
        probabilities[now] = own.said.probabilities[then]
    return replace(said, codes=own.said.codes, probabilities=probabilities, bundle_id=own.said.bundle_id)
