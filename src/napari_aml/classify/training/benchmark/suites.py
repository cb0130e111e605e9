"""What is compared with what: one axis at a time, everything else as the recipe says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import Any

from napari_aml.classify.training.engine import TrainConfig
from napari_aml.errors import InputError

SUITES = ("backbones", "augmentation", "optimizer", "hyperparameters", "imbalance")
#: Networks of about the same size (28, 24 and 22 million parameters).
BACKBONES = ("convnext_tiny", "resnet50", "vit_small_patch16_224")


@dataclass(frozen=True)
class Arm:
    """One recipe in a comparison.

    Attributes
    ----------
    suite
        The axis.
    name
        What it is called in tables.
    config
        The whole recipe.
    control
        Whether the others of the axis are compared with it.
    """

    suite: str
    name: str
    config: TrainConfig = field(repr=False)
    control: bool = False


def arms_of(suite: str, config: TrainConfig, backbones: tuple[str, ...] | None = None) -> list[Arm]:
    """Return the arms of one axis; the control stands first.

    Parameters
    ----------
    suite
        One of `SUITES`.
    config
        The recipe that is varied; it is the control of every axis but the backbones'.
    backbones
        Names of the backbones' axis, each perhaps with arguments (``name:argument=value``); the first is its control.

    Raises
    ------
    InputError
        For an axis that does not exist.
    """
    if suite == "backbones":
        return [
            Arm(suite, *_of_backbone(config, name), control=position == 0)
            for position, name in enumerate(dict.fromkeys(backbones or BACKBONES))
        ]
    changes: dict[str, dict[str, Any]]
    if suite == "augmentation":
        changes = {
            name: {"augmentation": name} for name in ("none", "turns", "geometry", "stain", "standard", "strong")
        }
        control = config.augmentation
    elif suite == "optimizer":
        # One rate would be unfair to optimisers whose steps are of another size; these factors were set beforehand.
        rates = {"adamw": 1.0, "adam": 1.0, "nadam": 1.0, "rmsprop": 0.3, "sgd": 30.0, "lion": 0.3}
        changes = {name: {"optimiser": name, "rate": min(100.0, config.rate * f)} for name, f in rates.items()}
        control = config.optimiser
    elif suite == "imbalance":
        changes = {
            name: {"imbalance": name} for name in ("none", "logit-adjustment", "class-weights", "balanced-sampling")
        }
        control = config.imbalance
    elif suite == "hyperparameters":
        changes, control = _hyperparameters(config), "as given"
    else:
        raise InputError(f"There is no suite '{suite}'.", f"There are {', '.join(SUITES)} and all.")
    arms = [Arm(suite, name, config.changed(**change), name == control) for name, change in changes.items()]
    if not any(arm.control for arm in arms):
        arms.insert(0, Arm(suite, control, config, True))
    return sorted(arms, key=lambda arm: not arm.control)


def _hyperparameters(config: TrainConfig) -> dict[str, dict[str, Any]]:
    halved = max(config.accumulate, config.batch // 2 // config.accumulate * config.accumulate)
    return {
        "as given": {},
        "rate / 3": {"rate": config.rate / 3},
        "rate x 3": {"rate": min(100.0, config.rate * 3)},
        "batch / 2": {"batch": halved},
        "no Mixup" if config.mixup else "Mixup 0.2": {"mixup": 0.0 if config.mixup else 0.2},
        "Mixup 0.8": {"mixup": 0.8},
        "no SWA" if config.swa else "SWA": {"swa": 0.0 if config.swa else 0.25},
        "EMA 0.99 for SWA": {"swa": 0.0, "ema": 0.99},
        "no label smoothing": {"label_smoothing": 0.0},
        "no drop path": {"drop_path": 0.0},
        "no weight decay": {"weight_decay": 0.0},
    }


def _of_backbone(config: TrainConfig, given: str) -> tuple[str, TrainConfig]:
    """Name and recipe of a backbone; ``vit_tiny_patch16_224:patch_size=8`` gives it arguments of its own.

    Arguments that only the recipe's own backbone takes are left away for others.
    """
    name, *own = given.split(":")
    arguments = dict(config.backbone_args) if name.split("_")[0] == config.backbone.split("_")[0] else {}
    if name.startswith("convnext") and not (config.pretrained or config.weights or arguments):
        # timm's start of 1e-6 is meant for 300 epochs of ImageNet: in a short training the blocks would stay asleep.
        arguments = {"ls_init_value": 0.3}
    for part in own:
        key, _, value = part.partition("=")
        try:
            arguments[key.strip()] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"'{part}' of the backbone '{given}' is no argument.",
                "Write name:argument=value, such as vit_tiny_patch16_224:patch_size=8.",
            ) from error
    shown = name if not own else f"{name} ({', '.join(own)})"
    return shown, config.changed(backbone=name, backbone_args=arguments)
