"""Figures of one arm over its seeds, and differences between arms, with intervals that keep groups whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_aml.classify.training.engine.judging import blast_figures
from napari_aml.statistics import ece, softmax, summaries
from napari_aml.taxonomy import is_blast, within_one_stage

#: Bootstrap samples of whole groups; the same for every arm, so that differences are paired.
DRAWS = 1000
#: Key → heading in tables.
FIGURES = {
    "macro_f1": "macro-F1", "balanced_accuracy": "balanced accuracy", "accuracy": "accuracy",
    "tolerant_accuracy": "within one stage", "blast_sensitivity": "blast sensitivity",
    "blast_specificity": "blast specificity", "blast_auroc": "blast AUROC", "ece": "ECE",
}  # fmt: skip


@dataclass
class Run:
    """One finished training.

    Attributes
    ----------
    seed
        It was trained with.
    logits, targets, groups
        Of the test part; logits are after the temperature.
    record
        What else was noted: parameters, pictures per second, curves.
    """

    seed: int
    logits: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    record: dict[str, Any]


@dataclass
class Compared:
    """One arm over its seeds.

    Attributes
    ----------
    mean, sd
        Of each of `FIGURES` over the seeds.
    interval
        95 % bootstrap interval of the mean over the seeds.
    difference
        Against the control: value and paired 95 % interval; empty for the control.
    per_class
        Code → ``n``, ``groups``, and ``recall``, ``precision``, ``f1`` as (mean over seeds, low, high).
    """

    mean: dict[str, float]
    sd: dict[str, float]
    interval: dict[str, tuple[float, float]]
    difference: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    per_class: dict[str, dict[str, Any]] = field(default_factory=dict)


def plain_figures(run: Run, codes: tuple[str, ...]) -> dict[str, float]:
    """Return the figures of one run."""
    prob = softmax(run.logits)
    blast = blast_figures(prob, run.targets, codes)
    found = _weighted(run, codes, np.ones((1, len(run.targets))))
    out = {key: float(values[0]) for key, values in found.items()}
    out["blast_auroc"] = float(blast["auroc"]["value"]) if blast else float("nan")
    out["ece"] = float(ece(prob, run.targets))
    return out


def draws(groups: np.ndarray, n_draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each row stands in each bootstrap sample of whole groups, (draws, n)."""
    names, inverse = np.unique(groups, return_inverse=True)
    m = len(names)
    counts = np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=n_draws)
    return counts[:, inverse].astype(np.float64)


def _confusions(targets: np.ndarray, said: np.ndarray, k: int, weights: np.ndarray) -> np.ndarray:
    one = np.zeros((len(targets), k * k))
    one[np.arange(len(targets)), targets * k + said] = 1.0
    return (weights @ one).reshape(len(weights), k, k)


def _weighted(run: Run, codes: tuple[str, ...], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Figures that follow from a confusion matrix, one a bootstrap sample."""
    matrices = _confusions(run.targets, run.logits.argmax(1), len(codes), weights)
    found = summaries(matrices)
    near = np.array([[within_one_stage(a, b) for b in codes] for a in codes])
    blast = np.array([is_blast(code) for code in codes])
    total = matrices.sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        of_blasts, of_others = matrices[:, blast].sum((1, 2)), matrices[:, ~blast].sum((1, 2))
        return {
            "macro_f1": found["macro_f1"],
            "balanced_accuracy": found["balanced_accuracy"],
            "accuracy": found["accuracy"],
            "tolerant_accuracy": (matrices * near).sum((1, 2)) / total,
            "blast_sensitivity": matrices[:, blast][:, :, blast].sum((1, 2)) / of_blasts,
            "blast_specificity": matrices[:, ~blast][:, :, ~blast].sum((1, 2)) / of_others,
        }


def compare(arms: dict[str, list[Run]], control: str, codes: tuple[str, ...]) -> dict[str, Compared]:
    """Compare the arms of one axis.

    Parameters
    ----------
    arms
        Name → its runs; all were tested on the same rows.
    control
        Its differences to the others are drawn with the same bootstrap samples (paired) and the seeds that both have.
    codes
        The classes.

    Returns
    -------
    dict
        Name → figures. The intervals say how the figures would vary with other cells, the standard deviation how they
        vary with the seed; neither says how they would on another scanner.
    """
    some = next(runs[0] for runs in arms.values() if runs)
    weights = draws(some.groups)
    drawn = {name: {r.seed: _weighted(r, codes, weights) for r in runs} for name, runs in arms.items()}
    plain = {name: {r.seed: plain_figures(r, codes) for r in runs} for name, runs in arms.items()}
    out = {}
    for name, runs in arms.items():
        if not runs:
            continue
        each = [plain[name][r.seed] for r in runs]
        mean = {k: float(np.mean([f[k] for f in each])) for k in FIGURES}
        sd = {k: float(np.std([f[k] for f in each], ddof=1)) if len(each) > 1 else float("nan") for k in FIGURES}
        samples = {k: np.mean([drawn[name][r.seed][k] for r in runs], axis=0) for k in drawn[name][runs[0].seed]}
        compared = Compared(mean, sd, {k: _limits(v) for k, v in samples.items()})
        compared.per_class = _per_class(runs, codes, weights)
        if name != control and arms.get(control):
            shared = sorted(set(drawn[name]) & set(drawn[control]))
            for key in samples:
                both = [drawn[name][s][key] - drawn[control][s][key] for s in shared]
                if both:
                    value = float(np.mean([plain[name][s][key] - plain[control][s][key] for s in shared]))
                    compared.difference[key] = (value, *_limits(np.mean(both, axis=0)))
        out[name] = compared
    return out


def _per_class(runs: list[Run], codes: tuple[str, ...], weights: np.ndarray) -> dict[str, dict[str, Any]]:
    k = len(codes)
    stacked = np.concatenate([np.ones((1, weights.shape[1])), weights])
    matrices = np.stack([_confusions(r.targets, r.logits.argmax(1), k, stacked) for r in runs])
    true, said, hit = matrices.sum(-1), matrices.sum(-2), np.diagonal(matrices, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {"recall": hit / true, "precision": np.where(said > 0, hit / said, 0.0), "f1": 2 * hit / (true + said)}
    out: dict[str, dict[str, Any]] = {}
    for c, code in enumerate(codes):
        here = runs[0].targets == c
        out[code] = {"n": int(here.sum()), "groups": len(np.unique(runs[0].groups[here]))}
        for key, values in found.items():
            means = values[:, :, c].mean(0)
            out[code][key] = (float(means[0]), *_limits(means[1:]))
    return out


def _limits(samples: np.ndarray) -> tuple[float, float]:
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return float("nan"), float("nan")
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(low), float(high)
