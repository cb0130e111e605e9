"""What a model's card says about its mistakes: how often cells of one class were taken for another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Confusion:
    """Held-out cells by their true class and by what the model said.

    Attributes
    ----------
    codes
        (k,) class codes, of rows and columns.
    counts
        int (k, k): row = true class, column = what the model said.
    source
        Which cells these were, in words.
    """

    codes: tuple[str, ...]
    counts: np.ndarray
    source: str = ""

    def rates(self, members: Sequence[str], mix: np.ndarray | None = None) -> tuple[float, float]:
        """Return how often cells of some classes, and cells of the others, were said to be of these classes.

        Parameters
        ----------
        members
            The classes taken together (all blasts, say).
        mix
            (k,) shares of the true classes among the cells to be judged; those of the held-out cells by default.

        Returns
        -------
        tpr, fpr : float
            0…1; NaN where there were no such held-out cells.
        """
        inside = np.isin(self.codes, list(members))
        n = self.counts.sum(1)
        hit = self.counts[:, inside].sum(1) / np.maximum(n, 1)
        weight = n.astype(float) if mix is None else np.where(n > 0, mix, 0.0)

        def mean(rows: np.ndarray) -> float:
            return float(np.average(hit[rows], weights=weight[rows])) if weight[rows].sum() > 0 else float("nan")

        known = inside & (n > 0)
        if mix is not None and known.any() and weight[known].sum() <= 0:
            weight = weight + np.where(known, n, 0)  # none expected here: fall back on the held-out mix
        return mean(known), mean(~inside & (n > 0))


def confusion_of(card: Mapping[str, Any] | None) -> Confusion | None:
    """Read the confusion matrix of a bundle's card; None where it carries none that can be used.

    The card has ``confusion``: rows true × said in the order of ``class_codes``, or
    ``{"codes": […], "counts": [[…]], "source": "…"}``.
    """
    found = (card or {}).get("confusion")
    codes: Any = (card or {}).get("class_codes") or ()
    source = ""
    if isinstance(found, Mapping):
        codes, source, found = found.get("codes", codes), str(found.get("source", "")), found.get("counts")
    try:
        counts = np.array(found, np.int64)
    except (TypeError, ValueError):
        return None
    if not len(codes) or counts.shape != (len(codes), len(codes)) or (counts < 0).any() or counts.sum() == 0:
        return None
    data = (card or {}).get("training_data") or []
    names = [str(d["name"]) for d in data if isinstance(d, Mapping) and d.get("name")]
    told = source or f"{int(counts.sum()):,} held-out cells" + (f" of {', '.join(names)}" if names else "")
    return Confusion(tuple(map(str, codes)), counts, told)


def _tests(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the figures of each test set, once.

    A card may hold figures of the same cells seen in several ways ("PBC", "PBC, one view of 28 µm"): those of one view
    are taken, because cells of a slide are seen in one view.
    """
    found: dict[str, tuple[bool, Mapping[str, Any]]] = {}
    for name, test in metrics.items():
        if isinstance(test, Mapping) and isinstance(test.get("recall"), Mapping):
            cells, _, how = str(name).partition(",")
            one_view = "one view" in how
            if cells not in found or (one_view and not found[cells][0]):
                found[cells] = (one_view, test)
    return [test for _, test in found.values()]


def one_against_rest(card: Mapping[str, Any] | None) -> dict[str, tuple[int, int, int, int]]:
    """Read each class's hits and mistakes out of a card that has recall and precision, but no matrix.

    Returns
    -------
    dict
        code → (true positives, its held-out cells, false positives, cells of other classes), added over the test sets
        of the card, each counted once. Classes of which no held-out cell is known are absent.
    """
    metrics = (card or {}).get("metrics")
    if not isinstance(metrics, Mapping):
        return {}
    out: dict[str, list[int]] = {}
    for test in _tests(metrics):
        total = sum(int(r.get("n") or 0) for r in test["recall"].values())
        for code, recall in test["recall"].items():
            n, value = int(recall.get("n") or 0), recall.get("value")
            if not n or value is None:
                continue
            precision = (test.get("precision") or {}).get(code) or {}
            said, hits = int(precision.get("n") or 0), round(n * float(value))
            wrong = max(0, said - round(said * float(precision.get("value") or 0)))
            sums = out.setdefault(str(code), [0, 0, 0, 0])
            for i, part in enumerate((hits, n, min(wrong, total - n), total - n)):
                sums[i] += part
    return {code: (a, b, c, d) for code, (a, b, c, d) in out.items() if b and d}
