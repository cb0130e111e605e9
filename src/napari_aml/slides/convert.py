"""Any picture array becomes uint8 RGB, by rules that are written down, or is refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_aml.errors import NotASmearError, SlideReadError

if TYPE_CHECKING:
    import numpy as np


class Converter:
    """How pixels of one picture become uint8 RGB; the same rule for every tile of it.

    Rules: RGB as it is; RGBA laid on white; 16-bit scaled by its depth (values ≤ 255: as they are, ≤ 4095: 12 bit,
    ≤ 16383: 14 bit, else 16 bit); floating point 0…1 times 255, 0…255 as it is. One channel is refused, for
    cell classes rest on the stain's colours.

    Parameters
    ----------
    name
        What the picture is called, for messages.
    shape, dtype
        Of the array (h, w) or (h, w, c).
    sample
        A part of the picture from which depth is judged; a coarse level or a subsample.

    Raises
    ------
    NotASmearError
        One channel, or neither 3 nor 4.
    SlideReadError
        Zero size, NaN or infinite values, negative values, or a type that is no picture.
    """

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype, sample: np.ndarray) -> None:
        import numpy as np

        if len(shape) not in (2, 3) or 0 in shape:
            raise SlideReadError(name, f"its shape {shape} is not that of a picture (height, width, channels).")
        channels = shape[2] if len(shape) == 3 else 1
        if channels == 1:
            raise NotASmearError(
                f"'{name}' has one channel (grey values).",
                "Cell classes rest on the stain's colours: open the RGB picture that it was made from.",
            )
        if channels not in (3, 4):
            raise NotASmearError(
                f"'{name}' has {channels} channels.", "Export it as RGB (3 channels) or RGBA (4 channels)."
            )
        self.name, self.channels, self.notes = name, channels, ()
        kind = np.dtype(dtype).kind
        if kind not in "uifb":
            raise SlideReadError(name, f"its values have the type {dtype}, which is no picture.")
        if kind == "f" and not np.isfinite(sample).all():
            raise SlideReadError(name, "it holds NaN or infinite values.", "Replace them and save it again.")
        top = float(sample.max()) if sample.size else 0.0
        if sample.size and float(sample.min()) < 0:
            raise SlideReadError(name, "it holds negative values.", "Save it as 8-bit or 16-bit RGB.")
        self._checks_nan = kind == "f"
        self.scale = 1.0
        if kind == "b":
            self.scale = 255.0
        elif kind == "f":
            self.scale = 255.0 if top <= 1.0 else 1.0 if top <= 255 else 255.0 / top
        elif np.dtype(dtype).itemsize > 1 and top > 255:
            depth = next(d for d in (4095, 16383, 65535, 2**32) if top <= d)
            self.scale = 255.0 / depth
            self.notes = (f"{np.dtype(dtype).name} values were scaled from 0…{depth} to 0…255",)
        if channels == 4:
            self.notes += ("the alpha channel was laid on white",)
        self._plain = np.dtype(dtype) == np.uint8

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Convert (h, w, c) to uint8 (h, w, 3)."""
        import numpy as np

        if self._plain and self.channels == 3:
            return np.ascontiguousarray(pixels)
        if self._checks_nan and not np.isfinite(pixels).all():
            raise SlideReadError(self.name, "it holds NaN or infinite values.", "Replace them and save it again.")
        values = pixels.astype(np.float32) * self.scale
        if self.channels == 4:
            alpha = np.clip(values[..., 3:] / 255.0, 0, 1)
            values = values[..., :3] * alpha + 255.0 * (1 - alpha)
        return np.clip(values + 0.5, 0, 255).astype(np.uint8)
