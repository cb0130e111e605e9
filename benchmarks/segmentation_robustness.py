"""How the default segmenter bears pictures that were altered, and pictures that are no smears.

``python benchmarks/segmentation_robustness.py [--step 6] [--data ../shared/data] [--weights DIR]``

F1 (box IoU 0.5) on every n-th BCCD field as it is and altered, and the mean Dice of whole cells; then how many "cells"
are found in pictures that scikit-image carries, at four pixel sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from segmentation_quality import PIXEL_UM, bccd, dice, matches

from napari_aml.cells import get_segmenter, segment
from napari_aml.cells.unet import UNetSegmenter
from napari_aml.slides import open_slide

NO_SMEARS = (
    "astronaut.png", "coffee.png", "chelsea.png", "ihc.png", "retina.jpg", "page.png", "text.png", "rocket.jpg",
    "motorcycle_left.png", "brick.png", "moon.png",
)  # fmt: skip


def jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    """Code and decode."""
    coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


def light(rgb: np.ndarray, *gain: float) -> np.ndarray:
    """Multiply the channels."""
    return np.clip(rgb * np.array(gain, np.float32), 0, 255).astype(np.uint8)


def vignette(rgb: np.ndarray) -> np.ndarray:
    """Darken towards the corners, which keep 35 % of the light."""
    h, w = rgb.shape[:2]
    y, x = np.mgrid[:h, :w]
    return (rgb * (1 - 1.3 * ((y / h - 0.5) ** 2 + (x / w - 0.5) ** 2))[..., None]).astype(np.uint8)


def coloured_vignette(rgb: np.ndarray) -> np.ndarray:
    """Darken towards the corners, which keep 30 % of the red, 40 % of the green and 55 % of the blue light."""
    h, w = rgb.shape[:2]
    y, x = np.mgrid[:h, :w]
    far = ((y / h - 0.5) ** 2 + (x / w - 0.5) ** 2)[..., None]
    return (rgb * (1 - far * np.array([1.4, 1.2, 0.9]))).astype(np.uint8)


def one_sided(rgb: np.ndarray) -> np.ndarray:
    """Darken towards the left edge, which keeps 40 % of the light."""
    return (rgb * np.linspace(0.4, 1, rgb.shape[1])[None, :, None]).astype(np.uint8)


def noise(rgb: np.ndarray, sigma: float) -> np.ndarray:
    """Add Gaussian noise."""
    return np.clip(rgb + np.random.default_rng(0).normal(0, sigma, rgb.shape), 0, 255).astype(np.uint8)


def resize(rgb: np.ndarray, factor: float) -> np.ndarray:
    """Resample the picture."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=how)


#: Name → (what is done, factor on the number of pixels a side).
ALTERED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "as it is": (lambda x: x, 1),
    "JPEG quality 30": (lambda x: jpeg(x, 30), 1),
    "JPEG quality 10": (lambda x: jpeg(x, 10), 1),
    "half the pixels a side": (lambda x: resize(x, 0.5), 0.5),
    "a quarter": (lambda x: resize(x, 0.25), 0.25),
    "twice": (lambda x: resize(x, 2), 2),
    "half the light": (lambda x: light(x, 0.5, 0.5, 0.5), 1),
    "a quarter of the light": (lambda x: light(x, 0.25, 0.25, 0.25), 1),
    "overexposed by 1.3": (lambda x: light(x, 1.3, 1.3, 1.3), 1),
    "red cast": (lambda x: light(x, 1.1, 0.75, 0.7), 1),
    "blue cast": (lambda x: light(x, 0.7, 0.8, 1.15), 1),
    "yellow cast": (lambda x: light(x, 1, 0.95, 0.6), 1),
    "blur, sigma 2 px": (lambda x: cv2.GaussianBlur(x, (0, 0), 2), 1),
    "blur, sigma 4 px": (lambda x: cv2.GaussianBlur(x, (0, 0), 4), 1),
    "vignette": (vignette, 1),
    "vignette with colour": (coloured_vignette, 1),
    "light from one side": (one_sided, 1),
    "noise, sigma 30": (lambda x: noise(x, 30), 1),
    "half the contrast": (lambda x: (x * 0.5 + 90).astype(np.uint8), 1),
    "gamma 0.6": (lambda x: (255 * (x / 255) ** 0.6).astype(np.uint8), 1),
    "gamma 1.8": (lambda x: (255 * (x / 255) ** 1.8).astype(np.uint8), 1),
    "grey": (lambda x: np.repeat(x.mean(2, keepdims=True), 3, 2).astype(np.uint8), 1),
}


def main() -> None:
    """Print one line an alteration, one line a picture that is no smear."""
    import skimage.data
    from scipy.ndimage import find_objects

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=6, help="take every n-th picture")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data")
    parser.add_argument("--weights", type=Path, help="folder that napari_aml.cells.training.fit wrote")
    parser.add_argument("--only", default="", help="only alterations whose name holds this word")
    args = parser.parse_args()
    segmenter = UNetSegmenter(weights=args.weights) if args.weights else get_segmenter()
    fields = [(cv2.imread(str(p))[..., ::-1], boxes, mask) for p, boxes, mask in bccd(args.data)][:: args.step]
    for name, (alter, factor) in ALTERED.items():
        if args.only not in name:
            continue
        right = n_found = n_true = 0
        whole = []
        for rgb, boxes, mask in fields:
            slide = open_slide(np.ascontiguousarray(alter(rgb)), PIXEL_UM["bccd"] / factor)
            cells = segment(slide, segmenter).masks.to_array()
            found = [
                tuple(v / factor for v in (b[1].start, b[0].start, b[1].stop, b[0].stop))
                for b in find_objects(cells) if b
            ]  # fmt: skip
            right, n_found, n_true = right + len(matches(found, boxes)), n_found + len(found), n_true + len(boxes)
            inside = cv2.resize((cells > 0).astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
            whole.append(dice(inside, mask))
        print(f"{name}: F1 {2 * right / (n_found + n_true):.3f} ({n_true - right} missed, {n_found - right} false), "
              f"Dice {np.mean(whole):.3f}", flush=True)  # fmt: skip
    folder = Path(skimage.data.__file__).parent
    for name in () if args.only else NO_SMEARS:
        rgb = np.ascontiguousarray(cv2.imread(str(folder / name), cv2.IMREAD_COLOR)[..., ::-1])
        counts = [len(segment(open_slide(rgb, um), segmenter)) for um in (0.05, 0.1, 0.25, 0.5)]
        print(f"{name}: {counts} cells at 0.05, 0.1, 0.25, 0.5 µm/px", flush=True)


if __name__ == "__main__":
    main()
