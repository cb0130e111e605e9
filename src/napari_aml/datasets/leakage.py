"""What a split can promise: the level at which the cells of one origin are kept together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

#: Levels, strongest first; a column of the manifest each.
LEVELS = ("patient", "slide", "field")

_TEXT = {
    "patient": "Split by patient: no patient's cells stand on both sides.",
    "slide": "Split by slide: a patient with several slides may stand on both sides; leakage between patients "
    "cannot be excluded.",
    "field": "Split by field of view: fields of one slide or patient may stand on both sides; leakage cannot be "
    "excluded.",
    "near-duplicate": "Image-level split with near-duplicates kept together: no patient, slide or field is known, so "
    "leakage between donors cannot be excluded.",
    "image": "Image-level split: nothing is known of where the pictures come from; leakage cannot be excluded.",
}


@dataclass(frozen=True)
class Leakage:
    """The level of a split and what it means.

    Attributes
    ----------
    level
        ``patient``, ``slide``, ``field``, ``near-duplicate`` or ``image``: the weakest that some picture needs.
    text
        The sentence that every result carries.
    """

    level: str
    text: str


def row_levels(table: pd.DataFrame) -> np.ndarray:
    """Strongest level known of each row, object (n,): a column of `LEVELS`, else near-duplicate or image."""
    grouped = (table["group"] != "").to_numpy() if "group" in table else np.zeros(len(table), bool)
    level = np.where(grouped, "near-duplicate", "image").astype(object)
    for name in reversed(LEVELS):
        if name in table:
            level[(table[name] != "").to_numpy()] = name
    return level


def leakage_of(table: pd.DataFrame) -> Leakage:
    """Return the level that a split of these rows has: the weakest of its rows."""
    levels = row_levels(table)
    order = (*LEVELS, "near-duplicate", "image")
    found = [name for name in order if (levels == name).any()] or ["image"]
    text = _TEXT[found[-1]]
    if len(found) > 1:
        shares = ", ".join(f"{name} {np.mean(levels == name):.0%}" for name in found)
        text += f" (Known of the pictures: {shares}.)"
    return Leakage(found[-1], text)


def split_groups(table: pd.DataFrame) -> np.ndarray:
    """Number of the group that must not be parted, int64 (n,).

    Rows that share a patient (else slide, else field) or a near-duplicate group are joined, along any chain of both.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(table)
    keys: list[np.ndarray] = []
    levels = row_levels(table)
    for name in LEVELS:
        if name in table:
            # A slide's number means something within its source alone.
            value = (name + "\x1f" + table["source"].astype(str) + "\x1f" + table[name].astype(str)).to_numpy(object)
            keys.append(_where(levels == name, value))
    if "group" in table:
        group = table["group"].astype(str).to_numpy(object)
        keys.append(_where(group != "", "group\x1f" + group))
    pairs = [np.empty((0, 2), np.int64)]
    for key in keys:
        rows = np.flatnonzero(key != None)  # noqa: E711 - elementwise
        if len(rows):
            _, first, inverse = np.unique(key[rows].astype(str), return_index=True, return_inverse=True)
            pairs.append(np.stack([rows, rows[first][inverse]], axis=1))
    joined = np.concatenate(pairs)
    graph = coo_array((np.ones(len(joined), np.int8), (joined[:, 0], joined[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _where(known: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The values where they are known, else None; object (n,)."""
    out = np.full(len(value), None, object)
    out[known] = value[known]
    return out
