"""The pixel size measured from the red cells: their median diameter on a smear is taken as 7.2 µm.

Round objects are collected over a ladder of thresholds on the distance from the background's colour: outlines that
stand alone, and pieces of clumps parted by a watershed on the distance transform that border mostly on background.
Nucleated cells and platelets are left out by their colour; the diameters that agree best, weighted by area, are the
red cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

#: Mean diameter of a normal red cell on a dried smear, µm (mean cell diameter 7.2-7.5 µm in haematology texts).
RED_CELL_UM = 7.2
# Longest side at which a picture is looked at; a larger picture is shrunk, a slide sampled in tiles of this side.
_SIDE = 640
_MOST_TILES = 24
_ENOUGH = 60.0
# Smallest and largest plausible µm per pixel of a picture in which red cells can be seen.
_RANGE_UM = (0.02, 1.2)
# Nuclei and their cytoplasm absorb red and green and let blue pass; red cells absorb blue as well.
_TINT = 0.98
# Share of the picture covered by cells from which on single pieces of clumps are trusted a little.
_CROWDED = 0.3


@dataclass(frozen=True)
class RedCellMeasurement:
    """What the red cells say about a picture.

    Attributes
    ----------
    pixel_size_um
        µm per level-0 pixel, None when no red cell was found.
    diameter_px
        Median diameter, level-0 pixels (nan without red cells).
    n_cells
        Red cells measured.
    spread
        Robust relative standard deviation of the diameter (nan without red cells).
    reliable
        Enough red cells, alike enough.
    coverage
        Share of the picture that cells cover.
    crowding
        Share of that area that does not lie in red cells which stand alone: 0 = all apart, 1 = all in clumps.
    """

    pixel_size_um: float | None
    diameter_px: float
    n_cells: int
    spread: float
    reliable: bool
    coverage: float = 0.0
    crowding: float = 0.0


@dataclass(frozen=True)
class _Disc:
    """A round object: centre, diameter, edge strength, how free it stands (0…1), stain and tint."""

    x: float
    y: float
    diameter: float
    edge: float
    free: float
    stain: float
    tint: float


@dataclass(frozen=True)
class _Look:
    """What one view of the picture gave; lengths in level-0 pixels."""

    discs: list[_Disc]
    reference: float
    contrast: float
    covered: float
    area: float


def measure_pixel_size(slide: Slide) -> RedCellMeasurement:
    """Measure the pixel size from the red cells.

    Parameters
    ----------
    slide
        Any slide; a large one is sampled in tiles.

    Returns
    -------
    RedCellMeasurement
        ``reliable`` is False and ``pixel_size_um`` may be None when there are too few red cells.
    """
    looks: list[_Look] = []
    result = _judge(looks)
    for rgb, scale in views(slide):
        looks.append(_look(rgb, scale))
        result = _judge(looks)
        if result[1] >= _ENOUGH:
            break
    return result[0]


def views(slide: Slide):
    """Yield pictures (uint8) and view pixels per level-0 pixel: the whole picture, or tiles spread over the slide."""
    height, width = slide.shape
    longest = max(height, width)
    if longest <= 2.5 * _SIDE:
        scale = min(1.0, _SIDE / longest) if longest >= 250 else 2.0
        yield _resized(slide.region(0, 0, 0, height, width), scale), scale
        return
    rows, columns = max(1, height // _SIDE), max(1, width // _SIDE)
    cells = [(i, j) for i in range(rows) for j in range(columns)]
    # a low-discrepancy walk: the first tiles already lie all over the slide
    order = sorted(range(len(cells)), key=lambda k: (k * 0.6180339887498949) % 1.0)
    for k in order[:_MOST_TILES]:
        i, j = cells[k]
        y, x = round((height - _SIDE) * (i + 0.5) / rows), round((width - _SIDE) * (j + 0.5) / columns)
        yield slide.region(0, max(0, y), max(0, x), min(_SIDE, height), min(_SIDE, width)), 1.0


def _resized(rgb: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1 or min(rgb.shape[:2]) * scale < 1:
        return rgb
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=how)


def background_density(rgb: np.ndarray) -> np.ndarray:
    """Return the optical density against the local background, float32 (h, w, 3)."""
    h, w = rgb.shape[:2]
    x = rgb.astype(np.float32) + 4
    step = max(h, w) / 5
    rows, columns = (1, 1) if max(h, w) < 400 else (max(1, round(h / step)), max(1, round(w / step)))
    light = np.zeros((rows, columns, 3), np.float32)
    for i in range(rows):
        for j in range(columns):
            y0, y1 = int(max(0, (i - 0.5) * h / rows)), int(min(h, (i + 1.5) * h / rows))
            x0, x1 = int(max(0, (j - 0.5) * w / columns)), int(min(w, (j + 1.5) * w / columns))
            colours = x[y0:y1:3, x0:x1:3].reshape(-1, 3)
            total = colours.sum(1)
            low, high = np.percentile(total, [75, 97])
            light[i, j] = np.median(colours[(total >= low) & (total <= high)], axis=0)
    smooth = cv2.resize(light, (w, h), interpolation=cv2.INTER_CUBIC).reshape(h, w, 3)
    return np.log(np.maximum(smooth, 1) / x)  # the cubic curve may overshoot beside black parts


class View:
    """The maps of one view and the round objects found in it."""

    def __init__(self, rgb: np.ndarray) -> None:
        self.h, self.w = rgb.shape[:2]
        self.side = max(self.h, self.w)
        density = cv2.GaussianBlur(background_density(rgb), (0, 0), max(1.0, self.side / 700))
        self.depth = np.sqrt((density**2).sum(2))
        self.stain = density[..., 0] + density[..., 1] - density[..., 2]
        gx, gy = (cv2.Sobel(self.depth, cv2.CV_32F, *d, scale=0.25) for d in ((1, 0), (0, 1)))
        self.edge = np.hypot(gx, gy)
        self.contrast = max(float(np.percentile(self.depth, 90)), 0.08)
        deep = self.depth[self.depth > 0.1]
        if 100 < deep.size < 0.1 * self.depth.size:  # few cells: a percentile of the whole picture is background
            self.contrast = max(self.contrast, float(np.median(deep)))
        self.least = max(8.0, 0.012 * self.side)
        covered = self.depth > 0.35 * self.contrast
        self.covered = float(covered.mean())
        self.reference = float(np.percentile(self.stain[covered], 40)) if covered.any() else 0.0

    def alone(self, threshold: float) -> list[_Disc]:
        """Return round outlines that stand alone and inside the picture."""
        binary = (self.depth > threshold).astype(np.uint8)
        contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        out = []
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            inside = x > 1 and y > 1 and x + w < self.w - 1 and y + h < self.h - 1
            if len(contour) > 2.4 * self.least and inside:
                out.append(self._disc(contour, 1.0, 0.93))
        return [d for d in out if d]

    def parted(self, threshold: float) -> list[_Disc]:
        """Return round pieces of clumps of which at least 55 % of the outline borders on background."""
        from scipy import ndimage as ndi
        from skimage.feature import peak_local_max
        from skimage.segmentation import watershed

        mask = self.depth > threshold
        holes, n = ndi.label(~mask)
        area = np.bincount(holes.ravel(), minlength=n + 1)
        small = area < 0.006 * self.h * self.w  # the pale middles of red cells
        small[0] = False
        mask = cv2.morphologyEx((mask | small[holes]).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
        inner = cv2.GaussianBlur(cv2.distanceTransform(mask, cv2.DIST_L2, 5), (0, 0), max(0.5, self.side / 240))
        peaks = peak_local_max(
            inner, min_distance=max(1, int(self.least / 2)), threshold_abs=self.least / 2, exclude_border=False
        )
        if not 0 < len(peaks) <= 600:
            return []
        seeds = np.zeros(mask.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        pieces = watershed(-inner, seeds, mask=mask > 0)
        out = []
        for label, box in enumerate(ndi.find_objects(pieces), start=1):
            if box is None:
                continue
            y, x = box
            if y.start <= 1 or x.start <= 1 or y.stop >= self.h - 1 or x.stop >= self.w - 1:
                continue
            where = np.s_[y.start - 1 : y.stop + 1, x.start - 1 : x.stop + 1]
            piece = (pieces[where] == label).astype(np.uint8)
            ring = (cv2.dilate(piece, np.ones((3, 3))) - piece) > 0
            free = 1.0 - float(mask[where][ring].mean())
            if free < 0.55:
                continue
            contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            contour = max(contours, key=len) + np.array([x.start - 1, y.start - 1], np.int32)
            out.append(self._disc(contour, 0.5 * free, 0.92))
        return [d for d in out if d]

    def _disc(self, contour: np.ndarray, free: float, solid: float) -> _Disc | None:
        area = cv2.contourArea(contour)
        if len(contour) < 8 or area < solid * cv2.contourArea(cv2.convexHull(contour)) or area < 30:
            return None
        (cx, cy), axes, _ = cv2.fitEllipse(contour)
        short, long = min(axes), max(axes)
        if short <= 0 or long > 1.45 * short or np.pi * short * long / 4 > 1.14 * area:
            return None
        diameter = 2 * np.sqrt((area + len(contour) / 2) / np.pi)
        if not self.least < diameter < 0.5 * self.side:
            return None
        x, y, w, h = cv2.boundingRect(contour)
        inside = np.zeros((h, w), np.uint8)
        cv2.drawContours(inside, [contour - np.array([x, y], np.int32)], -1, 1, -1)
        stain, depth = self.stain[y : y + h, x : x + w][inside > 0], self.depth[y : y + h, x : x + w][inside > 0]
        points = contour[:, 0]
        edge = float(self.edge[points[:, 1], points[:, 0]].mean())
        tint = float(np.median(stain) / max(depth.mean(), 1e-3))
        return _Disc(cx, cy, float(diameter), edge * free, free, float(np.percentile(stain, 85)), tint)


def _look(rgb: np.ndarray, scale: float) -> _Look:
    if min(rgb.shape[:2]) < 16:
        return _Look([], 0.0, 0.08, 0.0, float(rgb.shape[0] * rgb.shape[1]))
    view = View(rgb)
    found = [d for t in np.linspace(0.15, 0.85, 8) * view.contrast for d in view.alone(float(t))]
    found += [d for t in np.array([0.3, 0.45, 0.6]) * view.contrast for d in view.parted(float(t))]
    found.sort(key=lambda d: -d.edge)
    kept: list[_Disc] = []
    for disc in found:  # of outlines around the same cell, the one on the strongest edge
        if all((disc.x - k.x) ** 2 + (disc.y - k.y) ** 2 > (0.4 * max(disc.diameter, k.diameter)) ** 2 for k in kept):
            kept.append(disc)
    limit = max(2.2 * view.reference, view.reference + 0.55 * view.contrast)
    red = [d for d in kept if d.stain < limit and d.tint < _TINT]
    scaled = [
        _Disc(d.x / scale, d.y / scale, d.diameter / scale, d.edge, d.free, d.stain, d.tint) for d in red
        if _RANGE_UM[0] < RED_CELL_UM / (d.diameter / scale) < _RANGE_UM[1]
    ]  # fmt: skip
    area = view.h * view.w / scale**2
    return _Look(scaled, view.reference, view.contrast, view.covered * area, area)


def _judge(looks: list[_Look]) -> tuple[RedCellMeasurement, float]:
    """Return the measurement of all views together and the weight of the red cells in it."""
    discs = [d for look in looks for d in look.discs]
    area, covered = sum(v.area for v in looks), sum(v.covered for v in looks)
    coverage = covered / area if area else 0.0
    if not discs:
        return RedCellMeasurement(None, float("nan"), 0, float("nan"), False, coverage), 0.0
    size = np.log([d.diameter for d in discs])
    weight = np.array([d.free for d in discs])
    likeness = np.exp(-0.5 * ((size[:, None] - size[None]) / 0.10) ** 2)
    middle = size[np.argmax((likeness * (weight * np.exp(1.5 * size))[None]).sum(1))]
    for _ in range(3):
        near = np.abs(size - middle) < 0.22
        order = np.argsort(size[near])
        share = np.cumsum(weight[near][order])
        middle = size[near][order][np.searchsorted(share, share[-1] / 2)]
    diameter, total = float(np.exp(middle)), float(weight[near].sum())
    spread = float(1.4826 * np.median(np.abs(size[near] - middle)))
    alone = sum(np.pi * d.diameter**2 / 4 for d, use in zip(discs, near, strict=True) if use and d.free == 1.0)
    weighted = total * np.pi * diameter**2 / 4
    enough = total >= 0.7 and weighted >= 0.04 * covered
    # Where red cells lie over one another hardly one stands free: pieces of clumps are better than nothing, and the
    # result is marked. Less than that is debris.
    pieces = coverage > _CROWDED and total >= 0.3 and weighted >= 0.012 * covered
    if not (enough or pieces):
        return RedCellMeasurement(None, float("nan"), 0, float("nan"), False, coverage), 0.0
    crowding = 1 - min(1.0, alone / covered) if covered else 0.0
    reliable = enough and total >= 2.5 and spread <= 0.15
    um = RED_CELL_UM / diameter
    return RedCellMeasurement(um, diameter, int(near.sum()), spread, reliable, coverage, crowding), total
