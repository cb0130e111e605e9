"""From labelled samples to a bundle: cross-validate, calibrate, fit on everything, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml import RESEARCH_USE
from napari_aml.expression.bundle import ExpressionBundle, save_expression_bundle
from napari_aml.expression.calibrate import calibrate
from napari_aml.expression.card import INPUT
from napari_aml.expression.likeness import ProfileLikeness
from napari_aml.expression.training.crossval import out_of_fold_steps
from napari_aml.expression.training.data import TrainingRows
from napari_aml.expression.training.settings import TrainingSettings
from napari_aml.progress import Progress, Steps
from napari_aml.provenance import now_utc, versions
from napari_aml.statistics import classification_metrics, set_summary, softmax


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Attributes
    ----------
    bundle
        The bundle, written.
    logits
        Out-of-fold, (repeats, n, classes).
    doubtful
        Samples whose out-of-fold answer contradicts the label: (name, label, answer, probability).
    """

    bundle: ExpressionBundle
    logits: np.ndarray
    doubtful: tuple[tuple[str, str, str, float], ...]


def train_steps(
    rows: TrainingRows,
    out: str | Path,
    settings: TrainingSettings,
    *,
    name: str,
    folds: int = 5,
    repeats: int = 1,
    alpha: float = 0.1,
    half: bool = False,
    card: Mapping[str, Any] | None = None,
) -> Steps[Trained]:
    """Train a model and write its bundle, yielding progress.

    Parameters
    ----------
    rows
        What to train on.
    out
        The bundle's folder.
    settings
        How to train.
    name
        Of the bundle.
    folds, repeats
        Of the cross-validation that metrics, temperature and conformal sets come from; a class with fewer samples than
        folds is absent from some.
    alpha
        Share of a class that conformal sets may miss.
    half
        Store weights as float16.
    card
        Further entries of the card (title, training data, licence, age range …).

    Raises
    ------
    InputError
        When there are too few samples.
    OutputError
        When the bundle cannot be written.
    """
    from napari_aml.expression.training.fit import fit_steps

    k, total = len(rows.classes), 100 * (folds * repeats + 1)
    crossing = out_of_fold_steps(
        rows.x, rows.targets, k, settings, rows.lengths, folds=folds, repeats=repeats
    )  # fmt: skip
    logits = yield from _scaled(crossing, 0, total - 100, total)
    found = calibrate(logits, rows.targets, rows.classes, alpha)
    network = yield from _scaled(
        fit_steps(rows.x, rows.targets, k, settings, rows.lengths), total - 100, 100, total, "fitting on all samples"
    )  # fmt: skip
    lengths = rows.lengths if settings.length_jitter else None
    likeness = ProfileLikeness.fit(rows.x, rows.targets, lengths, seed=settings.seed)
    prob = softmax(logits, found.temperature)
    mean = softmax(logits.mean(0), found.temperature)
    entries = {
        "name": name, "version": "1", "model": settings.model,
        "model_args": {**settings.model_args, "members": len(network.members)},
        "classes": list(rows.classes), "input": INPUT, "temperature": found.temperature,
        "conformal": found.conformal.to_dict(), "accepts_uncorrected": settings.length_jitter,
        "training_data": [{"name": rows.source, "n": len(rows.samples), "units": rows.units, "classes": rows.counts}],
        "labels": rows.rule or "as in the table of labels", "age_range": None,
        "split_level": "sample; whether two samples are of one patient is not known",
        "metrics": _metrics(rows, prob, mean, found.conformal.sets(mean, with_best=True), folds, repeats),
        "training": {**settings.to_dict(), "folds": folds, "repeats": repeats, "alpha": alpha},
        "notes": list(rows.notes), "made": {"time": now_utc(), "versions": versions()},
        "licence": "not stated", "intended_use": f"{RESEARCH_USE} Says which training class a profile is similar to.",
        "limits": ["Similarity to a class is no proof of its genetic lesion.", "Only trained classes can be said."],
        **(card or {}),
    }  # fmt: skip
    summary = class_summaries(rows.x, rows.targets, k)
    bundle = save_expression_bundle(
        out, network, rows.genes, entries, summary=summary, likeness=likeness, half=half
    )  # fmt: skip
    yield Progress(total, total, "done")
    return Trained(bundle, logits, doubtful_labels(rows, mean))


def _scaled(steps: Steps[Any], start: int, share: int, total: int, text: str = "") -> Steps[Any]:
    """Pass progress on as part of a longer job."""
    while True:
        try:
            event = next(steps)
        except StopIteration as stop:
            return stop.value
        yield Progress(start + int(share * event.fraction), total, text or event.message)


def _metrics(
    rows: TrainingRows, prob: np.ndarray, mean: np.ndarray, sets: list[tuple[str, ...]], folds: int, repeats: int
) -> dict[str, Any]:
    """Return the card's figures: every repeat's answers together, drawn by sample."""
    n = len(rows.samples)
    targets = np.tile(rows.targets, repeats)
    groups = np.tile(np.arange(n), repeats) if repeats > 1 else None
    made = classification_metrics(targets, prob.reshape(-1, prob.shape[-1]), rows.classes, groups=groups)
    made["how"] = f"{folds}-fold cross-validation, {repeats} repeat(s); {n} samples"
    made["conformal_sets"] = set_summary(sets, rows.targets, rows.classes)
    return made


def class_summaries(x: np.ndarray, targets: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Return mean and deviation of each gene, in all and in each class."""
    each = [x[targets == c] if (targets == c).any() else x for c in range(classes)]
    return {
        "mean": x.mean(0), "sd": x.std(0),
        "class_mean": np.stack([e.mean(0) for e in each]), "class_sd": np.stack([e.std(0) for e in each]),
    }  # fmt: skip


def doubtful_labels(rows: TrainingRows, prob: np.ndarray) -> tuple[tuple[str, str, str, float], ...]:
    """Return the samples whose out-of-fold answer contradicts the label, surest contradiction first."""
    said = prob.argmax(1)
    wrong = np.flatnonzero(said != rows.targets)
    order = wrong[np.argsort(-prob[wrong, said[wrong]])]
    return tuple(
        (rows.samples[i], rows.classes[rows.targets[i]], rows.classes[said[i]], float(prob[i, said[i]])) for i in order
    )
