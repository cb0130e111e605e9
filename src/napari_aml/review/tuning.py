"""A short fine-tune of a bundle on few cells, held to what the bundle said before, judged by cross-validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    import torch

    from napari_aml._torch import Device
    from napari_aml.classify import ModelBundle
    from napari_aml.classify.training.engine import TrainConfig

#: Settings of the fine-tune, hardly tuned. The stem and the first stage stay; the bundle's own answers weigh
#: a tenth, so that classes which the new cells do not show are not forgotten.
SETTINGS: dict[str, Any] = {
    "epochs": 10, "batch": 16, "rate": 5e-4, "layer_decay": 0.75, "freeze": 2, "drop_path": 0.0, "mixup": 0.0,
    "swa": 0.25, "imbalance": "none", "distil": 0.1, "softness": 1.0, "hints": 0.0, "augmentation": "standard",
}  # fmt: skip


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned network.

    Attributes
    ----------
    probabilities
        float32 (n, k): what networks say of cells that they were not tuned on, after `temperature`.
    state
        Weights tuned on all cells.
    temperature
        Fitted to the out-of-fold answers: one number, so that they are hardly flattered by it.
    """

    probabilities: np.ndarray
    state: dict[str, torch.Tensor]
    temperature: float


def tuned_steps(
    bundle: ModelBundle,
    normalisation: tuple[Any, Any],
    pixels: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    *,
    folds: int = 5,
    seed: int = 0,
    device: Device | str = "auto",
) -> Steps[Tuned]:
    """Fine-tune on all folds but one, in turn, and on all cells.

    Parameters
    ----------
    bundle
        Where it starts.
    normalisation
        Channel means and deviations that the pictures are normalised by.
    pixels, targets, groups
        uint8 (n, px, px, 3), class index (n,), and what stays on one side of a split (n,).
    folds, seed, device
        As in `adaptation.adapt_steps`.
    """
    from napari_aml._torch import choose_device, convolves_in_bfloat16
    from napari_aml.classify.training.engine import TrainConfig
    from napari_aml.classify.training.engine.judging import temperature_of
    from napari_aml.review.teach.head import _dealt
    from napari_aml.statistics import softmax

    where = choose_device(device) if isinstance(device, str) else device
    if where.type == "cpu" and convolves_in_bfloat16("cpu"):
        where = replace(where, precision="bfloat16")
    config = TrainConfig().changed(
        backbone=bundle.backbone, px=bundle.crop_px, backbone_args=dict(bundle._arguments), seed=seed, **SETTINGS
    )
    names, group = np.unique(groups, return_inverse=True)
    fold = _dealt(targets, group, len(names), min(folds, len(names)), seed)
    logits = np.zeros((len(targets), len(bundle.codes)), np.float32)
    everything = np.ones(len(targets), bool)
    parts = [fold != f for f in range(int(fold.max()) + 1)] if len(names) > 1 else []
    for number, learn in enumerate([*parts, everything], 1):
        what = f"Fine-tuning, {number} of {len(parts) + 1}"
        held = everything & ~learn
        state, said = yield from _one_steps(
            bundle, config, normalisation, pixels[learn], targets[learn], pixels[held], where, what
        )
        if held.any():
            logits[held] = said
    # Few cells that are all told apart would make the network endlessly sure of itself.
    t = float(np.clip(temperature_of(logits, targets), 0.4, 4)) if parts else bundle.temperature
    return Tuned(softmax(logits, t).astype(np.float32), state, t)


def _one_steps(
    bundle: ModelBundle,
    config: TrainConfig,
    normalisation: tuple[Any, Any],
    pixels: np.ndarray,
    targets: np.ndarray,
    held: np.ndarray,
    device: Device,
    what: str,
) -> Steps[tuple[dict[str, torch.Tensor], np.ndarray]]:
    from napari_aml.classify.training.engine.building import build
    from napari_aml.classify.training.engine.crops import Crops
    from napari_aml.classify.training.engine.distilling import Teacher
    from napari_aml.classify.training.engine.loop import Fit
    from napari_aml.classify.training.engine.processes import Processes
    from napari_aml.classify.training.engine.records import Material

    def crops(some: np.ndarray) -> Crops:
        return Crops(np.ascontiguousarray(some), np.arange(len(some)))

    px, (mean, std) = config.px, normalisation
    # Stages that are not there (a network of few) are not fixed.
    network = build(_fixed_as_far_as_it_goes(config), bundle.codes, bundle)[0]
    before = build(config.changed(freeze=0), bundle.codes, bundle)[0]
    teacher = Teacher(before, px, mean, std, list(range(len(bundle.codes))), {"name": bundle.name})
    nothing = crops(np.zeros((0, px, px, 3), np.uint8))
    material = Material(crops(pixels), targets.astype(np.int64), nothing, np.zeros(0, np.int64), len(bundle.codes))
    fit = Fit(network, material, config, device, mean, std, Processes(device.type), None, teacher)
    steps = fit.steps()
    try:
        while True:
            event = next(steps)
            yield Progress(event.done, event.total, what)
    except StopIteration as stop:
        fitted = stop.value
    finally:
        steps.close()
    fit.plain.load_state_dict(fitted.state)
    said = yield from fit.logits_steps(fit.plain, crops(held), what)
    return fitted.state, said


def _fixed_as_far_as_it_goes(config: TrainConfig) -> TrainConfig:
    """Return settings that fix no more stages than leave two to learn."""
    from napari_aml.classify.network import create
    from napari_aml.classify.training.engine.building import parameters_by_stage

    network = create(config.backbone, 2, config.px, config.backbone_args, "the bundle")
    last = max(parameters_by_stage(network))
    return config.changed(freeze=max(0, min(config.freeze, last - 2)))
