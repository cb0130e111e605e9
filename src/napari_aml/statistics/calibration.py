"""How far a probability can be believed: temperature, calibration errors, reliability, risk against coverage.

Probabilities are (n, k) with rows that sum to one; targets are (n,) column indices of the true class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aml.errors import InputError
from napari_aml.statistics.intervals import exact_interval

_LEAST = 1e-12


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities over the last axis, float64, of logits divided by a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(-1, keepdims=True))
    return scaled / scaled.sum(-1, keepdims=True)


def negative_log_likelihood(prob: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean negative logarithm of the true class's probability (NaN without rows)."""
    prob, targets = checked(prob, targets)
    if not len(targets):
        return float("nan")
    return float(-np.log(np.clip(prob[np.arange(len(targets)), targets], _LEAST, 1)).mean())


def fit_temperature(
    logits: np.ndarray, targets: np.ndarray, *, low: float = 0.05, high: float = 20.0, prior: float = 0.0
) -> float:
    """Return the temperature at which the likelihood of held-out rows is greatest (Guo et al. 2017, arXiv:1706.04599).

    Parameters
    ----------
    logits
        (n, k), of rows that the network was not trained on; -inf means "impossible".
    targets
        (n,) true columns.
    low, high
        Limits of the search.
    prior
        Weight, in rows, of a penalty ``log(T)²``: with few rows, or none of them wrong, the likelihood alone
        runs to the lower limit and makes the network look surer than anybody can know.

    Returns
    -------
    float
        1.0 when there are no rows.
    """
    from scipy.optimize import minimize_scalar

    logits, targets = checked(logits, targets)
    if not len(targets):
        return 1.0

    def cost(log_t: float) -> float:
        nll = negative_log_likelihood(softmax(logits, float(np.exp(log_t))), targets)
        return nll + prior * log_t**2 / len(targets)

    found = minimize_scalar(cost, bounds=(np.log(low), np.log(high)), method="bounded", options={"xatol": 1e-5})
    return float(np.exp(found.x))


def brier(prob: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean over rows of the summed squared error, 0…2 (Brier 1950; half of it is 0…1)."""
    prob, targets = checked(prob, targets)
    if not len(targets):
        return float("nan")
    wanted = np.zeros_like(prob)
    wanted[np.arange(len(targets)), targets] = 1
    return float(((prob - wanted) ** 2).sum(1).mean())


def ece(prob: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error of the winning class.

    Rows are sorted by confidence and cut into `bins` parts of equal size; the gap between mean confidence and accuracy
    of each part is averaged (equal-mass bins: Nixon et al. 2019, arXiv:1904.01685).
    """
    prob, targets = checked(prob, targets)
    return _binned_gap(prob.max(1, initial=0), prob.argmax(1) == targets, bins) if len(targets) else float("nan")


def classwise_ece(prob: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
    """Return the mean over classes of `per_class_ece` (Kull et al. 2019, arXiv:1910.12656, with equal-mass bins)."""
    return float(per_class_ece(prob, targets, bins).mean())


def per_class_ece(prob: np.ndarray, targets: np.ndarray, bins: int = 15) -> np.ndarray:
    """Return the calibration error of each class's probability as one against the rest, (k,)."""
    prob, targets = checked(prob, targets)
    if not len(targets):
        return np.full(prob.shape[1], np.nan)
    return np.array([_binned_gap(prob[:, c], targets == c, bins) for c in range(prob.shape[1])])


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against accuracy in parts of equal size, for a reliability plot.

    Attributes
    ----------
    confidence, accuracy
        (b,) means of each part.
    low, high
        (b,) exact 95 % limits of the accuracy.
    count
        (b,) rows in each part.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def reliability(prob: np.ndarray, targets: np.ndarray, bins: int = 15) -> Reliability:
    """Return confidence against accuracy of the winning class in up to `bins` parts of equal size."""
    prob, targets = checked(prob, targets)
    confidence, hit = prob.max(1, initial=0), prob.argmax(1) == targets
    parts = _parts(confidence, bins)
    count = np.array([len(p) for p in parts], int)
    right = np.array([hit[p].sum() for p in parts], int)
    low, high = exact_interval(right, count)
    means = np.array([confidence[p].mean() for p in parts])
    return Reliability(means, right / np.maximum(count, 1), low, high, count)


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Error among the rows that are kept when the least sure ones are given away.

    Attributes
    ----------
    coverage, risk, threshold
        (m,) share kept, error among the kept, least confidence kept; one entry a distinct confidence.
    area
        Mean risk over all coverages (AURC, Geifman et al. 2019, arXiv:1805.08206); 0 is best.
    """

    coverage: np.ndarray
    risk: np.ndarray
    threshold: np.ndarray
    area: float


def risk_coverage(prob: np.ndarray, targets: np.ndarray) -> RiskCoverage:
    """Return the risk–coverage curve of the winning class's probability; rows of equal confidence go together."""
    prob, targets = checked(prob, targets)
    n = len(targets)
    if not n:
        nothing = np.zeros(0)
        return RiskCoverage(nothing, nothing, nothing, float("nan"))
    confidence = prob.max(1)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(prob.argmax(1)[order] != targets[order])
    risk = wrong / np.arange(1, n + 1)
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
    return RiskCoverage((ends + 1) / n, risk[ends], confidence[order][ends], float(risk.mean()))


def checked(prob: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays.

    Raises
    ------
    InputError
        When shapes do not fit, or a target is no column.
    """
    prob, targets = np.asarray(prob, np.float64), np.asarray(targets)
    if prob.ndim != 2 or targets.shape != prob.shape[:1]:
        raise InputError(
            f"Probabilities of shape {prob.shape} do not fit targets of shape {targets.shape}.",
            "Give one row of probabilities for each target.",
        )
    targets = targets.astype(np.int64)
    if len(targets) and (targets.min() < 0 or targets.max() >= prob.shape[1]):
        raise InputError(f"A target is not among the {prob.shape[1]} classes.", "Targets are column numbers from 0.")
    return prob, targets


def _parts(values: np.ndarray, bins: int) -> list[np.ndarray]:
    if not len(values):
        return []
    return np.array_split(np.argsort(values, kind="stable"), max(1, min(bins, len(values))))


def _binned_gap(predicted: np.ndarray, happened: np.ndarray, bins: int) -> float:
    gaps = [len(p) * abs(predicted[p].mean() - happened[p].mean()) for p in _parts(predicted, bins)]
    return float(sum(gaps) / len(predicted))
