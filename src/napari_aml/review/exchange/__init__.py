"""Annotations go out and come back: what is exchanged, how files are read, how they are laid over what is there."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide, Curation, curate, curation_of, pseudonymous
    from napari_aml.review.exchange.incoming import ExchangeError, Incoming
    from napari_aml.review.exchange.matching import Match, Plan, match, plan_import
    from napari_aml.review.exchange.projects import curation_of_project, import_steps, pseudonyms_of
    from napari_aml.review.exchange.pseudonyms import Pseudonyms
    from napari_aml.review.exchange.reading import read_annotations
    from napari_aml.review.exchange.reading_coco import read_coco
    from napari_aml.review.exchange.reading_geojson import read_geojson
    from napari_aml.review.exchange.reading_tables import read_labels, read_table

_LAZY = {
    "CuratedSlide": "curated",
    "Curation": "curated",
    "curate": "curated",
    "curation_of": "curated",
    "pseudonymous": "curated",
    "ExchangeError": "incoming",
    "Incoming": "incoming",
    "Match": "matching",
    "Plan": "matching",
    "match": "matching",
    "plan_import": "matching",
    "curation_of_project": "projects",
    "import_steps": "projects",
    "pseudonyms_of": "projects",
    "Pseudonyms": "pseudonyms",
    "read_annotations": "reading",
    "read_coco": "reading_coco",
    "read_geojson": "reading_geojson",
    "read_labels": "reading_tables",
    "read_table": "reading_tables",
}

__all__ = [
    "CuratedSlide", "Curation", "ExchangeError", "Incoming", "Match", "Plan", "Pseudonyms", "curate", "curation_of",
    "curation_of_project", "import_steps", "match", "plan_import", "pseudonymous", "pseudonyms_of",
    "read_annotations", "read_coco", "read_geojson", "read_labels", "read_table",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"napari_aml.review.exchange.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'napari_aml.review.exchange' has no attribute {name!r}")
