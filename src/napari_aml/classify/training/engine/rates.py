"""The learning rate of each update."""

from __future__ import annotations

import math

from napari_aml.classify.training.engine.settings import TrainConfig


def swa_start(config: TrainConfig) -> int:
    """First epoch (from 0) whose weights are averaged; `epochs` where none is."""
    return config.epochs - round(config.swa * config.epochs) if config.swa > 0 else config.epochs


def learning_rate(update: int, per_epoch: int, config: TrainConfig) -> float:
    """Learning rate of an update: linear warm-up, then half a cosine (or constant), then constant while averaging.

    Parameters
    ----------
    update
        From 0.
    per_epoch
        Updates an epoch.
    """
    total = config.epochs * per_epoch
    averaged_from = swa_start(config) * per_epoch
    warm = min(round(config.warm_up * total), averaged_from)
    if update < warm:
        return config.rate * (update + 1) / warm
    if update >= averaged_from:
        return config.rate * config.swa_rate if config.schedule == "cosine" else config.rate
    if config.schedule == "constant":
        return config.rate
    least = config.swa_rate if averaged_from < total else config.least_rate
    part = (update - warm) / max(1, averaged_from - warm)
    return config.rate * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * part)))
