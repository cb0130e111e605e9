"""How unlike the training data something is: distance in the embedding, joined with the energy of the logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from napari_aml.errors import InputError

Method = Literal["mahalanobis", "knn"]
#: Share of the training distribution that is to pass.
PASSING = 0.95
_FOLDS = 5


@dataclass(frozen=True)
class EmbeddingScore:
    """A score that grows with the distance from the training data.

    The distance is the least Mahalanobis distance to a class centre under one shrunk covariance (Lee et al. 2018,
    arXiv:1807.03888), or the mean distance to the k nearest training embeddings (Sun et al. 2022, arXiv:2204.06507).
    Where logits are given, the energy -log Σ exp(logit) (Liu et al. 2020, arXiv:2010.03759) is joined: both are
    centred and scaled by median and spread of the training data, and the larger counts.

    Attributes
    ----------
    method, neighbours
        As given to `fit`.
    threshold
        95 % of training rows, each scored without itself, lie below it.
    uses_energy
        Whether logits are part of the score.
    scales
        Median and spread of the distance and of the energy.
    parts
        Arrays by name: ``centre``, ``centres`` and ``whitening``, or ``reference``.
    """

    method: Method
    neighbours: int
    threshold: float
    uses_energy: bool
    scales: tuple[float, float, float, float]
    parts: Mapping[str, np.ndarray] = field(repr=False)

    @classmethod
    def fit(
        cls,
        embeddings: np.ndarray,
        logits: np.ndarray | None = None,
        targets: np.ndarray | None = None,
        *,
        method: Method = "mahalanobis",
        neighbours: int = 5,
        most: int = 4000,
        seed: int = 0,
    ) -> EmbeddingScore:
        """Fit on embeddings of training rows.

        Parameters
        ----------
        embeddings
            (n, d); better of rows that the network was not trained on (out of fold), if there are enough.
        logits
            (n, k) of the same rows, or None to leave the energy out.
        targets
            (n,) classes for the class centres; one common centre when None. Unused by ``knn``.
        method, neighbours
            ``mahalanobis``, or ``knn`` with its number of neighbours.
        most
            ``knn`` keeps at most so many rows, drawn with `seed`.
        seed
            Of the folds and the drawing.

        Raises
        ------
        InputError
            With fewer than ten rows, values that are not finite, or shapes that do not fit.
        """
        x = _finite(embeddings)
        if len(x) < 10:
            raise InputError(f"{len(x)} training rows are too few for a score of likeness.", "Give at least ten.")
        classes = np.zeros(len(x), int) if targets is None else np.unique(np.asarray(targets), return_inverse=True)[1]
        if len(classes) != len(x) or (logits is not None and len(logits) != len(x)):
            raise InputError("Embeddings, logits and targets differ in length.", "Give one of each for each row.")
        rng = np.random.default_rng(seed)
        if method == "knn":
            keep = np.sort(rng.permutation(len(x))[:most])
            parts = {"reference": x[keep].astype(np.float32)}
            distance = _knn(x[keep], parts["reference"], neighbours, skip_self=True)
            logits = None if logits is None else np.asarray(logits)[keep]
        else:
            parts = _gaussian(x, classes)
            fold = rng.permutation(np.arange(len(x)) % min(_FOLDS, len(x)))
            distance = np.empty(len(x))
            for f in range(int(fold.max()) + 1):
                out = fold == f
                distance[out] = _mahalanobis(x[out], _gaussian(x[~out], classes[~out]))
        scales = (*_scale(distance), *(_scale(energy(logits)) if logits is not None else (0.0, 1.0)))
        score = _joined(distance, logits, scales)
        return cls(method, neighbours, float(np.quantile(score, PASSING)), logits is not None, scales, parts)

    def score(self, embeddings: np.ndarray, logits: np.ndarray | None = None) -> np.ndarray:
        """Return the score of each row, (n,); above `threshold` it is unlike 95 % of the training data.

        Raises
        ------
        InputError
            When the width differs from the training embeddings', or logits are needed and missing.
        """
        x = _finite(embeddings)
        held = self.parts["reference"] if self.method == "knn" else self.parts["centre"][None]
        if x.shape[1] != held.shape[1]:
            raise InputError(f"The embeddings are {x.shape[1]} wide; the score was fitted on {held.shape[1]}.")
        if self.uses_energy and logits is None:
            raise InputError("This score of likeness needs logits beside the embeddings.")
        distance = (
            _knn(x, held, self.neighbours, skip_self=False)
            if self.method == "knn"
            else _mahalanobis(x, self.parts)
        )  # fmt: skip
        return _joined(distance, logits if self.uses_energy else None, self.scales)

    def unlike(self, embeddings: np.ndarray, logits: np.ndarray | None = None) -> np.ndarray:
        """Return which rows lie above the threshold, bool (n,)."""
        return self.score(embeddings, logits) > self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Return the plain values for JSON; the arrays are in `arrays`."""
        return {
            "method": self.method, "neighbours": self.neighbours, "threshold": self.threshold,
            "uses_energy": self.uses_energy, "scales": list(self.scales), "passing": PASSING,
        }  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays, float32, by name."""
        return {name: np.asarray(value, np.float32) for name, value in self.parts.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> EmbeddingScore:
        """Return what `to_dict` and `arrays` gave away.

        Raises
        ------
        InputError
            When entries are missing or of a wrong kind.
        """
        try:
            method = values["method"]
            names = {"knn": ("reference",), "mahalanobis": ("centre", "centres", "whitening")}[method]
            scales = tuple(float(v) for v in values["scales"])
            held = {name: np.asarray(arrays[name], np.float32) for name in names}
            neighbours, threshold = int(values["neighbours"]), float(values["threshold"])
            uses_energy = bool(values["uses_energy"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"The entry of the score of likeness is damaged: {error}.", "Fit it anew.") from error
        if len(scales) != 4:
            raise InputError("The score of likeness needs four scales.", "Fit it anew.")
        near, apart, calm, lively = scales
        return cls(method, neighbours, threshold, uses_energy, (near, apart, calm, lively), held)


def energy(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return -T log Σ exp(logit / T) of each row, (n,); larger is less like the training data."""
    scaled = np.asarray(logits, np.float64) / temperature
    top = scaled.max(1)
    return -temperature * (top + np.log(np.exp(scaled - top[:, None]).sum(1)))


