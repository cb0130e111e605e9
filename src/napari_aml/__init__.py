"""napari-aml: review blood smears of acute myeloid leukaemia. Research use only.

The public names load on first use; importing this package loads neither torch, nor Qt, nor napari.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: The sentence that every output carries (21 CFR 809.10(c)(2)(i)).
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."

_PUBLIC = {
    "analyse": "pipeline",
    "analyse_steps": "pipeline",
    "Analysis": "pipeline",
    "open_slide": "slides",
    "Slide": "slides",
    "PixelSize": "slides",
    "measure_pixel_size": "slides",
    "segment": "cells",
    "segment_steps": "cells",
    "get_segmenter": "cells",
    "register_segmenter": "cells",
    "Cells": "cells",
    "crops": "cells",
    "load_bundle": "classify",
    "find_bundles": "classify",
    "ModelBundle": "classify",
    "predict": "classify",
    "predict_steps": "classify",
    "Predictions": "classify",
    "heatmaps": "explain",
    "Heatmaps": "explain",
    "differential": "review",
    "write_results": "export",
    "Progress": "progress",
    "run": "progress",
    "AmlError": "errors",
    "CLASSES": "taxonomy",
}

__all__ = ["RESEARCH_USE", "__version__", *_PUBLIC]  # noqa: PLE0604

if TYPE_CHECKING:
    from napari_aml.cells import Cells, crops, get_segmenter, register_segmenter, segment, segment_steps
    from napari_aml.classify import (
        ModelBundle,
        Predictions,
        find_bundles,
        load_bundle,
        predict,
        predict_steps,
    )
    from napari_aml.errors import AmlError
    from napari_aml.explain import Heatmaps, heatmaps
    from napari_aml.export import write_results
    from napari_aml.pipeline import Analysis, analyse, analyse_steps
    from napari_aml.progress import Progress, run
    from napari_aml.review import differential
    from napari_aml.slides import PixelSize, Slide, measure_pixel_size, open_slide
    from napari_aml.taxonomy import CLASSES


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"napari_aml.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'napari_aml' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
