"""Probes of a model: what it finds unlike its training cells, and whether it looks at the cell at all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def blurred(crops: np.ndarray, um_per_px: float, blur_um: float = 1.0) -> np.ndarray:
    """Return crops uint8 (n, h, w, 3) out of focus: a Gaussian of `blur_um` (standard deviation)."""
    import cv2

    return np.stack([cv2.GaussianBlur(c, (0, 0), blur_um / um_per_px) for c in crops])


def without_cell(crops: np.ndarray, um_per_px: float) -> np.ndarray:
    """Return crops whose centre is covered by background of the same crop: what is left when the cell is not there.

    The disc of 16 µm in the middle takes the pixels of the ring around it, turned inwards.
    """
    n, side = len(crops), crops.shape[1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    r, angle = np.hypot(y, x), np.arctan2(y, x)
    radius = min(8 / um_per_px, side / 2 - 2)
    outer = np.minimum(2 * radius - r, side / 2 - 1)
    yy = np.clip(np.rint(outer * np.sin(angle) + (side - 1) / 2), 0, side - 1).astype(int)
    xx = np.clip(np.rint(outer * np.cos(angle) + (side - 1) / 2), 0, side - 1).astype(int)
    return np.where((r < radius)[None, ..., None], crops[:, yy, xx], crops).reshape(n, side, side, 3)


def with_plain_background(crops: np.ndarray, um_per_px: float) -> np.ndarray:
    """Return crops in which everything but the central cell has the crop's own mean background colour.

    The cell is found by the shipped segmentation; a crop in which none is found in the middle stays as it is.
    """
    from napari_aml.cells import get_segmenter

    segmenter, out = get_segmenter("default"), crops.copy()
    for i, crop in enumerate(crops):
        cells = segmenter.segment(crop, um_per_px).cells
        middle = cells[tuple(s // 2 for s in cells.shape)]
        if not middle:
            continue
        outside = cells != middle
        if outside.any():
            out[i][outside] = np.rint(crop[outside].mean(0)).astype(np.uint8)
    return out


def red_cells(n: int, crop_um: float, crop_px: int, seed: int = 0) -> np.ndarray:
    """Return crops uint8 (n, px, px, 3) of the shipped smears that hold red cells and no nucleated cell."""
    from napari_aml.cells import crops, segment
    from napari_aml.samples import sample_paths
    from napari_aml.slides import PixelSize, measure_pixel_size, open_slide

    rng, out = np.random.default_rng(seed), []
    for path in sample_paths("smear"):
        slide = open_slide(path)
        um = slide.pixel_size.um
        if um is None:
            um = measure_pixel_size(slide).pixel_size_um
            if um is None:
                continue
            slide = slide.with_pixel_size(PixelSize(um, "red cells", ""))
        cells = segment(slide)
        height, width = slide.shape
        half = crop_um / um / 2
        yx = np.stack([rng.uniform(half, max(half + 1, s - half), 40) for s in (height, width)], 1)
        boxes = cells.table[["y0", "x0", "y1", "x1"]].to_numpy(float)
        free = [
            not len(boxes)
            or not ((boxes[:, 0] < y + half / 2) & (boxes[:, 2] > y - half / 2)
                    & (boxes[:, 1] < x + half / 2) & (boxes[:, 3] > x - half / 2)).any()
            for y, x in yx
        ]  # fmt: skip
        yx = yx[free][: -(-n // 5)]
        if len(yx):
            out.append(crops(slide, yx[:, 0], yx[:, 1], crop_um, crop_px))
        if sum(map(len, out)) >= n:
            break
    return np.concatenate(out)[:n] if out else np.zeros((0, crop_px, crop_px, 3), np.uint8)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the share of pairs in which the one from outside scores higher (ties count half)."""
    from sklearn.metrics import roc_auc_score

    if not len(inside) or not len(outside):
        return float("nan")
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    return float(roc_auc_score(truth, np.concatenate([inside, outside])))


#: Name → what it does to crops (n, h, w, 3) of a known µm/px.
PROBES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "out of focus (1 µm)": blurred,
    "cell covered": without_cell,
}


def site_probe(embedding: np.ndarray, sites: np.ndarray, groups: np.ndarray, seed: int = 0) -> float:
    """Return how well the embedding tells where a cell was pictured: balanced accuracy of a held-out linear probe.

    Parameters
    ----------
    embedding
        (n, d).
    sites
        (n,) dataset, scanner or site of each cell.
    groups
        (n,) what stays together in a split.
    seed
        Of the folds.

    Returns
    -------
    float
        1/number of sites = it does not know; 1 = it knows without fail, and may name cells by where they come from.
        NaN with fewer than two sites.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from napari_aml.statistics import grouped_stratified_folds

    names, target = np.unique(np.asarray(sites, str), return_inverse=True)
    if len(names) < 2:
        return float("nan")
    fold = grouped_stratified_folds(target, groups, 3, seed)
    said = np.zeros_like(target)
    for k in range(3):
        learn, judge = fold != k, fold == k
        if len(np.unique(target[learn])) < 2:
            return float("nan")
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500))
        said[judge] = probe.fit(embedding[learn], target[learn]).predict(embedding[judge])
    return float(np.mean([(said == target)[target == i].mean() for i in range(len(names))]))
