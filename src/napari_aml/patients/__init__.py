"""From cells to the patient: heads that read all cells of a smear."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.patients.bags import Bag, Cohort
    from napari_aml.patients.bundle import PatientBundle, load_patient_bundle, save_patient_bundle
    from napari_aml.patients.calling import PatientCall, call_patient
    from napari_aml.patients.simulate import PROFILES, simulated_cohort
    from napari_aml.patients.study import StudyResult, study_steps

_LAZY = {
    "PROFILES": "simulate",
    "Bag": "bags",
    "Cohort": "bags",
    "PatientBundle": "bundle",
    "PatientCall": "calling",
    "StudyResult": "study",
    "call_patient": "calling",
    "load_patient_bundle": "bundle",
    "save_patient_bundle": "bundle",
    "simulated_cohort": "simulate",
    "study_steps": "study",
}

__all__ = [
    "PROFILES",
    "Bag",
    "Cohort",
    "PatientBundle",
    "PatientCall",
    "StudyResult",
    "call_patient",
    "load_patient_bundle",
    "save_patient_bundle",
    "simulated_cohort",
    "study_steps",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.patients.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.patients' has no attribute {name!r}")
