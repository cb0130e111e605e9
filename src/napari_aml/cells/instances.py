"""From the networks' maps to single cells: cells that touch are parted, each with its nucleus under the same id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aml.cells.network import WORK_UM
from napari_aml.cells.shape import solidity


@dataclass(frozen=True)
class Rules:
    """What counts as a nucleated cell.

    Attributes
    ----------
    cell, nucleus
        Probability from which a pixel belongs to a cell, to a nucleus.
    seed
        Relative distance to the border from which a pixel can seed a cell.
    least_cell_um2, least_nucleus_um2
        Smaller finds are platelets or debris; a third of it for cells that the picture cuts off.
    sure
        Mean nucleus probability that a nucleus must reach.
    contrast
        How much more strongly a nucleus must be stained than what surrounds its cell: natural logarithms of red plus
        green less blue. Red cells in dim fields, which a network may take for pale nuclei, reach 0.15, nuclei 0.35.
    darker
        How much darker, in red and in green alone, it must be than what surrounds its cell (natural logarithm). The
        palest of 377 nuclei of four sources are at 0.14; blue things in pictures that are no smears need not be dark.
    solid
        Least share of its convex hull that a cell must fill; stain precipitate is ragged. White and smudge cells of
        four sources fill 0.83 or more.
    """

    cell: float = 0.5
    nucleus: float = 0.5
    seed: float = 0.45
    least_cell_um2: float = 18.0
    least_nucleus_um2: float = 9.0
    sure: float = 0.75
    contrast: float = 0.22
    darker: float = 0.08
    solid: float = 0.74


def split(maps: np.ndarray, rules: Rules | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Part the maps into cells.

    Seeds are the inner parts of cells (distance map); a watershed (scikit-image) on the distance gives every pixel
    of the cell mask to one seed.

    Parameters
    ----------
    maps
        float32 (3, h, w): probability of cell and nucleus, relative distance to the border.
    rules
        What counts.

    Returns
    -------
    cells, nuclei
        int32 (h, w), same ids.
    """
    import cv2
    from scipy import ndimage as ndi
    from skimage.segmentation import watershed

    rules = rules or Rules()
    cell, nucleus = maps[0] >= rules.cell, maps[1]
    empty = np.zeros(cell.shape, np.int32)
    if not cell.any():
        return empty, empty.copy()
    distance = cv2.GaussianBlur(maps[2], (0, 0), 1.0)
    pieces, n = ndi.label(cell)
    seeds, m = ndi.label((distance > rules.seed) & cell)
    seeded = np.zeros(n + 1, bool)
    seeded[pieces[seeds > 0]] = True
    lonely = ~seeded[pieces] & cell
    seeds = np.where(lonely, pieces + m, seeds).astype(np.int32)
    parts = watershed(-distance, seeds, mask=cell)
    return _keep(parts, nucleus, rules)


def _keep(parts: np.ndarray, nucleus: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    from scipy import ndimage as ndi

    cells, nuclei = np.zeros(parts.shape, np.int32), np.zeros(parts.shape, np.int32)
    count = 0
    for label, box in enumerate(ndi.find_objects(parts), start=1):
        if box is None:
            continue
        mask = _largest(parts[box] == label)
        core = _tidy(mask & (nucleus[box] >= rules.nucleus))
        cut = any(s.start == 0 or s.stop == n for s, n in zip(box, parts.shape, strict=True))
        share = 1 / 3 if cut else 1.0
        um2 = WORK_UM**2
        if mask.sum() * um2 < share * rules.least_cell_um2 or core.sum() * um2 < share * rules.least_nucleus_um2:
            continue
        if nucleus[box][core].mean() < rules.sure or (not cut and solidity(mask) < rules.solid):
            continue
        count += 1
        mask = ndi.binary_fill_holes(mask) & (cells[box] == 0)
        cells[box][mask] = count
        nuclei[box][core & mask] = count
    return cells, nuclei


def _tidy(core: np.ndarray) -> np.ndarray:
    """Leave a nucleus without crumbs (under 8 % of its largest lobe, or 1 µm²) and pinholes (under 2.5 µm²)."""
    from scipy import ndimage as ndi

    pieces, n = ndi.label(core)
    if n > 1:
        area = np.bincount(pieces.ravel())[1:]
        core = np.isin(pieces, 1 + np.flatnonzero(area >= max(0.08 * area.max(), 1.0 / WORK_UM**2)))
    holes, n = ndi.label(ndi.binary_fill_holes(core) & ~core)
    if n:
        small = 1 + np.flatnonzero(np.bincount(holes.ravel())[1:] <= 2.5 / WORK_UM**2)
        core = core | np.isin(holes, small)
    return core


def drop_pale(
    rgb: np.ndarray, cells: np.ndarray, nuclei: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray]:
    """Drop cells whose nucleus is not darker and more like a nucleus in colour than what surrounds the cell.

    The comparison is local (a ring of 1 to 4 µm around the cell, other cells left out) and relative, so that neither
    vignetting nor the lamp's colour nor its strength matters.

    Parameters
    ----------
    rgb
        uint8 (h, w, 3) on the working grid.
    cells, nuclei
        int32 (h, w), same ids; returned without the dropped cells.
    rules
        Gives the least contrast and how much darker.
    """
    import cv2
    from scipy import ndimage as ndi

    near, far = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n)) for n in (9, 33))
    for label, box in enumerate(ndi.find_objects(cells), start=1):
        if box is None:
            continue
        where = tuple(slice(max(0, s.start - 18), s.stop + 18) for s in box)
        light = np.log(cv2.GaussianBlur(rgb[where], (0, 0), 1).astype(np.float32) + 8)
        mask, core = (cells[where] == label).astype(np.uint8), nuclei[where] == label
        ring = (cv2.dilate(mask, far) > 0) & (cv2.dilate(mask, near) == 0) & (cells[where] == 0)
        if ring.sum() < 60:
            continue
        stain = light[..., 2] - light[..., 0] - light[..., 1]
        pale = np.median(stain[core]) - np.median(stain[ring]) < rules.contrast
        dark = np.median(light[ring][:, :2], axis=0) - np.median(light[core][:, :2], axis=0)
        if pale or dark.min() < rules.darker:
            cells[where][mask > 0] = 0
            nuclei[where][core] = 0
    return cells, nuclei


