"""The names layer: a class code beside each cell and a frame around the selected one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer.layers import SELECTED

if TYPE_CHECKING:
    from napari.layers import Points

    from napari_aml.ui.state import ReviewState

#: More names than this on one picture can neither be read nor drawn quickly; then only the selected cell has one.
MOST_NAMES = 400


def sides(state: ReviewState, rows: np.ndarray) -> np.ndarray:
    """Return the side of a square around each of some cells, level-0 pixels."""
    table = state.analysis.cells.table
    h, w = (table[b].to_numpy()[rows] - table[a].to_numpy()[rows] for a, b in (("y0", "y1"), ("x0", "x1")))
    return 1.15 * np.maximum(h, w).astype(float)


def write_names(layer: Points, state: ReviewState) -> None:
    """Write the codes of all cells (or of the selected one) and frame the selected cell."""
    rows = _named(state)
    squares = sides(state, rows)
    corners = state.analysis.cells.table[["y0", "x0", "y1", "x1"]].to_numpy(float)[rows]
    layer.data = (corners[:, :2] + corners[:, 2:] - 1) / 2
    layer.features = {"code": state.codes()[rows]}
    layer.size = squares if len(squares) else 1
    layer.text.anchor = "center"
    layer.text.translation = np.array([-0.6 * float(np.median(squares)), 0.0]) if len(squares) else np.zeros(2)
    _frame(layer, state, rows)


def frame_selected(layer: Points, state: ReviewState) -> None:
    """Move the frame to the selected cell."""
    if state.n_cells > MOST_NAMES:
        write_names(layer, state)
    else:
        _frame(layer, state, _named(state))


def _named(state: ReviewState) -> np.ndarray:
    if state.n_cells <= MOST_NAMES:
        return np.arange(state.n_cells)
    row = state.row(state.selected)
    return np.zeros(0, int) if row is None else np.array([row])


def _frame(layer: Points, state: ReviewState, rows: np.ndarray) -> None:
    from napari.utils.colormaps.standardize_color import transform_color

    colours = np.zeros((len(rows), 4))
    chosen = state.row(state.selected)
    if chosen is not None:
        colours[rows == chosen] = transform_color(SELECTED)[0]
    if len(rows):
        layer.border_color = colours
    layer.selected_data = set()
