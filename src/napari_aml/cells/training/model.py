"""The networks as they are trained, and how they are folded into plain convolutions for use."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

FINE_WIDTHS = (16, 32, 48, 64, 80)
COARSE_WIDTHS = (12, 24, 32)


class _Pair(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, before: int, after: int) -> None:
        layers: list[nn.Module] = []
        for n in (before, after):
            layers.append(nn.Conv2d(n, after, 3, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after, momentum=0.02), nn.ReLU(True)]
        super().__init__(*layers)


class UNet(nn.Module):
    """A small U-Net (Ronneberger et al. 2015) with nearest-neighbour upsampling.

    Parameters
    ----------
    widths
        Channels of each level, finest first.
    outputs
        Channels of the head (logits).
    """

    def __init__(self, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        before = (3, *widths[:-1])
        self.enc = nn.ModuleList([_Pair(a, b) for a, b in zip(before, widths, strict=True)])
        self.dec = nn.ModuleList([_Pair(b + a, a) for a, b in pairwise(widths)])
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, 3, h, w) in 0…1 to logits (n, outputs, h, w)."""
        skips = []
        for level, block in enumerate(self.enc):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.dec))):
            x = self.dec[level](torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skips[level]], 1))
        return self.head(x)


class Both(nn.Module):
    """The fine and the coarse network, trained on the same pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = UNet(FINE_WIDTHS, 3)
        self.coarse = UNet(COARSE_WIDTHS, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the fine logits (n, 3, h, w) and the coarse ones (n, 1, h / 4, w / 4)."""
        return self.fine(x), self.coarse(F.avg_pool2d(x, 4))


def fold(model: Both) -> dict[str, torch.Tensor]:
    """Fold batch normalisation into the convolutions: name → float16 tensor, for `napari_aml.cells.network`."""
    out: dict[str, torch.Tensor] = {}
    for which, net in (("fine", model.fine), ("coarse", model.coarse)):
        for part in ("enc", "dec"):
            for level, pair in enumerate(getattr(net, part)):
                for i in (0, 1):
                    conv, norm = pair[3 * i], pair[3 * i + 1]
                    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                    name = f"{which}.{part}.{level}.{i}"
                    out[f"{name}.weight"] = conv.weight * gain[:, None, None, None]
                    out[f"{name}.bias"] = norm.bias - norm.running_mean * gain
        out |= {f"{which}.head.{name}": value for name, value in net.head.named_parameters()}
    return {k: v.detach().half().contiguous() for k, v in out.items()}
