"""What a bundle stores of trust: conformal sets in its card, the likeness score's arrays in ``trust.safetensors``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import BundleError, InputError

if TYPE_CHECKING:
    from napari_aml.statistics import ConformalSets, EmbeddingScore

FILE = "trust.safetensors"


@dataclass(frozen=True)
class Trust:
    """Sets and likeness of one bundle; either may be missing.

    Attributes
    ----------
    conformal
        Class-conditional conformal sets, or None.
    ood
        The score of being unlike the training cells, or None.
    """

    conformal: ConformalSets | None = None
    ood: EmbeddingScore | None = None

    def scores(self, embedding: np.ndarray) -> np.ndarray:
        """Return how unlike the training cells each cell is, float32 (n,); NaN where the bundle cannot say."""
        if self.ood is None or not len(embedding):
            return np.full(len(embedding), np.nan, np.float32)
        return self.ood.score(embedding).astype(np.float32)

    def unlike(self, scores: np.ndarray) -> np.ndarray:
        """Return which scores lie beyond 95 % of the training cells, bool (n,)."""
        if self.ood is None:
            return np.zeros(len(scores), bool)
        return np.asarray(scores, float) > self.ood.threshold

    def sets(self, probabilities: np.ndarray) -> list[str] | None:
        """Return each cell's set as ``MYO|PMO``, likeliest first; None when the bundle has none."""
        if self.conformal is None:
            return None
        return ["|".join(codes) for codes in self.conformal.sets(probabilities)]


def read_trust(folder: Path, card: Mapping[str, Any]) -> Trust:
    """Read what a bundle stores of trust.

    Raises
    ------
    BundleError
        When an entry is damaged, or the arrays are not those that the card names.
    """
    from napari_aml.statistics import ConformalSets, EmbeddingScore

    conformal, ood = card.get("conformal"), card.get("ood")
    try:
        sets = ConformalSets.from_dict(conformal) if conformal else None
        score = EmbeddingScore.from_dict(ood, _arrays(folder / FILE, ood)) if ood else None
    except InputError as error:
        raise BundleError(f"The bundle '{folder}': {error.message}", error.hint) from error
    if sets is not None and list(sets.codes) != list(card["class_codes"]):
        raise BundleError(
            f"The conformal sets of '{folder}' are for other classes than the bundle's.", "Calibrate the bundle anew."
        )
    return Trust(sets, score)


def _arrays(path: Path, entry: Mapping[str, Any]) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"The bundle '{path.parent}' lacks {path.name}.", "Copy it again.") from error
    if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
        raise BundleError(
            f"{path.name} of the bundle '{path.parent}' is not the file that its card describes (SHA-256 differs).",
            "Copy the bundle again, or calibrate it anew.",
        )
    try:
        return {name: value.astype(np.float32) for name, value in load(content).items()}
    except (SafetensorError, ValueError) as error:
        raise BundleError(f"{path} is damaged: {error}.", "Copy the bundle again.") from error
