"""The names layer: a class code beside each cell and a frame around the selected one."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer.layers import SELECTED
from napari_aml.viewer.private import in_one_go

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_aml.ui.state import ReviewState

#: More names than this on one picture can neither be read nor drawn quickly; then only the selected cell has one.
MOST_NAMES = 400
#: How far above a cell its name stands, µm.
NAME_UM = 1.2


def sides(state: ReviewState, rows: np.ndarray) -> np.ndarray:
    """Return the side of a square around each of some cells, level-0 pixels."""
    table = state.at_hand.cells.table
    h, w = (table[b].to_numpy()[rows] - table[a].to_numpy()[rows] for a, b in (("y0", "y1"), ("x0", "x1")))
    return 1.15 * np.maximum(h, w).astype(float)


def write_names(layer: Points, state: ReviewState) -> None:
    """Write the code of each cell (or of the selected one) above it; the last point is the frame.

    A name that would stand outside the picture moves into it, so that it is read on the stain's pale background.
    """
    rows = _named(state)
    table = state.at_hand.cells.table
    corners = table[["y0", "x0", "y1", "x1"]].to_numpy(float)[rows]
    above = np.maximum(corners[:, 0] - NAME_UM / state.at_hand.cells.pixel_size_um, 0)
    names = np.stack([above, (corners[:, 1] + corners[:, 3] - 1) / 2], 1)
    # Of 100,000 cells only the selected one has a name: then it alone is asked for.
    codes = state.codes()[rows] if len(rows) > 1 else np.array([state.code(int(row)) for row in rows], object)
    _write(layer, state, names, codes)


def frame_selected(layer: Points, state: ReviewState) -> None:
    """Move the frame to the selected cell."""
    if state.n_cells > MOST_NAMES:
        write_names(layer, state)
        return
    n = state.n_cells
    if len(layer.data) >= n:
        _write(layer, state, np.asarray(layer.data)[:n], layer.features["code"].to_numpy()[:n])


def _named(state: ReviewState) -> np.ndarray:
    if state.n_cells <= MOST_NAMES:
        return np.arange(state.n_cells)
    row = state.row(state.selected)
    return np.zeros(0, int) if row is None else np.array([row])


def _write(layer: Points, state: ReviewState, names: np.ndarray, codes: np.ndarray) -> None:
    """Write names and, where a cell is selected, its frame after them."""
    from napari.utils.colormaps.standardize_color import transform_color

    size, colours = np.ones(len(names)), np.zeros((len(names), 4))
    row = state.row(state.selected)
    if row is not None:
        y0, x0, y1, x1 = state.at_hand.cells.table[["y0", "x0", "y1", "x1"]].to_numpy(float)[row]
        names = np.concatenate([names, [[(y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2]]])
        codes = np.append(codes.astype(object), "")
        size = np.append(size, sides(state, np.array([row])))
        colours = np.concatenate([colours, transform_color(SELECTED)])
    # Of another number of points napari's text would be drawn in between, by places that are no more.
    with in_one_go(layer) if len(names) == len(layer.data) else nullcontext():
        layer.data = names
        layer.features = {"code": codes}
        if len(names):
            layer.size, layer.border_color = size, colours
        if layer.selected_data:
            layer.selected_data = set()
