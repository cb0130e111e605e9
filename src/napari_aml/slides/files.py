"""A picture file becomes a Slide."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.errors import AmlError, InputError, SlideReadError
from napari_aml.slides import pixel_size as px
from napari_aml.slides.slide import Slide

if TYPE_CHECKING:
    from napari_aml.slides.raster import Reduction

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".svs", ".ndpi", ".qptiff", ".scn")
RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".webp", ".jp2", ".gif")
OPENSLIDE_SUFFIXES = (".mrxs", ".vms", ".vmu", ".svslide", ".bif", ".dcm")
FOLDER_SUFFIXES = (".zarr",)
SUFFIXES = TIFF_SUFFIXES + RASTER_SUFFIXES + OPENSLIDE_SUFFIXES + FOLDER_SUFFIXES

_CONVERT = "Convert it to a pyramidal OME-TIFF first, for example with Bio-Formats (bfconvert) or QuPath."
_VENDOR_SUFFIXES = (".czi", ".lif", ".nd2", ".vsi", ".oib", ".oif", ".lsm", ".isyntax", ".ims")


def open_slide(source: Any, pixel_size_um: float | None = None, name: str | None = None) -> Slide:
    """Open a picture as a Slide.

    Parameters
    ----------
    source
        A file path (what it is, its content says, not its suffix); an OME-Zarr folder; an array (h, w, 3 or 4);
        a list of such arrays, finest first; or a Slide.
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
    InputError
        A pixel size that is none.
    """
    if pixel_size_um is not None and not (math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise InputError(
            f"{pixel_size_um} is no pixel size.", "Give µm per pixel, for example 0.1 for a 100x objective."
        )
    if isinstance(source, Slide):
        slide = source
    elif isinstance(source, str | Path):
        slide = _open_path(Path(source))
    else:
        slide = _open_arrays(source, name)
    if pixel_size_um is not None:
        slide = slide.with_pixel_size(px.PixelSize(float(pixel_size_um), "person", "given by a person"))
    if name is not None and name != slide.name:
        slide = slide.with_pixel_size(slide.pixel_size)  # a copy: a name given here must not change the given slide
        slide.name = name
    return slide


def _open_arrays(source: Any, name: str | None) -> Slide:
    from napari_aml.slides.array import ArraySlide

    levels = [source] if hasattr(source, "shape") and hasattr(source, "dtype") else source
    try:
        levels = list(levels)
    except TypeError:
        raise SlideReadError(
            name or type(source).__name__, f"a {type(source).__name__} is no picture.", "Give a file or an array."
        ) from None
    return ArraySlide(levels, name or "array")


def open_for_crops(path: Path, reduction: Reduction) -> Slide:
    """Open a picture file of which only smaller crops are wanted.

    Parameters
    ----------
    path
        A file, as for `open_slide`.
    reduction
        Told height and width, says how many times smaller the picture may be.

    Returns
    -------
    Slide
        A JPEG may be 2, 4 or 8 times smaller than its file (`Slide.reduced`), and decoded the faster for it; all other
        kinds of files are as `open_slide` opens them.
    """
    return _open_path(path, reduction)


def _open_path(path: Path, reduction: Reduction | None = None) -> Slide:
    try:
        _check_there(path)
        return _open_file(path, reduction)
    except AmlError:
        raise
    except PermissionError as error:
        raise SlideReadError(path, "there is no permission to read it.", "Ask its owner for access.") from error
    except MemoryError as error:
        raise SlideReadError(path, "it does not fit into memory.", "Save it as a tiled TIFF.") from error
    except Exception as error:
        # Decoders raise dozens of types; each means the same to a person. Their texts are for developers and may quote
        # the file's description, which may name a patient: they stay in the chained exception.
        raise SlideReadError(path, "it is truncated or damaged.") from error


def _check_there(path: Path) -> None:
    if not path.exists():
        raise SlideReadError(path, "there is no such file.", "Check the path.")
    if path.is_dir():
        if path.suffix.lower() not in FOLDER_SUFFIXES:
            raise SlideReadError(path, "it is a folder, not a picture.", "Name the pictures inside it.")
    elif not path.is_file():
        raise SlideReadError(path, "it is no regular file.", "Copy it to a disk first.")
    elif path.stat().st_size == 0:
        raise SlideReadError(path, "the file is empty (0 bytes).", "Copy it again from its source.")


def _open_file(path: Path, reduction: Reduction | None = None) -> Slide:
    from napari_aml.slides.sniff import sniff

    suffix = path.suffix.lower()
    if path.is_dir():
        from napari_aml.slides.ome_zarr import open_ome_zarr

        return open_ome_zarr(path)
    if suffix in OPENSLIDE_SUFFIXES:
        from napari_aml.slides.whole_slide import open_with_openslide

        return open_with_openslide(path)
    kind, words = sniff(path)
    if kind == "tiff":
        from napari_aml.slides.tiff import open_tiff

        return open_tiff(path)
    if kind == "raster":
        from napari_aml.slides.raster import open_raster

        return open_raster(path, reduction)
    if suffix in _VENDOR_SUFFIXES:
        raise SlideReadError(path, f"'{suffix}' files are not read.", _CONVERT)
    if suffix not in SUFFIXES:
        raise SlideReadError(
            path, f"'{suffix or 'no suffix'}' is not a picture format.", f"Known: {', '.join(SUFFIXES)}."
        )
    if kind == "other":
        raise SlideReadError(path, f"its content is {words}, not a picture.", "Copy it again from its source.")
    raise SlideReadError(path, "it is truncated or damaged: its first bytes are those of no known picture.")
