"""Are the heatmaps true? Tests of CAM methods against what a map that knows nothing would reach."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.explain.testing.comparing import ExplainReport, explain_test_steps

_LAZY = {"ExplainReport": "comparing", "explain_test_steps": "comparing"}

__all__ = ["ExplainReport", "explain_test_steps"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.explain.testing.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.explain.testing' has no attribute {name!r}")
