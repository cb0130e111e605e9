"""Judge a bundle on a labelled dataset that it did not learn from: one report of everything about trust."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.classify.trust.calibrating import Calibration, calibrate
from napari_aml.classify.trust.probes import PROBES, auroc, red_cells, site_probe, with_plain_background
from napari_aml.classify.trust.subgroups import subgroup_rows
from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.predictions import Predictions
    from napari_aml.classify.sources import CropSource
    from napari_aml.datasets import Dataset

#: Cells that the costly probes look at, at most.
_PROBED = 150


@dataclass(frozen=True)
class TrustReport:
    """What was found.

    Attributes
    ----------
    bundle_id, dataset, leakage
        What was judged on what, and the level at which the dataset can be split.
    figures
        Nested figures: accuracy and calibration with intervals, as the bundle is and after a new temperature
        (judged on cells that the temperature was not fitted to), sets, likeness, probes.
    subgroups
        Rows of sex, age band, site and scanner.
    reliability
        Bins of confidence, hits and counts, for the plot.
    risk
        Coverage and error, for the plot.
    calibration
        Fitted to all cells: what `save_calibrated` stores.
    notes
        What a person should know.
    """

    bundle_id: str
    dataset: str
    leakage: str
    figures: dict[str, Any]
    subgroups: list[dict[str, Any]]
    reliability: Any = field(repr=False)
    risk: Any = field(repr=False)
    calibration: Calibration = field(repr=False)
    notes: tuple[str, ...] = ()


def trust_steps(
    bundle: ModelBundle, dataset: Dataset, *, device: str = "auto", seed: int = 0, probes: bool = True
) -> Steps[TrustReport]:
    """Judge a bundle.

    Parameters
    ----------
    bundle
        The bundle.
    dataset
        Labelled cells that it did not learn from.
    device
        Where the network runs.
    seed
        Of folds and draws.
    probes
        Also run the probes (blur, covered cells, red cells, plain background): they cost a few passes.

    Raises
    ------
    InputError
        When fewer than 20 cells have a class that the bundle knows.
    """
    from napari_aml.classify.dataset_crops import DatasetCrops
    from napari_aml.classify.predict import predict_steps
    from napari_aml.classify.recolouring import recoloured_steps
    from napari_aml.statistics import classification_metrics, grouped_stratified_folds, reliability, risk_coverage

    labels = dataset.table["code"].to_numpy(object)
    known = np.isin(labels.astype(str), bundle.codes)
    rows = np.flatnonzero(known)
    foreign = np.setdiff1d(dataset.labelled, rows)
    if len(rows) < 20:
        raise InputError(
            f"Only {len(rows)} cells of '{dataset.name}' have a class that the bundle '{bundle.name}' knows.",
            "Judge it on at least 20 such cells.",
        )
    crops = DatasetCrops(dataset, rows, bundle.crop_um, bundle.crop_px)
    source, _ = yield from recoloured_steps(crops, bundle)
    said = yield from _quietly(predict_steps(bundle, source, device), "Classifying")
    targets = np.array([bundle.codes.index(c) for c in labels[rows]], int)
    groups = np.asarray(dataset.groups)[rows]
    probabilities = said.probabilities.astype(float)
    figures: dict[str, Any] = {
        "as it is": classification_metrics(targets, probabilities, bundle.codes, groups=groups, repeats=500)
    }
    fold = grouped_stratified_folds(targets, groups, 2, seed)
    figures["calibrated on the other half"], figures["sets"] = _halves(bundle, said, targets, groups, fold)
    notes = []
    if probes:
        figures["unlike"] = yield from _likeness(bundle, dataset, source, said, targets, fold, foreign, device, seed)
        figures["shortcut"] = yield from _shortcut(bundle, source, said, device, seed)
    sites = _sites(dataset)[rows]
    figures["site probe"] = {"balanced_accuracy": site_probe(said.embedding, sites, groups, seed),
                             "sites": sorted(set(map(str, sites)))}  # fmt: skip
    if figures["site probe"]["balanced_accuracy"] > 0.95:
        notes.append("The embedding tells without fail where a cell was pictured: classes may lean on the site.")
    calibration = calibrate(probabilities, said.embedding, targets, bundle.codes, bundle.temperature, groups=groups)
    if insufficient := calibration.sets.insufficient:
        notes.append(f"Insufficient calibration: {', '.join(insufficient)} (too few cells): sets cannot exclude them.")
    return TrustReport(
        bundle.bundle_id, dataset.name, dataset.leakage.text, figures,
        subgroup_rows(dataset, rows, targets, probabilities, bundle.codes, groups),
        reliability(probabilities, targets), risk_coverage(probabilities, targets), calibration, tuple(notes),
    )  # fmt: skip


def _quietly(steps: Steps[Predictions], words: str) -> Steps[Predictions]:
    try:
        while True:
            event = next(steps)
            yield Progress(event.done, event.total, words)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _halves(
    bundle: ModelBundle, said: Predictions, targets: np.ndarray, groups: np.ndarray, fold: np.ndarray
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each half calibrated on the other: what calibration is worth on cells that it was not fitted to."""
    from napari_aml.statistics import classification_metrics, set_summary, softmax

    after = np.zeros_like(said.probabilities, dtype=float)
    sets: list[tuple[str, ...]] = [()] * len(targets)
    for k in (0, 1):
        learn, judge = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        fitted = calibrate(
            said.probabilities[learn], said.embedding[learn], targets[learn], bundle.codes, bundle.temperature,
            groups=groups[learn],
        )  # fmt: skip
        logits = bundle.temperature * np.log(np.maximum(said.probabilities[judge].astype(float), 1e-12))
        after[judge] = softmax(logits, fitted.temperature)
        for i, found in zip(judge, fitted.sets.sets(after[judge]), strict=True):
            sets[i] = found
    figures = classification_metrics(targets, after, bundle.codes, groups=groups, repeats=300)
    return figures, set_summary(sets, targets, bundle.codes)


