"""Faithfulness: take away what a map calls important, and the network should stop believing (and the other way round).

Deletion and insertion: Petsiuk et al. 2018, arXiv:1806.07421; the baseline is the blurred crop, so that nothing new
comes into the picture. ROAD: Rong et al. 2022, arXiv:2202.00449, as pytorch-grad-cam implements it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.explain.evidence import upsample

if TYPE_CHECKING:
    from napari_aml.explain.testing.subject import Subject

#: Standard deviation of the blurred baseline as a share of the crop's side.
BLUR = 0.1


def blurred_baseline(crops: np.ndarray) -> np.ndarray:
    """Return crops uint8 (n, h, w, 3) so blurred that no cell can be made out."""
    import cv2

    sigma = BLUR * crops.shape[1]
    return np.stack([cv2.GaussianBlur(c, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for c in crops])


def ranks(maps: np.ndarray, side: int) -> np.ndarray:
    """Return each pixel's place by importance, int (n, side, side): 0 = most important; ties in a fixed order."""
    n = len(maps)
    flat = upsample(maps, side).reshape(n, -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.arange(flat.shape[1])[None].repeat(n, 0), axis=1)
    return out.reshape(n, side, side)


def deletion_insertion(subject: Subject, maps: np.ndarray, steps: int = 12) -> Iterator[np.ndarray | None]:
    """Yield None after each step, then float64 (n, 2): area under the deletion and the insertion curve.

    Parameters
    ----------
    subject
        Crops and network.
    maps
        (n, g, g).
    steps
        Parts of the picture that are exchanged one after the other.
    """
    side = subject.crops.shape[1]
    place, baseline = ranks(maps, side), blurred_baseline(subject.crops)
    curves = np.empty((steps + 1, len(maps), 2))
    for i in range(steps + 1):
        important = (place < round(i / steps * side * side))[..., None]
        curves[i, :, 0] = subject.belief(np.where(important, baseline, subject.crops))
        curves[i, :, 1] = subject.belief(np.where(important, subject.crops, baseline))
        yield None
    yield np.asarray(np.trapezoid(curves, dx=1 / steps, axis=0))


def road(subject: Subject, maps: np.ndarray) -> np.ndarray:
    """Return ROAD's combined score of each map, float64 (n,): higher is more faithful."""
    from pytorch_grad_cam.metrics.road import ROADCombined
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

    from napari_aml._torch import torch

    big = upsample(maps, subject.crops.shape[1])
    low, high = big.min((1, 2), keepdims=True), big.max((1, 2), keepdims=True)
    big = (big - low) / np.maximum(high - low, 1e-12)
    wanted = [ClassifierOutputSoftmaxTarget(int(t)) for t in subject.targets]
    pictures = subject.network.prepare(subject.crops)
    with torch.no_grad():
        scores = ROADCombined(percentiles=[20, 50, 80])(pictures, big, wanted, subject.network.model)
    return np.asarray(scores, float)


def centre_gaussian(n: int, side: int = 16) -> np.ndarray:
    """Return n equal maps (n, side, side) that know only that the cell lies in the middle."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.exp(-(y**2 + x**2) / (2 * (side / 5) ** 2))[None].repeat(n, 0).astype(np.float32)


def random_maps(n: int, rng: np.random.Generator, side: int = 4) -> np.ndarray:
    """Return random maps (n, side, side), as coarse as a CAM."""
    return rng.random((n, side, side), np.float32)
