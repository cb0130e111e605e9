"""Edits of masks as values: what a person painted, split, deleted or added becomes a `MaskEdit`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.ui.cell_index import boxes_of
from napari_aml.ui.undo import Box, MaskEdit
from napari_aml.viewer.drawing import union

if TYPE_CHECKING:
    from napari_aml.cells import Cells

#: Parts smaller than this share of a cell's largest part are crumbs of erasing and vanish with it.
_CRUMB = 0.05
#: Diameter of a cell that is added by a click, µm: about that of a small lymphocyte; the brush does the rest.
ADDED_UM = 12.0

Read = Callable[[Box], np.ndarray]


def painted(cells: Cells, read: Read, box: Box | None, fresh: int) -> MaskEdit | None:
    """Turn painting into an edit.

    Parameters
    ----------
    cells
        The cells before.
    read
        Returns the label image as it is now, int (y1 - y0, x1 - x0), of a box.
    box
        Where a person painted; None = anywhere.
    fresh
        A label that no cell ever had; the ones after it are taken for further parts.

    Returns
    -------
    MaskEdit or None
        None when nothing differs from the masks. A cell that fell into parts becomes a cell a part; crumbs go.
    """
    shape = cells.masks.shape
    box = union([box or (0, 0, *shape)], shape)
    touched = _touched(cells, read(box), box)
    if not touched:
        return None
    region = union([box, *(cells.masks.boxes[t] for t in touched if t in cells.masks.boxes)], shape, 1)
    labels = read(region).astype(np.int32, copy=True)
    _separate_parts(labels, touched, fresh)
    return _edit(cells, labels, region, "Paint")


def deleted(cells: Cells, label: int) -> MaskEdit:
    """Return the edit that deletes a cell."""
    box = cells.masks.boxes[label]
    labels = _region(cells, box)
    labels[labels == label] = 0
    return _edit(cells, labels, box, "Delete cell")


def added(cells: Cells, y: float, x: float, fresh: int) -> MaskEdit:
    """Return the edit that adds a round cell at a point (level-0 pixels), leaving its neighbours as they are.

    Raises
    ------
    InputError
        When the point lies outside the picture or in a cell.
    """
    height, width = cells.masks.shape
    row, column = round(y), round(x)
    if not (0 <= row < height and 0 <= column < width):
        raise InputError("A cell cannot be added outside the picture.", "Click inside it.")
    radius = ADDED_UM / cells.pixel_size_um / 2
    square = (int(y - radius) - 1, int(x - radius) - 1, int(y + radius) + 2, int(x + radius) + 2)
    box = union([square], cells.masks.shape)
    labels = _region(cells, box)
    if labels[row - box[0], column - box[1]]:
        raise InputError("There is a cell already where you clicked.", "Click beside it, or split that cell.")
    rows, columns = np.ogrid[box[0] : box[2], box[1] : box[3]]
    disc = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    labels[disc & (labels == 0)] = fresh
    _separate_parts(labels, {fresh}, fresh + 1, keep=(row - box[0], column - box[1]))
    return _edit(cells, labels, box, "Add cell")


def split(cells: Cells, label: int, fresh: int) -> MaskEdit:
    """Return the edit that splits a cell in two.

    The seeds are its two largest separate nuclei where it has two, else the two thickest places of its mask; the
    border is the watershed between them.

    Raises
    ------
    InputError
        When the cell is too small to split.
    """
    from skimage.segmentation import watershed

    patch = cells.masks.patches[label]
    inside = patch > 0
    if inside.sum() < 16:
        raise InputError("This cell is too small to be split.", "Delete it instead.")
    depth, seeds = _seeds(patch)
    parts = watershed(-depth, seeds, mask=inside)
    box = cells.masks.boxes[label]
    labels = _region(cells, box)
    mine = labels == label
    sizes = np.bincount(parts[mine & inside], minlength=3)
    smaller = 1 if sizes[1] < sizes[2] else 2
    labels[mine & (parts == smaller)] = fresh
    return _edit(cells, labels, box, "Split cell")


def _seeds(patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the depth (distance to the border) of a mask and two seeds in it, 1 and 2."""
    from scipy import ndimage as ndi
    from skimage.feature import peak_local_max

    inside = patch > 0
    depth = ndi.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    nuclei, n = ndi.label(patch == 2)
    sizes = np.bincount(nuclei.ravel(), minlength=n + 1)[1:]
    seeds = np.zeros(patch.shape, np.int32)
    if n >= 2 and np.sort(sizes)[-2] >= 0.15 * sizes.sum():
        for value, which in enumerate(np.argsort(-sizes)[:2] + 1, start=1):
            seeds[nuclei == which] = value
        return depth, seeds
    apart = max(2, int(0.35 * np.sqrt(inside.sum())))
    peaks = peak_local_max(depth, min_distance=apart, labels=inside.astype(int), num_peaks=2, exclude_border=False)
    if len(peaks) < 2:  # no waist: the ends of the long axis
        points = np.argwhere(inside)
        centred = points - points.mean(0)
        along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        peaks = points[[along.argmin(), along.argmax()]]
    for value, (y, x) in enumerate(peaks, start=1):
        seeds[y, x] = value
    return depth, seeds


def _region(cells: Cells, box: Box) -> np.ndarray:
    y0, x0, y1, x1 = box
    return cells.masks.region(y0, x0, y1 - y0, x1 - x0)


def _touched(cells: Cells, now: np.ndarray, box: Box) -> set[int]:
    """Return the labels that gained or lost pixels in a box."""
    before = _region(cells, box)
    differ = before != now
    return {int(v) for v in np.union1d(before[differ], now[differ])} - {0}


def _separate_parts(
    labels: np.ndarray, touched: Iterable[int], fresh: int, keep: tuple[int, int] | None = None
) -> None:
    """Give each separate part of the touched labels a label of its own, in place; crumbs become background.

    The largest part (or the one at `keep`) keeps the label.
    """
    from scipy import ndimage as ndi

    for label in sorted(touched):
        parts, n = ndi.label(labels == label)  # by edges: a thin slanted cut does cut
        if n < 2:
            continue
        sizes = np.bincount(parts.ravel(), minlength=n + 1)
        sizes[0] = 0
        main = int(parts[keep]) if keep is not None and parts[keep] else int(sizes.argmax())
        for part in range(1, n + 1):
            if part == main:
                continue
            where = parts == part
            if keep is not None or sizes[part] < _CRUMB * sizes[main]:
                labels[where] = 0
            else:
                labels[where] = fresh
                fresh += 1


def _edit(cells: Cells, labels: np.ndarray, region: Box, text: str) -> MaskEdit:
    from napari_aml.cells import update_cells

    result = update_cells(cells, labels, region[0], region[1])
    boxes: list[Box] = [region]
    changed, gone, new = (tuple(u) for u in (result.changed_uids, result.removed_uids, result.added_uids))
    for table, uids in ((cells.table, (*changed, *gone)), (result.cells.table, (*changed, *new))):
        boxes += boxes_of(table, np.flatnonzero(table["uid"].isin(uids))).values()
    select = new[0] if len(new) == 1 and not changed else (changed[0] if len(changed) == 1 and not new else None)
    return MaskEdit(
        text, cells, result.cells, (*changed, *new), (*changed, *gone), union(boxes, cells.masks.shape), select
    )
