"""overlay.png: the smear with each cell outlined in its class's colour and its class code beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.export.overview import Overview, outline
from napari_aml.progress import Progress, Steps
from napari_aml.taxonomy import cell_class

if TYPE_CHECKING:
    from PIL import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from napari_aml.cells.masks import CellMasks

#: Colour of a cell that no model has named.
UNNAMED = "#ffd400"
# A code is written only where its cell is at least this wide in the picture, pixels; else tags would cover the cells.
_LEAST_WIDTH = 14.0
_LEAST_TEXT, _MOST_TEXT = 11, 20
_BATCH = 200


def rgb(colour: str) -> tuple[int, int, int]:
    """Return #rrggbb as three numbers."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ink_on(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour (WCAG 2 relative luminance)."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb(colour))]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def draw_overlay_steps(
    overview: Overview, masks: CellMasks, labels: Sequence[int], codes: Sequence[str] | None
) -> Steps[np.ndarray]:
    """Draw outlines and class codes.

    Parameters
    ----------
    overview
        The slide's picture; not changed.
    masks, labels, codes
        The cells and the class code of each; `codes` None for cells that no model has named.

    Returns
    -------
    numpy.ndarray
        uint8 (h, w, 3), of the overview's size.
    """
    from PIL import Image, ImageDraw

    colours = [UNNAMED] * len(labels) if codes is None else [cell_class(code).colour for code in codes]
    canvas = overview.rgb.copy()
    polygons: list[np.ndarray] = []
    for start in range(0, len(labels), _BATCH):
        yield Progress(start, 2 * len(labels), "Drawing the outlines")
        found = [outline(masks, label, overview.scale) for label in labels[start : start + _BATCH]]
        _lines(canvas, found, colours[start : start + _BATCH])
        polygons += found
    if codes is None:
        return canvas
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    for i, (points, code, colour) in enumerate(zip(polygons, codes, colours, strict=True)):
        if i % _BATCH == 0:
            yield Progress(len(labels) + i, 2 * len(labels), "Writing the class codes")
        if len(points) and np.ptp(points, axis=0).max() >= _LEAST_WIDTH:
            _tag(pen, points, code, colour, image.size)
    return np.asarray(image)


def _lines(canvas: np.ndarray, polygons: list[np.ndarray], colours: Sequence[str]) -> None:
    """Draw outlines; a dark line under the coloured one keeps pale colours visible on a pale background."""
    import cv2

    for points, colour in zip(polygons, colours, strict=True):
        # Fixed point with 4 bits after the point; OpenCV's pixel centres are whole numbers.
        fixed = np.round((points - 0.5) * 16).astype(np.int32)
        for thickness, ink in ((4, (30, 30, 30)), (2, rgb(colour))):
            cv2.polylines(canvas, [fixed], True, ink, thickness, cv2.LINE_AA, 4)


def _tag(pen: ImageDraw.ImageDraw, points: np.ndarray, code: str, colour: str, size: tuple[int, int]) -> None:
    """Write a code on a plate above an outline, kept inside the picture."""
    width = float(np.ptp(points[:, 0]))
    font = _font(int(np.clip(width / 4, _LEAST_TEXT, _MOST_TEXT)))
    left, top, right, bottom = font.getbbox(code)
    w, h = right - left + 6, bottom - top + 5
    x = float(np.clip(points[:, 0].min() + (width - w) / 2, 0, max(0, size[0] - w)))
    y = float(points[:, 1].min()) - h - 2
    if y < 0:
        y = min(float(points[:, 1].max()) + 2, max(0, size[1] - h))
    pen.rectangle((x, y, x + w, y + h), fill=colour, outline="#1e1e1e")
    pen.text((x + 3 - left, y + 3 - top), code, fill=ink_on(colour), font=font)


_fonts: dict[int, FreeTypeFont | ImageFont] = {}


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL.ImageFont import load_default

    if size not in _fonts:
        _fonts[size] = load_default(size)
    return _fonts[size]
