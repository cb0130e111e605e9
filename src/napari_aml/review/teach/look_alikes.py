"""Groups of cells that a model finds alike."""

from __future__ import annotations

import numpy as np

from napari_aml.review.teach.head import Scale

#: Groups that cells are divided into, at most; one group to `_EACH` cells at least.
_GROUPS, _EACH = 64, 8
#: Cells that the groups are found on; the others join the nearest one.
_FOUND_ON = 4000
#: Directions of the embedding that groups are found in.
_DIRECTIONS = 32


def group_look_alikes(embedding: np.ndarray, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Divide cells into groups by k-means in the directions in which their embeddings differ most.

    Parameters
    ----------
    embedding
        float32 (n, d).
    scale
        Brings embeddings to one scale.

    Returns
    -------
    group
        Number of each cell's group, int (n,).
    distance
        Of each cell from its group's centre, float (n,), in units of the scaled embedding.
    """
    from sklearn.cluster import KMeans

    n = len(embedding)
    if n == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    k = int(min(_GROUPS, max(1, n // _EACH)))
    sample = np.unique(np.linspace(0, n - 1, min(n, _FOUND_ON)).astype(int))
    seen = scale(embedding[sample])
    _, vectors = np.linalg.eigh(seen.T @ seen)
    axes = vectors[:, ::-1][:, :_DIRECTIONS].astype(np.float32)
    found = KMeans(k, n_init=1, max_iter=30, random_state=0).fit(seen @ axes)
    centres = found.cluster_centers_.astype(np.float32)
    group, distance = np.empty(n, np.int64), np.empty(n)
    for start in range(0, n, 20_000):
        z = scale(embedding[start : start + 20_000]) @ axes
        apart = (z**2).sum(1, keepdims=True) - 2 * z @ centres.T + (centres**2).sum(1)
        group[start : start + len(z)] = apart.argmin(1)
        distance[start : start + len(z)] = np.sqrt(np.maximum(apart.min(1), 0))
    return group, distance
