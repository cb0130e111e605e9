"""The colour of the empty ground of a slide, and bringing it to white before cells are looked for.

Cameras and lamps differ in the colour and brightness of what is not stained. The networks know many of them and yet do
better where the ground is white, most of all on microscopes that they have not seen (docs/segmentation.md). The ground
is measured once for the whole slide, so that every tile is treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_aml.cells.light import Light
    from napari_aml.slides.slide import Slide

#: What the ground is brought to in every channel, 0…255: not quite white, so that nothing brighter is cut off.
WHITE = 240.0
# Gains beyond these are not believed: such a ground is none, or too dark to tell its colour.
_LEAST_GAIN, _MOST_GAIN = 0.9, 6.0
# A ground this far from grey (darkest over brightest channel) is none.
_LEAST_GREY = 0.4
# The slide is looked at with this many µm per pixel; it is read whole up to so many pixels a side, else in patches of
# at most so many, six by six.
_VIEW_UM, _WHOLE_PX, _PATCH_PX, _PATCHES = 1.0, 2048, 512, 6
_LEAST_PX, _NEAR = 500, 6


@dataclass(frozen=True)
class Ground:
    """The ground of a slide.

    Attributes
    ----------
    colour
        Red, green and blue, 0…255.
    """

    colour: tuple[float, float, float]

    def whiten(self, rgb: np.ndarray) -> np.ndarray:
        """Return a part of the slide with white ground: uint8 (h, w, 3)."""
        import cv2

        gain = np.clip(WHITE / np.array(self.colour), _LEAST_GAIN, _MOST_GAIN)
        table = np.clip(np.arange(256)[:, None] * gain + 0.5, 0, 255).astype(np.uint8)
        return cv2.LUT(rgb, table[None])


def ground_colour(rgb: np.ndarray) -> tuple[float, float, float] | None:
    """Measure the ground in pixels of a slide.

    Otsu's threshold in green parts what is bright from what is stained; the ground is the most frequent of the bright.

    Parameters
    ----------
    rgb
        uint8 (n, 3).

    Returns
    -------
    tuple or None
        Red, green, blue; None where there are too few pixels or they are all alike.
    """
    rgb = rgb[rgb.max(1) > 0]  # pure black is drawn, not seen; pure white may be a ground that is overexposed
    if len(rgb) < _LEAST_PX or np.ptp(rgb[:, 1]) < 2:
        return None
    red, green, blue = usual_bright(rgb).tolist()
    return red, green, blue


def usual_bright(rgb: np.ndarray) -> np.ndarray:
    """Return the most frequent colour, (3,), of the pixels (n, 3) that are bright; they must not all be alike."""
    from skimage.filters import threshold_otsu

    green = rgb[:, 1]
    bright = rgb[green > threshold_otsu(green)]
    counts, edges = np.histogram(bright[:, 1], 64)
    return np.median(bright[np.abs(bright[:, 1] - edges[counts.argmax()]) < _NEAR], axis=0)


def measure_ground(slide: Slide, um: float, light: Light | None = None) -> Ground | None:
    """Measure the ground of a slide.

    Parameters
    ----------
    slide
        Any slide.
    um
        µm per pixel of level 0.
    light
        Its light is evened out by this first.

    Returns
    -------
    Ground or None
        None where it cannot be told.
    """
    fits = [i for i, level in enumerate(slide.levels) if level.downsample * um <= _VIEW_UM * 1.01]
    level = max(fits, default=0)
    seen = [_view(slide, level, box, um, light) for box in _boxes(slide, level)]
    colour = ground_colour(np.concatenate(seen)) if seen else None
    if colour is None or min(colour) < _LEAST_GREY * max(colour) or WHITE / max(colour) > _MOST_GAIN:
        return None
    return Ground(colour)


def _boxes(slide: Slide, level: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, height, width of what is looked at, spread over the slide, in pixels of the level."""
    size = slide.levels[level]
    if max(size.height, size.width) <= _WHOLE_PX:
        return [(0, 0, size.height, size.width)]
    height, width = min(_PATCH_PX, size.height), min(_PATCH_PX, size.width)
    tops, lefts = (
        np.unique(np.linspace(0, whole - part, _PATCHES).round().astype(int))
        for whole, part in ((size.height, height), (size.width, width))
    )
    return [(int(y), int(x), height, width) for y in tops for x in lefts]


def _view(slide: Slide, level: int, box: tuple[int, int, int, int], um: float, light: Light | None) -> np.ndarray:
    import cv2

    rgb = slide.peek(level, *box)
    down = slide.levels[level].downsample
    if light is not None:
        rgb = light.even(rgb, box[0], box[1], down)
    scale = down * um / _VIEW_UM
    if scale < 1:
        height, width = (max(1, round(n * scale)) for n in rgb.shape[:2])
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    return rgb.reshape(-1, 3)
