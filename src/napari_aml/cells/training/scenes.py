"""Training pictures: real fields turned and magnified, with cells cut out elsewhere laid beside their cells."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage as ndi

from napari_aml.cells.training.augment import augment
from napari_aml.cells.training.debris import litter

#: Side of a training picture, pixels of 0.25 µm.
SIDE = 128
WORK_UM = 0.25


@dataclass
class Source:
    """Labelled pictures of one microscope.

    Attributes
    ----------
    rgb, cells, nuclei, ignore
        (n, h, w[, 3]): uint8 pictures, int cell ids, nucleus masks, and where the truth is not known.
    um
        µm per pixel.
    """

    rgb: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray
    ignore: np.ndarray
    um: float

    def cutouts(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Return (rgb, cell, nucleus, background colour) of each cell that is not cut off."""
        out = []
        for rgb, cells, nuclei, ignore in zip(self.rgb, self.cells, self.nuclei, self.ignore, strict=True):
            height, width = cells.shape
            light = np.percentile(rgb.reshape(-1, 3), 90, axis=0)
            for label, box in enumerate(ndi.find_objects(cells), start=1):
                if box is None:
                    continue
                y, x = box
                if y.start < 2 or x.start < 2 or y.stop > height - 2 or x.stop > width - 2:
                    continue
                q = np.s_[y.start - 2 : y.stop + 2, x.start - 2 : x.stop + 2]
                cell = cells[q] == label
                if ignore[q][cell].mean() < 0.1:
                    out.append((rgb[q], cell, nuclei[q] & cell, light))
        return out


@dataclass
class Scene:
    """One training picture; `cells` holds ids."""

    rgb: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray
    ignore: np.ndarray


def border_distance(cells: np.ndarray) -> np.ndarray:
    """Return each pixel's distance to its cell's border, 1 at the cell's innermost point, 0 outside.

    A cell that the picture cuts off is taken to go on beyond the edge.
    """
    out = np.zeros(cells.shape, np.float32)
    for label, box in enumerate(ndi.find_objects(cells), start=1):
        if box is None:
            continue
        y, x = box
        cut = y.start == 0 or x.start == 0 or y.stop == cells.shape[0] or x.stop == cells.shape[1]
        y0, x0 = max(0, y.start - 1), max(0, x.start - 1)
        where = np.s_[y0 : y.stop + 1, x0 : x.stop + 1]
        cell = cells[where] == label
        pad = 40 if cut else 1
        wide = np.pad(cell, pad, mode="edge" if cut else "constant").astype(np.uint8)
        distance = cv2.distanceTransform(wide, cv2.DIST_L2, 5)[pad:-pad, pad:-pad]
        out[where] = np.where(cell, np.minimum(distance / max(6.0, float(distance.max())), 1), out[where])
    return out


