"""What the simple heads read of a bag: one vector a patient, and the same vector with each cell left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_aml.patients.bags import Bag
from napari_aml.taxonomy import cell_class

#: (values of each cell (n, m), the sum that the feature is made of) → feature.
Feature = Callable[[Bag, Sequence[str]], tuple[np.ndarray, np.ndarray]]


def mean_probability(bag: Bag, codes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the cells' probabilities.

    Returns
    -------
    whole : float64 (k,)
    without : float64 (n, k)
        The same without each cell; a patient of one cell keeps it.
    """
    p = bag.probabilities.astype(float)
    return p.mean(0), _left_out(p)


def differential_share(bag: Bag, codes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The differential: arcsine square roots of each class's share.

    Leukocytes are the denominator of leukocytes, all cells that of the rest. The root of a share has a variance that
    hardly depends on the share, so that rare and common classes weigh alike (Anscombe 1948, Biometrika 35:246).

    Returns
    -------
    whole : float64 (k,)
    without : float64 (n, k)
    """
    n, k = bag.probabilities.shape
    one = np.zeros((n, k))
    one[np.arange(n), bag.probabilities.argmax(1)] = 1
    white = np.array([cell_class(code).role.is_leukocyte for code in codes], bool)
    counts = one.sum(0)
    return _roots(counts[None], white)[0], _roots(counts[None] - one, white)


def _roots(counts: np.ndarray, white: np.ndarray) -> np.ndarray:
    leukocytes, everything = counts[:, white].sum(1, keepdims=True), counts.sum(1, keepdims=True)
    total = np.where(white[None], leukocytes, everything)
    share = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    return np.arcsin(np.sqrt(np.clip(share, 0, 1)))


def _left_out(values: np.ndarray) -> np.ndarray:
    n = len(values)
    return values if n == 1 else (values.sum(0, keepdims=True) - values) / (n - 1)


FEATURES: dict[str, Feature] = {"mean-probability": mean_probability, "differential": differential_share}