def _likeness(
    bundle: ModelBundle,
    dataset: Dataset,
    source: CropSource,
    said: Predictions,
    targets: np.ndarray,
    fold: np.ndarray,
    foreign: np.ndarray,
    device: str,
    seed: int,
) -> Generator[Progress, None, dict[str, Any]]:
    """Score fitted on one half; the other half is inside, altered pictures and unknown classes are outside."""
    from napari_aml.classify.dataset_crops import DatasetCrops
    from napari_aml.classify.predict import predict_steps
    from napari_aml.statistics import EmbeddingScore

    learn, judge = np.flatnonzero(fold == 0), np.flatnonzero(fold == 1)
    rng = np.random.default_rng(seed)
    some = rng.permutation(judge)[:_PROBED]
    crops, scale = source.read(some), bundle.crop_um / bundle.crop_px
    outside = {name: alter(crops, scale) for name, alter in PROBES.items()}
    yield Progress(0, 0, "Looking for red cells")
    outside["red cells"] = red_cells(_PROBED, bundle.crop_um, bundle.crop_px, seed)
    if len(foreign):
        kept = rng.permutation(foreign)[:_PROBED]
        of_foreign = DatasetCrops(dataset, kept, bundle.crop_um, bundle.crop_px)
        outside["classes it does not know"] = of_foreign.read(np.arange(len(kept)))
    out: dict[str, Any] = {}
    scores = {m: EmbeddingScore.fit(said.embedding[learn], targets=targets[learn], method=m)
              for m in ("mahalanobis", "knn")}  # fmt: skip
    inside = {m: s.score(said.embedding[judge]) for m, s in scores.items()}
    for name, pictures in outside.items():
        if not len(pictures):
            continue
        seen = yield from _quietly(predict_steps(bundle, pictures, device), name)
        out[name] = {
            m: {"auroc": auroc(inside[m], s.score(seen.embedding)),
                "flagged": float(s.unlike(seen.embedding).mean()), "n": len(pictures)}
            for m, s in scores.items()
        }  # fmt: skip
    out["cells like the training cells"] = {
        m: {"flagged": float((inside[m] > s.threshold).mean()), "n": len(judge)} for m, s in scores.items()
    }
    # A class at a time taken out of the fit: how well would a class be noticed that nobody taught?
    for code in bundle.codes:
        mine = targets == bundle.codes.index(code)
        if mine[judge].sum() < 5 or (~mine)[learn].sum() < 20:
            continue
        s = EmbeddingScore.fit(said.embedding[learn][~mine[learn]], targets=targets[learn][~mine[learn]])
        own, rest = s.score(said.embedding[judge][mine[judge]]), s.score(said.embedding[judge][~mine[judge]])
        out[f"{code}, left out of the fit"] = {
            "mahalanobis": {"auroc": auroc(rest, own), "flagged": float((own > s.threshold).mean()), "n": len(own)}
        }
    return out


def _shortcut(
    bundle: ModelBundle, source: CropSource, said: Predictions, device: str, seed: int
) -> Generator[Progress, None, dict[str, Any]]:
    """Replace everything but the cell by a plain background: a word that changes did not rest on the cell."""
    from napari_aml.classify.predict import predict_steps

    some = np.sort(np.random.default_rng(seed).permutation(len(said))[:_PROBED])
    yield Progress(0, 0, "Replacing backgrounds")
    plain = with_plain_background(source.read(some), bundle.crop_um / bundle.crop_px)
    seen = yield from _quietly(predict_steps(bundle, plain, device), "plain background")
    changed = seen.index != said.index[some]
    distance = 0.5 * np.abs(seen.probabilities - said.probabilities[some]).sum(1)
    return {"n": len(some), "changed_class": float(changed.mean()), "mean_change": float(distance.mean())}


def _sites(dataset: Dataset) -> np.ndarray:
    """What tells sites apart, the first column that does: site, scanner, source."""
    for column in ("site", "scanner", "source"):
        values = dataset.table[column].fillna("").astype(str).to_numpy(object)
        if len(set(values) - {""}) > 1:
            return values
    return np.full(len(dataset), dataset.name, object)
