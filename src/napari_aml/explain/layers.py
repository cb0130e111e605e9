"""Which layer of a backbone a heatmap looks at, and how its output becomes a picture-like array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import torch

#: The last stage.
LAST = 3


@dataclass(frozen=True)
class Target:
    """A layer to look at.

    Attributes
    ----------
    name
        Its name in the network.
    layer
        The module.
    reshape
        Turns its output into (n, c, g, g).
    """

    name: str
    layer: torch.nn.Module
    reshape: Callable[[torch.Tensor], torch.Tensor]


def choose_target(model: torch.nn.Module, stage: int = LAST) -> Target:
    """Choose the layer of a timm network that stands for a stage.

    Stage 3 is the last one and coarsest (1/32 of the crop's side in a ConvNeXt or ResNet), stage 2 is twice as fine,
    and so on. The layers are those that timm lists as the ends of stages (``feature_info``): ``stages.0…3`` of a
    ConvNeXt, ``layer1…4`` of a ResNet, ``layers.0…3`` of a Swin. A plain vision transformer has no stages: its blocks
    are taken in quarters, and of the chosen block the input to the attention (``norm1``), because behind the last
    block only the class token reaches the logits.

    Raises
    ------
    InputError
        When the backbone has no such stage.
    """
    listed: Any = getattr(model, "feature_info", [])
    ends = [str(entry["module"]) for entry in listed]
    modules = dict(model.named_modules())
    if not 0 <= stage <= LAST or not ends or any(end not in modules for end in ends):
        raise InputError(f"There is no stage {stage} to explain in a {type(model).__name__}.", "Stages are 0 to 3.")
    if hasattr(model, "blocks") and hasattr(model, "patch_embed") and hasattr(modules[ends[-1]], "norm1"):
        block = ends[max(0, round(len(ends) * (stage + 1) / (LAST + 1)) - 1)]
        name = f"{block}.norm1"
        return Target(name, modules[name], _tokens_to_grid(model))
    place = len(ends) - 1 - (LAST - stage)
    if place < 0:
        raise InputError(f"A {type(model).__name__} has no stage {stage} to explain.", "Choose a later stage.")
    channels = int(listed[place]["num_chs"])
    return Target(ends[place], modules[ends[place]], lambda output: _channels_first(output, channels))


def _tokens_to_grid(model: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    prefix = int(getattr(model, "num_prefix_tokens", 0))
    embedding: Any = model.patch_embed
    height, width = embedding.grid_size

    def reshape(tokens: torch.Tensor) -> torch.Tensor:
        kept = tokens[:, prefix:]
        return kept.reshape(len(kept), height, width, -1).permute(0, 3, 1, 2)

    return reshape


def _channels_first(output: torch.Tensor, channels: int) -> torch.Tensor:
    if output.ndim != 4:
        raise InputError(f"The layer's output of {output.ndim} dimensions cannot be shown as a heatmap.")
    if output.shape[1] != channels and output.shape[-1] == channels:
        return output.permute(0, 3, 1, 2)
    return output
