"""A small analysed slide, painted, so that every figure in the outputs is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_aml.analysis import Analysis
from napari_aml.cells import CellMasks, Cells, measure
from napari_aml.classify.predictions import Predictions
from napari_aml.explain.heatmap import Heatmaps
from napari_aml.slides import ArraySlide, PixelSize

CODES = ("MYO", "NGS", "EBO", "KSC")
UM = 0.2
#: Neither side is a multiple of a tile, so that the last tiles are cut.
SHAPE = (700, 1100)
CENTRES = [(20, 300), (120, 120), (135, 178), (505, 515), (600, 1000), (350, 700)]


def painted_slide() -> tuple[ArraySlide, CellMasks]:
    """A pale picture with round cells, one of them cut off, one across the corner of four tiles."""
    rgb = np.full((*SHAPE, 3), (235, 225, 230), np.uint8)
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels, nuclei = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    for label, (y, x) in enumerate(CENTRES, start=1):
        far = np.hypot(yy - y, xx - x)
        labels[far < 28], nuclei[far < 18] = label, label
    rgb[labels > 0] = (190, 170, 215)
    rgb[nuclei > 0] = (90, 50, 140)
    masks = CellMasks.from_arrays(labels, nuclei)
    size = PixelSize(UM, "red cells", "median diameter of 88 red cells = 36.0 px, taken as 7.2 µm")
    return ArraySlide([rgb], "Anna_Muster_1961-03-04", pixel_size=size), masks


@pytest.fixture
def analysis() -> Analysis:
    """Six cells: MYO, NGS, NGS, EBO, KSC, MYO; the third without evidence, the last doubtful."""
    slide, masks = painted_slide()
    n = len(masks)
    cells = Cells(slide.slide_id, masks, measure(masks, slide.slide_id, UM), UM, "painted 1")
    p = np.full((n, 4), 0.05, np.float32)
    p[np.arange(n), [0, 1, 1, 2, 3, 0]] = 0.85
    p[5] = 0.4, 0.3, 0.2, 0.1
    nan = np.full(n, np.nan, np.float32)
    said = Predictions(CODES, p, np.zeros((n, 8), np.float32), nan, "painted 1")
    y, x = cells.table["y"].to_numpy(), cells.table["x"].to_numpy()
    maps = np.random.default_rng(0).random((n, 7, 7)).astype(np.float32) + np.arange(1, n + 1)[:, None, None]
    maps[2] = -1
    box = np.stack([y - 60, x - 60, y + 60, x + 60], 1).astype(np.float32)
    ones, has = np.ones(n, np.float32), maps.max((1, 2)) > 0
    heat = Heatmaps(maps, said.index, "gradcam", 3, box, np.where(has, ones, nan), np.where(has, ones, nan), has)
    return Analysis(slide, cells, said, heat, None, {"settings": {"device": "cpu"}})


@pytest.fixture
def without_cells() -> Analysis:
    """A slide in which nothing was found."""
    slide, _ = painted_slide()
    masks = CellMasks(SHAPE)
    cells = Cells(slide.slide_id, masks, measure(masks, slide.slide_id, UM), UM, "painted 1")
    f = np.float32
    heat = Heatmaps(
        np.zeros((0, 7, 7), f), np.zeros(0, int), "gradcam", 3, np.zeros((0, 4), f), np.zeros(0, f), np.zeros(0, f),
        np.zeros(0, bool),
    )  # fmt: skip
    return Analysis(slide, cells, Predictions.empty(CODES, 8, "painted 1"), heat, None, {})
