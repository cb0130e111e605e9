"""Class-conditional split conformal sets: which classes cannot be excluded at a stated error.

For each class apart, at most a share ``alpha`` of its future members have a set without it, provided that they are
exchangeable with the held-out rows the sets were fitted on (Vovk 2012, Mondrian conformal predictors). Where a class
has too few held-out rows to say so, it can never be excluded: its calibration is insufficient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_aml.errors import InputError
from napari_aml.statistics.calibration import checked
from napari_aml.statistics.intervals import rows_by_group

Method = Literal["lac", "aps"]


def least_rows(alpha: float) -> int:
    """Return how many held-out rows a class needs at least: 9 at alpha = 0.1, 19 at 0.05."""
    # Rounded first: 1 / 0.1 and its like are not whole numbers in binary.
    return math.ceil(round(1 / alpha, 9)) - 1


@dataclass(frozen=True)
class ConformalSets:
    """Fitted class-conditional conformal sets.

    Attributes
    ----------
    codes
        Classes in the order of the columns.
    alpha
        Share of a class's members that may be missed.
    quantiles
        Greatest score at which each class stays in the set; infinity where it always stays.
    counts
        Held-out rows (or groups) of each class.
    method
        ``lac``: score 1 - p(class) (Sadinle et al. 2019): smallest sets, may be empty. ``aps``: the summed
        probability of all likelier classes and the class itself (Romano et al. 2020), not randomised.
    """

    codes: tuple[str, ...]
    alpha: float
    quantiles: tuple[float, ...]
    counts: tuple[int, ...]
    method: Method = "lac"

    @classmethod
    def fit(
        cls,
        prob: np.ndarray,
        targets: np.ndarray,
        codes: Sequence[str],
        alpha: float = 0.1,
        *,
        groups: np.ndarray | None = None,
        method: Method = "lac",
    ) -> ConformalSets:
        """Fit on held-out rows.

        Parameters
        ----------
        prob, targets
            (n, k) probabilities and (n,) true columns of rows that the model was not trained on.
        codes
            The k classes.
        alpha
            0…1.
        groups
            (n,) patient of each row: each patient then gives one score a class, the largest of its rows, because
            rows of one patient are not exchangeable with rows of others.
        method
            See `ConformalSets`.

        Raises
        ------
        InputError
            When shapes do not fit or alpha is not between 0 and 1.
        """
        prob, targets = checked(prob, targets)
        if not 0 < alpha < 1:
            raise InputError(f"The error of a conformal set is {alpha}.", "Give alpha between 0 and 1, such as 0.1.")
        if len(codes) != prob.shape[1]:
            raise InputError(f"There are {len(codes)} classes but {prob.shape[1]} probabilities a row.")
        scores = _scores(prob, method)[np.arange(len(targets)), targets]
        quantiles, counts = [], []
        for column in range(prob.shape[1]):
            own = scores[targets == column]
            if groups is not None and len(own):
                rows = rows_by_group(np.asarray(groups)[targets == column], len(own))
                own = np.array([own[r].max() for r in rows])
            quantiles.append(_quantile(own, alpha))
            counts.append(len(own))
        return cls(tuple(map(str, codes)), float(alpha), tuple(quantiles), tuple(counts), method)

    @property
    def insufficient(self) -> tuple[str, ...]:
        """Classes with too few held-out rows: no set can exclude them."""
        need = least_rows(self.alpha)
        return tuple(code for code, n in zip(self.codes, self.counts, strict=True) if n < need)

    def membership(self, prob: np.ndarray, *, with_best: bool = False) -> np.ndarray:
        """Return which classes belong to the set of each row, bool (n, k); see `sets`."""
        prob = np.asarray(prob, np.float64)
        # A hair of tolerance: scores come back from JSON and from float32 probabilities.
        inside = _scores(prob, self.method) <= np.asarray(self.quantiles) + 1e-9
        if with_best and len(prob):
            inside[np.arange(len(prob)), prob.argmax(1)] = True
        return inside

    def sets(self, prob: np.ndarray, *, with_best: bool = False) -> list[tuple[str, ...]]:
        """Return the set of each row, likeliest class first; a set can be empty (nothing fits).

        Parameters
        ----------
        prob
            (n, k) probabilities.
        with_best
            Always keep the likeliest class. A set only grows by it, so what is promised still holds; without it, where
            a class is nearly always read with certainty, a call of 98 % may stand beside an empty set.
        """
        prob = np.asarray(prob, np.float64)
        inside = self.membership(prob, with_best=with_best)
        order = np.argsort(-prob, axis=1, kind="stable")
        return [
            tuple(self.codes[c] for c in columns if member[c]) for columns, member in zip(order, inside, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a class that always stays has the quantile null."""
        return {
            "method": self.method, "alpha": self.alpha, "codes": list(self.codes), "counts": list(self.counts),
            "quantiles": [q if math.isfinite(q) else None for q in self.quantiles],
            "insufficient": list(self.insufficient),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ConformalSets:
        """Return what `to_dict` gave away.

        Raises
        ------
        InputError
            When entries are missing or do not fit together.
        """
        try:
            quantiles = tuple(math.inf if q is None else float(q) for q in values["quantiles"])
            codes, counts = tuple(map(str, values["codes"])), tuple(int(n) for n in values["counts"])
            alpha, method = float(values["alpha"]), values.get("method", "lac")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"The conformal entry is damaged: {error}.", "Calibrate the model anew.") from error
        if not len(codes) == len(quantiles) == len(counts) or method not in ("lac", "aps") or not 0 < alpha < 1:
            raise InputError("The conformal entry does not fit together.", "Calibrate the model anew.")
        return cls(codes, alpha, quantiles, counts, method)


def set_summary(sets: Sequence[Sequence[str]], targets: np.ndarray, codes: Sequence[str]) -> dict[str, Any]:
    """Say how sets did on held-out rows: coverage in all and of each class, mean size, single and empty ones.

    Returns
    -------
    dict
        ``coverage`` (share), ``per_class`` (code → share or None), ``mean_size``, ``single``, ``empty``, ``n``.
    """
    targets = np.asarray(targets, int)
    hit = np.array([codes[t] in s for t, s in zip(targets, sets, strict=True)], bool)
    size = np.array([len(s) for s in sets])
    share = {
        code: float(hit[targets == c].mean()) if (targets == c).any() else None for c, code in enumerate(codes)
    }
    if not len(size):
        return {"n": 0, "coverage": None, "per_class": share, "mean_size": None, "single": None, "empty": None}
    return {
        "n": len(size), "coverage": float(hit.mean()), "per_class": share, "mean_size": float(size.mean()),
        "single": float((size == 1).mean()), "empty": float((size == 0).mean()),
    }  # fmt: skip


def _scores(prob: np.ndarray, method: Method) -> np.ndarray:
    """Return the nonconformity of every class in every row, (n, k); larger fits less."""
    if method == "lac":
        return 1 - prob
    order = np.argsort(-prob, axis=1, kind="stable")
    summed = np.cumsum(np.take_along_axis(prob, order, 1), 1)
    out = np.empty_like(summed)
    np.put_along_axis(out, order, summed, 1)
    return out


def _quantile(scores: np.ndarray, alpha: float) -> float:
    """Return the ⌈(n + 1)(1 - α)⌉-th smallest score, infinity when n is too small for it."""
    rank = math.ceil(round((len(scores) + 1) * (1 - alpha), 9))
    return float(np.sort(scores)[rank - 1]) if 0 < rank <= len(scores) else math.inf
