"""PNG, JPEG, BMP, WebP, GIF and JPEG 2000: pictures that are decoded whole."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import NotASmearError, SlideReadError
from napari_aml.slides import pixel_size as px

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from napari_aml.slides.array import ArraySlide

#: A picture of more pixels (0.8 GB as RGB) is refused rather than decoded whole.
MAX_PIXELS = 1 << 28

_ONE_CHANNEL = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_lock = threading.Lock()
#: First what lifts the limit, then an entry a thread that is at work.
_inside: list[Any] = []


#: How many times smaller a picture of some height and width may be decoded.
Reduction = Callable[[int, int], float]


def open_raster(path: Path, reduction: Reduction | None = None) -> ArraySlide:
    """Open a picture that is decoded whole.

    The grid of pixels is the stored one: an EXIF orientation is not applied, so that label images fit the file as
    analysis programs read it. Of an animation, the first frame is taken. Both are said in the slide's notes.

    Parameters
    ----------
    path
        The file.
    reduction
        Told height and width, says how many times smaller the picture may be; a JPEG is then decoded 2, 4 or 8 times
        smaller at once, which leaves the fine waves out before they are computed. None: as it is stored.

    Raises
    ------
    SlideReadError
        Truncated, damaged or too large.
    NotASmearError
        Grey.
    """
    from napari_aml.slides.array import ArraySlide

    with _no_size_limit(), _opened(path) as image:
        _check_size(path, image.size)
        notes = _notes(image)
        reduced = _reduce(image, reduction) if reduction else 1
        pixel_size = _pixel_size(image, reduced)
        plain = _plain_png(path, image) if image.format == "PNG" else None
        if plain is None:
            array, more = _rgb(image, path)
            notes += more
        else:
            array = plain
    slide = ArraySlide([array], path.stem, path, pixel_size, tuple(notes))
    slide.reduced = reduced
    return slide


def _reduce(image: Image, reduction: Reduction) -> int:
    """Set a JPEG in colour to be decoded smaller; return how many times."""
    if image.format != "JPEG" or image.mode != "RGB":
        return 1
    width, height = image.size
    times = max((k for k in (1, 2, 4, 8) if k <= min(reduction(height, width), width, height)), default=1)
    if times > 1:
        image.draft(None, (width // times, height // times))  # None leaves the mode
    return times


@contextmanager
def _no_size_limit() -> Iterator[None]:
    """Lift Pillow's own limit: `_check_size` refuses before anything is decoded.

    The limit and what is done with warnings are globals. They are set by the first thread that comes and set back by
    the last one that goes, so that several threads decode at once.
    """
    with _lock:
        if not _inside:
            _inside.append(_lifted())
            _inside[0].__enter__()
        _inside.append(None)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if len(_inside) == 1:
                _inside.pop().__exit__(None, None, None)


@contextmanager
def _lifted() -> Iterator[None]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise SlideReadError(path, "its content is no picture that can be decoded.") from error


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if 0 in size:
        raise SlideReadError(path, f"its size is {width}x{height} pixels.")
    if width * height > MAX_PIXELS:
        raise SlideReadError(
            path,
            f"its {width}x{height} pixels would have to be decoded in one piece.",
            "Save it as a tiled TIFF, which is read piece by piece (for example: vips tiffsave IN OUT.tif --tile "
            "--pyramid --compression jpeg).",
        )


def _notes(image: Image) -> list[str]:
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"the first of {frames} frames was taken")
    if image.getexif().get(0x0112, 1) not in (0, 1):
        notes.append("the camera's orientation mark was ignored: the picture is analysed as it is stored")
    return notes


def _rgb(image: Image, path: Path) -> tuple[np.ndarray, list[str]]:
    import numpy as np

    if image.mode in _ONE_CHANNEL:
        raise NotASmearError(
            f"'{path}' has one channel (grey values).",
            "Cell classes rest on the stain's colours: open the RGB picture that it was made from.",
        )
    image.load()
    notes = []
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        notes.append(f"{image.mode} colours were converted to RGB")
    if image.mode not in ("RGB", "RGBA"):
        transparent = "transparency" in image.info or image.mode in ("PA", "RGBa")
        image = image.convert("RGBA" if transparent else "RGB")
    return np.asarray(image), notes


def _plain_png(path: Path, image: Image) -> np.ndarray | None:
    """Decode a PNG in colour without Pillow; None for one that Pillow decodes as well or better.

    Of 16 bits a channel Pillow would drop the lower byte. Of 8 bits libspng makes the same pixels in two thirds of the
    time, and leaves Python to other threads meanwhile.
    """
    import imagecodecs

    with open(path, "rb") as stream:
        head = stream.read(29)
    # These stand at fixed places of the header chunk; colour types 2 and 6 are RGB and RGBA.
    if len(head) < 29 or head[25] not in (2, 6):
        return None
    depth, interlaced = head[24], head[28] != 0
    if depth == 16:
        return imagecodecs.png_decode(path.read_bytes())
    if interlaced or getattr(image, "n_frames", 1) > 1:
        return None
    try:
        return imagecodecs.spng_decode(path.read_bytes())
    except (RuntimeError, ImportError):  # damaged, or not built in: Pillow says what is wrong, or reads it all the same
        return None


def _pixel_size(image: Image, reduced: int = 1) -> px.PixelSize:
    dots: Any = image.info.get("dpi")
    if not dots:
        return px.UNKNOWN
    try:
        x, y = (px.from_dots(float(d) / reduced, "inch") for d in dots[:2])
    except (TypeError, ValueError, ZeroDivisionError):
        return px.UNKNOWN
    return px.settle([(x, y, "resolution tag")])
