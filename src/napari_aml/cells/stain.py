"""The stain of a slide: the colours of its empty ground, its nuclei and its red cells, and recolouring by them.

Optical density is the logarithm of ground over pixel. A linear map of densities takes the nuclei of one stain to those
of another, and its red cells likewise, as stain normalisation does (Ruifrok & Johnston 2001; Macenko et al. 2009,
doi 10.1109/ISBI.2009.5193250), with dyes that are read off segmented cells instead of being estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.cells.ground import usual_bright

if TYPE_CHECKING:
    from napari_aml.cells.table import Cells
    from napari_aml.slides.slide import Slide

#: Added to brightness (0…255), so that black has a density and noise in the dark is not blown up.
DARK = 16.0
# Red cells absorb at least this much green, and differ from nuclei in hue by at least this angle (cosine).
_LEAST_RED, _ALIKE = 0.06, 0.995
_LEAST_NUCLEUS, _LEAST_PX = 0.15, 500
_CELLS, _MARGIN_UM = 200, 10.0
# So many pixels of nuclei and of their surroundings suffice, shared out over the pictures.
_NUCLEUS_PX, _AROUND_PX = 40_000, 120_000


def _colour(values: Iterable[float]) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


@dataclass(frozen=True)
class Stain:
    """Three colours that describe a stain, as one scanner sees it.

    Attributes
    ----------
    ground
        Red, green and blue of empty places, 0…255.
    nucleus, red
        Optical densities (natural logarithm) of nuclei and of red cells in the three channels.
    cells
        How many cells it was measured on; None = unknown, many.
    """

    ground: tuple[float, float, float]
    nucleus: tuple[float, float, float]
    red: tuple[float, float, float]
    cells: int | None = None

    @classmethod
    def read(cls, held: Mapping[str, Any]) -> Stain:
        """Read what `facts` wrote."""
        ground, nucleus, red = (_colour(held[name]) for name in ("ground", "nucleus", "red"))
        return cls(ground, nucleus, red, held.get("cells"))

    def facts(self) -> dict[str, Any]:
        """Return plain values for a card or a provenance."""
        found: dict[str, Any] = {k: [round(v, 4) for v in getattr(self, k)] for k in ("ground", "nucleus", "red")}
        return found if self.cells is None else {**found, "cells": self.cells}

    @property
    def basis(self) -> np.ndarray:
        """float64 (3, 3): densities of nuclei and red cells, and what neither absorbs, as columns."""
        return basis(np.array(self.nucleus), np.array(self.red))

    def colours(self) -> np.ndarray:
        """Return red, green and blue, 0…255, of ground, nuclei and red cells: float64 (3, 3), one a row."""
        density = np.stack([np.zeros(3), self.nucleus, self.red])
        return (np.array(self.ground) + DARK) * np.exp(-density) - DARK

    def distance(self, other: Stain) -> float:
        """Return how far two stains lie apart: root mean square of the differences of their colours, 0…255."""
        return float(np.sqrt(np.mean((self.colours() - other.colours()) ** 2)))


@dataclass(frozen=True)
class Recolouring:
    """Takes pictures of one stain to another."""

    stain: Stain
    target: Stain

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Recolour uint8 (…, 3); pure white, as what lies beyond a slide's edge is drawn, becomes ground."""
        matrix = (self.target.basis @ np.linalg.inv(self.stain.basis)).astype(np.float32)
        density = np.log((np.array(self.stain.ground, np.float32) + DARK) / (_LEVELS + np.float32(DARK)))
        found = np.stack([density[:, c][pixels[..., c]] for c in range(3)], -1) @ matrix.T
        out = (np.array(self.target.ground, np.float32) + DARK) * np.exp(-found) - DARK
        out[(pixels == 255).all(-1)] = self.target.ground
        return np.clip(out + 0.5, 0, 255).astype(np.uint8)


_LEVELS = np.arange(256, dtype=np.float32)[:, None]


