"""Before and after the loop: how often each picture is drawn, and what a new bundle is calibrated on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.classify.training.engine.crops import Crops
from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.datasets import Dataset
from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_aml._torch import Device
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.classify.training.engine.restaining import Stains

#: Sets and likeness are not fitted to fewer cells.
FEWEST = 30
#: So many training pictures say what colours a bundle was trained on.
_FOR_COLOURS = 600


def drawing_chances(dataset: Dataset, rows: np.ndarray, config: TrainConfig) -> np.ndarray | None:
    """How often each training picture is drawn where the settings share the draws out over sources, else None.

    Raises
    ------
    InputError
        When a source of the dataset gets no share, or a share names no source.
    """
    if not config.source_share:
        return None
    from napari_aml.classify.training.engine.sampling import balanced_weights

    table = dataset.table
    sources = table["source"].to_numpy(str)[rows]
    if set(sources) != set(config.source_share):
        raise InputError(
            f"source_share names {', '.join(sorted(config.source_share))}; the training pictures come from "
            f"{', '.join(sorted(set(sources)))}.",
            "Name each source of the manifest once, or leave source_share away.",
        )
    codes, groups = table["code"].to_numpy(str)[rows], dataset.groups[rows]
    return balanced_weights(codes, sources, groups, config.source_share, config.power)


def calibrated_steps(
    bundle: ModelBundle,
    dataset: Dataset,
    crops: dict[str, Crops],
    targets: np.ndarray,
    device: Device,
    notes: list[str],
    stains: Stains | None = None,
) -> Steps[ModelBundle]:
    """Fit conformal sets and the score of likeness to the validation part and write them into the bundle.

    The card also gets the colours of the training pictures, from which a bundle is adapted to another scanner, and the
    stains of their sources, to which slides of other stains are recoloured.
    """
    from napari_aml.classify.predict import predict
    from napari_aml.classify.sources import ArrayCrops
    from napari_aml.classify.trust.calibrating import calibrate, save_calibrated

    held = crops["validation"]
    if len(targets) < FEWEST:
        notes.append(f"{len(targets)} validation cells are too few for sets and a score of likeness (from {FEWEST}).")
        return bundle
    yield Progress(0, 0, "Calibrating on the validation part")
    said = predict(bundle, ArrayCrops(np.ascontiguousarray(held.pixels), bundle.crop_px), device)
    fitted = calibrate(
        said.probabilities, said.embedding, targets, bundle.codes, bundle.temperature, groups=dataset.groups[held.rows],
        refit_temperature=False,
    )  # fmt: skip
    entries: dict[str, Any] = {"picture_statistics": _colours(crops["train"], bundle.crop_px)}
    if stains is not None and stains.names:
        own = stains.entry()
        entries["stains"] = own + [s for s in bundle.card.get("stains") or [] if s not in own]
    entries["calibrated_on"] = f"{len(targets)} cells of the validation part of {dataset.name}, temperature included"
    return save_calibrated(bundle, fitted, bundle.path, entries)


def _colours(crops: Crops, px: int) -> dict[str, list[float]]:
    """Mean and deviation of the pixels (0…1) of training crops without their margin."""
    chosen = np.random.default_rng(0).permutation(len(crops))[:_FOR_COLOURS]
    edge = (crops.pixels.shape[1] - px) // 2
    pixels = crops.pixels[np.sort(chosen)][:, edge : edge + px, edge : edge + px].reshape(-1, 3) / 255.0
    return {"mean": pixels.mean(0).round(4).tolist(), "std": pixels.std(0).round(4).tolist()}