def _finite(embeddings: np.ndarray) -> np.ndarray:
    x = np.asarray(embeddings, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise InputError("Embeddings must be finite numbers, one row a sample.")
    return x


def _gaussian(x: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
    """Return the common centre, the class centres and what whitens the within-class covariance (Ledoit and Wolf)."""
    from sklearn.covariance import ledoit_wolf

    names = np.unique(classes)
    centre = x.mean(0)
    centres = np.stack([x[classes == c].mean(0) for c in names])
    within = x - centres[np.searchsorted(names, classes)]
    covariance, _ = ledoit_wolf(within, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    # A feature that never varies must not divide by nothing.
    floor = max(float(values.max()), 1e-12) * 1e-6
    return {"centre": centre, "centres": centres - centre, "whitening": vectors / np.sqrt(np.maximum(values, floor))}


def _mahalanobis(x: np.ndarray, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    white = (x - parts["centre"]) @ parts["whitening"]
    centres = parts["centres"] @ parts["whitening"]
    return np.stack([np.linalg.norm(white - c, axis=1) for c in centres]).min(0)


def _knn(x: np.ndarray, reference: np.ndarray, k: int, *, skip_self: bool, block: int = 1024) -> np.ndarray:
    reference = np.asarray(reference, np.float64)
    k = min(k, len(reference) - skip_self)
    out = np.empty(len(x))
    norms = (reference**2).sum(1)
    for start in range(0, len(x), block):
        part = x[start : start + block]
        squared = (part**2).sum(1)[:, None] + norms - 2 * part @ reference.T
        if skip_self:
            squared[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        nearest = np.partition(squared, k - 1, axis=1)[:, :k]
        out[start : start + block] = np.sqrt(np.maximum(nearest, 0)).mean(1)
    return out


def _scale(values: np.ndarray) -> tuple[float, float]:
    """Return median and spread (interquartile range as a standard deviation)."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(max((high - low) / 1.349, 1e-9))


def _joined(distance: np.ndarray, logits: np.ndarray | None, scales: tuple[float, ...]) -> np.ndarray:
    far = (distance - scales[0]) / scales[1]
    return far if logits is None else np.maximum(far, (energy(logits) - scales[2]) / scales[3])
