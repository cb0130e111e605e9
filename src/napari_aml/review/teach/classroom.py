"""A pool of cells that a head is taught on: stored embeddings and probabilities in, better probabilities out.

A `Classroom` is made once for a pool and a model; `Classroom.teach` refits after a decision and says what changed. The
pool's own predictions stay untouched, so that whatever was taught can be taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.teach.head import FLOOR, Head, Scale, choose_pull, fit_head, log_probabilities, out_of_fold
from napari_aml.review.teach.look_alikes import group_look_alikes

if TYPE_CHECKING:
    from napari_aml.classify.predictions import Predictions

#: The pull is chosen anew whenever the number of decisions has grown by this factor; between that it is kept.
_ANEW = 1.25
#: Decisions that are compared out of fold at most, for the figure that is shown.
_JUDGED = 600


@dataclass(frozen=True, slots=True)
class Change:
    """A cell of which the taught model says something else than before.

    Attributes
    ----------
    uid
        Of the cell.
    before, after
        Class codes.
    probability
        Of `after`, 0…1.
    """

    uid: str
    before: str
    after: str
    probability: float


class Changes(Sequence[Change]):
    """Undecided cells whose most probable class changed, surest first; kept as columns, for there may be many.

    Parameters
    ----------
    uids
        Of the whole pool.
    rows
        int (m,): the changed cells.
    codes
        Names of the classes.
    old, new
        int (m,): classes before and after.
    probability
        float (m,): of the new class.
    """

    def __init__(
        self,
        uids: Sequence[str],
        rows: np.ndarray,
        codes: Sequence[str],
        old: np.ndarray,
        new: np.ndarray,
        probability: np.ndarray,
    ) -> None:
        order = np.argsort(-probability, kind="stable")
        self._uids, self._codes = uids, tuple(codes)
        self.rows, self._old, self._new, self._probability = (a[order] for a in (rows, old, new, probability))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: Any) -> Any:
        """Return one change, or a list of them."""
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        row = int(self.rows[i])
        old, new = self._codes[self._old[i]], self._codes[self._new[i]]
        return Change(str(self._uids[row]), old, new, float(self._probability[i]))

    def moves(self) -> list[tuple[str, str, int]]:
        """Return (before, after, number of cells), most frequent first."""
        counted = Counter(zip(self._old.tolist(), self._new.tolist(), strict=True))
        named = [(self._codes[b], self._codes[a], n) for (b, a), n in counted.items()]
        return sorted(named, key=lambda m: (-m[2], m[:2]))

    def of(self, before: str, after: str) -> list[str]:
        """Return the uids of one move, surest first."""
        at = {code: i for i, code in enumerate(self._codes)}
        hit = (self._old == at.get(before, -1)) & (self._new == at.get(after, -1))
        return [str(self._uids[row]) for row in self.rows[hit]]


@dataclass(frozen=True, eq=False)
class Taught:
    """What a head says of a pool, and what that changed.

    Attributes
    ----------
    codes
        Columns of `probabilities`: the model's codes, then those that only people used.
    probabilities
        float32 (n, k).
    head
        The correction; None when nothing was decided.
    decisions
        Number of decided cells of the pool that it was fitted to.
    changes
        Against the words before: undecided cells whose most probable class changed, surest first.
    before_right, after_right
        Of `judged` decided cells, how many the model and (out of fold) the taught model name as people did; None with
        fewer than eight decisions. Decided cells are rarely a fair sample: they were chosen because they are hard.
    judged
        Number of decided cells behind these two.
    """

    codes: tuple[str, ...]
    probabilities: np.ndarray
    head: Head | None
    decisions: int
    changes: Changes
    before_right: int | None = None
    after_right: int | None = None
    judged: int = 0


@dataclass(eq=False)
class Classroom:
    """A pool of cells of one model.

    Attributes
    ----------
    uids
        Of the cells, in order.
    codes
        The model's class codes.
    embedding
        float32 (n, d), as stored; not copied.
    probabilities
        float32 (n, k): the model's own word.
    groups
        Near-duplicates share a number; None where unknown.

    Raises
    ------
    InputError
        When lengths do not fit or there are no embeddings.
    """

    uids: Sequence[str]
    codes: tuple[str, ...]
    embedding: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray | None = None
    _row: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _offset: np.ndarray | None = field(default=None, init=False, repr=False)
    _last: tuple[int, float, Head] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.uids)
        if not (len(self.embedding) == len(self.probabilities) == n):
            raise InputError(
                f"There are {n} cells, {len(self.embedding)} embeddings and {len(self.probabilities)} predictions.",
                "Classify the cells again.",
            )
        if n and (self.embedding.ndim != 2 or self.embedding.shape[1] == 0):
            raise InputError("These predictions hold no embeddings.", "Classify the cells again: it stores them.")
        self._row = {uid: row for row, uid in enumerate(self.uids)}

    @classmethod
    def of(cls, uids: Sequence[str], predictions: Predictions, groups: np.ndarray | None = None) -> Classroom:
        """Take the cells of one slide with their predictions."""
        return cls(list(uids), predictions.codes, predictions.embedding, predictions.probabilities, groups)

    def row(self, uid: str) -> int | None:
        """Return the row of a cell, None where it is not of this pool."""
        return self._row.get(uid)

    def columns(self, decided: Mapping[str, str]) -> tuple[str, ...]:
        """Return the model's codes, then those that only people used, by name."""
        return self.codes + tuple(sorted({c for u, c in decided.items() if u in self._row} - set(self.codes)))

    def lesson(self, decided: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of the decided cells of this pool, in the order of the rows."""
        column = {code: i for i, code in enumerate(self.columns(decided))}
        found = sorted((self._row[uid], column[code]) for uid, code in decided.items() if uid in self._row)
        rows = np.array([r for r, _ in found], np.int64)
        return rows, np.array([c for _, c in found], np.int64)

    def teach(self, decided: Mapping[str, str], before: Taught | None = None) -> Taught:
        """Fit a head to decisions and say what it changes.

        Parameters
        ----------
        decided
            uid → class code; cells of other pools are passed over.
        before
            What was shown until now, for the list of changes; default: the model's own word.
        """
        steps = teach_steps(self, decided, before)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value

    def offsets(self, k: int) -> np.ndarray:
        """Return the model's log-probabilities, float32 (n, k); classes that it does not know stand at the floor."""
        if self._offset is None or self._offset.shape[1] != k:
            said = log_probabilities(self.probabilities)
            missing = np.full((len(said), k - said.shape[1]), FLOOR, np.float32)
            self._offset = np.hstack([said, missing]) if missing.size else said
        return self._offset

    @cached_property
    def scale(self) -> Scale:
        """Centre and spread of the pool's embeddings, measured once."""
        return Scale.of(self.embedding)

    @cached_property
    def look_alikes(self) -> tuple[np.ndarray, np.ndarray]:
        """Groups of cells that the model finds alike, found once; see `group_look_alikes`."""
        return group_look_alikes(self.embedding, self.scale)

    def pull_for(self, rows: np.ndarray, targets: np.ndarray, offset: np.ndarray) -> tuple[float, Head | None]:
        """Return how strongly a head is held to the model, and an earlier head to go on from."""
        group = None if self.groups is None else self.groups[rows]
        if self._last is not None and self._last[2].weight.shape[1] == offset.shape[1]:
            size, pull, head = self._last
            if size <= len(rows) < _ANEW * size:
                return pull, head
        return choose_pull(self.embedding[rows], offset[rows], targets, self.scale, group), None

    def remember(self, size: int, pull: float, head: Head) -> None:
        """Keep a head for a warm start; `size` is the number of decisions when the pull was chosen."""
        if self._last is None or self._last[1] != pull or size >= _ANEW * self._last[0] or size < self._last[0]:
            self._last = (size, pull, head)
        else:
            self._last = (self._last[0], pull, head)


def teach_steps(room: Classroom, decided: Mapping[str, str], before: Taught | None = None) -> Steps[Taught]:
    """Teach a pool, yielding progress; see `Classroom.teach`."""
    codes = room.columns(decided)
    rows, targets = room.lesson(decided)
    yield Progress(0, 3, f"Learning from {len(rows)} decisions")
    offset = room.offsets(len(codes))
    if not len(rows):
        said = np.zeros((len(room.uids), len(codes)), np.float32)
        said[:, : len(room.codes)] = room.probabilities
        return Taught(codes, said, None, 0, _changes(room, codes, before, said, rows))
    pull, start = room.pull_for(rows, targets, offset)
    head = fit_head(room.embedding[rows], offset[rows], targets, pull, room.scale, start=start)
    room.remember(len(rows), pull, head)
    yield Progress(1, 3, "Ranking all cells anew")
    said = head.probabilities(room.embedding, offset)
    changes = _changes(room, codes, before, said, rows)
    taught = Taught(codes, said, head, len(rows), changes)
    # Whoever shows it need not wait for the figures below.
    yield Progress(2, 3, "Comparing with the decisions", taught)
    judged = rows if len(rows) <= _JUDGED else rows[np.linspace(0, len(rows) - 1, _JUDGED).astype(int)]
    kept = np.isin(rows, judged)
    was, now = _right(room, rows[kept], targets[kept], offset, pull)
    return replace(taught, before_right=was, after_right=now, judged=int(kept.sum()) if was is not None else 0)


def _changes(
    room: Classroom, codes: tuple[str, ...], before: Taught | None, said: np.ndarray, decided: np.ndarray
) -> Changes:
    """List undecided cells whose most probable class is another one."""
    none = np.zeros(0, np.int64)
    if not len(said):
        return Changes(room.uids, none, codes, none, none, np.zeros(0))
    earlier, names = (room.probabilities, room.codes) if before is None else (before.probabilities, before.codes)
    # A class that only people use may stand in another column than before: columns are matched by name.
    every = list(dict.fromkeys((*codes, *names)))
    old = np.array([every.index(c) for c in names])[earlier.argmax(1)]
    new = said.argmax(1)
    moved = old != new
    moved[decided] = False
    rows = np.flatnonzero(moved)
    return Changes(room.uids, rows, every, old[rows], new[rows], said[rows, new[rows]])


def _right(
    room: Classroom, rows: np.ndarray, targets: np.ndarray, offset: np.ndarray, pull: float
) -> tuple[int | None, int | None]:
    """Count decided cells that the model, and heads not fitted to them, name as people did."""
    if len(rows) < 8:
        return None, None
    group = None if room.groups is None else room.groups[rows]
    chances = out_of_fold(
        room.embedding[rows], offset[rows], targets, pull, room.scale, groups=group, folds=4, iterations=20
    )
    return int((offset[rows].argmax(1) == targets).sum()), int((chances.argmax(1) == targets).sum())
