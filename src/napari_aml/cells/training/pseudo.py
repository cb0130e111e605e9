"""Masks for pictures that have none: what a first network says, held against the colours of the picture.

Whole cells of the single-cell pictures come from a network trained on the hand-made BCCD masks. GrabCut (Rother et
al. 2004, doi 10.1145/1015706.1015720) then redraws the border from the picture's own colours. Where the two agree
broadly the redrawn border is kept and the pixels on which they differ are ignored in training; where they do not, the
picture is left out. Nuclei come from a threshold inside the cell, picture by picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.measure import regionprops


@dataclass
class Labelled:
    """Labels of one picture: cell ids, nuclei, pixels to ignore, and whether it is good enough to learn from."""

    cells: np.ndarray
    nuclei: np.ndarray
    ignore: np.ndarray
    good: bool


def nuclear_stain(rgb: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Return how strongly each pixel is stained like a nucleus: optical density in red and green, less that in blue."""
    flat = rgb.reshape(-1, 3).astype(np.float32)
    light = flat.sum(1)
    background = np.median(flat[light >= np.percentile(light, 80)], axis=0)
    density = np.log((background + 2) / (rgb.astype(np.float32) + 2)).clip(-0.1, 3)
    return cv2.GaussianBlur(density[..., 0] + density[..., 1] - 0.5 * density[..., 2], (0, 0), sigma)


def nucleus_inside(rgb: np.ndarray, cell: np.ndarray, um: float) -> np.ndarray:
    """Find the nucleus of a cell whose outline is known.

    Otsu's threshold inside the cell where it parts two classes, else (a nucleus that fills its cell) a fixed share of
    the contrast between the cell and what surrounds it.

    Parameters
    ----------
    rgb, cell
        uint8 (h, w, 3) and its cell mask, bool (h, w).
    um
        µm per pixel.
    """
    stain = nuclear_stain(rgb, max(0.8, 0.25 / um))
    core = cv2.erode(cell.astype(np.uint8), np.ones((3, 3))) > 0
    values = stain[core]
    if len(values) < 20:
        return cell.copy()
    around = (cv2.dilate(cell.astype(np.uint8), _disc(2 / um)) > 0) & ~cell
    outside = float(np.percentile(stain[around], 30)) if around.any() else 0.0
    t = threshold_otsu(values)
    low, high = values[values <= t], values[values > t]
    between = len(high) * len(low) / len(values) ** 2 * (high.mean() - low.mean()) ** 2
    parted = between / max(values.var(), 1e-6)
    contrast = (high.mean() - low.mean()) / max(high.mean() - outside, 1e-3)
    if parted < 0.68 or contrast < 0.3:
        t = outside + 0.62 * (float(np.median(values)) - outside)
    nucleus = fill_small_holes(core & (stain > t), 1.5 / um**2)
    nucleus = cv2.morphologyEx(nucleus.astype(np.uint8), cv2.MORPH_OPEN, _disc(1)) > 0
    pieces, n = ndi.label(nucleus)
    if n > 1:
        area = ndi.sum(nucleus, pieces, range(1, n + 1))
        nucleus = np.isin(pieces, 1 + np.flatnonzero(area >= max(0.08 * area.max(), 1 / um**2)))
    return nucleus


def fill_small_holes(mask: np.ndarray, area: float) -> np.ndarray:
    """Fill holes up to an area in pixels."""
    holes, n = ndi.label(ndi.binary_fill_holes(mask) & ~mask)
    if n:
        sizes = ndi.sum(holes > 0, holes, range(1, n + 1))
        mask = mask | np.isin(holes, 1 + np.flatnonzero(sizes <= area))
    return mask


