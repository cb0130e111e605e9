"""A picture file becomes a Slide: formats, pyramid levels, µm/px (read, given or measured), no PHI."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_aml.slides.files import SUFFIXES, open_slide
from napari_aml.slides.pixel_size import UNKNOWN, PixelSize
from napari_aml.slides.slide import Level, Slide

if TYPE_CHECKING:
    from napari_aml.slides.array import ArraySlide
    from napari_aml.slides.redcells import RedCellMeasurement, measure_pixel_size
    from napari_aml.slides.smear import SmearCheck, check_smear
    from napari_aml.slides.synthetic import SyntheticSlide

__all__ = [
    "SUFFIXES", "UNKNOWN", "ArraySlide", "Level", "PixelSize", "RedCellMeasurement", "Slide", "SmearCheck",
    "SyntheticSlide", "check_smear", "measure_pixel_size", "open_slide",
]  # fmt: skip

_LAZY = {
    "ArraySlide": "array",
    "measure_pixel_size": "redcells",
    "RedCellMeasurement": "redcells",
    "SmearCheck": "smear",
    "check_smear": "smear",
    "SyntheticSlide": "synthetic",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.slides.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.slides' has no attribute {name!r}")
