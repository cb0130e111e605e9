"""Models against each other on the same folds: repeated stratified nested cross-validation.

Outer folds judge. What a model's settings are, and its temperature, is chosen on inner folds of the outer training part
alone; the outer test part is looked at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.training.baselines import BASELINES, fit_baseline
from napari_aml.expression.training.data import TrainingRows
from napari_aml.expression.training.settings import default_settings
from napari_aml.progress import Progress, Steps
from napari_aml.statistics import (
    classification_metrics,
    confusion,
    fit_temperature,
    grouped_stratified_folds,
    negative_log_likelihood,
    softmax,
    summaries,
)

#: Network → the settings that inner folds choose between (changes to the defaults).
NETWORKS: dict[str, tuple[dict[str, Any], ...]] = {
    "attention-aml": ({}, {"mixup": 0.4, "power": 1.0}),
    "gene-attention": ({}, {"model_args": {"programmes": 16}}),
    "mlp": ({}, {"mixup": 0.4, "power": 1.0}),
}
MODELS = (*NETWORKS, *BASELINES)


@dataclass
class Judged:
    """One model's answers.

    Attributes
    ----------
    model
        Name.
    prob
        (repeats, n, classes) probabilities for samples in outer test folds.
    chosen
        Index of the settings that inner folds chose, one an outer fold.
    seconds
        Processor time of all of its fits.
    silhouette
        Mean over outer folds of the silhouette of unseen samples in the last layer; empty for baselines.
    metrics
        As `statistics.classification_metrics` gives them, all repeats together, drawn by sample.
    """

    model: str
    prob: np.ndarray
    chosen: list[int] = field(default_factory=list)
    seconds: float = 0.0
    silhouette: list[float] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)

    def repeated(self, targets: np.ndarray, key: str = "mcc") -> np.ndarray:
        """Return a summary of each repeat, (repeats,)."""
        k = self.prob.shape[-1]
        return np.array([float(summaries(confusion(targets, p.argmax(1), k))[key]) for p in self.prob])


@dataclass
class Benchmark:
    """All models on the same folds.

    Attributes
    ----------
    rows
        The data.
    judged
        In the order asked for.
    folds, inner, repeats, seed
        Of the cross-validation.
    plain_silhouette
        As `Judged.silhouette`, of plain expression.
    """

    rows: TrainingRows
    judged: list[Judged]
    folds: int
    inner: int
    repeats: int
    seed: int
    plain_silhouette: list[float] = field(default_factory=list)

    def misread(self, least: float = 0.5) -> list[tuple[str, str, dict[str, float]]]:
        """Return samples that a model got wrong in `least` of the repeats: name, label, model → share wrong."""
        out = []
        for i, sample in enumerate(self.rows.samples):
            wrong = {j.model: float((j.prob[:, i].argmax(1) != self.rows.targets[i]).mean()) for j in self.judged}
            if max(wrong.values(), default=0) >= least:
                out.append((sample, self.rows.classes[self.rows.targets[i]], {m: w for m, w in wrong.items() if w}))
        return sorted(out, key=lambda entry: -sum(entry[2].values()))


def benchmark_steps(
    rows: TrainingRows,
    models: Sequence[str] = MODELS,
    *,
    folds: int = 5,
    inner: int = 3,
    repeats: int = 3,
    members: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> Steps[Benchmark]:
    """Judge models by repeated stratified nested cross-validation, yielding progress.

    Parameters
    ----------
    rows
        Labelled samples.
    models
        Of `MODELS`.
    folds, inner, repeats
        Outer folds, inner folds, and how often the samples are dealt anew.
    members, epochs
        Of the networks; their defaults when None. Inner folds compare single networks, outer ones train ensembles.
    seed
        Of everything random.

    Raises
    ------
    InputError
        When a model is unknown.
    """
    unknown = [m for m in models if m not in MODELS]
    if unknown:
        raise InputError(f"There is no model {', '.join(unknown)} to compare.", f"There are {', '.join(MODELS)}.")
    n, k = rows.x.shape[0], len(rows.classes)
    judged = [Judged(m, np.zeros((repeats, n, k))) for m in models]
    made = Benchmark(rows, judged, folds, inner, repeats, seed)
    jobs, done = repeats * folds * len(models), 0
    for r in range(repeats):
        outer = grouped_stratified_folds(rows.targets, None, folds, seed + r)
        for f in range(folds):
            test = outer == f
            x, t = rows.x[~test], rows.targets[~test]
            made.plain_silhouette += _silhouette(_standard(x, rows.x[test]), rows.targets[test])
            for one in judged:
                yield Progress(done, jobs, f"{one.model}, fold {r * folds + f + 1} of {repeats * folds}")
                start = time.process_time()
                judging = _judge(one, x, t, k, rows.x[test], inner, members, epochs, seed + 31 * r + f)
                while True:
                    try:
                        next(judging)
                    except StopIteration as stop:
                        one.prob[r, test], embedded = stop.value
                        break
                    yield Progress(done, jobs, f"{one.model}, fold {r * folds + f + 1} of {repeats * folds}")
                one.seconds += time.process_time() - start
                if embedded is not None:
                    one.silhouette += _silhouette(embedded, rows.targets[test])
                done += 1
    targets, groups = np.tile(rows.targets, repeats), np.tile(np.arange(n), repeats)
    for one in judged:
        yield Progress(jobs, jobs, f"intervals: {one.model}")
        one.metrics = classification_metrics(
            targets, one.prob.reshape(-1, k), rows.classes, groups=groups if repeats > 1 else None, seed=seed
        )
    return made


def _judge(
    one: Judged, x: np.ndarray, t: np.ndarray, k: int, test: np.ndarray, inner: int, members: int | None,
    epochs: int | None, seed: int,
):  # fmt: skip  # a generator of None, returning probabilities of the test rows and their embedding or None
    options = (NETWORKS | BASELINES)[one.model]
    fold = grouped_stratified_folds(t, None, inner, seed)
    best: tuple[tuple[float, float], int, np.ndarray] | None = None
    for index, option in enumerate(options):
        scores = np.zeros((len(x), k))
        for f in range(inner):
            train = fold != f
            scorer, _ = yield from _fit(one.model, x[train], t[train], k, option, 1, epochs, seed + f)
            scores[~train] = scorer(x[~train])
        mcc = float(summaries(confusion(t, scores.argmax(1), k))["mcc"])
        cost = negative_log_likelihood(softmax(scores, fit_temperature(scores, t, prior=1.0)), t)
        if best is None or (round(mcc, 6), -cost) > best[0]:
            best = ((round(mcc, 6), -cost), index, scores)
    assert best is not None
    one.chosen.append(best[1])
    temperature = fit_temperature(best[2], t, prior=1.0)
    scorer, embed = yield from _fit(one.model, x, t, k, options[best[1]], members, epochs, seed)
    return softmax(scorer(test), temperature), None if embed is None else embed(test)


def _fit(
    model: str, x: np.ndarray, t: np.ndarray, k: int, option: dict[str, Any], members: int | None,
    epochs: int | None, seed: int,
):  # fmt: skip  # a generator of None, returning a scorer and an embedder or None
    if model in BASELINES:
        yield
        return fit_baseline(model, x, t, k, option, seed), None
    from napari_aml.expression.training.fit import embeddings_of, fit_steps, logits_of

    settings = default_settings(model, **{"members": members, "epochs": epochs, **option}, seed=seed)
    steps = fit_steps(x, t, k, settings)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            network = stop.value
            break
        yield
    return (lambda rows: logits_of(network, rows)), (lambda rows: embeddings_of(network, rows))


def _standard(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    return (test - train.mean(0)) / (train.std(0) + 0.3)


def _silhouette(points: np.ndarray, targets: np.ndarray) -> list[float]:
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(targets)) < len(targets):
        return []
    return [float(silhouette_score(points, targets))]
