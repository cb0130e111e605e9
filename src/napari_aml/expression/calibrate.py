"""What a model's answers are worth: temperature and conformal sets, from answers on unseen samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_aml.statistics import ConformalSets, fit_temperature, softmax


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
