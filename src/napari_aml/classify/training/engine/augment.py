"""Variation of the training pictures: stain, light and focus, in one batch of tensors, and how a view is cut.

The aim is not to make pictures pretty but to make everything uninformative that differs between scanners: the colour
of stain and background, and the sharpness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def warped(image: np.ndarray, side: int, field_px: float) -> np.ndarray:
    """Cut a square field about the centre of a picture, uint8 (side, side, 3).

    Parameters
    ----------
    image
        uint8 (h, w, 3).
    side
        Output side, px.
    field_px
        Side of the field, px of `image`. Beyond the picture its mirror image is seen.
    """
    import cv2

    # Sampled twice as finely, then averaged: the plain way of not aliasing when the field is reduced.
    fine = side * 2 if field_px > side else side
    matrix = np.eye(2) * (field_px / fine)
    centre = (np.array([image.shape[1], image.shape[0]]) - 1) / 2
    offset = centre - matrix @ np.full(2, (fine - 1) / 2)
    out = cv2.warpAffine(
        image,
        np.column_stack([matrix, offset]),
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return cv2.resize(out, (side, side), interpolation=cv2.INTER_AREA) if fine != side else out


def _some(n: int, share: float, generator: torch.Generator) -> torch.Tensor:
    from napari_aml._torch import torch

    return (torch.rand(n, generator=generator, device=generator.device) < share).nonzero().squeeze(1)


def _uniform(n: int, low: float, high: float, generator: torch.Generator, columns: int = 1) -> torch.Tensor:
    from napari_aml._torch import torch

    return torch.rand(n, columns, 1, 1, generator=generator, device=generator.device) * (high - low) + low


def make_pale(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Fade some pictures: less dye, and a veil of the background's brightness over all."""
    rows = _some(len(x), share, generator)
    if len(rows):
        faded = x[rows].clamp_min(1 / 255) ** _uniform(len(rows), 0.3, 0.8, generator)
        bright = faded.mean((2, 3), keepdim=True) * 0.5 + 0.4
        x[rows] = faded + (bright - faded) * _uniform(len(rows), 0.0, 0.4, generator)
    return x


def vary_stain(x: torch.Tensor, strength: float, transfer: float, generator: torch.Generator) -> torch.Tensor:
    """Vary what the dyes did, in optical density.

    Parameters
    ----------
    x
        float32 (n, 3, h, w) in 0…1.
    strength
        Of changes in amount and mixture of dyes and in light; 1 = strong.
    transfer
        Share of pictures that take the colour statistics of another picture of the batch.
    """
    from napari_aml._torch import torch

    density = torch.log(x * 255 + 1).neg_().add_(float(np.log(256)))
    density = transfer_stain(density, transfer, generator)
    n, s = len(x), strength
    # More or less dye (this is also a change of gamma) and another mixture of dyes.
    amount = torch.exp(_uniform(n, -0.35 * s, 0.35 * s, generator) + _uniform(n, -0.15 * s, 0.15 * s, generator, 3))
    # White balance, exposure and tinted background.
    tint = _uniform(n, -0.08 * s, 0.12 * s, generator, 3)
    return density.mul_(amount).add_(tint).neg_().exp_().mul_(256 / 255).sub_(1 / 255)


def transfer_stain(density: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Give some pictures the colour statistics of others, partly (Reinhard et al. 2001, in optical density).

    Mean and spread per channel of the optical density are moved a random part of the way to those of another
    picture of the batch, whatever its source and class.
    """
    from napari_aml._torch import torch

    rows = _some(len(density), share, generator)
    if not len(rows):
        return density
    other = torch.randperm(len(density), generator=generator, device=generator.device)[: len(rows)]
    spread, mean = torch.std_mean(density, (2, 3), keepdim=True)
    spread = spread + 1e-3
    part = _uniform(len(rows), 0, 1, generator)
    new_mean = mean[rows] + part * (mean[other] - mean[rows])
    # A picture of a small pale cell must not make a big dark one vanish: the spread moves by at most a
    # factor 1.5.
    ratio = (spread[other] / spread[rows]).clamp(1 / 1.5, 1.5) ** part
    density[rows] = (density[rows] - mean[rows]) * ratio + new_mean
    return density


def vary_light(x: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Vary hue, saturation, contrast and brightness."""
    from napari_aml._torch import torch

    n, s = len(x), strength
    grey = x.mean(1, keepdim=True)
    chroma = (x - grey).mul_(torch.exp(_uniform(n, -0.45 * s, 0.35 * s, generator)))
    chroma = _turn_hue(chroma, _uniform(n, -0.22 * s, 0.22 * s, generator))
    level = grey.mean((2, 3), keepdim=True)
    contrast = torch.exp(_uniform(n, -0.25 * s, 0.2 * s, generator))
    offset = level * (1 - contrast) + _uniform(n, -0.06 * s, 0.06 * s, generator)
    return chroma.add_(grey.mul_(contrast).add_(offset))


def _turn_hue(chroma: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Turn colour differences around the grey axis by angles (n, 1, 1, 1), radians."""
    from napari_aml._torch import torch

    r, g, b = chroma.unbind(1)
    cos, sin = torch.cos(angle[:, 0]), torch.sin(angle[:, 0]) / 3**0.5
    # Rodrigues' formula about (1, 1, 1); the component along the axis is zero by construction.
    return torch.stack([r * cos + (b - g) * sin, g * cos + (r - b) * sin, b * cos + (g - r) * sin], dim=1)


def blur(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Take sharpness from some pictures by passing them through a coarser grid; sharpen a few others."""
    from napari_aml._torch import torch

    interpolate = torch.nn.functional.interpolate

    side = x.shape[-1]
    for part, low, high in ((share * 0.7, 0.55, 0.9), (share * 0.3, 0.3, 0.55)):
        rows = _some(len(x), part, generator)
        if len(rows):
            coarse = max(8, round(side * _uniform(1, low, high, generator).item()))
            small = interpolate(x[rows], size=(coarse, coarse), mode="bilinear", antialias=True)
            x[rows] = interpolate(small, size=(side, side), mode="bicubic")
    rows = _some(len(x), share * 0.4, generator)
    if len(rows):
        soft = interpolate(
            interpolate(x[rows], scale_factor=0.5, mode="bilinear", antialias=True),
            size=(side, side),
            mode="bilinear",
        )
        x[rows] = x[rows] + (x[rows] - soft) * _uniform(len(rows), 0.2, 0.8, generator)
    return x