def basis(nucleus: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Return densities (…, 3) of nuclei and red cells, and a third at right angles, as columns: (…, 3, 3)."""
    third = np.cross(nucleus, red)
    length = np.linalg.norm(nucleus, axis=-1, keepdims=True) / np.linalg.norm(third, axis=-1, keepdims=True)
    return np.stack([nucleus, red, third * length], -1)


class StainSample:
    """Pixels of nuclei and of what lies around cells, gathered picture by picture.

    Parameters
    ----------
    pictures
        How many there will be: each gives its share of pixels.
    seed
        Of the draw of pixels.
    """

    def __init__(self, pictures: int, seed: int = 0) -> None:
        self._each = (_NUCLEUS_PX // max(2, pictures), _AROUND_PX // max(2, pictures))
        self._rng = np.random.default_rng(seed)
        self._nuclei: list[np.ndarray] = []
        self._around: list[np.ndarray] = []

    def add(self, rgb: np.ndarray, cells: np.ndarray, nuclei: np.ndarray) -> None:
        """Take pixels of one picture.

        Parameters
        ----------
        rgb
            uint8 (h, w, 3).
        cells, nuclei
            (h, w), not 0 inside cells and inside their nuclei.
        """
        import cv2

        near = cv2.dilate((cells != 0).astype(np.uint8), np.ones((5, 5), np.uint8))
        outside = near == 0
        parts = ((nuclei != 0, self._nuclei), (outside, self._around))
        for (where, into), most in zip(parts, self._each, strict=True):
            found = rgb[where]
            if len(found):
                into.append(found[self._rng.choice(len(found), min(most, len(found)), replace=False)])

    def stain(self) -> Stain | None:
        """Return the stain, or None where there are too few pixels, no red cells, or nuclei of the same hue."""
        from skimage.filters import threshold_otsu

        if sum(map(len, self._nuclei)) < _LEAST_PX or sum(map(len, self._around)) < _LEAST_PX:
            return None
        nuclei, around = (np.concatenate(p).astype(np.float32) for p in (self._nuclei, self._around))
        if np.ptp(around[:, 1]) < 2:
            return None
        ground = usual_bright(around)
        density = np.log((ground + DARK) / (around + DARK))
        red = np.median(density[density[:, 1] > threshold_otsu(density[:, 1])], axis=0)
        nucleus = np.median(np.log((ground + DARK) / (nuclei + DARK)), axis=0)
        cosine = float(nucleus @ red / (np.linalg.norm(nucleus) * np.linalg.norm(red) + 1e-9))
        if not np.isfinite([*ground, *nucleus, *red]).all() or red[1] < _LEAST_RED or nucleus[1] < _LEAST_NUCLEUS:
            return None
        if abs(cosine) > _ALIKE:
            return None
        colours = [_colour(round(float(v), 4) for v in a) for a in (ground, nucleus, red)]
        return Stain(colours[0], colours[1], colours[2], len(self._nuclei))


def measure_stain(slide: Slide, cells: Cells, *, most: int = _CELLS) -> Stain | None:
    """Measure the stain of a slide from its segmented cells and what lies around them.

    Parameters
    ----------
    slide
        Its pixel size is known.
    cells
        Its cells.
    most
        At most so many cells are looked at, spread over the slide.

    Returns
    -------
    Stain or None
        None where the slide does not say it: too few cells, or no red cells beside them.
    """
    from napari_aml.cells.network import WORK_UM

    labels = sorted(cells.masks)
    if not labels:
        return None
    if len(labels) > most:
        labels = [labels[i] for i in np.linspace(0, len(labels) - 1, most).round().astype(int)]
    level = slide.level_for(WORK_UM)
    down = slide.levels[level].downsample
    margin = _MARGIN_UM / cells.pixel_size_um
    sample = StainSample(len(labels))
    for label in labels:
        y0, x0, y1, x1 = cells.masks.boxes[label]
        top, left = max(0, int((y0 - margin) / down)), max(0, int((x0 - margin) / down))
        height = min(slide.levels[level].height, int(np.ceil((y1 + margin) / down))) - top
        width = min(slide.levels[level].width, int(np.ceil((x1 + margin) / down))) - left
        rgb = slide.region(level, top, left, height, width)
        rows = np.minimum(((np.arange(height) + 0.5) * down).astype(int), round(height * down) - 1)
        columns = np.minimum(((np.arange(width) + 0.5) * down).astype(int), round(width * down) - 1)
        whole, nuclei = (
            cells.masks.region(int(top * down), int(left * down), round(height * down), round(width * down), part)
            for part in ("cell", "nucleus")
        )  # fmt: skip
        where = np.ix_(rows, columns)
        sample.add(rgb, whole[where], nuclei[where])
    return sample.stain()
