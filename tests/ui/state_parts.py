"""A state with cells made by hand; no picture is looked at."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_aml.analysis import Analysis
from napari_aml.cells import COLUMNS, CellMasks, Cells
from napari_aml.classify import Predictions
from napari_aml.slides import ArraySlide, PixelSize
from napari_aml.taxonomy import LMU_CODES
from napari_aml.ui.state import ReviewState


def analysis_of(n, seed=0, pitch=40, dim=8):
    """`n` round cells in a grid, with predictions and embeddings at random."""
    across = int(np.ceil(np.sqrt(n)))
    shape = (across * pitch, across * pitch)
    masks = CellMasks(shape)
    rows, columns = np.ogrid[:24, :24]
    patch = ((rows - 11.5) ** 2 + (columns - 11.5) ** 2 <= 11.5**2).astype(np.uint8)
    patch[8:16, 8:16] = 2
    table = []
    for label in range(1, n + 1):
        y, x = (pitch * v + 8 for v in divmod(label - 1, across))
        masks.put(label, y, x, patch)
        table.append((f"S-{label:06d}", "S", label, y + 11.5, x + 11.5, y, x, y + 24, x + 24))
    frame = pd.DataFrame(table, columns=["uid", "slide_id", "label", "y", "x", "y0", "x0", "y1", "x1"])
    for column in COLUMNS:
        if column not in frame:
            frame[column] = 1
    cells = Cells("S", masks, frame.astype(COLUMNS)[list(COLUMNS)], 0.4)
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(LMU_CODES), 0.2), n).astype(np.float32)
    f = np.float32
    said = Predictions(LMU_CODES, p, rng.normal(size=(n, dim)).astype(f), np.full(n, np.nan, f), "by hand")
    picture = np.full((*shape, 3), 235, np.uint8)
    picture[masks.to_array() > 0] = (150, 110, 180)
    return Analysis(ArraySlide([picture], "by hand", pixel_size=PixelSize(0.4, "person")), cells, said)


def state_of(n, **fields):
    state = ReviewState(**fields)
    state.analysis = analysis_of(n)
    return state


def uids_of(state):
    return state.analysis.cells.table["uid"].tolist()
