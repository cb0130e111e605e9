"""Uneven light of a camera field is evened out before cells are looked for; a field that is lit evenly stays as it is.

The light is read off the bright ground between the cells: a smooth surface (a polynomial of the fourth degree without
odd higher terms) is fitted to the logarithm of the brightness, once for the whole picture and from a small view of it,
so that every tile is evened out alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.slides.slide import Slide

#: Fall of the light (natural logarithm, brightest to darkest place) from which it is evened out: to about half. The
#: darkest corners of 570 pictures of four sources as their cameras took them are at 0.53.
LEAST_FALL = 0.65
#: A camera takes no larger pictures; slides that were put together of many are not one field of light.
MOST_PX = 6000
# Powers of y and x of the surface: a plane bent once, then how lenses darken corners.
_PLAIN = ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0))
_POWERS = (*_PLAIN, (0, 4), (2, 2), (4, 0))
_VIEW, _LEAST_PX = 256, 100
# Pixels this near to the surface are ground; so much of the picture, and of nearly all its parts, must be.
_NEAR, _GROUND, _PARTS, _OF_PART = 0.08, 0.4, 14, 0.05
# What is brighter than the surface by this much is no ground: at most this share.
_ABOVE, _MOST_ABOVE = 0.12, 0.05
_DARK = 4.0  # added to brightness, so that black has a logarithm


@dataclass(frozen=True)
class Light:
    """How the light of one picture falls off.

    Attributes
    ----------
    surface
        float64 (3, 5, 5): for each channel the coefficients of y^i x^j, with y and x from -1 to 1 over the picture, of
        the logarithm by which a place is darker than the brightest (at most 0 there and rising from it).
    shape
        Height and width of the picture, level-0 pixels.
    fall
        Logarithm of brightest over darkest ground.
    """

    surface: np.ndarray
    shape: tuple[int, int]
    fall: float

    def even(self, rgb: np.ndarray, y0: float = 0.0, x0: float = 0.0, down: float = 1.0) -> np.ndarray:
        """Even out a part of the picture.

        Parameters
        ----------
        rgb
            uint8 (h, w, 3).
        y0, x0
            Where it begins, in its own pixels.
        down
            Level-0 pixels per pixel.

        Returns
        -------
        numpy.ndarray
            uint8 (h, w, 3). The same for a part as for the part of the whole.
        """
        h, w = rgb.shape[:2]
        y = ((y0 + np.arange(h) + 0.5) * down / self.shape[0]) * 2 - 1
        x = ((x0 + np.arange(w) + 0.5) * down / self.shape[1]) * 2 - 1
        rows, columns = (np.clip(v, -1, 1)[:, None] ** np.arange(5) for v in (y, x))
        out = np.empty_like(rgb)
        for k, surface in enumerate(self.surface):
            gain = np.exp((rows @ surface @ columns.T).astype(np.float32))
            out[..., k] = np.clip((rgb[..., k] + np.float32(_DARK)) * gain - np.float32(_DARK) + 0.5, 0, 255)
        return out

    @property
    def note(self) -> str:
        """What a person should know."""
        return (
            f"The light is uneven (its darkest part has {np.exp(-self.fall):.0%} of the brightest): it was evened out "
            "before cells were looked for. The picture itself, and what is classified, stay as they are."
        )


def uneven_light(slide: Slide) -> Light | None:
    """Measure the light of a picture.

    Parameters
    ----------
    slide
        Any slide; only a picture that one camera can have taken is looked at.

    Returns
    -------
    Light or None
        None where the light is even enough, or cannot be told because too little ground is to be seen.
    """
    if max(slide.shape) > MOST_PX or min(slide.shape) < _LEAST_PX:
        return None
    fits = [i for i, level in enumerate(slide.levels) if max(level.height, level.width) >= _VIEW]
    level = max(fits, default=0)
    size = slide.levels[level]
    return light_of(slide.peek(level, 0, 0, size.height, size.width), slide.shape)


def light_of(rgb: np.ndarray, shape: tuple[int, int]) -> Light | None:
    """Measure the light of a picture uint8 (h, w, 3) that stands for a slide of some shape; see `uneven_light`."""
    import cv2

    scale = min(1.0, _VIEW / max(rgb.shape[:2]))
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    colours = np.log(cv2.GaussianBlur(small, (0, 0), 1).astype(np.float64) + _DARK)
    brightness = colours.mean(2)
    h, w = brightness.shape
    y, x = np.mgrid[:h, :w]
    terms = _terms((y.ravel() + 0.5) / h * 2 - 1, (x.ravel() + 0.5) / w * 2 - 1, _POWERS)
    values, plain = brightness.ravel(), len(_PLAIN)
    fit = np.append(_envelope(brightness), np.zeros(len(_POWERS) - plain))
    for round_ in range(10):
        ground = np.abs(values - terms @ fit) < _NEAR
        if ground.mean() < _OF_PART:
            return None
        n = plain if round_ < 5 else len(_POWERS)
        fit[:n] = np.linalg.lstsq(terms[ground, :n], values[ground], rcond=None)[0]
    above, fall = values - terms @ fit, float(np.ptp(terms @ fit))
    ground = np.abs(above) < _NEAR
    parts = [part.mean() for row in np.array_split(ground.reshape(h, w), 4) for part in np.array_split(row, 4, axis=1)]
    told = ground.mean() >= _GROUND and sum(p > _OF_PART for p in parts) >= _PARTS
    if fall < LEAST_FALL or not told or (above > _ABOVE).mean() > _MOST_ABOVE:
        return None
    coefficients = np.linalg.lstsq(terms[ground], colours.reshape(-1, 3)[ground], rcond=None)[0]
    surface = np.zeros((3, 5, 5))
    for (i, j), of_channels in zip(_POWERS, coefficients, strict=True):
        surface[:, i, j] = -of_channels
    surface[:, 0, 0] += (terms @ coefficients).max(0)
    return Light(surface, shape, fall)


def _terms(y: np.ndarray, x: np.ndarray, powers: tuple[tuple[int, int], ...]) -> np.ndarray:
    return np.stack([y**i * x**j for i, j in powers], 1)


def _envelope(brightness: np.ndarray, parts: int = 8) -> np.ndarray:
    """Fit the plain surface to the bright end of 8 x 8 parts; those that lie low hold cells and count for little."""
    middle = (np.arange(parts) + 0.5) / parts * 2 - 1
    y, x = (v.ravel() for v in np.meshgrid(middle, middle, indexing="ij"))
    rows = np.array_split(brightness, parts)
    top = np.array([np.percentile(part, 90) for row in rows for part in np.array_split(row, parts, axis=1)])
    terms, weight = _terms(y, x, _PLAIN), np.ones(len(top))
    for _ in range(20):
        fit = np.linalg.lstsq(terms * weight[:, None], top * weight, rcond=None)[0]
        off = top - terms @ fit
        usual = max(0.02, 1.4826 * float(np.median(np.abs(off))))
        weight = np.where(off < -usual, (usual / np.maximum(np.abs(off), usual)) ** 2, 1.0)
    return fit
