"""Which genes a call rests on, and where samples lie: the expression room's answers in the words of the review."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.progress import Steps
from napari_aml.review.patient_sample import GeneEvidence, SamplePlaces

if TYPE_CHECKING:
    from napari_aml.expression.bundle import ExpressionBundle
    from napari_aml.expression.mapping import SampleMap
    from napari_aml.review.patient_sample import OpenedExpression

#: Spaces that samples can be mapped in: our name → that of the expression room, title.
SPACES = {"network": ("last layer", "the network's last layer"), "expression": ("expression", "plain expression")}
_MOST_GENES = 50


def gene_evidence_steps(opened: OpenedExpression, sample: str, target: str | None = None) -> Steps[GeneEvidence]:
    """Explain one sample's call by integrated gradients, yielding progress.

    Parameters
    ----------
    opened, sample
        The file and one of its samples.
    target
        Class to explain; None for the one that was called.

    Raises
    ------
    InputError
        When the model is not at hand or has no such class, or no class is named for a sample that it refused.
    """
    from napari_aml.expression.attribution import TOLERANCE, attribute_steps

    bundle, rows = _model(opened)
    target = target or opened.call(sample).called
    if target is None:
        raise InputError(f"The sample {sample} has no call that genes could speak for.", "Name the class to explain.")
    row = rows[opened.samples.index(sample)][None]
    found = yield from attribute_steps(bundle, row, [sample], [target])
    complete = bool(found.complete[0])
    total = float(found.values[0].sum())
    verdict = "complete" if complete else f"incomplete (more than {TOLERANCE:.0%} apart): do not rely on single genes"
    note = (
        f"Integrated gradients from {found.reference}. The attributions of all {len(found.genes):,} genes sum to "
        f"{total:.2f}, the class's score rises by {float(found.difference[0]):.2f}: {verdict}."
    )
    missing = set(opened.prepared.missing)
    genes = tuple((g, v, "not in the file" if g in missing else "") for g, v in found.top(0, _MOST_GENES))
    return GeneEvidence(found.targets[0], genes, note, complete)


def places_steps(opened: OpenedExpression, method: str = "pca", space: str = "network") -> Steps[SamplePlaces]:
    """Place a file's samples beside each other, yielding progress.

    Parameters
    ----------
    opened
        The file.
    method
        ``pca`` or ``umap``.
    space
        ``network`` or ``expression``.

    Raises
    ------
    InputError
        With fewer than three samples, without the model, or without the extra for UMAP.
    """
    from napari_aml.expression.mapping import sample_maps_steps

    bundle, rows = _model(opened)
    usable = [i for i, s in enumerate(opened.samples) if opened.call(s).called is not None]
    samples = [opened.samples[i] for i in usable]
    labels = [str(opened.call(s).called) for s in samples]
    maps = yield from sample_maps_steps(bundle, rows[usable], samples, labels, umap=method == "umap")
    by_space = {m.space: m for m in maps if m.method == method}
    found = by_space[SPACES[space][0]]
    note = _note(by_space, space, method)
    return SamplePlaces(tuple(samples), np.asarray(found.points, float), {}, _axes(found), note)


def _model(opened: OpenedExpression) -> tuple[ExpressionBundle, np.ndarray]:
    """Return the model and the samples' rows as it reads them."""
    if opened.bundle is None or opened.prepared is None:
        raise InputError("The model that made these calls is not at hand.", "Open the expression file again.")
    prepared = opened.prepared
    # As the call sees them: what was not measured is not taken for "not expressed".
    return opened.bundle, prepared.values if prepared.reference_values is None else prepared.reference_values


def _axes(found: SampleMap) -> tuple[str, str]:
    if found.explained is None:
        return f"{found.method.upper()} 1", f"{found.method.upper()} 2"
    first, second = (f"component {i} ({100 * share:.0f} %)" for i, share in enumerate(found.explained, start=1))
    return first, second


def _note(by_space: dict[str, SampleMap], space: str, method: str) -> str:
    name, title = SPACES[space]
    said = [f"{method.upper()} of {title}, {len(by_space[name].samples)} samples."]
    figures = [
        f"{words} {by_space[key].silhouette:.2f} / {by_space[key].ari:.2f}"
        for key, words in SPACES.values()
        if key in by_space and math.isfinite(by_space[key].silhouette)
    ]
    if figures:
        said.append(
            f"How well the calls part (silhouette / ARI): {', '.join(figures)}. The last layer is made to part them."
        )
    return " ".join(said)
