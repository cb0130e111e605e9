"""What training minimises: cross-entropy to soft targets, with one way of meeting class imbalance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_aml.classify.training.engine.settings import TrainConfig

if TYPE_CHECKING:
    import torch


class Loss:
    """Mean cross-entropy of a batch.

    Parameters
    ----------
    counts
        (k,) training pictures of each class.
    config
        Label smoothing and imbalance.
    device
        Where the logits are.

    Notes
    -----
    Logit adjustment adds tau times the log of the class share to the logits while training (Menon et al. 2021,
    arXiv 2007.07314), so that what is learnt does not depend on how common a class was. Class weights are
    proportional to one over the class share, their mean over the training pictures being one.
    """

    def __init__(self, counts: np.ndarray, config: TrainConfig, device: torch.device) -> None:
        from napari_aml._torch import torch

        self.classes, self.smoothing = len(counts), config.label_smoothing
        share = counts / counts.sum()
        self.offset = self.weight = None
        if config.imbalance == "logit-adjustment":
            self.offset = torch.tensor(config.tau * np.log(np.maximum(share, 1e-12)), dtype=torch.float32).to(device)
        elif config.imbalance == "class-weights":
            weight = np.where(counts > 0, 1 / np.maximum(share, 1e-12) / (counts > 0).sum(), 0.0)
            self.weight = torch.tensor(weight, dtype=torch.float32).to(device)

    def soft(self, targets: torch.Tensor) -> torch.Tensor:
        """Smoothed one-hot targets, float32 (n, k)."""
        from napari_aml._torch import torch

        hot = torch.nn.functional.one_hot(targets, self.classes).float()
        return hot * (1 - self.smoothing) + self.smoothing / self.classes

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean loss of logits (n, k) against soft targets (n, k)."""
        from napari_aml._torch import torch

        logits = logits.float()
        if self.offset is not None:
            logits = logits + self.offset
        each = -(targets * torch.log_softmax(logits, 1))
        if self.weight is not None:
            each = each * self.weight
        return each.sum(1).mean()


def mix(x: torch.Tensor, targets: torch.Tensor, alpha: float, rng: np.random.Generator) -> tuple:
    """Mixup (Zhang et al. 2018, arXiv 1710.09412): a batch mixed with its reverse, pictures and soft targets alike."""
    if alpha <= 0 or len(x) < 2:
        return x, targets
    part = float(rng.beta(alpha, alpha))
    return part * x + (1 - part) * x.flip(0), part * targets + (1 - part) * targets.flip(0)


def epoch_order(targets: np.ndarray, config: TrainConfig, epoch: int, chance: np.ndarray | None = None) -> np.ndarray:
    """Which pictures an epoch shows, in order, int64 (n,): each once, or drawn.

    With balanced sampling they are drawn by `chance`, or where that is None so that classes are equally common.
    """
    rng = np.random.default_rng((config.seed, 11, epoch))
    if config.imbalance != "balanced-sampling":
        return rng.permutation(len(targets))
    if chance is None:
        counts = np.bincount(targets)
        chance = 1 / counts[targets]
    return rng.choice(len(targets), len(targets), p=chance / chance.sum())
