"""Models against each other on the same folds: repeated stratified nested cross-validation.

Outer folds judge. What a model's settings are, and its temperature, is chosen on inner folds of the outer training part
alone; the outer test part is looked at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.benchmark_store import FoldStore
from napari_aml.expression.training.baselines import BASELINES, Scorer, fit_baseline
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
    "attention-aml": ({"power": 0.25}, {"power": 0.5}),
    "gene-attention": ({"power": 0.25}, {"power": 0.5}),
    "mlp": ({"power": 0.25}, {"power": 0.5}),
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
    jobs: int = 1,
    keep: str | Path | None = None,
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
    jobs
        Processes that share the outer folds; the answers are the same whatever their number.
    keep
        Folder in which finished folds are kept: a run that was broken off goes on from there.

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
    tasks: list[_Task] = []
    for r in range(repeats):
        outer = grouped_stratified_folds(rows.targets, None, folds, seed + r)
        for f in range(folds):
            made.plain_silhouette += _silhouette(
                _standard(rows.x[outer != f], rows.x[outer == f]), rows.targets[outer == f]
            )
            for m in range(len(models)):
                tasks.append(_Task(m, models[m], r, f, outer == f, inner, members, epochs, seed + 31 * r + f))
    said = {"folds": folds, "seed": seed, "settings": NETWORKS | BASELINES}
    store = None if keep is None else FoldStore(keep, rows, said)
    before = [] if store is None else [one for one in (_kept(store, task) for task in tasks) if one]
    left = [task for task in tasks if not any(task is one.task for one in before)]
    running = _in_processes(left, rows, k, jobs) if jobs > 1 else _one_by_one(left, rows, k)
    yield from _collected(chain(before, running), made, tasks, store)
    yield Progress(len(tasks), len(tasks), "intervals")
    targets, groups = np.tile(rows.targets, repeats), np.tile(np.arange(n), repeats)
    for one in judged:
        yield Progress(len(tasks), len(tasks), f"intervals: {one.model}")
        one.metrics = classification_metrics(
            targets, one.prob.reshape(-1, k), rows.classes, groups=groups if repeats > 1 else None, seed=seed
        )
    return made


@dataclass(frozen=True)
class _Task:
    """One model on one outer fold."""

    place: int
    model: str
    repeat: int
    fold: int
    test: np.ndarray
    inner: int
    members: int | None
    epochs: int | None
    seed: int


@dataclass(frozen=True)
class _Answer:
    """What came of a task."""

    task: _Task
    prob: np.ndarray
    chosen: int
    silhouette: list[float]
    seconds: float


def _name(task: _Task) -> tuple[object, ...]:
    return task.model, task.repeat, task.fold, task.inner, task.members, task.epochs, task.seed


def _kept(store: FoldStore, task: _Task) -> _Answer | None:
    """Return the answer that an earlier run has kept."""
    found = store.load(_name(task))
    if found is None or found["prob"].shape[0] != task.test.sum():
        return None
    return _Answer(task, found["prob"], int(found["chosen"]), found["silhouette"].tolist(), float(found["seconds"]))


def _collected(
    running: Iterator[_Answer | str], made: Benchmark, tasks: Sequence[_Task], store: FoldStore | None
) -> Steps[None]:
    """Gather answers as they come, keep them, and put them where they belong; a text is a sign of life."""
    found: dict[tuple[object, ...], _Answer] = {}
    text = ""
    for event in running:
        if isinstance(event, _Answer):
            found[_name(event.task)] = event
            text = f"{event.task.model} done, fold {event.task.fold + 1}, repeat {event.task.repeat + 1}"
            if store is not None and store.load(_name(event.task)) is None:
                store.keep(_name(event.task), prob=event.prob, chosen=event.chosen, silhouette=event.silhouette,
                           seconds=event.seconds)  # fmt: skip
        else:
            text = event or text
        yield Progress(len(found), len(tasks), text)
    for answer in (found[_name(task)] for task in tasks):  # in one order, whichever came first
        one = made.judged[answer.task.place]
        one.prob[answer.task.repeat, answer.task.test] = answer.prob
        one.chosen.append(answer.chosen)
        one.silhouette += answer.silhouette
        one.seconds += answer.seconds


def _one_by_one(tasks: Sequence[_Task], rows: TrainingRows, k: int) -> Iterator[_Answer | str]:
    for task in tasks:
        text = f"{task.model}, fold {task.fold + 1}, repeat {task.repeat + 1}"
        steps = _answer_steps(task, rows.x, rows.targets, k)
        while True:
            yield text
            try:
                next(steps)
            except StopIteration as stop:
                yield stop.value
                break


def _in_processes(tasks: Sequence[_Task], rows: TrainingRows, k: int, jobs: int) -> Iterator[_Answer | str]:
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

    # A fresh interpreter each: a forked one would inherit torch's threads in whatever state they are in.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(rows.x, rows.targets, k))
    try:
        waiting = {pool.submit(_answer, task) for task in tasks}
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            yield ""
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_held: dict[str, Any] = {}


def _start(x: np.ndarray, targets: np.ndarray, k: int) -> None:
    from napari_aml._torch import torch

    torch.set_num_threads(1)
    _held.update(x=x, targets=targets, k=k)


def _answer(task: _Task) -> _Answer:
    steps = _answer_steps(task, **_held)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def _answer_steps(task: _Task, x: np.ndarray, targets: np.ndarray, k: int) -> Generator[None, None, _Answer]:
    """Choose settings and temperature on inner folds, fit on the outer training part, answer the outer test part."""
    start = time.process_time()
    test, x, t, answered = x[task.test], x[~task.test], targets[~task.test], targets[task.test]
    options = (NETWORKS | BASELINES)[task.model]
    fold = grouped_stratified_folds(t, None, task.inner, task.seed)
    best: tuple[tuple[float, float], int, np.ndarray] | None = None
    for index, option in enumerate(options):
        scores = np.zeros((len(x), k))
        for f in range(task.inner):
            train = fold != f
            scorer, _ = yield from _fit(task.model, x[train], t[train], k, option, 1, task.epochs, task.seed + f)
            scores[~train] = scorer(x[~train])
        mcc = round(float(summaries(confusion(t, scores.argmax(1), k))["mcc"]), 6)
        cost = negative_log_likelihood(softmax(scores, fit_temperature(scores, t, prior=1.0)), t)
        if best is None or (mcc, -cost) > best[0]:
            best = ((mcc, -cost), index, scores)
    assert best is not None
    temperature = fit_temperature(best[2], t, prior=1.0)
    scorer, embed = yield from _fit(task.model, x, t, k, options[best[1]], task.members, task.epochs, task.seed)
    apart = [] if embed is None else _silhouette(embed(test), answered)
    return _Answer(task, softmax(scorer(test), temperature), best[1], apart, time.process_time() - start)


def _fit(
    model: str, x: np.ndarray, t: np.ndarray, k: int, option: dict[str, Any], members: int | None,
    epochs: int | None, seed: int,
) -> Generator[None, None, tuple[Scorer, Scorer | None]]:  # fmt: skip
    """Fit a model; return what gives its scores, and its last layer where it has one."""
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
