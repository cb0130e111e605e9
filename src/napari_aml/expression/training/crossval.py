"""Answers to samples that the answering network has not seen."""

from __future__ import annotations

import numpy as np

from napari_aml.expression.training.settings import TrainingSettings
from napari_aml.progress import Progress, Steps
from napari_aml.statistics import grouped_stratified_folds


def out_of_fold_steps(
    x: np.ndarray,
    targets: np.ndarray,
    classes: int,
    settings: TrainingSettings,
    lengths: np.ndarray | None = None,
    *,
    folds: int = 5,
    repeats: int = 1,
    members: int | None = None,
) -> Steps[np.ndarray]:
    """Return out-of-fold logits, float64 (repeats, n, classes), yielding progress.

    Parameters
    ----------
    x, targets, classes, settings, lengths
        As `fit_steps` takes them. Standardisation, keys and everything else is learnt from the other folds only.
    folds, repeats
        How the samples are dealt; each repeat deals anew.
    members
        Networks of each ensemble; those of `settings` by default.
    """
    from napari_aml.expression.training.fit import fit_steps, logits_of

    if members is not None:
        settings = settings.but(members=members)
    out = np.full((repeats, len(x), classes), np.nan)
    total = folds * repeats
    for r in range(repeats):
        fold = grouped_stratified_folds(targets, None, folds, settings.seed + r)
        for f in range(folds):
            train = fold != f
            steps = fit_steps(x[train], targets[train], classes, settings.but(seed=settings.seed + 7 * r + f), lengths)
            done = r * folds + f
            while True:
                try:
                    inner = next(steps)
                except StopIteration as stop:
                    network = stop.value
                    break
                text = f"fold {done + 1} of {total}"
                yield Progress(int(1000 * (done + inner.fraction)), 1000 * total, text)
            out[r, ~train] = logits_of(network, x[~train])
    return out
