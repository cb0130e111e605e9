"""Differences between platforms, imitated while training."""

from __future__ import annotations

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.training.settings import TrainingSettings


def rescaled(linear: np.ndarray) -> np.ndarray:
    """Return log2(x + 1) of rows rescaled to a sum of one million."""
    total = linear.sum(-1, keepdims=True)
    return np.log2(linear / np.where(total > 0, total, 1) * 1e6 + 1)


def divided_by_length(x: np.ndarray, lengths: np.ndarray, share: float | np.ndarray = 1.0) -> np.ndarray:
    """Return log expression after dividing each gene by its length to the power `share`, rescaled again.

    Parameters
    ----------
    x
        (n, genes) log2(x + 1).
    lengths
        (genes,) bases; NaN counts as the median.
    share
        1 turns counts into transcripts; -1 turns them back; a number a row is taken, too.
    """
    known = np.where(np.isfinite(lengths) & (lengths > 0), lengths, np.nan)
    known = np.where(np.isnan(known), np.nanmedian(known), known) / np.nanmedian(known)
    power = np.asarray(share, np.float64)
    return rescaled((2.0**x - 1) * known ** -(power[:, None] if power.ndim else power))


#: Another laboratory: deviation of a gene's offset in log2 units (0.7 is a factor of 1.6), degrees of freedom of its
#: Student distribution (a few genes are off by far, such as those that another annotation leaves out), and deviation of
#: the slope by which differences within a profile are stretched.
_OFFSET, _FREEDOM, _SLOPE = 0.7, 4, 0.08


def as_another_laboratory(x: np.ndarray, rng: np.random.Generator, lengths: np.ndarray | None = None) -> np.ndarray:
    """Return log expression as other laboratories might have measured it, each row by one of its own.

    Each gene is off by a heavy-tailed offset, the profile is stretched or compressed a little, and with `lengths` the
    genes are divided by their length to a random degree.

    Parameters
    ----------
    x
        (n, genes) log2(x + 1).
    rng
        Of the alterations.
    lengths
        (genes,) bases, or None.
    """
    made = x if lengths is None else divided_by_length(x, lengths, rng.uniform(0, 1, len(x)))
    middle = made.mean(1, keepdims=True)
    slope = np.exp(_SLOPE * rng.normal(size=(len(x), 1)))
    offset = rng.standard_t(_FREEDOM, size=x.shape) * _OFFSET / np.sqrt(_FREEDOM / (_FREEDOM - 2))
    made = np.clip((made - middle) * slope + middle + offset, 0, 40)
    return rescaled(2.0**made - 1)


class Augmenter:
    """Gives batches of training rows, altered as the settings say.

    Parameters
    ----------
    x
        (n, genes) log expression.
    settings
        ``jitter`` and ``length_jitter``.
    lengths
        (genes,) bases; needed by ``length_jitter``.
    """

    def __init__(self, x: np.ndarray, settings: TrainingSettings, lengths: np.ndarray | None) -> None:
        if settings.length_jitter and lengths is None:
            raise InputError("Reading counts and TPM alike needs gene lengths in training.", "Give them.")
        self.x, self.jitter = x, settings.jitter
        self.lengths = lengths if settings.length_jitter else None

    def corrected(self, share: float) -> np.ndarray:
        """Return all rows divided by gene length to a power."""
        return self.x if self.lengths is None else divided_by_length(self.x, self.lengths, share)

    def scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and spread of each gene: the spread within one kind of unit, the mean over both."""
        if self.lengths is None:
            return self.x.mean(0), self.x.std(0)
        both = [self.corrected(0.0), self.corrected(1.0)]
        return np.mean([v.mean(0) for v in both], 0), np.sqrt(np.mean([v.var(0) for v in both], 0))

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return some rows as another platform might have measured them, (rows, genes)."""
        x = self.x[rows]
        if self.lengths is not None:
            x = divided_by_length(x, self.lengths, rng.uniform(-0.1, 1.1, len(rows)))
        if self.jitter:
            x = np.maximum(x + self.jitter * rng.normal(size=x.shape[1]), 0)
        return x
