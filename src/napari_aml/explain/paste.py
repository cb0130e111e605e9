"""All cells' heatmaps as one picture in slide coordinates, drawn region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_aml.explain.heatmap import Heatmaps

if TYPE_CHECKING:
    from napari_aml.cells.masks import CellMasks


def paste_heatmaps(
    region: tuple[int, int] | tuple[int, int, int, int],
    heatmaps: Heatmaps,
    masks: CellMasks | None = None,
    labels: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the composite heatmap of a region.

    A map is drawn inside its crop's box. Where boxes overlap, the map of the nearest cell (by the distance to the
    box's centre) is drawn, so that no neighbour's map is painted over a cell; with `masks`, a pixel of a cell always
    shows that cell's map. Maps are enlarged bilinearly and keep their raw scale and sign. 0 where there is none.

    Parameters
    ----------
    region
        ``(height, width)`` of the whole slide, or ``(y, x, h, w)`` of a part, level-0 pixels.
    heatmaps
        The maps, aligned with `labels`.
    masks, labels
        The cells' masks and the label of each map; both or neither.

    Returns
    -------
    numpy.ndarray
        float32 (h, w).
    """
    import cv2

    y, x, h, w = region if len(region) == 4 else (0, 0, *region)
    out = np.zeros((h, w), np.float32)
    nearest = np.full((h, w), np.inf, np.float32)
    boxes = heatmaps.box.astype(np.float64)
    if not len(boxes):
        return out
    meets = (boxes[:, 0] < y + h) & (boxes[:, 2] > y) & (boxes[:, 1] < x + w) & (boxes[:, 3] > x)
    for i in np.flatnonzero(meets):
        y0, x0, y1, x1 = boxes[i]
        # Pixels whose centres lie in the box.
        top, bottom = max(int(np.ceil(y0 - 0.5)), y), min(int(np.ceil(y1 - 0.5)), y + h)
        left, right = max(int(np.ceil(x0 - 0.5)), x), min(int(np.ceil(x1 - 0.5)), x + w)
        if bottom <= top or right <= left:
            continue
        grid = heatmaps.maps.shape[-1]
        ky, kx = grid / (y1 - y0), grid / (x1 - x0)
        matrix = np.array([[kx, 0, (left + 0.5 - x0) * kx - 0.5], [0, ky, (top + 0.5 - y0) * ky - 0.5]])
        drawn = cv2.warpAffine(
            heatmaps.maps[i], matrix, (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        dy = np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - (y0 + y1) / 2)
        dx = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - (x0 + x1) / 2)
        distance = dy[:, None] ** 2 + dx[None, :] ** 2
        if masks is not None and labels is not None:
            _claim(distance, masks, int(labels[i]), top, left)
        where = (slice(top - y, bottom - y), slice(left - x, right - x))
        wins = distance < nearest[where]
        out[where][wins] = drawn[wins]
        nearest[where][wins] = distance[wins]
    return out


def _claim(distance: np.ndarray, masks: CellMasks, label: int, top: int, left: int) -> None:
    """Set the distance to -1 where the cell's own mask is."""
    patch = masks.patches.get(label)
    if patch is None:
        return
    y0, x0, y1, x1 = masks.boxes[label]
    a, b = max(y0, top), min(y1, top + distance.shape[0])
    c, d = max(x0, left), min(x1, left + distance.shape[1])
    if b > a and d > c:
        distance[a - top : b - top, c - left : d - left][patch[a - y0 : b - y0, c - x0 : d - x0] > 0] = -1
