"""Vary a batch of crops on the device: geometry in one resampling, colour by the functions of `.augment`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_aml.classify.training.engine.augment import blur, make_pale, vary_light, vary_stain
from napari_aml.classify.training.engine.settings import Views

if TYPE_CHECKING:
    import torch


def margin_of(views: Views) -> float:
    """How much more than the crop must be held so that views seldom look beyond it."""
    return 1.25 if views.geometry else 1.0


def varied(pixels: torch.Tensor, px: int, views: Views, generator: torch.Generator) -> torch.Tensor:
    """Return varied views of crops.

    Parameters
    ----------
    pixels
        uint8 (n, side, side, 3) on the device; the crop and a margin around it.
    px
        Side of the views; side / px is the margin.
    views
        How strongly they are varied.
    generator
        On the same device.

    Returns
    -------
    torch.Tensor
        float32 (n, 3, px, px) in 0…1.
    """
    x = pixels.permute(0, 3, 1, 2).float().div_(255)
    if views.geometry:
        x = moved(x, px, views, generator)
    return coloured(x, views, generator) if views.colour else x


def coloured(x: torch.Tensor, views: Views, generator: torch.Generator) -> torch.Tensor:
    """Vary dyes, light and sharpness of pictures float32 (n, 3, h, w) in 0…1."""
    x = make_pale(x, views.pale, generator)
    if views.stain or views.transfer:
        x = vary_light(vary_stain(x, views.stain, views.transfer, generator), views.stain, generator)
    x = blur(x, views.blur, generator)
    x = erased(x, views.erase, generator)
    return x.clamp_(0, 1)


def moved(x: torch.Tensor, px: int, views: Views, generator: torch.Generator) -> torch.Tensor:
    """Turn, mirror, scale and shift a batch (n, 3, s, s) in one bilinear resampling to (n, 3, px, px)."""
    from napari_aml._torch import torch

    n = len(x)
    u = torch.rand(n, 5, generator=generator, device=generator.device)
    low, high = views.scale
    scale = torch.exp(math.log(low) + u[:, 0] * math.log(high / low)) * (px / x.shape[-1])
    angle = u[:, 1] * (2 * math.pi if views.turn else 0.0)
    mirror = torch.where((u[:, 2] < 0.5) & views.turn, -1.0, 1.0)
    shift = (u[:, 3:] * 2 - 1) * (2 * views.shift * px / x.shape[-1])
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1
    )
    grid = torch.nn.functional.affine_grid(theta, [n, 3, px, px], align_corners=False)
    return torch.nn.functional.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)


def erased(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Blank what lies outside a random disc of some pictures with their bright colour."""
    from napari_aml._torch import torch

    if share <= 0:
        return x
    side, where = x.shape[-1], generator.device
    axis = torch.linspace(-1, 1, side, device=where)
    far = (axis[:, None] ** 2 + axis[None] ** 2).sqrt()
    u = torch.rand(len(x), 2, 1, 1, 1, generator=generator, device=where)
    radius = torch.where(u[:, 0] < share, 0.65 + 0.35 * u[:, 1], torch.full_like(u[:, 0], 9.0))
    bright = (x.mean((2, 3), keepdim=True) + 2 * x.std((2, 3), keepdim=True)).clamp(max=1)
    return torch.where(far > radius, bright, x)