def redraw(rgb: np.ndarray, cell: np.ndarray, nucleus: np.ndarray, others: np.ndarray, um: float) -> np.ndarray:
    """Redraw a cell's outline from the picture's colours with GrabCut."""
    mask = cell.astype(np.uint8)
    trimap = np.full(cell.shape, cv2.GC_PR_BGD, np.uint8)
    trimap[cell] = cv2.GC_PR_FGD
    trimap[(cv2.erode(mask, _disc(1.0 / um)) > 0) | nucleus] = cv2.GC_FGD
    trimap[(cv2.dilate(mask, _disc(3.0 / um)) == 0) | others] = cv2.GC_BGD
    colours = cv2.bilateralFilter(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), 5, 20, 3)
    cv2.setRNGSeed(0)
    unused = (0, 0, 0, 0)  # a rectangle, for the other way of starting
    cv2.grabCut(colours, trimap, unused, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    pieces, n = ndi.label(cv2.morphologyEx(found, cv2.MORPH_OPEN, _disc(2)))
    if not n:
        return cell
    return ndi.binary_fill_holes(pieces == 1 + int(np.argmax(ndi.sum(pieces > 0, pieces, range(1, n + 1)))))


def label_crop(rgb: np.ndarray, found: np.ndarray, um: float, nucleated: bool = True) -> Labelled | None:
    """Label a single-cell picture.

    Parameters
    ----------
    rgb
        uint8 (h, w, 3), the cell of interest in the middle.
    found
        int (h, w), cells that a first network found.
    um
        µm per pixel.
    nucleated
        False for pictures of platelets: nothing in the middle counts.

    Returns
    -------
    Labelled or None
        None when the network found nothing in the middle.
    """
    h, w = found.shape
    stain = nuclear_stain(rgb)
    out = Labelled(np.zeros((h, w), np.int32), np.zeros((h, w), bool), np.zeros((h, w), bool), True)
    labels = [int(i) for i in np.unique(found) if i]
    if not nucleated:
        for i in labels:
            cell = found == i
            if np.percentile(stain[cell], 80) > 1.0 and cell.sum() * um**2 > 45:
                out.ignore |= _grown(cell, 3)
        return out
    middle = found[h // 2 - h // 12 : h // 2 + h // 12 + 1, w // 2 - w // 12 : w // 2 + w // 12 + 1]
    if not middle.any():
        return None
    main = int(np.bincount(middle[middle > 0]).argmax())
    reference = np.percentile(stain[found == main], 75)
    for i in [main, *(j for j in labels if j != main)]:
        cell = ndi.binary_fill_holes(found == i)
        strength = np.percentile(stain[cell], 80)
        if i != main and strength < 0.55 * reference:  # a red cell or a platelet
            if strength > 0.42 * reference:
                out.ignore |= cell
            continue
        if i != main and cell.sum() * um**2 < 25:
            out.ignore |= _grown(cell, 2)
            continue
        _add(out, rgb, cell, (found > 0) & (found != i), um, main=i == main)
    return out


def _add(out: Labelled, rgb: np.ndarray, cell: np.ndarray, others: np.ndarray, um: float, main: bool) -> None:
    nucleus = nucleus_inside(rgb, cell, um)
    drawn = redraw(rgb, cell, nucleus, others, um)
    agree = (drawn & cell).sum() / max(1, (drawn | cell).sum())
    final = drawn if agree > 0.8 else cell
    out.cells[final] = out.cells.max() + 1
    out.nuclei |= nucleus & final
    out.ignore |= cv2.morphologyEx((drawn ^ cell).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0
    if agree < 0.8:
        out.ignore |= _grown(drawn | cell, 1)
    if main:
        shape = regionprops(final.astype(np.uint8))[0]
        out.good = agree > 0.86 and shape.solidity > 0.88 and 25 < shape.area * um**2 < 450


def label_field(rgb: np.ndarray, found: np.ndarray, boxes: np.ndarray, um: float) -> Labelled:
    """Label a field whose white cells have boxes.

    What the first network found is kept inside a box that it fills, ignored where the box and the finding differ, and
    taken for background elsewhere, unless it is stained as strongly as the boxed cells.

    Parameters
    ----------
    rgb, found, um
        As in `label_crop`.
    boxes
        float (n, 4): x0, y0, x1, y1 in pixels of `rgb`.
    """
    h, w = found.shape
    out = Labelled(np.zeros((h, w), np.int32), np.zeros((h, w), bool), np.zeros((h, w), bool), True)
    stain = nuclear_stain(rgb)
    strengths, used = [], set()
    for x0, y0, x1, y1 in boxes:
        where = np.s_[max(0, round(y0)) : min(h, round(y1)), max(0, round(x0)) : min(w, round(x1))]
        counts = np.bincount(found[where].ravel())
        counts[0] = 0
        box = np.zeros((h, w), bool)
        box[where] = True
        best = int(counts.argmax())
        cell = (found == best) & _grown(box, 2) if best else np.zeros((h, w), bool)
        if not best or cell.sum() < 0.45 * box.sum():
            out.ignore |= _grown(box, 2)
            continue
        used.add(best)
        strengths.append(_stands_out(stain, cell, um))
        _add(out, rgb, cell, np.zeros((h, w), bool), um, main=False)
    for i in np.unique(found):
        cell = found == i
        if i and i not in used and strengths and _stands_out(stain, cell, um) > 0.6 * np.median(strengths):
            out.ignore |= _grown(cell, 3)
    return out


def _stands_out(stain: np.ndarray, cell: np.ndarray, um: float) -> float:
    """How much more strongly a cell is stained than what surrounds it (the light varies over a field)."""
    ring = _grown(cell, 4 / um) & ~_grown(cell, 1.5 / um)
    return float(np.percentile(stain[cell], 80) - (np.median(stain[ring]) if ring.any() else 0.0))


def _disc(radius: float) -> np.ndarray:
    side = 2 * round(float(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _grown(mask: np.ndarray, radius: float) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), _disc(radius)) > 0
