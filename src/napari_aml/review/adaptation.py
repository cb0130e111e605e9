"""Site adaptation: a bundle learns a new scanner or stain from at most a hundred labelled cells.

These ways are tried on the same folds: `stain` recolours the pictures to a stain that the bundle knows
(`classify.recolouring`), as the main job does with slides; `colours` moves the bundle's colour normalisation so that
the new site's pictures have the channel means and spreads that the bundle was trained on (Reinhard et al. 2001, here in
RGB); `head` corrects the last layer, held to what the network says (`review.teach.head`), alone or with either;
`fine-tune` trains all but the first layers for a short while, with the colours moved where that can be done
(`review.tuning`). What is least wrong on held-out cells is kept, the network as it was among them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.classify.recolouring import RecolouredCrops, crops_stain_steps
from napari_aml.errors import BundleError, InputError
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml._torch import Device
    from napari_aml.cells.stain import Stain
    from napari_aml.classify import ModelBundle, Predictions
    from napari_aml.classify.sources import CropSource
    from napari_aml.review.teach.head import Head
    from napari_aml.review.tuning import Tuned

#: Least intrusive first: of two ways that do alike the earlier one is kept.
WAYS = ("as it was", "stain", "colours", "head", "stain+head", "colours+head", "fine-tune")
#: Labelled cells that are used at most, spread evenly over the classes.
MOST_CELLS = 100
_FEWEST_CELLS = 10


@dataclass(frozen=True)
class Attempt:
    """One way, judged on cells that it was not fitted to.

    Attributes
    ----------
    way
        One of `WAYS`.
    log_loss
        Mean over the held-out cells, nats.
    standard_error
        Of the difference of `log_loss` to that of the network as it was.
    metrics
        `napari_aml.statistics.classification_metrics`.
    """

    way: str
    log_loss: float
    standard_error: float
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Adaptation:
    """What was tried and what is kept.

    Attributes
    ----------
    bundle
        The bundle before.
    attempts
        Every way on the same held-out cells.
    chosen
        The way that is kept.
    mean, std
        Normalisation of the chosen way.
    head
        Correction of the last layer, or None.
    tuned
        The fine-tuned network when that is kept, or None.
    stain
        The new site's, or None where it could not be measured.
    cells
        Labelled cells that were used.
    notes
        What a person should know, in words.
    """

    bundle: ModelBundle
    attempts: tuple[Attempt, ...]
    chosen: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    head: Head | None = field(repr=False)
    cells: int = 0
    notes: tuple[str, ...] = ()
    tuned: Tuned | None = field(default=None, repr=False)
    stain: Stain | None = None

    def attempt(self, way: str) -> Attempt:
        """Return one attempt."""
        return next(a for a in self.attempts if a.way == way)


def adapt_steps(
    bundle: ModelBundle,
    crops: CropSource,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    device: Device | str = "auto",
    fine_tune: bool = True,
) -> Steps[Adaptation]:
    """Adapt a bundle to labelled cells of a new site.

    Parameters
    ----------
    bundle
        The bundle.
    crops
        The cells' pictures, as the bundle takes them.
    labels
        object (n,): class code of each cell; codes that the bundle does not know are left out and said.
    groups
        (n,) patients or near-duplicates: they stay on one side of a split.
    folds, seed
        Of the cross-validation.
    device
        Where the network runs.
    fine_tune
        Whether to try the fine-tune, which takes far longer than the others.

    Raises
    ------
    InputError
        When fewer than ten cells or two classes are left.
    """
    labels = np.asarray(labels, object)
    rows, notes = _chosen_rows(bundle, labels, seed)
    targets = np.array([bundle.codes.index(c) for c in labels[rows]], int)
    group = rows.astype(str) if groups is None else np.asarray(groups, object)[rows].astype(str)
    source = _Some(crops, rows)
    moved = yield from _moved_normalisation(bundle, source)
    if moved is None:
        notes.append("The bundle does not say what colours it was trained on: its normalisation was not moved.")
    stain, choice = yield from crops_stain_steps(source, bundle.crop_um / bundle.crop_px, bundle.stains)
    plain = (bundle.mean, bundle.std)
    seen: list[tuple[str, Any, CropSource]] = [("as it was", plain, source)]
    if choice is not None and choice.recolouring is not None:
        seen.append(("stain", plain, RecolouredCrops(source, choice.recolouring)))
    if moved is not None:
        seen.append(("colours", moved, source))
    judged: dict[str, tuple[np.ndarray, Head | None, Any]] = {}
    for name, normalisation, pictures in seen:
        said = yield from _predict(bundle, normalisation, pictures, device, name)
        judged[name] = (said.probabilities, None, normalisation)
        chances, head = _corrected(said, targets, group, folds, seed)
        judged["head" if name == "as it was" else f"{name}+head"] = (chances, head, normalisation)
        yield Progress(0, 0, f"Judged: {name}")
    tuned = None
    if fine_tune:
        from napari_aml.review.tuning import tuned_steps

        normalisation = moved or plain
        pixels = source.read(np.arange(len(source)))
        tuned = yield from tuned_steps(
            bundle, normalisation, pixels, targets, group, folds=folds, seed=seed, device=device
        )
        judged["fine-tune"] = (tuned.probabilities, None, normalisation)
    attempts = tuple(_attempt(way, judged, targets, bundle.codes, group) for way in WAYS if way in judged)
    chosen = _choose(attempts)
    _, correction, (mean, std) = judged[chosen]
    kept = tuned if chosen == "fine-tune" else None
    return Adaptation(
        bundle, attempts, chosen, tuple(mean), tuple(std), correction, len(rows), tuple(notes), kept, stain
    )


def save_adapted(done: Adaptation, folder: str | Path, *, site: str, licence: str = "") -> ModelBundle:
    """Write the adapted bundle with its card: parent, cells used, every attempt's figures.

    Raises
    ------
    BundleError
        When the network has no linear last layer that a correction could go into.
    """
    from napari_aml.classify.bundle import save_bundle

    parent = done.bundle
    state = dict(parent.state_dict() if done.tuned is None else done.tuned.state)
    temperature = parent.temperature if done.tuned is None else done.tuned.temperature
    if done.head is not None:
        _fold_in(state, done.head, parent)
    kept = {k: v for k, v in parent.card.items() if k not in ("sha256", "conformal", "ood", "metrics")}
    metrics = {a.way: {**a.metrics, "log_loss": a.log_loss} for a in done.attempts}
    card = {
        **kept, "name": f"{parent.name}-{site}", "mean": list(done.mean), "std": list(done.std),
        "temperature": round(temperature, 4),
        "stains": _stains(done, site),
        "conformal": None, "ood": None,  # fitted to the parent's answers: they no longer hold
        "adaptation": {"parent": parent.bundle_id, "site": site, "way": done.chosen, "cells": done.cells},
        "metrics": {"held-out cells of the new site": metrics},
        "training_data": [*(parent.card.get("training_data") or []),
                          {"name": f"{site} (adaptation)", "n": done.cells, "licence": licence or "not stated"}],
    }  # fmt: skip
    return save_bundle(folder, state, card)


def _stains(done: Adaptation, site: str) -> list[dict[str, Any]]:
    """Return the stains of the adapted bundle: slides of what it was adapted to must come to it as the cells did.

    Where these were recoloured the parent's stains hold, and slides are recoloured as they were. Otherwise the new
    site's stain is one that it knows; the parent's stay known as long as the normalisation did.
    """
    before = list(done.bundle.card.get("stains") or [])
    if done.chosen in ("as it was", "stain", "stain+head"):
        return before
    if done.stain is None:  # its slides cannot be told from others: none are recoloured
        return []
    moved = (done.mean, done.std) != (done.bundle.mean, done.bundle.std)
    return [{"source": site, **done.stain.facts()}, *([] if moved else before)]


class _Some:
    """Some rows of a crop source."""

    def __init__(self, source: CropSource, rows: np.ndarray) -> None:
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def order(self) -> np.ndarray:
        return np.arange(len(self._rows))

    def read(self, rows: np.ndarray, zoom: float = 1.0) -> np.ndarray:
        return self._source.read(self._rows[np.asarray(rows, int)], zoom)


def _chosen_rows(bundle: ModelBundle, labels: np.ndarray, seed: int) -> tuple[np.ndarray, list[str]]:
    known = np.array([c in bundle.codes for c in labels], bool)
    notes = []
    for code in sorted({str(c) for c in labels[~known]} - {""}):
        n = int((labels == code).sum())
        notes.append(f"{n} cell(s) of '{code}' were left out: the bundle does not know this class.")
    rows = np.flatnonzero(known)
    classes = sorted(set(labels[rows]))
    if len(rows) < _FEWEST_CELLS or len(classes) < 2:
        raise InputError(
            f"{len(rows)} labelled cells of {len(classes)} class(es) that the bundle knows are too few to adapt it.",
            f"Label at least {_FEWEST_CELLS} cells of two classes or more.",
        )
    if len(rows) > MOST_CELLS:
        # Round and round the classes, so that rare ones are all taken.
        rng = np.random.default_rng(seed)
        turns = np.concatenate([np.argsort(rng.random(int((labels[rows] == c).sum()))) for c in classes])
        at = np.concatenate([rows[labels[rows] == c] for c in classes])
        rows = np.sort(at[np.argsort(turns, kind="stable")[:MOST_CELLS]])
        notes.append(f"{MOST_CELLS} of {int(known.sum())} labelled cells were used, evenly over the classes.")
    return rows, notes


def _moved_normalisation(
    bundle: ModelBundle, source: CropSource
) -> Generator[Progress, None, tuple[tuple[float, ...], tuple[float, ...]] | None]:
    """Return mean and std under which the new pictures look to the network as its training pictures did."""
    reference = bundle.card.get("picture_statistics")
    if not isinstance(reference, dict):
        return None
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    for start in range(0, len(source), 32):
        yield Progress(start, len(source), "Measuring the colours")
        pixels = source.read(np.arange(start, min(start + 32, len(source)))).reshape(-1, 3) / 255.0
        sums, squares, count = sums + pixels.sum(0), squares + (pixels**2).sum(0), count + len(pixels)
    centre = sums / count
    spread = np.sqrt(np.maximum(squares / count - centre**2, 1e-6))
    wanted_centre, wanted_spread = np.array(reference["mean"], float), np.array(reference["std"], float)
    # ((x - centre) / spread * wanted_spread + wanted_centre - mean) / std, written as (x - m) / s.
    ratio = spread / wanted_spread
    mean = centre + (np.array(bundle.mean) - wanted_centre) * ratio
    return tuple(mean.tolist()), tuple((np.array(bundle.std) * ratio).tolist())


def _predict(
    bundle: ModelBundle, normalisation: tuple[Any, Any], source: CropSource, device: Device | str, name: str
) -> Steps[Predictions]:
    from napari_aml.classify import predict_steps

    mean, std = normalisation
    card = {**bundle.card, "mean": list(mean), "std": list(std)}
    steps = predict_steps(replace(bundle, card=card, _idle={}), source, device)
    try:
        while True:
            event = next(steps)
            yield replace(event, message=f"Classifying: {name}", payload=None)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _corrected(
    said: Predictions, targets: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> tuple[np.ndarray, Head]:
    from napari_aml.review.teach.head import Scale, choose_pull, fit_head, out_of_fold

    scale, offset = Scale.of(said.embedding), offsets(said.probabilities)
    pull = choose_pull(said.embedding, offset, targets, scale, groups)
    chances = out_of_fold(said.embedding, offset, targets, pull, scale, groups=groups, folds=folds, seed=seed)
    return chances, fit_head(said.embedding, offset, targets, pull, scale)


def offsets(probabilities: np.ndarray) -> np.ndarray:
    """Return log-probabilities without a floor, float32 (n, k): the correction will stand on the raw logits."""
    return np.log(np.maximum(probabilities, 1e-30)).astype(np.float32)


def _attempt(
    way: str, judged: dict[str, Any], targets: np.ndarray, codes: tuple[str, ...], groups: np.ndarray
) -> Attempt:
    from napari_aml.statistics import classification_metrics

    at = np.arange(len(targets))
    loss = -np.log(np.maximum(judged[way][0][at, targets], 1e-6))
    before = -np.log(np.maximum(judged["as it was"][0][at, targets], 1e-6))
    error = float((loss - before).std() / np.sqrt(len(loss)))
    metrics = classification_metrics(targets, judged[way][0].astype(float), codes, groups=groups, repeats=300)
    return Attempt(way, float(loss.mean()), error, metrics)


def _choose(attempts: tuple[Attempt, ...]) -> str:
    """The least held-out loss, if it beats the network as it was by more than one standard error."""
    before = attempts[0]
    best = min(attempts, key=lambda a: a.log_loss)
    return best.way if best.log_loss + best.standard_error < before.log_loss else before.way


def _fold_in(state: dict[str, Any], head: Head, bundle: ModelBundle) -> None:
    """Put a correction of log-probabilities into the last linear layer: logits / T + e·W + b."""
    from napari_aml._torch import torch

    name = bundle.network("cpu").model.default_cfg.get("classifier")
    if not isinstance(name, str) or f"{name}.bias" not in state:
        raise BundleError(
            f"The last layer of '{bundle.backbone}' cannot take a correction.", "Fine-tune the bundle instead."
        )
    t = bundle.temperature
    state[f"{name}.weight"] = state[f"{name}.weight"] + t * torch.from_numpy(np.ascontiguousarray(head.weight.T))
    state[f"{name}.bias"] = state[f"{name}.bias"] + t * torch.from_numpy(np.asarray(head.bias))
