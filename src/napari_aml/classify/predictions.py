"""What a model says about cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """A model's predictions, aligned with the rows of a cell table.

    Attributes
    ----------
    codes
        Class codes, the columns of `probabilities`.
    probabilities
        float32 (n, k), rows sum to 1; after the bundle's temperature.
    embedding
        float32 (n, d): the pooled features before the last linear layer.
    ood
        float32 (n,): score of being unlike the training data; NaN where the bundle has none.
    bundle_id
        Name, version and hash of the bundle.
    """

    codes: tuple[str, ...]
    probabilities: np.ndarray
    embedding: np.ndarray
    ood: np.ndarray
    bundle_id: str = ""

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def index(self) -> np.ndarray:
        """(n,) int: the most probable class of each cell."""
        return self.probabilities.argmax(1) if len(self) else np.zeros(0, int)

    @property
    def code(self) -> np.ndarray:
        """(n,) object: the code of the most probable class."""
        return np.array(self.codes, object)[self.index]

    @property
    def confidence(self) -> np.ndarray:
        """(n,) float32: the probability of the most probable class."""
        return self.probabilities.max(1) if len(self) else np.zeros(0, np.float32)

    @property
    def runner_up(self) -> np.ndarray:
        """(n,) int: the second most probable class."""
        return np.argsort(-self.probabilities, axis=1)[:, 1] if len(self) else np.zeros(0, int)

    def take(self, rows: np.ndarray) -> Predictions:
        """Return the predictions of some rows."""
        return Predictions(
            self.codes, self.probabilities[rows], self.embedding[rows], self.ood[rows], self.bundle_id
        )

    @classmethod
    def empty(cls, codes: tuple[str, ...], dim: int, bundle_id: str = "") -> Predictions:
        """Predictions of no cells."""
        f = np.float32
        return cls(codes, np.zeros((0, len(codes)), f), np.zeros((0, dim), f), np.zeros(0, f), bundle_id)

    @classmethod
    def concatenate(cls, parts: list[Predictions]) -> Predictions:
        """Join predictions of the same bundle, in order."""
        first = parts[0]
        stacked = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ("probabilities", "embedding", "ood")}
        return cls(codes=first.codes, bundle_id=first.bundle_id, **stacked)
