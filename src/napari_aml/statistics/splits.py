"""Splits that keep what belongs together on one side and every class on all of them."""

from __future__ import annotations

import numpy as np

from napari_aml.errors import InputError
from napari_aml.statistics.intervals import rows_by_group


def grouped_stratified_folds(
    targets: np.ndarray, groups: np.ndarray | None = None, k: int = 5, seed: int = 0
) -> np.ndarray:
    """Deal rows into folds so that groups stay whole and classes are spread evenly.

    Groups are dealt in random order, those of the rarest class first and larger ones before smaller ones, each to the
    fold that then holds its classes most evenly.

    Parameters
    ----------
    targets
        (n,) class of each row, of any kind.
    groups
        (n,) patient, slide or near-duplicate group of each row; each row on its own when None.
    k
        Folds, at least two.
    seed
        Of the random order.

    Returns
    -------
    numpy.ndarray
        int64 (n,), the fold (0…k-1) of each row. A class with fewer groups than folds is absent from some.

    Raises
    ------
    InputError
        With fewer groups than folds, or fewer than two folds.
    """
    targets = np.asarray(targets)
    n = len(targets)
    members = [np.array([i]) for i in range(n)] if groups is None else rows_by_group(groups, n)
    if k < 2 or len(members) < k:
        raise InputError(
            f"{len(members)} independent groups cannot be dealt into {k} folds.", "Ask for at least 2, and fewer folds."
        )
    _, classes = np.unique(targets, return_inverse=True)
    width = int(classes.max()) + 1
    counts = np.stack([np.bincount(classes[rows], minlength=width) for rows in members]).astype(float)
    total = counts.sum(0)
    rng = np.random.default_rng(seed)
    rarest = np.where(counts > 0, total, np.inf).min(1)
    order = np.lexsort((rng.random(len(members)), -counts.sum(1), rarest))
    held = np.zeros((k, width))
    fold_of = np.empty(n, np.int64)
    tie = rng.permutation(k)
    for g in order:
        # How uneven each class would become, rare classes weighing as much as common ones; then the fuller fold loses.
        new = (held + counts[g]) / total
        old = held / total
        cost = ((new**2 - old**2) * (counts[g] > 0)).sum(1)
        best = np.lexsort((tie, held.sum(1), np.round(cost, 12)))[0]
        held[best] += counts[g]
        fold_of[members[g]] = best
    return fold_of
