"""Variation of the training pictures: scale, turn, stain, light, focus and neighbours.

Geometry is done picture by picture on uint8 (OpenCV), colour in one batch of tensors. The aim is not to
make pictures pretty but to make everything uninformative that differs between scanners: the micrometres in
view, the colour of stain and background, the sharpness, what lies around the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Variation:
    """How strongly training pictures are varied; ``plain`` views use none of it.

    Attributes
    ----------
    field_um : tuple of float
        Smallest and largest field of view, µm (drawn log-uniformly).
    shift_um : float
        Largest shift of the cell from the centre, µm.
    stain : float
        Strength of colour changes, 1 = strong.
    transfer : float
        Share of pictures that take the colour statistics of another picture of the batch.
    blur : float
        Share of pictures that lose sharpness.
    neighbour : float
        Share of pictures that get another cell beside theirs.
    erase : float
        Share of pictures whose surroundings are partly blanked.
    zoom_out : float
        How many times a picture's own field may be shown; its mirror image fills the rest.
    pale : float
        Share of pictures that lose much of their dye and contrast.
    cut_off : float
        Share of pictures that end at a white edge, as crops at the border of a field do.
    """

    field_um: tuple[float, float] = (20.0, 37.0)
    shift_um: float = 1.2
    stain: float = 1.0
    transfer: float = 0.5
    blur: float = 0.3
    neighbour: float = 0.2
    erase: float = 0.15
    zoom_out: float = 1.35
    pale: float = 0.0
    cut_off: float = 0.0


def warped(
    image: np.ndarray,
    side: int,
    field_px: float,
    angle: float = 0.0,
    flip: bool = False,
    shift=(0.0, 0.0),
    stretch: float = 1.0,
) -> np.ndarray:
    """Cut a turned square field out of a picture, uint8 (side, side, 3).

    Parameters
    ----------
    image : uint8 (h, w, 3)
    side : int
        Output side, px.
    field_px : float
        Side of the field, px of ``image``. Beyond the picture its mirror image is seen.
    angle : float
        Degrees.
    shift : pair of float
        Shift of the field's centre, px of ``image``.
    stretch : float
        Ratio of the two axes' scales.
    """
    import cv2

    # Sampled twice as finely, then averaged: the plain way of not aliasing when the field is reduced.
    fine = side * 2 if field_px > side else side
    scale = field_px / fine
    a = np.deg2rad(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) @ np.diag([stretch, 1 / stretch])
    if flip:
        turn[:, 0] *= -1
    matrix = turn * scale
    centre = np.array([(image.shape[1] - 1) / 2 + shift[0], (image.shape[0] - 1) / 2 + shift[1]])
    offset = centre - matrix @ np.full(2, (fine - 1) / 2)
    out = cv2.warpAffine(
        image,
        np.column_stack([matrix, offset]),
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return cv2.resize(out, (side, side), interpolation=cv2.INTER_AREA) if fine != side else out


def varied_geometry(
    image: np.ndarray, picture_um: float, side: int, variation: Variation, rng: np.random.Generator
) -> np.ndarray:
    """Return one randomly scaled, turned, flipped and shifted view, uint8 (side, side, 3)."""
    low, high = variation.field_um
    high = min(high, picture_um * variation.zoom_out)
    field_um = np.exp(rng.uniform(np.log(low), np.log(high)))
    px_per_um = image.shape[0] / picture_um
    return warped(
        image,
        side,
        field_um * px_per_um,
        angle=rng.uniform(0, 360),
        flip=rng.random() < 0.5,
        shift=rng.uniform(-1, 1, 2) * variation.shift_um * px_per_um,
        stretch=np.exp(rng.uniform(-0.06, 0.06)),
    )


def _some(n: int, share: float, generator: torch.Generator) -> torch.Tensor:
    from napari_aml._torch import torch

    return (torch.rand(n, generator=generator, device=generator.device) < share).nonzero().squeeze(1)


def _uniform(n: int, low: float, high: float, generator: torch.Generator, columns: int = 1) -> torch.Tensor:
    from napari_aml._torch import torch

    return torch.rand(n, columns, 1, 1, generator=generator, device=generator.device) * (high - low) + low


def varied_colour(batch: torch.Tensor, variation: Variation, generator: torch.Generator) -> torch.Tensor:
    """Vary stain, light, focus and surroundings of a batch.

    Parameters
    ----------
    batch : float32 (n, 3, h, w) in 0…1
    variation : Variation
    generator : torch.Generator

    Returns
    -------
    float32 (n, 3, h, w) in 0…1
    """
    x = batch.clone()
    x = add_neighbours(x, variation, generator)
    x = make_pale(x, variation.pale, generator)
    x = vary_stain(x, variation, generator)
    x = vary_light(x, variation.stain, generator)
    x = blur(x, variation.blur, generator)
    x = erase_surroundings(x, variation.erase, generator)
    x = cut_off(x, variation.cut_off, generator)
    return x.clamp_(0, 1)


def make_pale(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Fade some pictures: less dye, and a veil of the background's brightness over all."""
    rows = _some(len(x), share, generator)
    if len(rows):
        faded = x[rows].clamp_min(1 / 255) ** _uniform(len(rows), 0.3, 0.8, generator)
        bright = faded.mean((2, 3), keepdim=True) * 0.5 + 0.4
        x[rows] = faded + (bright - faded) * _uniform(len(rows), 0.0, 0.4, generator)
    return x


