"""A small study on disk: two painted pictures, their cells, a model's word, decisions of two readers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from napari_aml.analysis import Analysis
from napari_aml.cells import CellMasks, Cells, measure
from napari_aml.classify.predictions import Predictions
from napari_aml.review import Project
from napari_aml.review.decisions import NOTE, REGION, TAG, Decision
from napari_aml.review.regions import LEAVE_OUT, Region
from napari_aml.slides import open_slide

CODES = ("MYO", "NGS", "LYT")
UM = 0.1


def analysis_of(path, seed):
    """Paint round cells into a picture file and say something of each."""
    shape, rng = (220, 300), np.random.default_rng(seed)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    labels, nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for i, (y, x) in enumerate([(50, 50), (50, 150), (50, 250), (160, 50), (160, 150), (160, 250)], start=1):
        far = np.hypot(yy - y, xx - x)
        labels[far < 30], nuclei[far < 16] = i, i
    rgb = np.full((*shape, 3), 235, np.uint8)
    rgb[labels > 0], rgb[nuclei > 0] = (200, 180, 220), (90, 50, 140)
    rgb += rng.integers(0, 3, rgb.shape).astype(np.uint8)
    Image.fromarray(rgb).save(path)
    slide = open_slide(path, UM)
    masks = CellMasks.from_arrays(labels, nuclei)
    p = np.full((6, 3), 0.1, np.float32)
    p[np.arange(6), [0, 0, 1, 1, 2, 2]] = 0.8
    p[5] = 0.3, 0.3, 0.4
    said = Predictions(CODES, p, rng.normal(size=(6, 4)).astype(np.float32), np.full(6, np.nan, np.float32), "toy 1")
    return Analysis(slide, Cells(slide.slide_id, masks, measure(masks, slide.slide_id, UM), UM, "painted 1"), said)


def make_study(folder):
    """Make the project; return its folder and the two analyses."""
    analyses = [analysis_of(folder / f"Anna_Muster_{i}.png", i) for i in (1, 2)]
    with Project.create(folder / "study", reader="lovelace") as project:
        for i, analysis in enumerate(analyses):
            project.add_slide(analysis.slide, analysis, patient=f"case-{i}")
        record(project, analyses)
        return project.folder, analyses


def record(project, analyses):
    """Two readers who differ on one cell; a tag, a note, a region."""
    a, b = (x.cells.table["uid"].tolist() for x in analyses)
    s, t = (x.slide.slide_id for x in analyses)
    blind = {"code": "MYO", "probability": 0.8, "blinded": True}
    region = Region(((0.0, 0.0), (0.0, 100.0), (100.0, 100.0), (100.0, 0.0)), LEAVE_OUT)
    project.record([
        Decision(a[0], s, "MOB", "lovelace", shown=blind), Decision(a[0], s, "MYO", "hopper", shown=blind),
        Decision(a[1], s, "MYO", "lovelace"), Decision(a[1], s, "MYO", "hopper"),
        Decision(a[2], s, "on", "lovelace", TAG, "auer_rod"),
        Decision(a[2], s, "<script>alert(1)</script> ask Anna", "lovelace", NOTE),
        Decision(b[0], t, "PMO", "lovelace"), Decision(region.uid, t, region.to_geojson(), "lovelace", REGION),
    ])  # fmt: skip
