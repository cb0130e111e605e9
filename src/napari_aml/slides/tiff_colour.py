"""How the samples of a TIFF are turned into RGB or RGBA: planes, palettes, inks, luma and chroma."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.errors import NotASmearError, SlideReadError

_GREY, _RGB, _PALETTE, _CMYK, _YCBCR = (0, 1), 2, 3, 5, 6
# The decoders of these compressions give RGB already.
_JPEG = (6, 7, 34892, 33007)
_ALPHA = (1, 2)


@dataclass(frozen=True)
class Colour:
    """What to do with decoded samples.

    Attributes
    ----------
    channels, dtype
        Of the result.
    notes
        What a person should know.
    turn
        Turns (h, w) or (h, w, samples) into (h, w, channels).
    """

    channels: int
    dtype: np.dtype
    notes: tuple[str, ...]
    turn: Callable[[np.ndarray], np.ndarray]

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Turn decoded samples into (h, w, channels)."""
        return self.turn(samples)


def colour_of(series: Any, page: Any, path: Path) -> Colour:
    """Return what to do with the samples of a series whose first page is `page`.

    Raises
    ------
    NotASmearError
        One channel, or a number of channels that is no colour picture's.
    SlideReadError
        A stack, or a colour space that is not read.
    """
    count = _channel_count(series, path)
    dtype = np.dtype(page.dtype)
    photometric = int(page.photometric)
    if photometric == _PALETTE:
        return _palette(page, path)
    if count == 1:
        raise NotASmearError(
            f"'{path}' has one channel (grey values).",
            "Cell classes rest on the stain's colours: open the RGB picture that it was made from.",
        )
    if photometric == _CMYK:
        if count != 4 or dtype != np.uint8:
            raise SlideReadError(path, f"CMYK with {count} channels of {dtype} is not read.", "Save it as RGB.")
        return Colour(3, dtype, ("CMYK colours were converted to RGB",), _from_cmyk)
    if photometric == _YCBCR and int(page.compression) not in _JPEG:
        if count != 3 or dtype != np.uint8:
            raise SlideReadError(path, f"YCbCr with {count} channels of {dtype} is not read.", "Save it as RGB.")
        return Colour(3, dtype, ("YCbCr colours were converted to RGB",), _from_ycbcr)
    if photometric not in (*_GREY, _RGB, _YCBCR):
        name = getattr(page.photometric, "name", photometric)
        raise SlideReadError(path, f"its colour space ({name}) is not read.", "Save it as RGB.")
    notes = ("three grey channels were taken as red, green and blue",) if photometric in _GREY and count == 3 else ()
    if count == 4 and "S" in series.axes and photometric == _RGB and not _has_alpha(page):
        return Colour(3, dtype, ("a fourth channel that is no transparency was left out",), lambda a: a[..., :3])
    return Colour(count, dtype, notes, lambda a: a)


def _channel_count(series: Any, path: Path) -> int:
    """Return the number of channels; refuse stacks."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    stacked = {a: n for a, n in sizes.items() if a not in "YXSC" and n > 1}
    if stacked:
        raise SlideReadError(
            path,
            f"it is a stack ({', '.join(f'{n} planes along {a}' for a, n in stacked.items())}).",
            "Export one plane of it as RGB.",
        )
    if "Y" not in sizes or "X" not in sizes:
        raise SlideReadError(path, f"its axes {series.axes} are not those of a picture.")
    samples, channels = sizes.get("S", 1), sizes.get("C", 1)
    if samples > 1 and channels > 1:
        raise NotASmearError(f"'{path}' has {channels} channels of {samples} samples.", "Export it as one RGB picture.")
    return samples * channels


def _has_alpha(page: Any) -> bool:
    return any(int(kind) in _ALPHA for kind in page.extrasamples)


def _palette(page: Any, path: Path) -> Colour:
    table = page.colormap
    if table is None or np.dtype(page.dtype).kind != "u":
        raise SlideReadError(path, "its palette is missing.", "Save it as RGB.")
    # The standard's palettes are 16 bit; some writers fill them with 8-bit values.
    colours = (table >> 8 if table.max() > 255 else table).astype(np.uint8).T
    if np.ptp(colours, axis=1).max() == 0:
        raise NotASmearError(
            f"'{path}' has a grey palette.",
            "Cell classes rest on the stain's colours: open the RGB picture that it was made from.",
        )

    def look_up(indices: np.ndarray) -> np.ndarray:
        indices = indices[..., 0] if indices.ndim == 3 else indices
        return colours[np.minimum(indices, len(colours) - 1)]

    return Colour(3, np.dtype(np.uint8), (), look_up)


def _from_cmyk(samples: np.ndarray) -> np.ndarray:
    light = 255 - samples.astype(np.uint16)
    return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)


def _from_ycbcr(samples: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, full range, the standard's default (TIFF 6.0, section 21)."""
    y, cb, cr = np.moveaxis(samples.astype(np.float32), -1, 0)
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)
