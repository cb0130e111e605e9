"""Slides and analyses made by hand, as files, for projects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from napari_aml.analysis import Analysis
from napari_aml.cells import CellMasks, Cells, measure
from napari_aml.classify import Predictions
from napari_aml.explain import Heatmaps
from napari_aml.progress import run
from napari_aml.review.decisions import Decision
from napari_aml.review.project import verify_steps
from napari_aml.slides import open_slide

CODES = ("LYT", "MON", "MYO", "NGS")
UM = 0.1
CENTRES = ((60, 60), (60, 200), (60, 340), (220, 60), (220, 200), (220, 340))


def discs(centres, radius=40, shape=(300, 400)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    cells, nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for label, (y, x) in enumerate(centres, start=1):
        far = (rows - y) ** 2 + (columns - x) ** 2
        cells[far <= radius**2] = label
        nuclei[far <= (radius / 2) ** 2] = label
    return cells, nuclei


def write_picture(path: Path, seed=0):
    labels, nuclei = discs(CENTRES)
    picture = np.full((*labels.shape, 3), 235, np.uint8)
    picture[labels > 0] = (200, 180, 220)
    picture[nuclei > 0] = (90, 50, 140 + seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def analysis_of(path: Path, centres=CENTRES, radius=40, seed=0, bundle_id="hand"):
    slide = open_slide(path, UM)
    labels, nuclei = discs(centres, radius)
    masks = CellMasks.from_arrays(labels, nuclei)
    cells = Cells(slide.slide_id, masks, measure(masks, slide.slide_id, UM), UM, "by hand")
    rng, n = np.random.default_rng(seed), len(cells)
    p = rng.dirichlet(np.full(len(CODES), 0.3), n).astype(np.float32)
    f = np.float32
    said = Predictions(CODES, p, rng.normal(size=(n, 5)).astype(f), np.full(n, np.nan, f), bundle_id)
    box = cells.table[["y0", "x0", "y1", "x1"]].to_numpy(f)
    maps = Heatmaps(
        rng.uniform(0, 1, (n, 3, 3)).astype(f), said.index, "gradcam", 3, box, np.ones(n, f), np.ones(n, f),
        np.ones(n, bool),
    )  # fmt: skip
    return Analysis(slide, cells, said, maps, provenance={"segmenter": "by hand"})


def said(uid, value="MYO", reader="ada", slide_id="S1", **more):
    return Decision(uid, slide_id, value, reader, **more)


def verify(path, **settings):
    return run(verify_steps(path, **settings))


def standing(findings):
    return [str(f) for f in findings if f.is_open]
