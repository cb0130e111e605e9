"""What lies on smears and is no cell, drawn: platelets in clumps, stain precipitate, fibres."""

from __future__ import annotations

import cv2
import numpy as np


def litter(rgb: np.ndarray, cells: np.ndarray, um: float, rng: np.random.Generator) -> None:
    """Lay drawn debris onto a picture, in place and beside its cells only.

    Parameters
    ----------
    rgb, cells
        uint8 (h, w, 3) and int cell ids (h, w).
    um
        µm per pixel.
    rng
        Source of chance.
    """
    h, w = cells.shape
    free = cv2.dilate((cells > 0).astype(np.uint8), np.ones((3, 3))) == 0
    for _ in range(rng.integers(1, 4)):
        shape = (_platelets, _precipitate, _fibre)[rng.choice(3, p=(0.5, 0.35, 0.15))]
        cover, colour = shape(h, w, um, rng)
        cover = cover * free
        density = cover[..., None] * colour.astype(np.float32)
        rgb[:] = (rgb * np.exp(-density)).astype(np.uint8)


def _platelets(h: int, w: int, um: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw 1 to 14 granular ovals of 1.5 to 3.5 µm, alone or in a clump."""
    cover = np.zeros((h, w), np.float32)
    n = int(rng.integers(1, 4) if rng.random() < 0.6 else rng.integers(4, 15))
    centre, spread = rng.uniform(0, (h, w)), rng.uniform(0.8, 1.2) * np.sqrt(n) / um
    for _ in range(n):
        y, x = rng.normal(centre, spread)
        axes = rng.uniform(0.75, 1.75, 2) / um
        _oval(cover, y, x, axes, rng)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 0.3 / um)
    grain = 1 + 0.35 * grain / max(float(grain.std()), 1e-6)
    cover = cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.15, 0.4) / um) * np.clip(grain, 0.2, 2)
    return cover, np.array([0.55, 0.8, 0.25]) * rng.uniform(0.4, 1.5) * rng.uniform(0.8, 1.2, 3)


def _precipitate(h: int, w: int, um: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a swarm of dark granules under 1.2 µm."""
    cover = np.zeros((h, w), np.float32)
    centre, spread = rng.uniform(0, (h, w)), rng.uniform(0.8, 4.0, 2) / um
    for _ in range(int(rng.integers(6, 90))):
        y, x = rng.normal(centre, spread)
        _oval(cover, y, x, rng.uniform(0.15, 0.6, 2) / um, rng)
    colour = np.array([1.0, 1.2, 0.6]) * rng.uniform(0.5, 2.0) * rng.uniform(0.7, 1.3, 3)
    return cv2.GaussianBlur(cover, (0, 0), rng.uniform(0.1, 0.3) / um), colour


def _fibre(h: int, w: int, um: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a bent line 0.4 to 2 µm thick in any colour."""
    cover = np.zeros((h, w), np.float32)
    walk = np.cumsum(rng.normal(0, 3.0 / um, (6, 2)) + rng.normal(0, 3.0 / um, 2), axis=0) + rng.uniform(0, (w, h))
    thick = max(1, round(rng.uniform(0.4, 2.0) / um))
    cv2.polylines(cover, [walk.astype(np.int32)], False, 1.0, thick, cv2.LINE_AA)
    return cv2.GaussianBlur(cover, (0, 0), 0.2 / um), rng.uniform(0.1, 1.2, 3)


def _oval(cover: np.ndarray, y: float, x: float, axes: np.ndarray, rng: np.random.Generator) -> None:
    size = tuple(max(1, round(float(a))) for a in axes)
    turn, middle = float(rng.uniform(0, 180)), (round(float(x)), round(float(y)))
    cv2.ellipse(cover, middle, size, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
