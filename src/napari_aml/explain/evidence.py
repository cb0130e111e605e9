"""How much of a heatmap's positive evidence lies inside the cell and its nucleus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.cells.masks import CellMasks

#: Side of the grid on which maps and masks are compared: about 0.4 µm a point for crops of 25 µm.
GRID = 64


def upsampling_matrix(size: int, coarse: int) -> np.ndarray:
    """Return float32 (size, coarse): bilinear interpolation from `coarse` to `size` samples of the same length.

    Sample centres lie in the middle of their intervals; beyond the outermost centres the outermost value goes on.
    """
    place = np.clip((np.arange(size) + 0.5) * coarse / size - 0.5, 0, coarse - 1)
    low = np.minimum(np.floor(place).astype(int), max(coarse - 2, 0))
    share = (place - low).astype(np.float32)
    matrix = np.zeros((size, coarse), np.float32)
    rows = np.arange(size)
    matrix[rows, low] = 1 - share
    matrix[rows, np.minimum(low + 1, coarse - 1)] += share
    return matrix


def upsample(maps: np.ndarray, size: int) -> np.ndarray:
    """Enlarge maps (n, g, g) to float32 (n, size, size), bilinearly."""
    matrix = upsampling_matrix(size, maps.shape[-1])
    return np.asarray(matrix @ maps.astype(np.float32) @ matrix.T, np.float32)


def sample_masks(masks: CellMasks, labels: np.ndarray, boxes: np.ndarray, grid: int = GRID) -> np.ndarray:
    """Sample each cell's own mask at the points of a grid over its crop.

    Parameters
    ----------
    masks
        The cells' masks.
    labels
        int (n,): which of them; a label without a mask gives an empty grid.
    boxes
        float (n, 4): y0, x0, y1, x1 of the crops, level-0 pixels.

    Returns
    -------
    numpy.ndarray
        uint8 (n, grid, grid): 0 outside, 1 cell, 2 nucleus.
    """
    out = np.zeros((len(labels), grid, grid), np.uint8)
    step = (np.arange(grid) + 0.5) / grid
    for i, (label, (y0, x0, y1, x1)) in enumerate(zip(labels, boxes, strict=True)):
        patch = masks.patches.get(int(label))
        if patch is None:
            continue
        top, left = masks.boxes[int(label)][:2]
        rows = np.floor(y0 + (y1 - y0) * step).astype(int) - top
        columns = np.floor(x0 + (x1 - x0) * step).astype(int) - left
        in_rows = (rows >= 0) & (rows < patch.shape[0])
        in_columns = (columns >= 0) & (columns < patch.shape[1])
        out[i][np.ix_(in_rows, in_columns)] = patch[np.ix_(rows[in_rows], columns[in_columns])]
    return out


def evidence_shares(maps: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure where the positive evidence lies.

    Parameters
    ----------
    maps
        float32 (n, g, g), raw.
    parts
        uint8 (n, m, m): 0 outside, 1 cell, 2 nucleus.

    Returns
    -------
    in_cell, in_nucleus
        float32 (n,): share of the positive evidence inside the mask over the mask's share of the crop; 1 = spread
        evenly. NaN without positive evidence or without a mask.
    has_evidence
        bool (n,): whether the map has a positive value.
    """
    has = np.asarray((maps > 0).any(axis=(1, 2)), bool)
    positive = np.maximum(upsample(maps, parts.shape[-1]), 0)
    total = positive.sum((1, 2))
    shares = []
    for least in (1, 2):
        inside = parts >= least
        area = inside.mean((1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (positive * inside).sum((1, 2)) / total / area
        shares.append(np.where(has & (area > 0) & (total > 0), share, np.nan).astype(np.float32))
    return shares[0], shares[1], has
