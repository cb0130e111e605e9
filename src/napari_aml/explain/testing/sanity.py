"""Sanity: a map should depend on what the network has learnt, and not on noise.

Shuffled weights from the top down: Adebayo et al. 2018, arXiv:1810.03292.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_aml.classify.network import Network
    from napari_aml.explain.testing.subject import Subject

#: Standard deviation of the noise, grey levels of 255.
NOISE = 6.0


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each pair of maps (n, g, g), float64 (n,); NaN for a constant map."""
    from scipy.stats import rankdata

    x, y = (rankdata(m.reshape(len(m), -1), axis=1) for m in (a, b))
    x, y = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    scale = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return np.divide((x * y).sum(1), scale, out=np.full(len(x), np.nan), where=scale > 0)


def shuffled_networks(network: Network, seed: int = 0) -> list[tuple[str, Network]]:
    """Return networks whose weights are shuffled from the top down: head, then also the last stage, then all.

    Shuffling keeps each tensor's values and destroys what they have learnt.
    """
    from napari_aml._torch import torch

    generator = torch.Generator().manual_seed(seed)
    parts = _parts(network.model)
    out, done = [], []
    model = copy.deepcopy(network.model)
    for name, belongs in parts:
        with torch.no_grad():
            for key, tensor in model.named_parameters():
                if belongs(key) and key not in done:
                    flat = tensor.detach().cpu().flatten()
                    turned = flat[torch.randperm(len(flat), generator=generator)]
                    tensor.copy_(turned.view(tensor.shape).to(tensor.device))
                    done.append(key)
        other = copy.copy(network)
        other.model = copy.deepcopy(model)
        out.append((name, other))
    return out


def _parts(model: Any) -> list[tuple[str, Any]]:
    """Name → which parameters belong to it, from the top of the network down."""
    head = str(model.default_cfg.get("classifier") or "head").split(".")[0]
    blocks = "stages." if hasattr(model, "stages") else "layer" if hasattr(model, "layer4") else "blocks."
    numbers = sorted({
        key.removeprefix(blocks).split(".")[0] for key, _ in model.named_parameters() if key.startswith(blocks)
    }, key=int)  # fmt: skip
    last = f"{blocks}{numbers[-1]}." if numbers else None
    out = [("head", lambda key: key.startswith(head))]
    if last:
        out.append(("head and last stage", lambda key: key.startswith((head, last))))
    return [*out, ("all weights", lambda key: True)]


def noisy(crops: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return crops with Gaussian noise of `NOISE` grey levels."""
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(crops + rng.normal(0, NOISE, crops.shape)), 0, 255).astype(np.uint8)


def agreement(
    subject: Subject, method: str, stage: int, maps: np.ndarray, networks: Any, crops: Any
) -> dict[str, float]:
    """Return mean correlations of maps with those of shuffled networks and of noisy crops."""
    out = {}
    for name, network in networks:
        out[name] = _mean(correlations(maps, subject.maps(method, stage, network=network)))
    out["noise"] = _mean(correlations(maps, subject.maps(method, stage, crops=crops)))
    return out


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0
