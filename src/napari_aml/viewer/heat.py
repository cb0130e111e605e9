"""The composite heatmap of a region: every cell's map at its place, from the engine in `explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer.drawing import Box

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.explain import Heatmaps


def draw_heat(analysis: Analysis, box: Box, step: int = 1, shown: np.ndarray | None = None) -> np.ndarray:
    """Draw the heatmaps of a region.

    Parameters
    ----------
    analysis
        With heatmaps; without, there is nothing to draw.
    box
        y0, x0, y1, x1, in pixels of the picture thinned by `step`.
    step
        Every how many level-0 pixels.
    shown
        bool (n,): cells whose heatmap may be shown; None for all.

    Returns
    -------
    numpy.ndarray
        float32 (y1 - y0, x1 - x0): positive evidence on the raw scale, 0 elsewhere.
    """
    from napari_aml.explain import paste_heatmaps

    heatmaps, cells = analysis.heatmaps, analysis.cells
    y0, x0, y1, x1 = box
    if heatmaps is None:  # a layer that goes in a moment is looked at once more
        return np.zeros((y1 - y0, x1 - x0), np.float32)
    thinned = heatmaps.box / step
    # A cell whose map has not come yet has an empty box.
    meets = (thinned[:, 2] > y0) & (thinned[:, 0] < y1) & (thinned[:, 3] > x0) & (thinned[:, 1] < x1)
    meets &= thinned[:, 2] > thinned[:, 0]
    rows = np.flatnonzero(meets if shown is None else meets & shown)
    there = replace(heatmaps.take(rows), box=thinned[rows])
    region = (y0, x0, y1 - y0, x1 - x0)
    if step > 1:
        return paste_heatmaps(region, there)
    return paste_heatmaps(region, there, cells.masks, cells.table["label"].to_numpy()[rows])


def heat_limit(heatmaps: Heatmaps | None) -> float:
    """Return the evidence at which the colour scale of all cells ends: the 95th percentile of the cells' maxima.

    One scale for all cells keeps a faint map faint. 0 when no cell has positive evidence.
    """
    if heatmaps is None or not len(heatmaps):
        return 0.0
    tops = heatmaps.maps.reshape(len(heatmaps), -1).max(1)
    tops = tops[np.isfinite(tops) & (tops > 0)]
    return float(np.percentile(tops, 95)) if len(tops) else 0.0
