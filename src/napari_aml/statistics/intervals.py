"""Intervals: exact ones of a share, and bootstrap ones of any statistic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_aml.errors import InputError


def exact_interval(
    count: int | np.ndarray, total: int | np.ndarray, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact (Clopper–Pearson) limits of a proportion.

    Parameters
    ----------
    count, total
        Successes of trials; 0 ≤ count ≤ total; scalars or arrays.
    confidence
        0…1.

    Returns
    -------
    low, high : numpy.ndarray
        Proportions, 0…1; NaN where there were no trials.

    References
    ----------
    Clopper and Pearson, Biometrika 1934, 26:404.
    """
    from scipy.special import betaincinv  # the beta distribution's quantiles; scipy.stats takes a second to import

    k, n = np.asarray(count, float), np.asarray(total, float)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0, betaincinv(np.maximum(k, 1e-9), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-9), 1 - tail), 1.0)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    n: int,
    *,
    groups: np.ndarray | None = None,
    repeats: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic.

    Parameters
    ----------
    statistic
        Takes row indices (with repetitions) and returns a number; NaN means "undefined on this sample" and is left out.
    n
        Rows in all.
    groups
        (n,) patient, slide … of each row: whole groups are drawn, so that rows of one patient stay together.
    repeats, confidence, seed
        Of the bootstrap.

    Returns
    -------
    low, high
        NaN when there are no rows, or the statistic is undefined on every sample.
    """
    if n == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    if groups is None:
        values = [statistic(rng.integers(0, n, n)) for _ in range(repeats)]
    else:
        members = rows_by_group(groups, n)
        values = [
            statistic(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]))
            for _ in range(repeats)
        ]
    return percentile_interval(np.asarray(values, float), confidence)


def percentile_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return the middle `confidence` of bootstrap values, NaN left out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def rows_by_group(groups: np.ndarray, n: int) -> list[np.ndarray]:
    """Return the row indices of each group.

    Raises
    ------
    InputError
        When there are not as many group names as rows.
    """
    groups = np.asarray(groups)
    if len(groups) != n:
        raise InputError(f"There are {n} rows but {len(groups)} group names.", "Give one for each row.")
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse))[:-1])
