"""A file of expression and a table of labels become rows to train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.training.labels import Labels, read_labels
from napari_aml.progress import Steps

if TYPE_CHECKING:
    from napari_aml.expression.lengths import GeneLengths
    from napari_aml.expression.matrix import ExpressionMatrix

#: A wider file is cut to its most variable genes, unless a panel is given.
MOST_GENES = 15_000


@dataclass(frozen=True)
class TrainingRows:
    """Samples with labels, as a model reads them.

    Attributes
    ----------
    samples
        Names.
    genes
        The panel.
    x
        float64 (samples, genes): log2(x + 1) of values that sum to one million over the panel.
    targets
        int64 (samples,) columns of `classes`.
    classes
        Sorted; a class named ``other`` last.
    lengths
        Bases of each gene, float64 (genes,), NaN where unknown.
    source, units, rule
        File name, units of the file, how the labels were made (empty: they stood in the table).
    notes
        What a person should know: samples left out, genes left out.
    """

    samples: tuple[str, ...]
    genes: tuple[str, ...]
    x: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]
    lengths: np.ndarray
    source: str
    units: str
    rule: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each class."""
        return {c: int((self.targets == i).sum()) for i, c in enumerate(self.classes)}


def training_rows_steps(
    data: str | Path,
    labels: str | Path | Labels,
    *,
    panel: Sequence[str] | None = None,
    most_genes: int = MOST_GENES,
    lengths: str | Path | GeneLengths | None = None,
    uncorrected: bool = False,
    least: int = 2,
    sample_column: str | None = None,
    label_column: str | None = None,
    **reading: Any,
) -> Steps[TrainingRows]:
    """Read expression and labels and put them together.

    Parameters
    ----------
    data
        An expression file of any kind that `read_expression` takes.
    labels
        A table of labels, or `Labels`.
    panel
        The genes to use, in order; by default those of the file with any expression, at most `most_genes`, the most
        variable ones first to be kept (no label is looked at).
    lengths
        A table of gene lengths; by default the bundled one.
    uncorrected
        Leave values that are not divided by gene length as they are.
    least
        A class with fewer samples is left out, and said so.
    sample_column, label_column
        Of the table of labels.
    reading
        Overrides of `read_expression` (units, orientation …).

    Raises
    ------
    InputError
        When nothing matches, or fewer than two classes are left.
    """
    from napari_aml.expression.lengths import GeneLengths, bundled_lengths, read_lengths
    from napari_aml.expression.prepare import prepare_steps
    from napari_aml.expression.reading import read_expression_steps

    known = labels if isinstance(labels, Labels) else read_labels(
        labels, sample_column=sample_column, label_column=label_column
    )  # fmt: skip
    matrix: ExpressionMatrix = yield from read_expression_steps(data, **reading)
    said = known.match(matrix.samples)
    notes = [*_unmatched(said, matrix, known)]
    genes = tuple(panel) if panel is not None else _panel(matrix, said, most_genes, notes)
    held = lengths if isinstance(lengths, GeneLengths) else read_lengths(lengths) if lengths else bundled_lengths()
    prepared = yield from prepare_steps(
        matrix, genes, lengths=held if lengths else None, accepts_uncorrected=uncorrected
    )  # fmt: skip
    usable = np.array([label is not None for label in said]) & (np.array(prepared.status) != "unusable")
    counts = Counter(said[usable])
    few = sorted(c for c, n in counts.items() if n < least)
    if few:
        notes.append(f"Left out, with fewer than {least} samples each: {', '.join(few)}.")
    usable &= np.array([label not in few for label in said])
    classes = tuple(sorted(set(counts) - set(few), key=lambda c: (c.lower() == "other", c)))
    if len(classes) < 2:
        raise InputError(
            f"The labels of '{known.source}' leave {len(classes)} class(es) with at least {least} samples each.",
            "Training needs at least two.",
        )
    column = {c: i for i, c in enumerate(classes)}
    rows = np.flatnonzero(usable)
    return TrainingRows(
        tuple(matrix.samples[i] for i in rows),
        genes,
        prepared.values[rows].astype(np.float64),
        np.array([column[said[i]] for i in rows]),
        classes,
        held.of(genes, genes),
        matrix.name,
        matrix.units.value,
        known.rule,
        (*matrix.warnings, *notes),
    )


def _unmatched(said: np.ndarray, matrix: ExpressionMatrix, labels: Labels) -> list[str]:
    without = [s for s, label in zip(matrix.samples, said, strict=True) if label is None]
    if len(without) == len(said):
        raise InputError(
            f"No sample of '{matrix.name}' (such as {', '.join(matrix.samples[:3])}) has a label in '{labels.source}' "
            f"(which names {', '.join(list(labels.by_sample)[:3])}).",
            "Use the same sample names in both files.",
        )
    if not without:
        return []
    # Notes go into the card of a bundle: no names.
    return [f"{len(without)} of {len(said)} samples have no label and are left out."]


def _panel(matrix: ExpressionMatrix, said: np.ndarray, most: int, notes: list[str]) -> tuple[str, ...]:
    """Return the genes with any expression; of too many, those that vary most on the logarithmic scale."""
    rows = np.flatnonzero([label is not None for label in said])
    linear = matrix.linear(rows)
    total = linear.sum(1, keepdims=True)
    log = np.log2(linear / np.where(total > 0, total, 1) * 1e6 + 1)
    spread = log.var(0)
    keep = np.flatnonzero(spread > 0)
    if len(keep) > most:
        notes.append(f"The {most:,} most variable of {len(keep):,} genes are used.")
        keep = np.sort(keep[np.argsort(-spread[keep], kind="stable")[:most]])
    return tuple(matrix.genes[i] for i in keep)
