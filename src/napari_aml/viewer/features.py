"""What napari itself shows of the cells: the status bar under the mouse, the camera on one cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_aml.viewer.names import sides

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_aml.ui.state import ReviewState

#: A cell narrower than this on the screen, in pixels, is a speck; it is then shown this wide.
_SPECK, _WIDE = 24, 96


def write_features(layer: Labels, state: ReviewState) -> None:
    """Let napari's status bar say class and probability of the cell under the mouse (by the column ``index``)."""
    import pandas as pd

    analysis = state.at_hand
    frame = pd.DataFrame({"index": analysis.cells.table["label"].to_numpy()})
    if analysis.predictions is not None:
        # Not a column of texts: making one of 100,000 cells is a tenth of a second.
        place, names = pd.factorize(state.codes())
        frame["class"] = pd.Categorical.from_codes(place, names)
        frame["probability"] = np.where(state.model_shown(), np.round(analysis.predictions.confidence, 2), np.nan)
    layer.features = frame


def write_some_features(layer: Labels, state: ReviewState, rows: np.ndarray) -> None:
    """Bring some rows up to date in place; the others are left alone, and napari looks up nothing anew."""
    import pandas as pd

    said, features = state.at_hand.predictions, layer.features
    if said is None or not len(rows):
        return
    if "class" not in features or len(features) != state.n_cells:
        write_features(layer, state)
        return
    codes, column = state.codes_of(rows), features["class"].cat
    names = [*column.categories, *sorted(set(codes.tolist()).difference(column.categories))]
    place = column.codes.to_numpy(np.int16, copy=True)
    place[rows] = list(map(dict(zip(names, range(len(names)), strict=True)).get, codes))
    features["class"] = pd.Categorical.from_codes(place, names)
    shown = state.model_shown()[rows] if state.blinded else np.ones(len(rows), bool)
    sure = np.round(said.probabilities[rows].max(1), 2)
    features.iloc[rows, features.columns.get_loc("probability")] = np.where(shown, sure, np.nan).astype(sure.dtype)


def look_at(viewer: ViewerModel, layer: Labels, state: ReviewState, row: int) -> None:
    """Move the camera to a cell; the zoom stays unless the cell would be a speck."""
    table = state.at_hand.cells.table
    world = layer.data_to_world(tuple(float(table[c].iloc[row]) for c in ("y", "x")))
    camera = viewer.camera
    camera.center = (*camera.center[: 3 - len(world)], *world)
    side = float(sides(state, np.array([row]))[0]) * float(np.abs(layer.scale[-1]))
    if side * camera.zoom < _SPECK:
        camera.zoom = _WIDE / side
