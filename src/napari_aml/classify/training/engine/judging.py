"""Judge a trained network on the part that it never saw: every figure that a card or a comparison prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_aml.statistics import classification_metrics, exact_interval, fit_temperature, softmax
from napari_aml.taxonomy import is_blast, within_one_stage

#: Figures of classes with fewer cells are not printed as figures.
FEWEST = 10
#: A temperature is not fitted to fewer cells.
_FEWEST_FOR_TEMPERATURE = 20


def temperature_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """Fit the temperature to the validation part; 1 where that is too small to say anything."""
    if len(targets) < _FEWEST_FOR_TEMPERATURE or len(np.unique(targets)) < 2:
        return 1.0
    return float(np.clip(fit_temperature(logits, targets), 0.05, 20))


def judged(
    logits: np.ndarray,
    targets: np.ndarray,
    codes: tuple[str, ...],
    temperature: float,
    groups: np.ndarray | None = None,
    repeats: int = 1000,
) -> dict[str, Any]:
    """Return all figures of one test part.

    Parameters
    ----------
    logits, targets
        (n, k) and (n,).
    temperature
        Logits are divided by it.
    groups
        Patients (or what the split kept together); the bootstrap draws them whole where they hold several cells.

    Returns
    -------
    dict
        Those of `classification_metrics`, and ``tolerant_accuracy`` (right or a neighbour in maturation) and ``blast``
        (sensitivity, specificity, AUROC against all other cells).
    """
    prob = softmax(logits, temperature)
    if groups is not None and len(np.unique(groups)) == len(groups):
        groups = None
    out = classification_metrics(targets, prob, codes, groups=groups, repeats=repeats)
    said = prob.argmax(1)
    near = np.array([[within_one_stage(a, b) for b in codes] for a in codes])
    out["tolerant_accuracy"] = _share(near[targets, said])
    if blast := blast_figures(prob, targets, codes):
        out["blast"] = blast
    return out


def _share(hits: np.ndarray) -> dict[str, Any]:
    n, right = len(hits), int(hits.sum())
    if not n:
        return {"value": None, "n": 0, "interval_95": None}
    low, high = exact_interval(right, n)
    return {"value": round(right / n, 6), "n": n, "interval_95": [round(float(low), 6), round(float(high), 6)]}


def blast_figures(prob: np.ndarray, targets: np.ndarray, codes: tuple[str, ...]) -> dict[str, Any]:
    """Blasts (myeloblast, monoblast, promonocyte) against all else; empty where either side is absent.

    A cell is called a blast when its most probable class is one; AUROC ranks by the summed probability.
    """
    from scipy.stats import rankdata

    columns = np.array([is_blast(code) for code in codes])
    true, called = columns[targets], columns[prob.argmax(1)]
    if not columns.any() or not true.any() or true.all():
        return {}
    ranks = rankdata(prob[:, columns].sum(1))
    n, m = int(true.sum()), int((~true).sum())
    auroc = (ranks[true].sum() - n * (n + 1) / 2) / (n * m)
    return {
        "sensitivity": _share(called[true]),
        "specificity": _share(~called[~true]),
        "auroc": {"value": round(float(auroc), 6), "n": n + m},
    }


def headline(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that a card prints: all but the classes and the confusion matrix."""
    return {k: v for k, v in figures.items() if k not in ("per_class", "confusion", "macro_recall")}