def cut_off(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Paint some pictures white beyond a random straight edge that spares the middle."""
    from napari_aml._torch import torch

    side = x.shape[-1]
    for row in _some(len(x), share, generator).tolist():
        edge = round(side * (0.5 + 0.5 * torch.rand(1, generator=generator).item() ** 0.7))
        beyond = torch.zeros(side, side, dtype=torch.bool)
        beyond[max(edge, round(side * 0.6)) :] = True
        turns = int(torch.randint(4, (1,), generator=generator))
        x[row] = x[row].masked_fill(torch.rot90(beyond, turns), 1.0)
    return x


def vary_stain(x: torch.Tensor, variation: Variation, generator: torch.Generator) -> torch.Tensor:
    """Vary what the dyes did, in optical density: stain transfer, amount and mixture of dyes."""
    from napari_aml._torch import torch

    density = torch.log(x * 255 + 1).neg_().add_(float(np.log(256)))
    density = transfer_stain(density, variation.transfer, generator)
    n, s = len(x), variation.stain
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


def _distance(side: int) -> torch.Tensor:
    """Distance of each pixel from the centre, in half sides."""
    from napari_aml._torch import torch

    axis = torch.linspace(-1, 1, side)
    return (axis[:, None] ** 2 + axis[None] ** 2).sqrt()


def add_neighbours(x: torch.Tensor, variation: Variation, generator: torch.Generator) -> torch.Tensor:
    """Show another cell of the batch beside some cells, outside a central disc."""
    from napari_aml._torch import torch

    rows = _some(len(x), variation.neighbour, generator)
    side = x.shape[-1]
    far = _distance(side)
    whole = x.clone() if len(rows) else x
    for row in rows.tolist():
        other = int(torch.randint(len(x), (1,), generator=generator))
        angle, reach, radius = (torch.rand(3, generator=generator) * torch.tensor([6.283, 0.15, 0.2])).tolist()
        reach, radius = (0.4 + reach) * side, 0.6 + radius
        roll = (round(np.sin(angle) * reach), round(np.cos(angle) * reach))
        moved = torch.roll(whole[other], roll, dims=(1, 2))
        x[row] = torch.where(far > radius, moved, x[row])
    return x


def erase_surroundings(x: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Blank what lies outside a random disc with the picture's own bright colour."""
    from napari_aml._torch import torch

    far = _distance(x.shape[-1])
    for row in _some(len(x), share, generator).tolist():
        radius = 0.65 + 0.35 * torch.rand(1, generator=generator).item()
        bright = x[row].flatten(1).quantile(0.9, dim=1)[:, None, None]
        x[row] = torch.where(far > radius, bright, x[row])
    return x
