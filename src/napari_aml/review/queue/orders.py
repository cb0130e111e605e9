"""The orders by name, and the mix of them that is the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps, run
from napari_aml.review.queue.doubt import ambiguous_steps, disagreement_steps, uncertain_steps, unlike_steps
from napari_aml.review.queue.label_errors import FEWEST, label_errors_steps
from napari_aml.review.queue.pool import Pool
from napari_aml.review.queue.ranking import Ranking
from napari_aml.review.queue.variety import diverse_steps, rare_steps

#: At first nothing is known of these cells: every other one is typical of a group of look-alikes.
_FIRST, _EARLY = 20, ("diverse", "uncertain")
#: Then doubt rules, for it is what makes labels better fastest (docs/benchmarks/curation.md); every tenth cell is one
#: that doubt never shows.
_LATE = tuple(name for special in ("label-errors", "rare", "diverse") for name in (*["uncertain"] * 9, special))
#: A label is looked at again in the mix only when what speaks against it is at least this strong.
_WRONG = 0.75


@dataclass(frozen=True)
class Order:
    """One way of ordering.

    Attributes
    ----------
    name
        As it is asked for.
    title
        For a person.
    what
        What it shows first, in a sentence.
    steps
        Pool → ranking.
    """

    name: str
    title: str
    what: str
    steps: Callable[[Pool], Steps[Ranking]]


def mix_steps(pool: Pool) -> Steps[Ranking]:
    """Mix the orders: at first variety and doubt, later doubt and, every tenth, rare, new or likely mislabelled cells.

    Whose turn it is follows from the number of decisions, so that a queue made anew after each of them goes on where
    the last one was.
    """
    parts: dict[str, Ranking] = {}
    steps = {"uncertain": uncertain_steps, "rare": rare_steps, "diverse": diverse_steps}
    if int((pool.said >= 0).sum()) >= FEWEST and len(np.unique(pool.said[pool.said >= 0])) > 1:
        steps["label-errors"] = label_errors_steps
    for done, (name, make) in enumerate(steps.items()):
        yield Progress(done, len(steps), "Mixing the orders")
        # Hunting for wanted classes is an order of its own; the mix looks for what is rare here.
        parts[name] = run(make(replace(pool, wanted=()) if name == "rare" and pool.wanted else pool))
    rows, origin = _interleaved(parts, int((pool.said >= 0).sum()))
    scores = -np.arange(len(rows), dtype=float)
    return Ranking("mix", pool.room.uids, rows, scores, lambda row: parts[origin[row]].reasons(row))


def _interleaved(parts: dict[str, Ranking], turn: int) -> tuple[np.ndarray, dict[int, str]]:
    """Take cells from the orders in turn, each once; an order that has nothing left gives its turn to doubt."""
    queues = {name: _worth(name, part) for name, part in parts.items()}
    at = dict.fromkeys(queues, 0)
    origin: dict[int, str] = {}

    def take(name: str) -> bool:
        queue = queues.get(name)
        while queue is not None and at[name] < len(queue):
            row = queue[at[name]]
            at[name] += 1
            if row not in origin:
                origin[row] = name
                return True
        return False

    def whose() -> str:
        return _EARLY[turn % len(_EARLY)] if turn < _FIRST else _LATE[(turn - _FIRST) % len(_LATE)]

    while take(whose()) or take("uncertain") or take("label-errors"):
        turn += 1
    return np.array(list(origin), np.int64), origin


def _worth(name: str, part: Ranking) -> list[int]:
    """Return the rows of an order that the mix takes."""
    keep = part.rows
    if name == "label-errors":
        keep = keep[part.scores >= _WRONG]
    elif name == "rare":
        keep = keep[part.scores > 0.3]  # of what is hardly of a rare class at all there is no end
    elif name == "diverse":
        keep = keep[part.scores >= 0]  # one of each group that no one has seen
    return keep.tolist()


ORDERS: dict[str, Order] = {
    order.name: order
    for order in (
        Order("mix", "Mix", "Mostly doubtful cells; some rare, new-looking or likely mislabelled ones.", mix_steps),
        Order("uncertain", "Doubtful", "Cells between two classes.", uncertain_steps),
        Order("disagreement", "Disagreement", "Cells on which model and person, or two models, differ.",
              disagreement_steps),
        Order("label-errors", "Likely label errors", "Decided cells that the other decided cells speak against.",
              label_errors_steps),
        Order("diverse", "Variety", "A typical cell of each group of look-alikes that no one has seen.", diverse_steps),
        Order("ambiguous", "Several classes possible", "Cells whose set of possible classes holds several, or none.",
              ambiguous_steps),
        Order("unlike", "Unlike training", "Cells most unlike those that the model learnt from.", unlike_steps),
        Order("rare", "Rare classes", "Cells that may be of a class which is rare here.", rare_steps),
    )
}  # fmt: skip

DEFAULT = "mix"


def rank_steps(pool: Pool, order: str = DEFAULT) -> Steps[Ranking]:
    """Order a pool, yielding progress.

    Parameters
    ----------
    pool
        Cells, predictions, decisions.
    order
        A name in `ORDERS`.

    Raises
    ------
    InputError
        For an unknown order, or one that what is known does not suffice for; the message says what is missing.
    """
    if order not in ORDERS:
        raise InputError(f"There is no order '{order}'.", f"Choose one of {', '.join(ORDERS)}.")
    ranking = yield from ORDERS[order].steps(pool)
    trust = pool.trust
    if trust is None:
        return ranking
    return replace(ranking, reasons=lambda row: "; ".join([ranking.reasons(row), *trust.words(row)]))


def rank(pool: Pool, order: str = DEFAULT) -> Ranking:
    """Order a pool; `rank_steps` driven to its end.

    Examples
    --------
    >>> from napari_aml.review.teach import Classroom
    >>> chances = np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)
    >>> room = Classroom(["a", "b"], ("NGB", "NGS"), np.eye(2, dtype=np.float32), chances)
    >>> rank(Pool(room), "uncertain").entries(1)
    [('a', 'NGB 50 % or NGS 50 %: the model can hardly tell them apart')]
    """
    return run(rank_steps(pool, order))
