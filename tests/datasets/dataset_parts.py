"""Small pictures and folders laid out like the public sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def cell(seed: int, side: int = 24) -> np.ndarray:
    """A disc of its own colour and place on a pale ground; no two seeds look alike to the hash."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 255, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def save(path: Path, seed: int, side: int = 24, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cell(seed, side)).convert(mode).save(path)
    return path


def class_folders(root: Path, counts: dict[str, int], suffix: str = ".png", pattern: str = "{code}_{i:04d}") -> Path:
    seed = 0
    for code, n in counts.items():
        for i in range(n):
            seed += 1
            save(root / code / (pattern.format(code=code, i=i) + suffix), seed)
    return root
