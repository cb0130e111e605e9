"""One picture of a cell: bytes become pixels, or a sentence that says why not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from napari_aml.errors import InputError

#: Picture files that are taken into a dataset as they are.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
#: A single cell has no more pixels than this; whole slides are opened elsewhere.
MOST_PIXELS = 4096 * 4096
_COLOUR = ("RGB", "RGBA", "P", "L", "LA", "CMYK", "YCbCr")


class PictureError(InputError):
    """A picture of a cell cannot be read."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The picture '{name}' cannot be used: {reason}.", "Copy it again from its source.")


def decode(content: bytes, name: str = "picture") -> np.ndarray:
    """Decode one picture.

    Parameters
    ----------
    content
        The file's bytes.
    name
        For messages.

    Returns
    -------
    numpy.ndarray
        uint8 (h, w, 3), RGB; what is transparent becomes white.

    Raises
    ------
    PictureError
        Empty, damaged, larger than a cell's picture can be, or not of 8 bits a channel.
    """
    from PIL import Image

    if not content:
        raise PictureError(name, "the file is empty")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise PictureError(name, f"{picture.width} x {picture.height} pixels are too many for one cell")
            if picture.mode not in _COLOUR:
                raise PictureError(name, f"it holds {picture.mode} values, not 8-bit colours")
            if picture.mode in ("RGBA", "LA") or "transparency" in picture.info:
                layers = picture.convert("RGBA")
                white = Image.new("RGBA", layers.size, "white")
                return np.asarray(Image.alpha_composite(white, layers).convert("RGB"))
            return np.asarray(picture.convert("RGB"))
    except PictureError:
        raise
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise PictureError(name, str(error).replace("\n", " ")[:120] or type(error).__name__) from error


def encode(pixels: np.ndarray) -> bytes:
    """Encode uint8 (h, w, 3) as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def read_pixels(path: Path) -> np.ndarray:
    """Read one picture file, uint8 (h, w, 3).

    Raises
    ------
    PictureError
        When it is missing or cannot be decoded.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PictureError(str(path), error.strerror or str(error)) from error
    return decode(content, str(path))


def reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    """Reduce a picture so that its longer side is at most `side` pixels (area averaging); never enlarge."""
    import cv2

    h, w = pixels.shape[:2]
    if max(h, w) <= side:
        return pixels
    scale = side / max(h, w)
    return cv2.resize(pixels, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)
