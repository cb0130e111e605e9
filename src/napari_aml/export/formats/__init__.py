"""Curated cells leave in the formats of other programs: one file for each format, the same uid in all of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.export.formats.exporting import FORMATS, ExportOptions, export_curation, export_curation_steps
    from napari_aml.export.formats.h5ad import AnnDataMissingError

_LAZY = {
    "FORMATS": "exporting",
    "AnnDataMissingError": "h5ad",
    "ExportOptions": "exporting",
    "export_curation": "exporting",
    "export_curation_steps": "exporting",
}

__all__ = ["FORMATS", "AnnDataMissingError", "ExportOptions", "export_curation", "export_curation_steps"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.export.formats.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.export.formats' has no attribute {name!r}")
