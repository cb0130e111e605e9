"""Orders by doubt: of one model, between two models, between model and person."""

from __future__ import annotations

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.queue.pool import Pool
from napari_aml.review.queue.ranking import Ranking, percent
from napari_aml.review.teach.head import out_of_fold


def uncertain_steps(pool: Pool) -> Steps[Ranking]:
    """Order undecided cells by the margin between the two most probable classes, smallest first.

    Settles 2009 (Active learning literature survey, section 3.1) calls it margin sampling.
    """
    yield Progress(0, 1, "Looking for doubtful cells")
    rows = pool.undecided
    return Ranking.by_score("uncertain", pool.room.uids, rows, 1 - pool.margin[rows], doubt_reason(pool))


def doubt_reason(pool: Pool):
    """Return the function that says why a row is doubtful."""
    first, second = pool.ranks

    def why(row: int) -> str:
        a, b = pool.codes[first[row]], pool.codes[second[row]]
        p, q = (float(pool.probabilities[row, c]) for c in (first[row], second[row]))
        if p - q < 0.1:
            return f"{a} {percent(p)} or {b} {percent(q)}: the model can hardly tell them apart"
        if p - q < 0.5:
            return f"{a} {percent(p)}, but perhaps {b} ({percent(q)})"
        return f"{a} {percent(p)}; {b} {percent(q)} comes next"

    return why


def ambiguous_steps(pool: Pool) -> Steps[Ranking]:
    """Order undecided cells of which the model holds several classes for possible, or none; most classes first.

    Raises
    ------
    InputError
        When the model has no conformal sets.
    """
    yield Progress(0, 1, "Counting possible classes")
    size = None if pool.trust is None else pool.trust.size
    if size is None or not (size >= 0).any():
        raise InputError(
            "The model does not say which classes are possible.",
            "Choose a bundle that was calibrated (napari-aml trust), and take back what was taught.",
        )
    rows = pool.undecided[(size[pool.undecided] > 1) | (size[pool.undecided] == 0)]
    scores = np.where(size[rows] == 0, 1, size[rows]) + (1 - pool.margin[rows]) * 0.9
    return Ranking.by_score("ambiguous", pool.room.uids, rows, scores, doubt_reason(pool))


def unlike_steps(pool: Pool) -> Steps[Ranking]:
    """Order undecided cells by how unlike the model's training cells they are, most unlike first.

    Raises
    ------
    InputError
        When the model cannot say.
    """
    yield Progress(0, 1, "Looking for unusual cells")
    score = None if pool.trust is None else pool.trust.score
    if score is None or not np.isfinite(score).any():
        raise InputError(
            "The model does not say which cells are unlike its training.", "Choose a bundle that was calibrated."
        )
    rows = pool.undecided[np.isfinite(score[pool.undecided])]
    return Ranking.by_score("unlike", pool.room.uids, rows, score[rows], doubt_reason(pool))


def disagreement_steps(pool: Pool) -> Steps[Ranking]:
    """Order cells on which model and person differ, and undecided cells on which two models differ.

    A person is compared with a head that was not fitted to that person's word on that cell (out of fold): a model
    that has learnt the decision by heart would agree with it. Two models differ by the Jensen-Shannon divergence of
    their probabilities over the classes that both know.

    Raises
    ------
    InputError
        When nothing is decided and there is no second model.
    """
    decided = np.flatnonzero(pool.said >= 0)
    if not len(decided) and pool.second is None:
        raise InputError(
            "There is nothing that could disagree: no cell is decided and there is one model only.",
            "Decide some cells, or give a second model.",
        )
    yield Progress(0, 2, "Comparing model and person")
    against = {}
    if len(decided):
        chances = unlearnt(pool)
        top, own = chances.argmax(1), pool.said[decided]
        at = np.arange(len(decided))
        gap = chances[at, top] - chances[at, own]
        against = {int(r): (float(g), i) for i, (r, g) in enumerate(zip(decided, gap, strict=True)) if top[i] != own[i]}
    yield Progress(1, 2, "Comparing the models")
    between = _between(pool) if pool.second is not None else {}
    rows = np.array([*against, *between], np.int64)
    scores = np.array([g for g, _ in against.values()] + [d for d, _, _ in between.values()])

    def why(row: int) -> str:
        if row in against:
            i = against[row][1]
            said, model = pool.every_code[pool.said[row]], pool.every_code[int(top[i])]
            sure, rest = float(chances[i, top[i]]), float(chances[i, pool.said[row]])
            return f"decided {said}, but the model says {model} ({percent(sure)}; {said} {percent(rest)})"
        _, one, two = between[row]
        return f"one model says {one}, the other {two}"

    return Ranking.by_score("disagreement", pool.room.uids, rows, scores, why)


def unlearnt(pool: Pool) -> np.ndarray:
    """Return what heads not fitted to them say of the decided cells, float32 (m, k), columns of `Pool.every_code`."""
    rows, targets = np.flatnonzero(pool.said >= 0), pool.said[pool.said >= 0]
    offset = pool.room.offsets(len(pool.every_code))
    pull, _ = pool.room.pull_for(rows, targets, offset)
    groups = None if pool.room.groups is None else pool.room.groups[rows]
    return out_of_fold(pool.room.embedding[rows], offset[rows], targets, pull, pool.room.scale, groups=groups)


def _between(pool: Pool) -> dict[int, tuple[float, str, str]]:
    """Return row → (divergence, one model's code, the other's) of undecided cells on which two models differ."""
    assert pool.second is not None
    shared = [code for code in pool.codes if code in pool.second.codes]
    if len(shared) < 2:
        raise InputError(
            "The two models share fewer than two classes, so that they cannot be compared.", "Choose another model."
        )
    p = pool.probabilities[:, [pool.codes.index(c) for c in shared]].astype(np.float64)
    q = pool.second.probabilities[:, [pool.second.codes.index(c) for c in shared]].astype(np.float64)
    p, q = ((a + 1e-9) / (a + 1e-9).sum(1, keepdims=True) for a in (p, q))
    middle = (p + q) / 2
    apart = 0.5 * (p * np.log2(p / middle)).sum(1) + 0.5 * (q * np.log2(q / middle)).sum(1)
    one, two = pool.ranks[0], pool.second.index
    named = [(pool.codes[a], pool.second.codes[b]) for a, b in zip(one, two, strict=True)]
    spoke = pool.second.probabilities.sum(1) > 0  # of cells that came later the second model says nothing
    return {int(r): (float(apart[r]), *named[r]) for r in pool.undecided if spoke[r] and named[r][0] != named[r][1]}
