"""A slide is segmented anew: cells that are the same keep their uid, and no cell that a person decided on is lost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_aml.cells import CellMasks, Cells

#: Two masks with at least this intersection over union are the same cell. Above one half no cell has two partners.
SAME_IOU = 0.5
_NEIGHBOURS = 8


@dataclass(frozen=True)
class CarriedOver:
    """New cells under the uids of the old ones.

    Attributes
    ----------
    cells
        The cells, in order of label.
    source
        int (n,): the row in the new cells that each came from; -1 for an old cell that was kept.
    old
        int (n,): the row in the old cells that each is; -1 for a cell that is new.
    """

    cells: Cells
    source: np.ndarray
    old: np.ndarray


def carry_over(old: Cells, new: Cells, keep: Collection[str]) -> CarriedOver:
    """Give new cells the uids of the old ones that they are.

    Parameters
    ----------
    old, new
        Cells of the same slide.
    keep
        uids of old cells that stay even where the new segmentation did not find them (someone decided on them). A new
        cell that lies for the most part in such a cell goes.

    Returns
    -------
    CarriedOver
    """
    partner = _partners(old, new)
    matched = set(partner[partner >= 0].tolist())
    keep = set(keep)
    stay = [r for r, uid in enumerate(old.table["uid"]) if uid in keep and r not in matched]
    gone = _covered(old, stay, new, partner)
    last = max(old.masks.last, 0)
    picked: list[tuple[int, int, int]] = []
    for row in range(len(new)):
        if row in gone:
            continue
        if partner[row] >= 0:
            picked.append((int(old.table["label"].iloc[partner[row]]), row, int(partner[row])))
        else:
            last += 1
            picked.append((last, row, -1))
    picked += [(int(old.table["label"].iloc[r]), -1, r) for r in stay]
    picked.sort()
    return _assemble(old, new, picked, last)


def _assemble(old: Cells, new: Cells, picked: list[tuple[int, int, int]], last: int) -> CarriedOver:
    masks = CellMasks(new.masks.shape, last=max(last, old.masks.last))
    source = np.array([row for _, row, _ in picked], int)
    before = np.array([r for _, _, r in picked], int)
    both = pd.concat([new.table, old.table], ignore_index=True)
    table = both.iloc[np.where(source >= 0, source, len(new) + before)].reset_index(drop=True)
    old_uids = old.table["uid"].to_numpy(object)
    uids = []
    for i, (label, row, was) in enumerate(picked):
        which, place = (new, row) if row >= 0 else (old, was)
        was_label = int(which.table["label"].iloc[place])
        masks.boxes[label], masks.patches[label] = which.masks.boxes[was_label], which.masks.patches[was_label]
        uids.append(old_uids[before[i]] if before[i] >= 0 else f"{new.slide_id}-{label:06d}")
    table["label"] = np.array([label for label, _, _ in picked], np.int32)
    table["uid"] = pd.Series(uids, dtype="str") if uids else table["uid"]
    return CarriedOver(Cells(new.slide_id, masks, table, new.pixel_size_um, new.segmenter), source, before)


def _partners(old: Cells, new: Cells) -> np.ndarray:
    """Return, of each new cell, the row of the old cell that it is; -1 for none."""
    out = np.full(len(new), -1)
    if not len(old) or not len(new):
        return out
    from scipy.spatial import cKDTree

    tree = cKDTree(old.table[["y", "x"]].to_numpy(float))
    k = min(_NEIGHBOURS, len(old))
    _, near = tree.query(new.table[["y", "x"]].to_numpy(float), k=k)
    near = np.asarray(near).reshape(len(new), k)
    old_labels, new_labels = old.table["label"].tolist(), new.table["label"].tolist()
    for row, candidates in enumerate(near):
        for r in candidates:
            both, a, b = _overlap(old.masks, int(old_labels[r]), new.masks, int(new_labels[row]))
            if both > SAME_IOU * (a + b - both):
                out[row] = r
                break
    return out


def _covered(old: Cells, stay: list[int], new: Cells, partner: np.ndarray) -> set[int]:
    """Return the unmatched new cells that lie for the most part in an old cell that stays."""
    gone: set[int] = set()
    labels = new.table["label"].tolist()
    row_of = {int(label): i for i, label in enumerate(labels)}
    for r in stay:
        label = int(old.table["label"].iloc[r])
        y0, x0, y1, x1 = old.masks.boxes[label]
        for other in new.masks.inside(y0, x0, y1 - y0, x1 - x0):
            row = row_of[other]
            if partner[row] < 0:
                both, _, size = _overlap(old.masks, label, new.masks, other)
                if both > 0.5 * size:
                    gone.add(row)
    return gone


def _overlap(a: CellMasks, i: int, b: CellMasks, j: int) -> tuple[int, int, int]:
    """Return the pixels that two masks share, and the size of each."""
    ay0, ax0, ay1, ax1 = a.boxes[i]
    by0, bx0, by1, bx1 = b.boxes[j]
    y0, x0, y1, x1 = max(ay0, by0), max(ax0, bx0), min(ay1, by1), min(ax1, bx1)
    if y1 <= y0 or x1 <= x0:
        return 0, 1, 1
    p, q = a.patches[i] > 0, b.patches[j] > 0
    both = p[y0 - ay0 : y1 - ay0, x0 - ax0 : x1 - ax0] & q[y0 - by0 : y1 - by0, x0 - bx0 : x1 - bx0]
    return int(both.sum()), int(p.sum()), int(q.sum())