def _largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected piece of a mask."""
    from scipy import ndimage as ndi

    pieces, n = ndi.label(mask)
    return mask if n <= 1 else pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))


def enlarge(
    maps: np.ndarray, cells: np.ndarray, nuclei: np.ndarray, scale: float, shape: tuple[int, int], rules: Rules
) -> tuple[np.ndarray, np.ndarray]:
    """Bring cells to level-0 pixels with smooth borders: probabilities are interpolated, then cut at the threshold.

    Parameters
    ----------
    maps, cells, nuclei
        On the working grid.
    scale
        Working pixels per level-0 pixel.
    shape
        Height and width in level-0 pixels; both pictures begin at the same corner.
    rules
        The thresholds.

    Returns
    -------
    cells, nuclei
        int32 `shape`, same ids.
    """
    from scipy import ndimage as ndi

    out_cells, out_nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for label, box in enumerate(ndi.find_objects(cells), start=1):
        if box is None:
            continue
        y0, x0 = max(0, box[0].start - 2), max(0, box[1].start - 2)
        y1, x1 = min(cells.shape[0], box[0].stop + 2), min(cells.shape[1], box[1].stop + 2)
        where = np.s_[y0:y1, x0:x1]
        mine, core = cells[where] == label, nuclei[where] == label
        soft_cell = _soft(maps[0][where], mine, (cells[where] > 0) & ~mine, rules.cell)
        soft_core = _soft(maps[1][where], core, mine & ~core & (maps[1][where] >= rules.nucleus), rules.nucleus)
        ty, tx = max(0, int(np.floor(y0 / scale))), max(0, int(np.floor(x0 / scale)))
        by, bx = min(shape[0], int(np.ceil(y1 / scale))), min(shape[1], int(np.ceil(x1 / scale)))
        if by <= ty or bx <= tx:
            continue
        target = np.s_[ty:by, tx:bx]
        size = (by - ty, bx - tx)
        inside = _zoom(soft_cell, (ty, tx), (y0, x0), scale, size) >= 0.5
        inside &= out_cells[target] == 0
        nucleus = inside & (_zoom(soft_core, (ty, tx), (y0, x0), scale, size) >= 0.5)
        if not nucleus.any():
            continue
        out_cells[target][inside] = label
        out_nuclei[target][nucleus] = label
    return out_cells, out_nuclei


def _soft(probability: np.ndarray, mine: np.ndarray, not_mine: np.ndarray, threshold: float) -> np.ndarray:
    """Return a map that crosses 0.5 at the mask's border, between pixels where the probability says so."""
    soft = np.clip(0.5 + (probability - threshold) * 0.5 / max(threshold, 1 - threshold), 0, 1).astype(np.float32)
    soft = np.where(mine, np.maximum(soft, 0.51), np.minimum(soft, 0.49))
    return np.where(not_mine, 0.0, soft).astype(np.float32)


def _zoom(
    soft: np.ndarray, target: tuple[int, int], origin: tuple[int, int], scale: float, size: tuple[int, int]
) -> np.ndarray:
    """Sample a map linearly at the centres of level-0 pixels."""
    import cv2

    # centre of level-0 pixel i is at (i + 0.5) * scale - 0.5 on the working grid
    matrix = np.array(
        [
            [scale, 0, (target[1] + 0.5) * scale - 0.5 - origin[1]],
            [0, scale, (target[0] + 0.5) * scale - 0.5 - origin[0]],
        ]
    )
    return cv2.warpAffine(
        soft, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
