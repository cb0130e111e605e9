"""Variety: typical cells of groups that no one has looked at, and cells of rare classes."""

from __future__ import annotations

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.queue.pool import Pool
from napari_aml.review.queue.ranking import Ranking, percent
from napari_aml.taxonomy import cell_class

#: A class is rare when fewer than this share of the cells is expected to be of it.
RARE = 0.03


def diverse_steps(pool: Pool) -> Steps[Ranking]:
    """Order undecided cells so that every group of look-alikes is seen early: its most typical cell first.

    Groups are found by k-means in the embedding; those with the fewest decided cells come first, the larger before
    the smaller (after TypiClust, Hacohen et al. 2022, arXiv 2202.02794).
    """
    yield Progress(0, 2, "Grouping look-alikes")
    group, distance = pool.room.look_alikes
    yield Progress(1, 2, "Choosing typical cells")
    n_groups = int(group.max()) + 1 if len(group) else 0
    size = np.bincount(group, minlength=n_groups)
    seen = np.bincount(group[pool.said >= 0], minlength=n_groups)
    rows = pool.undecided
    within = np.lexsort((rows, distance[rows], group[rows]))
    turn = np.empty(len(rows), np.int64)  # how many of the same group stand before it
    sorted_group = group[rows][within]
    starts = np.searchsorted(sorted_group, sorted_group, side="left")
    turn[within] = np.arange(len(rows)) - starts
    turn = turn + seen[group[rows]]
    best = np.lexsort((rows, -size[group[rows]], turn))
    order = rows[best]
    scores = -turn[best].astype(float)

    def why(row: int) -> str:
        g = int(group[row])
        known = "none decided yet" if not seen[g] else f"{seen[g]} decided so far"
        return f"typical of {size[g]} look-alikes, {known}"

    return Ranking("diverse", pool.room.uids, order, scores, why)


def rare_steps(pool: Pool) -> Steps[Ranking]:
    """Order undecided cells by how likely they are of a class that is rare here (or wanted), weighted by its rarity.

    Raises
    ------
    InputError
        When a wanted class is not one that the model or a person names.
    """
    yield Progress(0, 1, "Looking for rare classes")
    share = expected_shares(pool)
    unknown = [code for code in pool.wanted if code not in pool.codes]
    if unknown:
        raise InputError(
            f"The model does not name {', '.join(unknown)}.",
            f"Choose among {', '.join(pool.codes)}; a class of your own once cells of it are decided.",
        )
    if pool.wanted:
        columns = np.array([pool.codes.index(code) for code in pool.wanted])
    else:
        counted = np.array([cell_class(code).role.value != "excluded" for code in pool.codes])
        columns = np.flatnonzero((share < RARE) & counted)
    rows = pool.undecided
    if not len(columns) or not len(rows):
        return Ranking("rare", pool.room.uids, np.zeros(0, np.int64), np.zeros(0), str)
    weight = np.log(1 / np.clip(share[columns], 1e-4, 0.9))
    scored = pool.probabilities[np.ix_(rows, columns)] * weight
    best = columns[scored.argmax(1)]
    at = {int(row): int(c) for row, c in zip(rows, best, strict=True)}

    def why(row: int) -> str:
        c = at[row]
        of = "asked for" if pool.wanted else f"rare here: about {percent(float(share[c]))} of the cells"
        return f"perhaps {pool.codes[c]} ({percent(float(pool.probabilities[row, c]))}), {of}"

    return Ranking.by_score("rare", pool.room.uids, rows, scored.max(1), why)


def expected_shares(pool: Pool) -> np.ndarray:
    """Return the share of each class that decisions and probabilities together let expect, float (k,)."""
    if not len(pool):
        return np.zeros(len(pool.codes))
    k = len(pool.codes)
    total = pool.probabilities[pool.undecided].sum(0, dtype=np.float64)
    said = pool.said[(pool.said >= 0) & (pool.said < k)]
    return (total + np.bincount(said, minlength=k)) / len(pool)
