"""How well readers agree beyond chance: Cohen's kappa, Fleiss' kappa, Krippendorff's alpha, with bootstrap intervals.

All three are functions of sums over units (cells), so a bootstrap sample is a set of weights and all samples are
computed at once. Where whole groups (slides, patients) are drawn, the cells of one stay together.

References
----------
Cohen, Educ Psychol Meas 1960, 20:37; weighted: Psychol Bull 1968, 70:213. Fleiss, Psychol Bull 1971, 76:378.
Krippendorff, Content Analysis, 4th ed. 2018, ch. 12.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.statistics.intervals import percentile_interval

_BLOCK = 200


@dataclass(frozen=True)
class Agreement:
    """A coefficient of agreement.

    Attributes
    ----------
    value
        1 = perfect, 0 = as by chance; NaN where it is undefined (no shared cells, or one class only).
    low, high
        Limits of the bootstrap interval (percentiles), NaN where undefined.
    n
        Cells that it rests on.
    observed
        Share of pairs of readings that agree, 0…1.
    """

    value: float
    low: float
    high: float
    n: int
    observed: float

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return f"undefined (n = {self.n})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def cohen_kappa(
    a: Sequence[Hashable],
    b: Sequence[Hashable],
    *,
    distance: Callable[[Any, Any], float] | None = None,
    groups: Sequence[Hashable] | None = None,
    repeats: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Return Cohen's kappa of two readers.

    Parameters
    ----------
    a, b
        (n,) what each said of each cell; cells where either said None are left out.
    distance
        How far apart two values are (0 for equal ones): weighted kappa. By default 1 for any two different ones.
    groups
        (n,) slide or patient of each cell: whole groups are drawn in the bootstrap.
    repeats, confidence, seed
        Of the bootstrap.

    Raises
    ------
    InputError
        When the inputs differ in length.
    """
    rows = _paired([a, b], groups)
    both = [(x, y, g) for x, y, g in rows if x is not None and y is not None]
    values, code = _codes([x for x, _, _ in both], [y for _, y, _ in both])
    k = len(values)
    weight = _distances(values, distance)
    units = np.zeros((len(both), k * k))
    units[np.arange(len(both)), [code[x] * k + code[y] for x, y, _ in both]] = 1

    def statistic(sums: np.ndarray) -> np.ndarray:
        table = sums.reshape(-1, k, k)
        n = table.sum((1, 2))
        expected = np.einsum("si,sj,ij->s", table.sum(2), table.sum(1), weight) / n
        return 1 - (table * weight).sum((1, 2)) / expected

    agreeing = float(np.mean([x == y for x, y, _ in both])) if both else float("nan")
    return _estimate(units, statistic, [g for _, _, g in both] if groups is not None else None, agreeing,
                     repeats, confidence, seed)  # fmt: skip


