"""Which picture is drawn how often: balanced so that the scanner does not tell the class."""

from __future__ import annotations

import numpy as np


def balanced_weights(
    codes: np.ndarray, sources: np.ndarray, groups: np.ndarray, share: dict[str, float], power: float = 0.5
) -> np.ndarray:
    """Drawing probability of each picture.

    Each source gets its share of the draws. Within a source a class gets draws in proportion to (number of its
    groups) ** ``power``, so that a class made of copies of few cells is not drawn as if it held many. Within a class
    each group is drawn equally often, whatever the number of its copies.

    Parameters
    ----------
    codes, sources, groups : array (n,)
    share : dict
        Source -> share of the draws.
    power : float
        0 = every class alike, 1 = as the groups are.

    Returns
    -------
    float64 (n,), sum 1
    """
    weights = np.zeros(len(codes))
    for source, part in share.items():
        of_source = sources == source
        names = np.unique(codes[of_source])
        counts = {name: len(np.unique(groups[of_source & (codes == name)])) for name in names}
        total = sum(count**power for count in counts.values())
        for name in names:
            rows = np.flatnonzero(of_source & (codes == name))
            _, inverse, sizes = np.unique(groups[rows], return_inverse=True, return_counts=True)
            weights[rows] = part * counts[name] ** power / total / counts[name] / sizes[inverse]
    return weights / weights.sum()
