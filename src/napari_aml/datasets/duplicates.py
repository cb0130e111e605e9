"""Near-duplicates: pictures of one cell stay in one group, so that no copy of a training cell is tested on.

Two signs are used together. A perceptual hash (DCT, 63 bits, smallest distance over the eight turns and flips) finds
copies that differ by compression, size or right angles. A description that does not change when the picture is turned
(spectrum along the angle of its polar picture) finds copies turned by any angle, which the rare classes of some public
sets are made of; it compares pictures of one source and class alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

#: Copies closer than this many of 63 bits are one cell.
HASH_BITS = 6
_BITS = 63
#: From which cosine two standardised descriptions are one cell. AML-Cytomorphology_LMU thumbnails: 586 pairs, one of
#: them across classes, and rare classes shrink to about as many cells as the whole set has. Of simulated copies
#: (any angle, 5 % zoom, 2 % shift) it finds 60 %.
ALIKE = 0.7
#: Descriptions are standardised by their own source; fewer pictures say too little about it.
_FEWEST = 50


def perceptual_hashes(images: Iterable[np.ndarray]) -> np.ndarray:
    """63-bit DCT hashes of every picture in its eight orientations.

    Parameters
    ----------
    images
        uint8 (n, h, w, 3), or pictures of several sizes.

    Returns
    -------
    numpy.ndarray
        uint64 (n, 8).
    """
    import cv2
    from scipy.fft import dctn

    weights = (np.uint64(1) << np.arange(_BITS, dtype=np.uint64))[None]
    small = [cv2.resize(i, (32, 32), interpolation=cv2.INTER_AREA) for i in images]
    grey = np.stack([cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in small])
    out = np.zeros((len(grey), 8), dtype=np.uint64)
    for turn in range(8):
        view = np.rot90(grey, turn % 4, axes=(1, 2))
        if turn >= 4:
            view = view[:, :, ::-1]
        # The constant term says only how bright the picture is: leave it out.
        low = dctn(view.astype(np.float32), axes=(1, 2))[:, :8, :8].reshape(len(grey), 64)[:, 1:]
        bits = low > np.median(low, axis=1, keepdims=True)
        out[:, turn] = (bits * weights).sum(axis=1, dtype=np.uint64)
    return out


def pairs_by_hash(hashes: np.ndarray, bits: int = HASH_BITS) -> np.ndarray:
    """Pairs (m, 2) of pictures whose hashes differ by at most `bits` in some orientation."""
    search = _all_against_all if len(hashes) <= 4000 else _by_bands
    found = list(search(hashes, bits))
    return np.unique(np.concatenate(found), axis=0) if found else np.empty((0, 2), np.int64)


def _all_against_all(hashes: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    for start in range(0, len(hashes), 256):
        block = hashes[start : start + 256, 0]
        for turn in range(8):
            apart = np.bitwise_count(block[:, None] ^ hashes[None, :, turn])
            i, j = np.nonzero(apart <= bits)
            yield np.stack([i + start, j], axis=1)[i + start < j]


def _by_bands(hashes: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    """Compare only pictures that agree in one of bits + 1 bands: two that are near enough agree in one at least."""
    edges = np.linspace(0, _BITS, bits + 2).astype(int)
    upright = hashes[:, 0]
    for low, high in pairwise(edges):
        mask = np.uint64(((1 << int(high - low)) - 1) << int(low))
        order = np.argsort(upright & mask, kind="stable")
        keys = (upright & mask)[order]
        for turn in range(8):
            turned = hashes[:, turn] & mask
            start, stop = np.searchsorted(keys, turned), np.searchsorted(keys, turned, side="right")
            for first in range(0, len(hashes), 4096):
                rows = np.arange(first, min(first + 4096, len(hashes)))
                count = stop[rows] - start[rows]
                i = np.repeat(rows, count)
                within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
                j = order[np.repeat(start[rows], count) + within]
                near = (i != j) & (np.bitwise_count(hashes[i, turn] ^ upright[j]) <= bits)
                yield np.sort(np.stack([i[near], j[near]], axis=1), axis=1)


def turn_descriptions(images: Iterable[np.ndarray]) -> np.ndarray:
    """Describe pictures whatever their rotation.

    Parameters
    ----------
    images
        uint8 (n, h, w, 3), or pictures of several sizes.

    Returns
    -------
    numpy.ndarray
        float16 (n, 600): log magnitude of the first ten frequencies along the angle, at 20 radii, in Lab. NaN for
        pictures of fewer than 64 px, which hold too little to tell one cell from another.
    """
    import cv2

    out = []
    for image in images:
        if min(image.shape[:2]) < 64:
            out.append(np.full(600, np.nan))
            continue
        small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
        polar = cv2.warpPolar(lab, (20, 64), (31.5, 31.5), 30.4, cv2.INTER_LINEAR)
        out.append(np.log1p(np.abs(np.fft.rfft(polar, axis=0))[:10] / 64).ravel())
    return np.array(out, np.float16).reshape(-1, 600)


def pairs_by_description(
    descriptions: np.ndarray, sources: np.ndarray, labels: np.ndarray, at_least: float = ALIKE
) -> np.ndarray:
    """Pairs (m, 2) of pictures of one source and label whose descriptions have at least this cosine."""
    found = [np.empty((0, 2), np.int64)]
    for source in np.unique(sources):
        rows = np.flatnonzero((sources == source) & ~np.isnan(descriptions[:, 0]))
        if len(rows) < _FEWEST:
            continue
        x = descriptions[rows].astype(np.float32)
        x = (x - x.mean(0)) / (x.std(0) + 1e-3)
        x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-9
        for label in np.unique(labels[rows]):
            own = np.flatnonzero(labels[rows] == label)
            for start in range(0, len(own), 1024):
                i, j = np.nonzero(x[own[start : start + 1024]] @ x[own].T >= at_least)
                found.append(rows[own[np.stack([i + start, j], axis=1)[i + start < j]]])
    return np.concatenate(found)


def connected_groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """Group number per item, int64 (n,): items joined by any chain of pairs share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def duplicate_groups(hashes: np.ndarray, bits: int = HASH_BITS, extra: Iterable[np.ndarray] = ()) -> np.ndarray:
    """Group pictures by their hashes and by pairs (m, 2) known otherwise; int64 (n,)."""
    pairs = [np.empty((0, 2), np.int64), pairs_by_hash(hashes, bits), *extra]
    return connected_groups(len(hashes), np.concatenate(pairs))
