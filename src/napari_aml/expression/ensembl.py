"""Ensembl ids of many names at once: where each of them stands in a list of known ids.

A table has tens of thousands of names, and looking them up one by one costs as much as reading millions of its cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: ENSG00000000003, and a version after it of at most three digits (or what else fits behind the point).
_SIZE, _WITH_VERSION = 15, 20
_HALF = 8
_NO_TAIL = np.uint64(0xFFFFFFFFFFFFFF00)  # without the sixteenth character


class EnsemblIndex:
    """Known Ensembl ids, found by names that are such an id with or without a version.

    Parameters
    ----------
    ids
        Known ids.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        head, key, plain = _halves(ids)
        places = np.flatnonzero(plain)
        # All ids begin with the same eight characters but those of other species; others would not be found.
        self._head = head[places[0]] if places.size else np.uint64(0)
        places = places[head[places] == self._head]
        order = np.argsort(key[places], kind="stable")
        self._keys, self._places = key[places][order], places[order]

    def places(self, names: Sequence[str]) -> np.ndarray:
        """Return the place of each name in the list of ids: int64 (names,), -1 for what is no known id."""
        if not len(names) or not self._keys.size:
            return np.full(len(names), -1)
        head, key, plain = _halves(names)
        found = np.searchsorted(self._keys, key).clip(max=self._keys.size - 1)
        return np.where(plain & (head == self._head) & (self._keys[found] == key), self._places[found], -1)


def _halves(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return characters 1 to 8 of each name and 9 to 15, as numbers that sort alike; whether more is a version only."""
    size = np.fromiter(map(len, names), np.int64, len(names))
    # One byte a character, whatever it is.
    text = np.frombuffer("\n".join((*names, "\n" * (2 * _HALF))).encode("ascii", "replace"), np.uint8)
    starts = np.cumsum(size + 1) - size - 1
    begins = np.lib.stride_tricks.sliding_window_view(text, 2 * _HALF)[starts]
    halves = begins.view(">u8").astype(np.uint64)
    plain = (size == _SIZE) | ((begins[:, _SIZE] == ord(".")) & (size > _SIZE) & (size < _WITH_VERSION))
    return halves[:, 0], halves[:, 1] & _NO_TAIL, plain
