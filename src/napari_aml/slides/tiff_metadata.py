"""µm per pixel from what a TIFF says about itself; nothing else of its metadata is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari_aml.slides import pixel_size as px

_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "µm"}
Candidate = tuple[float | None, float | None, str]


def tiff_pixel_size(tif: Any, series: Any, page: Any) -> px.PixelSize:
    """Return the pixel size that a TIFF states.

    Parameters
    ----------
    tif, series, page
        The open `tifffile.TiffFile`, the series of the specimen, and its first page.

    Notes
    -----
    In this order: OME-XML, the microns per pixel of an Aperio description, the resolution tags (in ImageJ's unit where
    ImageJ wrote the file). Descriptions are read for this figure only: they may hold a patient's name.
    """
    return px.settle(_candidates(tif, series, page))


def _candidates(tif: Any, series: Any, page: Any) -> Iterator[Candidate]:
    if tif.is_ome and tif.ome_metadata:
        yield (*px.from_ome(tif.ome_metadata, list(tif.series).index(series)), "OME PhysicalSize")
    yield px.from_description(page.description or ""), None, "MPP in the description"
    unit = _resolution_unit(tif, page)
    if unit is not None:
        x, y = (_per_unit(page.tags.get(name)) for name in ("XResolution", "YResolution"))
        yield (
            None if x is None else px.from_dots(x, unit),
            None if y is None else px.from_dots(y, unit),
            "resolution tags",
        )


def _resolution_unit(tif: Any, page: Any) -> str | None:
    if tif.is_imagej and (tif.imagej_metadata or {}).get("unit"):
        return str(tif.imagej_metadata["unit"])
    tag = page.tags.get("ResolutionUnit")
    # The standard's default is the inch; 1 means that the figures are a mere ratio.
    return _UNITS.get(int(tag.value)) if tag is not None else "inch"


def _per_unit(tag: Any) -> float | None:
    try:
        numerator, denominator = tag.value
        return float(numerator) / float(denominator)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None
