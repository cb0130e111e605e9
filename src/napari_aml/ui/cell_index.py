"""Which row of a cell table a cell stands in: made once a table, for all who ask."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class CellIndex:
    """Rows by uid and by label; to read only.

    Attributes
    ----------
    uids
        (n,) list of str, in the order of the rows.
    every
        The same as a tuple: whoever is handed this very tuple need look up nothing.
    row_of_uid, row_of_label
        uid → row, label → row.
    """

    def __init__(self, table: pd.DataFrame | None) -> None:
        self.uids: list[str] = [] if table is None else table["uid"].tolist()
        self.every = tuple(self.uids)
        labels = [] if table is None else table["label"].tolist()
        rows = range(len(self.uids))
        self.row_of_uid: dict[str, int] = dict(zip(self.uids, rows, strict=True))
        self.row_of_label: dict[int, int] = dict(zip(labels, rows, strict=True))


_EMPTY = CellIndex(None)
_known: dict[int, tuple[weakref.ref[pd.DataFrame], CellIndex]] = {}


def index_of(table: pd.DataFrame | None) -> CellIndex:
    """Return the index of a table, which is not changed any more; may be called in any thread."""
    if table is None:
        return _EMPTY
    key = id(table)
    found = _known.get(key)
    if found is None or found[0]() is not table:
        found = _known[key] = (weakref.ref(table, lambda ref: _forget(key, ref)), CellIndex(table))
    return found[1]


def boxes_of(table: pd.DataFrame, rows: Sequence[int] | np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Return label → box (y0, x0, y1, x1) of the cells in some rows."""
    some = table.iloc[rows]
    columns = (some[name].tolist() for name in ("label", "y0", "x0", "y1", "x1"))
    return {int(label): (int(y0), int(x0), int(y1), int(x1)) for label, y0, x0, y1, x1 in zip(*columns, strict=True)}


def _forget(key: int, ref: object) -> None:
    found = _known.get(key)
    if found is not None and found[0] is ref:  # else another table lies at that address by now
        _known.pop(key, None)
