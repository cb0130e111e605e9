"""Small expression sets and bundles that several test files use."""

from __future__ import annotations

import numpy as np

from napari_aml.expression.training.data import TrainingRows

CLASSES = ("A", "B", "other")


def small_rows(n: int = 60, genes: int = 40, seed: int = 0) -> TrainingRows:
    """Three classes, A and B each with five genes of their own."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 3
    log = rng.normal(6, 0.6, (n, genes)) + rng.normal(0, 1, genes)
    for c in range(2):
        log[targets == c, 5 * c : 5 * c + 5] += 3
    linear = 2**log
    x = np.log2(linear / linear.sum(1, keepdims=True) * 1e6 + 1)
    names = tuple(f"S{i}" for i in range(n))
    panel = tuple(f"GENE{i}" for i in range(genes))
    lengths = rng.uniform(500, 5000, genes)
    return TrainingRows(names, panel, x, targets, CLASSES, lengths, "small.csv", "tpm")


def prepared(rows: TrainingRows, missing: tuple[str, ...] = (), reference: np.ndarray | None = None):
    """Rows as `prepare` would give them."""
    from napari_aml.expression.prepare import PreparedSamples

    values = rows.x.astype(np.float32)
    filled = None
    if missing:
        columns = [rows.genes.index(g) for g in missing]
        values[:, columns] = 0
        if reference is not None:
            filled = values.copy()
            filled[:, columns] = reference[columns]
    n = len(values)
    return PreparedSamples(
        rows.samples, rows.genes, values, filled, missing, ("ok",) * n, ((),) * n, np.ones(n), "tpm"
    )  # fmt: skip
