"""Any picture array becomes uint8 RGB, by rules that are written down, or is refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_aml.errors import NotASmearError, SlideReadError

if TYPE_CHECKING:
    import numpy as np

#: Depths that cameras have; 16-bit files often hold fewer bits.
_DEPTHS = (255, 1023, 4095, 16383, 65535, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


class Converter:
    """How pixels of one picture become uint8 RGB; the same rule for every tile of it.

    Rules: RGB as it is; RGBA laid on white; integers of more than 8 bits scaled by their depth (values ≤ 255: as they
    are, ≤ 1023: 10 bit, ≤ 4095: 12 bit, ≤ 16383: 14 bit, else 16 bit); floating point 0…1 times 255, 0…255 as it is,
    greater values as integers. One channel is refused, for cell classes rest on the stain's colours.

    Parameters
    ----------
    name
        What the picture is called, for messages.
    shape, dtype
        Of the array (h, w) or (h, w, c).
    sample
        Returns a part of the picture, from which the depth is judged; called only for types other than uint8.

    Attributes
    ----------
    notes
        What a person should know about the conversion.

    Raises
    ------
    NotASmearError
        One channel, or neither 3 nor 4.
    SlideReadError
        Zero size, NaN or infinite values, negative values, or a type that is no picture.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, sample: Callable[[], np.ndarray] | None = None
    ) -> None:
        import numpy as np

        if len(shape) not in (2, 3) or 0 in shape:
            raise SlideReadError(name, f"its shape {shape} is not that of a picture (height, width, channels).")
        self.name, self.channels = name, shape[2] if len(shape) == 3 else 1
        _check_channels(name, self.channels)
        dtype = np.dtype(dtype)
        if dtype.kind not in "uifb":
            raise SlideReadError(name, f"its values have the type {dtype}, which is no picture.")
        self.notes: tuple[str, ...] = ()
        self._float, self._signed = dtype.kind == "f", dtype.kind in "if"
        self._plain = dtype == np.uint8
        self.scale = 1.0 if self._plain else self._judge_depth(dtype, sample)
        if self.channels == 4:
            self.notes += ("the alpha channel was laid on white",)

    def _judge_depth(self, dtype: np.dtype, sample: Callable[[], np.ndarray] | None) -> float:
        if dtype.kind == "b":
            return 255.0
        values = sample() if sample is not None else None
        top = 0.0
        if values is not None and values.size:
            self._check(values)
            top = float(values.max())
        if self._float and top <= 1.0:
            return 255.0
        depth = next((d for d in _DEPTHS if top <= d), None)
        if depth is None:
            raise SlideReadError(self.name, f"its greatest value, {top:.3g}, is no picture's.")
        if depth > 255:
            self.notes += (f"{dtype.name} values were scaled from 0…{depth} to 0…255",)
        return 255.0 / depth

    def _check(self, values: np.ndarray) -> None:
        import numpy as np

        if self._float and not np.isfinite(values).all():
            raise SlideReadError(self.name, "it holds NaN or infinite values.", "Replace them and save it again.")
        if self._signed and values.size and float(values.min()) < 0:
            raise SlideReadError(self.name, "it holds negative values.", "Save it as 8-bit or 16-bit RGB.")

    @property
    def unchanged(self) -> bool:
        """Whether pixels come out as they go in."""
        return self._plain and self.channels == 3

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Convert (h, w, c) to uint8 (h, w, 3)."""
        import numpy as np

        if self.unchanged:
            return np.array(pixels, np.uint8, order="C")  # a copy: whoever draws on it must not draw on the slide
        self._check(pixels)
        values = pixels.astype(np.float32) * np.float32(self.scale)
        if self.channels == 4:
            alpha = np.clip(values[..., 3:] / 255.0, 0, 1)
            values = values[..., :3] * alpha + 255.0 * (1 - alpha)
        return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _check_channels(name: str, channels: int) -> None:
    if channels in (1, 2):
        what = "one channel (grey values)" if channels == 1 else "two channels (grey values and transparency)"
        raise NotASmearError(
            f"'{name}' has {what}.",
            "Cell classes rest on the stain's colours: open the RGB picture that it was made from.",
        )
    if channels not in (3, 4):
        raise NotASmearError(
            f"'{name}' has {channels} channels.", "Export it as RGB (3 channels) or RGBA (4 channels)."
        )