def fleiss_kappa(
    ratings: Sequence[Sequence[Hashable]],
    *,
    groups: Sequence[Hashable] | None = None,
    repeats: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Return Fleiss' kappa of two or more readers over the cells that all of them read.

    Parameters
    ----------
    ratings
        (readers, n): what each said of each cell; cells where anyone said None are left out.
    groups, repeats, confidence, seed
        As in `cohen_kappa`.
    """
    rows = [row for row in _paired(ratings, groups) if None not in row[:-1]]
    m = len(ratings)
    if m < 2:
        raise InputError("Agreement needs two readers.", "Let a second one decide on the same cells.")
    values, code = _codes(*[[row[i] for row in rows] for i in range(m)])
    counts = np.zeros((len(rows), len(values)))
    for i, row in enumerate(rows):
        for value in row[:-1]:
            counts[i, code[value]] += 1
    same = ((counts**2).sum(1) - m) / (m * (m - 1))
    units = np.concatenate([counts, same[:, None], np.ones((len(rows), 1))], 1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        n = sums[:, -1]
        by_chance = ((sums[:, :-2] / (n * m)[:, None]) ** 2).sum(1)
        return (sums[:, -2] / n - by_chance) / (1 - by_chance)

    agreeing = float(same.mean()) if len(rows) else float("nan")
    return _estimate(units, statistic, [row[-1] for row in rows] if groups is not None else None, agreeing,
                     repeats, confidence, seed)  # fmt: skip


def krippendorff_alpha(
    ratings: Sequence[Sequence[Hashable]],
    *,
    distance: Callable[[Any, Any], float] | None = None,
    groups: Sequence[Hashable] | None = None,
    repeats: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Return Krippendorff's alpha of any number of readers; cells that only some of them read count, too.

    Parameters
    ----------
    ratings
        (readers, n): what each said of each cell, None = nothing. Cells with fewer than two readings are left out.
    distance
        How far apart two values are (0 for equal ones); by default 1 for any two different ones (nominal).
    groups, repeats, confidence, seed
        As in `cohen_kappa`.
    """
    rows = [row for row in _paired(ratings, groups) if sum(v is not None for v in row[:-1]) > 1]
    values, code = _codes(*[[v for v in row[:-1] if v is not None] for row in rows])
    k = len(values)
    weight = _distances(values, distance)
    units = np.zeros((len(rows), k * k))
    for i, row in enumerate(rows):
        said = np.bincount([code[v] for v in row[:-1] if v is not None], minlength=k)
        units[i] = ((np.outer(said, said) - np.diag(said)) / (said.sum() - 1)).ravel()

    def statistic(sums: np.ndarray) -> np.ndarray:
        table = sums.reshape(-1, k, k)
        n = table.sum((1, 2))
        margin = table.sum(2)
        pairs = np.einsum("si,sj->sij", margin, margin)
        pairs[:, np.arange(k), np.arange(k)] -= margin
        return 1 - (n - 1) * (table * weight).sum((1, 2)) / (pairs * weight).sum((1, 2))

    total = units.sum(0).reshape(k, k)
    agreeing = float(np.trace(total) / total.sum()) if len(rows) else float("nan")
    return _estimate(units, statistic, [row[-1] for row in rows] if groups is not None else None, agreeing,
                     repeats, confidence, seed)  # fmt: skip


def _paired(ratings: Sequence[Sequence[Hashable]], groups: Sequence[Hashable] | None) -> list[tuple[Any, ...]]:
    """Return one row a cell: what each reader said, then its group."""
    n = len(ratings[0]) if len(ratings) else 0
    extra = groups if groups is not None else range(n)
    if any(len(r) != n for r in ratings) or len(extra) != n:
        raise InputError("The readers' lists differ in length.", "Give one entry a cell for each, None for nothing.")
    return list(zip(*ratings, extra, strict=True))


def _codes(*lists: Sequence[Hashable]) -> tuple[list[Any], dict[Any, int]]:
    values = sorted({v for values in lists for v in values}, key=str)
    return values, {v: i for i, v in enumerate(values)}


def _distances(values: list[Any], distance: Callable[[Any, Any], float] | None) -> np.ndarray:
    if distance is None:
        return 1.0 - np.eye(len(values))
    return np.array([[distance(a, b) for b in values] for a in values], float).reshape(len(values), len(values))


def _estimate(
    units: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    groups: Sequence[Hashable] | None,
    observed: float,
    repeats: int,
    confidence: float,
    seed: int,
) -> Agreement:
    """Compute a statistic of sums over units, and its interval from resampled units (or groups of them)."""
    n = len(units)
    if n == 0:
        return Agreement(*(float("nan"),) * 3, 0, float("nan"))
    if groups is None:
        # Units with the same content are drawn together: a sample is a draw of how often each content occurs.
        contents, inverse = np.unique(units, axis=0, return_inverse=True)
        share = np.bincount(inverse.ravel(), minlength=len(contents)) / n
        draws = n
    else:
        names = {g: i for i, g in enumerate(dict.fromkeys(groups))}
        contents = np.zeros((len(names), units.shape[1]))
        np.add.at(contents, [names[g] for g in groups], units)
        share = np.full(len(names), 1 / len(names))
        draws = len(names)
    rng = np.random.default_rng(seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(units.sum(0, keepdims=True))[0])
        found = [
            statistic(rng.multinomial(draws, share, min(_BLOCK, repeats - start)) @ contents)
            for start in range(0, repeats, _BLOCK)
        ]
    if not np.isfinite(value) or (groups is not None and draws < 2):
        return Agreement(value if np.isfinite(value) else float("nan"), float("nan"), float("nan"), n, observed)
    return Agreement(value, *percentile_interval(np.concatenate(found), confidence), n, observed)
