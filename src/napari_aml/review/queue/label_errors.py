"""Likely label errors: decided cells whose class the other decided cells and the model speak against.

Confident learning (Northcutt et al. 2021, JAIR 70:1373) by cleanlab, on out-of-fold probabilities.
"""

from __future__ import annotations

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.queue.doubt import unlearnt
from napari_aml.review.queue.pool import Pool
from napari_aml.review.queue.ranking import Ranking, percent

#: Fewer decided cells than this cannot speak against each other.
FEWEST = 20


def label_errors_steps(pool: Pool) -> Steps[Ranking]:
    """Order the decided cells by how little their class is borne out, worst first.

    Raises
    ------
    InputError
        With fewer than twenty decided cells or only one class among them.
    """
    rows = np.flatnonzero(pool.said >= 0)
    given = pool.said[rows]
    if len(rows) < FEWEST or len(np.unique(given)) < 2:
        raise InputError(
            f"Label errors are found by comparing decided cells with each other; {len(rows)} cell(s) of "
            f"{len(np.unique(given))} class(es) are too few.",
            f"Decide at least {FEWEST} cells of two or more classes first.",
        )
    yield Progress(0, 2, "Asking the other decided cells")
    chances = unlearnt(pool)
    yield Progress(1, 2, "Ranking the labels")
    quality = label_quality(given, chances)
    place = {int(row): i for i, row in enumerate(rows)}

    def why(row: int) -> str:
        i = place[row]
        said, top = pool.every_code[given[i]], pool.every_code[int(chances[i].argmax())]
        own, best = float(chances[i, given[i]]), float(chances[i].max())
        if said == top:
            return f"decided {said}, and the other cells bear it out ({percent(own)})"
        return f"decided {said} ({percent(own)}), but the other decided cells speak for {top} ({percent(best)})"

    return Ranking.by_score("label-errors", pool.room.uids, rows, 1 - quality, why)


def label_quality(given: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return cleanlab's normalised margin of each label, float (m,) from 0 (surely wrong) to 1.

    Parameters
    ----------
    given
        int (m,): columns of `chances`.
    chances
        (m, k), out of fold.
    """
    from cleanlab.rank import get_label_quality_scores

    # Only columns that stand for a class someone gave: cleanlab asks that every class has a label.
    used, column = np.unique(given, return_inverse=True)
    left = np.delete(chances, used, axis=1).sum(1, keepdims=True)
    own = np.asarray(chances[:, used], np.float64)
    scores = get_label_quality_scores(column, own / own.sum(1, keepdims=True), method="normalized_margin")
    # What the model gives to classes that no one used speaks against the label, too.
    return np.asarray(scores, np.float64) * (1 - np.asarray(left, np.float64).ravel())
