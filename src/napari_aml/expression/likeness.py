"""Whether a profile is like anything in training, judged by what a change of laboratory leaves standing.

Values of another laboratory differ gene by gene: by library, aligner, annotation and unit. Such offsets add up over
hundreds of genes, so that any distance fitted on one study's own spread puts every sample of every other laboratory
outside. What hardly changes is which genes are high and which are low. Hence the score is one minus the correlation of
a profile with the most similar *typical profile* of the training data, and its threshold is what 95 % of training
samples stay below that the typical profiles were made without and that were altered as another laboratory might have
measured them. Typical profiles are means of at least five samples, so that a bundle holds nobody's own values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.training.augment import as_another_laboratory, divided_by_length

#: Share of training samples, measured elsewhere, that is to pass.
PASSING = 0.95
METHOD = "correlation"
#: Samples a typical profile is made of: on average at least, and at the very least.
_USUAL, _LEAST, _MOST_PROFILES = 20, 5, 8
_REPEATS = 3


@dataclass(frozen=True)
class ProfileLikeness:
    """A score that grows as a profile resembles nothing in training.

    Attributes
    ----------
    threshold
        95 % of training samples, as another laboratory might have measured them, lie below it.
    profiles
        Typical profiles, log2 (k, genes).
    """

    threshold: float
    profiles: np.ndarray = field(repr=False)

    @classmethod
    def fit(
        cls, x: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None, *, folds: int = 5, seed: int = 0
    ) -> ProfileLikeness:
        """Fit on training samples.

        Parameters
        ----------
        x
            (n, genes) log expression.
        targets
            (n,) classes.
        lengths
            (genes,) bases, where values divided by gene length and values that are not are both to pass; else None.
        folds
            Samples are judged by typical profiles of the other folds.
        seed
            Of folds, clusters and alterations.

        Raises
        ------
        InputError
            With fewer than ten samples.
        """
        if len(x) < 10:
            raise InputError(f"{len(x)} training samples are too few for a score of likeness.", "Give at least ten.")
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(_REPEATS):
            fold = rng.permutation(np.arange(len(x)) % folds)
            for f in range(folds):
                out = fold == f
                typical = cls(float("nan"), typical_profiles(x[~out], targets[~out], lengths, seed))
                found.append(typical.score(as_another_laboratory(x[out], rng, lengths)))
        return cls(float(np.quantile(np.concatenate(found), PASSING)), typical_profiles(x, targets, lengths, seed))

    def score(self, x: np.ndarray) -> np.ndarray:
        """Return one minus the correlation with the most similar typical profile, float64 (n,); 0 is the same.

        Raises
        ------
        InputError
            When the width differs from the training data's, or values are not finite.
        """
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != self.profiles.shape[1] or not np.isfinite(x).all():
            raise InputError(f"Profiles must be finite and have {self.profiles.shape[1]:,} genes each.")
        # Row by row: in a larger product the order of additions, and with it the last digits, may change.
        return np.array([1.0 - (self._known @ row).max() for row in _standard(x)])

    @cached_property
    def _known(self) -> np.ndarray:
        return _standard(np.asarray(self.profiles, np.float64))

    def unlike(self, x: np.ndarray) -> np.ndarray:
        """Return which profiles lie above the threshold, bool (n,)."""
        return self.score(x) > self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Return the plain values for JSON; the profiles are in `arrays`."""
        return {"method": METHOD, "threshold": self.threshold, "passing": PASSING}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays, float32, by name."""
        return {"profiles": np.asarray(self.profiles, np.float32)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> ProfileLikeness:
        """Return what `to_dict` and `arrays` gave away.

        Raises
        ------
        InputError
            When entries are missing, or of another kind of score.
        """
        if values.get("method") != METHOD:
            raise InputError(
                f"The model's score of likeness is of the kind '{values.get('method')}', which is no longer used.",
                "Train the model again.",
            )
        try:
            return cls(float(values["threshold"]), np.asarray(arrays["profiles"], np.float32))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"The entry of the score of likeness is damaged: {error}.", "Fit it anew.") from error


def typical_profiles(
    x: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Return mean profiles of all samples, of each class and of clusters with at least five samples, (k, genes).

    With lengths, each is there twice: as it is, and divided by gene length.
    """
    from sklearn.cluster import KMeans

    groups = [np.ones(len(x), bool), *(targets == c for c in np.unique(targets))]
    count = min(_MOST_PROFILES, len(x) // _USUAL)
    if count > 1:
        cluster = KMeans(count, n_init=4, random_state=seed).fit_predict(x)
        groups += [cluster == c for c in range(count)]
    parts = [x[group] for group in groups if group.sum() >= _LEAST]
    if lengths is not None:
        parts += [divided_by_length(part, lengths) for part in parts]
    return np.stack([part.mean(0) for part in parts])


def _standard(x: np.ndarray) -> np.ndarray:
    """Rows with a mean of zero and a length of one; a row of one value becomes zeros."""
    x = x - x.mean(1, keepdims=True)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
