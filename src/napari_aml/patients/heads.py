"""Heads: all cells of a patient become probabilities of subtypes. Inference is plain NumPy.

``mean-probability`` and ``differential`` are logistic regressions on one vector a patient; ``attention`` is gated
attention with weights of its own for each class (Ilse et al. 2018, arXiv 1802.04712; class-wise as in Hehr et al.
2023, PLOS Digital Health 2(3):e0000187). A head answers for the whole bag and for the bag without each of its cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from napari_aml.patients.bags import Bag
from napari_aml.patients.features import FEATURES

#: The heads that can be trained, simplest first: of two that do alike the simpler is taken.
HEADS = ("differential", "mean-probability", "attention")


class Head(Protocol):
    """What every head can do."""

    @property
    def name(self) -> str:
        """One of `HEADS`."""
        ...

    def logits(self, bag: Bag) -> np.ndarray:
        """Return float64 (c,)."""
        ...

    def logits_without(self, bag: Bag) -> np.ndarray:
        """Return float64 (n, c): the logits with each cell left out."""
        ...

    def shares(self, bag: Bag) -> np.ndarray:
        """Return float64 (n, c): what each cell gives to each logit."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored, float32."""
        ...


@dataclass(frozen=True)
class LinearHead:
    """Logistic regression on one vector a patient.

    Attributes
    ----------
    name
        ``mean-probability`` or ``differential``.
    codes
        Class codes of the image model.
    mean, scale
        (k,) standardisation.
    weight, bias
        (c, k) and (c,).
    """

    name: str
    codes: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def _answer(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.scale @ self.weight.T + self.bias

    def logits(self, bag: Bag) -> np.ndarray:
        """Return float64 (c,)."""
        return self._answer(FEATURES[self.name](bag, self.codes)[0])

    def logits_without(self, bag: Bag) -> np.ndarray:
        """Return float64 (n, c)."""
        return self._answer(FEATURES[self.name](bag, self.codes)[1])

    def shares(self, bag: Bag) -> np.ndarray:
        """Return float64 (n, c): how far each logit falls when the cell is left out."""
        return self.logits(bag)[None] - self.logits_without(bag)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored."""
        return {n: np.asarray(getattr(self, n), np.float32) for n in ("mean", "scale", "weight", "bias")}


@dataclass(frozen=True)
class AttentionHead:
    """Gated attention over cells, one set of weights a class.

    Attributes
    ----------
    mean, scale
        (d,) standardisation of the embedding.
    reduce_weight, reduce_bias
        (h, d), (h,): embedding → features of a cell, rectified.
    tanh_weight, tanh_bias, gate_weight, gate_bias
        (a, h), (a,): the two branches of the gate.
    attend
        (c, a): attention logits of each class.
    weight, bias
        (c, h), (c,): evidence for each class from its own weighted mean.
    """

    mean: np.ndarray
    scale: np.ndarray
    reduce_weight: np.ndarray
    reduce_bias: np.ndarray
    tanh_weight: np.ndarray
    tanh_bias: np.ndarray
    gate_weight: np.ndarray
    gate_bias: np.ndarray
    attend: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    name: str = field(default="attention", init=False)

    def attention(self, bag: Bag) -> tuple[np.ndarray, np.ndarray]:
        """Return features float64 (n, h) and attention float64 (n, c), whose columns sum to 1."""
        x = (bag.embedding.astype(float) - self.mean) / self.scale
        features = np.maximum(x @ self.reduce_weight.T + self.reduce_bias, 0)
        gate = 1 / (1 + np.exp(-(features @ self.gate_weight.T + self.gate_bias)))
        raw = np.tanh(features @ self.tanh_weight.T + self.tanh_bias) * gate @ self.attend.T
        raw = np.exp(raw - raw.max(0))
        return features, raw / raw.sum(0)

    def logits(self, bag: Bag) -> np.ndarray:
        """Return float64 (c,)."""
        features, weights = self.attention(bag)
        return np.einsum("nc,nh,ch->c", weights, features, self.weight, optimize=True) + self.bias

    def logits_without(self, bag: Bag) -> np.ndarray:
        """Return float64 (n, c): attention is spread anew over the cells that are left."""
        features, weights = self.attention(bag)
        evidence = features @ self.weight.T
        if len(bag) == 1:
            return evidence + self.bias
        whole = (weights * evidence).sum(0)
        left = np.maximum(1 - weights, 1e-9)
        return (whole - weights * evidence) / left + self.bias

    def shares(self, bag: Bag) -> np.ndarray:
        """Return float64 (n, c): attention times evidence; they add up to the logits less the bias.

        Several cells of one kind stand in for each other, so that leaving out one of them changes little; what
        attention gives to each does not depend on the others being there.
        """
        features, weights = self.attention(bag)
        return weights * (features @ self.weight.T)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored."""
        return {n: np.asarray(v, np.float32) for n, v in vars(self).items() if n != "name"}


def head_from(name: str, codes: Sequence[str], arrays: Mapping[str, np.ndarray]) -> Head:
    """Build a head from what was stored.

    Raises
    ------
    KeyError, TypeError, ValueError
        When the parts do not fit one another.
    """
    stored = {key: np.asarray(value, float) for key, value in arrays.items()}
    if name == "attention":
        return AttentionHead(**stored)
    head = LinearHead(name, tuple(codes), **stored)
    if name not in FEATURES or not all(isinstance(code, str) for code in head.codes):
        raise ValueError(f"a head '{name}' on the classes {head.codes}")
    if not head.mean.shape == head.scale.shape == head.weight.shape[1:] == (len(head.codes),):
        raise ValueError(f"a head on {head.weight.shape[-1]} shares for {len(head.codes)} classes")
    return head


def log_odds(logits: np.ndarray) -> np.ndarray:
    """Log odds of each class against all others, over the last axis; unlike probabilities they never saturate."""
    from scipy.special import logsumexp

    z = np.asarray(logits, float)
    others = np.stack([logsumexp(np.delete(z, i, axis=-1), axis=-1) for i in range(z.shape[-1])], axis=-1)
    return z - others
