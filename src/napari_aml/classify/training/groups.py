"""Near-duplicates: pictures of one cell stay in one group, so that no copy of a training cell is tested on.

Two signs are used together. A perceptual hash (DCT hash, 64 bit, smallest distance over the eight turns and
flips) finds copies that differ by compression or by right angles. The cosine of turn-averaged features of
an ImageNet network finds copies turned by any angle, zoomed or re-coloured, such as the rare LMU classes
are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from .data import CellSet

#: From which cosine two pictures are one cell. LMU: at 0.96 some 2 % of the pairs join different classes,
#: so it is rather too low than too high. PBC holds no turned copies, but whole-picture likeness is high
#: among different cells.
COSINE = {"pbc": 0.97, "lmu": 0.96}
TURNS = {"pbc": 1, "lmu": 8}
#: Copies closer than this many of 64 bits are one cell.
HASH_BITS = 6


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """64-bit DCT hashes of every picture in its eight orientations.

    Parameters
    ----------
    images : uint8 (n, h, w, 3)

    Returns
    -------
    uint64 (n, 8)
    """
    import cv2
    from scipy.fft import dctn

    out = np.zeros((len(images), 8), dtype=np.uint64)
    weights = (np.uint64(1) << np.arange(63, dtype=np.uint64))[None]
    small = (cv2.resize(i, (32, 32), interpolation=cv2.INTER_AREA) for i in images)
    grey = np.stack([cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in small])
    for turn in range(8):
        view = np.rot90(grey, turn % 4, axes=(1, 2))
        if turn >= 4:
            view = view[:, :, ::-1]
        # The constant term says only how bright the picture is: leave it out.
        low = dctn(view.astype(np.float32), axes=(1, 2))[:, :8, :8].reshape(len(images), 64)[:, 1:]
        bits = low > np.median(low, axis=1, keepdims=True)
        out[:, turn] = (bits * weights).sum(axis=1, dtype=np.uint64)
    return out


def turned_features(images: np.ndarray, embed: Callable[[np.ndarray], np.ndarray], turns: int = 8) -> np.ndarray:
    """Turn-averaged unit features of the centre disc.

    Parameters
    ----------
    images : uint8 (n, h, w, 3)
    embed : callable
        uint8 (n, h, w, 3) -> float32 (n, d).
    turns : int
        Angles, equally spaced, whose features are averaged.
    """
    import cv2

    side = images.shape[1]
    centre = (side - 1) / 2
    yy, xx = np.mgrid[:side, :side]
    outside = (yy - centre) ** 2 + (xx - centre) ** 2 > (side / 2) ** 2
    total = 0.0
    for turn in range(turns):
        warp = cv2.getRotationMatrix2D((centre, centre), 360 / turns * turn, 1.0)
        view = np.stack([cv2.warpAffine(i, warp, (side, side), flags=cv2.INTER_LINEAR) for i in images])
        view[:, outside] = 255
        total = total + embed(view)
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def pairs_by_hash(hashes: np.ndarray, bits: int = HASH_BITS) -> np.ndarray:
    """Pairs (m, 2) of pictures whose hashes differ by at most ``bits`` in some orientation."""
    found = []
    for start in range(0, len(hashes), 256):
        block = hashes[start : start + 256, 0]
        for turn in range(8):
            apart = np.bitwise_count(block[:, None] ^ hashes[None, :, turn])
            i, j = np.nonzero(apart <= bits)
            found.append(np.stack([i + start, j], axis=1)[i + start < j])
    return np.concatenate(found)


def pairs_by_cosine(features: np.ndarray, at_least: float) -> np.ndarray:
    """Pairs (m, 2) of pictures whose unit features have at least this cosine."""
    found = []
    for start in range(0, len(features), 512):
        i, j = np.nonzero(features[start : start + 512] @ features.T >= at_least)
        found.append(np.stack([i + start, j], axis=1)[i + start < j])
    return np.concatenate(found)


def connected_groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """Group number per item, int64 (n,): items joined by any chain of pairs share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def group_near_duplicates(
    cells: CellSet,
    embed: Callable[[np.ndarray], np.ndarray],
    cosine: dict[str, float] = COSINE,
    turns: dict[str, int] = TURNS,
    hash_bits: int = HASH_BITS,
) -> np.ndarray:
    """Group the pictures of each source by hash, by feature cosine and by the name of the original cell.

    Parameters
    ----------
    cells : CellSet
    embed : callable
        uint8 (n, h, w, 3) -> float32 (n, d).
    cosine : dict
        Per source, the cosine from which two pictures count as one cell.
    turns : dict
        Per source, over how many turns features are averaged.

    Returns
    -------
    int64 (n,)
        Group of each row of ``cells.table``; groups never span sources.
    """
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for source, images in cells.images.items():
        rows = np.flatnonzero(cells.table["source"] == source)
        pairs.append(rows[pairs_by_hash(perceptual_hashes(images), hash_bits)])
        pairs.append(rows[pairs_by_cosine(turned_features(images, embed, turns[source]), cosine[source])])
    named = cells.table.reset_index()
    for _, members in named[named["original"] != ""].groupby(["source", "original"])["index"]:
        rows = members.to_numpy()
        pairs.append(np.stack([np.full(len(rows) - 1, rows[0]), rows[1:]], axis=1))
    return connected_groups(len(cells), np.concatenate(pairs))


def grouped_folds(groups: np.ndarray, strata: np.ndarray, n_folds: int = 5, seed: int = 0) -> np.ndarray:
    """Fold per item, int64 (n,): whole groups, each stratum spread evenly.

    Groups are dealt largest first to the fold that has fewest items of the group's commonest stratum.
    """
    rng = np.random.default_rng(seed)
    stratum_ids = np.unique(strata, return_inverse=True)[1]
    load = np.zeros((n_folds, stratum_ids.max() + 1))
    unique, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(sizes)[:-1])
    fold = np.empty(len(groups), dtype=np.int64)
    for g in np.lexsort((rng.random(len(unique)), -sizes)):
        counts = np.bincount(stratum_ids[members[g]], minlength=load.shape[1])
        main = counts.argmax()
        tied = np.flatnonzero(load[:, main] == load[:, main].min())
        chosen = tied[load[tied].sum(axis=1).argmin()]
        load[chosen] += counts
        fold[members[g]] = chosen
    return fold
