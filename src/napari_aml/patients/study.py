"""Train and judge patient heads: folds by patient, every head on the same folds, labels shuffled as a control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.patients.bags import Cohort
from napari_aml.patients.fitting import FitSettings, fit_head
from napari_aml.patients.heads import HEADS, Head
from napari_aml.progress import Progress, Steps

#: Two heads whose held-out log loss differs by less than this are alike, and the simpler one is taken.
_ALIKE = 0.02


@dataclass(frozen=True)
class HeadResult:
    """One head on held-out patients.

    Attributes
    ----------
    name
        The head.
    probabilities
        float64 (patients, c): each patient by heads that never saw its group; after the temperature.
    temperature
        Fitted on the held-out logits.
    log_loss
        Mean negative log likelihood of the held-out patients, nats.
    metrics
        `napari_aml.statistics.classification_metrics` with intervals.
    shuffled_accuracy
        Balanced accuracy when all labels are shuffled among the patients, those of held-out patients, too: near 1/c,
        or something leaks. NaN when the control was not run.
    """

    name: str
    probabilities: np.ndarray
    temperature: float
    log_loss: float
    metrics: dict[str, Any]
    shuffled_accuracy: float = float("nan")


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Attributes
    ----------
    cohort
        The labelled patients.
    results
        One a head.
    chosen
        Name of the chosen head: the best held-out log loss, the simpler one where they are alike.
    head
        That head, fitted to all patients.
    folds
        int (patients,).
    """

    cohort: Cohort
    results: tuple[HeadResult, ...]
    chosen: str
    head: Head
    folds: np.ndarray = field(repr=False)

    @property
    def best(self) -> HeadResult:
        """The result of the chosen head."""
        return next(r for r in self.results if r.name == self.chosen)


def study_steps(
    cohort: Cohort,
    *,
    heads: Sequence[str] = HEADS,
    folds: int = 5,
    settings: FitSettings | None = None,
    control: bool = True,
) -> Steps[StudyResult]:
    """Compare heads on the same folds by patient and fit the best one to all patients.

    The figures of the chosen head come from the folds that it was chosen on; with three heads the gain by choosing
    is small, and the others' figures stand beside it.

    Parameters
    ----------
    cohort
        Labelled patients; others are left out.
    heads
        Heads to compare.
    folds
        Parts; each patient is judged by a head that saw none of its group.
    settings
        How heads are fitted.
    control
        Also train each head on shuffled labels.

    Raises
    ------
    InputError
        When there are fewer than two subtypes, or a subtype has fewer than two groups.
    """
    from napari_aml.statistics import grouped_stratified_folds

    settings = settings or FitSettings()
    for name in heads:
        if name not in HEADS:
            raise InputError(f"There is no head called '{name}'.", f"Use some of {', '.join(HEADS)}.")
    cohort = cohort.labelled()
    targets, groups = cohort.targets, cohort.groups
    folds = _check(cohort, targets, groups, folds)
    part = grouped_stratified_folds(targets, groups, folds, settings.seed)
    total = len(heads) * (folds * (2 if control else 1) * settings.epochs) + settings.epochs
    done, results = 0, []
    shuffled = np.random.default_rng(settings.seed).permutation(targets)
    for name in heads:
        said: dict[bool, np.ndarray] = {}
        for real in (True, False) if control else (True,):
            logits = np.zeros((len(cohort), len(cohort.subtypes)))
            learnt = targets if real else shuffled
            for k in range(folds):
                train, test = np.flatnonzero(part != k), np.flatnonzero(part == k)
                head = None
                for made in _fit(name, cohort, train, learnt, settings):
                    done += 1
                    words = f"{name}: fold {k + 1} of {folds}{'' if real else ', shuffled labels'}"
                    yield Progress(min(done, total - 1), total, words)
                    head = made or head
                assert head is not None
                logits[test] = [head.logits(cohort.bags[i]) for i in test]
            said[real] = logits
        results.append(_judge(name, said[True], said.get(False), targets, shuffled, cohort))
        done = len(results) * folds * (2 if control else 1) * settings.epochs
    least = min(r.log_loss for r in results)
    order = {name: i for i, name in enumerate(HEADS)}
    chosen = min((r for r in results if r.log_loss <= least + _ALIKE), key=lambda r: order[r.name]).name
    final = None
    for made in _fit(chosen, cohort, np.arange(len(cohort)), targets, settings):
        yield Progress(min(done, total - 1), total, f"{chosen}: all patients")
        final = made or final
    assert final is not None
    return StudyResult(cohort, tuple(results), chosen, final, part)


def _fit(
    name: str, cohort: Cohort, rows: np.ndarray, targets: np.ndarray, settings: FitSettings
) -> Iterator[Head | None]:
    bags = [cohort.bags[i] for i in rows]
    return fit_head(name, bags, targets[rows], len(cohort.subtypes), cohort.codes, settings)


def _check(cohort: Cohort, targets: np.ndarray, groups: np.ndarray, folds: int) -> int:
    names = cohort.subtypes
    if len(names) < 2:
        raise InputError(
            f"The cohort '{cohort.name}' has {len(names)} subtype(s) with patients.", "A head needs at least two."
        )
    for i, name in enumerate(names):
        have = len(set(groups[targets == i]))
        if have < 2:
            raise InputError(
                f"The subtype '{name}' has only one patient (or one group of patients).",
                "Add patients, or leave this subtype out: nothing could be held out.",
            )
        folds = min(folds, have)
    return folds


def _judge(
    name: str,
    logits: np.ndarray,
    control: np.ndarray | None,
    targets: np.ndarray,
    shuffled: np.ndarray,
    cohort: Cohort,
) -> HeadResult:
    from napari_aml.statistics import classification_metrics, softmax

    temperature = _temperature(logits, targets)
    said = softmax(logits, temperature)
    loss = float(-np.log(np.maximum(said[np.arange(len(said)), targets], 1e-12)).mean())
    result = HeadResult(
        name, said, temperature, loss, classification_metrics(targets, said, cohort.subtypes, repeats=500)
    )
    if control is None:
        return result
    hits = control.argmax(1) == shuffled
    balanced = float(np.mean([hits[shuffled == i].mean() for i in range(len(cohort.subtypes))]))
    return replace(result, shuffled_accuracy=balanced)


def _temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Fit a temperature to smoothed labels: a few patients that are all told apart are no proof of certainty.

    The labels are moved towards even odds by 1/(n + 2), as Platt (1999) does; else a perfect fold would drive the
    temperature to zero.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    n, c = logits.shape
    wanted = np.full((n, c), 1 / (n + 2) / (c - 1))
    wanted[np.arange(n), targets] = 1 - 1 / (n + 2)
    fitted = minimize_scalar(
        lambda log_t: -(wanted * log_softmax(logits / np.exp(log_t), axis=1)).sum(), bounds=(-5, 5), method="bounded"
    )
    return float(np.exp(fitted.x))
