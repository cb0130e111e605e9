"""How far a model's word can be trusted: calibration, sets, likeness to the training cells, subgroups, shortcuts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.classify.trust.calibrating import Calibration, calibrate, save_calibrated
    from napari_aml.classify.trust.judging import TrustReport, trust_steps
    from napari_aml.classify.trust.stored import Trust, read_trust

_LAZY = {
    "Calibration": "calibrating",
    "Trust": "stored",
    "TrustReport": "judging",
    "calibrate": "calibrating",
    "read_trust": "stored",
    "save_calibrated": "calibrating",
    "trust_steps": "judging",
}

__all__ = ["Calibration", "Trust", "TrustReport", "calibrate", "read_trust", "save_calibrated", "trust_steps"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.classify.trust.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.classify.trust' has no attribute {name!r}")
