"""After a hand edit of the labels only the touched cells are measured again; all others keep their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_aml.cells.masks import CellMasks
from napari_aml.cells.table import Cells, measure


@dataclass(frozen=True)
class CellsUpdate:
    """What an edit did.

    Attributes
    ----------
    cells
        The cells after the edit; the ones before are left as they were.
    changed_uids, added_uids, removed_uids
        Cells whose mask changed, which are new, which are gone.
    """

    cells: Cells
    changed_uids: tuple[str, ...] = ()
    added_uids: tuple[str, ...] = ()
    removed_uids: tuple[str, ...] = ()


def update_cells(cells: Cells, labels: np.ndarray, y0: int = 0, x0: int = 0) -> CellsUpdate:
    """Take over an edited part of the label image.

    Repainting changes a cell and keeps its uid; a label that is gone removes one; a new label adds one. Where a cell
    was split, its uid stays with the larger part. Pixels keep what is known about the nucleus. Parts of cells outside
    the region stay as they are.

    Parameters
    ----------
    cells
        Before the edit.
    labels
        int (h, w): the label image of the region after the edit.
    y0, x0
        Top left corner of the region, level-0 pixels.
    """
    labels = _inside(np.asarray(labels), y0, x0, cells.masks.shape)
    h, w = labels.shape
    if h == 0 or w == 0:
        return CellsUpdate(cells)
    before = cells.masks.region(y0, x0, h, w)
    nucleus = cells.masks.region(y0, x0, h, w, "nucleus") > 0
    differ = before != labels
    touched = [int(v) for v in np.union1d(before[differ], labels[differ]) if v]
    if not touched:
        return CellsUpdate(cells)
    masks = CellMasks(cells.masks.shape, dict(cells.masks.boxes), dict(cells.masks.patches), cells.masks.last)
    for label in touched:
        _redraw(masks, label, labels == label, nucleus, y0, x0)
    gone = [v for v in touched if v not in masks.boxes]
    new = [v for v in touched if v in masks.boxes and v not in cells.masks.boxes]
    kept = [v for v in touched if v in masks.boxes and v in cells.masks.boxes]
    uids = _uids(cells, masks, before, labels, gone, new, kept)
    table = _table(cells, masks, touched, kept + new, uids)
    old = set(cells.table["uid"])
    now = {uids[v] for v in kept + new}
    was = set(cells.table.loc[cells.table["label"].isin(touched), "uid"])
    order = [uids[v] for v in sorted(kept + new)]
    return CellsUpdate(
        Cells(cells.slide_id, masks, table, cells.pixel_size_um, cells.segmenter),
        tuple(u for u in order if u in old),
        tuple(u for u in order if u not in old),
        tuple(sorted(was - now)),
    )


def _inside(labels: np.ndarray, y0: int, x0: int, shape: tuple[int, int]) -> np.ndarray:
    if labels.ndim != 2 or y0 < 0 or x0 < 0 or y0 + labels.shape[0] > shape[0] or x0 + labels.shape[1] > shape[1]:
        raise ValueError(f"the region {labels.shape} at ({y0}, {x0}) does not lie inside the picture {shape}")
    return labels


def _redraw(masks: CellMasks, label: int, here: np.ndarray, nucleus: np.ndarray, y0: int, x0: int) -> None:
    """Set a cell's mask inside the region and keep it outside; forget it when nothing is left."""
    h, w = here.shape
    old = masks.boxes.get(label)
    ys, xs = np.nonzero(here)
    corners = [(y0 + ys.min(), x0 + xs.min(), y0 + ys.max() + 1, x0 + xs.max() + 1)] if len(ys) else []
    corners += [old] if old else []
    if not corners:
        return
    a = np.array(corners)
    top, left, bottom, right = int(a[:, 0].min()), int(a[:, 1].min()), int(a[:, 2].max()), int(a[:, 3].max())
    patch = np.zeros((bottom - top, right - left), np.uint8)
    if old:
        patch[old[0] - top : old[2] - top, old[1] - left : old[3] - left] = masks.patches[label]
    ty, tx, by, bx = max(top, y0), max(left, x0), min(bottom, y0 + h), min(right, x0 + w)
    if by > ty and bx > tx:
        part = np.s_[ty - y0 : by - y0, tx - x0 : bx - x0]
        patch[ty - top : by - top, tx - left : bx - left] = np.where(here[part], 1 + nucleus[part], 0)
    ys, xs = np.nonzero(patch)
    if not len(ys):
        if label in masks.boxes:
            masks.remove(label)
        return
    masks.put(label, top + int(ys.min()), left + int(xs.min()), patch[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])


def _uids(
    cells: Cells, masks: CellMasks, before: np.ndarray, labels: np.ndarray, gone: list[int], new: list[int],
    kept: list[int],
) -> dict[int, str]:
    """Return label → uid of the touched cells after the edit."""
    known = dict(zip(cells.table["label"].astype(int), cells.table["uid"], strict=True))
    uids = {v: known[v] for v in kept}
    free = {v: known[v] for v in gone}
    taken = set(cells.table["uid"])
    for label in sorted(new, key=lambda v: -int((masks.patches[v] > 0).sum())):
        origins = np.bincount(before[(labels == label) & (before > 0)].ravel())
        origin = int(origins.argmax()) if origins.any() else 0
        if origin in free:  # the old label is gone: the cell goes on under a new label
            uids[label] = free.pop(origin)
            continue
        serial = label if label > cells.masks.last else masks.last + 1
        fresh = f"{cells.slide_id}-{serial:06d}"
        while fresh in taken:
            serial = masks.last = masks.last + 1
            fresh = f"{cells.slide_id}-{serial:06d}"
        masks.last = max(masks.last, serial)
        taken.add(fresh)
        uids[label] = fresh
        if origin in uids and (masks.patches[label] > 0).sum() > (masks.patches[origin] > 0).sum():
            uids[label], uids[origin] = uids[origin], uids[label]
    return uids


def _table(cells: Cells, masks: CellMasks, touched: list[int], alive: list[int], uids: dict[int, str]) -> pd.DataFrame:
    rest = cells.table[~cells.table["label"].isin(touched)]
    rows = measure(masks, cells.slide_id, cells.pixel_size_um, sorted(alive))
    rows["uid"] = pd.Series([uids[int(v)] for v in rows["label"]], rows.index, "str")  # "str" without rows, too
    for column in cells.table.columns.difference(rows.columns):
        rows[column] = cells.table[column].dtype.type() if cells.table[column].dtype.kind in "biu" else np.nan
    table = pd.concat([rest, rows[list(cells.table.columns)]]) if len(rest) else rows
    return table.sort_values("label", kind="stable", ignore_index=True)
