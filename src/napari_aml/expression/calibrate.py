"""What a model's answers are worth: temperature, conformal sets and the score of likeness, from unseen samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_aml.statistics import ConformalSets, EmbeddingScore, fit_temperature, softmax

#: Components of expression that likeness is judged in, and the least share of samples to components.
COMPONENTS = 32


@dataclass(frozen=True)
class Calibration:
    """Fitted on out-of-fold answers.

    Attributes
    ----------
    temperature
        Logits are divided by it.
    conformal
        Class-conditional sets of the tempered probabilities.
    """

    temperature: float
    conformal: ConformalSets


def calibrate(logits: np.ndarray, targets: np.ndarray, codes: Sequence[str], alpha: float = 0.1) -> Calibration:
    """Fit temperature and conformal sets.

    Parameters
    ----------
    logits
        (repeats, n, k) out-of-fold; the repeats' mean stands for a sample, so that each sample gives one score.
    targets
        (n,) classes.
    codes
        The k classes.
    alpha
        Share of a class that may be missed.
    """
    mean = logits.mean(0)
    # One sample's weight of doubt: without a single error the likelihood alone would make it all but certain.
    temperature = fit_temperature(mean, targets, prior=1.0)
    return Calibration(temperature, ConformalSets.fit(softmax(mean, temperature), targets, codes, alpha))


class ExpressionSpace:
    """Directions of the training data's expression, and what lies outside of them.

    The score of likeness is fitted here and not in the network's last layer: that layer holds only what tells the
    trained classes apart, and a network's own training samples lie closer together there than new ones ever will.
    """

    @staticmethod
    def fit(x: np.ndarray) -> dict[str, np.ndarray]:
        """Return ``mean``, ``spread`` (genes,) and ``components`` (k, genes) of log expression (n, genes)."""
        mean, spread = x.mean(0), x.std(0) + 0.3
        z = (x - mean) / spread
        _, _, loadings = np.linalg.svd(z, full_matrices=False)
        k = max(1, min(COMPONENTS, len(x) // 4, len(loadings)))
        return {"mean": mean, "spread": spread, "components": loadings[:k]}

    @staticmethod
    def place(x: np.ndarray, space: dict[str, np.ndarray]) -> np.ndarray:
        """Return where profiles lie: scores on the components, then the logarithm of the rest's length (n, k + 1)."""
        z = np.clip((np.asarray(x, np.float64) - space["mean"]) / space["spread"], -10, 10)
        scores = z @ space["components"].T
        rest = np.sqrt(np.maximum((z**2).sum(1) - (scores**2).sum(1), 1e-6) / z.shape[1])
        # Scaled so that the rest weighs about as much as the components together.
        return np.column_stack([scores / np.sqrt(z.shape[1]), np.log(rest)])


def fit_likeness(x: np.ndarray, targets: np.ndarray, folds: int = 5, seed: int = 0):
    """Fit the score of how unlike the training data a profile is.

    The components are learnt from other folds than the samples placed in them, so that the threshold is that of new
    samples.

    Returns
    -------
    space, score
        Arrays of `ExpressionSpace`, and the `EmbeddingScore`.
    """
    rng = np.random.default_rng(seed)
    space = ExpressionSpace.fit(x)
    fold = rng.permutation(np.arange(len(x)) % folds)
    rest = np.empty(len(x))
    for f in range(folds):
        out = fold == f
        rest[out] = ExpressionSpace.place(x[out], ExpressionSpace.fit(x[~out]))[:, -1]
    placed = ExpressionSpace.place(x, space)
    placed[:, -1] = rest
    return space, EmbeddingScore.fit(placed, targets=targets, seed=seed)
