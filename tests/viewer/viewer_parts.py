"""Cells, predictions and heatmaps made by hand."""

from __future__ import annotations

import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_aml.analysis import Analysis
from napari_aml.cells import CellMasks, Cells, measure
from napari_aml.classify import Predictions
from napari_aml.explain import Heatmaps
from napari_aml.slides import open_slide

CODES = tuple("BAS EBO EOS KSC LYA LYT MMZ MOB MON MYB MYO NGB NGS PMB PMO PLT".split())
UM = 0.1


def discs(shape, centres, radius):
    """Label image with one disc a centre, and nuclei of half the radius."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    cells, nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for label, (y, x) in enumerate(centres, start=1):
        far = (rows - y) ** 2 + (columns - x) ** 2
        cells[far <= radius**2] = label
        nuclei[far <= (radius / 2) ** 2] = label
    return cells, nuclei


def cells_of(labels, nuclei=None, um=UM, slide_id="S1"):
    masks = CellMasks.from_arrays(labels, nuclei)
    return Cells(slide_id, masks, measure(masks, slide_id, um), um, "by hand")


def predictions_for(n, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(len(CODES), 0.3), n).astype(np.float32)
    return Predictions(CODES, p, rng.normal(size=(n, 4)).astype(np.float32), np.full(n, np.nan, np.float32), "hand")


def heatmaps_for(cells, predictions, um=UM, crop_um=28.0):
    n, rng = len(cells), np.random.default_rng(1)
    side = crop_um / um
    y, x = (cells.table[c].to_numpy() for c in ("y", "x"))
    box = np.stack([y - side / 2, x - side / 2, y + side / 2, x + side / 2], 1).astype(np.float32)
    maps = rng.uniform(0, 1, (n, 4, 4)).astype(np.float32)
    one = np.ones(n, np.float32)
    return Heatmaps(maps, predictions.index, "gradcam", 3, box, 1.5 * one, 2 * one, np.ones(n, bool))


CENTRES = [(60, 60), (60, 200), (60, 340), (220, 60), (220, 200), (220, 340)]


def analysis_at(path, seed=0):
    """Six round cells in a picture file of 300 x 400 pixels."""
    labels, nuclei = discs((300, 400), CENTRES, 40)
    picture = np.full((300, 400, 3), 235, np.uint8)
    picture[labels > 0] = (200, 180, 220 - seed)
    picture[nuclei > 0] = (90, 50, 140)
    Image.fromarray(picture).save(path)
    slide = open_slide(path, UM)
    cells = cells_of(labels, nuclei, slide_id=slide.slide_id)
    said = predictions_for(len(cells), seed)
    return Analysis(slide, cells, said, heatmaps_for(cells, said))


def idle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.controller.busy, timeout=60_000)
    QApplication.processEvents()


def opened(qtbot, dock, folder):
    dock.project.open(folder)
    qtbot.waitUntil(lambda: dock.project.project is not None and not dock.controller.busy, timeout=60_000)
    QApplication.processEvents()
    return dock.project.project
