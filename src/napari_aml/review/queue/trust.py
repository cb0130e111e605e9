"""What a bundle says of trust in its own word on cells: how many classes are possible, what is unlike its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import AmlError

if TYPE_CHECKING:
    from napari_aml.classify import ModelBundle, Predictions

#: The size of a set that nobody can tell.
UNTOLD = -1


@dataclass(frozen=True, eq=False)
class CellTrust:
    """Of each cell, in the order of the predictions.

    Attributes
    ----------
    size
        int16 (n,): how many classes are possible (the size of the conformal set; 0: none fits well); `UNTOLD` where
        the bundle has no sets or what is shown is not its own word.
    unlike
        bool (n,): further from the training cells than 95 % of these are from each other.
    score
        float32 (n,): how unlike the training cells it is; NaN where the bundle cannot say.
    """

    size: np.ndarray
    unlike: np.ndarray
    score: np.ndarray

    def words(self, row: int) -> list[str]:
        """Say what a person should know of a cell; nothing where one class is possible and the cell is like others."""
        out = []
        if self.size[row] > 1:
            out.append(f"{self.size[row]} classes are possible")
        elif self.size[row] == 0:
            out.append("no class fits well")
        if self.unlike[row]:
            out.append("unlike the training cells")
        return out

    @classmethod
    def joined(cls, parts: list[CellTrust]) -> CellTrust:
        """Join those of several slides, in order."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("size", "unlike", "score")))


def trust_of(bundle: ModelBundle | None, said: Predictions | None, n: int) -> CellTrust:
    """Return how far a model's word on `n` cells is to be trusted.

    Sets hold for the bundle's own probabilities alone, not for those that decisions taught.
    """
    size, unlike = np.full(n, UNTOLD, np.int16), np.zeros(n, bool)
    score = np.full(n, np.nan, np.float32) if said is None else np.array(said.ood, np.float32)
    if said is None or bundle is None:
        return CellTrust(size, unlike, score)
    try:
        trust = bundle.trust
    except AmlError:  # a damaged bundle is told where it is chosen
        return CellTrust(size, unlike, score)
    own = tuple(said.codes) == tuple(bundle.codes) and ", taught by " not in said.bundle_id
    if trust.conformal is not None and own and n:
        size = trust.conformal.membership(said.probabilities).sum(1).astype(np.int16)
        size[~(said.probabilities.sum(1) > 0)] = UNTOLD  # nothing was said of these yet
    return CellTrust(size, trust.unlike(score), score)
