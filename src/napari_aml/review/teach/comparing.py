"""Two bundles on the same cells: who is right where the other is not, class by class and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_aml.errors import InputError

#: With fewer cells no verdict is given.
FEWEST = 30


@dataclass(frozen=True, eq=False)
class Comparison:
    """Old and new bundle on cells that the new one was not trained on.

    Attributes
    ----------
    uids
        Of the cells.
    truth, old, new
        What people say, what the old and what the new bundle says: class codes.
    figures
        Of the new bundle on these cells, as `napari_aml.statistics.classification_metrics` gives them, over the codes
        that stand in ``figures["codes"]``.
    old_figures
        The same of the old bundle.
    level
        What the split kept together.
    """

    uids: tuple[str, ...]
    truth: tuple[str, ...]
    old: tuple[str, ...]
    new: tuple[str, ...]
    figures: dict[str, Any]
    old_figures: dict[str, Any]
    level: str = ""

    def __post_init__(self) -> None:
        if not len(self.uids) == len(self.truth) == len(self.old) == len(self.new):
            raise InputError("A comparison holds one answer of each bundle for every cell.")

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def only_new(self) -> int:
        """Cells that the new bundle names right and the old one does not."""
        return sum(n == t != o for t, o, n in zip(self.truth, self.old, self.new, strict=True))

    @property
    def only_old(self) -> int:
        """Cells that the old bundle names right and the new one does not."""
        return sum(o == t != n for t, o, n in zip(self.truth, self.old, self.new, strict=True))

    @property
    def p_value(self) -> float:
        """Exact McNemar test of the two numbers: how surprising they are if both bundles were equally good."""
        from scipy.stats import binomtest

        n = self.only_new + self.only_old
        return float(binomtest(self.only_new, n).pvalue) if n else 1.0

    @property
    def gain(self) -> tuple[float, float, float]:
        """Accuracy of the new bundle less that of the old one, with a 95 % bootstrap interval over cells."""
        truth, old, new = (np.array(a, object) for a in (self.truth, self.old, self.new))
        gap = (new == truth).astype(float) - (old == truth).astype(float)
        if not len(gap):
            return float("nan"), float("nan"), float("nan")
        rows = np.random.default_rng(0).integers(0, len(gap), (2000, len(gap)))
        low, high = np.quantile(gap[rows].mean(1), [0.025, 0.975])
        return float(gap.mean()), float(low), float(high)

    @property
    def better(self) -> bool | None:
        """Whether the new bundle is better; None where these cells cannot tell."""
        if len(self) < FEWEST or self.p_value >= 0.05:
            return None
        return self.only_new > self.only_old

    def verdict(self) -> str:
        """Say in a sentence what the comparison shows."""
        if not len(self):
            return "Nothing was held out, so that the two bundles cannot be compared."
        right = [sum(a == t for a, t in zip(said, self.truth, strict=True)) for said in (self.old, self.new)]
        counted = (
            f"Of {len(self)} cells that training did not see, the old bundle names {right[0]} right and the new one "
            f"{right[1]}; {self.only_new} only the new one, {self.only_old} only the old one (p = {self.p_value:.2g})."
        )
        if len(self) < FEWEST:
            return f"{counted} That is too few cells to say which is better."
        if self.better is None:
            return f"{counted} They cannot be told apart on these cells."
        return f"{counted} The new bundle is {'better' if self.better else 'WORSE'} on them."

    def confusion(self, of: str = "new") -> tuple[tuple[str, ...], np.ndarray]:
        """Return class codes and the matrix int (k, k), true x said, of the ``new`` or the ``old`` bundle."""
        said = self.new if of == "new" else self.old
        codes = ordered({*self.truth, *said})
        at = {code: i for i, code in enumerate(codes)}
        matrix = np.zeros((len(codes), len(codes)), np.int64)
        for t, s in zip(self.truth, said, strict=True):
            matrix[at[t], at[s]] += 1
        return codes, matrix

    def cells(self, true: str, said: str, of: str = "new") -> list[str]:
        """Return the uids in one field of the confusion matrix."""
        answers = self.new if of == "new" else self.old
        return [u for u, t, s in zip(self.uids, self.truth, answers, strict=True) if t == true and s == said]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Comparison:
        """Read plain values."""
        lists = {name: tuple(map(str, held[name])) for name in ("uids", "truth", "old", "new")}
        return cls(**lists, figures=held["figures"], old_figures=held["old_figures"], level=held.get("level", ""))


def ordered(codes: set[str]) -> tuple[str, ...]:
    """Return codes in the order of the taxonomy, others after them."""
    from napari_aml.taxonomy import CLASSES

    known = [c.code for c in CLASSES if c.code in codes]
    return (*known, *sorted(codes - set(known)))


def figures_of(truth: Sequence[str], probabilities: np.ndarray, codes: Sequence[str]) -> dict[str, Any]:
    """Return every figure of a bundle on some cells, over its codes and those that it does not know.

    Parameters
    ----------
    truth
        (n,) class codes.
    probabilities
        (n, k).
    codes
        The k codes of the bundle.
    """
    from napari_aml.statistics import classification_metrics

    every = ordered({*codes, *truth})
    wide = np.zeros((len(truth), len(every)))
    wide[:, [every.index(c) for c in codes]] = probabilities
    targets = np.array([every.index(t) for t in truth])
    return {"codes": list(every), **classification_metrics(targets, wide, every, repeats=300)}
