"""A slide of any size composed of the shipped smear fields while it is read: for benchmarks, tests and trying out."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from napari_aml.errors import SlideReadError
from napari_aml.slides.pixel_size import PixelSize
from napari_aml.slides.slide import Level, Slide

#: Height and width of one field, level-0 pixels; each fills a block of 2 x 2 mirrored copies.
FIELD = (480, 640)
#: µm per pixel of the fields: their red cells measure 96 px.
FIELD_UM = 0.075
DOWNSAMPLES = (1, 2, 4, 8, 16)


class SyntheticSlide(Slide):
    """A slide made of real fields, turned and mirrored at random; nothing of it is held in memory.

    Parameters
    ----------
    height, width
        Pixels of level 0.
    seed
        The same seed gives the same slide, pixel by pixel.
    downsamples
        The levels of its pyramid; ``(1,)`` for a slide without one.
    """

    def __init__(
        self, height: int = 20_000, width: int = 20_000, seed: int = 0, downsamples: tuple[int, ...] = DOWNSAMPLES
    ) -> None:
        if height < 1 or width < 1 or any(d not in DOWNSAMPLES for d in downsamples):
            raise ValueError(f"a synthetic slide has a positive size and levels out of {DOWNSAMPLES}")
        self.name = f"synthetic-{height}x{width}-{seed}"
        self.seed = seed
        self.pixel_size = PixelSize(FIELD_UM, "file", "composed of fields whose red cells measure 96 px")
        self.levels = tuple(Level(max(1, height // d), max(1, width // d), float(d)) for d in downsamples)
        self.notes = ("Composed of the shipped smear fields.",)
        self._fields = len(_field_paths())

    def _read(self, level: int, y: int, x: int, h: int, w: int) -> np.ndarray:
        down = int(self.levels[level].downsample)
        fh, fw = 2 * FIELD[0] // down, 2 * FIELD[1] // down
        out = np.empty((h, w, 3), np.uint8)
        for i in range(y // fh, -(-(y + h) // fh)):
            for j in range(x // fw, -(-(x + w) // fw)):
                block = _block(self._choice(i, j), down)
                top, left = max(y, i * fh), max(x, j * fw)
                bottom, right = min(y + h, (i + 1) * fh), min(x + w, (j + 1) * fw)
                part = block[top - i * fh : bottom - i * fh, left - j * fw : right - j * fw]
                out[top - y : bottom - y, left - x : right - x] = part
        return out

    def _choice(self, i: int, j: int) -> int:
        """Return which field stands in a block."""
        digest = hashlib.blake2b(f"{self.seed}/{i}/{j}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self._fields

    def _hash(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()


def _field_paths() -> list[Path]:
    from napari_aml.samples import sample_paths

    return [p for p in sample_paths("smear") if p.name.startswith("bccd")]


@lru_cache(maxsize=64)
def _block(index: int, down: int) -> np.ndarray:
    """Return a field and its mirror images, 2 x 2, without seams."""
    path = _field_paths()[index]
    # Not `cv2.imread`: on Windows it does not find a path with letters beyond the system's code page.
    read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if read is None:
        raise SlideReadError(path, "it is damaged.", "Install napari-aml again.")
    field = read[..., ::-1]
    size = (FIELD[1] // down, FIELD[0] // down)
    if (field.shape[1], field.shape[0]) != size:
        field = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    row = np.hstack([field, field[:, ::-1]])
    block = np.vstack([row, row[::-1]])
    block.setflags(write=False)
    return block
