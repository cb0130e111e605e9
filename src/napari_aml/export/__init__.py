"""What leaves: CSV, Parquet, label and heatmap TIFFs, the overlay, the differential, provenance, the HTML report."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.export.folder import check_writable, results_folder
    from napari_aml.export.results import RESULT_FILES, write_results, write_results_steps
    from napari_aml.export.tables import write_csv, write_parquet

_LAZY = {
    "RESULT_FILES": "results",
    "check_writable": "folder",
    "results_folder": "folder",
    "write_csv": "tables",
    "write_parquet": "tables",
    "write_results": "results",
    "write_results_steps": "results",
}

__all__ = [
    "RESULT_FILES", "check_writable", "results_folder", "write_csv", "write_parquet", "write_results",
    "write_results_steps",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.export.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.export' has no attribute {name!r}")
