"""What a run learns from, says of each epoch and leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.classify.training.engine.crops import Crops
from napari_aml.classify.training.engine.restaining import Stains
from napari_aml.errors import AmlError
from napari_aml.statistics import confusion, negative_log_likelihood, softmax, summaries

if TYPE_CHECKING:
    import torch


class TrainingDivergedError(AmlError):
    """The loss or the gradients stopped being numbers."""


@dataclass(frozen=True)
class Epoch:
    """How one epoch went; the payload of its `Progress`.

    Attributes
    ----------
    epoch
        From 1.
    loss
        Mean training loss.
    validation
        ``loss, accuracy, balanced_accuracy, macro_f1`` of the validation part; empty where there is none.
    rate
        Learning rate at its end.
    seconds
        Duration; of the training alone, the look at the validation part excluded.
    """

    epoch: int
    loss: float
    validation: dict[str, float]
    rate: float
    seconds: float


@dataclass
class Fitted:
    """A trained network.

    Attributes
    ----------
    state
        The weights that are kept, on the CPU.
    chosen
        In words, which they are: of which epoch, or averaged.
    history
        One entry an epoch.
    notes
        What a person should know.
    """

    state: dict[str, torch.Tensor]
    chosen: str
    history: list[Epoch]
    notes: list[str] = field(default_factory=list)


@dataclass
class Material:
    """What a run learns from.

    Attributes
    ----------
    train
        Crops with a margin, and ``targets`` int64 (n,).
    validation
        Crops without one, and ``validation_targets``.
    chance
        (n,) how often each training picture is drawn with balanced sampling, or None.
    stains
        Stains of the sources of the training pictures, between which colours are exchanged; None = they are not.
    """

    train: Crops
    targets: np.ndarray
    validation: Crops
    validation_targets: np.ndarray
    classes: int
    chance: np.ndarray | None = None
    stains: Stains | None = None


def figures_of(logits: np.ndarray, targets: np.ndarray, classes: int) -> dict[str, float]:
    """Return loss, accuracy, balanced accuracy and macro-F1 of logits."""
    found = summaries(confusion(targets, logits.argmax(1), classes))
    loss = negative_log_likelihood(softmax(logits), targets)
    kept = ("accuracy", "balanced_accuracy", "macro_f1")
    return {"loss": float(loss), **{k: float(found[k]) for k in kept}}


def goodness(figures: dict[str, float], monitor: str) -> float:
    """Return what is watched, larger being better; minus infinity when it is no number."""
    value = -figures["loss"] if monitor == "loss" else figures[monitor]
    return value if math.isfinite(value) else -math.inf


def in_words(done: Epoch, epochs: int) -> str:
    """Return an epoch in one line."""
    text = f"Epoch {done.epoch} of {epochs}: loss {done.loss:.3f}"
    if done.validation:
        text += f", validation macro-F1 {done.validation['macro_f1']:.3f}, loss {done.validation['loss']:.3f}"
    return text
