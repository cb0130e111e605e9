"""A second model's word, laid beside the cells of a pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.classify import Predictions


def second_word(uids: Sequence[str], parts: Sequence[tuple[list[str], Predictions]]) -> Predictions | None:
    """Return a second model's predictions in the order of a pool's cells; None where it speaks of none of them.

    Parameters
    ----------
    uids
        Of the pool.
    parts
        (uids, predictions) of each slide. Those of another model than the first part's are passed over.

    Returns
    -------
    Predictions or None
        Rows of cells of which it says nothing are zero.
    """
    from napari_aml.classify.predictions import Predictions

    parts = [p for p in parts if p[1].codes == parts[0][1].codes and p[1].bundle_id == parts[0][1].bundle_id]
    place = {uid: row for row, uid in enumerate(uids)}
    found = False
    if not parts:
        return None
    first = parts[0][1]
    out = np.zeros((len(uids), len(first.codes)), np.float32)
    for own, said in parts:
        pairs = [(place[uid], i) for i, uid in enumerate(own) if uid in place]
        if pairs:
            there, here = np.array(pairs).T
            out[there] = said.probabilities[here]
            found = True
    if not found:
        return None
    nothing, untold = np.zeros((len(uids), 0), np.float32), np.full(len(uids), np.nan, np.float32)
    return Predictions(first.codes, out, nothing, untold, first.bundle_id)
