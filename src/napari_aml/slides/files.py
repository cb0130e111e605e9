"""A picture file becomes a Slide."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import AmlError, SlideReadError
from napari_aml.provenance import file_sha256
from napari_aml.slides import pixel_size as px
from napari_aml.slides.slide import Slide

if TYPE_CHECKING:
    from napari_aml.slides.array import ArraySlide

TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".qptiff", ".scn", ".btf")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2", ".gif")
OPENSLIDE_SUFFIXES = (".mrxs", ".vms", ".vmu", ".svslide", ".bif")
SUFFIXES = TIFF_SUFFIXES + RASTER_SUFFIXES + OPENSLIDE_SUFFIXES


def open_slide(source: Any, pixel_size_um: float | None = None, name: str | None = None) -> Slide:
    """Open a picture as a Slide.

    Parameters
    ----------
    source
        A file path; an array (h, w, 3 or 4); a list of such arrays, finest first; or a Slide.
    pixel_size_um
        µm per pixel as a person gives it; goes before what the file says.
    name
        Name for people; the file's stem by default.

    Returns
    -------
    Slide

    Raises
    ------
    SlideReadError
        Missing, empty, truncated or unreadable file; zero size; NaN.
    NotASmearError
        One channel, or neither 3 nor 4 channels.
    """
    if isinstance(source, Slide):
        slide = source
    elif isinstance(source, str | Path):
        slide = _open_file(Path(source))
    else:
        from napari_aml.slides.array import ArraySlide

        levels = list(source) if isinstance(source, list | tuple) or hasattr(source, "_data") else [source]
        slide = ArraySlide(levels, name or "array")
    if name is not None:
        slide.name = name
    if pixel_size_um is not None:
        slide = slide.with_pixel_size(px.PixelSize(float(pixel_size_um), "person", "given by a person"))
    return slide


def _open_file(path: Path) -> Slide:
    if not path.exists():
        raise SlideReadError(path, "there is no such file.", "Check the path.")
    if path.is_dir():
        raise SlideReadError(path, "it is a folder, not a picture.", "Name the pictures inside it.")
    if path.stat().st_size == 0:
        raise SlideReadError(path, "the file is empty (0 bytes).", "Copy it again from its source.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SlideReadError(
            path, f"'{suffix or 'no suffix'}' is not a picture format.", f"Known: {', '.join(SUFFIXES)}."
        )
    try:
        if suffix in OPENSLIDE_SUFFIXES:
            from napari_aml.slides.whole_slide import open_with_openslide

            return open_with_openslide(path)
        return _open_tiff(path) if suffix in TIFF_SUFFIXES else _open_raster(path)
    except AmlError:
        raise
    except MemoryError as error:
        raise SlideReadError(path, "it does not fit into memory.", "Export it as a tiled TIFF.") from error
    except Exception as error:  # decoders raise dozens of types; each means the same to a person
        raise SlideReadError(path, f"it is damaged or not what its name says ({error}).") from error


def _open_raster(path: Path) -> ArraySlide:
    import numpy as np
    from PIL import Image

    from napari_aml.slides.array import ArraySlide

    Image.MAX_IMAGE_PIXELS = 1 << 30
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            image.load()
            info = dict(image.info)
            mode = image.mode
            if mode in ("P", "CMYK", "YCbCr"):
                image = image.convert("RGBA" if "transparency" in info else "RGB")
            array = np.asarray(image)
    return ArraySlide([array], path.stem, path, _raster_pixel_size(info), sha256=file_sha256(path))


def _raster_pixel_size(info: dict[str, Any]) -> px.PixelSize:
    dpi = info.get("dpi")
    um = px.from_dots(float(dpi[0]), "inch") if dpi else None
    return _from_file(um, "resolution tag")


def _from_file(um: float | None, where: str) -> px.PixelSize:
    if um is None:
        return px.UNKNOWN
    if not px.plausible(um):
        return px.PixelSize(None, "unknown", f"the file's {where} ({um:.3g} µm/px) is a print resolution")
    return px.PixelSize(um, "file", where)


def _open_tiff(path: Path) -> Slide:
    from napari_aml.slides.tiff import open_tiff

    return open_tiff(path)
