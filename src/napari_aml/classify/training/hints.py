"""Learning from the teacher's feature maps (hints; Romero et al. 2015, arXiv 1412.6550).

Sixteen graded answers a picture say little to a network that knows nothing; maps of hundreds of channels say
much. The student's maps at the same stride are projected onto the teacher's, standardised channel by channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

#: Stages of EfficientNet-Lite0 whose maps are learnt (strides 16 and 32) and the ConvNeXt stages that learn
#: them.
TEACHER_STAGES = (4, 6)
STUDENT_STAGES = (2, 3)


def teacher_answer(teacher: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits and the feature maps of :data:`TEACHER_STAGES` of an EfficientNet."""
    maps = []
    y = teacher.bn1(teacher.conv_stem(x))
    for index, stage in enumerate(teacher.blocks):
        y = stage(y)
        if index in TEACHER_STAGES:
            maps.append(y)
    y = teacher.bn2(teacher.conv_head(y))
    return teacher.forward_head(y), maps


def student_with_hints(network: torch.nn.Module, channels: tuple[int, ...]) -> torch.nn.Module:
    """Wrap a ConvNeXt so that it gives (logits, maps projected to the teacher's channels).

    Parameters
    ----------
    network : timm ConvNeXt
    channels : tuple of int
        The teacher's channels per map.
    """
    from napari_aml._torch import torch

    class WithHints(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            widths = [network.feature_info[stage]["num_chs"] for stage in STUDENT_STAGES]
            self.project = torch.nn.ModuleList(
                torch.nn.Conv2d(width, out, 1) for width, out in zip(widths, channels, strict=True)
            )

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
            y, maps = network.stem(x), []
            for index, stage in enumerate(network.stages):
                y = stage(y)
                if index in STUDENT_STAGES:
                    maps.append(self.project[STUDENT_STAGES.index(index)](y))
            return network.forward_head(network.norm_pre(y)), maps

    return WithHints()


def hint_loss(said: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Mean squared error between maps, the teacher's averaged onto the student's grid."""
    from napari_aml._torch import torch

    adaptive_avg_pool2d = torch.nn.functional.adaptive_avg_pool2d
    mse_loss = torch.nn.functional.mse_loss

    total = torch.zeros(())
    for mine, theirs in zip(said, wanted, strict=True):
        if theirs.shape[-2:] != mine.shape[-2:]:
            theirs = adaptive_avg_pool2d(theirs, mine.shape[-2:])
        total = total + mse_loss(mine.float(), theirs)
    return total / len(said)


def standardised(maps: np.ndarray) -> np.ndarray:
    """Maps (n, c, h, w) with mean 0 and deviation 1 per channel, float16, clipped to ±6."""
    sample = maps[:: max(1, len(maps) // 2000)].astype(np.float32)
    mean = sample.mean((0, 2, 3), keepdims=True)
    spread = sample.std((0, 2, 3), keepdims=True) + 1e-3
    for start in range(0, len(maps), 2000):
        part = maps[start : start + 2000]
        maps[start : start + 2000] = np.clip((part - mean) / spread, -6, 6).astype(np.float16)
    return maps
