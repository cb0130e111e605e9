"""A dataset of three kinds of discs, and a recipe that takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_aml.classify.training.engine import TrainConfig
from napari_aml.datasets import Dataset, write_dataset

COLOURS = {"MYO": (90, 30, 140), "NGS": (200, 120, 190), "LYT": (40, 60, 160)}


def disc(code: str, seed: int, side: int = 32) -> np.ndarray:
    """A disc of the class's colour and size on a noisy pale ground."""
    rng = np.random.default_rng((seed, sum(map(ord, code))))
    yy, xx = np.mgrid[:side, :side] - (side - 1) / 2 - rng.uniform(-3, 3, 2)[:, None, None]
    inside = np.hypot(yy, xx) < side * (0.2 + 0.06 * len(set(code)) + rng.uniform(0, 0.1))
    ground = rng.integers(190, 255, 3)
    picture = np.where(inside[..., None], np.array(COLOURS[code]) + rng.integers(-30, 30, 3), ground)
    return np.clip(picture + rng.normal(0, 12, (side, side, 3)), 0, 255).astype(np.uint8)


def easy_dataset(path: Path, n: int = 20, codes: tuple[str, ...] = tuple(COLOURS)) -> Dataset:
    labels = [code for code in codes for _ in range(n)]
    pictures = (disc(code, i) for i, code in enumerate(labels))
    table = pd.DataFrame({"code": labels, "patient": [f"p{i % 30}" for i in range(len(labels))], "crop_um": 20.0})
    return write_dataset(path, table, pictures, {"name": "easy", "licence": "CC0"}, group_duplicates=False)


def tiny(**changes: Any) -> TrainConfig:
    """A recipe of seconds; `changes` replace settings."""
    settings = {
        "backbone": "test_convnext", "px": 32, "epochs": 4, "batch": 16, "rate": 3e-3, "device": "cpu",
        "precision": "float32", "drop_path": 0.0, "augmentation": "none", "mixup": 0.0, "swa": 0.0, **changes,
    }  # fmt: skip
    return TrainConfig().changed(**settings)
