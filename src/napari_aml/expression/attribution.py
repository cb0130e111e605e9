"""Which genes speak for a class: integrated gradients, how complete they are, and what removing genes does.

Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365; captum) share the difference between the class's logit
of a sample and of the reference profile out among the genes. The shares must sum to that difference; how far they do is
shown beside every explanation. Attention is never used as an explanation.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.bundle import ExpressionBundle
from napari_aml.progress import Progress, Steps, run

#: Relative gap between the sum of attributions and the difference of logits above which an explanation is flawed.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Attributions:
    """What each gene adds to a class's logit, from the reference profile to the sample.

    Attributes
    ----------
    samples, genes
        Names.
    targets
        Class explained for each sample.
    values
        float32 (samples, genes), in units of the logit.
    difference
        (samples,) logit of the sample minus logit of the reference.
    gap
        (samples,) difference minus the sum of the attributions.
    reference
        What the profiles are compared with, in words.
    """

    samples: tuple[str, ...]
    genes: tuple[str, ...]
    targets: tuple[str, ...]
    values: np.ndarray
    difference: np.ndarray
    gap: np.ndarray
    reference: str

    @property
    def complete(self) -> np.ndarray:
        """Whether the attributions sum to the difference, within `TOLERANCE` of it or of one logit unit: bool."""
        return np.abs(self.gap) <= TOLERANCE * np.maximum(np.abs(self.difference), 1.0)

    def top(self, sample: int, most: int = 20) -> list[tuple[str, float]]:
        """Return the genes that speak loudest for or against, loudest first."""
        row = self.values[sample]
        return [(self.genes[i], float(row[i])) for i in np.argsort(-np.abs(row), kind="stable")[:most]]

    def mean(self, target: str) -> np.ndarray:
        """Return the mean attribution of each gene over the samples explained for a class, NaN without any."""
        rows = np.array([t == target for t in self.targets], bool)
        return self.values[rows].mean(0) if rows.any() else np.full(len(self.genes), np.nan)


def attribute_steps(
    bundle: ExpressionBundle,
    x: np.ndarray,
    samples: Sequence[str],
    targets: Sequence[str] | None = None,
    *,
    steps: int = 64,
) -> Steps[Attributions]:
    """Explain samples by integrated gradients, yielding progress.

    Parameters
    ----------
    bundle
        The model.
    x
        (n, genes) prepared rows.
    samples
        Their names.
    targets
        Class to explain for each; by default the model's call.
    steps
        Points on the way from the reference to the sample.

    Raises
    ------
    InputError
        When shapes do not fit or a class is unknown.
    """
    from captum.attr import IntegratedGradients

    from napari_aml._torch import torch

    x = np.asarray(x, np.float32)
    if x.shape != (len(samples), len(bundle.genes)):
        raise InputError(f"Rows of shape {x.shape} do not fit {len(samples)} samples of {len(bundle.genes)} genes.")
    network = bundle.network()
    # float64: with float32 the rounding of many small shares would look like incompleteness.
    network = network.double()
    baseline = torch.from_numpy(bundle.reference)[None]
    with torch.inference_mode():
        logits = np.concatenate([network(torch.from_numpy(row[None]).double()).numpy() for row in x]) if len(x) else x
        zero = network(baseline).numpy()[0]
    codes = list(bundle.codes)
    if targets is None:
        targets = [codes[i] for i in logits.argmax(1)] if len(x) else []
    unknown = next((t for t in targets if t not in codes), None)
    if unknown is not None:
        raise InputError(f"The model has no class '{unknown}'.", f"It has {', '.join(codes)}.")
    method = IntegratedGradients(network)
    values = np.zeros(x.shape, np.float32)
    difference, gap = np.zeros(len(x)), np.zeros(len(x))
    last = time.monotonic()
    for i, target in enumerate(targets):
        column = codes.index(target)
        found = method.attribute(
            torch.from_numpy(x[i : i + 1]).double(), baseline, target=column, n_steps=steps, internal_batch_size=32
        )
        exact = found.detach().numpy()[0]
        values[i] = exact
        difference[i] = logits[i, column] - zero[column]
        gap[i] = difference[i] - exact.sum()
        if time.monotonic() - last > 0.2:
            last = time.monotonic()
            yield Progress(i + 1, len(x), "Explaining samples")
    words = "the mean profile of the training samples" if bundle.summary else "no expression at all"
    yield Progress(len(x), len(x), "Explaining samples")
    return Attributions(tuple(samples), bundle.genes, tuple(targets), values, difference, gap, words)


def attribute(bundle: ExpressionBundle, x: np.ndarray, samples: Sequence[str], **settings: Any) -> Attributions:
    """Explain samples; `attribute_steps` driven to its end."""
    return run(attribute_steps(bundle, x, samples, **settings))


@dataclass(frozen=True)
class Ablation:
    """What removing genes does to the explained class's logit.

    Attributes
    ----------
    removed
        How many genes were set to the reference, one entry a stage.
    top, random
        (stages, samples) drop of the logit when the genes with the highest attributions, or random ones (mean of
        several draws), are removed.
    draws
        Random draws.
    better
        (stages,) share of samples whose drop is greater than that of every random draw.
    p
        (stages,) one-sided sign test that the top genes' drop exceeds the random one.
    """

    removed: tuple[int, ...]
    top: np.ndarray
    random: np.ndarray
    draws: int
    better: np.ndarray
    p: np.ndarray


def ablate_steps(
    bundle: ExpressionBundle,
    x: np.ndarray,
    found: Attributions,
    *,
    removed: Sequence[int] = (5, 20, 50),
    draws: int = 20,
    seed: int = 0,
) -> Steps[Ablation]:
    """Set the top genes of each sample to the reference, and random genes as often, yielding progress.

    Parameters
    ----------
    bundle, x, found
        Model, prepared rows and their attributions.
    removed
        How many genes.
    draws, seed
        Of the random genes, drawn from those that differ from the reference at all.
    """
    from scipy.stats import binomtest

    from napari_aml._torch import torch

    network = bundle.network()
    reference = bundle.reference.astype(np.float32)
    columns = [bundle.codes.index(t) for t in found.targets]
    removed = tuple(min(int(r), len(bundle.genes)) for r in removed)
    top, spread = np.zeros((len(removed), len(x))), np.zeros((len(removed), draws, len(x)))
    rng = np.random.default_rng(seed)
    last = time.monotonic()

    def drop(rows: np.ndarray, column: int, before: float) -> np.ndarray:
        with torch.inference_mode():
            return before - network(torch.from_numpy(rows)).numpy()[:, column]

    for i, column in enumerate(columns):
        row = x[i].astype(np.float32)
        order = np.argsort(-found.values[i], kind="stable")
        differs = np.flatnonzero(np.abs(row - reference) > 1e-6)
        before = -float(drop(row[None], column, 0.0)[0])
        for s, many in enumerate(removed):
            rows = np.tile(row, (draws + 1, 1))
            rows[0, order[:many]] = reference[order[:many]]
            for d in range(draws):
                chosen = rng.choice(differs, min(many, len(differs)), replace=False)
                rows[d + 1, chosen] = reference[chosen]
            falls = drop(rows, column, before)
            top[s, i], spread[s, :, i] = falls[0], falls[1:]
        if time.monotonic() - last > 0.2:
            last = time.monotonic()
            yield Progress(i + 1, len(x), "Removing genes")
    yield Progress(len(x), len(x), "Removing genes")
    mean = spread.mean(1)
    wins = (top > mean).sum(1)
    p = np.array([binomtest(int(w), len(x), 0.5, alternative="greater").pvalue if len(x) else np.nan for w in wins])
    better = (top[:, None] > spread).all(1).mean(1) if len(x) else np.full(len(removed), np.nan)
    return Ablation(removed, top, mean, draws, better, p)
