"""What people decide and what is counted: the differential with exact intervals."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.review.blasts import BlastSummary, blast_summary
    from napari_aml.review.comparing import compare_counts, compare_readers
    from napari_aml.review.comparison import Concordance
    from napari_aml.review.concordance import reconcile
    from napari_aml.review.counted import Count, count_analysis, count_by, count_cells
    from napari_aml.review.counting import CountingSettings, differential, exact_interval, sure_codes
    from napari_aml.review.expression_opening import open_expression_steps
    from napari_aml.review.project import Project

_LAZY = {
    "Count": "counted",
    "compare_counts": "comparing",
    "compare_readers": "comparing",
    "count_analysis": "counted",
    "count_by": "counted",
    "count_cells": "counted",
    "Concordance": "comparison",
    "reconcile": "concordance",
    "Project": "project",
    "open_expression_steps": "expression_opening",
    "BlastSummary": "blasts",
    "blast_summary": "blasts",
    "CountingSettings": "counting",
    "differential": "counting",
    "exact_interval": "counting",
    "sure_codes": "counting",
}

__all__ = [
    "BlastSummary", "Concordance", "Count", "CountingSettings", "Project", "blast_summary", "compare_counts",
    "compare_readers", "count_analysis", "count_by", "count_cells", "differential", "exact_interval",
    "open_expression_steps", "reconcile", "sure_codes",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.review.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.review' has no attribute {name!r}")
