"""What a classifier gets right, with intervals: one function that every training and benchmark of the package uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.statistics.calibration import brier, checked, classwise_ece, ece, negative_log_likelihood
from napari_aml.statistics.intervals import exact_interval, percentile_interval, rows_by_group


def confusion(targets: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix, int64 (classes, classes): rows are true, columns said."""
    flat = np.asarray(targets, np.int64) * classes + np.asarray(said, np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def summaries(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return accuracy, balanced accuracy, macro precision, recall and F1, and MCC of confusion matrices.

    Parameters
    ----------
    matrix
        (…, k, k); leading axes are bootstrap samples.

    Returns
    -------
    dict
        Each (…). Balanced accuracy and recall average over classes that occur; precision and F1 over classes that occur
        or were said, with 0 where a class was never said. MCC is Gorodkin's R_K (2004), 0 where undefined.
    """
    m = np.asarray(matrix, np.float64)
    true, said, hit = m.sum(-1), m.sum(-2), np.diagonal(m, axis1=-2, axis2=-1)
    n = true.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(true > 0, hit / true, np.nan)
        seen = (true > 0) | (said > 0)
        precision = np.where(seen, np.where(said > 0, hit / said, 0.0), np.nan)
        f1 = np.where(seen, 2 * hit / (true + said), np.nan)
        covered = hit.sum(-1) * n - (true * said).sum(-1)
        spread = np.sqrt((n**2 - (said**2).sum(-1)) * (n**2 - (true**2).sum(-1)))
        return {
            "accuracy": hit.sum(-1) / n,
            "balanced_accuracy": _nanmean(recall),
            "macro_precision": _nanmean(precision),
            "macro_recall": _nanmean(recall),
            "macro_f1": _nanmean(f1),
            "mcc": np.where(spread > 0, covered / spread, np.where(n > 0, 0.0, np.nan)),
        }


def classification_metrics(
    targets: np.ndarray,
    prob: np.ndarray,
    codes: Sequence[str],
    *,
    groups: np.ndarray | None = None,
    confidence: float = 0.95,
    repeats: int = 1000,
    seed: int = 0,
    bins: int = 15,
) -> dict[str, Any]:
    """Return every figure that a model card or benchmark prints.

    Parameters
    ----------
    targets
        (n,) true columns.
    prob
        (n, k) probabilities.
    codes
        The k classes.
    groups
        (n,) patient of each row. The bootstrap then draws whole patients, for shares, too: exact limits would be
        too narrow for rows that belong together.
    confidence, repeats, seed
        Of the intervals.
    bins
        Of the calibration error.

    Returns
    -------
    dict
        ``accuracy, balanced_accuracy, macro_precision, macro_recall, macro_f1, mcc, ece, brier`` → {``value``, ``n``,
        ``interval_95`` (or what `confidence` says)}; ``classwise_ece``, ``negative_log_likelihood`` → number;
        ``per_class`` → code → {``n``, ``precision``, ``recall``, ``f1``}, each {``value``, ``n``, ``interval_95``};
        ``value`` is None when undefined; ``confusion`` → list of rows (true × said). Shares have exact intervals
        (Clopper–Pearson) unless groups are given; the others percentile bootstrap intervals.

    Raises
    ------
    InputError
        When shapes do not fit or there are no rows.
    """
    prob, targets = checked(prob, targets)
    k = len(codes)
    if k != prob.shape[1]:
        raise InputError(f"There are {k} classes but {prob.shape[1]} probabilities a row.")
    if not len(targets):
        raise InputError("There is nothing to judge: no rows.", "Give at least one row.")
    said = prob.argmax(1)
    matrix = confusion(targets, said, k)
    weights, members = _draws(targets, groups, repeats, seed)
    drawn = _drawn_confusions(targets, said, k, weights, members)
    name = f"interval_{round(100 * confidence)}"
    values, samples = summaries(matrix), summaries(drawn)

    def entry(value: float, n: int, low: float, high: float) -> dict[str, Any]:
        if not np.isfinite(value):
            return {"value": None, "n": int(n), name: None}
        return {"value": _plain(value), "n": int(n), name: [_plain(low), _plain(high)]}

    def share(hits: int, n: int, of_samples: np.ndarray) -> dict[str, Any]:
        value = hits / n if n else float("nan")
        if groups is not None:
            return entry(value, n, *percentile_interval(of_samples, confidence))
        low, high = exact_interval(hits, n, confidence)
        return entry(value, n, float(low), float(high))

    n = len(targets)
    out: dict[str, Any] = {"accuracy": share(int(np.trace(matrix)), n, samples["accuracy"])}
    for key in ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc"):
        out[key] = entry(float(values[key]), n, *percentile_interval(samples[key], confidence))
    rows = [np.concatenate([members[g].repeat(w) for g, w in enumerate(line) if w]) for line in weights[:200]]
    for key, function in (("ece", lambda t, p: ece(p, t, bins)), ("brier", lambda t, p: brier(p, t))):
        several = np.array([function(targets[r], prob[r]) for r in rows])
        out[key] = entry(function(targets, prob), n, *percentile_interval(several, confidence))
    out["classwise_ece"] = _plain(classwise_ece(prob, targets, bins))
    out["negative_log_likelihood"] = _plain(negative_log_likelihood(prob, targets))
    true, claimed, hit = drawn.sum(-1), drawn.sum(-2), np.diagonal(drawn, axis1=-2, axis2=-1)
    per_class = {}
    for c, code in enumerate(codes):
        with np.errstate(invalid="ignore", divide="ignore"):
            recalls, precisions = hit[:, c] / true[:, c], hit[:, c] / claimed[:, c]
            f1s = 2 * hit[:, c] / (true[:, c] + claimed[:, c])
        own, was_said, right = int(matrix[c].sum()), int(matrix[:, c].sum()), int(matrix[c, c])
        f1 = 2 * right / (own + was_said) if own + was_said else float("nan")
        per_class[str(code)] = {
            "n": own,
            "precision": share(right, was_said, precisions),
            "recall": share(right, own, recalls),
            "f1": entry(f1, own, *percentile_interval(f1s, confidence)),
        }
    out["per_class"] = per_class
    out["confusion"] = matrix.tolist()
    return out


def _draws(
    targets: np.ndarray, groups: np.ndarray | None, repeats: int, seed: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return how often each group (or row) is drawn in each bootstrap sample, and the rows of each group."""
    n = len(targets)
    members = [np.array([i]) for i in range(n)] if groups is None else rows_by_group(groups, n)
    m = len(members)
    # Large tables get fewer samples: the interval is narrow there, and memory is not to follow.
    repeats = max(200, min(repeats, int(4e7 // max(m, 1))))
    weights = np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=repeats)
    return weights.astype(np.int32), members


def _drawn_confusions(
    targets: np.ndarray, said: np.ndarray, k: int, weights: np.ndarray, members: list[np.ndarray]
) -> np.ndarray:
    """Return the confusion matrix of each bootstrap sample, float64 (repeats, k, k)."""
    group = np.empty(len(targets), np.int64)
    for g, rows in enumerate(members):
        group[rows] = g
    from scipy.sparse import coo_matrix

    cells = targets * k + said
    counts = coo_matrix((np.ones(len(cells)), (group, cells)), shape=(len(members), k * k)).tocsr()
    return np.asarray((counts.T @ weights.T.astype(np.float64)).T).reshape(len(weights), k, k)


def _nanmean(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    total = np.where(there, values, 0.0).sum(-1)
    count = there.sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _plain(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
