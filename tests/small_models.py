"""Small bundles with random weights, for tests of everything but accuracy."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

CODES = ("BAS", "EBO", "EOS", "KSC", "LYA", "LYT", "MMZ", "MOB", "MON", "MYB", "MYO", "NGB", "NGS", "PMB", "PMO", "PLT")


@cache
def random_state(backbone: str, classes: int = len(CODES), seed: int = 0, **arguments: Any) -> dict[str, Any]:
    """The state dict of a freshly initialised timm network, its linear head widened so that classes differ."""
    import timm
    import torch

    torch.manual_seed(seed)
    model = timm.create_model(backbone, num_classes=classes, **arguments)
    head = model.get_classifier()
    torch.nn.init.normal_(head.weight, std=0.5)
    return dict(model.state_dict())


def card(**changes: Any) -> dict[str, Any]:
    """A card that is valid; `changes` replace entries."""
    return {
        "name": "tiny", "version": "0", "backbone": "test_convnext", "class_codes": list(CODES), "crop_um": 25.0,
        "crop_px": 64, "mean": [0.7, 0.6, 0.7], "std": [0.2, 0.25, 0.2], "temperature": 1.3, **changes,
    }  # fmt: skip


def make_bundle(folder: Path, half: bool = False, **changes: Any) -> Any:
    """Write a bundle with random weights and open it."""
    from napari_aml.classify import save_bundle

    filled = card(**changes)
    state = random_state(filled["backbone"], len(filled["class_codes"]))
    return save_bundle(folder, state, filled, half=half)