class Scenes:
    """An endless supply of training pictures.

    Parameters
    ----------
    sources
        Labelled pictures by name.
    weights
        How often each source is drawn.
    """

    def __init__(self, sources: dict[str, Source], weights: dict[str, float]) -> None:
        self.sources = sources
        self.names = list(sources)
        p = np.array([weights[n] for n in self.names], float)
        self.p = p / p.sum()
        self.cuts = {name: source.cutouts() for name, source in sources.items()}

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return picture (float32, 0…1), cell, nucleus, border distance and ignore mask."""
        name = str(rng.choice(self.names, p=self.p))
        scene, zoom = self._field(self.sources[name], rng)
        if rng.random() < 0.45:
            for _ in range(rng.integers(1, 4)):
                other = name if rng.random() < 0.5 and self.cuts[name] else str(rng.choice(self.names))
                if self.cuts[other]:
                    cut = self.cuts[other][rng.integers(len(self.cuts[other]))]
                    _paste(scene, cut, zoom * self.sources[other].um / self.sources[name].um, rng)
        if rng.random() < 0.2:
            litter(scene.rgb, scene.cells, WORK_UM, rng)
        _, ids = np.unique(scene.cells, return_inverse=True)
        ids = ids.reshape(scene.cells.shape).astype(np.int32)
        return augment(scene.rgb, rng), ids > 0, scene.nuclei, border_distance(ids), scene.ignore

    def _field(self, source: Source, rng: np.random.Generator) -> tuple[Scene, float]:
        i = rng.integers(len(source.rgb))
        rgb, cells = source.rgb[i], source.cells[i]
        height, width = cells.shape
        zoom = float(np.exp(rng.normal(0, 0.18))) * source.um / WORK_UM
        turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else rng.integers(4) * np.pi / 2
        ids = np.unique(cells)[1:] if cells.min() == 0 else np.unique(cells)
        if len(ids) and rng.random() < 0.7:
            ys, xs = np.nonzero(cells == rng.choice(ids))
            j = rng.integers(len(ys))
            cy, cx = ys[j] + rng.integers(-25, 26), xs[j] + rng.integers(-25, 26)
        else:
            cy, cx = rng.integers(height), rng.integers(width)
        mirror = -1 if rng.random() < 0.5 else 1
        c, s = np.cos(turn) * zoom, np.sin(turn) * zoom
        matrix = np.array([[c * mirror, -s, 0], [s * mirror, c, 0]])
        matrix[:, 2] = SIDE / 2 - matrix[:, :2] @ [cx, cy]
        edge = cv2.BORDER_REFLECT_101 if rng.random() < 0.6 else cv2.BORDER_CONSTANT
        grey = [int(rng.choice([0, 255]))] * 3

        def warp(a: np.ndarray, how: int, border: int = edge) -> np.ndarray:
            fill = grey * (a.ndim == 3)
            return cv2.warpAffine(a, matrix, (SIDE, SIDE), flags=how, borderMode=border, borderValue=fill)

        ids_here = warp(cells.astype(np.float32), cv2.INTER_NEAREST).astype(np.int32)
        if edge == cv2.BORDER_REFLECT_101:
            inside = warp(np.ones((height, width), np.uint8), cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
            if not inside.all():  # a cell and its mirrored copy are two cells, or one where they meet
                pieces, _ = ndi.label(ids_here > 0)
                ids_here = np.where(ids_here > 0, ids_here * 100 + pieces, 0)
        scene = Scene(
            warp(rgb, cv2.INTER_LINEAR),
            ids_here,
            warp(source.nuclei[i].astype(np.uint8), cv2.INTER_NEAREST) > 0,
            warp(source.ignore[i].astype(np.uint8), cv2.INTER_NEAREST) > 0,
        )
        return scene, zoom


def _paste(scene: Scene, cut: tuple[np.ndarray, ...], zoom: float, rng: np.random.Generator) -> None:
    """Lay a cut-out cell into a scene, mostly touching a cell that is there, above or below it."""
    rgb, cell, nucleus, light = cut
    zoom *= float(np.exp(rng.normal(0, 0.1)))
    h, w = cell.shape
    side = int(np.hypot(h, w) * zoom) + 4
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), rng.uniform(0, 360), zoom)
    matrix[:, 2] += [side / 2 - w / 2, side / 2 - h / 2]
    rgb = cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cell = cv2.warpAffine(cell.astype(np.uint8), matrix, (side, side), flags=cv2.INTER_NEAREST) > 0
    nucleus = cv2.warpAffine(nucleus.astype(np.uint8), matrix, (side, side), flags=cv2.INTER_NEAREST) > 0
    cy, cx = rng.uniform(0, SIDE, 2)
    present = np.unique(scene.cells)
    present = present[present > 0]
    if len(present) and rng.random() < 0.7:
        ys, xs = np.nonzero(scene.cells == rng.choice(present))
        reach = (np.sqrt(len(ys) / np.pi) + np.sqrt(cell.sum() / np.pi)) * rng.uniform(0.85, 1.1)
        angle = rng.uniform(0, 2 * np.pi)
        cy, cx = ys.mean() + reach * np.sin(angle), xs.mean() + reach * np.cos(angle)
    y0, x0 = int(cy - side / 2), int(cx - side / 2)
    top, left, bottom, right = max(0, y0), max(0, x0), min(SIDE, y0 + side), min(SIDE, x0 + side)
    if bottom - top < 6 or right - left < 6:
        return
    here, part = np.s_[top:bottom, left:right], np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
    taken = scene.cells[here] > 0
    put = cell[part] & ~taken if rng.random() < 0.5 else cell[part]
    if put.sum() < 60 or (put & taken).sum() > 0.25 * put.sum():
        return
    gain = np.clip((np.percentile(scene.rgb.reshape(-1, 3), 90, axis=0) + 1) / (light + 1), 0.3, 1.6)
    soft = cv2.GaussianBlur(put.astype(np.float32), (0, 0), rng.uniform(0.5, 1.2))[..., None]
    mixed = scene.rgb[here] * (1 - soft) + soft * (rgb[part] * gain)
    scene.rgb[here] = np.clip(mixed, 0, 255).astype(np.uint8)
    scene.cells[here][put] = scene.cells.max() + 1
    scene.nuclei[here][put] = nucleus[part][put]
    scene.ignore[here][put] = False
