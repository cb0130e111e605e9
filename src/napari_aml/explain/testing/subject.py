"""A network, some crops and the classes it names them: what the tests of heatmaps work on."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.explain.passes import CamPass, ChooseTargets

if TYPE_CHECKING:
    from napari_aml.classify.network import Network

#: Crops that the network gets at once.
BATCH = 32


@dataclass(frozen=True)
class Subject:
    """Crops under test.

    Attributes
    ----------
    network
        The network.
    crops
        uint8 (n, px, px, 3).
    targets
        int (n,): the class that is explained, the network's own word.
    """

    network: Network
    crops: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, network: Network, crops: np.ndarray) -> Subject:
        """Take crops and let the network name them."""
        return cls(network, crops, probabilities(network, crops).argmax(1))

    def maps(self, method: str, stage: int, *, network: Network | None = None, crops: Any = None) -> np.ndarray:
        """Return raw maps float32 (n, g, g); of another network or other crops where given."""
        net, pictures = network or self.network, self.crops if crops is None else crops
        parts = []
        for start in range(0, len(pictures), BATCH):
            chosen = self.targets[start : start + BATCH]
            run = CamPass(method, stage, _always(chosen))
            rows = np.arange(len(chosen))
            parts.append(run(net, net.prepare(pictures[start : start + BATCH]), rows, threading.Event())[2][0])
        return np.concatenate(parts)

    def belief(self, crops: np.ndarray) -> np.ndarray:
        """Return the probability of each crop's target, float64 (n,)."""
        return probabilities(self.network, crops)[np.arange(len(crops)), self.targets]


def probabilities(network: Network, crops: np.ndarray) -> np.ndarray:
    """Return float64 (n, k) without temperature."""
    from napari_aml._torch import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            logits, _ = network.head(network.features(network.prepare(crops[start : start + BATCH])))
            parts.append(torch.softmax(logits.double(), 1).cpu().numpy())
    return np.concatenate(parts)


def _always(chosen: np.ndarray) -> ChooseTargets:
    """Return what names these classes, whatever the network says."""
    from napari_aml._torch import torch

    return lambda _rows, logits: torch.as_tensor(chosen, device=logits.device)
